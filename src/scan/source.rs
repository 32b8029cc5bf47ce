//! From a [`ScanRequest`] to a [`Source`]: leaves out files by their folders, lets the format cut the rest into
//! splits, and adds the folders' columns to what the format reads.
//!
//! Invariant: every batch has exactly the request's columns in the request's order; a batch without columns keeps its
//! number of rows.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion_common::ScalarValue;
use datafusion_expr::Expr;

use crate::batch::{Source, SourceRef, Split, Statistics};
use crate::error::{Error, Result};
use crate::io::{Surroundings, with_many_waiting};
use crate::scan::prune::{Constants, can_match};
use crate::scan::runtime::{Filtered, Watched};
use crate::scan::{FileEntry, ScanFilter, ScanRequest, ScanSpec, SplitPlan, Splits, hive, reader};
use crate::store::QueryContext;

/// Opens the scan that `request` describes.
///
/// # Errors
/// What the format finds wrong with the files when it plans their splits.
pub fn source(request: ScanRequest, context: &Arc<QueryContext>) -> Result<SourceRef> {
    let spec = request.spec.clone();
    let folder_start = spec.schema.fields().len().saturating_sub(spec.hive_columns);
    let outputs = outputs(&request.projection, folder_start);
    let schema = Arc::new(spec.schema.project(&request.projection)?);
    let kept = kept_files(&request, folder_start);
    let all_files = spec.files.len();
    let remote = spec.files.iter().any(|file| file.path.is_remote());
    let comes_once = spec.comes_once();
    let kept_spec = match kept.len() == all_files {
        true if !remote && !comes_once => spec.clone(),
        _ => Arc::new(only_files(&spec, &kept, context)),
    };
    let values = kept_spec.files.iter().map(|file| Arc::new(folder_values(&spec, &file.hive_values))).collect();
    let inner = ScanRequest {
        spec: kept_spec.clone(),
        projection: request.projection.iter().copied().filter(|&column| column < folder_start).collect(),
        filters: file_filters(&request.filters, &spec, folder_start),
        limit: request.limit,
        runtime_filters: in_files(&request.runtime_filters, folder_start),
        parts: request.parts.clone(),
    };
    let format = reader(spec.format)?;
    let Splits { plans: splits, ruled_out } = with_many_waiting(remote, || format.splits(&inner, context))?;
    // Folder columns come after the format.
    let is_late = |filter: &&ScanFilter| !format.applies_runtime_filters() || filter.column >= folder_start;
    let watched = request.runtime_filters.iter().filter(is_late).filter_map(|filter| {
        let position = request.projection.iter().position(|column| *column == filter.column)?;
        Some(Watched::new(position, filter.filter.clone()))
    });
    let (filters, runtime_filters) = (Arc::new(watched.collect()), request.runtime_filters.len());
    let left = splits.iter().map(|split| split.rows()).sum::<Option<u64>>();
    let pruned = left.zip(spec.rows).filter(|(left, all)| left < all);
    let (spec, workers) = (kept_spec, context.threads.max(1));
    Ok(Arc::new(FileSource {
        schema,
        spec,
        all_files,
        outputs,
        values,
        splits,
        pruned,
        ruled_out,
        filters,
        runtime_filters,
        workers,
        comes_once,
    }))
}

/// Where a column of the output comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Output {
    /// The format's column of that index.
    File(usize),
    /// The folder column of that index.
    Folder(usize),
}

fn outputs(projection: &[usize], folder_start: usize) -> Vec<Output> {
    let mut file_columns = 0;
    let output = |&column: &usize| match column.checked_sub(folder_start) {
        Some(index) => Output::Folder(index),
        None => {
            file_columns += 1;
            Output::File(file_columns - 1)
        }
    };
    projection.iter().map(output).collect()
}

/// The files' folder values, typed.
fn folder_values(spec: &ScanSpec, values: &[Option<String>]) -> Vec<ScalarValue> {
    let fields = spec.schema.fields();
    let folder_fields = fields.iter().skip(fields.len().saturating_sub(spec.hive_columns));
    let value = |(field, value): (_, &Option<String>)| {
        let field: &arrow::datatypes::FieldRef = field;
        hive::scalar(value.as_deref(), field.data_type())
    };
    folder_fields.zip(values).map(value).collect()
}

fn kept_files(request: &ScanRequest, folder_start: usize) -> Vec<usize> {
    let spec = &request.spec;
    let fields = spec.schema.fields();
    let names: Vec<String> = fields.iter().skip(folder_start).map(|field| field.name().clone()).collect();
    let keeps = |index: &usize| {
        let Some(file) = spec.files.get(*index) else { return false };
        let values = folder_values(spec, &file.hive_values);
        can_match(&request.filters, &Constants { names: &names, values: &values })
    };
    let all = 0..spec.files.len();
    if request.filters.is_empty() { all.collect() } else { all.filter(keeps).collect() }
}

/// The files `kept`, as the query of `context` reads them.
fn only_files(spec: &ScanSpec, kept: &[usize], context: &QueryContext) -> ScanSpec {
    let scan = Arc::new(Surroundings::new(&context.cancel, &context.budget, context.threads));
    let entry = |file: &FileEntry| FileEntry { path: file.path.within(&scan), ..file.clone() };
    let files = kept.iter().filter_map(|&index| spec.files.get(index).map(entry)).collect();
    let rows = spec.rows.filter(|_| kept.len() == spec.files.len());
    ScanSpec { files, rows, ..spec.clone() }
}

