//! One split being read: records into batches.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use arrow::array::{ArrayRef, BooleanArray, new_null_array};
use arrow::compute::filter;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use crate::batch::Split;
use crate::error::{Code, Error, Result};
use crate::expr::Selection;
use crate::io::InputFile;
use crate::memory::Reservation;
use crate::scan::chunks::{Begin, Beginning, SharedStream};
use crate::scan::csv::boundary::{Boundaries, LAST_LOOK, Layout};
use crate::scan::csv::chunks::RecordCutter;
use crate::scan::csv::columns::{ColumnBuilder, Values, fits};
use crate::scan::csv::forms::Forms;
use crate::scan::csv::head::Head;
use crate::scan::csv::records::Records;
use crate::scan::csv::rejects::{Reject, Rejects, SplitRejects};
use crate::scan::csv::settings::Settings;
use crate::scan::csv::structure::Scratch;
use crate::scan::csv::tokenize::{Field, Tokenizer};
use crate::scan::csv::window::{LineCounts, Window};
use crate::scan::early::EarlyConditions;
use crate::scan::fault::shown;
use crate::scan::infer::pattern::Pattern;
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
    /// What decides whether a row is read to its end; none with `ignore_errors`.
    pub conditions: EarlyConditions,
    pub limit: Option<usize>,
    pub context: Arc<QueryContext>,
    /// Where rows that are left out are written down.
    pub rejects: Option<Arc<Rejects>>,
}

/// A column as the plan wants it.
#[derive(Debug, Clone)]
pub struct PlannedColumn {
    pub name: String,
    pub data_type: DataType,
    /// How its dates are written, where they have a form of their own.
    pub form: Option<Pattern>,
    /// The type was inferred.
    pub strict: bool,
    /// No text means NULL.
    pub not_null: bool,
    /// Index into `settings.file_columns`.
    pub index: usize,
}

impl PlannedColumn {
    fn builder(&self, rows: usize) -> ColumnBuilder {
        let builder = ColumnBuilder::new(&self.data_type, self.strict, rows);
        let builder = builder.with_form(self.form.as_ref());
        if self.not_null { builder.without_null() } else { builder }
    }

    /// What a value looks like, behind its article, for errors.
    fn described(&self, forms: &Forms) -> String {
        match &self.form {
            Some(form) => format!("a {} in the form '{}'", sql_name(&self.data_type), form.text()),
            None => forms.described(&self.data_type),
        }
    }
}

/// What the splits of one file share.
pub struct FilePlan {
    pub entry: FileEntry,
    pub boundaries: Boundaries,
    /// What the splits of a compressed file share, where it has several.
    pub stream: Option<Arc<SharedStream>>,
    /// Read by whichever split comes first.
    pub head: OnceLock<Result<(Head, Vec<Option<usize>>)>>,
    /// Lines that were counted, for errors.
    pub lines: Arc<LineCounts>,
}

/// A byte range of a file, or all or some chunks of a compressed one.
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

    fn prepare(&self) {
        self.file.entry.path.prepare(|| vec![self.file.boundaries.range(self.index)]);
    }

    fn open(&self) -> Result<Box<dyn Split>> {
        let (plan, path) = (&self.plan, &self.file.entry.path);
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
        let tokenizer = Tokenizer::new(head.record_dialect(), settings.rules, head.columns, &columns.wanted);
        let stop = self.file.boundaries.stop(self.index);
        let mut window = self.window(head, stop, &tokenizer)?;
        // The window comes first: batches can be smaller, it cannot.
        window.fill()?;
        window.count_lines_with(self.file.lines.clone());
        let mut records = Records::new(window, tokenizer, stop, head.columns, settings.ignore_errors);
        let rejects = plan.rejects.as_ref().map(|scan| SplitRejects::new(scan.clone(), self.file_index, path));
        if rejects.is_some() {
            records = records.remembering();
        }
        // A file without a record has nothing to tokenize.
        let finished = head.columns == 0;
        let left = plan.limit.unwrap_or(usize::MAX);
        let (plan, file, index) = (plan.clone(), self.file.clone(), self.index);
        Ok(Box::new(CsvSplit { plan, file, index, records, columns, finished, left, fixed, memory, rejects }))
    }
}

