//! From keys to build rows: slots addressed by a hash, or by the key itself.
//!
//! All forms are filled by several threads at once and read when all have finished. A slot leads to one row of a key;
//! further rows of the same key hang on that one in a chain (`Chains`). Rows are numbers plus one; 0 is none.
//!
//! A hash slot is 8 bytes, 32 bits of the hash as a tag and the row, with linear probing; at most 5/8 of them are taken.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use arrow::array::BinaryArray;
use arrow::buffer::ScalarBuffer;

use super::keys::Keys;
use super::zeroed::{zeroed_u32, zeroed_u64};
use crate::error::{Error, Result};

const TAG: u64 = 0xFFFF_FFFF_0000_0000;
const SMALLEST: usize = 16;
/// Rows whose slots are fetched before the first of them is written.
const BLOCK: usize = 128;

/// The further rows of each key, by row number.
pub(super) struct Chains {
    next: OnceLock<Vec<AtomicU32>>,
    capacity: usize,
}

impl Chains {
    pub(super) fn new(capacity: usize) -> Self {
        Chains { next: OnceLock::new(), capacity }
    }

    pub(super) fn bytes(capacity: usize) -> usize {
        capacity * 4
    }

    /// Hangs the row or chain `next` (plus one) on row `row`.
    pub(super) fn link(&self, row: usize, next: u32) {
        let links = self.next.get_or_init(|| zeroed_u32(self.capacity));
        if let Some(link) = links.get(row) {
            link.store(next, Ordering::Relaxed);
        }
    }

    /// Whether every key has one row.
    pub(super) fn is_unique(&self) -> bool {
        self.next.get().is_none()
    }

    /// The links by row number; none where every key has one row.
    pub(super) fn links(&self) -> &[AtomicU32] {
        self.next.get().map_or(&[], Vec::as_slice)
    }
}

/// What to do with a further row of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Duplicates {
    Chain,
    Drop,
}

/// Keys to rows.
pub(super) trait KeyIndex: Send + Sync {
    /// Adds the rows of chunk `chunk`, whose first row number is `first`. Called once for each chunk, by any thread.
    fn insert(&self, chunk: usize, first: usize, keys: Keys, hashes: &[u64], chains: &Chains) -> Result<()>;

    /// For each key, its first row plus one, or 0, into `rows` (overwritten).
    fn find(&self, keys: &Keys, hashes: &[u64], rows: &mut Vec<u32>) -> Result<()>;

    /// Whether `hashes` are looked at.
    fn needs_hashes(&self) -> bool;

    /// Called once between the last `insert` and the first `place`. Whether every chunk has to be placed.
    fn seal(&self) -> Result<bool> {
        Ok(false)
    }

    /// Where `seal` asks for it: puts the rows of a chunk where their keys lead. Called as `insert`.
    fn place(&self, _first: usize, _keys: Keys, _chains: &Chains) -> Result<()> {
        Ok(())
    }
}

/// Rows by the key itself: integers of a small range.
pub(super) struct DirectIndex {
    /// The word of the first slot.
    first: u64,
    slots: Vec<AtomicU32>,
    duplicates: Duplicates,
}

impl DirectIndex {
    pub(super) fn bytes(range: usize) -> usize {
        range * 4
    }

    pub(super) fn new(first: u64, range: usize, duplicates: Duplicates) -> Self {
        DirectIndex { first, slots: zeroed_u32(range), duplicates }
    }
}

impl KeyIndex for DirectIndex {
    fn insert(&self, _chunk: usize, first: usize, keys: Keys, _hashes: &[u64], chains: &Chains) -> Result<()> {
        let Keys::Words(words, 1) = keys else { return Err(Error::internal("a direct index over wide keys")) };
        for (row, &word) in words.iter().enumerate() {
            let Some(slot) = self.slots.get(word.wrapping_sub(self.first) as usize) else {
                return Err(Error::internal("a build key outside of the bounds"));
            };
            let before = slot.swap((first + row + 1) as u32, Ordering::Relaxed);
            if before != 0 && self.duplicates == Duplicates::Chain {
                chains.link(first + row, before);
            }
        }
        Ok(())
    }

    fn find(&self, keys: &Keys, _hashes: &[u64], rows: &mut Vec<u32>) -> Result<()> {
        let Keys::Words(words, 1) = keys else { return Err(Error::internal("a direct index over wide keys")) };
        rows.clear();
        let find = |&word: &u64| match self.slots.get(word.wrapping_sub(self.first) as usize) {
            Some(slot) => slot.load(Ordering::Relaxed),
            None => 0,
        };
        rows.extend(words.iter().map(find));
        Ok(())
    }

    fn needs_hashes(&self) -> bool {
        false
    }
}

/// The keys of some rows, by row.
pub(super) trait KeyBatch: Send + Sync + Sized {
    type Key: ?Sized + PartialEq;
    fn new(keys: Keys) -> Option<Self>;
    fn key(&self, row: usize) -> &Self::Key;
    /// Reads where the key lies.
    fn touch(&self, row: usize) -> u64;
}

/// Keys of `W` words.
pub(super) struct WordKeys<const W: usize>(ScalarBuffer<u64>);

impl<const W: usize> KeyBatch for WordKeys<W> {
    type Key = [u64; W];

    fn new(keys: Keys) -> Option<Self> {
        match keys {
            Keys::Words(words, width) if width == W => Some(WordKeys(words)),
            _ => None,
        }
    }

    #[inline(always)]
    fn key(&self, row: usize) -> &[u64; W] {
        &self.0.as_chunks::<W>().0[row]
    }

    #[inline(always)]
    fn touch(&self, row: usize) -> u64 {
        self.0[row * W]
    }
}

impl KeyBatch for BinaryArray {
    type Key = [u8];

