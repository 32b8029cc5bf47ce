//! Fields to Arrow columns, one column at a time.
//!
//! Invariant: a value that does not fit its column is reported, never changed. In columns whose type was inferred,
//! numbers with leading zeros or plus signs do not fit (see `infer`).

use std::cell::OnceCell;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanBuilder, LargeStringArray, NullBufferBuilder, PrimitiveArray,
};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    Time64MicrosecondType, TimeUnit, TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};

use crate::batch::logical::JSON;
use crate::error::Result;
use crate::scan::csv::casts::{Casts, cast_boolean, cast_value};
use crate::scan::csv::dialect::Dialect;
use crate::scan::csv::settings::Settings;
use crate::scan::csv::texts::Texts;
use crate::scan::csv::tokenize::Field;
use crate::scan::infer::number::{
    parse_bool, parse_double_strict, parse_double_word, parse_integer, parse_integer_strict, parse_integer_word,
};
use crate::scan::infer::pattern::Pattern;
use crate::scan::infer::time::parse_time;
use crate::scan::infer::trim;
use crate::scan::infer::word::ending_at;

/// What is needed to read the values of a tile's fields.
pub struct Values<'a> {
    pub(super) data: &'a [u8],
    pub(super) dialect: &'a Dialect,
    pub(super) settings: &'a Settings,
    /// The bytes of the tile, and whether all of them are UTF-8.
    tile: Range<usize>,
    valid: OnceCell<bool>,
    /// Whether any text but the empty one means NULL.
    pub(super) other_nulls: bool,
}

impl<'a> Values<'a> {
    /// The values of fields that lie in `tile`, a range of `data` that begins and ends with records.
    pub fn new(data: &'a [u8], tile: Range<usize>, dialect: &'a Dialect, settings: &'a Settings) -> Self {
        let other_nulls = settings.nulls.iter().any(|null| !null.is_empty());
        Values { data, dialect, settings, tile, valid: OnceCell::new(), other_nulls }
    }

    /// Whether the whole tile is UTF-8: one look at many bytes is far cheaper than one at every field.
    pub(super) fn all_valid(&self) -> bool {
        let bytes = self.data.get(self.tile.clone());
        *self.valid.get_or_init(|| bytes.is_some_and(|bytes| std::str::from_utf8(bytes).is_ok()))
    }

    /// The field's bytes as text; `None` where they are not UTF-8. `trusted` says that the tile is.
    pub(super) fn text(&self, field: Field, trusted: bool) -> Option<&'a str> {
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

    pub(super) fn raw(&self, field: Field) -> &'a [u8] {
        self.data.get(field.start()..field.end()).unwrap_or_default()
    }

    /// The text of a column that is not text; an empty one is NULL, however it is written.
    pub(super) fn plain(&self, field: Field) -> Option<&'a [u8]> {
        let raw = self.raw(field);
        let is_null = raw.is_empty() || (self.other_nulls && self.settings.means_null(raw, field.quoted()));
        if is_null { None } else { Some(trim(raw)) }
    }
}

/// The values of one column of a batch that is being read.
pub struct ColumnBuilder {
    builder: Builder,
    /// How dates are written, where the column has a form of its own.
    form: Option<Pattern>,
    /// The type was inferred.
    strict: bool,
    /// A text that means NULL elsewhere is a text here.
    not_null: bool,
}

enum Builder {
    Boolean(BooleanBuilder),
    Int8(Numbers<Int8Type>),
    Int16(Numbers<Int16Type>),
    Int32(Numbers<Int32Type>),
    Int64(Numbers<Int64Type>),
    UInt8(Numbers<UInt8Type>),
    UInt16(Numbers<UInt16Type>),
    UInt32(Numbers<UInt32Type>),
    UInt64(Numbers<UInt64Type>),
    Float32(Numbers<Float32Type>),
    Float64(Numbers<Float64Type>),
    Decimal(Numbers<Decimal128Type>, u8, u8),
    Date(Numbers<Date32Type>),
    Time(Numbers<Time64MicrosecondType>),
    Timestamp(Numbers<TimestampMicrosecondType>),
    Text(Texts),
    Json(Texts),
    Cast(Casts),
}

