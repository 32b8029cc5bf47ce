//! Integers compared with a decimal that is written: with the next integer instead, so that a scan compares the column as
//! it is (`n > 1.5` as `n > 1`).

use arrow::datatypes::DataType;
use datafusion_common::ScalarValue;
use datafusion_common::tree_node::Transformed;
use datafusion_expr::{Expr, ExprSchemable, Operator};

use super::meeting::Numbers;
use super::written::in_type;

/// Both sides of a comparison, with an integer in place of such a decimal.
pub(super) fn whole_comparison(left: Expr, op: Operator, right: Expr, numbers: &Numbers) -> Transformed<Vec<Expr>> {
    if let Some(found) = integer(&left, numbers)
        && let Some(right) = whole(&right, op, &found)
    {
        return Transformed::yes(vec![left, right]);
    }
    if let Some(found) = integer(&right, numbers)
        && let Some(left) = op.swap().and_then(|swapped| whole(&left, swapped, &found))
    {
        return Transformed::yes(vec![left, right]);
    }
    Transformed::no(vec![left, right])
}

/// What is tested and the bounds of a BETWEEN.
pub(super) fn whole_bounds(expr: Expr, low: Expr, high: Expr, numbers: &Numbers) -> Transformed<Vec<Expr>> {
    let Some(found) = integer(&expr, numbers) else { return Transformed::no(vec![expr, low, high]) };
    match (whole(&low, Operator::GtEq, &found), whole(&high, Operator::LtEq, &found)) {
        (None, None) => Transformed::no(vec![expr, low, high]),
        (new_low, new_high) => Transformed::yes(vec![expr, new_low.unwrap_or(low), new_high.unwrap_or(high)]),
    }
}

/// The type of an integer that is not written.
fn integer(expr: &Expr, numbers: &Numbers) -> Option<DataType> {
    let is_literal = matches!(expr, Expr::Literal(..));
    let found = expr.get_type(numbers.schema).ok().filter(DataType::is_integer);
    found.filter(|_| !numbers.keep_names && !is_literal)
}

/// The integer that says of all integers left of `op` what the decimal says, in their type where it fits; `None` where none does.
fn whole(decimal: &Expr, op: Operator, found: &DataType) -> Option<Expr> {
    let Expr::Literal(ScalarValue::Decimal128(Some(unscaled), _, scale), _) = decimal else { return None };
    let step = 10_i128.checked_pow(u32::try_from(*scale).ok()?)?;
    let down = unscaled.div_euclid(step);
    let is_whole = unscaled.rem_euclid(step) == 0;
    let integer = match op {
        _ if is_whole => down,
        Operator::Gt | Operator::LtEq => down,
        Operator::Lt | Operator::GtEq => down + 1,
        _ => return None,
    };
    let value = in_type(integer, found).or_else(|| in_type(integer, &DataType::Int64))?;
    Some(Expr::Literal(value, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_integer_says_the_same() {
        let decimal = |unscaled| Expr::Literal(ScalarValue::Decimal128(Some(unscaled), 3, 1), None);
        let integer = |value: i64| Some(Expr::Literal(ScalarValue::from(value), None));
        assert_eq!(whole(&decimal(15), Operator::Gt, &DataType::Int64), integer(1));
        assert_eq!(whole(&decimal(15), Operator::GtEq, &DataType::Int64), integer(2));
        assert_eq!(whole(&decimal(-15), Operator::Lt, &DataType::Int64), integer(-1));
        assert_eq!(whole(&decimal(-15), Operator::LtEq, &DataType::Int64), integer(-2));
        assert_eq!(whole(&decimal(20), Operator::Eq, &DataType::Int64), integer(2));
        assert_eq!(whole(&decimal(25), Operator::Eq, &DataType::Int64), None);
    }
}
