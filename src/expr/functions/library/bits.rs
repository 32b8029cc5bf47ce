//! Bits of integers: `&`, `|` and xor of HUGEINTs, `<<` and `>>` of all. What does not fit is an error, never cut.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array};
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{DataType, Decimal128Type};
use arrow::util::display::FormatOptions;
use datafusion_common::Result as DataFusionResult;

use super::bitstrings::of_two;
use super::function::{Arguments, Bound, Function, Overload, function};
use crate::error::{Code, Error, Result};
use crate::expr::types::{HUGEINT, sql_type_name};

/// The functions of this family.
pub(super) fn functions() -> Vec<Function> {
    let of = |name, what, run: fn(i128, i128, &DataType) -> Result<i128>| {
        function(name, "a, b", what, [Overload::generic(bind, move |arguments| each(arguments, run))])
    };
    vec![
        of("#bit_and", "The bits that both numbers have", |a, b, _| Ok(a & b)),
        of("#bit_or", "The bits that one of the numbers has", |a, b, _| Ok(a | b)),
        function(
            "xor",
            "a, b",
            "The bits in which two integers, or BITs, differ",
            [Overload::generic(bind, |arguments| each(arguments, |a, b, _| Ok(a ^ b))), of_two(|a, b| a ^ b)],
        ),
        of("#shift_left", "The number with its bits so many places further", shifted_left),
        of("#shift_right", "The number without so many of its last bits", |a, b, data_type| {
            let places = u32::try_from(b).ok().filter(|places| *places < bits(data_type));
            Ok(places.map_or(0, |places| a >> places))
        }),
    ]
}

fn is_whole(data_type: &DataType) -> bool {
    data_type.is_integer() || *data_type == HUGEINT
}

/// The integer that both are made: the wider one; of types with and without a sign BIGINT, or HUGEINT.
fn common_integer(left: &DataType, right: &DataType) -> Option<DataType> {
    if !is_whole(left) || !is_whole(right) {
        return None;
    }
    let width = |data_type: &DataType| data_type.primitive_width().unwrap_or(0);
    Some(match (left, right) {
        _ if left == right => left.clone(),
        _ if *left == HUGEINT || *right == HUGEINT => HUGEINT,
        _ if left.is_signed_integer() == right.is_signed_integer() => {
            if width(left) > width(right) {
                left.clone()
            } else {
                right.clone()
            }
        }
        (DataType::UInt64, _) | (_, DataType::UInt64) => HUGEINT,
        _ => DataType::Int64,
    })
}

fn bind(types: &[DataType]) -> Option<Bound> {
    let [left, right] = types else { return None };
    let common = match (left, right) {
        (DataType::Null, DataType::Null) => DataType::Int64,
        (DataType::Null, known) | (known, DataType::Null) => known.clone(),
        _ => common_integer(left, right)?,
    };
    is_whole(&common).then(|| Bound { arguments: vec![common.clone(), common.clone()], result: common })
}

fn each(arguments: &Arguments, run: fn(i128, i128, &DataType) -> Result<i128>) -> DataFusionResult<ArrayRef> {
    let (left, right) = (arguments.array(0)?, arguments.array(1)?);
    let data_type = left.data_type();
    let (left, right) = (cast(&left, &HUGEINT)?, cast(&right, &HUGEINT)?);
    let pairs = left.as_primitive::<Decimal128Type>().iter().zip(right.as_primitive::<Decimal128Type>());
    let value = |(left, right): (Option<i128>, Option<i128>)| match (left, right) {
        (Some(left), Some(right)) => run(left, right, data_type).map(Some),
        _ => Ok(None),
    };
    let values = pairs.map(value).collect::<Result<Vec<_>>>()?;
    if let Some(beyond) = values.iter().flatten().find(|value| value.unsigned_abs() >= 10_u128.pow(38)) {
        return Err(Error::new(Code::Overflow, format!("integer overflow: {beyond} is no HUGEINT")).into());
    }
    let values = Decimal128Array::from_iter(values).with_data_type(HUGEINT);
    let strict = CastOptions { safe: false, format_options: FormatOptions::default() };
    Ok(cast_with_options(&(Arc::new(values) as ArrayRef), data_type, &strict)?)
}

/// How many places the integers of a type have.
fn bits(data_type: &DataType) -> u32 {
    data_type.primitive_width().and_then(|bytes| u32::try_from(bytes * 8).ok()).unwrap_or(128)
}

fn shifted_left(number: i128, places: i128, data_type: &DataType) -> Result<i128> {
    let overflow = || {
        let name = sql_type_name(data_type);
        let error = Error::new(Code::Overflow, format!("integer overflow: {number} << {places} is no {name}"));
        Err(error.hint("cast the number to a wider type first"))
    };
    if number < 0 || places < 0 {
        return overflow();
    }
    if number == 0 {
        return Ok(0);
    }
    let room = match data_type {
        data_type if data_type.is_unsigned_integer() => bits(data_type),
        data_type => bits(data_type) - 1,
    };
    let needed = i128::from(128 - number.leading_zeros()) + places;
    if needed > i128::from(room) { overflow() } else { Ok(number << places) }
}
