//! Handles to stored batches. (First version: everything stays resident.)

use std::ops::Deref;

use arrow::record_batch::RecordBatch;

use crate::error::Result;
use crate::memory::Budget;

/// When a batch will be used again, compared with others of its owner: the store evicts the latest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct UseOrder(pub u32);

/// Where batches wait, in memory or on disk. Clones are the same store.
#[derive(Debug, Clone)]
pub struct Store {
    _budget: Budget,
}

impl Store {
    /// A store that counts its resident batches in `budget`.
    pub fn new(budget: Budget) -> Self {
        Store { _budget: budget }
    }

    /// Puts `batch` into the store. It may be written to disk at any time from now on, those with the greatest
    /// `order` first, and within one order the oldest first.
    pub fn put(&self, batch: RecordBatch, order: UseOrder) -> Result<Handle> {
        let _ = order;
        Ok(Handle { rows: batch.num_rows(), bytes: batch.get_array_memory_size(), batch })
    }

    /// The batch behind `handle`, loaded if it was on disk; it counts in the budget while the answer lives.
    pub fn get(&self, handle: &Handle) -> Result<Loaded> {
        Ok(Loaded { batch: handle.batch.clone() })
    }

    /// As `get`, and gives up the handle: nothing stays behind in the store.
    pub fn take(&self, handle: Handle) -> Result<Loaded> {
        Ok(Loaded { batch: handle.batch })
    }

    /// Says that these handles will be asked for soon, in this order.
    pub fn prefetch<'a>(&self, _handles: impl IntoIterator<Item = &'a Handle>) {}
}

/// A batch in the store. Dropping it frees its memory or its place on disk.
#[derive(Debug)]
pub struct Handle {
    rows: usize,
    bytes: usize,
    batch: RecordBatch,
}

impl Handle {
    /// Rows of the batch.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes the batch takes in memory when it is resident.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// A batch taken out of the store, counted in the budget while this lives.
#[derive(Debug)]
pub struct Loaded {
    batch: RecordBatch,
}

impl Loaded {
    /// The batch without its account: for a caller that hands it on at once.
    pub fn into_batch(self) -> RecordBatch {
        self.batch
    }
}

impl Deref for Loaded {
    type Target = RecordBatch;

    fn deref(&self) -> &RecordBatch {
        &self.batch
    }
}
