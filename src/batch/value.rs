//! The text of one value: what a cell of a printed result says.
//!
//! Invariant: the text reads back as the same value when cast to the column's type (doubles are the shortest text that
//! does so, decimals are exact). This module must not know the output formats; it never writes a top-level NULL.

mod time;

use std::fmt::Write;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type,
    DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType, DurationSecondType, Float16Type,
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, IntervalDayTimeType, IntervalMonthDayNanoType,
    IntervalUnit, IntervalYearMonthType, TimeUnit, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::logical::{JSON, is_enum, label_at, write_bits, write_uuid};
use crate::error::{Error, Result};

/// Whether the value is NULL; also true through dictionaries and for the type that has no values.
pub fn is_null(array: &dyn Array, row: usize) -> bool {
    match array.data_type() {
        DataType::Null => true,
        DataType::Dictionary(_, _) => match dictionary_entry(array, row) {
            Some((values, key)) => is_null(values.as_ref(), key),
            None => true,
        },
        _ => array.is_null(row),
    }
}

/// Appends the SQL text of the value at `row`, which is not NULL.
///
/// # Errors
/// `INTERNAL_ERROR` when the array does not hold what its type says.
pub fn write_value(out: &mut String, array: &dyn Array, row: usize) -> Result<()> {
    let data_type = array.data_type();
    if let Some(integer) = integer_at(array, row) {
        return append(out, format_args!("{integer}"));
    }
    match data_type {
        DataType::Boolean => out.push_str(if array.as_boolean().value(row) { "true" } else { "false" }),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => out.push_str(string_at(array, row)),
        DataType::Float16 => write_float(out, f64::from(array.as_primitive::<Float16Type>().value(row).to_f32())),
        DataType::Float32 => write_single(out, array.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => write_float(out, array.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal32(_, _) => out.push_str(&array.as_primitive::<Decimal32Type>().value_as_string(row)),
        DataType::Decimal64(_, _) => out.push_str(&array.as_primitive::<Decimal64Type>().value_as_string(row)),
        DataType::Decimal128(_, _) => out.push_str(&array.as_primitive::<Decimal128Type>().value_as_string(row)),
        DataType::Decimal256(_, _) => out.push_str(&array.as_primitive::<Decimal256Type>().value_as_string(row)),
        DataType::Date32 | DataType::Date64 | DataType::Time32(_) | DataType::Time64(_) => {
            time::write_date_or_time(out, array, row);
        }
        DataType::Timestamp(unit, zone) => time::write_timestamp(out, array, row, *unit, zone.as_deref()),
        DataType::Interval(unit) => write_interval(out, array, row, *unit),
        DataType::Duration(unit) => time::write_interval(out, 0, 0, duration_nanoseconds(array, row, *unit)),
        DataType::FixedSizeBinary(16) => write_uuid(out, bytes_at(array, row)),
        DataType::LargeBinary => write_bits(out, bytes_at(array, row)),
        DataType::Binary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            write_blob(out, bytes_at(array, row));
        }
        DataType::Struct(_) if is_enum(data_type) => out.push_str(label_at(array, row).unwrap_or("NULL")),
        DataType::Struct(_) | DataType::Map(_, _) => write_fields(out, array, row)?,
        DataType::Dictionary(_, _) => match dictionary_entry(array, row) {
            Some((values, key)) => write_value(out, values.as_ref(), key)?,
            None => out.push_str("NULL"),
        },
        _ => match list_at(array, row) {
            Some(values) => write_list(out, values.as_ref())?,
            None => write_foreign(out, array, row)?,
        },
    }
    Ok(())
}

/// The value as an integer where the column is an integer column of at most 64 bits.
pub fn integer_at(array: &dyn Array, row: usize) -> Option<i128> {
    Some(match array.data_type() {
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).into(),
        DataType::Int32 => array.as_primitive::<Int32Type>().value(row).into(),
        DataType::Int16 => array.as_primitive::<Int16Type>().value(row).into(),
        DataType::Int8 => array.as_primitive::<Int8Type>().value(row).into(),
        DataType::UInt64 => array.as_primitive::<UInt64Type>().value(row).into(),
        DataType::UInt32 => array.as_primitive::<UInt32Type>().value(row).into(),
        DataType::UInt16 => array.as_primitive::<UInt16Type>().value(row).into(),
        DataType::UInt8 => array.as_primitive::<UInt8Type>().value(row).into(),
        _ => return None,
    })
}

