//! How many digits decimals have that were rounded or divided.

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType};
use datafusion_common::Result as DataFusionResult;
use datafusion_common::tree_node::Transformed;
use datafusion_expr::expr::ScalarFunction;
use datafusion_expr::{Expr, ExprSchemable, cast, lit};

use super::meeting::Numbers;
use super::written::written;
use crate::expr::functions::functions;

/// The decimal that two of which a remainder is taken are made; `None` where they are of one type, or none.
pub(super) fn remainder_types(left: &DataType, right: &DataType) -> Option<DataType> {
    let (DataType::Decimal128(a, a_scale), DataType::Decimal128(b, b_scale)) = (left, right) else { return None };
    let whole = |precision: u8, scale: i8| i16::from(precision) - i16::from(scale);
    let scale = *a_scale.max(b_scale);
    let precision =
        (whole(*a, *a_scale).max(whole(*b, *b_scale)) + i16::from(scale)).min(DECIMAL128_MAX_PRECISION.into());
    (left != right).then_some(DataType::Decimal128(u8::try_from(precision).ok()?, scale))
}

/// `round(decimal, 2)` and its like: a decimal with so many digits behind the point, which is known only where their
/// number is written.
pub(super) fn fewer_digits(call: ScalarFunction, numbers: &Numbers) -> DataFusionResult<Transformed<Expr>> {
    let own = functions().scalar.get(&format!("#{}", call.func.name()));
    let digits = match call.args.get(1) {
        None => Some(0),
        Some(digits) => written(digits).and_then(|digits| i8::try_from(digits).ok()),
    };
    if let (Some(own), Some(digits), [value, ..]) = (own, digits, call.args.as_slice())
        && let Ok(DataType::Decimal128(precision, scale)) = value.get_type(numbers.schema)
        && scale > 0
    {
        let value = value.clone();
        if digits >= scale {
            return Ok(Transformed::yes(value));
        }
        let rounded = own.call(vec![value, lit(i64::from(digits))]);
        return Ok(Transformed::yes(cast(rounded, DataType::Decimal128(precision, digits.max(0)))));
    }
    Ok(Transformed::no(Expr::ScalarFunction(call)))
}
