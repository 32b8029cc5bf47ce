//! The arithmetic operators that floe checks, and which operand types they cover.
//!
//! Invariant: a [`CheckedOperator`] gives the exact result or an error, never a wrapped one. It covers integers and
//! decimals; floats, dates, times and intervals stay with the library, whose kernels do not wrap there.

use std::fmt;

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType};
use datafusion_expr::Operator;

/// How many digits every decimal in 64 bits may have.
const DIGITS_OF_64_BITS: u8 = 18;

/// `+ - * / %` over two integers or two decimals, and unary minus over one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum CheckedOperator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Negate,
}

impl CheckedOperator {
    /// The binary operator that stands for `operator` in SQL, if it is arithmetic.
    pub(crate) fn from_binary(operator: Operator) -> Option<Self> {
        match operator {
            Operator::Plus => Some(CheckedOperator::Add),
            Operator::Minus => Some(CheckedOperator::Subtract),
            Operator::Multiply => Some(CheckedOperator::Multiply),
            Operator::Divide => Some(CheckedOperator::Divide),
            Operator::Modulo => Some(CheckedOperator::Modulo),
            _ => None,
        }
    }

    /// The SQL operator; `None` for unary minus.
    pub(crate) fn as_binary(self) -> Option<Operator> {
        match self {
            CheckedOperator::Add => Some(Operator::Plus),
            CheckedOperator::Subtract => Some(Operator::Minus),
            CheckedOperator::Multiply => Some(Operator::Multiply),
            CheckedOperator::Divide => Some(Operator::Divide),
            CheckedOperator::Modulo => Some(Operator::Modulo),
            CheckedOperator::Negate => None,
        }
    }

    /// Whether this operator covers those operand types (after coercion: both integers of one type or both decimals).
    pub(crate) fn covers(left: &DataType, right: &DataType) -> bool {
        (left.is_integer() && left == right) || (left.is_decimal() && right.is_decimal())
    }

    /// Whether a product of these types has fewer digits than the library gives it: those of both factors at most.
    pub(crate) fn is_narrow_product(left: &DataType, right: &DataType) -> bool {
        CheckedOperator::product(left, right).is_some_and(|digits| digits < DECIMAL128_MAX_PRECISION)
    }

    /// How many digits a product of these decimals has; `None` for other types. Factors that fit 64 bits give one that does, if
    /// that leaves a digit before the point.
    pub(super) fn product(left: &DataType, right: &DataType) -> Option<u8> {
        let (DataType::Decimal128(left, left_scale), DataType::Decimal128(right, right_scale)) = (left, right) else {
            return None;
        };
        let (digits, scale) = (left.checked_add(*right)?, left_scale.checked_add(*right_scale)?);
        let is_short = *left.max(right) <= DIGITS_OF_64_BITS && scale < DIGITS_OF_64_BITS.cast_signed();
        Some(if is_short { digits.min(DIGITS_OF_64_BITS) } else { digits })
    }

    /// Whether the library's own constant folding could give a wrong answer for a result of type `result`: integers
    /// wrap, and decimals of the greatest precision may leave their range.
    pub(crate) fn folding_may_be_wrong(self, result: &DataType) -> bool {
        match self {
            CheckedOperator::Divide | CheckedOperator::Modulo => false,
            _ => result.is_integer() || matches!(result, DataType::Decimal128(38, _) | DataType::Decimal256(76, _)),
        }
    }
}

impl fmt::Display for CheckedOperator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CheckedOperator::Add => "+",
            CheckedOperator::Subtract | CheckedOperator::Negate => "-",
            CheckedOperator::Multiply => "*",
            CheckedOperator::Divide => "/",
            CheckedOperator::Modulo => "%",
        })
    }
}
