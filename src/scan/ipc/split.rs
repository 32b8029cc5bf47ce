//! Some record batches of one file being read, cut into batches of the engine's size.
//!
//! Invariant: one record batch is held at a time; it is reserved before it is fetched and before it is inflated.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatchOptions, new_null_array};
use arrow::compute::concat;
use arrow::datatypes::{DataType, Fields, Schema, SchemaRef};
use arrow::ipc::reader::RecordBatchDecoder;
use arrow::record_batch::RecordBatch;
use rayon::prelude::*;

use super::dictionaries::{ById, Dictionaries, are_needed};
use super::layout::{Layout, Place, message, rows_of};
use super::{GUARD, body};
use crate::batch::Split;
use crate::error::{Code, Error, Result};
use crate::io::{InputFile, Location};
use crate::memory::Reservation;
use crate::scan::adapt::{adapted, cast};
use crate::scan::format::{ScanRequest, SplitPlan, Splits};
use crate::scan::merge::{find_column, logical_schema, union_by_name};
use crate::store::QueryContext;

/// Bytes of record batches that a split aims at.
const SPLIT_BYTES: u64 = 8 << 20;
/// A batch aims at no more than so many bytes, or than one in so many of the memory of one worker.
const MOST_BATCH_BYTES: usize = 64 << 20;
const BATCH_SHARE: usize = 32;

/// What all splits of one file share.
#[derive(Debug)]
struct FileScan {
    path: Location,
    layout: Layout,
    dictionaries: Dictionaries,
    /// By column of the output: where it stands in the file; `None` where the file does not have it.
    places: Vec<Option<usize>>,
    /// The file's columns that are read, ascending.
    columns: Vec<usize>,
    /// What comes out.
    schema: SchemaRef,
    limit: Option<usize>,
    context: Arc<QueryContext>,
}

/// The splits of `request`.
pub(super) fn splits(request: &ScanRequest, context: &Arc<QueryContext>) -> Result<Splits> {
    let fields = request.projection.iter().map(|index| {
        let field = request.spec.schema.fields().get(*index);
        field.cloned().ok_or_else(|| Error::internal(format!("the scan has no column {index}")))
    });
    let schema = Arc::new(Schema::new(fields.collect::<Result<Fields>>()?));
    let union = union_by_name(&request.spec.options)?;
    let limit = request.limit.filter(|_| request.filters.is_empty());
    let open = |entry: &crate::scan::FileEntry| FileScan::open(&entry.path, &schema, union, limit, context);
    let files = request.spec.files.par_iter().map(open).collect::<Result<Vec<_>>>()?;
    let mut plans: Vec<Box<dyn SplitPlan>> = Vec::new();
    let mut rows = Some(0);
    for (file, scan) in files.into_iter().enumerate() {
        let scan = Arc::new(scan);
        for batches in scan.parts() {
            if limit.zip(rows).is_some_and(|(limit, rows)| rows >= limit as u64) {
                return Ok(plans.into());
            }
            let split = IpcSplit { file, scan: scan.clone(), batches };
            rows = rows.zip(split.rows()).map(|(before, more)| before + more);
            plans.push(Box::new(split));
        }
    }
    Ok(plans.into())
}

impl FileScan {
    fn open(
        path: &Location,
        schema: &SchemaRef,
        union: bool,
        limit: Option<usize>,
        context: &Arc<QueryContext>,
    ) -> Result<Self> {
        context.cancel.check()?;
        let layout = Layout::read(path)?;
        let found = logical_schema(&layout.schema);
        let place = |field: &Arc<arrow::datatypes::Field>| match find_column(&found, field.name()) {
            None if !union => {
                let message = format!("column '{}' is not in file '{path}'", field.name());
                Err(Error::new(Code::InvalidData, message)
                    .hint("read_arrow(…, union_by_name => true) fills missing columns with NULL"))
            }
            place => Ok(place),
        };
        let places = schema.fields().iter().map(place).collect::<Result<Vec<_>>>()?;
        let mut columns: Vec<usize> = places.iter().flatten().copied().collect();
        columns.sort_unstable();
        columns.dedup();
        let (path, schema, context) = (path.clone(), schema.clone(), context.clone());
        Ok(FileScan { path, layout, dictionaries: Dictionaries::default(), places, columns, schema, limit, context })
    }

    /// The record batches, gathered until they are worth a split.
    fn parts(&self) -> Vec<Range<usize>> {
        let (mut parts, mut first, mut bytes) = (Vec::new(), 0, 0);
        for (number, place) in self.layout.batches.iter().enumerate() {
            bytes += place.body;
            if bytes >= SPLIT_BYTES {
                parts.push(first..number + 1);
                (first, bytes) = (number + 1, 0);
            }
        }
        if first < self.layout.batches.len() {
            parts.push(first..self.layout.batches.len());
        }
        parts
    }

    fn place(&self) -> String {
        format!("file '{}'", self.path)
    }
}

/// Some record batches of a file, planned.
struct IpcSplit {
    file: usize,
    scan: Arc<FileScan>,
    batches: Range<usize>,
}

impl SplitPlan for IpcSplit {
    fn file(&self) -> usize {
        self.file
    }

    fn rows(&self) -> Option<u64> {
        let places = self.scan.layout.batches.get(self.batches.clone())?;
        places.iter().map(|place| place.rows).sum()
    }

