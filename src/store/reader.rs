//! Bringing batches back from disk: when asked for, and ahead of that.
//!
//! Invariant: a batch is counted before it is read, and read by one thread at a time; its checksum and its identity
//! are verified before a single value of it is used.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::background::Outcome;
use super::block::{self, BlockId};
use super::entry::{Entry, Place, Resident};
use super::footprint;
use super::keeper::Keeper;
use super::segment::Extent;
use super::shelves::Shelf;
use crate::error::{Error, Result};
use crate::memory::Reservation;

/// What is read ahead holds at most this part of the limit.
const AHEAD_SHARE: usize = 16;
/// Loading may exceed the limit by this part of it when nothing can be evicted: whoever has reserved all there is must
/// still be able to read what it put away, batch by batch.
const SLACK_SHARE: usize = 8;

/// Batches that somebody will ask for soon.
#[derive(Debug, Default)]
pub(super) struct ReadAhead {
    wanted: Mutex<VecDeque<(Weak<Entry>, usize)>>,
    wanted_bytes: AtomicUsize,
}

impl Keeper {
    /// The batch of `entry`, read from disk where needed. The caller gives it back.
    pub(super) fn load(&self, entry: &Arc<Entry>) -> Result<Arc<Resident>> {
        let extent = loop {
            let mut state = entry.state.lock();
            if let Some(memory) = &state.memory {
                let memory = Arc::clone(memory);
                if state.place == Place::On(Shelf::Ahead) {
                    state.place = Place::Free;
                    self.shelves.lock().remove(Shelf::Ahead, entry);
                }
                return Ok(memory);
            }
            if state.place == Place::Loading {
                drop(state);
                self.wait_for_load(entry);
                continue;
            }
            let Some(extent) = state.disk.clone() else {
                return Err(Error::internal("a stored batch is neither in memory nor on disk"));
            };
            state.place = Place::Loading;
            break extent;
        };
        let loading = Loading { keeper: self, entry };
        let mut charge = self.reservation();
        charge.grow_with_slack(entry.bytes, self.budget.limit() / SLACK_SHARE)?;
        let resident = self.read(entry, &extent, charge)?;
        let mut state = entry.state.lock();
        if state.place == Place::Loading {
            state.place = Place::Free;
            state.memory = Some(Arc::clone(&resident));
        }
        drop(state);
        drop(loading);
        Ok(resident)
    }

    fn read(&self, entry: &Entry, extent: &Extent, mut charge: Reservation) -> Result<Arc<Resident>> {
        let length = usize::try_from(extent.length()).map_err(|_| Error::internal("a block larger than memory"))?;
        let batch = self.buffers.with(length, |buffer| {
            if buffer.len() < length {
                buffer.resize(length, 0);
            }
            let bytes = buffer.get_mut(..length).unwrap_or_default();
            extent.read(bytes)?;
            block::decode_block(bytes, BlockId(entry.key.1), &entry.schema, entry.rows)
                .map_err(|error| error.context(extent.place()))
        })?;
        // Arrays are padded a little differently once read back.
        let bytes = footprint::batch_bytes(&batch);
        charge.shrink(charge.bytes().saturating_sub(bytes));
        charge.grow_anyway(bytes.saturating_sub(charge.bytes()));
        self.counters.loaded_batches.fetch_add(1, Ordering::Relaxed);
        self.counters.loaded_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        Ok(Resident::new(batch, charge))
    }

    /// Puts the entries that are on disk on the reader's list, for as long as they fit in its share.
    pub(super) fn prefetch<'a>(&self, entries: impl Iterator<Item = &'a Arc<Entry>>) {
        let most = self.budget.limit() / AHEAD_SHARE;
        let mut added = false;
        for entry in entries {
            let state = entry.state.lock();
            let is_on_disk = state.memory.is_none() && state.place == Place::Free;
            drop(state);
            if !is_on_disk {
                continue;
            }
            let ahead = self.shelves.lock().bytes(Shelf::Ahead);
            if ahead + self.read_ahead.wanted_bytes.load(Ordering::Relaxed) + entry.bytes > most {
                break;
            }
            self.read_ahead.wanted_bytes.fetch_add(entry.bytes, Ordering::Relaxed);
            self.read_ahead.wanted.lock().push_back((Arc::downgrade(entry), entry.bytes));
            added = true;
        }
        if added {
            self.wake_reader();
        }
    }

    /// Reads one wanted entry, unless somebody else has, or there is no room.
    fn fetch(&self, entry: &Arc<Entry>) -> Result<()> {
        let mut charge = self.reservation();
        // Only memory that can be given up at once makes room: reading ahead must not cause writing.
        while !charge.grow_under(entry.bytes, self.budget.effective_limit()) {
            if self.give_up(Shelf::Clean, entry.bytes).is_none() {
                return Ok(());
            }
        }
        let mut state = entry.state.lock();
        let extent = match (&state.memory, &state.disk) {
            (None, Some(extent)) if state.place == Place::Free => Arc::clone(extent),
            _ => return Ok(()),
        };
        state.place = Place::Loading;
        drop(state);
        let loading = Loading { keeper: self, entry };
        let resident = self.read(entry, &extent, charge)?;
        let mut state = entry.state.lock();
        let unwanted = if state.place == Place::Loading {
            state.memory = Some(resident);
            state.place = Place::On(Shelf::Ahead);
            self.shelves.lock().insert(Shelf::Ahead, entry);
            None
        } else {
            Some(resident)
        };
        drop(state);
        drop((loading, unwanted));
        Ok(())
    }
}

/// An entry that its holder loads. However that ends, the others may go on then.
struct Loading<'a> {
    keeper: &'a Keeper,
    entry: &'a Entry,
}

impl Drop for Loading<'_> {
    fn drop(&mut self) {
        let mut state = self.entry.state.lock();
        if state.place == Place::Loading {
            state.place = Place::Free;
        }
        drop(state);
        self.keeper.note_progress();
    }
}

/// A round of the background reader. What cannot be read is left to whoever asks for it, with the error.
pub(super) fn read_ahead(keeper: &Keeper) -> Outcome {
    loop {
        let Some((entry, bytes)) = keeper.read_ahead.wanted.lock().pop_front() else { return Outcome::Done };
        if let Some(entry) = entry.upgrade() {
            let _ = keeper.fetch(&entry);
        }
        keeper.read_ahead.wanted_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}
