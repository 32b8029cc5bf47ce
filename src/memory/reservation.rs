//! Bytes held by one working set.
//!
//! Invariant: dropping a reservation gives back exactly what it holds; merging moves bytes without freeing them
//! in between.

use std::fmt;
use std::sync::Arc;

use super::budget::{Account, Budget};
use crate::config::bytes::format as human;
use crate::error::{Code, Error, Result};
use crate::memory::tally::Tally;

/// How many holders an error lists.
const LISTED_HOLDERS: usize = 3;

/// What is asked for and cannot be done without is small when it is at most one in so many of the limit's bytes, and
/// may then go over the limit by one in so many.
const SMALL_SHARE: usize = 256;
const SMALL_SLACK_SHARE: usize = 16;

/// Bytes that one working set holds. Dropping it gives them back.
pub struct Reservation {
    budget: Budget,
    account: Arc<Account>,
    holder: &'static str,
    bytes: usize,
    /// Who works with what is held.
    tally: Option<Arc<Tally>>,
}

impl Reservation {
    pub(super) fn new(budget: Budget, holder: &'static str, account: Arc<Account>) -> Self {
        Reservation { budget, account, holder, bytes: 0, tally: Tally::current() }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Asks for `additional` bytes; makes the store evict first. False when there is still no room.
    pub fn try_grow(&mut self, additional: usize) -> bool {
        self.grow_evicting(additional, 0).unwrap_or(false)
    }

    /// Asks for `additional` bytes that the holder cannot do without.
    ///
    /// # Errors
    /// `OUT_OF_MEMORY`, naming holder, asked, budget and the largest holders; `SPILL_FAILED` when memory could have
    /// been freed but the disk refused.
    pub fn grow(&mut self, additional: usize) -> Result<()> {
        // What is allocated but not counted grows and shrinks meanwhile: a query must not fail for want of a few pages.
        let limit = self.budget.limit();
        let slack = if additional <= limit / SMALL_SHARE { limit / SMALL_SLACK_SHARE } else { 0 };
        match self.grow_evicting(additional, slack).map_err(|error| error.context(self.holder))? {
            true => Ok(()),
            false => Err(self.refusal(additional)),
        }
    }

    /// Grows (as `try_grow`) or shrinks to exactly `bytes`.
    pub fn try_resize(&mut self, bytes: usize) -> bool {
        if bytes > self.bytes {
            return self.try_grow(bytes - self.bytes);
        }
        self.shrink(self.bytes - bytes);
        true
    }

    /// Gives `bytes` back (at most what is held).
    pub fn shrink(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        if bytes > 0 {
            self.bytes -= bytes;
            self.note_released(bytes);
            self.budget.release(&self.account, bytes);
        }
    }

    /// Takes over what `other` holds (in this holder's name).
    pub fn merge(&mut self, mut other: Reservation) {
        let bytes = std::mem::take(&mut other.bytes);
        other.note_released(bytes);
        self.note_taken(bytes);
        if Arc::ptr_eq(&self.account, &other.account) {
            self.bytes += bytes;
        } else {
            self.budget.take_anyway(&self.account, bytes);
            self.bytes += bytes;
            other.budget.release(&other.account, bytes);
        }
    }

    /// An empty reservation of the same holder.
    pub(crate) fn sibling(&self) -> Reservation {
        let tally = self.tally.clone();
        Reservation {
            budget: self.budget.clone(),
            account: Arc::clone(&self.account),
            holder: self.holder,
            bytes: 0,
            tally,
        }
    }

    /// Takes `additional` bytes whether they fit or not: for memory that exists already.
    pub(crate) fn grow_anyway(&mut self, additional: usize) {
        self.budget.take_anyway(&self.account, additional);
        self.note_taken(additional);
        self.bytes += additional;
    }

    /// Takes `additional` bytes if they leave `used` at or under `ceiling`; evicts nothing.
    pub(crate) fn grow_under(&mut self, additional: usize, ceiling: usize) -> bool {
        let taken = self.budget.take_under(&self.account, additional, ceiling);
        if taken {
            self.note_taken(additional);
            self.bytes += additional;
        }
        taken
    }

    /// As `grow`, but may go `slack` bytes over the limit.
    pub(crate) fn grow_with_slack(&mut self, additional: usize, slack: usize) -> Result<()> {
        match self.grow_evicting(additional, slack)? {
            true => Ok(()),
            false => Err(self.refusal(additional)),
        }
    }

    /// Evicts for as long as that frees anything. The first try and the evictions aim at the limit itself; `slack` is
    /// only used once there is nothing left to evict.
    fn grow_evicting(&mut self, additional: usize, slack: usize) -> Result<bool> {
        loop {
            let ceiling = self.budget.effective_limit();
            if self.grow_under(additional, ceiling) {
                self.budget.note_granted();
                return Ok(true);
            }
            let missing = self.budget.used().saturating_add(additional).saturating_sub(ceiling);
            if additional > ceiling.saturating_add(slack) {
                return Ok(false);
            }
            let evicted = self.budget.evict(missing.max(1));
            if matches!(evicted, Ok(true)) {
                continue;
            }
            if self.grow_under(additional, self.budget.effective_limit().saturating_add(slack)) {
                return Ok(true);
            }
            return evicted;
        }
    }

    fn note_taken(&self, bytes: usize) {
        if let Some(tally) = &self.tally {
            tally.take(bytes);
        }
    }

    fn note_released(&self, bytes: usize) {
        if let Some(tally) = &self.tally {
            tally.release(bytes);
        }
    }

    fn refusal(&self, additional: usize) -> Error {
        let (used, limit) = (self.budget.used(), self.budget.limit());
        let effective = self.budget.effective_limit();
        let mut message = format!(
            "{} asked for {} more; {} of {} are in use",
            self.holder,
            human(additional as u64),
            human(used as u64),
            human(limit as u64)
        );
        if effective < limit {
            message.push_str(&format!(" and {} more are allocated outside", human((limit - effective) as u64)));
        }
        let holders = self.budget.holders();
        if !holders.is_empty() {
            let largest = holders.iter().take(LISTED_HOLDERS);
            let names: Vec<_> = largest.map(|(name, bytes)| format!("{name} {}", human(*bytes as u64))).collect();
            message.push_str(&format!(" (largest: {})", names.join(", ")));
        }
        let wanted = limit.saturating_mul(2).max(used.saturating_add(additional));
        Error::new(Code::OutOfMemory, message).hint(format!(
            "give it more memory: SET memory_limit = '{}'; or let fewer workers hold memory at once: SET threads = 1; \
             or make sure that what waits can go to disk: SET spill_dir = '/a/folder/with/room'",
            human(wanted as u64)
        ))
    }
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reservation({} {} bytes)", self.holder, self.bytes)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.shrink(self.bytes);
    }
}
