//! Columns being built from JSON values, and taken back where a later equal key or a broken line asks for it.
//!
//! Invariant: every column can be cut back to any length it had; `finish` gives exactly the declared type.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, BooleanBufferBuilder, Date32Array, Decimal128Array, Float64Array, Int64Array, ListArray,
    StringArray, StringViewArray, StructArray, TimestampMicrosecondArray, new_null_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, FieldRef, Fields};
use foldhash::{HashMap, HashMapExt};
use memchr::memchr;

use crate::batch::logical::JSON;
use crate::error::{Code, Error, Result};
use crate::scan::Parts;
use crate::scan::infer::sql_name;
use crate::scan::json::forms::Forms;
use crate::scan::json::unescape::unescape;

/// Keys of an object whose order is remembered, and their bytes.
const REMEMBERED_KEYS: usize = 256;
const LONGEST_REMEMBERED: usize = 64;

/// A column being built.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) values: Values,
    validity: BooleanBufferBuilder,
    pub(super) target: DataType,
    /// How dates are written, where the column is of dates.
    forms: Forms,
}

/// What a column holds while it is built; converted to the declared type at the end.
#[derive(Debug)]
pub(super) enum Values {
    Boolean(BooleanBufferBuilder),
    Int(Vec<i64>),
    /// Also decimals, without their point.
    Huge(Vec<i128>),
    Double(Vec<f64>),
    Date(Vec<i32>),
    Timestamp(Vec<i64>),
    Text(Texts),
    List {
        ends: Vec<i32>,
        field: FieldRef,
        item: Box<Column>,
    },
    Struct(Box<Row>),
}

/// Texts one after the other.
#[derive(Debug, Default)]
pub(super) struct Texts {
    pub(super) bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Texts {
    /// Adds a text.
    pub(super) fn push(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.end();
    }

    /// Ends the text that was written to `bytes`.
    pub(super) fn end(&mut self) {
        self.ends.push(self.bytes.len());
    }
}

/// Where the values of a key go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Column(usize),
    Unwanted,
    /// No sample showed the key, and whoever reads wants all of them.
    Unknown,
}

/// Whether there may be keys that no sample showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MoreKeys {
    /// They are left out: somebody said which keys there are.
    LeftOut,
    Refused,
}

/// Columns by key: a whole line, or a nested object.
#[derive(Debug)]
pub(super) struct Row {
    /// Those that are wanted.
    pub(super) columns: Vec<Column>,
    /// For each field its column; `None` where nobody wants it.
    places: Vec<Option<usize>>,
    fields: Fields,
    index: HashMap<Vec<u8>, Place>,
    /// What another key is.
    otherwise: Place,
    /// The keys of the last object and their columns: those of the next one mostly come in the same order.
    order: Vec<(Vec<u8>, Place)>,
}

impl Row {
    /// Columns for those of `fields` of which something is wanted. What is said of more keys goes for the row's own; for
    /// those of nested objects `nested` says it, by the field's name.
    pub(super) fn new(
        fields: &Fields,
        parts: &[&Parts],
        forms: &Forms,
        more: MoreKeys,
        nested: &dyn Fn(&str) -> MoreKeys,
    ) -> Result<Self> {
        let (mut columns, mut places, mut index) = (Vec::new(), Vec::new(), HashMap::with_capacity(fields.len()));
        for (position, field) in fields.iter().enumerate() {
            let parts = parts.get(position).copied().unwrap_or(&Parts::All);
            if parts.is_none() {
                places.push(None);
                index.insert(field.name().as_bytes().to_vec(), Place::Unwanted);
                continue;
            }
            places.push(Some(columns.len()));
            index.insert(field.name().as_bytes().to_vec(), Place::Column(columns.len()));
            columns.push(Column::new(field.data_type(), parts, forms, nested(field.name()))?);
        }
        let otherwise = match more {
            MoreKeys::LeftOut => Place::Unwanted,
            MoreKeys::Refused => Place::Unknown,
        };
        Ok(Row { columns, places, fields: fields.clone(), index, otherwise, order: Vec::new() })
    }

    /// Whether no column is wanted.
    pub(super) fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// Where the values go of the key whose escaped form is `key`, the `step`th of its object.
    #[inline]
    pub(super) fn find(&mut self, key: &[u8], step: usize) -> Place {
        match self.order.get(step) {
            Some((known, column)) if known == key => *column,
            _ => self.look_up(key, step),
        }
    }

