//! The budget of one session: its limit, what is used of it and by whom.
//!
//! Invariant: `used` is the sum of what the accounts hold. Working sets never push it over the limit; batches that
//! exist already (the store's) may, for as long as it takes to write something out.
//!
//! Where the counting allocator is installed, memory that nobody accounts for (decoders, batches on their way) shrinks
//! the limit, but never below a quarter of it: a leak elsewhere must not stop every query.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::{Mutex, RwLock};

use super::allocator::allocated;
use super::pages::{HUGE_PAGES_FROM, forget_code};
use super::reservation::Reservation;
use super::resident::keep_under;
use crate::error::Result;

/// Unaccounted memory leaves at least `limit / LEAST_SHARE` to those who ask.
const LEAST_SHARE: usize = 4;
/// Where the allocator is counted, `limit / ALLOCATOR_SHARE` is left to what it keeps between allocations, and so many
/// bytes (at most an eighth of the limit) to the threads' caches and stacks.
const ALLOCATOR_SHARE: usize = 16;
const THREADS_SHARE: usize = 8 << 20;

/// Bytes accounted in all budgets of the process, to be compared with what is allocated.
static ACCOUNTED: AtomicIsize = AtomicIsize::new(0);
/// What was allocated when the first budget was made: an idle process.
static BASELINE: OnceLock<usize> = OnceLock::new();

/// Something that can free memory on demand: the store.
pub trait Evict: Send + Sync {
    /// Frees at least `bytes` where it can, on the caller's thread. True when it freed something (or somebody else
    /// did while it waited), so that asking again may succeed.
    ///
    /// # Errors
    /// `SPILL_FAILED` when it could have freed memory but the disk refused.
    fn evict(&self, bytes: usize) -> Result<bool>;

    /// Told after each grant, so that eviction can begin in the background before anybody has to wait for it.
    fn granted(&self);

    /// Told when the limit has changed: gives up what it can of what no longer fits.
    fn limit_changed(&self);
}

/// The memory that one session may use, shared by all its queries. Clones are the same budget.
#[derive(Clone)]
pub struct Budget(Arc<Shared>);

struct Shared {
    limit: AtomicUsize,
    used: AtomicUsize,
    accounts: Mutex<HashMap<&'static str, Arc<Account>>>,
    evictors: RwLock<Vec<Weak<dyn Evict>>>,
}

/// What all reservations of one holder hold together.
#[derive(Debug, Default)]
pub(crate) struct Account {
    bytes: AtomicUsize,
}

impl Budget {
    /// A budget of `limit` bytes.
    pub fn new(limit: usize) -> Self {
        BASELINE.get_or_init(|| allocated().unwrap_or(0));
        super::jemalloc::follow_limit(limit);
        Budget(Arc::new(Shared {
            limit: AtomicUsize::new(limit),
            used: AtomicUsize::new(0),
            accounts: Mutex::default(),
            evictors: RwLock::default(),
        }))
    }

    /// The limit in bytes.
    pub fn limit(&self) -> usize {
        self.0.limit.load(Ordering::Relaxed)
    }

    /// Changes the limit. The store evicts down to it as far as it can; working sets stay as they are.
    pub fn set_limit(&self, limit: usize) {
        self.0.limit.store(limit, Ordering::Relaxed);
        super::jemalloc::follow_limit(limit);
        let evictors: Vec<_> = self.0.evictors.read().iter().filter_map(Weak::upgrade).collect();
        for evictor in evictors {
            evictor.limit_changed();
        }
    }

    /// A query has been planned and begins to run: under a small limit what only planning touched is let go.
    pub fn note_planned(&self) {
        if (self.limit() as u64) < HUGE_PAGES_FROM && allocated().is_some() {
            forget_code();
        }
    }

    /// Bytes reserved and resident now.
    pub fn used(&self) -> usize {
        self.0.used.load(Ordering::Relaxed)
    }

