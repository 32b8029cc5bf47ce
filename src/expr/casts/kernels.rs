//! Casts of arrays.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryViewBuilder, Date32Array, Decimal128Array, FixedSizeListArray, Float64Array,
    Int64Array, IntervalMonthDayNanoArray, ListArray, MapArray, StringViewArray, StringViewBuilder, StructArray,
    Time64NanosecondArray, new_null_array,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{DataType, FieldRef, Fields, Float64Type, Int64Type, TimeUnit};
use arrow::row::{RowConverter, SortField};
use arrow::util::display::FormatOptions;

use super::bits::{from_bits, no_bits, to_bits};
use super::interval::parse_interval;
use super::logical::{labels, no_cast, uuid_cast};
use super::moments::{parse_date, parse_time, parse_timestamp, rounded};
use super::nested_text::parse_nested;
use super::numbers::{decimals, floats, is_not_zero, narrowed};
use super::unsigned::to_unsigned;
use crate::batch::logical::{BIT, JSON, UUID, bit_array, enum_texts, is_blob, is_enum, parse_bits, parse_uuid, uuids};
use crate::batch::value::{is_null, write_value};
use crate::error::{Code, Error, Result};
use crate::expr::json::{Demand, from_json, to_json};
use crate::expr::types::{UHUGEINT, sql_type_name};

/// How a cast is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::expr) struct How {
    /// What cannot be cast is NULL.
    pub safe: bool,
}

/// `values` as `to`.
///
/// # Errors
/// `INVALID_CAST` for a value that has no counterpart, unless NULL is one.
pub(in crate::expr) fn cast_values(values: &ArrayRef, to: &DataType, how: How) -> Result<ArrayRef> {
    let from = values.data_type();
    if from == to {
        return Ok(values.clone());
    }
    if *to == JSON && !matches!(from, DataType::Dictionary(..)) {
        return to_json(values, how.safe);
    }
    if *from == JSON && !to.is_string() {
        return from_json(values, to, if how.safe { Demand::Nothing } else { Demand::Keys });
    }
    if is_enum(from) {
        return cast_values(&enum_texts(values.as_ref()), to, how);
    }
    if let DataType::Dictionary(_, inner) = from {
        return cast_values(&cast(values, inner)?, to, how);
    }
    if to.is_string() && !from.is_string() && !from.is_null() {
        return Ok(cast(&texts(values)?, to)?);
    }
    if *to == UHUGEINT && (from.is_string() || from.is_numeric() || matches!(from, DataType::Boolean) || *from == UUID)
    {
        return to_unsigned(values, how);
    }
    if from.is_string() {
        return from_text(values, to, how);
    }
    if *to == BIT {
        return to_bits(values, to);
    }
    if *from == BIT {
        return from_bits(values, to, how);
    }
    if is_enum(to) {
        return Err(no_cast(from, to));
    }
    if *from == UUID || *to == UUID {
        return uuid_cast(values, to, how);
    }
    if to.is_integer() && from.is_floating() {
        let doubles = cast(values, &DataType::Float64)?;
        let rounded: Float64Array = doubles.as_primitive::<Float64Type>().unary(f64::round_ties_even);
        return arrow_cast(&(Arc::new(rounded) as ArrayRef), to, how);
    }
    if let (true, DataType::Decimal256(precision, scale)) = (to.is_integer(), from) {
        let whole = (i16::from(*precision) - i16::from(*scale) + 1).clamp(1, 76);
        let whole = arrow_cast(values, &DataType::Decimal256(u8::try_from(whole).unwrap_or(76), 0), how)?;
        return arrow_cast(&whole, to, how);
    }
    if to.is_integer() && from.is_decimal() {
        let whole = arrow_cast(values, &DataType::Decimal128(38, 0), how)?;
        return arrow_cast(&whole, to, how);
    }
    match (from, to) {
        (DataType::Timestamp(fine, zone), DataType::Timestamp(coarse, _)) if coarse < fine => {
            arrow_cast(&coarser(values, *fine, *coarse, zone.as_ref())?, to, how)
        }
        (DataType::Timestamp(TimeUnit::Nanosecond, zone), DataType::Time64(_)) => {
            let micros = coarser(values, TimeUnit::Nanosecond, TimeUnit::Microsecond, zone.as_ref())?;
            arrow_cast(&micros, to, how)
        }
        (DataType::Float64, DataType::Float32) => narrowed(values, how),
        (DataType::Boolean, decimal) if decimal.is_decimal() => arrow_cast(&cast(values, &DataType::Int8)?, to, how),
        (decimal, DataType::Boolean) if decimal.is_decimal() => is_not_zero(values),
        _ => nested(values, to, how),
    }
}

