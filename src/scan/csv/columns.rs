//! Fields to Arrow columns, one column at a time.
//!
//! Invariant: a value that does not fit its column is reported, never changed. In columns whose type was inferred,
//! numbers with leading zeros or plus signs do not fit (see `infer`).

use std::cell::OnceCell;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, ArrowPrimitiveType, AsArray, BooleanBuilder, Date32Builder, Decimal128Builder, PrimitiveBuilder,
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
use crate::scan::infer::number::{parse_bool, parse_double, parse_double_strict, parse_integer_strict};
use crate::scan::infer::trim;

/// What is needed to read the values of a tile's fields.
pub struct Values<'a> {
    data: &'a [u8],
    dialect: &'a Dialect,
    settings: &'a Settings,
    /// The bytes of the tile, and whether all of them are UTF-8.
    tile: Range<usize>,
    valid: OnceCell<bool>,
}

impl<'a> Values<'a> {
    /// The values of fields that lie in `tile`, a range of `data` that begins and ends with records.
    pub fn new(data: &'a [u8], tile: Range<usize>, dialect: &'a Dialect, settings: &'a Settings) -> Self {
        Values { data, dialect, settings, tile, valid: OnceCell::new() }
    }

    /// Whether the whole tile is UTF-8: one look at many bytes is far cheaper than one at every field.
    fn all_valid(&self) -> bool {
        let bytes = self.data.get(self.tile.clone());
        *self.valid.get_or_init(|| bytes.is_some_and(|bytes| std::str::from_utf8(bytes).is_ok()))
    }

    /// The field's bytes as text; `None` where they are not UTF-8. `trusted` says that the tile is.
    fn text(&self, field: Field, trusted: bool) -> Option<&'a str> {
        let raw = self.raw(field);
        let (start, end) = (field.start(), field.end());
        if trusted && start >= self.tile.start && end <= self.tile.end {
            let is_boundary = |at: usize| self.data.get(at).is_none_or(|byte| !is_continuation(*byte));
            if is_boundary(start) && is_boundary(end) {
                // SAFETY: the tile as a whole was found to be UTF-8, and a part of such a text that begins and ends
                // where a character does is UTF-8 too.
                return Some(unsafe { std::str::from_utf8_unchecked(raw) });
            }
        }
        std::str::from_utf8(raw).ok()
    }

    fn raw(&self, field: Field) -> &'a [u8] {
        self.data.get(field.start()..field.end()).unwrap_or_default()
    }

    /// The text of a column that is not text; an empty one is NULL, however it is written.
    fn plain(&self, field: Field) -> Option<&'a [u8]> {
        let raw = self.raw(field);
        if raw.is_empty() || self.settings.means_null(raw, field.quoted()) { None } else { Some(trim(raw)) }
    }
}

