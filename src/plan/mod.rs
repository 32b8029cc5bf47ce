//! From logical plan to pipelines: tables as data, our own logical rules, lowering, EXPLAIN.
//!
//! This module must not know sessions or tasks.

mod explain;
mod lower;
mod optimize;
mod physical;
mod rules;
mod table;

pub use explain::explain;
pub use lower::lower;
pub use optimize::{analyze, optimize};
pub use physical::{Branch, Input, PhysicalPlan, Pipeline};
pub use table::{FileTable, StoredTable, with_names};
