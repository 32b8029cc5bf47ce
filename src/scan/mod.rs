//! Formats: schema inference, splits, reading, pruning. Files in, a [`Source`](crate::batch::Source) out.
//!
//! [`resolve`] turns patterns into a [`ScanSpec`] (data only); [`source`] turns a [`ScanRequest`] over it into splits
//! that can be read. In between lie the planner's decisions: which columns, which filters.
//!
//! This module must not know operators or plans.

mod adapt;
mod chunks;
mod csv;
mod early;
mod fault;
mod format;
mod hive;
pub mod infer;
mod ipc;
pub mod json;
mod known;
mod masks;
mod merge;
pub mod options;
pub mod parquet;
mod parts;
mod positions;
mod prove;
mod prune;
mod resolve;
mod runtime;
mod source;
mod spec;
pub mod statistics;
mod whole;
mod wide;

#[doc(hidden)]
pub use csv::read_cut;
pub use csv::{CsvReader, sniff_csv};
pub use format::{FormatReader, Inferred, ScanRequest, SplitPlan, Splits};
pub use known::KnownFiles;
pub use parts::Parts;
pub use prove::{MORE_COLUMNS, UNPROVEN};
pub use resolve::{resolve, resolve_known};
pub use runtime::{ScanFilter, Told};
pub use source::source;
pub use spec::{FileEntry, Format, OptionValue, Options, ScanSpec};
pub use whole::{glob_files, read_blob, read_text};

use crate::error::Result;

/// The reader of a format.
fn reader(format: Format) -> Result<&'static dyn FormatReader> {
    match format {
        Format::Csv => Ok(&CsvReader),
        Format::Parquet => Ok(&parquet::ParquetReader),
        Format::Json => Ok(&json::JsonReader),
        Format::Arrow => Ok(&ipc::IpcReader),
    }
}
