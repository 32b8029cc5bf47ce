//! Writing the coldest batches to disk, many small ones at once.
//!
//! Invariant: a batch that could not be written is back on its shelf, whole. Bytes being written count until they are
//! freed.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::background::Outcome;
use super::block::{self, BlockId, Compression};
use super::entry::{Entry, Place, Resident};
use super::keeper::Keeper;
use super::segment::Extent;
use super::shelves::Shelf;
use crate::error::Result;

/// Small batches are gathered into one write of about this many bytes, or of this part of the limit if that is less.
const GROUP_BYTES: usize = 1 << 20;
const GROUP_SHARE: usize = 64;
/// The most batches in one write.
const GROUP_COUNT: usize = 4096;

/// What becomes of the memory of a batch that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// It stays until somebody needs it.
    Memory,
    /// It is freed.
    Nothing,
}

/// How much is written at once under a limit of `limit` bytes.
pub(super) fn group_bytes(limit: usize) -> usize {
    (limit / GROUP_SHARE).clamp(1, GROUP_BYTES)
}

/// A round of the background writer: until enough is on disk, or the disk refuses.
pub(super) fn write_ahead(keeper: &Keeper) -> Outcome {
    while keeper.is_over_high_water() {
        match write_coldest(keeper, Keep::Memory) {
            Ok(Some(_)) => {}
            Ok(None) => return Outcome::Done,
            Err(_) => return Outcome::Failed,
        }
    }
    Outcome::Done
}

/// Writes one group of the coldest batches. The bytes of memory that this freed; `None` when there is nothing to write.
pub(super) fn write_coldest(keeper: &Keeper, keep: Keep) -> Result<Option<usize>> {
    let Some(mut group) = Group::begin(keeper, group_bytes(keeper.budget.limit())) else { return Ok(None) };
    let compression = keeper.space.compression();
    let expected = group.members.iter().map(|(_, resident)| resident.bytes()).sum();
    let extents = keeper.buffers.with(expected, |buffer| {
        let lengths = group.encode(compression, buffer);
        let end = lengths.iter().sum::<usize>();
        if end == 0 {
            return Ok(Vec::new());
        }
        let mut whole = keeper.space.write(buffer.get(..end).unwrap_or_default())?;
        Ok(lengths.into_iter().map(|length| whole.split(length as u64)).collect())
    });
    // When this failed, dropping the group puts its members back.
    extents.map(|extents| Some(group.finish(extents, keep)))
}

/// Batches that one writer has taken upon itself.
struct Group<'a> {
    keeper: &'a Keeper,
    members: Vec<(Arc<Entry>, Arc<Resident>)>,
    /// What `Shelves::writing` counts for it.
    bytes: usize,
}

impl<'a> Group<'a> {
    /// Takes the coldest dirty batches; `None` when there are none.
    fn begin(keeper: &'a Keeper, wanted: usize) -> Option<Self> {
        let mut shelves = keeper.shelves.lock();
        let entries = shelves.take_coldest(Shelf::Dirty, wanted, GROUP_COUNT);
        if entries.is_empty() {
            return None;
        }
        let bytes = entries.iter().map(|entry| entry.bytes).sum();
        shelves.begin_writing(bytes);
        drop(shelves);
        let mut group = Group { keeper, members: Vec::with_capacity(entries.len()), bytes };
        for entry in entries {
            let mut state = entry.state.lock();
            if state.place != Place::On(Shelf::Dirty) {
                continue;
            }
            let Some(resident) = state.memory.clone().filter(|memory| Arc::strong_count(memory) == 2) else {
                // Its reader puts it back.
                state.place = Place::Free;
                continue;
            };
            state.place = Place::Writing;
            drop(state);
            group.members.push((entry, resident));
        }
        Some(group)
    }

    /// Encodes the members one after another; the length of each block. A batch of a type that has no form on disk
    /// stays in memory, off the shelves.
    fn encode(&mut self, compression: Compression, buffer: &mut Vec<u8>) -> Vec<usize> {
        let mut lengths = Vec::with_capacity(self.members.len());
        let mut end = 0;
        self.members.retain(|(entry, resident)| {
            let id = BlockId(entry.key.1);
            let Ok(next) = block::encode_block(resident.batch(), id, compression, buffer, end) else {
                let mut state = entry.state.lock();
                if state.place == Place::Writing {
                    state.place = Place::Free;
                }
                return false;
            };
            lengths.push(next - end);
            end = next;
            true
        });
        lengths
    }

    /// The members are on disk; the bytes of memory that this freed.
    fn finish(mut self, extents: Vec<Extent>, keep: Keep) -> usize {
        let mut freed = 0;
        let counters = &self.keeper.counters;
        counters.spilled_batches.fetch_add(extents.len() as u64, Ordering::Relaxed);
        for ((entry, resident), extent) in self.members.drain(..).zip(extents) {
            let mut state = entry.state.lock();
            if state.place != Place::Writing {
                // The handle is gone: so are, after this, the batch and its place on disk.
                drop(state);
                continue;
            }
            state.disk = Some(Arc::new(extent));
            if let Some(tally) = &entry.tally {
                tally.add_spilled(entry.bytes);
            }
            state.place = Place::Free;
            drop(resident);
            if state.is_pinned() {
                continue;
            }
            if keep == Keep::Memory {
                state.place = Place::On(Shelf::Clean);
                self.keeper.shelves.lock().insert(Shelf::Clean, &entry);
                continue;
            }
            let memory = state.memory.take();
            drop(state);
            freed += memory.map_or(0, |memory| memory.bytes());
        }
        freed
    }
}

impl Drop for Group<'_> {
    fn drop(&mut self) {
        // Those that `finish` has not taken were not written: they go back to where they were.
        for (entry, resident) in self.members.drain(..) {
            let mut state = entry.state.lock();
            if state.place != Place::Writing {
                continue;
            }
            state.place = Place::Free;
            drop(resident);
            if !state.is_pinned() {
                state.place = Place::On(Shelf::Dirty);
                self.keeper.shelves.lock().insert(Shelf::Dirty, &entry);
            }
        }
        self.keeper.shelves.lock().end_writing(self.bytes);
        self.keeper.note_progress();
    }
}