    fn new(keys: Keys) -> Option<Self> {
        match keys {
            Keys::Bytes(bytes) => Some(bytes),
            Keys::Words(..) => None,
        }
    }

    #[inline(always)]
    fn key(&self, row: usize) -> &[u8] {
        self.value(row)
    }

    #[inline(always)]
    fn touch(&self, row: usize) -> u64 {
        self.value_offsets()[row] as u64
    }
}

/// Rows by the hash of the key.
pub(super) struct HashIndex<B> {
    slots: Vec<AtomicU64>,
    mask: usize,
    /// The keys of each chunk, from its `insert` on.
    chunks: Vec<OnceLock<B>>,
    /// Bits of a row number that are the row within its chunk.
    shift: u32,
    duplicates: Duplicates,
}

/// Bytes of the slots for `rows` rows.
pub(super) fn hash_slot_bytes(rows: usize) -> usize {
    slot_count(rows) * 8
}

/// A power of two, at most 5/8 full.
fn slot_count(rows: usize) -> usize {
    (rows * 8 / 5 + 1).next_power_of_two().max(SMALLEST)
}

impl<B: KeyBatch> HashIndex<B> {
    pub(super) fn new(rows: usize, chunks: usize, shift: u32, duplicates: Duplicates) -> Self {
        let slots = slot_count(rows);
        let mut keys = Vec::new();
        keys.resize_with(chunks, OnceLock::new);
        HashIndex { slots: zeroed_u64(slots), mask: slots - 1, chunks: keys, shift, duplicates }
    }

    /// Whether the row of number `row` has key `key`.
    #[inline(always)]
    fn has_key(&self, row: usize, key: &B::Key) -> bool {
        match self.chunks[row >> self.shift].get() {
            Some(keys) => keys.key(row & ((1 << self.shift) - 1)) == key,
            None => false,
        }
    }

    /// Reads something of the key of row `row`.
    #[inline(always)]
    fn touch(&self, row: usize) -> u64 {
        match self.chunks[row >> self.shift].get() {
            Some(keys) => keys.touch(row & ((1 << self.shift) - 1)),
            None => 0,
        }
    }

    fn insert_row(&self, row: usize, key: &B::Key, hash: u64, chains: &Chains) {
        let new = hash & TAG | (row as u64 + 1);
        let mut place = hash as usize & self.mask;
        loop {
            let slot = &self.slots[place];
            let entry = slot.load(Ordering::Acquire);
            if entry == 0 {
                if slot.compare_exchange(0, new, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                    return;
                }
                continue;
            }
            if (entry ^ hash) & TAG == 0 && self.has_key((entry as u32 - 1) as usize, key) {
                if self.duplicates == Duplicates::Drop {
                    return;
                }
                chains.link(row, entry as u32);
                if slot.compare_exchange(entry, new, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                    return;
                }
                continue;
            }
            place = (place + 1) & self.mask;
        }
    }
}

impl<B: KeyBatch> KeyIndex for HashIndex<B> {
    fn insert(&self, chunk: usize, first: usize, keys: Keys, hashes: &[u64], chains: &Chains) -> Result<()> {
        let wrong = || Error::internal("build keys of another form, or twice the same chunk");
        let keys = B::new(keys).ok_or_else(wrong)?;
        let place = self.chunks.get(chunk).ok_or_else(wrong)?;
        place.set(keys).map_err(|_| wrong())?;
        let keys = place.get().ok_or_else(wrong)?;
        for (block, hashes) in hashes.chunks(BLOCK).enumerate() {
            // Plain reads overlap their cache misses; the exchanges below would wait for each.
            let touched =
                hashes.iter().fold(0, |sum, &hash| sum | self.slots[hash as usize & self.mask].load(Ordering::Relaxed));
            std::hint::black_box(touched);
            for (index, &hash) in hashes.iter().enumerate() {
                let row = block * BLOCK + index;
                self.insert_row(first + row, keys.key(row), hash, chains);
            }
        }
        Ok(())
    }

    fn find(&self, keys: &Keys, hashes: &[u64], rows: &mut Vec<u32>) -> Result<()> {
        let keys = B::new(keys.clone()).ok_or_else(|| Error::internal("probe keys of another form"))?;
        rows.clear();
        rows.reserve(hashes.len());
        let mut entries = [0u64; BLOCK];
        for (block, hashes) in hashes.chunks(BLOCK).enumerate() {
            // First all slots, then all keys that they lead to, so that their cache misses overlap.
            for (entry, &hash) in entries.iter_mut().zip(hashes) {
                *entry = self.slots[hash as usize & self.mask].load(Ordering::Relaxed);
            }
            let mut touched = 0;
            for (&entry, &hash) in entries.iter().zip(hashes) {
                if entry != 0 && (entry ^ hash) & TAG == 0 {
                    touched |= self.touch((entry as u32 - 1) as usize);
                }
            }
            std::hint::black_box(touched);
            for (index, (&entry, &hash)) in entries.iter().zip(hashes).enumerate() {
                rows.push(self.follow(entry, hash, keys.key(block * BLOCK + index)));
            }
        }
        Ok(())
    }

    fn needs_hashes(&self) -> bool {
        true
    }
}

impl<B: KeyBatch> HashIndex<B> {
    /// The row of `key`, beginning at the slot that holds `entry`.
    #[inline(always)]
    fn follow(&self, mut entry: u64, hash: u64, key: &B::Key) -> u32 {
        let mut place = hash as usize & self.mask;
        while entry != 0 {
            if (entry ^ hash) & TAG == 0 && self.has_key((entry as u32 - 1) as usize, key) {
                return entry as u32;
            }
            place = (place + 1) & self.mask;
            entry = self.slots[place].load(Ordering::Relaxed);
        }
        0
    }
}
