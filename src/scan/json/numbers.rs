//! Numbers of JSON in the types of their columns.
//!
//! Invariant: a number that the column's type does not hold is refused here, where its line is known.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringViewArray};
use arrow::datatypes::{DataType, Decimal128Type};

use crate::expr::try_cast_texts;
use crate::scan::infer::number;
use crate::scan::json::column::{Column, Values};

/// Doubles count integers one by one below this.
const EXACT_INTEGERS: f64 = 9_007_199_254_740_992.0;

/// HUGEINT: integers, also where they are written otherwise.
const HUGE: DataType = DataType::Decimal128(38, 0);

impl Column {
    /// Adds a number that is written as short integers are; false where it is not, or the column wants another look at it.
    #[inline]
    pub(super) fn push_short_integer(&mut self, digits: &[u8]) -> bool {
        let Values::Int(values) = &mut self.values else { return false };
        let value = short_integer(digits).filter(|value| holds(&self.target, *value));
        value.map(|value| values.push(value)).is_some()
    }

    /// Adds a number; false where the column does not take it.
    pub(super) fn push_number(&mut self, digits: &[u8]) -> bool {
        let target = &self.target;
        match &mut self.values {
            Values::Int(values) => {
                let value = integer::<i64>(digits).filter(|value| holds(target, *value));
                value.map(|value| values.push(value)).is_some()
            }
            Values::Huge(values) => huge(digits, target).map(|value| values.push(value)).is_some(),
            Values::Double(values) => double(digits).map(|value| values.push(value)).is_some(),
            Values::Text(texts) => {
                texts.push(digits);
                true
            }
            _ => false,
        }
    }

    /// Adds a decimal that stands in quotes; false where the text is none, or the column is of something else.
    pub(super) fn push_decimal(&mut self, text: &[u8]) -> bool {
        match (&mut self.values, &self.target) {
            (Values::Huge(values), target @ DataType::Decimal128(..)) if *target != HUGE => {
                huge(text, target).map(|value| values.push(value)).is_some()
            }
            _ => false,
        }
    }
}

/// Whether the type holds the integer.
#[inline]
fn holds(data_type: &DataType, value: i64) -> bool {
    match data_type {
        DataType::Int8 => i8::try_from(value).is_ok(),
        DataType::Int16 => i16::try_from(value).is_ok(),
        DataType::Int32 => i32::try_from(value).is_ok(),
        DataType::UInt8 => u8::try_from(value).is_ok(),
        DataType::UInt16 => u16::try_from(value).is_ok(),
        DataType::UInt32 => u32::try_from(value).is_ok(),
        _ => true,
    }
}

/// A UBIGINT, a HUGEINT, or a decimal without its point; decimals are rounded as by CAST.
fn huge(digits: &[u8], target: &DataType) -> Option<i128> {
    match target {
        DataType::Decimal128(precision, scale) if *target != HUGE => {
            let exact = number::parse_decimal(digits, *precision, u8::try_from(*scale).ok()?);
            exact.or_else(|| cast_decimal(digits, target))
        }
        DataType::UInt64 => integer::<i128>(digits).filter(|value| u64::try_from(*value).is_ok()),
        _ => integer::<i128>(digits).filter(|value| value.unsigned_abs() < 10u128.pow(38)),
    }
}

fn cast_decimal(digits: &[u8], target: &DataType) -> Option<i128> {
    let text = std::str::from_utf8(digits).ok()?;
    let texts: ArrayRef = Arc::new(StringViewArray::from(vec![text]));
    let decimals = try_cast_texts(&texts, target).ok()?;
    let decimals = decimals.as_primitive_opt::<Decimal128Type>().filter(|decimals| decimals.null_count() == 0)?;
    decimals.values().first().copied()
}

/// What is larger than any double is infinite.
fn double(digits: &[u8]) -> Option<f64> {
    number::parse_double(digits).or_else(|| std::str::from_utf8(digits).ok()?.parse().ok())
}

/// An integer of at most 18 digits, where it is written as JSON wants it.
#[inline]
fn short_integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || digits.len() > 18 || digits.len() > 1 && digits.first() == Some(&b'0') {
        return None;
    }
    let mut value = 0;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + i64::from(digit);
    }
    Some(if negative { -value } else { value })
}

/// An integer, also where it is written as 1.0 or 1e3, as long as doubles count them one by one.
fn integer<T: std::str::FromStr + From<i64>>(text: &[u8]) -> Option<T> {
    if let Some(value) = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()) {
        return Some(value);
    }
    let value = number::parse_double(text)?;
    let is_whole = value.fract() == 0.0 && value.abs() < EXACT_INTEGERS;
    is_whole.then(|| T::from(value as i64))
}
