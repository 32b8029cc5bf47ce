//! Columns being built from JSON values, and taken back where a later equal key or a broken line asks for it.
//!
//! Invariant: every column can be cut back to any length it had; `finish` gives exactly the declared type.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, BooleanBufferBuilder, Date32Array, Decimal128Array, Float64Array, Int64Array, ListArray,
    StringArray, StringViewArray, StructArray, TimestampMicrosecondArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, FieldRef, Fields};
use foldhash::{HashMap, HashMapExt};

use crate::error::{Code, Error, Result};
use crate::scan::infer::sql_name;

/// A column being built.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) values: Values,
    validity: BooleanBufferBuilder,
    target: DataType,
}

/// What a column holds while it is built; converted to the declared type at the end.
#[derive(Debug)]
pub(super) enum Values {
    Boolean(BooleanBufferBuilder),
    Int(Vec<i64>),
    Huge(Vec<i128>),
    Double(Vec<f64>),
    Date(Vec<i32>),
    Timestamp(Vec<i64>),
    Text(Texts),
    List { ends: Vec<i32>, field: FieldRef, item: Box<Column> },
    Struct(Box<Row>),
}

/// Texts one after the other.
#[derive(Debug, Default)]
pub(super) struct Texts {
    pub(super) bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Texts {
    /// Ends the text that was written to `bytes`.
    pub(super) fn end(&mut self) {
        self.ends.push(self.bytes.len());
    }
}

/// Columns by key: a whole line, or a nested object.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) columns: Vec<Column>,
    fields: Fields,
    index: HashMap<String, usize>,
}

impl Row {
    /// Columns for `fields`.
    pub(super) fn new(fields: &Fields) -> Result<Self> {
        let columns = fields.iter().map(|field| Column::new(field.data_type())).collect::<Result<_>>()?;
        let mut index = HashMap::with_capacity(fields.len());
        for (position, field) in fields.iter().enumerate() {
            index.insert(field.name().clone(), position);
        }
        Ok(Row { columns, fields: fields.clone(), index })
    }

    /// The column of key `key`; `guess` is tried first.
    pub(super) fn find(&self, key: &str, guess: usize) -> Option<usize> {
        if self.fields.get(guess).is_some_and(|field| field.name() == key) {
            return Some(guess);
        }
        self.index.get(key).copied()
    }

    /// The key of column `position`.
    pub(super) fn key(&self, position: usize) -> &str {
        self.fields.get(position).map_or("", |field| field.name())
    }

    /// Fills what a row lacks: every column gets `rows` values.
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

    /// The finished columns; building starts again.
    pub(super) fn finish(&mut self) -> Result<Vec<ArrayRef>> {
        let fields = self.fields.iter();
        self.columns
            .iter_mut()
            .zip(fields)
            .map(|(column, field)| column.finish().map_err(|error| error.context(format!("key '{}'", field.name()))))
            .collect()
    }
}

impl Column {
    /// An empty column of type `target`.
    ///
    /// # Errors
    /// `NOT_SUPPORTED` for a type that JSON values are not read as.
    pub(super) fn new(target: &DataType) -> Result<Self> {
        let values = match target {
            DataType::Boolean => Values::Boolean(BooleanBufferBuilder::new(0)),
            DataType::UInt64 => Values::Huge(Vec::new()),
            data_type if data_type.is_integer() => Values::Int(Vec::new()),
            DataType::Decimal128(_, 0) => Values::Huge(Vec::new()),
            DataType::Float32 | DataType::Float64 => Values::Double(Vec::new()),
            DataType::Date32 => Values::Date(Vec::new()),
            DataType::Timestamp(..) => Values::Timestamp(Vec::new()),
            // A decimal's digits are read from the number's text, which keeps them.
            DataType::Decimal128(..) | DataType::Utf8View | DataType::Utf8 => Values::Text(Texts::default()),
            DataType::List(field) => {
                let item = Box::new(Column::new(field.data_type())?);
                Values::List { ends: Vec::new(), field: field.clone(), item }
            }
            DataType::Struct(fields) => Values::Struct(Box::new(Row::new(fields)?)),
            other => return Err(Error::not_supported(format!("reading JSON values as {other}"))),
        };
        Ok(Column { values, validity: BooleanBufferBuilder::new(0), target: target.clone() })
    }

    /// Values so far.
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
        let nulls = Some(NullBuffer::new(self.validity.finish())).filter(|nulls| nulls.null_count() > 0);
        let array: ArrayRef = match &mut self.values {
            Values::Boolean(bits) => Arc::new(BooleanArray::new(bits.finish(), nulls)),
            Values::Int(values) => Arc::new(Int64Array::new(taken(values), nulls)),
            Values::Huge(values) => {
                Arc::new(Decimal128Array::new(taken(values), nulls).with_precision_and_scale(38, 0)?)
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
                Arc::new(StructArray::try_new(fields, row.finish()?, nulls)?)
            }
        };
        if array.data_type() == &self.target {
            return Ok(array);
        }
        let options = CastOptions { safe: false, ..CastOptions::default() };
        cast_with_options(&array, &self.target, &options)
            .map_err(|error| Error::new(Code::InvalidData, format!("a value does not fit {}: {error}", self.target)))
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
