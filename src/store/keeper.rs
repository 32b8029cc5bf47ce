//! What stays in memory and what does not.
//!
//! Invariant: after `put` either what is used fits the limit or nothing in the store can be given up. Memory is freed
//! in this order: batches that are on disk already, batches that must be written first, batches read ahead.
//!
//! The background writer (see `spiller`) keeps what only exists in memory under [`HIGH_WATER`], by writing the coldest
//! batches without freeing them. So those who need memory find batches whose memory can be given up at once, and
//! batches that are asked for before the memory was needed are still there.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arrow::record_batch::RecordBatch;
use parking_lot::{Condvar, Mutex};

use super::background::Background;
use super::buffers::Buffers;
use super::disk::SpillDisk;
use super::entry::{Entry, Place, Resident, State};
use super::footprint;
use super::handle::{Handle, StoreMetrics, UseOrder};
use super::reader::{self, ReadAhead};
use super::segment::SpillSpace;
use super::shelves::{Shelf, Shelves};
use super::spiller;
use crate::config::SpillCap;
use crate::error::Result;
use crate::memory::{Budget, Evict, Reservation, Tally};

/// Percent of the limit over which the background writer begins.
const HIGH_WATER: usize = 75;
/// Percent of the limit under which batches that were read back stay in memory when their reader has finished.
const ROOMY: usize = 50;
/// The longest a caller waits for other writers before it looks again itself.
const LONGEST_WAIT: Duration = Duration::from_millis(100);
/// How many clean batches are given up in one go.
const CLEAN_GROUP: usize = 64;

/// The store behind its clones, handles and threads.
pub(super) struct Keeper {
    pub(super) me: Weak<Keeper>,
    pub(super) budget: Budget,
    pub(super) space: Arc<SpillSpace>,
    pub(super) shelves: Mutex<Shelves>,
    pub(super) buffers: Buffers,
    pub(super) read_ahead: ReadAhead,
    pub(super) counters: Counters,
    account: Reservation,
    sequence: AtomicU64,
    /// Told whenever a write or a load has ended.
    progress: Mutex<()>,
    progressed: Condvar,
    writer: Background,
    reader: Background,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) spilled_batches: AtomicU64,
    pub(super) loaded_batches: AtomicU64,
    pub(super) loaded_bytes: AtomicU64,
}

impl Keeper {
    pub(super) fn new(budget: Budget, disk: Box<dyn SpillDisk>, directory: PathBuf, cap: SpillCap) -> Arc<Self> {
        let keeper = Arc::new_cyclic(|me: &Weak<Keeper>| Keeper {
            me: me.clone(),
            space: SpillSpace::new(disk, directory, cap),
            shelves: Mutex::default(),
            buffers: Buffers::new(budget.clone()),
            read_ahead: ReadAhead::default(),
            counters: Counters::default(),
            account: budget.reservation("stored batches"),
            sequence: AtomicU64::new(0),
            progress: Mutex::default(),
            progressed: Condvar::new(),
            writer: Background::new("floe-spill", spiller::write_ahead),
            reader: Background::new("floe-ahead", reader::read_ahead),
            budget,
        });
        let weak: Weak<Keeper> = Arc::downgrade(&keeper);
        keeper.budget.register(weak);
        keeper
    }

    pub(super) fn put(self: &Arc<Self>, batch: RecordBatch, order: UseOrder) -> Result<Handle> {
        let batch = footprint::compact(batch);
        let bytes = footprint::batch_bytes(&batch);
        let (rows, schema) = (batch.num_rows(), batch.schema());
        let mut charge = self.reservation();
        charge.grow_anyway(bytes);
        let state = State { memory: Some(Resident::new(batch, charge)), disk: None, place: Place::On(Shelf::Dirty) };
        // The greatest order comes first on the shelves.
        let key = (u32::MAX - order.0, self.sequence.fetch_add(1, Ordering::Relaxed));
        let entry = Arc::new(Entry { key, rows, bytes, schema, tally: Tally::current(), state: Mutex::new(state) });
        self.shelves.lock().insert(Shelf::Dirty, &entry);
        let handle = Handle { entry, keeper: Arc::clone(self) };
        self.granted();
        self.fit(bytes.max(spiller::group_bytes(self.budget.limit())))?;
        Ok(handle)
    }

    /// Gives up memory, `step` bytes at a time, until what is used fits the limit or nothing is left to give up.
    fn fit(&self, step: usize) -> Result<()> {
        loop {
            let excess = self.budget.used().saturating_sub(self.budget.effective_limit());
            if excess == 0 || !self.free_memory(excess.min(step))? {
                return Ok(());
            }
        }
    }

    /// Frees `bytes` where possible. True when asking again may be worth while.
    fn free_memory(&self, bytes: usize) -> Result<bool> {
        let mut freed = 0;
        while freed < bytes {
            let missing = bytes - freed;
            if let Some(given_up) = self.give_up(Shelf::Clean, missing) {
                freed += given_up;
                continue;
            }
            match spiller::write_coldest(self, spiller::Keep::Nothing) {
                Ok(Some(written)) => {
                    freed += written;
                    continue;
                }
                Ok(None) => {}
                Err(_) if freed > 0 => return Ok(true),
                Err(error) => return Err(error),
            }
            if let Some(given_up) = self.give_up(Shelf::Ahead, missing) {
                freed += given_up;
                continue;
            }
            return Ok(freed > 0 || self.wait_for_writers());
        }
        Ok(true)
    }

