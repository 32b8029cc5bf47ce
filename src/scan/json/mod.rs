//! JSON: one object per line, or one array of objects per file, plain or compressed.
//!
//! Invariant: the rows are the objects in the order of the file; a key that an object lacks is NULL; of two equal keys
//! the last counts. Only the requested columns are built, but everything that is read is checked to be JSON.
//!
//! The files here: `settings` (options), `records` (bytes into one value each), `shape` and `infer` (types from
//! samples), `column` and `parse` (values straight into columns), `fault` (errors with line and column), `split`.

mod column;
mod fault;
mod infer;
mod parse;
mod records;
mod settings;
mod shape;
mod split;
#[cfg(test)]
mod tests;
mod text;

use std::sync::Arc;

use crate::error::Result;
use crate::scan::format::{FormatReader, Inferred, ScanRequest, SplitPlan};
use crate::scan::spec::{FileEntry, Options};
use crate::store::QueryContext;

/// Reader options of JSON. `filename`, `hive_partitioning` and `union_by_name` are the caller's.
const OPTION_NAMES: &[&str] = &[
    "columns",
    "compression",
    "filename",
    "format",
    "hive_partitioning",
    "ignore_errors",
    "maximum_object_size",
    "sample_size",
    "union_by_name",
];

/// The JSON format.
#[derive(Debug, Clone, Copy, Default)]
pub struct JsonReader;

impl FormatReader for JsonReader {
    fn option_names(&self) -> &'static [&'static str] {
        OPTION_NAMES
    }

    fn infer(&self, files: &[FileEntry], options: &Options) -> Result<Inferred> {
        infer::infer(files, options)
    }

    fn splits(&self, request: &ScanRequest, context: &Arc<QueryContext>) -> Result<Vec<Box<dyn SplitPlan>>> {
        split::splits(request, context)
    }
}
