//! Values as text: SQL text, JSON, and what both need. One reader for each column, made once per batch.
//!
//! Invariant: writing a value never fails because of the value. Its SQL text is that of [`write_value`], so that what a file
//! has is what a cast to VARCHAR gives, and becomes the value again.

mod values;

#[cfg(test)]
mod tests;

use std::fmt::Write;

use arrow::array::{Array, AsArray, FixedSizeBinaryArray};
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::logical::{JSON, is_enum, label_at, write_json_text, write_uuid};
use super::value::write_value;
use crate::error::{Error, Result};
use values::{Lists, Strings};

/// How JSON text represents what JSON has no exact form for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonStyle {
    /// For files: every number is a number; lists, structs and maps are arrays and objects, JSON is as it is; NaN and infinities, which
    /// JSON does not have, are strings.
    Lines,
    /// For programs that must not lose a digit: decimals and integers beyond 2^53 are strings, lists, structs and maps
    /// their SQL text.
    Exact,
}

/// Integers beyond this do not survive a reader that takes every number for a double.
const EXACT_INTEGER: i64 = 1 << 53;

const FORMAT: FormatOptions<'static> = FormatOptions::new().with_display_error(false);

/// Reads the values of one column as text.
///
/// ```
/// use arrow::array::Int32Array;
/// use floe::batch::text::{JsonStyle, TextColumn};
/// let numbers = Int32Array::from(vec![Some(7), None]);
/// let column = TextColumn::new(&numbers)?;
/// let mut text = String::new();
/// column.write_text(0, &mut text)?;
/// column.write_json(1, JsonStyle::Lines, &mut text)?;
/// assert_eq!(text, "7null");
/// # Ok::<(), floe::Error>(())
/// ```
pub struct TextColumn<'a> {
    array: &'a dyn Array,
    kind: Kind<'a>,
}

