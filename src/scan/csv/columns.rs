//! Fields to Arrow columns, one column at a time.
//!
//! Invariant: a value that does not fit its column is reported, never changed. In columns whose type was inferred,
//! numbers with leading zeros or plus signs do not fit (see `infer`).

use std::sync::Arc;

use arrow::array::{
    ArrayRef, ArrowPrimitiveType, BooleanBuilder, Date32Builder, Decimal128Builder, PrimitiveBuilder,
    StringViewBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{
    DataType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimeUnit, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};

use crate::error::{Error, Result};
use crate::scan::csv::dialect::Dialect;
use crate::scan::csv::settings::Settings;
use crate::scan::csv::tokenize::Field;
use crate::scan::infer::number::{parse_bool, parse_decimal, parse_double, parse_double_strict, parse_integer_strict};
use crate::scan::infer::time::{parse_date, parse_timestamp};
use crate::scan::infer::trim;

/// What is needed to read a field's value.
pub struct Values<'a> {
    pub data: &'a [u8],
    pub dialect: &'a Dialect,
    pub settings: &'a Settings,
}

impl<'a> Values<'a> {
    fn raw(&self, field: Field) -> &'a [u8] {
        self.data.get(field.start()..field.end()).unwrap_or_default()
    }

    /// The text of a column that is not text; an empty one is NULL, however it is written.
    fn plain(&self, field: Field) -> Option<&'a [u8]> {
        let raw = self.raw(field);
        if raw.is_empty() || (!field.quoted() && self.settings.is_null(raw)) { None } else { Some(trim(raw)) }
    }
}

/// The values of one column of a batch that is being read.
pub struct ColumnBuilder {
    builder: Builder,
    /// The type was inferred.
    strict: bool,
}

enum Builder {
    Boolean(BooleanBuilder),
    Int8(PrimitiveBuilder<Int8Type>),
    Int16(PrimitiveBuilder<Int16Type>),
    Int32(PrimitiveBuilder<Int32Type>),
    Int64(PrimitiveBuilder<Int64Type>),
    UInt8(PrimitiveBuilder<UInt8Type>),
    UInt16(PrimitiveBuilder<UInt16Type>),
    UInt32(PrimitiveBuilder<UInt32Type>),
    UInt64(PrimitiveBuilder<UInt64Type>),
    Float32(PrimitiveBuilder<Float32Type>),
    Float64(PrimitiveBuilder<Float64Type>),
    Decimal(Decimal128Builder, u8, u8),
    Date(Date32Builder),
    Timestamp(TimestampMicrosecondBuilder),
    Text(StringViewBuilder),
}

