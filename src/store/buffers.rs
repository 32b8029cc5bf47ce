//! Buffers in which blocks are built and read, used again and again.
//!
//! Invariant: a buffer in use is counted in the budget; those that lie idle are few and small.

use parking_lot::Mutex;

use crate::memory::{Budget, Reservation};

/// Buffers that may lie idle.
const MOST_IDLE: usize = 4;
/// All idle buffers together hold at most this part of the budget.
const IDLE_SHARE: usize = 32;

#[derive(Debug)]
pub(super) struct Buffers {
    budget: Budget,
    idle: Mutex<Vec<Vec<u8>>>,
}

impl Buffers {
    pub(super) fn new(budget: Budget) -> Self {
        Buffers { budget, idle: Mutex::default() }
    }

    /// Runs `work` with a buffer of any content and length; `expected` bytes of it are counted meanwhile.
    pub(super) fn with<T>(&self, expected: usize, work: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let mut buffer = self.idle.lock().pop().unwrap_or_default();
        let mut charge: Reservation = self.budget.reservation("spill buffers");
        charge.grow_anyway(expected.max(buffer.capacity()));
        let answer = work(&mut buffer);
        if buffer.capacity() <= self.budget.limit() / IDLE_SHARE / MOST_IDLE {
            let mut idle = self.idle.lock();
            if idle.len() < MOST_IDLE {
                idle.push(buffer);
            }
        }
        answer
    }
}
