//! Sort keys: from expressions to bytes whose order is the order of the rows.
//!
//! Key expressions are evaluated once, when a batch arrives; those that are not plain columns travel with it as extra
//! columns, followed by the *sequence*: where the row stood in the input (split, row in the split). Such a batch is
//! called wide. Ties are broken by the sequence, so the order is total, and the answer does not depend on threads, batch
//! size or budget.
//!
//! Invariant: the bytes of a key are never a proper prefix of another key's bytes (the row format of Arrow is
//! self-delimiting). So keys compare by their first sixteen bytes, padded with zeros, and only when these are equal and
//! there is more, by the rest.

use std::cmp::Ordering;
use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, UInt64Array};
use arrow::buffer::ScalarBuffer;
use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Field, Float16Type, Float32Type, Float64Type, Schema, SchemaRef, UInt64Type};
use arrow::record_batch::RecordBatch;
use arrow::row::Rows;
use datafusion_common::ScalarValue;

use crate::batch::order::OrderConverter;
use crate::error::{Code, Error, Result};
use crate::expr::Evaluator;

/// One `ORDER BY` expression.
#[derive(Debug)]
pub struct SortKey {
    pub evaluator: Evaluator,
    pub descending: bool,
    pub nulls_first: bool,
}

impl SortKey {
    fn describe(&self, out: &mut String) {
        let direction = if self.descending { "desc" } else { "asc" };
        let nulls = if self.nulls_first { "first" } else { "last" };
        // Writing to a string cannot fail.
        let _ = write!(out, "{} {direction} nulls {nulls}", self.evaluator.describe());
    }
}

/// Bits of a sequence that number the rows of one split: 68 thousand million rows.
const ROW_BITS: u32 = 36;

/// Where row `row` of split `split` stands in the input.
///
/// # Errors
/// `NOT_SUPPORTED` beyond 2^28 splits or 2^36 rows in one split.
pub(in crate::ops) fn sequence(split: usize, row: u64) -> Result<u64> {
    match u64::try_from(split) {
        Ok(split) if split < 1 << (u64::BITS - ROW_BITS) && row < 1 << ROW_BITS => Ok(split << ROW_BITS | row),
        _ => Err(Error::not_supported("sorting an input of so many splits or rows")),
    }
}

/// The keys of one sort.
#[derive(Debug)]
pub(in crate::ops) struct SortKeys {
    keys: Vec<SortKey>,
    output: SchemaRef,
    wide: SchemaRef,
    /// Where the key columns are in a wide batch.
    columns: Vec<usize>,
    converter: OrderConverter,
}

impl SortKeys {
    /// The first key of a row of a wide batch.
    pub(super) fn first_value(&self, wide: &RecordBatch, row: usize) -> Result<ScalarValue> {
        let column = self.columns.first().and_then(|index| wide.columns().get(*index));
        let column = column.ok_or_else(|| Error::internal("sort: a batch without its keys"))?;
        Ok(ScalarValue::try_from_array(column, row)?)
    }

    pub(super) fn try_new(keys: Vec<SortKey>, output: SchemaRef) -> Result<Self> {
        if keys.is_empty() {
            return Err(Error::internal("a sort without keys"));
        }
        let mut fields: Vec<Arc<Field>> = output.fields().iter().cloned().collect();
        let mut columns = Vec::with_capacity(keys.len());
        let mut sorted = Vec::with_capacity(keys.len());
        for key in &keys {
            let data_type = key.evaluator.data_type().clone();
            let options = SortOptions { descending: key.descending, nulls_first: key.nulls_first };
            columns.push(key.evaluator.column().unwrap_or(fields.len()));
            if key.evaluator.column().is_none() {
                fields.push(Arc::new(Field::new(format!("key {}", columns.len()), data_type.clone(), true)));
            }
            sorted.push((data_type, options));
        }
        fields.push(Arc::new(Field::new("sequence", DataType::UInt64, false)));
        let converter = OrderConverter::try_new(sorted)?;
        Ok(SortKeys { keys, output, wide: Arc::new(Schema::new(fields)), columns, converter })
    }

