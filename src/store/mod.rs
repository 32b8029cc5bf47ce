//! The store: everything that waits is a batch in here, and the store may put it on disk.
//!
//! Invariant: resident batches are counted in the budget; a handle gives back exactly the rows that were put.
//!
//! From the outside in: [`Store`], [`Handle`] and [`Loaded`] (`handle`) are what others see; `keeper` decides what
//! stays resident; `entry` is the state of one batch and `shelves` the order in which batches are given up; `spiller`
//! and `reader` move batches to disk and back, on the caller's thread or in the background (`background`); `segment`
//! hands out places in spill files and `disk` is the operating system; `block` is the form a batch has on disk;
//! `footprint` says what a batch weighs.

mod background;
mod block;
mod buffers;
mod context;
mod disk;
mod entry;
mod footprint;
mod handle;
mod keeper;
mod numbered;
mod reader;
mod rows;
mod segment;
mod shelves;
mod side;
mod spiller;

#[cfg(test)]
mod tests;

pub use block::{BlockId, Compression, decode_block, encode_block};
pub use context::QueryContext;
pub use disk::{OsDisk, SpillDisk, SpillFile};
pub use footprint::{batch_bytes, compact};
pub use handle::{Handle, Loaded, Store, StoreMetrics, UseOrder};
pub use numbered::NumberedRows;
pub use rows::{StoredRows, StoredRowsBuilder};
pub use side::SideTables;