/// Which values are true.
///
/// # Errors
/// `INVALID_CAST` for what is neither true nor false.
pub(in crate::expr) fn boolean(values: &ArrayRef) -> Result<ArrayRef> {
    cast_values(values, &DataType::Boolean, How { safe: false })
}

/// Timestamps in a coarser unit, rounded.
fn coarser(values: &ArrayRef, fine: TimeUnit, coarse: TimeUnit, zone: Option<&Arc<str>>) -> Result<ArrayRef> {
    let per_second = |unit: TimeUnit| match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    };
    let part = per_second(fine) / per_second(coarse);
    let whole = cast(values, &DataType::Int64)?;
    let whole: Int64Array = whole.as_primitive::<Int64Type>().unary(|value| rounded(value, part));
    Ok(cast(&whole, &DataType::Timestamp(coarse, zone.cloned()))?)
}

pub(super) fn arrow_cast(values: &ArrayRef, to: &DataType, how: How) -> Result<ArrayRef> {
    let options = CastOptions { safe: how.safe, format_options: FormatOptions::default() };
    cast_with_options(values, to, &options).map_err(Error::from)
}

/// The texts that values are printed as.
fn texts(values: &ArrayRef) -> Result<ArrayRef> {
    let mut texts = StringViewBuilder::with_capacity(values.len());
    let mut text = String::new();
    for row in 0..values.len() {
        if is_null(values.as_ref(), row) {
            texts.append_null();
            continue;
        }
        text.clear();
        write_value(&mut text, values.as_ref(), row)?;
        texts.append_value(&text);
    }
    Ok(Arc::new(texts.finish()))
}

fn from_text(values: &ArrayRef, to: &DataType, how: How) -> Result<ArrayRef> {
    let views = cast(values, &DataType::Utf8View)?;
    let texts = views.as_string_view();
    match to {
        DataType::Date32 => {
            return Ok(Arc::new(Date32Array::from_iter(parsed(texts, how, "a DATE", parse_date)?)));
        }
        DataType::Time64(_) | DataType::Time32(_) => {
            let nanos = Time64NanosecondArray::from_iter(parsed(texts, how, "a TIME", parse_time)?);
            return arrow_cast(&(Arc::new(nanos) as ArrayRef), to, how);
        }
        DataType::Timestamp(unit, zone) => {
            let parse = |text: &str| parse_timestamp(text, *unit, zone.as_deref());
            let units = Int64Array::from_iter(parsed(texts, how, &format!("a {}", sql_type_name(to)), parse)?);
            return Ok(cast(&units, to)?);
        }
        DataType::Decimal128(precision, scale) => return decimals(texts, *precision, *scale, how),
        float if float.is_floating() => return floats(texts, to, how),
        _ => {}
    }
    if to.is_integer() {
        let strict = CastOptions { safe: false, format_options: FormatOptions::default() };
        if let Ok(numbers) = cast_with_options(values, to, &strict) {
            return Ok(numbers);
        }
        let numbers = parsed(texts, how, "an integer", parse_integer)?;
        let numbers = Decimal128Array::from_iter(numbers).with_data_type(DataType::Decimal128(38, 0));
        return arrow_cast(&(Arc::new(numbers) as ArrayRef), to, how);
    }
    if matches!(to, DataType::Interval(_)) {
        let intervals = parsed(texts, how, "an INTERVAL", parse_interval)?;
        return Ok(cast(&IntervalMonthDayNanoArray::from_iter(intervals), to)?);
    }
    if *to == UUID {
        return uuids(parsed(texts, how, "a UUID", parse_uuid)?.into_iter());
    }
    if is_blob(to) {
        let mut blobs = BinaryViewBuilder::with_capacity(texts.len());
        for bytes in parsed(texts, how, "a BLOB", parse_bytes)? {
            blobs.append_option(bytes);
        }
        return Ok(cast(&blobs.finish(), to)?);
    }
    if *to == BIT {
        let bits = |text: &str| match parse_bits(text) {
            None if !how.safe => Err(no_bits(text)),
            bits => Ok(bits),
        };
        let bits = texts.iter().map(|text| text.map_or(Ok(None), bits)).collect::<Result<Vec<_>>>()?;
        return Ok(bit_array(bits.into_iter()));
    }
    if is_enum(to) {
        return labels(texts, to, how);
    }
    if to.is_nested() {
        return parse_nested(texts, to, how);
    }
    arrow_cast(values, to, how)
}

