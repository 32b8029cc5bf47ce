//! Which rows had a partner: one bit a row.

use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::BooleanArray;
use arrow::buffer::{BooleanBuffer, Buffer};

use crate::error::Result;
use crate::memory::Reservation;
use crate::store::QueryContext;

/// One bit for each row of a batch.
#[derive(Debug, Clone)]
pub(in crate::ops::join) struct Bits {
    words: Vec<u64>,
    rows: usize,
}

impl Bits {
    pub(in crate::ops::join) fn new(rows: usize) -> Self {
        Bits { words: vec![0; rows.div_ceil(64)], rows }
    }

    #[inline]
    pub(in crate::ops::join) fn set(&mut self, row: usize) {
        if let Some(word) = self.words.get_mut(row / 64) {
            *word |= 1 << (row % 64);
        }
    }

    #[inline]
    pub(in crate::ops::join) fn get(&self, row: usize) -> bool {
        self.words.get(row / 64).is_some_and(|word| word >> (row % 64) & 1 == 1)
    }

    pub(in crate::ops::join) fn set_all(&mut self) {
        self.words.fill(u64::MAX);
    }

    pub(in crate::ops::join) fn to_buffer(&self) -> BooleanBuffer {
        BooleanBuffer::new(Buffer::from_slice_ref(&self.words), 0, self.rows)
    }
}

/// One bit for each row of a build side, set by all lanes. The order of the writes does not matter, and whoever reads
/// stands behind the scheduler's barrier.
#[derive(Debug)]
pub(in crate::ops::join) struct SharedBits {
    words: Box<[AtomicU64]>,
    _reservation: Reservation,
}

impl SharedBits {
    /// Bits for `rows` rows, none of them set.
    ///
    /// # Errors
    /// `OUT_OF_MEMORY` when there is no room for them.
    pub(in crate::ops::join) fn new(context: &QueryContext, rows: usize) -> Result<Self> {
        let words = rows.div_ceil(64);
        let mut reservation = context.budget.reservation("join marks");
        reservation.grow(words * size_of::<u64>())?;
        Ok(SharedBits { words: (0..words).map(|_| AtomicU64::new(0)).collect(), _reservation: reservation })
    }

    #[inline]
    pub(in crate::ops::join) fn set(&self, row: usize) {
        let Some(word) = self.words.get(row / 64) else { return };
        let bit = 1 << (row % 64);
        // Most rows are set many times over, and a read is shared between the processors.
        if word.load(Ordering::Relaxed) & bit == 0 {
            word.fetch_or(bit, Ordering::Relaxed);
        }
    }

    pub(in crate::ops::join) fn set_range(&self, rows: std::ops::Range<usize>) {
        rows.for_each(|row| self.set(row));
    }

    /// The bits of `rows` rows from `first` on.
    pub(in crate::ops::join) fn mask(&self, first: usize, rows: usize) -> BooleanArray {
        let get = |row: usize| {
            self.words.get(row / 64).is_some_and(|word| word.load(Ordering::Relaxed) >> (row % 64) & 1 == 1)
        };
        BooleanArray::new(BooleanBuffer::collect_bool(rows, |row| get(first + row)), None)
    }
}