    /// Keys that are columns of `wide` already, whose last column is the sequence.
    ///
    /// # Errors
    /// `NOT_SUPPORTED` for a key of a type that has no order.
    pub(in crate::ops) fn over_columns(keys: &[(usize, SortOptions)], wide: SchemaRef) -> Result<Self> {
        let columns: Vec<usize> = keys.iter().map(|(column, _)| *column).collect();
        let field = |&(column, options): &(usize, SortOptions)| match wide.fields().get(column) {
            Some(field) => Ok((field.data_type().clone(), options)),
            None => Err(Error::internal("sort: a key beyond the columns")),
        };
        let converter = OrderConverter::try_new(keys.iter().map(field).collect::<Result<Vec<_>>>()?)?;
        Ok(SortKeys { keys: Vec::new(), output: wide.clone(), wide, columns, converter })
    }

    /// The schema of the rows that are sorted.
    pub(super) fn output(&self) -> &SchemaRef {
        &self.output
    }

    /// The schema of wide batches.
    pub(super) fn wide(&self) -> &SchemaRef {
        &self.wide
    }

    pub(super) fn describe(&self) -> String {
        let mut text = String::new();
        for key in &self.keys {
            if !text.is_empty() {
                text.push_str(", ");
            }
            key.describe(&mut text);
        }
        text
    }

    /// The batch with its key columns and the sequences from `first` on.
    pub(super) fn widen(&self, batch: &RecordBatch, first: u64) -> Result<RecordBatch> {
        let rows = batch.num_rows() as u64;
        let mut columns = batch.columns().to_vec();
        for key in self.keys.iter().filter(|key| key.evaluator.column().is_none()) {
            columns.push(key.evaluator.evaluate(batch)?);
        }
        columns.push(Arc::new(UInt64Array::from_iter_values(first..first + rows)));
        Ok(RecordBatch::try_new(self.wide.clone(), columns)?)
    }

    /// About how many bytes the keys of a wide batch take beside their prefixes.
    pub(super) fn estimated_bytes(&self, wide: &RecordBatch) -> usize {
        let columns = || self.columns.iter().filter_map(|&index| wide.columns().get(index));
        // A marker and the value for each number.
        let width = columns().map(|column| column.data_type().primitive_width().map(|width| width + 1)).sum();
        if let Some(0..=Prefix::BYTES) = width {
            return 0;
        }
        let values: usize = columns().map(|column| column.get_array_memory_size()).sum();
        // A marker for each value, and for text a byte in every block of 32; offsets of the rows.
        values + values / 16 + wide.num_rows() * (self.columns.len() * 2 + size_of::<usize>())
    }

    /// The comparable keys of a wide batch.
    pub(super) fn ordered(&self, wide: &RecordBatch) -> Result<OrderedKeys> {
        let columns =
            self.columns.iter().map(|&index| wide.columns().get(index).map(normalised)).collect::<Option<Vec<_>>>();
        let sequences = wide.columns().last().and_then(|column| column.as_primitive_opt::<UInt64Type>());
        let (Some(columns), Some(sequences)) = (columns, sequences) else {
            return Err(Error::internal("sort: a batch without its keys"));
        };
        let rows = self.converter.keys(&columns).map_err(|error| match Error::from(error) {
            error if error.code() == Code::Internal => error,
            error => error.context("the sort keys"),
        })?;
        let prefixes = rows.iter().map(|row| Prefix::of(row.data())).collect();
        let short = rows.lengths().all(|length| length <= Prefix::BYTES);
        Ok(OrderedKeys { prefixes, rows: (!short).then_some(rows), sequences: sequences.values().clone() })
    }
}

