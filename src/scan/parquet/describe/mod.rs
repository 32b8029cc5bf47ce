//! What is written in footers, as rows: `parquet_metadata` (one for each column chunk) and `parquet_schema` (one for each
//! node of the schema). The columns are those of DuckDB.
//!
//! # Known limitation
//! The rows of all files are held in memory. Which of the two pairs of bounds a writer has filled is not known: the older
//! pair is given for the types for which writers fill it. The texts of a column chunk's own metadata, boxes of
//! geometries and numbers of NaN are not read.

mod chunks;
mod nodes;

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, StringViewArray};
use arrow::record_batch::RecordBatch;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataOptions, ParquetMetaDataReader};
use rayon::prelude::*;

use crate::error::{Code, Error, Result};
use crate::io::{Location, Storage, with_many_waiting};
use crate::scan::parquet::chunk::ChunkSource;
use crate::scan::parquet::fault::guard;
use crate::scan::spec::Options;

/// A file and its footer.
struct Described {
    path: Location,
    metadata: ParquetMetaData,
}

/// A row for each column chunk of the files.
///
/// # Errors
/// `FILE_NOT_FOUND`, `IO_ERROR`, `INVALID_DATA` for files that are not Parquet, `UNKNOWN_SETTING` for options: there are
/// none.
pub fn parquet_metadata(patterns: &[String], options: &Options, storage: &Storage) -> Result<RecordBatch> {
    no_options("parquet_metadata", options)?;
    chunks::batch(&described(patterns, storage)?)
}

/// A row for each node of the files' schemas, from the root down.
///
/// # Errors
/// As [`parquet_metadata`].
pub fn parquet_schema(patterns: &[String], options: &Options, storage: &Storage) -> Result<RecordBatch> {
    no_options("parquet_schema", options)?;
    nodes::batch(&described(patterns, storage)?)
}

fn no_options(function: &str, options: &Options) -> Result<()> {
    match options.keys().next() {
        None => Ok(()),
        Some(name) => Err(Error::new(Code::UnknownSetting, format!("{function} has no option '{name}'"))
            .hint("it takes a glob or a list of globs, and nothing else")),
    }
}

fn described(patterns: &[String], storage: &Storage) -> Result<Vec<Described>> {
    let mut paths = Vec::new();
    for pattern in patterns {
        paths.extend(storage.glob(pattern)?.into_iter().map(|file| file.path));
    }
    let remote = paths.iter().any(Location::is_remote);
    with_many_waiting(remote, || paths.into_par_iter().map(describe).collect())
}

/// The footer with all that it says; those in the cache leave out what readers do not need.
fn describe(path: Location) -> Result<Described> {
    let source = ChunkSource::open(&path)?;
    source.expect_footer();
    let metadata = guard(
        || format!("file '{path}'"),
        || {
            let options = ParquetMetaDataOptions::new().with_encoding_stats_as_mask(false);
            let reader = ParquetMetaDataReader::new().with_metadata_options(Some(options));
            reader.parse_and_finish(&source).map_err(|error| source.take_failure().unwrap_or_else(|| error.into()))
        },
    )?;
    Ok(Described { path, metadata })
}

/// Columns made of rows by what each says of them.
struct Columns<'a, R> {
    rows: &'a [R],
    columns: Vec<(&'static str, ArrayRef)>,
}

impl<'a, R> Columns<'a, R> {
    fn of(rows: &'a [R]) -> Self {
        Columns { rows, columns: Vec::new() }
    }

    fn array(&mut self, name: &'static str, array: ArrayRef) {
        self.columns.push((name, array));
    }

    fn text<T: AsRef<str>>(&mut self, name: &'static str, get: impl Fn(&'a R) -> Option<T>) {
        self.array(name, Arc::new(self.rows.iter().map(get).collect::<StringViewArray>()));
    }

    fn number(&mut self, name: &'static str, get: impl Fn(&'a R) -> Option<i64>) {
        self.array(name, Arc::new(self.rows.iter().map(get).collect::<Int64Array>()));
    }

    fn flag(&mut self, name: &'static str, get: impl Fn(&'a R) -> Option<bool>) {
        self.array(name, Arc::new(self.rows.iter().map(get).collect::<BooleanArray>()));
    }

    fn finish(self) -> Result<RecordBatch> {
        let columns = self.columns.into_iter().map(|(name, array)| (name, array, true));
        RecordBatch::try_from_iter_with_nullable(columns).map_err(|error| Error::new(Code::Internal, error.to_string()))
    }
}

/// A count as SQL's BIGINT.
fn count(number: usize) -> Option<i64> {
    i64::try_from(number).ok()
}
