//! One split being read: records into batches.

use std::sync::{Arc, OnceLock};

use arrow::array::{ArrayRef, new_null_array};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use crate::batch::Split;
use crate::error::{Code, Error, Result};
use crate::io::{Compression, LocalFile};
use crate::memory::Reservation;
use crate::scan::csv::boundary::{Boundaries, LAST_LOOK, Layout};
use crate::scan::csv::columns::{ColumnBuilder, Values, fits};
use crate::scan::csv::head::Head;
use crate::scan::csv::records::{Records, shown};
use crate::scan::csv::settings::Settings;
use crate::scan::csv::structure::Scratch;
use crate::scan::csv::tokenize::{Field, Tokenizer};
use crate::scan::csv::window::Window;
use crate::scan::infer::sql_name;
use crate::scan::{FileEntry, SplitPlan};
use crate::store::QueryContext;

/// Fields that are held at once between finding and reading them.
const TILE_FIELDS: usize = 32 * 1024;

/// Bytes of text after which a batch ends, however few rows it has.
const BATCH_TEXT_BYTES: usize = 8 << 20;

/// Bytes that a value takes at most, apart from long texts.
const BYTES_PER_VALUE: usize = 17;

/// Batches do not get smaller than this for want of memory.
const FEWEST_ROWS: usize = 64;

/// What all splits of a scan share.
pub struct ScanPlan {
    pub settings: Settings,
    /// The columns that are read: their place among the files' columns, and whether their type was inferred.
    pub columns: Vec<PlannedColumn>,
    /// Columns whose values decide whether a row is kept, with `ignore_errors`.
    pub checked: Vec<PlannedColumn>,
    /// The schema of the batches.
    pub schema: SchemaRef,
    /// A file that has all columns, for errors.
    pub first_path: String,
    pub limit: Option<usize>,
    pub context: Arc<QueryContext>,
}

/// A column as the plan wants it.
#[derive(Debug, Clone)]
pub struct PlannedColumn {
    pub name: String,
    pub data_type: DataType,
    /// The type was inferred.
    pub strict: bool,
    /// Index into `settings.file_columns`.
    pub index: usize,
}

/// What the splits of one file share.
pub struct FilePlan {
    pub entry: FileEntry,
    pub boundaries: Boundaries,
    /// Read by whichever split comes first.
    pub head: OnceLock<Result<(Head, Vec<Option<usize>>)>>,
}

/// A byte range of a file, or all of a compressed one.
pub struct CsvSplitPlan {
    pub plan: Arc<ScanPlan>,
    pub file: Arc<FilePlan>,
    /// Index into the scan's files.
    pub file_index: usize,
    /// Index into the file's splits.
    pub index: usize,
}

impl SplitPlan for CsvSplitPlan {
    fn file(&self) -> usize {
        self.file_index
    }

    fn open(&self) -> Result<Box<dyn Split>> {
        let (plan, path) = (&self.plan, self.file.entry.path.as_str());
        let settings = &plan.settings;
        let head = self.file.head.get_or_init(|| {
            let head = Head::open(path, settings)?;
            let places = head.places(path, &plan.first_path, settings)?;
            Ok((head, places))
        });
        let (head, places) = head.as_ref().map_err(Clone::clone)?;
        let mut memory = plan.context.budget.reservation("CsvScan");
        let fixed = TILE_FIELDS * size_of::<Field>() + Scratch::BYTES;
        memory.grow(fixed)?;
        let columns = Columns::new(plan, places);
        let tokenizer = Tokenizer::new(settings.record_dialect(head.columns), head.columns, &columns.wanted);
        let stop = self.file.boundaries.stop(self.index);
        let mut window = self.window(head, stop, &tokenizer)?;
        // The window comes first: batches can be smaller, it cannot.
        window.fill()?;
        let records = Records::new(window, tokenizer, stop, head.columns, settings.ignore_errors);
        // A file without a record has nothing to tokenize.
        let finished = head.columns == 0;
        let left = plan.limit.unwrap_or(usize::MAX);
        let (plan, file, index) = (plan.clone(), self.file.clone(), self.index);
        Ok(Box::new(CsvSplit { plan, file, index, records, columns, finished, left, fixed, memory }))
    }
}