/// Every text by `parse`.
pub(super) fn parsed<T>(
    texts: &StringViewArray,
    how: How,
    what: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Vec<Option<T>>> {
    let value = |text: &str| match parse(text) {
        None if !how.safe => Err(no_value(text, what)),
        value => Ok(value),
    };
    texts.iter().map(|text| text.map_or(Ok(None), value)).collect()
}

pub(in crate::expr) fn no_value(text: &str, what: &str) -> Error {
    Error::new(Code::InvalidCast, format!("'{}' cannot be read as {what}", start_of(text)))
}

/// As much of a value as a message shows.
pub(in crate::expr) fn start_of(text: &str) -> &str {
    const SHOWN: usize = 50;
    text.char_indices().nth(SHOWN).and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}

/// `12`, ` -1_000 `, `1.6`, `1e3`, `0xFF`: the nearest integer, halves away from zero.
pub(super) fn parse_integer(text: &str) -> Option<i128> {
    let text = text.trim();
    let between_digits = |at: usize| {
        let is_digit = |at: usize| text.as_bytes().get(at).is_some_and(u8::is_ascii_hexdigit);
        at > 0 && is_digit(at - 1) && is_digit(at + 1)
    };
    if text.bytes().enumerate().any(|(at, byte)| byte == b'_' && !between_digits(at)) {
        return None;
    }
    let text = text.replace('_', "");
    let (negative, digits) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text.as_str()),
    };
    if let Some(digits) = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        return i128::from_str_radix(digits, 16).ok().filter(|_| !negative && !digits.starts_with(['-', '+']));
    }
    let signed = |number: i128| if negative { -number } else { number };
    if !digits.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return None;
    }
    if digits.contains(['e', 'E']) {
        let number: f64 = digits.parse().ok()?;
        return (number < 1e38).then(|| signed(number.round() as i128));
    }
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |part: &str| part.bytes().all(|digit| digit.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) || whole.len() + fraction.len() == 0 {
        return None;
    }
    let number: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let up = fraction.as_bytes().first().is_some_and(|digit| *digit >= b'5');
    number.checked_add(i128::from(up)).map(signed)
}

/// ASCII characters, and bytes as `\xAA`.
fn parse_bytes(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    loop {
        rest = match rest {
            [] => return Some(bytes),
            [b'\\', b'x' | b'X', high, low, rest @ ..] => {
                let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                bytes.push(digit(*high)? << 4 | digit(*low)?);
                rest
            }
            [b'\\' | 128.., ..] => return None,
            [byte, rest @ ..] => {
                bytes.push(*byte);
                rest
            }
        };
    }
}

fn nested(values: &ArrayRef, to: &DataType, how: How) -> Result<ArrayRef> {
    match (values.data_type(), to) {
        (DataType::Struct(from), DataType::Struct(wanted)) => structs(values.as_struct(), from, wanted, how),
        (DataType::Map(..), DataType::Map(entries, sorted)) => maps(values.as_map(), entries, *sorted, how),
        (DataType::FixedSizeList(_, from), DataType::FixedSizeList(item, length)) if from == length => {
            let lists = values.as_fixed_size_list();
            let items = cast_values(lists.values(), item.data_type(), how)?;
            let lists = FixedSizeListArray::try_new(item.clone(), *length, items, lists.nulls().cloned())?;
            Ok(Arc::new(lists))
        }
        (from, DataType::List(item) | DataType::FixedSizeList(item, _)) if inner_item(from).is_some() => {
            let Some(from_item) = inner_item(from) else { return arrow_cast(values, to, how) };
            let lists = cast(values, &DataType::List(from_item.clone()))?;
            let lists = lists.as_list::<i32>();
            let items = cast_values(lists.values(), item.data_type(), how)?;
            let lists = ListArray::try_new(item.clone(), lists.offsets().clone(), items, lists.nulls().cloned())?;
            arrow_cast(&(Arc::new(lists) as ArrayRef), to, how)
        }
        _ => arrow_cast(values, to, how),
    }
}

