//! How much of the budget the tables of one query's joins may pin together.
//!
//! Rows pinned in a table cannot be evicted, and whatever stands behind the join needs memory too. So all tables
//! together take at most half of the budget, and while further joins are to come, one takes half of what is left.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::memory::Budget;

/// Shared by the joins of one query.
#[derive(Debug, Default)]
pub struct JoinShare {
    pinned: AtomicUsize,
    /// Joins whose tables are not made yet.
    pending: AtomicUsize,
}

impl JoinShare {
    pub(super) fn announce(&self) {
        self.pending.fetch_add(1, Ordering::Relaxed);
    }

    /// Bytes that one more table may take now.
    pub(super) fn allowance(&self, budget: &Budget) -> usize {
        let left = (budget.effective_limit() / 2).saturating_sub(self.pinned.load(Ordering::Relaxed));
        if self.pending.load(Ordering::Relaxed) > 1 { left / 2 } else { left }
    }

    /// A table of `bytes` was made.
    pub(super) fn pin(&self, bytes: usize) {
        self.pinned.fetch_add(bytes, Ordering::Relaxed);
        let less = |pending: usize| Some(pending.saturating_sub(1));
        let _ = self.pending.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// It is gone.
    pub(super) fn unpin(&self, bytes: usize) {
        self.pinned.fetch_sub(bytes, Ordering::Relaxed);
    }
}