/// The filters over columns that the format itself reads.
fn file_filters(filters: &[Expr], spec: &ScanSpec, folder_start: usize) -> Vec<Expr> {
    let in_file = |name: &str| spec.schema.fields().iter().take(folder_start).any(|field| field.name() == name);
    let only_file_columns = |filter: &&Expr| filter.column_refs().iter().all(|column| in_file(&column.name));
    filters.iter().filter(only_file_columns).cloned().collect()
}

fn in_files(filters: &[ScanFilter], folder_start: usize) -> Vec<ScanFilter> {
    filters.iter().filter(|filter| filter.column < folder_start).cloned().collect()
}

struct FileSource {
    schema: SchemaRef,
    /// The spec with only the files that are read.
    spec: Arc<ScanSpec>,
    all_files: usize,
    outputs: Vec<Output>,
    /// Folder values by file.
    values: Vec<Arc<Vec<ScalarValue>>>,
    splits: Vec<Box<dyn SplitPlan>>,
    /// Rows of the splits, and of all files, where the files' statistics (or a limit) left some out.
    pruned: Option<(u64, u64)>,
    /// What of the files the format need not read.
    ruled_out: String,
    /// Runtime filters that the format does not apply.
    filters: Arc<Vec<Watched>>,
    /// All runtime filters.
    runtime_filters: usize,
    /// How many splits are read at once.
    workers: usize,
    /// Whether some of the files cannot be read again.
    comes_once: bool,
}

impl Source for FileSource {
    fn describe(&self) -> String {
        let (files, columns) = (self.spec.files.len(), self.outputs.len());
        let what = match (files, self.all_files, self.spec.files.first()) {
            (1, 1, Some(file)) => file.path.to_string(),
            (_, all, _) if all == files => format!("{} ({files} files", self.spec.patterns.join(", ")),
            (_, all, _) => format!("{} ({files} of {all} files", self.spec.patterns.join(", ")),
        };
        let joint = if what.ends_with("files") { ", " } else { " (" };
        let plural = if columns == 1 { "" } else { "s" };
        let filters = match self.runtime_filters {
            0 => String::new(),
            1 => ", 1 runtime filter".to_string(),
            count => format!(", {count} runtime filters"),
        };
        let rows = self.pruned.map_or(String::new(), |(left, all)| format!(", {left} of {all} rows"));
        let ruled_out = match self.ruled_out.as_str() {
            "" => String::new(),
            what => format!(", {what} ruled out"),
        };
        format!("{} {what}{joint}{columns} column{plural}{rows}{ruled_out}{filters})", self.spec.format.name())
    }

    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn split_count(&self) -> usize {
        self.splits.len()
    }

    fn open(&self, index: usize) -> Result<Box<dyn Split>> {
        let plan = self.splits.get(index).ok_or_else(|| Error::internal(format!("scan: no split {index}")))?;
        let values = self.values.get(plan.file()).cloned().unwrap_or_default();
        let plain = self.outputs.iter().enumerate().all(|(at, output)| *output == Output::File(at));
        // While the workers read the splits up to here, what the next ones begin with is fetched.
        if let Some(next) = self.splits.get(index + self.workers) {
            next.prepare();
        }
        let mut split = plan.open()?;
        if !plain || self.outputs.is_empty() {
            let (schema, outputs) = (self.schema.clone(), self.outputs.clone());
            split = Box::new(WithFolders { inner: split, schema, outputs, values });
        }
        if !self.filters.is_empty() {
            split = Box::new(Filtered { inner: split, filters: self.filters.clone() });
        }
        if self.comes_once {
            split = Box::new(Final(split));
        }
        Ok(split)
    }

    fn statistics(&self) -> Statistics {
        let bytes = self.spec.files.iter().map(|file| file.size).sum();
        Statistics { rows: self.spec.rows, bytes: Some(bytes) }
    }
}

/// A split of what cannot be read again: the types that its beginning shows are final.
struct Final(Box<dyn Split>);

impl Split for Final {
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        self.0.next().map_err(Error::of_final_type)
    }
}

/// Adds the constant columns to the batches of a file's split.
struct WithFolders {
    inner: Box<dyn Split>,
    schema: SchemaRef,
    outputs: Vec<Output>,
    values: Arc<Vec<ScalarValue>>,
}

impl Split for WithFolders {
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        let Some(batch) = self.inner.next()? else { return Ok(None) };
        let rows = batch.num_rows();
        let column = |output: &Output| -> Result<ArrayRef> {
            let missing = || Error::internal("scan: a split gave fewer columns than were asked for");
            match *output {
                Output::File(index) => batch.columns().get(index).cloned().ok_or_else(missing),
                Output::Folder(index) => Ok(self.values.get(index).ok_or_else(missing)?.to_array_of_size(rows)?),
            }
        };
        let columns = self.outputs.iter().map(column).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let schema: &Arc<Schema> = &self.schema;
        Ok(Some(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?))
    }
}