    fn look_up(&mut self, key: &[u8], step: usize) -> Place {
        let found = match memchr(b'\\', key) {
            None => self.index.get(key).copied(),
            Some(_) => {
                let mut plain = Vec::new();
                if unescape(key, &mut plain) { self.index.get(&plain).copied() } else { None }
            }
        };
        let place = found.unwrap_or(self.otherwise);
        match self.order.get_mut(step) {
            Some((known, last)) => {
                known.clear();
                known.extend_from_slice(key);
                *last = place;
            }
            None if step < REMEMBERED_KEYS && key.len() <= LONGEST_REMEMBERED => self.order.push((key.to_vec(), place)),
            None => {}
        }
        place
    }

    /// The key of column `position`.
    pub(super) fn key(&self, position: usize) -> &str {
        let field = self.places.iter().position(|place| *place == Some(position));
        field.and_then(|field| self.fields.get(field)).map_or("", |field| field.name())
    }

    /// Fills what a row lacks: every column gets `rows` values.
    #[inline]
    pub(super) fn fill(&mut self, rows: usize) {
        for column in &mut self.columns {
            if column.len() < rows {
                column.push_null();
            }
        }
    }

    /// Goes back to `rows` values in every column.
    pub(super) fn truncate(&mut self, rows: usize) {
        for column in &mut self.columns {
            column.truncate(rows);
        }
    }

    /// The finished columns of `rows` rows; building starts again.
    pub(super) fn finish(&mut self, rows: usize) -> Result<Vec<ArrayRef>> {
        let Row { columns, places, fields, .. } = self;
        let array = |(field, place): (&FieldRef, &Option<usize>)| {
            let Some(column) = place.and_then(|place| columns.get_mut(place)) else {
                return Ok(new_null_array(field.data_type(), rows));
            };
            column.finish().map_err(|error| error.context(format!("key '{}'", field.name())))
        };
        fields.iter().zip(places.iter()).map(array).collect()
    }
}

impl Column {
    /// An empty column of type `target` of which `parts` are wanted; `more` is said of all objects within it.
    ///
    /// # Errors
    /// `NOT_SUPPORTED` for a type that JSON values are not read as.
    pub(super) fn new(target: &DataType, parts: &Parts, forms: &Forms, more: MoreKeys) -> Result<Self> {
        let values = match target {
            DataType::Boolean => Values::Boolean(BooleanBufferBuilder::new(0)),
            DataType::UInt64 => Values::Huge(Vec::new()),
            data_type if data_type.is_integer() => Values::Int(Vec::new()),
            DataType::Decimal128(..) => Values::Huge(Vec::new()),
            DataType::Float32 | DataType::Float64 => Values::Double(Vec::new()),
            DataType::Date32 => Values::Date(Vec::new()),
            DataType::Timestamp(..) => Values::Timestamp(Vec::new()),
            DataType::Utf8View | DataType::Utf8 => Values::Text(Texts::default()),
            json if *json == JSON => Values::Text(Texts::default()),
            DataType::List(field) => {
                let item = Box::new(Column::new(field.data_type(), &Parts::All, forms, more)?);
                Values::List { ends: Vec::new(), field: field.clone(), item }
            }
            DataType::Struct(fields) => {
                let parts_of_all = parts;
                let parts: Vec<&Parts> = fields.iter().map(|field| parts.of(field.name())).collect();
                // Whoever wants some fields by name does not miss others.
                let own = if matches!(parts_of_all, Parts::All) { more } else { MoreKeys::LeftOut };
                Values::Struct(Box::new(Row::new(fields, &parts, forms, own, &|_| own)?))
            }
            other => return Err(Error::not_supported(format!("reading JSON values as {other}"))),
        };
        Ok(Column { values, validity: BooleanBufferBuilder::new(0), target: target.clone(), forms: forms.clone() })
    }

