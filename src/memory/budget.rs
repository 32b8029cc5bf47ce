//! Budget and reservations.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::{Code, Error, Result};

/// The memory that one session may use, shared by all its queries.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limit: usize,
    used: AtomicUsize,
}

impl Budget {
    /// A budget of `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Budget(Arc::new(Shared { limit, used: AtomicUsize::new(0) }))
    }

    /// The limit in bytes.
    pub fn limit(&self) -> usize {
        self.0.limit
    }

    /// Bytes reserved and resident now.
    pub fn used(&self) -> usize {
        self.0.used.load(Ordering::Relaxed)
    }

    /// An empty reservation in the name of `holder` (an operator's name, for the error that lists the holders).
    pub fn reservation(&self, holder: &'static str) -> Reservation {
        Reservation { budget: self.clone(), holder, bytes: 0 }
    }
}

/// Bytes that one working set holds. Dropping it gives them back.
#[derive(Debug)]
pub struct Reservation {
    budget: Budget,
    holder: &'static str,
    bytes: usize,
}

impl Reservation {
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Asks for `additional` bytes; makes the store evict first. False when there is still no room.
    pub fn try_grow(&mut self, additional: usize) -> bool {
        let limit = self.budget.limit();
        let granted = self.budget.0.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, |used| {
            used.checked_add(additional).filter(|&sum| sum <= limit)
        });
        if granted.is_ok() {
            self.bytes += additional;
        }
        granted.is_ok()
    }

    /// Asks for `additional` bytes that the holder cannot do without.
    ///
    /// # Errors
    /// `OUT_OF_MEMORY`, naming holder, asked, budget and the largest holders.
    pub fn grow(&mut self, additional: usize) -> Result<()> {
        if self.try_grow(additional) {
            return Ok(());
        }
        Err(Error::new(
            Code::OutOfMemory,
            format!(
                "{} asked for {additional} bytes; {} of {} are in use",
                self.holder,
                self.budget.used(),
                self.budget.limit()
            ),
        ))
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
        self.bytes -= bytes;
        self.budget.0.used.fetch_sub(bytes, Ordering::AcqRel);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.shrink(self.bytes);
    }
}
