//! The order in which resident batches are given up.
//!
//! Three shelves: `Clean` batches are on disk too, so that giving up their memory costs nothing; `Dirty` ones must be
//! written first; `Ahead` were read ahead for somebody and go last. On each, the greatest use order goes first, and
//! within one order the oldest.
//!
//! Invariant: `bytes` of a shelf is the sum of its entries' bytes.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::entry::{Entry, Key};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shelf {
    Clean,
    Dirty,
    Ahead,
}

#[derive(Debug, Default)]
struct Waiting {
    entries: BTreeMap<Key, Arc<Entry>>,
    bytes: usize,
}

#[derive(Debug, Default)]
pub(super) struct Shelves {
    clean: Waiting,
    dirty: Waiting,
    ahead: Waiting,
    /// Bytes of batches that are being written now.
    writing: usize,
}

impl Shelves {
    fn shelf(&mut self, shelf: Shelf) -> &mut Waiting {
        match shelf {
            Shelf::Clean => &mut self.clean,
            Shelf::Dirty => &mut self.dirty,
            Shelf::Ahead => &mut self.ahead,
        }
    }

    pub(super) fn insert(&mut self, shelf: Shelf, entry: &Arc<Entry>) {
        let waiting = self.shelf(shelf);
        if waiting.entries.insert(entry.key, Arc::clone(entry)).is_none() {
            waiting.bytes += entry.bytes;
        }
    }

    pub(super) fn remove(&mut self, shelf: Shelf, entry: &Entry) -> Option<Arc<Entry>> {
        let waiting = self.shelf(shelf);
        let removed = waiting.entries.remove(&entry.key)?;
        waiting.bytes -= removed.bytes;
        Some(removed)
    }

    /// Takes the coldest entries until they add up to `bytes` or are `count`; none when the shelf is empty.
    pub(super) fn take_coldest(&mut self, shelf: Shelf, bytes: usize, count: usize) -> Vec<Arc<Entry>> {
        let waiting = self.shelf(shelf);
        let mut taken = Vec::new();
        let mut sum = 0;
        while sum < bytes && taken.len() < count {
            let Some((_, entry)) = waiting.entries.pop_first() else { break };
            waiting.bytes -= entry.bytes;
            sum += entry.bytes;
            taken.push(entry);
        }
        taken
    }

    pub(super) fn bytes(&self, shelf: Shelf) -> usize {
        match shelf {
            Shelf::Clean => self.clean.bytes,
            Shelf::Dirty => self.dirty.bytes,
            Shelf::Ahead => self.ahead.bytes,
        }
    }

    /// Bytes that eviction could free, at most (some may be pinned).
    pub(super) fn evictable(&self) -> usize {
        self.clean.bytes + self.dirty.bytes + self.ahead.bytes + self.writing
    }

    pub(super) fn writing(&self) -> usize {
        self.writing
    }

    pub(super) fn begin_writing(&mut self, bytes: usize) {
        self.writing += bytes;
    }

    pub(super) fn end_writing(&mut self, bytes: usize) {
        self.writing -= bytes;
    }
}
