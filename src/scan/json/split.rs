//! Splits of JSON files and their reading.
//!
//! Invariant: every record of every file belongs to exactly one split. A split holds one read buffer (or chunk) and one
//! batch; a batch ends early when its records have had many bytes.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatchOptions};
use arrow::datatypes::{Fields, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use rayon::prelude::*;

use crate::batch::Split;
use crate::error::{Error, Result};
use crate::io::open_counted_stream;
use crate::memory::Reservation;
use crate::scan::Parts;
use crate::scan::chunks::{Beginning, SharedStream, shares};
use crate::scan::format::{ScanRequest, SplitPlan};
use crate::scan::json::column::{MoreKeys, Row};
use crate::scan::json::cutters::cutter;
use crate::scan::json::fault::placed;
use crate::scan::json::input::{BYTE_ORDER_MARK, Input, Portion};
use crate::scan::json::reader::Reader;
use crate::scan::json::records::Broken;
use crate::scan::json::settings::{Layout, PEEK_BYTES, Settings, layout_of};
use crate::scan::spec::FileEntry;
use crate::store::QueryContext;

/// Bytes of a file that one split has at most and at least.
const GREATEST_SPLIT: u64 = 16 << 20;
const LEAST_SPLIT: u64 = 256 << 10;
/// Splits per thread that small inputs are cut for.
const SPLITS_PER_THREAD: u64 = 4;
/// A batch is full when its records had so many bytes.
const BATCH_BYTES: usize = 2 << 20;

/// What all splits of one scan share.
#[derive(Debug)]
struct Scan {
    settings: Settings,
    schema: SchemaRef,
    /// For each column of `schema` what is wanted of it.
    parts: Vec<Parts>,
    more: MoreKeys,
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
    let parts = parts_of(&request.projection, &request.parts);
    let more = match request.spec.may_have_more(&request.projection) {
        true => MoreKeys::Refused,
        false => MoreKeys::LeftOut,
    };
    let scan = Arc::new(Scan { settings, schema, parts, more, limit, context: context.clone() });
    let files = &request.spec.files;
    let all: u64 = files.iter().map(|file| file.size).sum();
    let threads = u64::try_from(context.threads.max(1)).unwrap_or(1);
    let target = (all / (threads * SPLITS_PER_THREAD)).clamp(LEAST_SPLIT, GREATEST_SPLIT);
    let layouts = files.par_iter().map(|file| scan.settings.layout(&file.path)).collect::<Result<Vec<_>>>()?;
    let shares = shares_of(files, &layouts, &scan.settings, context.threads);
    let mut splits: Vec<Box<dyn SplitPlan>> = Vec::new();
    for (number, ((file, layout), share)) in files.iter().zip(layouts).zip(shares).enumerate() {
        let compression = scan.settings.compression(&file.path);
        let portion = Portion { path: file.path.clone(), compression, layout, range: None };
        let one = JsonSplit { scan: scan.clone(), file: number, portion, shared: None };
        if let Some(count) = share
            && let Some((layout, skip)) = shared_layout(&one.portion)?
        {
            let stream = Arc::new(SharedStream::new(&file.path, file.size, b'\n', context));
            splits.extend((0..count).map(|index| {
                let shared = Some(Shared { stream: stream.clone(), index, layout, skip });
                let portion = Portion { layout: Some(layout), ..one.portion.clone() };
                Box::new(JsonSplit { scan: scan.clone(), file: number, portion, shared }) as Box<dyn SplitPlan>
            }));
            continue;
        }
        if scan.settings.is_stream(&file.path) || layout != Some(Layout::Lines) {
            splits.push(Box::new(one));
            continue;
        }
        let mut start = 0;
        while start < file.size {
            let rest = file.size - start;
            // What is left behind a split is never a crumb.
            let end = if rest < target + target / 2 { file.size } else { start + target };
            let portion = Portion { range: Some(start..end), ..one.portion.clone() };
            splits.push(Box::new(JsonSplit { scan: scan.clone(), file: number, portion, shared: None }));
            start = end;
        }
    }
    Ok(splits)
}

fn parts_of(projection: &[usize], parts: &BTreeMap<usize, Parts>) -> Vec<Parts> {
    projection.iter().map(|column| parts.get(column).cloned().unwrap_or(Parts::All)).collect()
}

/// Into how many splits a file is cut that one worker has to read from front to back; `None` for the others and where
/// that does not pay.
fn shares_of(
    files: &[FileEntry],
    layouts: &[Option<Layout>],
    settings: &Settings,
    threads: usize,
) -> Vec<Option<usize>> {
    let is_one = |(file, layout): (&FileEntry, &Option<Layout>)| {
        settings.is_stream(&file.path) || *layout == Some(Layout::Array)
    };
    let ones: Vec<bool> = files.iter().zip(layouts).map(is_one).collect();
    // What all workers read anyway is soon done.
    let weight = |(file, is_one): (&FileEntry, &bool)| if *is_one { file.size } else { file.size / 4 };
    let sizes: Vec<u64> = files.iter().zip(&ones).map(weight).collect();
    shares(&sizes, threads).into_iter().zip(ones).map(|(share, is_one)| share.filter(|_| is_one)).collect()
}

/// The layout of a file that several splits share, and the bytes before its text; `None` where it cannot be cut.
fn shared_layout(portion: &Portion) -> Result<Option<(Layout, u64)>> {
    let mut bytes = Vec::new();
    open_counted_stream(&portion.path, portion.compression)?.take(PEEK_BYTES as u64).read_to_end(&mut bytes)?;
    let layout = portion.layout.unwrap_or_else(|| layout_of(&bytes));
    let mark = if bytes.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
    Ok((layout != Layout::Values).then_some((layout, mark as u64)))
}

/// A part of one file, planned.
struct JsonSplit {
    scan: Arc<Scan>,
    file: usize,
    portion: Portion,
    shared: Option<Shared>,
}

/// A share of a file that is read from front to back.
struct Shared {
    stream: Arc<SharedStream>,
    index: usize,
    layout: Layout,
    /// Bytes before the text.
    skip: u64,
}

impl SplitPlan for JsonSplit {
    fn file(&self) -> usize {
        self.file
    }

    fn prepare(&self) {
        self.portion.path.prepare(|| vec![self.portion.expected()]);
    }

    fn open(&self) -> Result<Box<dyn Split>> {
        let budget = &self.scan.context.budget;
        let settings = &self.scan.settings;
        let input = match &self.shared {
            Some(shared) => self.share(shared),
            None => Input::open(&self.portion, Some(budget.reservation("JSON scan")))?,
        };
        let memory = budget.reservation("JSON scan");
        let parts: Vec<&Parts> = self.scan.parts.iter().collect();
        Ok(Box::new(Reading {
            scan: self.scan.clone(),
            portion: self.portion.clone(),
            reader: Reader::new(input, self.portion.layout, settings, memory),
            row: Row::new(
                self.scan.schema.fields(),
                &parts,
                &settings.forms,
                self.scan.more,
                &|column| match settings.unproven.iter().any(|name| name == column) {
                    true => MoreKeys::Refused,
                    false => MoreKeys::LeftOut,
                },
            )?,
            left: self.scan.limit.unwrap_or(usize::MAX),
            batch: budget.reservation("JSON scan"),
        }))
    }
}

impl JsonSplit {
    fn share(&self, shared: &Shared) -> Input {
        let (path, compression) = (self.portion.path.clone(), self.portion.compression);
        let (layout, skip, longest) = (shared.layout, shared.skip, self.scan.settings.maximum_object_bytes);
        let begin = Box::new(move || {
            let stream = open_counted_stream(&path, compression)?;
            let cutter = cutter(layout, longest).ok_or_else(|| Error::internal("a stream that cannot be cut"))?;
            Ok(Beginning { stream, skip, cutter })
        });
        Input::of_chunks(shared.stream.reader(shared.index, begin), skip)
    }
}

/// A split being read.
struct Reading {
    scan: Arc<Scan>,
    portion: Portion,
    reader: Reader,
    row: Row,
    /// Rows that are still wanted.
    left: usize,
    /// What the columns of one batch take: about the bytes of the records that they come from, twice.
    batch: Reservation,
}

impl Split for Reading {
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        self.scan.context.cancel.check()?;
        let wanted = self.scan.context.batch_size.max(1).min(self.left);
        if wanted == 0 {
            return Ok(None);
        }
        if self.batch.bytes() < BATCH_BYTES * 2 {
            self.batch.grow(BATCH_BYTES * 2 - self.batch.bytes())?;
        }
        let rows = self.reader.read(&mut self.row, wanted, BATCH_BYTES);
        let rows = rows.map_err(|Broken { error, lines }| placed(error, &self.portion, lines))?;
        if rows == 0 {
            self.left = 0;
            return Ok(None);
        }
        self.left -= rows;
        let columns: Vec<ArrayRef> =
            self.row.finish(rows).map_err(|error| error.context(format!("file '{}'", self.portion.path)))?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(Some(RecordBatch::try_new_with_options(self.scan.schema.clone(), columns, &options)?))
    }
}
