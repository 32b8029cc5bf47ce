//! Sorting entries: key prefixes and where the rows are.
//!
//! Entries are sorted by sixteen bytes of their keys as numbers; those that are equal so far get the next sixteen bytes
//! for a prefix and are sorted again, among themselves. So a key is fetched from memory once for each sixteen bytes in
//! which it is not alone, and not once for each comparison. (Bentley and Sedgewick, "Fast algorithms for sorting and
//! searching strings", 1997, with characters of sixteen bytes.)

use std::cmp::Ordering;

use crate::ops::sort::keys::{OrderedKeys, Prefix};

/// Groups of equal prefixes as small as this are sorted by comparing whole keys.
const FEW: usize = 8;

/// After so many prefixes whole keys are compared, so that the depth of calls has a bound.
const MOST_PREFIXES: usize = 16;

/// A row to be sorted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// The beginning of its key; while ties are broken some later part of it.
    pub(super) prefix: Prefix,
    pub(super) batch: u32,
    pub(super) row: u32,
}

impl Entry {
    fn keys<'a>(&self, ordered: &'a [OrderedKeys]) -> &'a OrderedKeys {
        &ordered[self.batch as usize]
    }

    /// The order of two entries by all their keys.
    fn compare_rest(&self, other: &Entry, ordered: &[OrderedKeys]) -> Ordering {
        self.keys(ordered).compare_rest(self.row as usize, other.keys(ordered), other.row as usize)
    }
}

/// Sorts `entries`, whose prefixes are the beginnings of their keys in `ordered`; only the first `keep` are of interest.
pub(super) fn sort_entries(entries: &mut Vec<Entry>, ordered: &[OrderedKeys], keep: usize) {
    if keep < entries.len() / 4 && keep > 0 {
        let compare = |left: &Entry, right: &Entry| {
            left.prefix.cmp(&right.prefix).then_with(|| left.compare_rest(right, ordered))
        };
        entries.select_nth_unstable_by(keep - 1, compare);
        entries.truncate(keep);
    }
    entries.sort_unstable_by_key(|entry| entry.prefix);
    break_ties(entries, ordered, 1);
}

/// Sorts those that the first `prefixes` prefixes of their keys leave equal.
fn break_ties(entries: &mut [Entry], ordered: &[OrderedKeys], prefixes: usize) {
    let from = prefixes * Prefix::BYTES;
    for equal in entries.chunk_by_mut(|left, right| left.prefix == right.prefix) {
        if equal.len() == 1 {
            continue;
        }
        // No key begins another: where one has ended, all have, and they are the same.
        let ended = equal[0].keys(ordered).bytes_from(equal[0].row as usize, from).is_empty();
        if !ended && (equal.len() <= FEW || prefixes >= MOST_PREFIXES) {
            equal.sort_unstable_by(|left, right| left.compare_rest(right, ordered));
            continue;
        }
        for entry in &mut *equal {
            let (keys, row) = (entry.keys(ordered), entry.row as usize);
            entry.prefix = match ended {
                true => Prefix::of_sequence(keys.sequence(row)),
                false => Prefix::of(keys.bytes_from(row, from)),
            };
        }
        equal.sort_unstable_by_key(|entry| entry.prefix);
        if !ended {
            break_ties(equal, ordered, prefixes + 1);
        }
    }
}