    fn open(&self) -> Result<Box<dyn Split>> {
        let file = InputFile::open(&self.scan.path)?;
        let left = self.scan.limit.unwrap_or(usize::MAX);
        Ok(Box::new(Reading { scan: self.scan.clone(), file, batches: self.batches.clone(), left, current: None }))
    }
}

/// Record batches being read.
struct Reading {
    scan: Arc<FileScan>,
    file: InputFile,
    /// Those that are still to come.
    batches: Range<usize>,
    /// Rows that are wanted yet.
    left: usize,
    current: Option<Current>,
}

/// A record batch of which rows are left.
struct Current {
    /// The columns that are read, as they lie in the file.
    columns: Vec<ArrayRef>,
    rows: usize,
    next: usize,
    /// Rows of a batch.
    step: usize,
    _reservation: Reservation,
}

impl Reading {
    fn start(&self, number: usize) -> Result<Current> {
        let place = self.scan.layout.batches.get(number).ok_or_else(|| Error::internal("no such record batch"))?;
        let mut reservation = self.scan.context.budget.reservation("Arrow scan");
        let columns = &self.scan.columns;
        if columns.is_empty() {
            let rows = match place.rows {
                Some(rows) => rows,
                None => rows_of(&message(&self.header(place)?)?.1)?,
            };
            let rows = usize::try_from(rows).unwrap_or(usize::MAX);
            let step = self.scan.context.batch_size.max(1);
            return Ok(Current { columns: Vec::new(), rows, next: 0, step, _reservation: reservation });
        }
        let layout = &self.scan.layout;
        let mut header = self.header(place)?;
        let fetched =
            body::fetch(&self.file, place, (&layout.schema, columns), layout.version, &mut header, &mut reservation)?;
        let loaded = match are_needed(&layout.schema, columns) {
            true => {
                let budget = &self.scan.context.budget;
                Some(self.scan.dictionaries.first(place.dictionaries, &self.file, layout, budget)?)
            }
            false => None,
        };
        let none = ById::new();
        let by_id = loaded.as_ref().map_or(&none, |loaded| &loaded.arrays);
        let (_, parsed) = message(&header)?;
        let batch = body::batch_of(&parsed)?;
        let is_compressed = batch.compression().is_some();
        let decoded = RecordBatchDecoder::try_new(&fetched, batch, layout.schema.clone(), by_id, &layout.version)
            .map(|decoder| decoder.with_projection(Some(columns)))
            .and_then(RecordBatchDecoder::read_record_batch)
            .map_err(|error| Error::new(Code::InvalidData, error.to_string()))?;
        if is_compressed {
            reservation.shrink(fetched.len());
        }
        let rows = decoded.num_rows();
        let step = self.step(reservation.bytes() / rows.max(1));
        Ok(Current { columns: decoded.columns().to_vec(), rows, next: 0, step, _reservation: reservation })
    }

    fn header(&self, place: &Place) -> Result<Vec<u8>> {
        let size = usize::try_from(place.header).unwrap_or(usize::MAX);
        Ok(self.file.read_bytes(place.start, size)?.to_vec())
    }

    /// Rows of a batch, where a row has so many bytes.
    fn step(&self, row: usize) -> usize {
        let context = &self.scan.context;
        let most = (context.budget.limit() / BATCH_SHARE / context.threads.max(1)).clamp(1 << 16, MOST_BATCH_BYTES);
        (most / row.max(1)).clamp(1, context.batch_size.max(1))
    }

    /// The next rows of the record batch that is being read.
    fn take(&mut self) -> Result<Option<RecordBatch>> {
        let Some(current) = &mut self.current else { return Ok(None) };
        let count = current.step.min(current.rows - current.next).min(self.left);
        if count == 0 {
            self.current = None;
            return Ok(None);
        }
        let scan = &self.scan;
        let whole = count == current.rows;
        let columns = scan.places.iter().zip(scan.schema.fields()).map(|(place, field)| {
            let Some(place) = place else { return Ok(new_null_array(field.data_type(), count)) };
            let array = scan.columns.binary_search(place).ok().and_then(|index| current.columns.get(index));
            let array = array.ok_or_else(|| Error::internal("a column was not decoded"))?;
            converted(&array.slice(current.next, count), field.data_type(), whole)
                .map_err(|error| error.context(format!("column '{}'", field.name())))
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        current.next += count;
        self.left -= count;
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        RecordBatch::try_new_with_options(scan.schema.clone(), columns, &options)
            .map(Some)
            .map_err(|error| Error::new(Code::InvalidData, error.to_string()))
    }

    fn read(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            self.scan.context.cancel.check()?;
            if let Some(batch) = self.take()? {
                return Ok(Some(batch));
            }
            let Some(number) = self.batches.next().filter(|_| self.left > 0) else { return Ok(None) };
            let started = self.start(number).map_err(|error| error.context(format!("record batch {number}")));
            self.current = Some(started?);
        }
    }
}

impl Split for Reading {
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        let scan = self.scan.clone();
        GUARD.run(|| scan.place(), || self.read())
    }
}

/// An array in the engine's type. Rows of a larger array are copied, so that they do not keep all of it.
fn converted(array: &ArrayRef, target: &DataType, whole: bool) -> Result<ArrayRef> {
    if array.data_type() != target {
        return adapted(array, target, cast);
    }
    let is_view = matches!(target, DataType::Utf8View | DataType::BinaryView);
    if whole || is_view { Ok(array.clone()) } else { Ok(concat(&[array.as_ref()])?) }
}