/// Values of fixed width, and which of them are NULL.
struct Numbers<T: ArrowPrimitiveType> {
    data_type: DataType,
    values: Vec<T::Native>,
    nulls: NullBufferBuilder,
}

impl<T: ArrowPrimitiveType> Numbers<T> {
    fn new(data_type: &DataType, rows: usize) -> Self {
        Numbers { data_type: data_type.clone(), values: Vec::with_capacity(rows), nulls: NullBufferBuilder::new(rows) }
    }

    #[inline(always)]
    fn push(&mut self, value: T::Native) {
        self.values.push(value);
        self.nulls.append_non_null();
    }

    fn push_null(&mut self) {
        self.values.push(T::Native::default());
        self.nulls.append_null();
    }

    fn append_array(&mut self, array: &PrimitiveArray<T>) {
        self.values.extend_from_slice(array.values());
        match array.nulls() {
            Some(nulls) => self.nulls.append_buffer(nulls),
            None => self.nulls.append_n_non_nulls(array.len()),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        let values = std::mem::take(&mut self.values);
        let array = PrimitiveArray::<T>::new(values.into(), self.nulls.finish());
        Arc::new(array.with_data_type(self.data_type.clone()))
    }
}

impl ColumnBuilder {
    /// An empty column for about `rows` values.
    pub fn new(data_type: &DataType, strict: bool, rows: usize) -> Self {
        let builder = match data_type {
            DataType::Boolean => Builder::Boolean(BooleanBuilder::with_capacity(rows)),
            DataType::Int8 => Builder::Int8(Numbers::new(data_type, rows)),
            DataType::Int16 => Builder::Int16(Numbers::new(data_type, rows)),
            DataType::Int32 => Builder::Int32(Numbers::new(data_type, rows)),
            DataType::Int64 => Builder::Int64(Numbers::new(data_type, rows)),
            DataType::UInt8 => Builder::UInt8(Numbers::new(data_type, rows)),
            DataType::UInt16 => Builder::UInt16(Numbers::new(data_type, rows)),
            DataType::UInt32 => Builder::UInt32(Numbers::new(data_type, rows)),
            DataType::UInt64 => Builder::UInt64(Numbers::new(data_type, rows)),
            DataType::Float32 => Builder::Float32(Numbers::new(data_type, rows)),
            DataType::Float64 => Builder::Float64(Numbers::new(data_type, rows)),
            DataType::Decimal128(precision, scale) => {
                Builder::Decimal(Numbers::new(data_type, rows), *precision, scale.unsigned_abs())
            }
            DataType::Date32 => Builder::Date(Numbers::new(data_type, rows)),
            DataType::Time64(TimeUnit::Microsecond) => Builder::Time(Numbers::new(data_type, rows)),
            DataType::Timestamp(TimeUnit::Microsecond, _) => Builder::Timestamp(Numbers::new(data_type, rows)),
            DataType::Utf8View => Builder::Text(Texts::with_capacity(rows)),
            json if *json == JSON => Builder::Json(Texts::with_capacity(rows)),
            other => Builder::Cast(Casts::new(other)),
        };
        ColumnBuilder { builder, form: None, strict, not_null: false }
    }

