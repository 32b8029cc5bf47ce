//! The open-addressing table under every index: hash to candidate group numbers.
//!
//! A slot is 8 bytes: 32 bits of the hash as a tag, and the group number plus one (0 is empty). Linear probing, at most
//! 5/8 full. The tag lets nearly every probe of a foreign group fail without touching its key.

/// Hash slots without keys.
pub(super) struct Slots {
    slots: Vec<u64>,
    mask: usize,
    len: usize,
    /// The full hash of each group, for growing without the keys.
    hashes: Vec<u64>,
}

const SMALLEST: usize = 1 << 8;

impl Slots {
    pub(super) fn new() -> Self {
        Slots { slots: vec![0; SMALLEST], mask: SMALLEST - 1, len: 0, hashes: Vec::new() }
    }

    /// Groups so far.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn bytes(&self) -> usize {
        self.slots.capacity() * 8 + self.hashes.capacity() * 8
    }

    /// Bytes that `rows` more groups may add while growing.
    pub(super) fn growth(&self, rows: usize) -> usize {
        let after = capacity_for(self.len + rows);
        let slots = if after > self.slots.len() { after * 8 } else { 0 };
        slots + vec_growth(&self.hashes, rows)
    }

    /// Makes room for `rows` more groups, so that `find_or_insert` never grows within a batch.
    pub(super) fn reserve(&mut self, rows: usize) {
        self.hashes.reserve(rows);
        let after = capacity_for(self.len + rows);
        if after <= self.slots.len() {
            return;
        }
        self.slots = Vec::new();
        self.slots.resize(after, 0);
        self.mask = after - 1;
        for (group, &hash) in self.hashes.iter().enumerate() {
            let mut slot = hash as usize & self.mask;
            while self.slots[slot] != 0 {
                slot = (slot + 1) & self.mask;
            }
            self.slots[slot] = (hash & TAG) | (group as u64 + 1);
        }
    }

    /// The group whose hash is `hash` and for which `same` holds; if there is none, a new one is made and `true` comes
    /// with it. `reserve` must have been called for the batch.
    #[inline(always)]
    pub(super) fn find_or_insert(&mut self, hash: u64, mut same: impl FnMut(usize) -> bool) -> (usize, bool) {
        let mut slot = hash as usize & self.mask;
        loop {
            let entry = self.slots[slot];
            if entry == 0 {
                let group = self.len;
                self.slots[slot] = (hash & TAG) | (group as u64 + 1);
                self.hashes.push(hash);
                self.len += 1;
                return (group, true);
            }
            if (entry ^ hash) & TAG == 0 {
                let group = (entry as u32 - 1) as usize;
                if same(group) {
                    return (group, false);
                }
            }
            slot = (slot + 1) & self.mask;
        }
    }

    /// Forgets all groups and gives the memory back.
    pub(super) fn clear(&mut self) {
        *self = Slots::new();
    }
}

const TAG: u64 = 0xFFFF_FFFF_0000_0000;

/// Slots for `groups` groups: a power of two, at most 5/8 full.
fn capacity_for(groups: usize) -> usize {
    (groups * 8 / 5 + 1).next_power_of_two().max(SMALLEST)
}

/// Bytes a vector will ask for when `more` elements are pushed (the old buffer still lives while it is copied).
pub(super) fn vec_growth<T>(vec: &Vec<T>, more: usize) -> usize {
    let needed = vec.len() + more;
    if needed <= vec.capacity() { 0 } else { needed.max(vec.capacity() * 2) * size_of::<T>() }
}