fn inner_item(list: &DataType) -> Option<&FieldRef> {
    match list {
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => Some(item),
        _ => None,
    }
}

fn structs(values: &StructArray, from: &Fields, wanted: &Fields, how: How) -> Result<ArrayRef> {
    let is_row = from.iter().enumerate().all(|(index, field)| *field.name() == format!("element{}", index + 1));
    let place = |index: usize, name: &str| {
        let named = from.iter().position(|field| field.name() == name);
        let named = named.or_else(|| from.iter().position(|field| field.name().eq_ignore_ascii_case(name)));
        named.or_else(|| (is_row && from.len() == wanted.len()).then_some(index))
    };
    let places: Vec<Option<usize>> =
        wanted.iter().enumerate().map(|(index, field)| place(index, field.name())).collect();
    if places.iter().all(Option::is_none) {
        return Err(Error::new(Code::InvalidCast, "a STRUCT has no field of the STRUCT that it is cast to"));
    }
    let column = |(place, field): (&Option<usize>, &FieldRef)| match place.and_then(|place| values.columns().get(place))
    {
        Some(column) => cast_values(column, field.data_type(), how),
        None => Ok(new_null_array(field.data_type(), values.len())),
    };
    let columns = places.iter().zip(wanted).map(column).collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(StructArray::try_new_with_length(wanted.clone(), columns, values.nulls().cloned(), values.len())?))
}

fn maps(values: &MapArray, entries: &FieldRef, sorted: bool, how: How) -> Result<ArrayRef> {
    let DataType::Struct(fields) = entries.data_type() else {
        return Err(Error::internal("a map without entries"));
    };
    let [key, value] = fields.as_ref() else { return Err(Error::internal("entries without keys and values")) };
    let keys = cast_values(values.keys(), key.data_type(), how)?;
    if keys.null_count() > 0 {
        return Err(Error::new(Code::InvalidCast, "a key of a MAP cannot be cast"));
    }
    unique_keys(&keys, values.offsets())?;
    let columns = vec![keys, cast_values(values.values(), value.data_type(), how)?];
    let pairs = StructArray::try_new(fields.clone(), columns, None)?;
    let map = MapArray::try_new(entries.clone(), values.offsets().clone(), pairs, values.nulls().cloned(), sorted)?;
    Ok(Arc::new(map))
}

/// # Errors
/// `INVALID_CAST` where a MAP has a key twice.
pub(super) fn unique_keys(keys: &ArrayRef, offsets: &OffsetBuffer<i32>) -> Result<()> {
    let converter = RowConverter::new(vec![SortField::new(keys.data_type().clone())])?;
    let rows = converter.convert_columns(std::slice::from_ref(keys))?;
    let mut seen = HashSet::new();
    let mut from = 0;
    for length in offsets.lengths() {
        seen.clear();
        for row in from..from + length {
            if !seen.insert(rows.row(row)) {
                let mut text = String::new();
                write_value(&mut text, keys.as_ref(), row)?;
                return Err(Error::new(Code::InvalidCast, format!("the key '{text}' comes twice in a MAP")));
            }
        }
        from += length;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_in_many_ways() {
        for (text, number) in
            [("12", 12), (" -1_000 ", -1000), ("1.5", 2), ("-1.5", -2), (".4", 0), ("1e3", 1000), ("0xFF", 255)]
        {
            assert_eq!(parse_integer(text), Some(number), "{text}");
        }
        for text in ["", "-", "a", "1a", "1_", "_1", "1.2.3", "--1", ".", "0x-1", "inf", "nan"] {
            assert_eq!(parse_integer(text), None, "{text}");
        }
    }

    #[test]
    fn bytes_are_read_as_they_are_written() {
        let bytes = b"a\\\xff\0'";
        let mut text = String::new();
        write_value(&mut text, &arrow::array::BinaryArray::from_vec(vec![bytes]), 0).unwrap();
        assert_eq!(parse_bytes(&text).as_deref(), Some(bytes.as_slice()));
        assert_eq!(parse_bytes("a\\b"), None);
        assert_eq!(parse_bytes("\\xZZ"), None);
    }
}