impl CsvSplitPlan {
    fn window(&self, head: &Head, stop: u64, tokenizer: &Tokenizer) -> Result<Window> {
        let path = &self.file.entry.path;
        let newline = tokenizer.dialect().newline;
        let mut memory = self.plan.context.budget.reservation("CsvScan");
        if let Some(stream) = &self.file.stream {
            return Ok(Window::over_chunks(path, stream.reader(self.index, self.beginning(head, tokenizer)), newline));
        }
        let settings = &self.plan.settings;
        if settings.is_stream(path) {
            let mut window = Window::over_stream(path, settings.stream(path)?, newline, Some(memory));
            window.skip_to(head.data_start)?;
            return Ok(window);
        }
        let file = Arc::new(InputFile::open(path)?);
        file.expect(self.file.boundaries.range(self.index));
        memory.grow(LAST_LOOK)?;
        let cancel = Some(&self.plan.context.cancel);
        let quotes_expected = settings.quotes_seen;
        let layout = Layout { file: &file, data_start: head.data_start, tokenizer, quotes_expected };
        let start = self.file.boundaries.start(self.index, &layout, cancel)?;
        memory.shrink(LAST_LOOK);
        Ok(Window::over_file(file, start, stop, newline, Some(memory)))
    }
}

impl CsvSplitPlan {
    /// How the stream of a shared file begins.
    fn beginning(&self, head: &Head, tokenizer: &Tokenizer) -> Begin {
        let (path, plan) = (self.file.entry.path.clone(), self.plan.clone());
        let (skip, tokenizer) = (head.data_start, tokenizer.keeping_none());
        Box::new(move || {
            let stream = plan.settings.counted_stream(&path)?;
            Ok(Beginning { stream, skip, cutter: Box::new(RecordCutter::new(tokenizer.clone())) })
        })
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

/// Rows of a tile, and what of them was read already.
struct Rows<'a> {
    fields: &'a [Field],
    /// Fields of a row.
    width: usize,
    /// Rows of the tile.
    count: usize,
    /// Those that are left; `None` for all.
    chosen: Option<Vec<u32>>,
    /// Columns of the batch by position, for the rows that are left.
    read: Vec<(usize, ArrayRef)>,
}

impl Rows<'_> {
    fn len(&self) -> usize {
        self.chosen.as_ref().map_or(self.count, Vec::len)
    }

    fn already_read(&self, position: usize) -> Option<ArrayRef> {
        self.read.iter().find(|(read, _)| *read == position).map(|(_, array)| array.clone())
    }

    /// Keeps the selected of the rows that are left.
    fn narrow(&mut self, selection: &Selection) -> Result<()> {
        let mask = match selection {
            Selection::All => return Ok(()),
            Selection::None => BooleanArray::new(selection.mask(self.len()), None),
            Selection::Some(mask) => mask.clone(),
        };
        let places = mask.values().set_indices_u32();
        let chosen = match &self.chosen {
            None => places.collect(),
            Some(chosen) => places.filter_map(|place| chosen.get(place as usize).copied()).collect(),
        };
        for (_, array) in &mut self.read {
            *array = filter(array, &mask)?;
        }
        self.chosen = Some(chosen);
        Ok(())
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
    rejects: Option<SplitRejects>,
}

impl Split for CsvSplit {
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        if self.finished || self.left == 0 {
            return Ok(None);
        }
        let plan = self.plan.clone();
        let (size, row_bytes) = self.batch_rows()?;
        let mut builders: Vec<_> = plan.columns.iter().map(|column| column.builder(size)).collect();
        let (mut rows, mut bytes) = (0, 0);
        // Where few rows of a tile are left, a batch is done when another whole tile might be too much for it.
        let (most, least) = match (TILE_FIELDS / self.columns.wanted.len().max(1)).max(1) {
            most if plan.conditions.is_empty() => (most, 1),
            most => (most.min(size.div_ceil(4)), most.min(size.div_ceil(4))),
        };
        while rows + least <= size && bytes < BATCH_TEXT_BYTES {
            plan.context.cancel.check()?;
            let found = self.records.next(most.min(size - rows))?;
            self.write_down_passed()?;
            if !found {
                self.finish()?;
                break;
            }
            rows += self.append_tile(&mut builders)?;
            bytes = builders.iter().map(ColumnBuilder::text_bytes).sum();
            if !self.memory.try_resize(self.fixed + size * row_bytes + bytes) {
                break;
            }
        }
        self.left -= rows;
        if let Some(rejects) = &mut self.rejects {
            rejects.flush()?;
        }
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

