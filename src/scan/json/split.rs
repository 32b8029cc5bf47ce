//! Splits of JSON files and their reading.
//!
//! Invariant: every record of every file belongs to exactly one split. A split holds one read buffer and one batch; a
//! batch ends early when its records have had many bytes.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatchOptions};
use arrow::datatypes::{Fields, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use rayon::prelude::*;
use serde::de::DeserializeSeed;

use crate::batch::Split;
use crate::error::{Error, Result};
use crate::io::Compression;
use crate::memory::Reservation;
use crate::scan::format::{ScanRequest, SplitPlan};
use crate::scan::json::column::Row;
use crate::scan::json::fault::{encoding_error, placed, record_error};
use crate::scan::json::parse::RowSeed;
use crate::scan::json::records::{Broken, Portion, Record, Records};
use crate::scan::json::settings::{Layout, Settings};
use crate::store::QueryContext;

/// Bytes of a file that one split has at most and at least.
const GREATEST_SPLIT: u64 = 16 << 20;
const LEAST_SPLIT: u64 = 256 << 10;
/// Splits per thread that small inputs are cut for.
const SPLITS_PER_THREAD: u64 = 4;
/// A batch is full when its records had so many bytes.
const BATCH_BYTES: u64 = 2 << 20;

/// What all splits of one scan share.
#[derive(Debug)]
struct Scan {
    settings: Settings,
    schema: SchemaRef,
    limit: Option<usize>,
    context: Arc<QueryContext>,
}

/// The splits of `request`.
pub(super) fn splits(request: &ScanRequest, context: &Arc<QueryContext>) -> Result<Vec<Box<dyn SplitPlan>>> {
    let fields = request.projection.iter().map(|index| {
        let field = request.spec.schema.fields().get(*index);
        field.cloned().ok_or_else(|| Error::internal(format!("the scan has no column {index}")))
    });
    let schema = Arc::new(Schema::new(fields.collect::<Result<Fields>>()?));
    let settings = Settings::new(&request.spec.options)?;
    let limit = request.limit.filter(|_| request.filters.is_empty());
    let scan = Arc::new(Scan { settings, schema, limit, context: context.clone() });
    let files = &request.spec.files;
    let all: u64 = files.iter().map(|file| file.size).sum();
    let threads = u64::try_from(context.threads.max(1)).unwrap_or(1);
    let target = (all / (threads * SPLITS_PER_THREAD)).clamp(LEAST_SPLIT, GREATEST_SPLIT);
    let layouts = files.par_iter().map(|file| scan.settings.layout(&file.path)).collect::<Result<Vec<_>>>()?;
    let mut splits: Vec<Box<dyn SplitPlan>> = Vec::new();
    for (number, (file, layout)) in files.iter().zip(layouts).enumerate() {
        let compression = scan.settings.compression(&file.path);
        let portion = Portion { path: file.path.clone(), compression, layout, range: None };
        if compression != Compression::None || layout != Some(Layout::Lines) {
            splits.push(Box::new(JsonSplit { scan: scan.clone(), file: number, portion }));
            continue;
        }
        let mut start = 0;
        while start < file.size {
            let rest = file.size - start;
            // What is left behind a split is never a crumb.
            let end = if rest < target + target / 2 { file.size } else { start + target };
            let portion = Portion { range: Some(start..end), ..portion.clone() };
            splits.push(Box::new(JsonSplit { scan: scan.clone(), file: number, portion }));
            start = end;
        }
    }
    Ok(splits)
}

/// A part of one file, planned.
#[derive(Debug)]
struct JsonSplit {
    scan: Arc<Scan>,
    file: usize,
    portion: Portion,
}

impl SplitPlan for JsonSplit {
    fn file(&self) -> usize {
        self.file
    }

    fn open(&self) -> Result<Box<dyn Split>> {
        let budget = &self.scan.context.budget;
        let buffer = budget.reservation("JSON scan");
        let records = Records::open(&self.portion, self.scan.settings.maximum_object_bytes, Some(buffer))?;
        Ok(Box::new(Reading {
            scan: self.scan.clone(),
            portion: self.portion.clone(),
            records,
            row: Row::new(self.scan.schema.fields())?,
            left: self.scan.limit.unwrap_or(usize::MAX),
            batch: budget.reservation("JSON scan"),
        }))
    }
}

/// A split being read.
struct Reading {
    scan: Arc<Scan>,
    portion: Portion,
    records: Records,
    row: Row,
    /// Rows that are still wanted.
    left: usize,
    /// What the columns of one batch take: about the bytes of the records that they come from, twice.
    batch: Reservation,
}

impl Reading {
    /// Parses up to `wanted` rows into the columns.
    fn parse(&mut self, wanted: usize) -> Result<usize> {
        let start = self.records.offset();
        let mut rows = 0;
        while rows < wanted && self.records.offset() - start < BATCH_BYTES {
            let record = match self.records.next() {
                Ok(Some(record)) => record,
                Ok(None) => break,
                Err(Broken { error, lines }) => return Err(placed(error, &self.portion, lines)),
            };
            let needed = record.bytes.len() * 2;
            if needed > self.batch.bytes() {
                self.batch.grow(needed - self.batch.bytes())?;
            }
            match take(&record, &mut self.row, rows) {
                Ok(()) => rows += 1,
                Err(_) if self.scan.settings.ignore_errors => self.row.truncate(rows),
                Err((error, line)) => return Err(placed(error, &self.portion, Some(line))),
            }
        }
        Ok(rows)
    }
}

impl Split for Reading {
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        self.scan.context.cancel.check()?;
        let full = usize::try_from(BATCH_BYTES * 2).unwrap_or(usize::MAX);
        if self.batch.bytes() < full {
            self.batch.grow(full - self.batch.bytes())?;
        }
        let rows = self.parse(self.scan.context.batch_size.max(1).min(self.left))?;
        if rows == 0 {
            self.left = 0;
            return Ok(None);
        }
        self.left -= rows;
        let columns: Vec<ArrayRef> =
            self.row.finish().map_err(|error| error.context(format!("file '{}'", self.portion.path)))?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(Some(RecordBatch::try_new_with_options(self.scan.schema.clone(), columns, &options)?))
    }
}

/// Parses one record as row number `rows`.
fn take(record: &Record, row: &mut Row, rows: usize) -> Result<(), (Error, u64)> {
    let text = std::str::from_utf8(record.bytes).map_err(|error| encoding_error(record, error))?;
    let mut misfit = None;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    RowSeed { row, rows, misfit: &mut misfit }
        .deserialize(&mut deserializer)
        .and_then(|()| deserializer.end())
        .map_err(|error| record_error(record, &error, misfit))
}
