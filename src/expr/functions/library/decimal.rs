//! Exact numbers divided: decimals with fewer digits behind the point, and integers without a rest.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray};
use arrow::compute::kernels::numeric;
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Decimal128Type};
use arrow::error::ArrowError;
use datafusion_common::{DataFusionError, Result as DataFusionResult, internal_err};
use datafusion_expr::Operator;
use datafusion_expr::binary::BinaryTypeCoercer;

use super::function::{Arguments, Bound, Overload};
use super::numeric::{by_zero, overflow};
use crate::expr::types::HUGEINT;

/// How many steps a value is, given how many whole ones, the rest (of the sign of the value) and the size of a step.
type Steps = fn(whole: i128, rest: i128, step: i128) -> i128;

pub(super) fn down(whole: i128, rest: i128, _step: i128) -> i128 {
    if rest < 0 { whole - 1 } else { whole }
}

pub(super) fn up(whole: i128, rest: i128, _step: i128) -> i128 {
    if rest > 0 { whole + 1 } else { whole }
}

pub(super) fn towards_zero(whole: i128, _rest: i128, _step: i128) -> i128 {
    whole
}

pub(super) fn nearest(whole: i128, rest: i128, step: i128) -> i128 {
    // `2 * rest` would not fit for the largest steps.
    if rest.abs() >= step - rest.abs() { whole + rest.signum() } else { whole }
}

/// A decimal rounded to so many digits behind the point, of which it keeps as many as it had.
pub(super) fn rounded(steps: Steps) -> Overload {
    let bind = |types: &[DataType]| match types {
        [decimal @ DataType::Decimal128(precision, scale), digits] if digits.is_integer() => Some(Bound {
            arguments: vec![decimal.clone(), DataType::Int64],
            // 9.9 becomes 10.0.
            result: DataType::Decimal128((precision + 1).min(DECIMAL128_MAX_PRECISION), *scale),
        }),
        _ => None,
    };
    Overload::generic(bind, move |arguments: &Arguments| {
        let (values, digits) = (arguments.array(0)?, arguments.array(1)?);
        let (DataType::Decimal128(_, scale), Some(digits)) =
            (values.data_type().clone(), digits.as_primitive::<arrow::datatypes::Int64Type>().iter().next().flatten())
        else {
            return internal_err!("a decimal is rounded to no number of digits");
        };
        let step = u32::try_from(i64::from(scale) - digits).ok().and_then(|zeros| 10_i128.checked_pow(zeros));
        let round = |value: i128| match step {
            Some(step) => steps(value / step, value % step, step).checked_mul(step).unwrap_or(i128::MAX),
            None => 0,
        };
        let rounded: PrimitiveArray<Decimal128Type> = values.as_primitive::<Decimal128Type>().unary(round);
        Ok(Arc::new(rounded.with_data_type(arguments.result.clone())))
    })
}

/// The quotient of two integers without the rest, of the type that both have.
pub(super) fn whole_quotient() -> Overload {
    let is_whole = |found: &DataType| found.is_integer() || found.is_null() || *found == HUGEINT;
    let bind = move |types: &[DataType]| match types {
        [left, right] if is_whole(left) && is_whole(right) => {
            let common = match (left, right) {
                (DataType::Null, DataType::Null) => DataType::Int64,
                _ if *left == HUGEINT || *right == HUGEINT => HUGEINT,
                // A UBIGINT and a BIGINT have only HUGEINT in common.
                _ => match BinaryTypeCoercer::new(left, &Operator::Plus, right).get_input_types().ok()?.0 {
                    common if common.is_integer() => common,
                    _ => HUGEINT,
                },
            };
            Some(Bound { arguments: vec![common.clone(), common.clone()], result: common })
        }
        _ => None,
    };
    Overload::generic(bind, |arguments: &Arguments| {
        let (left, right) = (arguments.array(0)?, arguments.array(1)?);
        divided(&left, &right)
    })
}

fn divided(left: &ArrayRef, right: &ArrayRef) -> DataFusionResult<ArrayRef> {
    let quotient = match left.data_type() {
        DataType::Decimal128(..) => {
            let (left, right) = (left.as_primitive::<Decimal128Type>(), right.as_primitive::<Decimal128Type>());
            let divide = |left: i128, right: i128| left.checked_div(right).ok_or(ArrowError::DivideByZero);
            arrow::compute::try_binary(left, right, divide).map(|quotients: PrimitiveArray<Decimal128Type>| {
                Arc::new(quotients.with_data_type(HUGEINT)) as ArrayRef
            })
        }
        _ => numeric::div(left, right),
    };
    quotient.map_err(|error| match error {
        ArrowError::DivideByZero => DataFusionError::from(by_zero()),
        ArrowError::ArithmeticOverflow(_) => overflow("divide").into(),
        error => error.into(),
    })
}
