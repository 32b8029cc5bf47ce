//! Parquet: schemas and row counts from the footers, splits along row groups, row groups left out by their statistics.
//!
//! Invariant: every row for which all of the request's filters are true comes out, in file order, exactly once; rows
//! for which they are not may be missing. Nothing of a file is kept between planning and reading but its footer, in a
//! bounded cache.
//!
//! The files here, in the order of a scan's life: `footer` (read and remember footers), `plan` (which row groups, cut into splits), `prune` over `range` and `bounds` (what statistics rule out), `pages` over `index` (which
//! pages of a row group), `bloom` (row groups without a value),
//! `chunk` (reads of column chunks), `flat` (decoding columns without nesting), `split` (decoding the others), `late` (predicate
//! columns first, for these), `numbered` (rows with their numbers), `fault` (foreign errors and
//! panics as ours). `statistics` serves the planner, `describe` users who want to see footers.

mod bloom;
mod bounds;
mod chunk;
mod describe;
mod extensions;
mod fault;
mod flat;
mod footer;
mod index;
pub(in crate::scan) mod intervals;
mod late;
mod levels;
mod numbered;
mod pages;
mod plan;
mod prune;
mod range;
mod runtime;
mod single;
mod split;
mod statistics;
#[cfg(test)]
mod tests;

pub use describe::{parquet_metadata, parquet_schema};

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef, Fields, Schema, SchemaRef};
use rayon::prelude::*;

use crate::error::Result;
use crate::scan::format::{FormatReader, Inferred, ScanRequest, Splits};
use crate::scan::merge;
use crate::scan::options::flag;
use crate::scan::parquet::footer::Footer;
use crate::scan::spec::{FileEntry, Options, ScanSpec};
use crate::scan::statistics::TableStatistics;
use crate::store::QueryContext;

/// Reader options of Parquet. `filename` and `hive_partitioning` are the caller's.
const OPTION_NAMES: &[&str] =
    &["binary_as_string", numbered::FILE_ROW_NUMBER, "filename", "hive_partitioning", "union_by_name"];

/// The Parquet format.
#[derive(Debug, Clone, Copy, Default)]
pub struct ParquetReader;

/// The columns of a file; with `texts` those of bytes of any length are texts, which some writers do not call so.
fn schema_of(footer: &Footer, texts: bool) -> SchemaRef {
    if !texts {
        return footer.schema.clone();
    }
    let field = |(field, has_bytes): (&FieldRef, &bool)| match field.data_type() {
        DataType::BinaryView if *has_bytes => Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8View)),
        _ => field.clone(),
    };
    let fields = footer.schema.fields().iter().zip(&footer.unchecked_text).map(field);
    Arc::new(Schema::new(fields.collect::<Fields>()))
}

impl FormatReader for ParquetReader {
    fn option_names(&self) -> &'static [&'static str] {
        OPTION_NAMES
    }

    fn infer(&self, files: &[FileEntry], options: &Options) -> Result<Inferred> {
        let union = merge::union_by_name(options)?;
        let texts = flag(options, "binary_as_string")?.unwrap_or(false);
        let seen = files
            .par_iter()
            .map(|file| footer::load(&file.path).map(|footer| (schema_of(&footer, texts), footer.rows())))
            .collect::<Result<Vec<_>>>()?;
        let rows = seen.iter().map(|(_, rows)| rows).sum();
        let named = files.iter().zip(&seen).map(|(file, (schema, _))| (file.path.as_str(), schema.as_ref()));
        let schema = numbered::with_number(merge::merge(named, union, "read_parquet")?, options)?;
        Ok(Inferred { schema: Arc::new(schema), rows: Some(rows), options: options.clone() })
    }

    fn statistics(&self, spec: &ScanSpec, columns: &[usize]) -> Result<Option<TableStatistics>> {
        statistics::statistics(spec, columns).map(Some)
    }

    fn applies_runtime_filters(&self) -> bool {
        true
    }

    fn splits(&self, request: &ScanRequest, context: &Arc<QueryContext>) -> Result<Splits> {
        numbered::splits(request, context)
    }
}