enum Kind<'a> {
    /// Text of its own.
    String(Strings<'a>),
    /// Text that is a value of JSON.
    Json(Strings<'a>),
    /// Numbers as they are: integers of up to 64 bits.
    Integer(ArrayFormatter<'a>),
    Float(ArrayFormatter<'a>),
    Decimal(ArrayFormatter<'a>),
    Boolean(ArrayFormatter<'a>),
    Uuid(&'a FixedSizeBinaryArray),
    /// The text is a label of the array's type.
    Enum,
    /// Dates, times, bytes and all else that JSON knows only as strings.
    Other,
    List(Lists<'a>, Box<TextColumn<'a>>),
    Struct(Vec<(&'a str, TextColumn<'a>)>),
    Map(Lists<'a>, Box<TextColumn<'a>>, Box<TextColumn<'a>>),
    Dictionary(Vec<usize>, Box<TextColumn<'a>>),
    Null,
}

impl<'a> TextColumn<'a> {
    /// A reader of `array`.
    ///
    /// # Errors
    /// `NOT_SUPPORTED` for a type without any text.
    pub fn new(array: &'a dyn Array) -> Result<Self> {
        let format = || ArrayFormatter::try_new(array, &FORMAT).map_err(Error::from);
        let kind = match array.data_type() {
            DataType::Null => Kind::Null,
            DataType::Boolean => Kind::Boolean(format()?),
            DataType::Float16 | DataType::Float32 | DataType::Float64 => Kind::Float(format()?),
            integer if integer.is_integer() => Kind::Integer(format()?),
            decimal if decimal.is_decimal() => Kind::Decimal(format()?),
            DataType::FixedSizeBinary(16) => Kind::Uuid(array.as_fixed_size_binary()),
            data_type if is_enum(data_type) => Kind::Enum,
            DataType::Struct(fields) => {
                let columns = array.as_struct().columns().iter();
                let named = fields
                    .iter()
                    .zip(columns)
                    .map(|(field, column)| Ok((field.name().as_str(), TextColumn::new(column.as_ref())?)));
                Kind::Struct(named.collect::<Result<Vec<_>>>()?)
            }
            DataType::Map(_, _) => {
                let map = array.as_map();
                let (keys, values) = (TextColumn::new(map.keys())?, TextColumn::new(map.values())?);
                Kind::Map(Lists::Map(map), Box::new(keys), Box::new(values))
            }
            DataType::Dictionary(_, _) => {
                let dictionary = array.as_any_dictionary();
                let values = TextColumn::new(dictionary.values().as_ref())?;
                Kind::Dictionary(dictionary.normalized_keys(), Box::new(values))
            }
            _ => match (Strings::new(array), Lists::new(array)) {
                (Some(strings), _) if *array.data_type() == JSON => Kind::Json(strings),
                (Some(strings), _) => Kind::String(strings),
                (None, Some((lists, values))) => Kind::List(lists, Box::new(TextColumn::new(values)?)),
                (None, None) => Kind::Other,
            },
        };
        Ok(TextColumn { array, kind })
    }

    /// Whether the value of `row` is NULL.
    pub fn is_null(&self, row: usize) -> bool {
        match &self.kind {
            Kind::Null => true,
            // The dictionary's values may hold the NULL.
            Kind::Dictionary(keys, values) => {
                self.array.is_null(row) || keys.get(row).is_none_or(|&key| values.is_null(key))
            }
            _ => self.array.is_null(row),
        }
    }

    /// The value as it is, when it is a string and not NULL.
    pub fn as_str(&self, row: usize) -> Option<&'a str> {
        match &self.kind {
            Kind::String(strings) | Kind::Json(strings) if !self.array.is_null(row) => Some(strings.value(row)),
            Kind::Enum if !self.array.is_null(row) => label_at(self.array, row),
            Kind::Dictionary(keys, values) if !self.array.is_null(row) => values.as_str(*keys.get(row)?),
            _ => None,
        }
    }

    /// Adds the value as SQL text, NULL as `NULL`.
    pub fn write_text(&self, row: usize, out: &mut String) -> Result<()> {
        if self.is_null(row) {
            out.push_str("NULL");
            return Ok(());
        }
        match &self.kind {
            Kind::Null => out.push_str("NULL"),
            Kind::String(strings) | Kind::Json(strings) => out.push_str(strings.value(row)),
            Kind::Enum => out.push_str(label_at(self.array, row).unwrap_or("NULL")),
            Kind::Integer(values) | Kind::Decimal(values) | Kind::Boolean(values) => values.value(row).write(out)?,
            Kind::Uuid(values) => write_uuid(out, values.value(row)),
            Kind::Dictionary(keys, values) => values.write_text(keys.get(row).copied().unwrap_or(0), out)?,
            Kind::Float(_) | Kind::Other | Kind::List(..) | Kind::Struct(_) | Kind::Map(..) => {
                write_value(out, self.array, row)?;
            }
        }
        Ok(())
    }

    /// Adds the value as JSON.
    pub fn write_json(&self, row: usize, style: JsonStyle, out: &mut String) -> Result<()> {
        if self.is_null(row) {
            out.push_str("null");
            return Ok(());
        }
        match &self.kind {
            Kind::Null => out.push_str("null"),
            Kind::String(strings) => write_json_string(strings.value(row), out),
            Kind::Json(strings) if style == JsonStyle::Lines => write_json_text(strings.value(row), out),
            Kind::Boolean(values) => values.value(row).write(out)?,
            Kind::Integer(values) => number(
                out,
                |out| values.value(row).write(out),
                |text| {
                    style == JsonStyle::Exact
                        && text.parse().is_ok_and(|value: i128| value.abs() > EXACT_INTEGER.into())
                },
            )?,
            Kind::Decimal(values) => number(out, |out| values.value(row).write(out), |_| style == JsonStyle::Exact)?,
            Kind::Float(values) => {
                number(
                    out,
                    |out| float_text(values, row, out),
                    |text| !text.ends_with(|last: char| last.is_ascii_digit()),
                )?;
            }
            Kind::List(lists, values) if style == JsonStyle::Lines => {
                bracketed(out, '[', lists.range(row), ']', |item, out| values.write_json(item, style, out))?;
            }
            Kind::Struct(fields) if style == JsonStyle::Lines => {
                bracketed(out, '{', fields.iter(), '}', |(name, values), out| {
                    write_json_string(name, out);
                    out.push_str(": ");
                    values.write_json(row, style, out)
                })?;
            }
            Kind::Map(lists, keys, values) if style == JsonStyle::Lines => {
                bracketed(out, '{', lists.range(row), '}', |item, out| {
                    keys.write_json_string(item, out)?;
                    out.push_str(": ");
                    values.write_json(item, style, out)
                })?;
            }
            Kind::Dictionary(keys, values) => values.write_json(keys.get(row).copied().unwrap_or(0), style, out)?,
            _ => self.write_json_string(row, out)?,
        }
        Ok(())
    }

    /// Adds the SQL text of the value as a JSON string.
    fn write_json_string(&self, row: usize, out: &mut String) -> Result<()> {
        let mut text = String::new();
        self.write_text(row, &mut text)?;
        write_json_string(&text, out);
        Ok(())
    }
}

/// A float as JSON has it, with a point or an exponent; `inf`, `-inf` and `nan` in SQL's spelling.
fn float_text(values: &ArrayFormatter<'_>, row: usize, out: &mut String) -> Result<(), arrow::error::ArrowError> {
    let start = out.len();
    values.value(row).write(out)?;
    if out.ends_with(|last: char| !last.is_ascii_digit()) {
        let lower = out[start..].to_ascii_lowercase();
        out.truncate(start);
        out.push_str(&lower);
    }
    Ok(())
}

/// Writes a number, and puts it into quotes if `quoted` says so of its text.
fn number(
    out: &mut String,
    write: impl FnOnce(&mut String) -> Result<(), arrow::error::ArrowError>,
    quoted: impl FnOnce(&str) -> bool,
) -> Result<()> {
    let start = out.len();
    write(out)?;
    if quoted(&out[start..]) {
        out.insert(start, '"');
        out.push('"');
    }
    Ok(())
}

/// Writes items between brackets, with commas.
fn bracketed<T>(
    out: &mut String,
    open: char,
    items: impl Iterator<Item = T>,
    close: char,
    mut write: impl FnMut(T, &mut String) -> Result<()>,
) -> Result<()> {
    out.push(open);
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        write(item, out)?;
    }
    out.push(close);
    Ok(())
}

/// Adds `text` as a JSON string, with its quotes.
pub fn write_json_string(text: &str, out: &mut String) {
    out.push('"');
    let mut plain_from = 0;
    for (index, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        // Escaped bytes are ASCII, so both ends are character boundaries.
        out.push_str(&text[plain_from..index]);
        plain_from = index + 1;
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            control => {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{control:04x}");
            }
        }
    }
    out.push_str(&text[plain_from..]);
    out.push('"');
}
