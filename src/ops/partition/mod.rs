//! Rows into radix partitions: what every hash operator does before it spills.
//!
//! A [`PartitionWriter`] belongs to one lane. It copies each row into the write-combining buffer of its partition; a full
//! buffer becomes one batch in the store. Partition `p` is used after partition `p - 1`, so the store evicts the last
//! partitions first and the first ones may never touch the disk (hybrid hashing).
//!
//! Invariant: rows in equal rows out, checked at `finish`. Strings and views come back as offset arrays
//! ([`stored_type`]), since views would pin the buffers they point into.

mod column;
mod radix;
mod writer;

pub use radix::Radix;
pub use writer::{PartitionWriter, Partitions, stored_schema, stored_type};