    /// Appends the records of the last tile to the builders; gives the number of rows.
    fn append_tile(&mut self, builders: &mut [ColumnBuilder]) -> Result<usize> {
        let good = match self.plan.settings.ignore_errors {
            true => Some(self.good_rows()?),
            false => None,
        };
        let tile = self.records.tile();
        let width = self.columns.wanted.len();
        let bytes = tile.started..tile.consumed;
        let values = Values::new(self.records.data(), bytes, self.records.dialect(), &self.plan.settings);
        let mut rows = Rows { fields: &tile.fields, width, count: tile.rows, chosen: good, read: Vec::new() };
        self.test_early(&mut rows, &values)?;
        for (position, builder) in builders.iter_mut().enumerate() {
            self.append(builder, position, &rows, &values)?;
        }
        Ok(rows.len())
    }

    /// Leaves those of `rows` that pass the scan's conditions.
    fn test_early(&self, rows: &mut Rows, values: &Values) -> Result<()> {
        for condition in self.plan.conditions.iter() {
            let is_there = |position: &usize| self.columns.read.get(*position).is_some_and(Option::is_some);
            if rows.len() == 0 || !condition.columns().iter().all(is_there) {
                continue;
            }
            let mut arrays = Vec::with_capacity(condition.columns().len());
            for &position in condition.columns() {
                let array = match rows.already_read(position) {
                    Some(array) => array,
                    None => self.read_column(position, rows, values)?,
                };
                arrays.push(array);
            }
            let selection = condition.select(arrays, rows.len())?;
            rows.narrow(&selection)?;
        }
        Ok(())
    }

    /// The values of one column of the batch for `rows`.
    fn read_column(&self, position: usize, rows: &mut Rows, values: &Values) -> Result<ArrayRef> {
        let column = self.plan.columns.get(position);
        let column = column.ok_or_else(|| Error::internal(format!("csv: no column {position}")))?;
        let mut builder = column.builder(rows.len());
        self.append(&mut builder, position, rows, values)?;
        let array = builder.finish()?;
        rows.read.push((position, array.clone()));
        Ok(array)
    }

    fn append(&self, builder: &mut ColumnBuilder, position: usize, rows: &Rows, values: &Values) -> Result<()> {
        let slot = self.columns.read.get(position).copied().flatten();
        let (Some(slot), Some(column)) = (slot, self.plan.columns.get(position)) else { return Ok(()) };
        if let Some(array) = rows.already_read(position) {
            builder.append_array(&array);
            return Ok(());
        }
        let many = rows.len() * 2 > rows.count;
        let appended = match &rows.chosen {
            None => builder.append(rows.fields.iter().skip(slot).step_by(rows.width).copied(), values, many),
            Some(chosen) => {
                let field = |&row: &u32| rows.fields.get(row as usize * rows.width + slot).copied();
                builder.append(chosen.iter().filter_map(field), values, many)
            }
        };
        appended.map_err(|field| self.misfit(field, column))
    }

    /// The rows of the last tile whose values all fit; what does not is written down.
    fn good_rows(&mut self) -> Result<Vec<u32>> {
        let (tile, width) = (self.records.tile(), self.columns.wanted.len());
        let bytes = tile.started..tile.consumed;
        let values = Values::new(self.records.data(), bytes, self.records.dialect(), &self.plan.settings);
        let mut good = Vec::with_capacity(tile.rows);
        let mut bad: Vec<Reject> = Vec::new();
        let mut records: Option<Vec<Range<usize>>> = None;
        for row in 0..tile.rows {
            let mut keep = true;
            for (slot, column) in self.columns.checked.iter().zip(&self.plan.checked) {
                let Some(field) = slot.and_then(|slot| tile.fields.get(row * width + slot)).copied() else { continue };
                if (!keep && self.rejects.is_none()) || fits(column.builder(1), field, &values) {
                    continue;
                }
                keep = false;
                if self.rejects.is_some() {
                    let records = records.get_or_insert_with(|| self.records.ranges());
                    let record = records.get(row).cloned().unwrap_or(field.start()..field.end());
                    bad.push(self.reject(field, column, record)?);
                }
            }
            // A tile has at most TILE_FIELDS rows.
            good.extend(u32::try_from(row).ok().filter(|_| keep));
        }
        let Some(rejects) = &mut self.rejects else { return Ok(good) };
        bad.into_iter().try_for_each(|reject| rejects.push(reject))?;
        Ok(good)
    }

