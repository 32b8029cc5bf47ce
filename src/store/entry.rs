//! The state of one stored batch: in memory, on disk, or both; and on which shelf it waits to be given up.
//!
//! Invariant: at least one of `memory` and `disk` is there until the handle is gone. The memory of a batch is counted
//! in the budget for exactly as long as its [`Resident`] lives, whoever holds it. An entry's lock is taken before the
//! shelves' lock, never after it, and never held during encoding or disk I/O.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use parking_lot::Mutex;

use super::segment::Extent;
use super::shelves::Shelf;
use crate::memory::{Reservation, Tally};

/// A batch in memory with its account.
#[derive(Debug)]
pub(super) struct Resident {
    batch: RecordBatch,
    charge: Reservation,
}

impl Resident {
    pub(super) fn new(batch: RecordBatch, charge: Reservation) -> Arc<Self> {
        Arc::new(Resident { batch, charge })
    }

    pub(super) fn batch(&self) -> &RecordBatch {
        &self.batch
    }

    pub(super) fn bytes(&self) -> usize {
        self.charge.bytes()
    }
}

/// The greatest use order first, within one order the oldest first.
pub(super) type Key = (u32, u64);

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: Key,
    pub(super) rows: usize,
    /// Bytes in memory when resident.
    pub(super) bytes: usize,
    pub(super) schema: SchemaRef,
    /// Who put it here.
    pub(super) tally: Option<Arc<Tally>>,
    pub(super) state: Mutex<State>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) memory: Option<Arc<Resident>>,
    pub(super) disk: Option<Arc<Extent>>,
    pub(super) place: Place,
}

/// Who is responsible for an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// It waits on a shelf (or has just been taken from it by somebody who does not hold the lock yet).
    On(Shelf),
    /// On disk only, or pinned by a reader who will put it back on a shelf.
    Free,
    /// A writer is at work on it.
    Writing,
    /// A reader loads it; others wait for that.
    Loading,
    /// The handle is gone.
    Gone,
}

impl State {
    /// Whether somebody besides the entry holds the batch.
    pub(super) fn is_pinned(&self) -> bool {
        self.memory.as_ref().is_some_and(|memory| Arc::strong_count(memory) > 1)
    }
}