impl CsvSplitPlan {
    fn window(&self, head: &Head, stop: u64, tokenizer: &Tokenizer) -> Result<Window> {
        let path = self.file.entry.path.as_str();
        let newline = tokenizer.dialect().newline;
        let mut memory = self.plan.context.budget.reservation("CsvScan");
        match self.plan.settings.compression_of(path) {
            Compression::None => {
                let file = Arc::new(LocalFile::open(path)?);
                memory.grow(LAST_LOOK)?;
                let cancel = Some(&self.plan.context.cancel);
                let quotes_expected = self.plan.settings.quotes_seen;
                let layout = Layout { file: &file, data_start: head.data_start, tokenizer, quotes_expected };
                let start = self.file.boundaries.start(self.index, &layout, cancel)?;
                memory.shrink(LAST_LOOK);
                Ok(Window::over_file(file, start, stop, newline, Some(memory)))
            }
            compression => {
                let mut window = Window::over_stream(path, compression, newline, Some(memory))?;
                window.skip_to(head.data_start)?;
                Ok(window)
            }
        }
    }
}

/// Which fields are kept of a record, and what becomes of them.
struct Columns {
    /// Places in the file of the fields that are kept.
    wanted: Vec<usize>,
    /// For each column of the batch, its index into `wanted`; `None` when the file lacks it.
    read: Vec<Option<usize>>,
    /// The same for the columns that are checked.
    checked: Vec<Option<usize>>,
}

impl Columns {
    fn new(plan: &ScanPlan, places: &[Option<usize>]) -> Self {
        let mut wanted: Vec<usize> = Vec::new();
        let mut slot = |column: &PlannedColumn| {
            let place = places.get(column.index).copied().flatten()?;
            let known = wanted.iter().position(|&other| other == place);
            Some(known.unwrap_or_else(|| {
                wanted.push(place);
                wanted.len() - 1
            }))
        };
        let read = plan.columns.iter().map(&mut slot).collect();
        let checked = plan.checked.iter().map(&mut slot).collect();
        Columns { wanted, read, checked }
    }
}

struct CsvSplit {
    plan: Arc<ScanPlan>,
    file: Arc<FilePlan>,
    index: usize,
    records: Records,
    columns: Columns,
    finished: bool,
    /// Rows that may still come out.
    left: usize,
    /// Bytes of `memory` that are there from the beginning to the end.
    fixed: usize,
    memory: Reservation,
}

impl Split for CsvSplit {
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        if self.finished || self.left == 0 {
            return Ok(None);
        }
        let plan = self.plan.clone();
        let (size, row_bytes) = self.batch_rows()?;
        let new = |column: &PlannedColumn| ColumnBuilder::new(&column.data_type, column.strict, size);
        let mut builders = plan.columns.iter().map(new).collect::<Result<Vec<_>>>()?;
        let (mut rows, mut bytes) = (0, 0);
        while rows < size && bytes < BATCH_TEXT_BYTES {
            plan.context.cancel.check()?;
            let most = (TILE_FIELDS / self.columns.wanted.len().max(1)).max(1);
            if !self.records.next(most.min(size - rows))? {
                self.finish()?;
                break;
            }
            rows += self.append_tile(&mut builders)?;
            bytes += self.tile_bytes();
            if !self.memory.try_resize(self.fixed + size * row_bytes + bytes) {
                break;
            }
        }
        self.left -= rows;
        if rows == 0 && self.finished {
            return Ok(None);
        }
        self.batch(builders, rows).map(Some)
    }
}