/// The value as a double where the column is a floating-point column.
pub fn float_at(array: &dyn Array, row: usize) -> Option<f64> {
    Some(match array.data_type() {
        DataType::Float64 => array.as_primitive::<Float64Type>().value(row),
        DataType::Float32 => array.as_primitive::<Float32Type>().value(row).into(),
        DataType::Float16 => array.as_primitive::<Float16Type>().value(row).to_f32().into(),
        _ => return None,
    })
}

/// The elements of the list at `row` where the column is a list of any layout.
pub fn list_at(array: &dyn Array, row: usize) -> Option<ArrayRef> {
    Some(match array.data_type() {
        DataType::List(_) => array.as_list::<i32>().value(row),
        DataType::LargeList(_) => array.as_list::<i64>().value(row),
        DataType::ListView(_) => array.as_list_view::<i32>().value(row),
        DataType::LargeListView(_) => array.as_list_view::<i64>().value(row),
        DataType::FixedSizeList(_, _) => array.as_fixed_size_list().value(row),
        _ => return None,
    })
}

/// The values of a dictionary column and the index of this row's value; `None` where the key is NULL.
pub fn dictionary_entry(array: &dyn Array, row: usize) -> Option<(ArrayRef, usize)> {
    let dictionary = array.as_any_dictionary_opt()?;
    if dictionary.keys().is_null(row) {
        return None;
    }
    let key = usize::try_from(integer_at(dictionary.keys(), row)?).ok()?;
    Some((dictionary.values().clone(), key))
}

fn string_at(array: &dyn Array, row: usize) -> &str {
    match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value(row),
        DataType::LargeUtf8 => array.as_string::<i64>().value(row),
        _ => array.as_string_view().value(row),
    }
}

fn bytes_at(array: &dyn Array, row: usize) -> &[u8] {
    match array.data_type() {
        DataType::Binary => array.as_binary::<i32>().value(row),
        DataType::LargeBinary => array.as_binary::<i64>().value(row),
        DataType::FixedSizeBinary(_) => array.as_fixed_size_binary().value(row),
        _ => array.as_binary_view().value(row),
    }
}

fn append(out: &mut String, text: std::fmt::Arguments<'_>) -> Result<()> {
    out.write_fmt(text).map_err(|_| Error::internal("a value has no text form"))
}

/// Shortest text that reads back as the same double: `1.0`, `0.1`, `1e+16`, `inf`, `nan`.
pub fn write_float(out: &mut String, value: f64) {
    let plain = value == 0.0 || (1e-4..1e16).contains(&value.abs());
    // Writing to a String cannot fail.
    let _ = match plain {
        true => write!(out, "{value:?}"),
        false if value.is_finite() => return write_exponent(out, &format!("{value:e}")),
        false => return out.push_str(not_finite(value)),
    };
}

/// As `write_float`, with the digits that a single-precision number needs.
pub fn write_single(out: &mut String, value: f32) {
    let plain = value == 0.0 || (1e-4..1e16).contains(&value.abs());
    let _ = match plain {
        true => write!(out, "{value:?}"),
        false if value.is_finite() => return write_exponent(out, &format!("{value:e}")),
        false => return out.push_str(not_finite(value.into())),
    };
}

fn not_finite(value: f64) -> &'static str {
    match value {
        _ if value.is_nan() => "nan",
        _ if value > 0.0 => "inf",
        _ => "-inf",
    }
}

/// `1.5e17` as `1.5e+17`, `1e-5` as `1e-05`: a sign and two digits at least.
fn write_exponent(out: &mut String, scientific: &str) {
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    let _ = write!(out, "{mantissa}e{sign}{digits:0>2}");
}

/// Printable ASCII as it is, everything else (and quotes and backslashes) as `\xNN`.
fn write_blob(out: &mut String, bytes: &[u8]) {
    for &byte in bytes {
        match byte {
            b'\\' | b'\'' | b'"' => {
                let _ = write!(out, "\\x{byte:02X}");
            }
            b' '..=b'~' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "\\x{byte:02X}");
            }
        }
    }
}