/// Zero and NaN have several bit patterns that are one value in SQL: they get one.
pub(in crate::ops) fn normalised(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Float64 => {
            let canonical = |value: f64| if value.is_nan() { f64::NAN } else { value + 0.0 };
            Arc::new(column.as_primitive::<Float64Type>().unary::<_, Float64Type>(canonical))
        }
        DataType::Float32 => {
            let canonical = |value: f32| if value.is_nan() { f32::NAN } else { value + 0.0 };
            Arc::new(column.as_primitive::<Float32Type>().unary::<_, Float32Type>(canonical))
        }
        DataType::Float16 => {
            let canonical = |value: half::f16| if value.is_nan() { half::f16::NAN } else { value + half::f16::ZERO };
            Arc::new(column.as_primitive::<Float16Type>().unary::<_, Float16Type>(canonical))
        }
        _ => column.clone(),
    }
}

/// The first sixteen bytes of a key, padded with zeros, as numbers of the same order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Prefix(u64, u64);

impl Prefix {
    pub(super) const BYTES: usize = 16;

    /// The sixteen bytes at the beginning of `key`.
    pub(super) fn of(key: &[u8]) -> Self {
        let mut bytes = [0u8; Self::BYTES];
        let length = key.len().min(Self::BYTES);
        bytes[..length].copy_from_slice(&key[..length]);
        let whole = u128::from_be_bytes(bytes);
        Prefix((whole >> 64) as u64, whole as u64)
    }

    /// The place of a row among those whose keys are equal.
    pub(super) fn of_sequence(sequence: u64) -> Self {
        Prefix(0, sequence)
    }
}

/// One key, wherever it is kept, seen as numbers of eight bytes: the last one is padded with zeros, and there are at least
/// those of the prefix.
#[derive(Debug, Clone, Copy)]
pub(super) struct KeyWords<'a> {
    prefix: Prefix,
    whole: Option<&'a [u8]>,
}

impl KeyWords<'_> {
    const IN_PREFIX: usize = Prefix::BYTES / 8;

    /// How many words there are.
    pub(super) fn count(&self) -> usize {
        self.whole.map_or(0, |whole| whole.len().div_ceil(8)).max(Self::IN_PREFIX)
    }

    /// The word at `index`; zero behind the last.
    pub(super) fn word(&self, index: usize) -> u64 {
        match index {
            0 => self.prefix.0,
            1 => self.prefix.1,
            _ => Prefix::of(self.behind(index)).0,
        }
    }

    /// The first word from `from` on in which two keys differ.
    pub(super) fn first_difference(&self, other: &Self, from: usize) -> Option<usize> {
        if from == 0 && self.prefix.0 != other.prefix.0 {
            return Some(0);
        }
        if from <= 1 && self.prefix.1 != other.prefix.1 {
            return Some(1);
        }
        let from = from.max(Self::IN_PREFIX);
        let (left, right) = (self.behind(from), other.behind(from));
        let (words, others) = (left.as_chunks::<8>().0, right.as_chunks::<8>().0);
        // No key begins another, so that of two that end at different places the words differ where the shorter ends.
        match words.iter().zip(others).position(|(left, right)| left != right) {
            Some(place) => Some(from + place),
            None if left.len() == right.len() && same_end(left, right) => None,
            None => Some(from + left.len().min(right.len()) / 8),
        }
    }

    fn behind(&self, index: usize) -> &[u8] {
        self.whole.and_then(|whole| whole.get(8 * index..)).unwrap_or_default()
    }
}

/// Whether two keys of one length, whose whole words are the same, end in the same bytes.
fn same_end(left: &[u8], right: &[u8]) -> bool {
    match (left.last_chunk::<8>(), right.last_chunk::<8>()) {
        (Some(end), Some(other)) => end == other,
        _ => left == right,
    }
}

/// The keys of one wide batch, in bytes.
#[derive(Debug)]
pub(super) struct OrderedKeys {
    prefixes: Vec<Prefix>,
    /// The whole keys, unless every one of them fits into its prefix.
    rows: Option<Rows>,
    sequences: ScalarBuffer<u64>,
}