impl CsvSplit {
    /// How many rows the next batch may have, and the bytes of each without long texts; reserves them.
    fn batch_rows(&mut self) -> Result<(usize, usize)> {
        let row_bytes = BYTES_PER_VALUE * self.plan.columns.len();
        let mut rows = self.plan.context.batch_size.max(1).min(self.left);
        while !self.memory.try_resize(self.fixed + rows * row_bytes) {
            if rows <= FEWEST_ROWS {
                let missing = (self.fixed + rows * row_bytes).saturating_sub(self.memory.bytes());
                self.memory.grow(missing)?;
            }
            rows /= 2;
        }
        Ok((rows, row_bytes))
    }

    fn finish(&mut self) -> Result<()> {
        self.finished = true;
        self.file.boundaries.ended(self.index, self.records.place(), &self.file.entry.path)
    }

    /// Bytes of the fields of the last tile.
    fn tile_bytes(&self) -> usize {
        self.records.tile().fields.iter().map(|field| field.end() - field.start()).sum()
    }

    /// Appends the records of the last tile to the builders; gives the number of rows.
    fn append_tile(&self, builders: &mut [ColumnBuilder]) -> Result<usize> {
        let tile = self.records.tile();
        let width = self.columns.wanted.len();
        let values =
            Values { data: self.records.data(), dialect: self.records.dialect(), settings: &self.plan.settings };
        let kept: Option<Vec<Field>> =
            if self.plan.settings.ignore_errors { Some(self.good_rows(&tile.fields, width, &values)?) } else { None };
        let fields = kept.as_deref().unwrap_or(&tile.fields);
        for ((builder, slot), column) in builders.iter_mut().zip(&self.columns.read).zip(&self.plan.columns) {
            let Some(slot) = *slot else { continue };
            let of_column = fields.iter().skip(slot).step_by(width.max(1)).copied();
            builder.append(of_column, &values).map_err(|field| self.misfit(field, column))?;
        }
        Ok(if kept.is_some() && width > 0 { fields.len() / width } else { tile.rows })
    }

    /// The fields of the rows whose values all fit.
    fn good_rows(&self, fields: &[Field], width: usize, values: &Values) -> Result<Vec<Field>> {
        let mut good = Vec::with_capacity(fields.len());
        for row in fields.chunks(width.max(1)) {
            let mut keep = true;
            for (slot, column) in self.columns.checked.iter().zip(&self.plan.checked) {
                let Some(field) = slot.and_then(|slot| row.get(slot)) else { continue };
                keep = keep && fits(&column.data_type, column.strict, *field, values)?;
            }
            if keep {
                good.extend_from_slice(row);
            }
        }
        Ok(good)
    }

    /// The error for a value that does not fit its column.
    fn misfit(&self, field: Field, column: &PlannedColumn) -> Error {
        let place = self.records.location(field.start());
        let (name, value) = (&column.name, self.records.shown(field));
        if column.data_type == DataType::Utf8View {
            let message = format!("{place}, column '{name}': the text is not UTF-8: {value}");
            return Error::new(Code::InvalidData, message).hint("convert the file, e.g. iconv -f latin1 -t utf-8");
        }
        let expected = sql_name(&column.data_type);
        let message = format!("{place}, column '{name}': '{value}' is not a {expected}");
        let name = shown(name.replace('\'', "''").as_bytes());
        let text = format!("types => {{'{name}': 'VARCHAR'}} reads the column as text");
        let hint = if column.strict { format!("{text}; sample_size => -1 looks at every value first") } else { text };
        Error::new(Code::InvalidData, message).hint(hint)
    }

    fn batch(&self, mut builders: Vec<ColumnBuilder>, rows: usize) -> Result<RecordBatch> {
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(builders.len());
        for ((builder, slot), column) in builders.iter_mut().zip(&self.columns.read).zip(&self.plan.columns) {
            arrays.push(match slot {
                Some(_) => builder.finish(),
                None => new_null_array(&column.data_type, rows),
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(self.plan.schema.clone(), arrays, &options)?)
    }
}
