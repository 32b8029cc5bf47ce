//! What set operations need beyond aggregation: rows that come out several times.

mod repeat;

pub use repeat::Repeat;
