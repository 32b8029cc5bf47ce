//! The store: everything that waits is a batch in here, and the store may put it on disk.
//!
//! Invariant: resident batches are counted in the budget; a handle gives back exactly the rows that were put.

mod context;
mod handle;

pub use context::QueryContext;
pub use handle::{Handle, Loaded, Store, UseOrder};
