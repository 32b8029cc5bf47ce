//! JSON: one object per line, or one array of objects per file, plain or compressed.
//!
//! Invariant: the rows are the objects in the order of the file; a key that an object lacks is NULL; of two equal keys
//! the last counts. Only the requested columns, and of structs only the requested fields, are built, but everything that
//! is read is checked to be JSON to its last byte: brackets, commas, strings and their escapes, numbers, UTF-8. Only
//! whether surrogates in strings come in pairs is seen where the string is wanted.
//!
//! Values of different types make a VARCHAR column: strings as they are, everything else as its JSON text without white
//! space, numbers with all of their digits.
//!
//! The way of a byte: `input` (what of the file is in memory) → `structure` (where the tokens stand) → `walk` (the
//! grammar, and what nobody wants) → `parse` (values) → `column` (arrays); `reader` drives them record by record and
//! `split` makes batches. Before that `settings` (options), `records`, `shape` and `infer` find types in samples;
//! `fault` says what is wrong, with line and column.

mod column;
mod cutters;
mod fault;
mod forms;
mod infer;
mod input;
mod numbers;
#[cfg(test)]
mod oracle;
mod parse;
mod reader;
mod records;
mod settings;
mod shape;
mod split;
mod structure;
#[cfg(test)]
mod tests;
mod types;
mod unescape;
mod walk;

use std::sync::Arc;

use arrow::datatypes::DataType;

use crate::cancel::CancelToken;
use crate::error::Result;
use crate::scan::format::{FormatReader, Inferred, ScanRequest, Splits};
use crate::scan::spec::{FileEntry, Options, ScanSpec};
use crate::store::QueryContext;

/// Reader options of JSON. `filename`, `hive_partitioning` and `union_by_name` are the caller's.
const OPTION_NAMES: &[&str] = &[
    "columns",
    "compression",
    "date_format",
    "dateformat",
    "filename",
    "format",
    "hive_partitioning",
    "ignore_errors",
    "maximum_depth",
    "maximum_object_size",
    "records",
    "sample_size",
    "timestamp_format",
    "timestampformat",
    "union_by_name",
];

/// The column of values that are not unpacked.
const VALUE_COLUMN: &str = "json";

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

    fn prove(&self, spec: &ScanSpec, columns: &[usize], cancel: &CancelToken) -> Result<Vec<(String, DataType)>> {
        infer::prove(spec, columns, cancel)
    }

    fn splits(&self, request: &ScanRequest, context: &Arc<QueryContext>) -> Result<Splits> {
        split::splits(request, context).map(Splits::from)
    }
}
