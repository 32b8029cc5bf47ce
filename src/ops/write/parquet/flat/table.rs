//! Which values a dictionary has: open addressing over their numbers.

/// Slots at the beginning.
const LEAST_SLOTS: usize = 256;

/// Finds the number of a value by its hash.
#[derive(Default)]
pub(super) struct Table {
    /// Number of a value plus one, or zero; a power of two of them.
    slots: Vec<u32>,
    /// By the number of the value.
    hashes: Vec<u64>,
}

impl Table {
    /// The number of the value of `hash` that `is_same`; a new one after `add` where there is none.
    #[inline]
    pub(super) fn index_of(&mut self, hash: u64, is_same: impl Fn(usize) -> bool, add: impl FnOnce()) -> u32 {
        if self.hashes.len() * 2 >= self.slots.len() {
            self.grow();
        }
        let mask = self.slots.len() - 1;
        let mut slot = self.place(hash);
        loop {
            match self.slots[slot] {
                0 => {
                    add();
                    self.hashes.push(hash);
                    let index = self.hashes.len() as u32;
                    self.slots[slot] = index;
                    return index - 1;
                }
                index if is_same(index as usize - 1) => return index - 1,
                _ => slot = (slot + 1) & mask,
            }
        }
    }

    /// The highest bits of a hash are its best.
    fn place(&self, hash: u64) -> usize {
        (hash >> (u64::BITS - self.slots.len().trailing_zeros())) as usize
    }

    fn grow(&mut self) {
        let count = (self.slots.len() * 4).max(LEAST_SLOTS);
        self.slots = vec![0; count];
        self.fill();
    }

    fn fill(&mut self) {
        let mask = self.slots.len().saturating_sub(1);
        for (index, &hash) in self.hashes.iter().enumerate() {
            let mut slot = self.place(hash);
            while self.slots[slot] != 0 {
                slot = (slot + 1) & mask;
            }
            self.slots[slot] = index as u32 + 1;
        }
    }

    /// Forgets all values but the first `count`.
    pub(super) fn truncate(&mut self, count: usize) {
        self.hashes.truncate(count);
        self.slots.fill(0);
        self.fill();
    }

    pub(super) fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<u32>() + self.hashes.capacity() * size_of::<u64>()
    }
}
