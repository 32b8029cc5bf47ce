//! Casts between numbers of different kinds, and of texts to them.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Float32Array, Float64Array, StringViewArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Decimal256Type, Float64Type, i256};

use super::kernels::{How, parsed};
use crate::batch::value::write_float;
use crate::error::{Code, Error, Result};
use crate::expr::types::sql_type_name;

/// The texts as decimals.
///
/// # Errors
/// `INVALID_CAST` for a text that is no number or has too many digits before the point, unless NULL stands for it.
pub(super) fn decimals(texts: &StringViewArray, precision: u8, scale: i8, how: How) -> Result<ArrayRef> {
    let to = DataType::Decimal128(precision, scale);
    let name = format!("a {}", sql_type_name(&to));
    let limit = 10_u128.checked_pow(precision.into()).unwrap_or(u128::MAX);
    let parse = |text: &str| parse_decimal(text, scale.into()).filter(|value| value.unsigned_abs() < limit);
    let values = parsed(texts, how, &name, parse)?;
    Ok(Arc::new(Decimal128Array::from_iter(values).with_data_type(to)))
}

/// `12`, ` -1_000.25 `, `.5`, `1.5e3` in parts of a power of ten, the nearest, halves away from zero.
fn parse_decimal(text: &str, scale: i32) -> Option<i128> {
    let text = without_underscores(text.trim())?;
    let (negative, number) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text.as_str()),
    };
    let (digits, exponent) = match number.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok()?),
        None => (number, 0),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.len() + fraction.len() == 0 || !whole.bytes().chain(fraction.bytes()).all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    // How many digits are kept.
    let kept = i64::from(scale) + i64::from(exponent) + i64::try_from(whole.len()).ok()?;
    let mut value: i128 = 0;
    let mut next = None;
    for (place, digit) in (0_i64..).zip(whole.bytes().chain(fraction.bytes())) {
        if place >= kept {
            next = (place == kept).then_some(digit);
            break;
        }
        value = value.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
    }
    let missing = kept - i64::try_from(whole.len() + fraction.len()).ok()?;
    if value != 0 && missing > 0 {
        value = value.checked_mul(10_i128.checked_pow(u32::try_from(missing).ok()?)?)?;
    }
    let value = value.checked_add(i128::from(next.is_some_and(|digit| digit >= b'5')))?;
    Some(if negative { -value } else { value })
}

/// The texts as floats.
///
/// # Errors
/// `INVALID_CAST` for a text that is no number, unless NULL stands for it.
pub(super) fn floats(texts: &StringViewArray, to: &DataType, how: How) -> Result<ArrayRef> {
    let name = format!("a {}", sql_type_name(to));
    if *to == DataType::Float32 {
        let parse = |text: &str| without_underscores(text.trim())?.parse::<f32>().ok();
        return Ok(Arc::new(Float32Array::from_iter(parsed(texts, how, &name, parse)?)));
    }
    let parse = |text: &str| without_underscores(text.trim())?.parse::<f64>().ok();
    Ok(cast(&Float64Array::from_iter(parsed(texts, how, &name, parse)?), to)?)
}

/// The text without the underscores that stand between digits; `None` where one stands elsewhere.
fn without_underscores(text: &str) -> Option<String> {
    let is_digit = |at: Option<usize>| at.and_then(|at| text.as_bytes().get(at)).is_some_and(u8::is_ascii_digit);
    let mut underscores = text.bytes().enumerate().filter(|(_, byte)| *byte == b'_');
    let between = underscores.all(|(at, _)| is_digit(at.checked_sub(1)) && is_digit(at.checked_add(1)));
    between.then(|| text.replace('_', ""))
}

/// DOUBLEs as FLOATs.
///
/// # Errors
/// `INVALID_CAST` for a number beyond the range of FLOAT, unless NULL stands for it.
pub(super) fn narrowed(values: &ArrayRef, how: How) -> Result<ArrayRef> {
    let narrow = |value: f64| match value as f32 {
        narrow if narrow.is_finite() || !value.is_finite() => Ok(Some(narrow)),
        _ if how.safe => Ok(None),
        _ => {
            let mut text = String::new();
            write_float(&mut text, value);
            Err(Error::new(Code::InvalidCast, format!("{text} is beyond the range of FLOAT")))
        }
    };
    let narrowed = values.as_primitive::<Float64Type>().iter().map(|value| value.map_or(Ok(None), narrow));
    Ok(Arc::new(Float32Array::from_iter(narrowed.collect::<Result<Vec<_>>>()?)))
}

/// Which decimals are not zero.
pub(super) fn is_not_zero(values: &ArrayRef) -> Result<ArrayRef> {
    if let Some(wide) = values.as_primitive_opt::<Decimal256Type>() {
        return Ok(Arc::new(BooleanArray::from_unary(wide, |value| value != i256::ZERO)));
    }
    let precision = match values.data_type() {
        DataType::Decimal32(_, scale) | DataType::Decimal64(_, scale) | DataType::Decimal128(_, scale) => *scale,
        other => return Err(Error::internal(format!("{other} is no decimal"))),
    };
    let values = cast(values, &DataType::Decimal128(38, precision))?;
    Ok(Arc::new(BooleanArray::from_unary(values.as_primitive::<Decimal128Type>(), |value| value != 0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_read_in_many_ways() {
        for (text, value) in [
            ("1.25", 13),
            (" -1.25 ", -13),
            ("1e2", 1000),
            ("1_000.5", 10_005),
            (".5", 5),
            ("5.", 50),
            ("15e-2", 2),
            ("0.04", 0),
            ("0e999", 0),
        ] {
            assert_eq!(parse_decimal(text, 1), Some(value), "{text}");
        }
        for text in ["", ".", "1e", "1__0", "_1", "0xFF", "1.2.3", "--1", "1e999", "nan"] {
            assert_eq!(parse_decimal(text, 1), None, "{text}");
        }
    }
}