    /// The same, where dates are written in a form of the column's own.
    #[must_use]
    pub fn with_form(self, form: Option<&Pattern>) -> Self {
        ColumnBuilder { form: form.cloned(), ..self }
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
            Builder::Int64(builder) if self.strict && !forms.has_plain_numbers() => {
                each(fields, values, builder, |text| forms.strict_integer(text))
            }
            Builder::Int64(builder) if self.strict => {
                each_word(fields, values, builder, parse_integer_word, parse_integer_strict)
            }
            Builder::Float64(builder) if self.strict && !forms.has_plain_numbers() => {
                each(fields, values, builder, |text| forms.strict_double(text))
            }
            Builder::Float64(builder) if self.strict => {
                each_word(fields, values, builder, parse_double_word, parse_double_strict)
            }
            Builder::Int8(builder) => integers(fields, values, builder),
            Builder::Int16(builder) => integers(fields, values, builder),
            Builder::Int32(builder) => integers(fields, values, builder),
            Builder::Int64(builder) => declared(fields, values, builder, forms.has_plain_numbers(), |text| {
                forms.with_point(text, parse_integer)
            }),
            Builder::UInt8(builder) => integers(fields, values, builder),
            Builder::UInt16(builder) => integers(fields, values, builder),
            Builder::UInt32(builder) => integers(fields, values, builder),
            Builder::UInt64(builder) => integers(fields, values, builder),
            Builder::Float32(builder) => declared(fields, values, builder, forms.has_plain_numbers(), |text| {
                // Narrowing rounds; only what would become infinite does not fit.
                forms.double(text).map(|wide| wide as f32).filter(|narrow| narrow.is_finite() || !is_number(text))
            }),
            Builder::Float64(builder) => {
                declared(fields, values, builder, forms.has_plain_numbers(), |text| forms.double(text))
            }
            Builder::Decimal(builder, precision, scale) => {
                let (precision, scale, strict) = (*precision, *scale, self.strict);
                let may_cast = !strict && forms.has_plain_numbers();
                declared(fields, values, builder, may_cast, |text| match text {
                    [b'0', b'0'..=b'9', ..] | [b'-', b'0', _, ..] | [b'+', ..] if strict => None,
                    _ => forms.decimal(text, precision, scale),
                })
            }
            Builder::Date(builder) => {
                let (form, may_cast) = (self.form.as_ref(), !self.strict && forms.date.is_none());
                declared(fields, values, builder, may_cast, |text| {
                    form.map_or_else(|| forms.date(text), |form| form.date(text))
                })
            }
            Builder::Time(builder) => declared(fields, values, builder, !self.strict, parse_time),
            Builder::Timestamp(builder) => {
                let (form, may_cast) = (self.form.as_ref(), !self.strict && forms.timestamp.is_none());
                declared(fields, values, builder, may_cast, |text| {
                    form.map_or_else(|| forms.timestamp(text), |form| form.timestamp(text))
                })
            }
            Builder::Boolean(builder) => {
                let cast = |text| if self.strict { None } else { cast_boolean(text) };
                for field in fields {
                    match values.plain(field) {
                        None => builder.append_null(),
                        Some(text) => builder.append_value(parse_bool(text).or_else(|| cast(text)).ok_or(field)?),
                    }
                }
                Ok(())
            }
            Builder::Text(texts) => texts.append_fields(fields, values, self.not_null, many),
            Builder::Json(texts) => texts.append_json(fields, values),
            Builder::Cast(casts) => casts.append_fields(fields, values),
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
            Builder::Time(builder) => builder.append_array(array.as_primitive()),
            Builder::Timestamp(builder) => builder.append_array(array.as_primitive()),
            Builder::Cast(casts) => casts.append_array(array),
            // Copied, so that the few that are left of many do not keep all in memory.
            Builder::Text(texts) => array.as_string_view().iter().for_each(|text| texts.append_option(text)),
            Builder::Json(texts) => array.as_string::<i64>().iter().for_each(|text| texts.append_option(text)),
        }
    }

    /// Bytes of what was appended that has no fixed width, apart from texts short enough for their views.
    pub fn text_bytes(&self) -> usize {
        match &self.builder {
            Builder::Text(texts) | Builder::Json(texts) => texts.bytes(),
            Builder::Cast(casts) => casts.bytes(),
            _ => 0,
        }
    }

