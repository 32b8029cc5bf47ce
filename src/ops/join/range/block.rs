//! Sorted blocks: some rows of one side in the order of their first keys, NULLs last.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use super::keys::{Key, Keys};
use super::scan::Comparison;
use crate::error::{Error, Result};
use crate::expr::Evaluator;

/// One side of a range join: its columns, followed by those keys that are not plain columns.
#[derive(Debug)]
pub struct KeyedSide {
    schema: SchemaRef,
    /// Of the side's own columns.
    computed: Vec<Evaluator>,
    first: usize,
    second: Option<usize>,
}

impl KeyedSide {
    /// Batches of `schema`, whose last columns are computed by `computed` from those before; the keys are columns
    /// `first` and `second`.
    pub fn new(schema: SchemaRef, computed: Vec<Evaluator>, first: usize, second: Option<usize>) -> Self {
        KeyedSide { schema, computed, first, second }
    }

    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// A batch of the side with its keys.
    pub(super) fn keyed(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let mut columns = batch.columns().to_vec();
        for key in &self.computed {
            columns.push(key.evaluate(batch)?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?)
    }

    fn column<'a>(&self, batch: &'a RecordBatch, index: usize) -> Result<&'a ArrayRef> {
        batch.columns().get(index).ok_or_else(|| Error::internal("a range join's batch without its keys"))
    }

    /// The rows of keyed batches in the order of their first keys.
    pub(super) fn sorted(&self, batches: &[RecordBatch]) -> Result<RecordBatch> {
        let whole = concat_batches(&self.schema, batches)?;
        let keys = Keys::new(self.column(&whole, self.first)?)?;
        let mut order = keys.sorted(0..keys.len());
        order.extend((0..keys.len()).filter(|&row| !keys.is_valid(row)).map(|row| row as u32));
        Ok(take_record_batch(&whole, &UInt32Array::from(order))?)
    }

    /// What is known of rows in the order of their first keys.
    pub(super) fn span(&self, sorted: &RecordBatch) -> Result<Span> {
        let first = Keys::new(self.column(sorted, self.first)?)?;
        let second = self.second.map(|index| Keys::new(self.column(sorted, index)?)).transpose()?;
        Ok(Span::of(&first, second.as_ref()))
    }
}

/// The least and the greatest keys of some rows; `None` where no row has that key.
#[derive(Debug, Clone)]
pub(super) struct Span {
    first: Option<(Key, Key)>,
    /// Of rows that have a first key; `None` also where there is no second comparison.
    second: Option<(Key, Key)>,
    has_second: bool,
}

impl Span {
    fn of(first: &Keys, second: Option<&Keys>) -> Self {
        let keyed = keyed_rows(first);
        let ends = keyed.checked_sub(1).map(|last| (first.key(0), first.key(last)));
        let least_and_greatest = |keys: &Keys| {
            let mut rows = (0..keyed).filter(|&row| keys.is_valid(row));
            let start = rows.next()?;
            let (least, greatest) = rows.fold((start, start), |(least, greatest), row| {
                let is_less = keys.compare(row, keys, least).is_lt();
                let is_greater = keys.compare(row, keys, greatest).is_gt();
                (if is_less { row } else { least }, if is_greater { row } else { greatest })
            });
            Some((keys.key(least), keys.key(greatest)))
        };
        Span { first: ends, second: second.and_then(least_and_greatest), has_second: second.is_some() }
    }

    /// The span of these rows and others.
    #[must_use]
    pub(super) fn and(self, other: Span) -> Span {
        let wider = |one: Option<(Key, Key)>, other: Option<(Key, Key)>| match (one, other) {
            (Some(one), Some(other)) => Some((one.0.min(other.0), one.1.max(other.1))),
            (one, other) => one.or(other),
        };
        Span {
            first: wider(self.first, other.first),
            second: wider(self.second, other.second),
            has_second: self.has_second,
        }
    }

    /// Whether a row of this span (left) and one of the other can be a pair.
    pub(super) fn meets(&self, right: &Span, (first, second): (Comparison, Option<Comparison>)) -> bool {
        let possible = |left: &Option<(Key, Key)>, right: &Option<(Key, Key)>, comparison: Comparison| {
            let (Some(left), Some(right)) = (left, right) else { return false };
            match comparison.is_less() {
                true => comparison.holds(left.0.cmp(&right.1)),
                false => comparison.holds(left.1.cmp(&right.0)),
            }
        };
        possible(&self.first, &right.first, first)
            && second.is_none_or(|second| possible(&self.second, &right.second, second))
    }
}

/// How many rows at the beginning have a first key.
fn keyed_rows(first: &Keys) -> usize {
    let (mut low, mut high) = (0, first.len());
    while low < high {
        let middle = low + (high - low) / 2;
        if first.is_valid(middle) { low = middle + 1 } else { high = middle }
    }
    low
}

/// A block that is ready to be joined.
#[derive(Debug)]
pub(super) struct SortedBlock {
    /// Keyed rows in the order of their first keys.
    pub(super) batch: RecordBatch,
    /// The number of the first row within its side.
    pub(super) start: usize,
    pub(super) span: Span,
    pub(super) first: Keys,
    keyed: usize,
    pub(super) second: Option<Keys>,
    /// The rows that have both keys, in the order of the second.
    pub(super) order: Vec<u32>,
}

impl SortedBlock {
    /// The block of sorted keyed rows.
    pub(super) fn new(side: &KeyedSide, batch: RecordBatch, start: usize) -> Result<Self> {
        let first = Keys::new(side.column(&batch, side.first)?)?;
        let second = side.second.map(|index| Keys::new(side.column(&batch, index)?)).transpose()?;
        let keyed = keyed_rows(&first);
        let order = second.as_ref().map(|keys| keys.sorted(0..keyed)).unwrap_or_default();
        let span = Span::of(&first, second.as_ref());
        Ok(SortedBlock { batch, start, span, first, keyed, second, order })
    }

    /// The blocks of at most `rows` rows of sorted keyed rows.
    pub(super) fn cut(side: &KeyedSide, sorted: &RecordBatch, rows: usize) -> Result<Vec<Arc<Self>>> {
        let starts = (0..sorted.num_rows()).step_by(rows.max(1));
        let slice = |start: usize| sorted.slice(start, rows.min(sorted.num_rows() - start));
        starts.map(|start| Ok(Arc::new(SortedBlock::new(side, slice(start), start)?))).collect()
    }

    /// How many rows, from the first on, have a first key.
    pub(super) fn keyed_rows(&self) -> usize {
        self.keyed
    }
}

/// Pieces of a side that make one block.
#[derive(Debug, Clone)]
pub(super) struct StoredBlock {
    pub(super) pieces: Range<usize>,
    pub(super) start: usize,
    pub(super) rows: usize,
    pub(super) bytes: usize,
    pub(super) span: Span,
}
