//! Formats: schema inference, splits, reading, pruning. Files in, a [`Source`](crate::batch::Source) out.
//!
//! This module must not know operators or plans.

mod format;
pub mod json;
pub mod parquet;
mod spec;

pub use format::{FormatReader, Inferred, ScanRequest, SplitPlan};
pub use spec::{FileEntry, Format, OptionValue, Options, ScanSpec};
