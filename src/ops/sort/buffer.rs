//! The rows that one lane has gathered and not yet sorted.
//!
//! Sorting moves entries of 24 bytes (the key's prefix and where the row is), not rows; rows are copied once, when the
//! sorted order is read out piece by piece. Batches that arrive small are put together first, so that reading out does
//! not have to look through thousands of them.

use std::sync::Arc;

use arrow::compute::concat_batches;
use arrow::record_batch::RecordBatch;

use crate::error::{Error, Result};
use crate::ops::sort::entries::{Entry, sort_entries};
use crate::ops::sort::gather::gather;
use crate::ops::sort::keys::{OrderedKeys, Prefix, SortKeys};
use crate::store::compact;

/// Bytes that each row costs beyond its columns and the key bytes behind the prefix: the entry and the prefix.
pub(super) const BYTES_PER_ROW: usize = size_of::<Entry>() + size_of::<Prefix>();

/// Unsorted wide batches with their keys.
pub(super) struct SortBuffer {
    keys: Arc<SortKeys>,
    batch_size: usize,
    batches: Vec<RecordBatch>,
    ordered: Vec<OrderedKeys>,
    /// Small batches that wait to become one.
    small: Vec<RecordBatch>,
    small_rows: usize,
    rows: usize,
}

impl SortBuffer {
    pub(super) fn new(keys: Arc<SortKeys>, batch_size: usize) -> Self {
        let (batches, ordered, small) = (Vec::new(), Vec::new(), Vec::new());
        SortBuffer { keys, batch_size, batches, ordered, small, small_rows: 0, rows: 0 }
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Takes a wide batch.
    pub(super) fn add(&mut self, wide: RecordBatch) -> Result<()> {
        self.rows += wide.num_rows();
        if self.small.is_empty() && wide.num_rows() >= self.batch_size / 2 {
            return self.append(wide);
        }
        self.small_rows += wide.num_rows();
        self.small.push(wide);
        if self.small_rows >= self.batch_size {
            self.gather_small()?;
        }
        Ok(())
    }

    fn gather_small(&mut self) -> Result<()> {
        if self.small.is_empty() {
            return Ok(());
        }
        let small = std::mem::take(&mut self.small);
        self.small_rows = 0;
        let whole = concat_batches(self.keys.wide(), &small)?;
        self.append(compact(whole))
    }

    fn append(&mut self, wide: RecordBatch) -> Result<()> {
        self.ordered.push(self.keys.ordered(&wide)?);
        self.batches.push(wide);
        Ok(())
    }

    /// Sorts everything and gives it up; at most the first `keep` rows are worth reading.
    pub(super) fn sort(&mut self, keep: usize) -> Result<Sorted> {
        self.gather_small()?;
        let mut entries = Vec::with_capacity(self.rows);
        for (batch, keys) in self.ordered.iter().enumerate() {
            let batch = number(batch)?;
            for row in 0..keys.len() {
                entries.push(Entry { prefix: keys.prefix(row), batch, row: number(row)? });
            }
        }
        sort_entries(&mut entries, &self.ordered, keep);
        entries.truncate(keep);
        self.rows = 0;
        self.ordered.clear();
        Ok(Sorted { keys: self.keys.clone(), batches: std::mem::take(&mut self.batches), entries, next: 0 })
    }
}

fn number(index: usize) -> Result<u32> {
    u32::try_from(index).map_err(|_| Error::internal("sort: a buffer of more than 2^32 batches or rows"))
}

/// Sorted rows that are read out piece by piece.
pub(super) struct Sorted {
    keys: Arc<SortKeys>,
    batches: Vec<RecordBatch>,
    entries: Vec<Entry>,
    next: usize,
}

impl Sorted {
    pub(super) fn rows(&self) -> usize {
        self.entries.len()
    }

    /// Lets go of the rows, once they have been read.
    pub(super) fn forget(&mut self) {
        self.batches = Vec::new();
        self.entries = Vec::new();
        self.next = 0;
    }

    /// The next wide batch of at most `rows` rows.
    pub(super) fn next(&mut self, rows: usize) -> Result<Option<RecordBatch>> {
        let end = self.entries.len().min(self.next + rows.max(1));
        let entries = &self.entries[self.next..end];
        if entries.is_empty() {
            return Ok(None);
        }
        let picks: Vec<_> = entries.iter().map(|entry| (entry.batch as usize, entry.row as usize)).collect();
        let piece = gather(&self.batches, &picks, self.keys.wide())?;
        self.next = end;
        Ok(Some(piece))
    }
}
