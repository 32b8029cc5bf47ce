//! The memory budget: who may hold how many bytes.
//!
//! Invariant: a working set is reserved before it is allocated. `try_grow` first makes the store evict, then refuses; a
//! refused operator flushes what it has into the store and goes on.

mod allocator;
mod budget;
mod jemalloc;
mod pages;
mod reservation;
mod resident;
mod tally;

#[cfg(test)]
mod tests;

pub use crate::config::bytes;
pub use allocator::{CountingAllocator, allocated, allocation_bytes};
pub use budget::{Budget, Evict, accounted};
pub use pages::{HUGE_PAGES_FROM, refuse_huge_pages};
pub use reservation::Reservation;
pub use tally::Tally;