    /// The column, and the builder empty again.
    ///
    /// # Errors
    /// Values that are too many for one batch.
    pub fn finish(&mut self) -> Result<ArrayRef> {
        Ok(match &mut self.builder {
            Builder::Boolean(builder) => Arc::new(builder.finish()),
            Builder::Int8(builder) => builder.finish(),
            Builder::Int16(builder) => builder.finish(),
            Builder::Int32(builder) => builder.finish(),
            Builder::Int64(builder) => builder.finish(),
            Builder::UInt8(builder) => builder.finish(),
            Builder::UInt16(builder) => builder.finish(),
            Builder::UInt32(builder) => builder.finish(),
            Builder::UInt64(builder) => builder.finish(),
            Builder::Float32(builder) => builder.finish(),
            Builder::Float64(builder) => builder.finish(),
            Builder::Decimal(builder, ..) => builder.finish(),
            Builder::Date(builder) => builder.finish(),
            Builder::Time(builder) => builder.finish(),
            Builder::Timestamp(builder) => builder.finish(),
            Builder::Text(texts) => Arc::new(texts.finish()),
            Builder::Json(texts) => Arc::new(LargeStringArray::from_iter(&texts.finish())),
            Builder::Cast(casts) => casts.finish()?,
        })
    }
}

fn is_number(text: &[u8]) -> bool {
    text.iter().any(u8::is_ascii_digit)
}

/// Primitive values by `parse`. The text has no escapes taken out: none that is a number or a date has any.
fn each<T: ArrowPrimitiveType>(
    fields: impl Iterator<Item = Field>,
    values: &Values,
    builder: &mut Numbers<T>,
    parse: impl Fn(&[u8]) -> Option<T::Native>,
) -> std::result::Result<(), Field> {
    for field in fields {
        match values.plain(field) {
            None => builder.push_null(),
            Some(text) => builder.push(parse(text).ok_or(field)?),
        }
    }
    Ok(())
}

/// The same, where what `parse` does not read is read as CAST does if it `may_cast`.
fn declared<T: ArrowPrimitiveType>(
    fields: impl Iterator<Item = Field>,
    values: &Values,
    builder: &mut Numbers<T>,
    may_cast: bool,
    parse: impl Fn(&[u8]) -> Option<T::Native>,
) -> std::result::Result<(), Field> {
    let data_type = builder.data_type.clone();
    let cast = |text: &[u8]| if may_cast { cast_value::<T>(text, &data_type) } else { None };
    each(fields, values, builder, |text| parse(text).or_else(|| cast(text)))
}

/// The same where most texts are short numbers, which are read as one word; `parse` judges the others.
#[inline(always)]
fn each_word<T: ArrowPrimitiveType>(
    fields: impl Iterator<Item = Field>,
    values: &Values,
    builder: &mut Numbers<T>,
    parse_word: impl Fn(u64, usize) -> Option<T::Native>,
    parse: impl Fn(&[u8]) -> Option<T::Native>,
) -> std::result::Result<(), Field> {
    for field in fields {
        let (end, length) = (field.end(), field.end() - field.start());
        // A number may be one of the texts that mean NULL.
        let word = if values.other_nulls { None } else { ending_at(values.data, end, length) };
        if let Some(value) = word.and_then(|word| parse_word(word, length)) {
            builder.push(value);
            continue;
        }
        match values.plain(field) {
            None => builder.push_null(),
            Some(text) => builder.push(parse(text).ok_or(field)?),
        }
    }
    Ok(())
}

fn integers<T>(
    fields: impl Iterator<Item = Field>,
    values: &Values,
    builder: &mut Numbers<T>,
) -> std::result::Result<(), Field>
where
    T: ArrowPrimitiveType,
    T::Native: lexical_core::FromLexical,
{
    let forms = &values.settings.forms;
    declared(fields, values, builder, forms.has_plain_numbers(), |text| {
        forms.with_point(text, |text| lexical_core::parse(text).ok())
    })
}

/// Whether the field's value fits the column.
pub fn fits(mut column: ColumnBuilder, field: Field, values: &Values) -> bool {
    column.append(std::iter::once(field), values, false).is_ok()
}

/// Whether a byte of UTF-8 goes on with a character that began before it.
fn is_continuation(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}
