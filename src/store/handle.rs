//! What others see of the store: the store itself, handles to stored batches, and batches taken out of it.

use std::fmt;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;

use super::disk::{OsDisk, SpillDisk};
use super::entry::{Entry, Resident};
use super::keeper::Keeper;
use crate::config::SpillCap;
use crate::error::Result;
use crate::memory::Budget;

/// When a batch will be used again, compared with others of its owner: the store evicts the latest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct UseOrder(pub u32);

/// Where batches wait, in memory or on disk. Clones are the same store.
#[derive(Clone)]
pub struct Store(Arc<Keeper>);

/// What a store has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreMetrics {
    /// Bytes on disk now.
    pub live_spilled_bytes: u64,
    /// Bytes ever written to disk.
    pub spilled_bytes: u64,
    /// Batches ever written to disk.
    pub spilled_batches: u64,
    /// Bytes (in memory) ever loaded from disk.
    pub loaded_bytes: u64,
    /// Batches ever loaded from disk.
    pub loaded_batches: u64,
}

impl Store {
    /// A store that counts its resident batches in `budget` and spills into the system's temporary folder.
    pub fn new(budget: Budget) -> Self {
        Store::with_disk(budget, Box::new(OsDisk), std::env::temp_dir(), SpillCap::default())
    }

    /// A store that spills into `directory`, which is made when the first batch is written.
    pub fn with_spill(budget: Budget, directory: impl Into<PathBuf>, cap: SpillCap) -> Self {
        Store::with_disk(budget, Box::new(OsDisk), directory.into(), cap)
    }

    /// A store on any disk; the seam where tests put one that lies.
    pub fn with_disk(budget: Budget, disk: Box<dyn SpillDisk>, directory: PathBuf, cap: SpillCap) -> Self {
        Store(Keeper::new(budget, disk, directory, cap))
    }

    /// Spills into `directory` from now on; what is on disk stays where it is.
    pub fn set_spill_dir(&self, directory: impl Into<PathBuf>) {
        self.0.space.set_directory(directory.into());
    }

    /// Changes the most bytes that may lie on disk, for what is written from now on.
    pub fn set_max_spill_size(&self, cap: SpillCap) {
        self.0.space.set_cap(cap);
    }

    /// Puts `batch` into the store. It may be written to disk at any time from now on, those with the greatest
    /// `order` first, and within one order the oldest first.
    ///
    /// # Errors
    /// `SPILL_FAILED` when something would have to be written to make room and the disk refuses; the batch is dropped
    /// then, everything else in the store stays as it was.
    pub fn put(&self, batch: RecordBatch, order: UseOrder) -> Result<Handle> {
        self.0.put(batch, order)
    }

    /// The batch behind `handle`, loaded if it was on disk; it counts in the budget while the answer lives.
    ///
    /// # Errors
    /// `OUT_OF_MEMORY` when there is no room to load it; `SPILL_FAILED` when it cannot be read back as it was written.
    pub fn get(&self, handle: &Handle) -> Result<Loaded> {
        let resident = self.0.load(&handle.entry)?;
        Ok(Loaded { resident: Some(resident), owner: Some((Arc::clone(&self.0), Arc::clone(&handle.entry))) })
    }

    /// As `get`, and gives up the handle: nothing stays behind in the store.
    ///
    /// # Errors
    /// As `get`; the handle is gone then, too.
    pub fn take(&self, handle: Handle) -> Result<Loaded> {
        let resident = self.0.load(&handle.entry)?;
        drop(handle);
        Ok(Loaded { resident: Some(resident), owner: None })
    }

    /// Says that these handles will be asked for soon, in this order. Those on disk are read ahead in the background
    /// while there is room for them.
    pub fn prefetch<'a>(&self, handles: impl IntoIterator<Item = &'a Handle>) {
        self.0.prefetch(handles.into_iter().map(|handle| &handle.entry));
    }

    /// What the store has done so far.
    pub fn metrics(&self) -> StoreMetrics {
        self.0.metrics()
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Store").field(&self.metrics()).finish()
    }
}

/// A batch in the store. Dropping it frees its memory or its place on disk.
pub struct Handle {
    pub(super) entry: Arc<Entry>,
    pub(super) keeper: Arc<Keeper>,
}

impl Handle {
    /// Rows of the batch.
    pub fn rows(&self) -> usize {
        self.entry.rows
    }

    /// Bytes the batch takes in memory when it is resident.
    pub fn bytes(&self) -> usize {
        self.entry.bytes
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({} rows, {} bytes)", self.rows(), self.bytes())
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.keeper.forget(&self.entry);
    }
}

/// A batch taken out of the store, counted in the budget while this lives.
pub struct Loaded {
    /// Always there until the drop.
    resident: Option<Arc<Resident>>,
    /// Where the batch goes back to; `None` when its handle was given up.
    owner: Option<(Arc<Keeper>, Arc<Entry>)>,
}

impl Loaded {
    /// The batch without its account: for a caller that hands it on at once.
    pub fn into_batch(self) -> RecordBatch {
        self.deref().clone()
    }
}

impl Deref for Loaded {
    type Target = RecordBatch;

    fn deref(&self) -> &RecordBatch {
        match &self.resident {
            Some(resident) => resident.batch(),
            None => unreachable!("a loaded batch is only given back when it is dropped"),
        }
    }
}

impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Loaded({} rows)", self.num_rows())
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        if let (Some(resident), Some((keeper, entry))) = (self.resident.take(), &self.owner) {
            keeper.give_back(entry, resident);
        }
    }
}
