//! CSV: inference, splits and reading, to RFC 4180 and the dialects around it.
//!
//! The way of a byte: [`window`] (what of the file is in memory) → [`tokenize`] (where fields begin and end) →
//! [`columns`] (values); [`structure`] does the first step for many records at once. [`boundary`] finds the first
//! record of a split in the middle of a file; [`sniff`] and [`sample`] find out dialect and types while planning.
//!
//! A quote opens a quoted field only at the very start of a field; elsewhere it is a plain character. Empty unquoted
//! fields are NULL; quoted ones are empty texts, and NULL in columns that are not text.
//!
//! # Known limitation
//! A file that is compressed or not in UTF-8 is read from front to back, though parsed side by side.

mod boundary;
mod casts;
mod chunks;
mod columns;
mod count;
mod cut;
mod dates;
mod dialect;
mod encoding;
mod fit;
mod forms;
mod head;
mod prove;
mod quotes;
mod records;
mod rejects;
mod report;
mod sample;
mod seeker;
mod settings;
mod sniff;
mod split;
mod structure;
mod texts;
mod tokenize;
mod window;

pub use cut::read_cut;
pub use report::sniff_csv;

use std::sync::{Arc, OnceLock};

use arrow::datatypes::DataType;

use crate::cancel::CancelToken;
use crate::error::{Error, Result};
use crate::scan::chunks::{SharedStream, shares};
use crate::scan::csv::boundary::Boundaries;
use crate::scan::csv::rejects::Rejects;
use crate::scan::csv::settings::{OPTION_NAMES, Settings};
use crate::scan::csv::split::{CsvSplitPlan, FilePlan, PlannedColumn, ScanPlan};
use crate::scan::early::EarlyConditions;
use crate::scan::{FileEntry, FormatReader, Inferred, Options, ScanRequest, ScanSpec, SplitPlan, Splits};
use crate::store::QueryContext;

/// Bytes of a split where there are enough of them.
const SPLIT_BYTES: u64 = 16 << 20;
const SMALLEST_SPLIT: u64 = 256 << 10;

/// The CSV format.
#[derive(Debug)]
pub struct CsvReader;

impl FormatReader for CsvReader {
    fn option_names(&self) -> &'static [&'static str] {
        &OPTION_NAMES
    }

    fn infer(&self, files: &[FileEntry], options: &Options) -> Result<Inferred> {
        sample::infer(files, options)
    }

    fn prove(&self, spec: &ScanSpec, columns: &[usize], cancel: &CancelToken) -> Result<Vec<(String, DataType)>> {
        prove::prove(spec, columns, cancel)
    }

    fn splits(&self, request: &ScanRequest, context: &Arc<QueryContext>) -> Result<Splits> {
        let settings = Settings::new(&request.spec.options)?;
        let plan = Arc::new(scan_plan(request, settings, context)?);
        let files = &request.spec.files;
        let total: u64 = files.iter().map(|file| file.size).sum();
        let lanes = context.threads.max(1) as u64;
        let target = (total / (lanes * 4)).clamp(SMALLEST_SPLIT, SPLIT_BYTES);
        let mut splits: Vec<Box<dyn SplitPlan>> = Vec::new();
        let shares = shares_of(files, &plan.settings, context.threads);
        for ((file_index, entry), share) in files.iter().enumerate().zip(shares) {
            let cuts = cuts(entry, target, lanes, &plan.settings);
            let count = share.unwrap_or(cuts.len());
            let newline = plan.settings.dialect().newline;
            let stream = share.map(|_| Arc::new(SharedStream::new(&entry.path, entry.size, newline, context)));
            let (entry, boundaries) = (entry.clone(), Boundaries::new(cuts));
            let (head, lines) = (OnceLock::new(), Arc::default());
            let file = Arc::new(FilePlan { entry, boundaries, stream, head, lines });
            splits.extend((0..count).map(|index| {
                let (plan, file) = (plan.clone(), file.clone());
                Box::new(CsvSplitPlan { plan, file, file_index, index }) as Box<dyn SplitPlan>
            }));
        }
        Ok(splits.into())
    }
}

fn scan_plan(request: &ScanRequest, settings: Settings, context: &Arc<QueryContext>) -> Result<ScanPlan> {
    let spec = &request.spec;
    let planned = |field: &arrow::datatypes::FieldRef| -> Result<PlannedColumn> {
        let name = field.name();
        let index = settings.file_columns.iter().position(|column| column == name);
        let index = index.ok_or_else(|| Error::internal(format!("csv: the column '{name}' is in no file")))?;
        let strict = settings.declared_type(name).is_none();
        let not_null = settings.not_null.iter().any(|other| other.eq_ignore_ascii_case(name));
        let (data_type, form) = (field.data_type().clone(), settings.form_of(name).cloned());
        Ok(PlannedColumn { name: name.clone(), data_type, form, strict, not_null, index })
    };
    let schema = Arc::new(spec.schema.project(&request.projection)?);
    let columns = schema.fields().iter().map(planned).collect::<Result<Vec<_>>>()?;
    let in_files = spec.schema.fields().len().saturating_sub(spec.hive_columns);
    let checked = match settings.ignore_errors {
        true => spec.schema.fields().iter().take(in_files).map(planned).collect::<Result<Vec<_>>>()?,
        false => Vec::new(),
    };
    let rejects = match settings.rejects.as_ref().zip(context.side.as_ref()) {
        Some((names, side)) => {
            let types: Vec<_> = spec.schema.fields().iter().map(|field| field.data_type().clone()).collect();
            let rejects = Rejects::new(names, side, &spec.files, &settings, &types, &spec.options)?;
            Some(Arc::new(rejects))
        }
        None => None,
    };
    let first_path = spec.files.first().map(|file| file.path.to_string()).unwrap_or_default();
    // Rows with errors are left out, whatever the query asks of them.
    let conditions = if settings.ignore_errors { EarlyConditions::default() } else { EarlyConditions::new(request)? };
    let (limit, context) = (request.limit, context.clone());
    Ok(ScanPlan { settings, columns, checked, schema, first_path, conditions, limit, context, rejects })
}

/// Where the splits of a file begin. What cannot be cut is one split: streams, and files whose quotes need not match.
fn cuts(file: &FileEntry, target: u64, lanes: u64, settings: &Settings) -> Vec<u64> {
    if settings.is_stream(&file.path) || settings.rules.lenient || !settings.parallel {
        return vec![0];
    }
    let least = if file.size > 1 << 20 && lanes > 1 { 4 } else { 1 };
    let count = (file.size / target).max(least).max(1);
    (0..count).map(|index| file.size / count * index).collect()
}

/// Into how many splits a file is cut that can only be read from front to back; `None` for the others and where that
/// does not pay.
fn shares_of(files: &[FileEntry], settings: &Settings, threads: usize) -> Vec<Option<usize>> {
    let is_stream = |file: &FileEntry| settings.is_stream(&file.path);
    let sizes: Vec<u64> = files.iter().map(|file| if is_stream(file) { file.size } else { file.size / 4 }).collect();
    let shares = shares(&sizes, if settings.parallel { threads } else { 1 });
    files.iter().zip(shares).map(|(file, share)| share.filter(|_| is_stream(file))).collect()
}

#[cfg(test)]
mod tests;
