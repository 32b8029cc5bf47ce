//! From logical plan to pipelines: tables as data, our own logical rules, lowering, EXPLAIN.
//!
//! This module must not know sessions or tasks.

pub mod asof;
mod explain;
mod lower;
mod optimize;
mod physical;
mod pipelines;
mod positional;
mod rules;
mod sample;
mod set_operation;
mod shared;
mod statistics;
mod table;
mod unnest;

pub use explain::explain;
pub use lower::lower;
pub use optimize::{analyze, optimize};
pub use physical::{Branch, Input, PhysicalPlan, Pipeline, PlanNode, RecursiveTerm, Rounds, UncertainScan};
pub use pipelines::{PipelineLine, pipeline_lines};
pub use positional::positional_join;
pub(crate) use rules::folded;
#[cfg(test)]
pub(crate) use rules::unnest;
pub use sample::{SampleClause, SampleMethod, SampleSize, sample};
pub use set_operation::{SetOperation, set_operation};
pub use shared::share;
pub use table::{FileTable, SeriesTable, StoredTable, WorkTable, with_names};
pub use unnest::{series_scan, struct_field_names, unnest_lists};