    /// What is written down of a value that does not fit its column.
    fn reject(&self, field: Field, column: &PlannedColumn, record: Range<usize>) -> Result<Reject> {
        let line = self.records.line_of(record.start)?;
        let kind = if column.data_type == DataType::Utf8View { "INVALID ENCODING" } else { "CAST" };
        let (value, expected) = (self.records.shown(field), column.described(&self.plan.settings.forms));
        let message = match kind {
            "CAST" => format!("'{value}' is not {expected}"),
            _ => format!("the text is not UTF-8: {value}"),
        };
        Ok(Reject {
            line,
            record: self.records.place_of(record.start),
            at: self.records.place_of(field.start()),
            column: Some(column.index as u64 + 1),
            name: Some(column.name.clone()),
            kind,
            text: self.records.text_of(record),
            message,
        })
    }

    /// Writes down the records that were passed over.
    fn write_down_passed(&mut self) -> Result<()> {
        let Some(rejects) = &mut self.rejects else { return Ok(()) };
        for mut reject in self.records.take_passed() {
            if reject.kind == "MISSING COLUMNS" {
                let missing = reject.column.and_then(|column| usize::try_from(column).ok());
                reject.name = missing.and_then(|column| self.plan.settings.file_columns.get(column)).cloned();
            }
            rejects.push(reject)?;
        }
        Ok(())
    }

    /// The error for a value that does not fit its column.
    fn misfit(&self, field: Field, column: &PlannedColumn) -> Error {
        let (name, value) = (&column.name, self.records.shown(field));
        let line = self.records.line_around(field.start());
        if column.data_type == DataType::Utf8View {
            let text = self.records.data().get(field.start()..field.end()).unwrap_or_default();
            let valid = std::str::from_utf8(text).map_or_else(|error| error.valid_up_to(), str::len);
            let place = self.records.location(field.start() + valid);
            let message = format!("{place}, column '{name}': the text is not UTF-8: {line}");
            return Error::new(Code::InvalidData, message).hint(
                "encoding => 'latin-1' or 'windows-1252' may read it; ignore_errors => true leaves such rows out",
            );
        }
        let place = self.records.location(field.start());
        let expected = column.described(&self.plan.settings.forms);
        let message = format!("{place}, column '{name}': '{value}' is not {expected}, in the line: {line}");
        let name = shown(name.replace('\'', "''").as_bytes());
        let text = format!("types => {{'{name}': 'VARCHAR'}} reads the column as text");
        let unproven = self.plan.settings.unproven.contains(&column.name);
        let error = Error::new(Code::InvalidData, message);
        match column.strict {
            // Nobody can look at every value of a pipe and read it after that.
            true if unproven && self.file.entry.path.comes_once() => error.hint(text).of_inferred_type(),
            true if unproven => {
                error.hint(format!("{text}; sample_size => -1 looks at every value first")).of_inferred_type()
            }
            true => error.hint(format!("{text}; has the file changed meanwhile?")),
            false => error.hint(text),
        }
    }

    fn batch(&self, mut builders: Vec<ColumnBuilder>, rows: usize) -> Result<RecordBatch> {
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(builders.len());
        for ((builder, slot), column) in builders.iter_mut().zip(&self.columns.read).zip(&self.plan.columns) {
            arrays.push(match slot {
                Some(_) => builder.finish()?,
                None => new_null_array(&column.data_type, rows),
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(self.plan.schema.clone(), arrays, &options)?)
    }
}