impl OrderedKeys {
    pub(super) fn len(&self) -> usize {
        self.prefixes.len()
    }

    pub(super) fn prefix(&self, row: usize) -> Prefix {
        self.prefixes[row]
    }

    /// Bytes beyond the batch itself.
    pub(super) fn bytes(&self) -> usize {
        self.prefixes.capacity() * size_of::<Prefix>() + self.rows.as_ref().map_or(0, Rows::size)
    }

    /// The order of two rows whose prefixes are equal. Never `Equal` for two rows of one input.
    pub(super) fn compare_rest(&self, row: usize, other: &OrderedKeys, other_row: usize) -> Ordering {
        let keys = match (&self.rows, &other.rows) {
            (Some(rows), Some(others)) => rows.row(row).data().cmp(others.row(other_row).data()),
            // One key is all in its prefix, hence so is the other.
            _ => Ordering::Equal,
        };
        keys.then_with(|| self.sequences[row].cmp(&other.sequences[other_row]))
    }

    /// The bytes of a key from `from` on; none where it has ended.
    pub(super) fn bytes_from(&self, row: usize, from: usize) -> &[u8] {
        self.rows.as_ref().and_then(|rows| rows.row(row).data().get(from..)).unwrap_or_default()
    }

    pub(super) fn sequence(&self, row: usize) -> u64 {
        self.sequences[row]
    }

    /// The words of a row's key.
    pub(super) fn words(&self, row: usize) -> KeyWords<'_> {
        let whole = self.rows.as_ref().map(|rows| rows.row(row).data());
        KeyWords { prefix: self.prefixes[row], whole }
    }

    /// The key of one row, on its own.
    pub(super) fn key(&self, row: usize) -> Key {
        let whole = self.rows.as_ref().map(|rows| rows.row(row).data().into());
        Key { prefix: self.prefixes[row], whole, sequence: self.sequences[row] }
    }

    /// How many rows at the beginning come before `key`; the rows must be in order.
    pub(super) fn rows_before(&self, key: &Key) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            if self.compare_key(middle, key).is_lt() { low = middle + 1 } else { high = middle }
        }
        low
    }

    fn compare_key(&self, row: usize, key: &Key) -> Ordering {
        let whole = || match (&self.rows, &key.whole) {
            (Some(rows), Some(whole)) => rows.row(row).data().cmp(whole),
            _ => Ordering::Equal,
        };
        let sequence = || self.sequences[row].cmp(&key.sequence);
        self.prefixes[row].cmp(&key.prefix).then_with(whole).then_with(sequence)
    }

    /// The order of two rows.
    pub(super) fn compare(&self, row: usize, other: &OrderedKeys, other_row: usize) -> Ordering {
        self.prefixes[row].cmp(&other.prefixes[other_row]).then_with(|| self.compare_rest(row, other, other_row))
    }
}

/// The key of one row, which orders it among all rows of the input.
#[derive(Debug, Clone)]
pub(super) struct Key {
    prefix: Prefix,
    /// All bytes of the key, unless every key of its batch fits into its prefix.
    whole: Option<Box<[u8]>>,
    sequence: u64,
}

impl Key {
    /// The order of two rows of one input.
    pub(super) fn compare(&self, other: &Key) -> Ordering {
        let whole = || match (&self.whole, &other.whole) {
            (Some(whole), Some(others)) => whole.cmp(others),
            // One key is all in its prefix, hence so is the other.
            _ => Ordering::Equal,
        };
        self.prefix.cmp(&other.prefix).then_with(whole).then_with(|| self.sequence.cmp(&other.sequence))
    }

    pub(super) fn words(&self) -> KeyWords<'_> {
        KeyWords { prefix: self.prefix, whole: self.whole.as_deref() }
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Key>() + self.whole.as_ref().map_or(0, |whole| whole.len())
    }
}
