//! Rows that wait in the store, as a source: tables made by CREATE TABLE AS, VALUES, and the output of sinks.
//!
//! Invariant: splits follow one another in the order in which the batches were pushed.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;

use super::handle::{Handle, Loaded, Store, UseOrder};
use crate::batch::{Source, Split, Statistics};
use crate::error::{Error, Result};

/// A split has about this many rows.
const ROWS_PER_SPLIT: usize = 128 * 1024;
/// How many batches of a split are read ahead.
const READ_AHEAD: usize = 4;

/// Batches in the store, to be read any number of times.
#[derive(Clone)]
pub struct StoredRows {
    schema: SchemaRef,
    /// `None` for no rows.
    store: Option<Store>,
    handles: Arc<[Arc<Handle>]>,
    splits: Arc<[Range<usize>]>,
    statistics: Statistics,
}

impl StoredRows {
    /// No rows.
    pub fn empty(schema: SchemaRef) -> Self {
        StoredRows::with_store(schema, Vec::new(), None)
    }

    /// The rows of `handles`, all of `schema` and in `store`, in that order.
    pub fn new(schema: SchemaRef, handles: Vec<Arc<Handle>>, store: Store) -> Self {
        StoredRows::with_store(schema, handles, Some(store))
    }

    fn with_store(schema: SchemaRef, handles: Vec<Arc<Handle>>, store: Option<Store>) -> Self {
        let mut splits = Vec::new();
        let (mut start, mut rows) = (0, 0);
        for (index, handle) in handles.iter().enumerate() {
            rows += handle.rows();
            if rows >= ROWS_PER_SPLIT || index + 1 == handles.len() {
                splits.push(start..index + 1);
                (start, rows) = (index + 1, 0);
            }
        }
        let statistics = Statistics {
            rows: Some(handles.iter().map(|handle| handle.rows() as u64).sum()),
            bytes: Some(handles.iter().map(|handle| handle.bytes() as u64).sum()),
        };
        StoredRows { schema, store, handles: handles.into(), splits: splits.into(), statistics }
    }

    /// Number of rows.
    pub fn rows(&self) -> u64 {
        self.statistics.rows.unwrap_or(0)
    }

    /// The batches, in order.
    pub fn handles(&self) -> &[Arc<Handle>] {
        &self.handles
    }

    /// The number of the first row of each split.
    pub(super) fn split_starts(&self) -> Vec<usize> {
        let rows = |range: &Range<usize>| -> usize {
            self.handles.get(range.clone()).unwrap_or_default().iter().map(|handle| handle.rows()).sum()
        };
        let next = |start: &mut usize, range: &Range<usize>| {
            let first = *start;
            *start += rows(range);
            Some(first)
        };
        self.splits.iter().scan(0, next).collect()
    }

    /// These rows followed by those of `other`, which has the same schema. Copies nothing.
    #[must_use]
    pub fn followed_by(&self, other: &StoredRows) -> Self {
        let handles = self.handles.iter().chain(other.handles.iter()).cloned().collect();
        StoredRows::with_store(self.schema.clone(), handles, self.store.clone().or_else(|| other.store.clone()))
    }
}

impl fmt::Debug for StoredRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoredRows({} rows in {} batches)", self.rows(), self.handles.len())
    }
}

impl Source for StoredRows {
    fn describe(&self) -> String {
        format!("stored rows ({})", self.rows())
    }

    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn split_count(&self) -> usize {
        self.splits.len()
    }

    fn open(&self, index: usize) -> Result<Box<dyn Split>> {
        match (self.splits.get(index), &self.store) {
            (Some(range), Some(store)) => Ok(Box::new(StoredSplit {
                store: store.clone(),
                handles: Arc::clone(&self.handles),
                range: range.clone(),
                current: None,
            })),
            _ => Err(Error::internal(format!("stored rows have no split {index}"))),
        }
    }

    fn statistics(&self) -> Statistics {
        self.statistics
    }
}

struct StoredSplit {
    store: Store,
    handles: Arc<[Arc<Handle>]>,
    range: Range<usize>,
    /// The batch that was handed out last, counted until the next one is asked for.
    current: Option<Loaded>,
}

impl Split for StoredSplit {
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        self.current = None;
        let Some(handle) = self.range.next().and_then(|index| self.handles.get(index)) else { return Ok(None) };
        let loaded = self.store.get(handle)?;
        let ahead = self.range.start..self.range.end.min(self.range.start + READ_AHEAD);
        self.store.prefetch(self.handles.get(ahead).unwrap_or_default().iter().map(Arc::as_ref));
        let batch = RecordBatch::clone(&loaded);
        self.current = Some(loaded);
        Ok(Some(batch))
    }
}

/// Gathers batches into [`StoredRows`].
#[derive(Debug)]
pub struct StoredRowsBuilder {
    schema: SchemaRef,
    store: Store,
    handles: Vec<Arc<Handle>>,
}

impl StoredRowsBuilder {
    /// Gathers batches of `schema` in `store`.
    pub fn new(schema: SchemaRef, store: Store) -> Self {
        StoredRowsBuilder { schema, store, handles: Vec::new() }
    }

    /// Appends `batch`; an empty one leaves nothing.
    ///
    /// # Errors
    /// As [`Store::put`].
    pub fn push(&mut self, batch: RecordBatch) -> Result<()> {
        if batch.num_rows() > 0 {
            self.handles.push(Arc::new(self.store.put(batch, UseOrder::default())?));
        }
        Ok(())
    }

    /// What was pushed, in order.
    pub fn finish(self) -> StoredRows {
        StoredRows::new(self.schema, self.handles, self.store)
    }
}
