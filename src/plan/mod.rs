//! From logical plan to pipelines: tables as data, our own logical rules, lowering, EXPLAIN.
//!
//! This module must not know sessions or tasks.

mod explain;
mod lower;
mod optimize;
mod physical;
mod pipelines;
mod rules;
mod set_operation;
mod shared;
mod statistics;
mod table;

pub use explain::explain;
pub use lower::lower;
pub use optimize::{analyze, optimize};
pub use physical::{Branch, Input, PhysicalPlan, Pipeline, PlanNode};
pub use pipelines::{PipelineLine, pipeline_lines};
#[cfg(test)]
pub(crate) use rules::unnest;
pub use set_operation::{SetOperation, set_operation};
pub use shared::share;
pub use table::{FileTable, StoredTable, WorkTable, with_names};
