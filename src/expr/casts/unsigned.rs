//! UHUGEINT: whole numbers from 0 to 2^128 - 1, in decimals of 256 bits.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal256Array};
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{DataType, Decimal256Type, Float64Type, i256};
use arrow::util::display::FormatOptions;

use super::kernels::{How, no_value, parse_integer, parsed};
use crate::batch::logical::UUID;
use crate::error::{Error, Result};
use crate::expr::types::UHUGEINT;

/// The least DOUBLE that is none: 2^128.
const TOO_LARGE: f64 = 340_282_366_920_938_463_463_374_607_431_768_211_456.0;

/// Whole numbers as UHUGEINTs; one that is none is NULL, or what `refuse` makes of it.
pub(in crate::expr) fn unsigned(numbers: &Decimal256Array, refuse: impl Fn(i256) -> Option<Error>) -> Result<ArrayRef> {
    let fits = |number: Option<i256>| match number.map(|number| (number, number.to_parts())) {
        None => Ok(None),
        Some((number, (_, 0))) => Ok(Some(number)),
        Some((number, _)) => refuse(number).map_or(Ok(None), Err),
    };
    let numbers = numbers.iter().map(fits).collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(Decimal256Array::from_iter(numbers).with_data_type(UHUGEINT)))
}

/// `values` as UHUGEINT.
///
/// # Errors
/// `INVALID_CAST` for what is negative, too large or no number, unless NULL stands for it.
pub(super) fn to_unsigned(values: &ArrayRef, how: How) -> Result<ArrayRef> {
    let from = values.data_type();
    let numbers = if from.is_string() {
        let texts = cast(values, &DataType::Utf8View)?;
        let numbers = parsed(texts.as_string_view(), how, "a UHUGEINT", |text| {
            let small = parse_integer(text).map(i256::from_i128);
            small.or_else(|| text.trim().parse().ok().map(|large: u128| i256::from_parts(large, 0)))
        })?;
        Arc::new(Decimal256Array::from_iter(numbers))
    } else if *from == UUID {
        let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | u128::from(*byte));
        let numbers = values.as_fixed_size_binary().iter().map(|bytes| Some(i256::from_parts(number(bytes?), 0)));
        Arc::new(Decimal256Array::from_iter(numbers))
    } else if from.is_floating() {
        let floats = cast(values, &DataType::Float64)?;
        let number = |float: f64| match float.round_ties_even() {
            whole if (0.0..TOO_LARGE).contains(&whole) => Ok(Some(i256::from_parts(whole as u128, 0))),
            _ if how.safe => Ok(None),
            _ => Err(refused(&float.to_string())),
        };
        let numbers = floats.as_primitive::<Float64Type>().iter().map(|float| float.map_or(Ok(None), number));
        Arc::new(Decimal256Array::from_iter(numbers.collect::<Result<Vec<_>>>()?))
    } else {
        let options = CastOptions { safe: how.safe, format_options: FormatOptions::default() };
        let whole = match from {
            DataType::Boolean => cast(values, &DataType::Int8)?,
            _ => values.clone(),
        };
        let wide = cast_with_options(&whole, &DataType::Decimal256(76, 0), &options)?;
        Arc::new(wide.as_primitive::<Decimal256Type>().clone())
    };
    unsigned(&numbers, |number| (!how.safe).then(|| refused(&number.to_string())))
}

fn refused(number: &str) -> Error {
    no_value(number, "a UHUGEINT").hint("it holds whole numbers from 0 to 2^128 - 1")
}