fn write_interval(out: &mut String, array: &dyn Array, row: usize, unit: IntervalUnit) {
    let (months, days, nanoseconds) = match unit {
        IntervalUnit::YearMonth => (array.as_primitive::<IntervalYearMonthType>().value(row), 0, 0),
        IntervalUnit::DayTime => {
            let value = array.as_primitive::<IntervalDayTimeType>().value(row);
            (0, value.days, i128::from(value.milliseconds) * 1_000_000)
        }
        IntervalUnit::MonthDayNano => {
            let value = array.as_primitive::<IntervalMonthDayNanoType>().value(row);
            (value.months, value.days, i128::from(value.nanoseconds))
        }
    };
    time::write_interval(out, months, days, nanoseconds);
}

fn duration_nanoseconds(array: &dyn Array, row: usize, unit: TimeUnit) -> i128 {
    fn at<T: ArrowPrimitiveType<Native = i64>>(array: &dyn Array, row: usize) -> i128 {
        i128::from(array.as_primitive::<T>().value(row))
    }
    match unit {
        TimeUnit::Second => at::<DurationSecondType>(array, row) * 1_000_000_000,
        TimeUnit::Millisecond => at::<DurationMillisecondType>(array, row) * 1_000_000,
        TimeUnit::Microsecond => at::<DurationMicrosecondType>(array, row) * 1_000,
        TimeUnit::Nanosecond => at::<DurationNanosecondType>(array, row),
    }
}

fn write_list(out: &mut String, values: &dyn Array) -> Result<()> {
    out.push('[');
    for row in 0..values.len() {
        if row > 0 {
            out.push_str(", ");
        }
        match *values.data_type() == JSON && values.is_valid(row) {
            // It shows by itself where it ends.
            true => write_value(out, values, row)?,
            false => write_nested(out, values, row)?,
        }
    }
    out.push(']');
    Ok(())
}

/// `{'name': value}` for structs, `{key=value}` for maps.
fn write_fields(out: &mut String, array: &dyn Array, row: usize) -> Result<()> {
    out.push('{');
    if let Some(map) = array.as_map_opt() {
        let entries = map.value(row);
        for entry in 0..entries.len() {
            if entry > 0 {
                out.push_str(", ");
            }
            write_nested(out, entries.column(0).as_ref(), entry)?;
            out.push('=');
            write_nested(out, entries.column(1).as_ref(), entry)?;
        }
    } else {
        let fields = array.as_struct();
        for (index, (field, column)) in fields.fields().iter().zip(fields.columns()).enumerate() {
            if index > 0 {
                out.push_str(", ");
            }
            write_quoted(out, field.name());
            out.push_str(": ");
            write_nested(out, column.as_ref(), row)?;
        }
    }
    out.push('}');
    Ok(())
}

/// A value inside another one: NULL as a word, and text in quotes where it could be mistaken for structure.
fn write_nested(out: &mut String, array: &dyn Array, row: usize) -> Result<()> {
    if is_null(array, row) {
        out.push_str("NULL");
        return Ok(());
    }
    let start = out.len();
    write_value(out, array, row)?;
    if array.data_type().is_nested() && !is_enum(array.data_type()) {
        return Ok(());
    }
    let text = &out[start..];
    if needs_quotes(text) {
        let text = text.to_owned();
        out.truncate(start);
        write_quoted(out, &text);
    }
    Ok(())
}

fn needs_quotes(text: &str) -> bool {
    text.is_empty()
        || text.starts_with(' ')
        || text.ends_with(' ')
        || text.eq_ignore_ascii_case("null")
        || text.bytes().any(|byte| b"[](){},='\"\\:".contains(&byte))
}

fn write_quoted(out: &mut String, text: &str) {
    out.push('\'');
    for character in text.chars() {
        if matches!(character, '\'' | '\\') {
            out.push('\\');
        }
        out.push(character);
    }
    out.push('\'');
}

/// Types that SQL cannot name (unions, run ends): what the Arrow library says.
fn write_foreign(out: &mut String, array: &dyn Array, row: usize) -> Result<()> {
    let options = FormatOptions::default().with_null("NULL");
    let formatter = ArrayFormatter::try_new(array, &options)?;
    append(out, format_args!("{}", formatter.value(row)))
}