/// The values of one column of a batch that is being read.
pub struct ColumnBuilder {
    builder: Builder,
    /// The type was inferred.
    strict: bool,
    /// Bytes of texts that do not lie in their views.
    text_bytes: usize,
    /// A text that means NULL elsewhere is a text here.
    not_null: bool,
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
        Ok(ColumnBuilder { builder, strict, text_bytes: 0, not_null: false })
    }

    /// The same, where no text means NULL.
    #[must_use]
    pub fn without_null(self) -> Self {
        ColumnBuilder { not_null: true, ..self }
    }

    /// Appends the fields' values; gives back the first that does not fit. `many` says that they are a good part of
    /// the tile's.
    pub fn append(
        &mut self,
        fields: impl Iterator<Item = Field>,
        values: &Values,
        many: bool,
    ) -> std::result::Result<(), Field> {
        let forms = &values.settings.forms;
        match &mut self.builder {
            Builder::Int64(builder) if self.strict => each(fields, values, builder, parse_integer_strict),
            Builder::Float64(builder) if forms.comma && self.strict => {
                each(fields, values, builder, |text| forms.strict_double(text))
            }
            Builder::Float64(builder) if forms.comma => each(fields, values, builder, |text| forms.double(text)),
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
                forms.double(text).map(|wide| wide as f32).filter(|narrow| narrow.is_finite() || !is_number(text))
            }),
            Builder::Float64(builder) => each(fields, values, builder, parse_double),
            Builder::Decimal(builder, precision, scale) => {
                let (precision, scale, strict) = (*precision, *scale, self.strict);
                each(fields, values, builder, |text| match text {
                    [b'0', b'0'..=b'9', ..] | [b'-', b'0', _, ..] | [b'+', ..] if strict => None,
                    _ => forms.decimal(text, precision, scale),
                })
            }
            Builder::Date(builder) => each(fields, values, builder, |text| forms.date(text)),
            Builder::Timestamp(builder) => each(fields, values, builder, |text| forms.timestamp(text)),
            Builder::Boolean(builder) => {
                for field in fields {
                    match values.plain(field) {
                        None => builder.append_null(),
                        Some(text) => builder.append_value(parse_bool(text).ok_or(field)?),
                    }
                }
                Ok(())
            }
            Builder::Text(builder) => {
                let texts_as = Texts { not_null: self.not_null, many };
                texts(fields, values, builder, &mut self.text_bytes, texts_as)
            }
        }
    }

    /// Appends values that a builder of the same type has made.
    pub fn append_array(&mut self, array: &ArrayRef) {
        match &mut self.builder {
            Builder::Boolean(builder) => builder.append_array(array.as_boolean()),
            Builder::Int8(builder) => builder.append_array(array.as_primitive()),
            Builder::Int16(builder) => builder.append_array(array.as_primitive()),
            Builder::Int32(builder) => builder.append_array(array.as_primitive()),
            Builder::Int64(builder) => builder.append_array(array.as_primitive()),
            Builder::UInt8(builder) => builder.append_array(array.as_primitive()),
            Builder::UInt16(builder) => builder.append_array(array.as_primitive()),
            Builder::UInt32(builder) => builder.append_array(array.as_primitive()),
            Builder::UInt64(builder) => builder.append_array(array.as_primitive()),
            Builder::Float32(builder) => builder.append_array(array.as_primitive()),
            Builder::Float64(builder) => builder.append_array(array.as_primitive()),
            Builder::Decimal(builder, ..) => builder.append_array(array.as_primitive()),
            Builder::Date(builder) => builder.append_array(array.as_primitive()),
            Builder::Timestamp(builder) => builder.append_array(array.as_primitive()),
            // Copied, so that the few that are left of many do not keep all in memory.
            Builder::Text(builder) => {
                for text in array.as_string_view() {
                    self.text_bytes += text.map_or(0, bytes_beside_view);
                    builder.append_option(text);
                }
            }
        }
    }

    /// Bytes of the texts that were appended, apart from those short enough for their views.
    pub fn text_bytes(&self) -> usize {
        self.text_bytes
    }

    /// The column, and the builder empty again.
    pub fn finish(&mut self) -> ArrayRef {
        self.text_bytes = 0;
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

/// Bytes of a text that its view has no room for.
fn bytes_beside_view(text: &str) -> usize {
    const INLINE: usize = 12;
    if text.len() > INLINE { text.len() } else { 0 }
}

/// Whether a byte of UTF-8 goes on with a character that began before it.
fn is_continuation(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

/// How texts are read.
#[derive(Debug, Clone, Copy)]
struct Texts {
    /// None of them means NULL.
    not_null: bool,
    /// They are a good part of the tile's.
    many: bool,
}

/// Texts; with many of them the tile is looked at as a whole.
fn texts(
    fields: impl Iterator<Item = Field>,
    values: &Values,
    builder: &mut StringViewBuilder,
    text_bytes: &mut usize,
    texts_as: Texts,
) -> std::result::Result<(), Field> {
    let trusted = texts_as.many && values.all_valid();
    for field in fields {
        let is_null = || values.settings.means_null(values.raw(field), field.quoted());
        if field.is_absent() || (!texts_as.not_null && is_null()) {
            builder.append_null();
            continue;
        }
        let text = values.text(field, trusted).ok_or(field)?;
        *text_bytes += bytes_beside_view(text);
        if !field.escaped() {
            builder.append_value(text);
            continue;
        }
        let plain = values.dialect.unescaped(text.as_bytes(), true);
        builder.append_value(std::str::from_utf8(&plain).map_err(|_| field)?);
    }
    Ok(())
}

/// Whether the field's value fits a column of this type.
pub fn fits(data_type: &DataType, strict: bool, field: Field, values: &Values) -> Result<bool> {
    let mut column = ColumnBuilder::new(data_type, strict, 1)?;
    Ok(column.append(std::iter::once(field), values, false).is_ok())
}