    /// The limit less the memory that is allocated but that nobody accounts for, at least a quarter of the limit.
    pub fn effective_limit(&self) -> usize {
        let limit = self.limit();
        let Some(unaccounted) = unaccounted() else { return limit };
        limit
            .saturating_sub(unaccounted + limit / ALLOCATOR_SHARE + THREADS_SHARE.min(limit / 8))
            .max(limit / LEAST_SHARE)
    }

    /// Those who hold memory now, by name, the largest first.
    pub fn holders(&self) -> Vec<(&'static str, usize)> {
        let held = |(name, account): (&&'static str, &Arc<Account>)| (*name, account.bytes.load(Ordering::Relaxed));
        let mut holders: Vec<_> = self.0.accounts.lock().iter().map(held).filter(|(_, bytes)| *bytes > 0).collect();
        holders.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        holders
    }

    /// An empty reservation in the name of `holder` (an operator's name, for the error that lists the holders).
    pub fn reservation(&self, holder: &'static str) -> Reservation {
        let account = Arc::clone(self.0.accounts.lock().entry(holder).or_default());
        Reservation::new(self.clone(), holder, account)
    }

    /// Registers something that frees memory on demand, for as long as it lives.
    pub fn register(&self, evictor: Weak<dyn Evict>) {
        let mut evictors = self.0.evictors.write();
        evictors.retain(|known| known.strong_count() > 0);
        evictors.push(evictor);
    }

    /// Takes `bytes` for `account` if that leaves `used` at or under `ceiling`. Evicts nothing.
    pub(crate) fn take_under(&self, account: &Account, bytes: usize, ceiling: usize) -> bool {
        let fits = |used: usize| used.checked_add(bytes).filter(|&sum| sum <= ceiling);
        if self.0.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, fits).is_err() {
            return false;
        }
        self.note_taken(account, bytes);
        true
    }

    /// Takes `bytes` for `account` whether they fit or not: for memory that exists already.
    pub(crate) fn take_anyway(&self, account: &Account, bytes: usize) {
        self.0.used.fetch_add(bytes, Ordering::AcqRel);
        self.note_taken(account, bytes);
    }

    fn note_taken(&self, account: &Account, bytes: usize) {
        account.bytes.fetch_add(bytes, Ordering::Relaxed);
        ACCOUNTED.fetch_add(bytes as isize, Ordering::Relaxed);
        keep_under(self.limit());
    }

    /// Gives back what `account` took.
    pub(crate) fn release(&self, account: &Account, bytes: usize) {
        ACCOUNTED.fetch_sub(bytes as isize, Ordering::Relaxed);
        account.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.0.used.fetch_sub(bytes, Ordering::AcqRel);
    }

    /// Makes the evictors free `bytes`; false when nothing more can be freed.
    pub(crate) fn evict(&self, bytes: usize) -> Result<bool> {
        // Collected first: an evictor may wait for the disk, and others must be able to ask meanwhile.
        let evictors: Vec<_> = self.0.evictors.read().iter().filter_map(Weak::upgrade).collect();
        let mut freed = false;
        for evictor in evictors {
            freed |= evictor.evict(bytes)?;
        }
        Ok(freed)
    }

    /// Tells the evictors that memory was granted.
    pub(crate) fn note_granted(&self) {
        for evictor in self.0.evictors.read().iter().filter_map(Weak::upgrade) {
            evictor.granted();
        }
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget").field("limit", &self.limit()).field("used", &self.used()).finish_non_exhaustive()
    }
}

/// Bytes that all budgets of the process account for now.
pub fn accounted() -> usize {
    usize::try_from(ACCOUNTED.load(Ordering::Relaxed)).unwrap_or(0)
}

/// Bytes that are allocated beyond an idle process and that no budget accounts for; `None` where nobody counts.
fn unaccounted() -> Option<usize> {
    let allocated = allocated()?;
    let baseline = BASELINE.get().copied().unwrap_or(0);
    Some(allocated.saturating_sub(baseline).saturating_sub(accounted()))
}
