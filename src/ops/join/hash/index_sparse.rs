//! Rows by the key itself where integers are spread over a wide range: a bit for each integer, and the rows of those
//! that there are, closely packed.
//!
//! The place of a key's row is the number of smaller keys: those before its word of bits, counted once, and those in it.
//! So the table takes a fraction of the bytes of a hash table, a foreign key is mostly known by one read of a dense
//! bitmap, and neighbouring keys lie side by side. Filling takes two passes: bits first, then rows. This is the rank
//! structure of succinct bit vectors (Jacobson, "Space-efficient Static Trees and Graphs", FOCS 1989).

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::index::{Chains, Duplicates, KeyIndex};
use super::keys::Keys;
use super::zeroed::{zeroed_u32, zeroed_u64};
use crate::error::{Error, Result};

pub(super) struct SparseIndex {
    /// The word of the first bit.
    first: u64,
    bits: Vec<AtomicU64>,
    /// From `seal` on.
    places: OnceLock<Places>,
    duplicates: Duplicates,
}

struct Places {
    /// Keys before each word of bits.
    before: Vec<u32>,
    /// For each key, a row plus one.
    rows: Vec<AtomicU32>,
}

impl SparseIndex {
    pub(super) fn bytes(range: usize, rows: usize) -> usize {
        range.div_ceil(64) * 12 + rows * 4
    }

    pub(super) fn new(first: u64, range: usize, duplicates: Duplicates) -> Self {
        SparseIndex { first, bits: zeroed_u64(range.div_ceil(64)), places: OnceLock::new(), duplicates }
    }

    fn places(&self) -> Result<&Places> {
        self.places.get().ok_or_else(|| Error::internal("a sparse index that is not sealed"))
    }

    /// The word and bit of a key, and the bits of that word; `None` outside of the range.
    #[inline(always)]
    fn look(&self, word: u64) -> Option<(usize, u32, u64)> {
        let place = word.wrapping_sub(self.first);
        let index = (place >> 6) as usize;
        let bits = self.bits.get(index)?.load(Ordering::Relaxed);
        Some((index, (place & 63) as u32, bits))
    }
}

/// The place of a key among all keys.
#[inline(always)]
fn rank(before: &[u32], index: usize, bit: u32, bits: u64) -> usize {
    before[index] as usize + (bits & ((1 << bit) - 1)).count_ones() as usize
}

fn words(keys: &Keys) -> Result<&[u64]> {
    match keys {
        Keys::Words(words, 1) => Ok(words),
        _ => Err(Error::internal("a sparse index over wide keys")),
    }
}

impl KeyIndex for SparseIndex {
    fn insert(&self, _chunk: usize, _first: usize, keys: Keys, _hashes: &[u64], _chains: &Chains) -> Result<()> {
        for &word in words(&keys)? {
            let place = word.wrapping_sub(self.first);
            let bit = 1u64 << (place & 63);
            let Some(bits) = self.bits.get((place >> 6) as usize) else {
                return Err(Error::internal("a build key outside of the bounds"));
            };
            if bits.load(Ordering::Relaxed) & bit == 0 {
                bits.fetch_or(bit, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    fn seal(&self) -> Result<bool> {
        let mut keys = 0u32;
        let before = self.bits.iter().map(|bits| {
            let before = keys;
            keys += bits.load(Ordering::Relaxed).count_ones();
            before
        });
        let before = before.collect();
        let sealed = self.places.set(Places { before, rows: zeroed_u32(keys as usize) });
        sealed.map_err(|_| Error::internal("a sparse index that was sealed twice"))?;
        Ok(true)
    }

    fn place(&self, first: usize, keys: Keys, chains: &Chains) -> Result<()> {
        let Places { before, rows } = self.places()?;
        for (row, &word) in words(&keys)?.iter().enumerate() {
            let Some((index, bit, bits)) = self.look(word) else { continue };
            let head = rows[rank(before, index, bit, bits)].swap((first + row + 1) as u32, Ordering::Relaxed);
            if head != 0 && self.duplicates == Duplicates::Chain {
                chains.link(first + row, head);
            }
        }
        Ok(())
    }

    fn find(&self, keys: &Keys, _hashes: &[u64], found: &mut Vec<u32>) -> Result<()> {
        let Places { before, rows } = self.places()?;
        found.clear();
        found.extend(words(keys)?.iter().map(|&word| match self.look(word) {
            Some((index, bit, bits)) if bits >> bit & 1 == 1 => {
                rows[rank(before, index, bit, bits)].load(Ordering::Relaxed)
            }
            _ => 0,
        }));
        Ok(())
    }

    fn needs_hashes(&self) -> bool {
        false
    }
}
