//! What one operator of a running query uses: bytes held and their peak, bytes read and spilled, and what it left out.
//!
//! Who works says so for the time of a call ([`Tally::during`]); budget, store and files then count on its tally. So
//! nobody in between has to hand it on. A reservation and a stored batch stay on the tally under which they were made.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

thread_local! {
    static CURRENT: RefCell<Option<Arc<Tally>>> = const { RefCell::new(None) };
}

/// The account of one operator. All numbers only inform; nothing is decided by them.
#[derive(Debug, Default)]
pub struct Tally {
    held: AtomicUsize,
    peak: AtomicUsize,
    read: AtomicU64,
    spilled: AtomicU64,
    notes: Mutex<BTreeMap<&'static str, u64>>,
}

impl Tally {
    /// Runs `work`, whose use of memory and files counts on this tally.
    pub fn during<T>(self: &Arc<Self>, work: impl FnOnce() -> T) -> T {
        struct Back(Option<Arc<Tally>>);
        impl Drop for Back {
            fn drop(&mut self) {
                let before = self.0.take();
                // A panic may have unwound to here; the worker goes on with other tasks.
                CURRENT.with(|current| current.replace(before));
            }
        }
        let _back = Back(CURRENT.with(|current| current.replace(Some(Arc::clone(self)))));
        work()
    }

    /// The tally of who works on this thread now.
    pub fn current() -> Option<Arc<Tally>> {
        CURRENT.with(|current| current.borrow().clone())
    }

    /// Counts bytes read from files for who works now.
    pub fn count_read(bytes: usize) {
        CURRENT.with(|current| {
            if let Some(tally) = &*current.borrow() {
                tally.read.fetch_add(bytes as u64, Ordering::Relaxed);
            }
        });
    }

    /// Counts something rare for who works now, e.g. row groups left out.
    pub fn count(what: &'static str, number: u64) {
        if let Some(tally) = Tally::current() {
            *tally.notes.lock().entry(what).or_default() += number;
        }
    }

    pub(super) fn take(&self, bytes: usize) {
        let held = self.held.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.peak.fetch_max(held, Ordering::Relaxed);
    }

    pub(super) fn release(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(crate) fn add_spilled(&self, bytes: usize) {
        self.spilled.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Most bytes of working sets held at one time.
    pub fn peak_bytes(&self) -> usize {
        self.peak.load(Ordering::Relaxed)
    }

    /// Bytes read from files.
    pub fn read_bytes(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Bytes of its batches that were written to disk, as they were in memory.
    pub fn spilled_bytes(&self) -> u64 {
        self.spilled.load(Ordering::Relaxed)
    }

    /// What else was counted, by name.
    pub fn notes(&self) -> Vec<(&'static str, u64)> {
        self.notes.lock().iter().map(|(what, number)| (*what, *number)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Budget;

    #[test]
    fn what_is_used_counts_on_the_innermost_tally_and_stays_there() {
        let (outer, inner) = (Arc::new(Tally::default()), Arc::new(Tally::default()));
        let budget = Budget::new(1 << 20);
        let mut kept = outer.during(|| {
            Tally::count_read(10);
            let kept = inner.during(|| {
                Tally::count_read(5);
                Tally::count("row groups left out", 2);
                budget.reservation("test")
            });
            Tally::count_read(1);
            kept
        });
        assert!(kept.try_grow(1000));
        assert!(kept.try_resize(100));
        assert!(kept.try_grow(200));
        assert_eq!((outer.read_bytes(), inner.read_bytes()), (11, 5));
        assert_eq!((outer.peak_bytes(), inner.peak_bytes()), (0, 1000));
        assert_eq!(inner.notes(), [("row groups left out", 2)]);
        assert!(Tally::current().is_none());
    }

    #[test]
    fn a_panic_leaves_no_tally_behind() {
        let tally = Arc::new(Tally::default());
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| tally.during(|| panic!("foreign code"))));
        assert!(caught.is_err() && Tally::current().is_none());
    }
}