impl ColumnBuilder {
    /// An empty column for about `rows` values.
    ///
    /// # Errors
    /// A defect, when the type is none that a CSV column can have.
    pub fn new(data_type: &DataType, strict: bool, rows: usize) -> Result<Self> {
        let builder = match data_type {
            DataType::Boolean => Builder::Boolean(BooleanBuilder::with_capacity(rows)),
            DataType::Int8 => Builder::Int8(PrimitiveBuilder::with_capacity(rows)),
            DataType::Int16 => Builder::Int16(PrimitiveBuilder::with_capacity(rows)),
            DataType::Int32 => Builder::Int32(PrimitiveBuilder::with_capacity(rows)),
            DataType::Int64 => Builder::Int64(PrimitiveBuilder::with_capacity(rows)),
            DataType::UInt8 => Builder::UInt8(PrimitiveBuilder::with_capacity(rows)),
            DataType::UInt16 => Builder::UInt16(PrimitiveBuilder::with_capacity(rows)),
            DataType::UInt32 => Builder::UInt32(PrimitiveBuilder::with_capacity(rows)),
            DataType::UInt64 => Builder::UInt64(PrimitiveBuilder::with_capacity(rows)),
            DataType::Float32 => Builder::Float32(PrimitiveBuilder::with_capacity(rows)),
            DataType::Float64 => Builder::Float64(PrimitiveBuilder::with_capacity(rows)),
            DataType::Decimal128(precision, scale) => Builder::Decimal(
                Decimal128Builder::with_capacity(rows).with_precision_and_scale(*precision, *scale)?,
                *precision,
                scale.unsigned_abs(),
            ),
            DataType::Date32 => Builder::Date(Date32Builder::with_capacity(rows)),
            DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                Builder::Timestamp(TimestampMicrosecondBuilder::with_capacity(rows).with_timezone_opt(zone.clone()))
            }
            DataType::Utf8View => Builder::Text(StringViewBuilder::with_capacity(rows)),
            other => return Err(Error::internal(format!("csv: no column can have the type {other}"))),
        };
        Ok(ColumnBuilder { builder, strict })
    }

    /// Appends the fields' values; gives back the first that does not fit.
    pub fn append(&mut self, fields: impl Iterator<Item = Field>, values: &Values) -> std::result::Result<(), Field> {
        match &mut self.builder {
            Builder::Int64(builder) if self.strict => each(fields, values, builder, parse_integer_strict),
            Builder::Float64(builder) if self.strict => each(fields, values, builder, parse_double_strict),
            Builder::Int8(builder) => integers(fields, values, builder),
            Builder::Int16(builder) => integers(fields, values, builder),
            Builder::Int32(builder) => integers(fields, values, builder),
            Builder::Int64(builder) => integers(fields, values, builder),
            Builder::UInt8(builder) => integers(fields, values, builder),
            Builder::UInt16(builder) => integers(fields, values, builder),
            Builder::UInt32(builder) => integers(fields, values, builder),
            Builder::UInt64(builder) => integers(fields, values, builder),
            Builder::Float32(builder) => each(fields, values, builder, |text| {
                // Narrowing rounds; only what would become infinite does not fit.
                parse_double(text).map(|wide| wide as f32).filter(|narrow| narrow.is_finite() || !is_number(text))
            }),
            Builder::Float64(builder) => each(fields, values, builder, parse_double),
            Builder::Decimal(builder, precision, scale) => {
                let (precision, scale, strict) = (*precision, *scale, self.strict);
                each(fields, values, builder, |text| match text {
                    [b'0', b'0'..=b'9', ..] | [b'-', b'0', _, ..] | [b'+', ..] if strict => None,
                    _ => parse_decimal(text, precision, scale),
                })
            }
            Builder::Date(builder) => each(fields, values, builder, parse_date),
            Builder::Timestamp(builder) => each(fields, values, builder, parse_timestamp),
            Builder::Boolean(builder) => {
                for field in fields {
                    match values.plain(field) {
                        None => builder.append_null(),
                        Some(text) => builder.append_value(parse_bool(text).ok_or(field)?),
                    }
                }
                Ok(())
            }
            Builder::Text(builder) => texts(fields, values, builder),
        }
    }

    /// The column, and the builder empty again.
    pub fn finish(&mut self) -> ArrayRef {
        match &mut self.builder {
            Builder::Boolean(builder) => Arc::new(builder.finish()),
            Builder::Int8(builder) => Arc::new(builder.finish()),
            Builder::Int16(builder) => Arc::new(builder.finish()),
            Builder::Int32(builder) => Arc::new(builder.finish()),
            Builder::Int64(builder) => Arc::new(builder.finish()),
            Builder::UInt8(builder) => Arc::new(builder.finish()),
            Builder::UInt16(builder) => Arc::new(builder.finish()),
            Builder::UInt32(builder) => Arc::new(builder.finish()),
            Builder::UInt64(builder) => Arc::new(builder.finish()),
            Builder::Float32(builder) => Arc::new(builder.finish()),
            Builder::Float64(builder) => Arc::new(builder.finish()),
            Builder::Decimal(builder, ..) => Arc::new(builder.finish()),
            Builder::Date(builder) => Arc::new(builder.finish()),
            Builder::Timestamp(builder) => Arc::new(builder.finish()),
            Builder::Text(builder) => Arc::new(builder.finish()),
        }
    }
}

fn is_number(text: &[u8]) -> bool {
    text.iter().any(u8::is_ascii_digit)
}

/// Primitive values by `parse`. The text has no escapes taken out: none that is a number or a date has any.
fn each<T: ArrowPrimitiveType>(
    fields: impl Iterator<Item = Field>,
    values: &Values,
    builder: &mut PrimitiveBuilder<T>,
    parse: impl Fn(&[u8]) -> Option<T::Native>,
) -> std::result::Result<(), Field> {
    for field in fields {
        match values.plain(field) {
            None => builder.append_null(),
            Some(text) => builder.append_value(parse(text).ok_or(field)?),
        }
    }
    Ok(())
}

fn integers<T>(
    fields: impl Iterator<Item = Field>,
    values: &Values,
    builder: &mut PrimitiveBuilder<T>,
) -> std::result::Result<(), Field>
where
    T: ArrowPrimitiveType,
    T::Native: lexical_core::FromLexical,
{
    each(fields, values, builder, |text| lexical_core::parse(text).ok())
}

/// Texts; all of the window is checked for UTF-8 at once where possible.
fn texts(
    fields: impl Iterator<Item = Field>,
    values: &Values,
    builder: &mut StringViewBuilder,
) -> std::result::Result<(), Field> {
    for field in fields {
        let raw = values.raw(field);
        if !field.quoted() && values.settings.is_null(raw) {
            builder.append_null();
            continue;
        }
        let text = std::str::from_utf8(raw).map_err(|_| field)?;
        if !field.escaped() {
            builder.append_value(text);
            continue;
        }
        let plain = values.dialect.unescaped(raw, true);
        builder.append_value(std::str::from_utf8(&plain).map_err(|_| field)?);
    }
    Ok(())
}

/// Whether the field's value fits a column of this type.
pub fn fits(data_type: &DataType, strict: bool, field: Field, values: &Values) -> Result<bool> {
    let mut column = ColumnBuilder::new(data_type, strict, 1)?;
    Ok(column.append(std::iter::once(field), values).is_ok())
}
