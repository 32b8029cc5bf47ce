//! From logical plan to pipelines: tables as data, our own logical rules, lowering, EXPLAIN.
//!
//! This module must not know sessions or tasks.

mod optimize;
mod physical;
mod rules;
mod table;

pub use optimize::{analyze, optimize};
pub use physical::{Branch, Input, PhysicalPlan, Pipeline};
pub use table::{FileTable, StoredTable, with_names};