    /// Values so far.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.validity.len()
    }

    /// The column's type in words, for errors.
    pub(super) fn type_name(&self) -> String {
        match &self.target {
            DataType::List(_) => "a list".to_owned(),
            DataType::Struct(_) => "an object".to_owned(),
            other => sql_name(other),
        }
    }

    /// Whether texts are kept as JSON has them.
    pub(super) fn is_json(&self) -> bool {
        self.target == JSON
    }

    /// Adds a date or timestamp; false where the text is none, or the column is of something else.
    pub(super) fn push_moment(&mut self, text: &[u8]) -> bool {
        match &mut self.values {
            Values::Date(values) => self.forms.date(text).map(|value| values.push(value)).is_some(),
            Values::Timestamp(values) => self.forms.timestamp(text).map(|value| values.push(value)).is_some(),
            _ => false,
        }
    }

    /// Marks the value just written as there.
    pub(super) fn valid(&mut self) {
        self.validity.append(true);
    }

    /// Adds NULL.
    pub(super) fn push_null(&mut self) {
        self.validity.append(false);
        let rows = self.validity.len();
        match &mut self.values {
            Values::Boolean(bits) => bits.append(false),
            Values::Int(values) | Values::Timestamp(values) => values.push(0),
            Values::Huge(values) => values.push(0),
            Values::Double(values) => values.push(0.0),
            Values::Date(values) => values.push(0),
            Values::Text(texts) => texts.end(),
            Values::List { ends, .. } => ends.push(ends.last().copied().unwrap_or(0)),
            Values::Struct(row) => row.fill(rows),
        }
    }

    /// Goes back to `rows` values, also of values that were begun and not ended.
    pub(super) fn truncate(&mut self, rows: usize) {
        if self.validity.len() > rows {
            self.validity.truncate(rows);
        }
        match &mut self.values {
            Values::Boolean(bits) if bits.len() > rows => bits.truncate(rows),
            Values::Boolean(_) => {}
            Values::Int(values) | Values::Timestamp(values) => values.truncate(rows),
            Values::Huge(values) => values.truncate(rows),
            Values::Double(values) => values.truncate(rows),
            Values::Date(values) => values.truncate(rows),
            Values::Text(texts) => {
                texts.ends.truncate(rows);
                texts.bytes.truncate(texts.ends.last().copied().unwrap_or(0));
            }
            Values::List { ends, item, .. } => {
                ends.truncate(rows);
                let items = ends.last().and_then(|end| usize::try_from(*end).ok()).unwrap_or(0);
                item.truncate(items);
            }
            Values::Struct(row) => row.truncate(rows),
        }
    }

    /// The finished array; building starts again.
    fn finish(&mut self) -> Result<ArrayRef> {
        let rows = self.validity.len();
        let nulls = Some(NullBuffer::new(self.validity.finish())).filter(|nulls| nulls.null_count() > 0);
        let array: ArrayRef = match &mut self.values {
            Values::Boolean(bits) => Arc::new(BooleanArray::new(bits.finish(), nulls)),
            Values::Int(values) => Arc::new(Int64Array::new(taken(values), nulls)),
            Values::Huge(values) => {
                let decimals = Decimal128Array::new(taken(values), nulls);
                Arc::new(match &self.target {
                    DataType::Decimal128(precision, scale) => decimals.with_precision_and_scale(*precision, *scale)?,
                    _ => decimals.with_precision_and_scale(38, 0)?,
                })
            }
            Values::Double(values) => Arc::new(Float64Array::new(taken(values), nulls)),
            Values::Date(values) => Arc::new(Date32Array::new(taken(values), nulls)),
            Values::Timestamp(values) => Arc::new(TimestampMicrosecondArray::new(taken(values), nulls)),
            Values::Text(texts) => Arc::new(texts.finish(nulls)?),
            Values::List { ends, field, item } => {
                let ends = std::mem::take(ends);
                let starts = std::iter::once(0).chain(ends).collect::<Vec<i32>>();
                let offsets = OffsetBuffer::new(ScalarBuffer::from(starts));
                Arc::new(ListArray::try_new(field.clone(), offsets, item.finish()?, nulls)?)
            }
            Values::Struct(row) => {
                let fields = row.fields.clone();
                Arc::new(StructArray::try_new_with_length(fields, row.finish(rows)?, nulls, rows)?)
            }
        };
        if array.data_type() == &self.target {
            return Ok(array);
        }
        let options = CastOptions { safe: false, ..CastOptions::default() };
        cast_with_options(&array, &self.target, &options)
            .map_err(|error| Error::new(Code::InvalidData, format!("a value is no {}: {error}", self.type_name())))
    }
}

impl Texts {
    fn finish(&mut self, nulls: Option<NullBuffer>) -> Result<StringViewArray> {
        let bytes = std::mem::take(&mut self.bytes);
        let ends = std::mem::take(&mut self.ends);
        let mut offsets: Vec<i32> = Vec::with_capacity(ends.len() + 1);
        offsets.push(0);
        for end in ends {
            let end = i32::try_from(end)
                .map_err(|_| Error::new(Code::InvalidData, "the texts of one batch are larger than 2 GiB"))?;
            offsets.push(end);
        }
        let texts = StringArray::try_new(OffsetBuffer::new(offsets.into()), bytes.into(), nulls)?;
        Ok(StringViewArray::from(&texts))
    }
}

fn taken<T: arrow::datatypes::ArrowNativeType>(values: &mut Vec<T>) -> ScalarBuffer<T> {
    // As many values are likely to come again.
    let capacity = values.len();
    std::mem::replace(values, Vec::with_capacity(capacity)).into()
}
