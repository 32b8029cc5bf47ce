//! The memory budget: who may hold how many bytes.
//!
//! Invariant: a working set is reserved before it is allocated. `try_grow` first makes the store evict, then refuses; a
//! refused operator flushes what it has into the store and goes on.

mod budget;

pub use budget::{Budget, Reservation};