    /// Frees the memory of the coldest entries of a shelf of batches that are on disk. `None` when it is empty.
    pub(super) fn give_up(&self, shelf: Shelf, bytes: usize) -> Option<usize> {
        let entries = self.shelves.lock().take_coldest(shelf, bytes, CLEAN_GROUP);
        if entries.is_empty() {
            return None;
        }
        let mut freed = 0;
        for entry in &entries {
            let mut state = entry.state.lock();
            if state.place != Place::On(shelf) {
                continue;
            }
            state.place = Place::Free;
            if !state.is_pinned() {
                let memory = state.memory.take();
                drop(state);
                freed += memory.map_or(0, |memory| memory.bytes());
            }
        }
        Some(freed)
    }

    /// Waits until somebody else's write has ended; false when nobody writes.
    fn wait_for_writers(&self) -> bool {
        let mut guard = self.progress.lock();
        if self.shelves.lock().writing() == 0 {
            return false;
        }
        self.progressed.wait_for(&mut guard, LONGEST_WAIT);
        true
    }

    /// Waits while `entry` is being loaded by somebody else.
    pub(super) fn wait_for_load(&self, entry: &Entry) {
        let mut guard = self.progress.lock();
        if entry.state.lock().place == Place::Loading {
            self.progressed.wait_for(&mut guard, LONGEST_WAIT);
        }
    }

    /// Wakes all who wait for a write or a load.
    pub(super) fn note_progress(&self) {
        // Under the lock, so that nobody misses it between looking and waiting.
        let _guard = self.progress.lock();
        self.progressed.notify_all();
    }

    /// Where an unpinned resident batch goes; the caller holds the entry's lock and frees what it gets back.
    pub(super) fn shelve(&self, entry: &Arc<Entry>, state: &mut State) -> Option<Arc<Resident>> {
        let shelf = if state.disk.is_none() {
            Shelf::Dirty
        } else if self.budget.used() <= self.budget.limit() / 100 * ROOMY {
            Shelf::Clean
        } else {
            state.place = Place::Free;
            return state.memory.take();
        };
        state.place = Place::On(shelf);
        self.shelves.lock().insert(shelf, entry);
        None
    }

    /// A reader has finished with `entry`.
    pub(super) fn give_back(&self, entry: &Arc<Entry>, resident: Arc<Resident>) {
        let mut state = entry.state.lock();
        // Given back under the lock, so that exactly one of several readers finds itself the last.
        let last = if state.memory.is_some() {
            drop(resident);
            None
        } else {
            Some(resident)
        };
        let freed = match state.place {
            Place::Free if state.memory.is_some() && !state.is_pinned() => self.shelve(entry, &mut state),
            _ => None,
        };
        drop(state);
        drop((last, freed));
    }

    /// The handle of `entry` is gone.
    pub(super) fn forget(&self, entry: &Arc<Entry>) {
        let mut state = entry.state.lock();
        let place = std::mem::replace(&mut state.place, Place::Gone);
        let (memory, disk) = (state.memory.take(), state.disk.take());
        drop(state);
        if let Place::On(shelf) = place {
            self.shelves.lock().remove(shelf, entry);
        }
        drop((memory, disk));
    }

    pub(super) fn reservation(&self) -> Reservation {
        self.account.sibling()
    }

    /// Whether what only exists in memory is over the high-water mark and some of it can be written.
    pub(super) fn is_over_high_water(&self) -> bool {
        let high_water = self.budget.effective_limit() / 100 * HIGH_WATER;
        let used = self.budget.used();
        if used <= high_water {
            return false;
        }
        let shelves = self.shelves.lock();
        let safe = shelves.bytes(Shelf::Clean) + shelves.bytes(Shelf::Ahead) + shelves.writing();
        shelves.bytes(Shelf::Dirty) > 0 && used.saturating_sub(safe) > high_water
    }

    pub(super) fn wake_reader(&self) {
        self.reader.wake(&self.me);
    }

    pub(super) fn metrics(&self) -> StoreMetrics {
        StoreMetrics {
            live_spilled_bytes: self.space.live(),
            spilled_bytes: self.space.written(),
            spilled_batches: self.counters.spilled_batches.load(Ordering::Relaxed),
            loaded_bytes: self.counters.loaded_bytes.load(Ordering::Relaxed),
            loaded_batches: self.counters.loaded_batches.load(Ordering::Relaxed),
        }
    }
}

impl Evict for Keeper {
    fn evict(&self, bytes: usize) -> Result<bool> {
        // What cannot succeed must not empty the store first.
        if self.shelves.lock().evictable() < bytes {
            return Ok(false);
        }
        self.free_memory(bytes)
    }

    fn granted(&self) {
        if self.is_over_high_water() {
            self.writer.wake(&self.me);
        }
    }

    fn limit_changed(&self) {
        // A disk that refuses is the error of the next who needs memory.
        let _ = self.fit(spiller::group_bytes(self.budget.limit()));
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.writer.stop();
        self.reader.stop();
    }
}
