//! One split being read: decoded batches, brought to the scan's columns, order and types.
//!
//! Invariant: at most one batch, a window and a page per column are held, and they are reserved before the first read.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatchOptions, new_null_array};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection, RowSelectionPolicy,
    RowSelector,
};

use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::page_index::offset_index::PageLocation;

use crate::batch::Split;
use crate::error::{Code, Error, Result};
use crate::memory::{Reservation, Tally};
use crate::scan::adapt::adapted;
use crate::scan::format::SplitPlan;
use crate::scan::parquet::chunk::{ChunkSource, window_bytes};
use crate::scan::parquet::fault::guard;
use crate::scan::parquet::flat::FlatSplit;
use crate::scan::parquet::footer::{FileKey, Footer, load_again};
use crate::scan::parquet::index::IndexReader;
use crate::scan::parquet::intervals::leaf;
use crate::scan::parquet::late::{Gathering, Late, PASSING_SHARE, Survivors};
use crate::scan::parquet::levels::{are_repeated, counting_reader};
use crate::scan::parquet::plan::{Part, Scan, file_column};
use crate::scan::parquet::runtime;
use crate::scan::runtime::passing;

/// What a decoder holds per column besides its batch: a decompressed page and a dictionary.
const PAGE_BYTES: u64 = 2 << 20;
/// A batch aims at no more than so many bytes, or than one in so many of the memory of one worker.
const MOST_BATCH_BYTES: usize = 64 << 20;
const BATCH_SHARE: usize = 32;
/// Under memory that is full all decoders together may go over the limit by one in so many of its bytes.
const SLACK_SHARE: usize = 8;

/// A part of one file, planned.
#[derive(Debug)]
pub(super) struct ParquetSplit {
    scan: Arc<Scan>,
    file: usize,
    key: Arc<FileKey>,
    part: Part,
}

impl ParquetSplit {
    pub(super) fn new(scan: Arc<Scan>, file: usize, key: Arc<FileKey>, part: Part) -> Self {
        ParquetSplit { scan, file, key, part }
    }
}

impl SplitPlan for ParquetSplit {
    fn file(&self) -> usize {
        self.file
    }

    fn rows(&self) -> Option<u64> {
        Some(self.part.count)
    }

    fn prepare(&self) {
        if let Some(entry) = self.scan.request.spec.files.get(self.file) {
            // What goes wrong here is met again when the split is opened.
            entry.path.prepare(|| self.first_ranges().unwrap_or_default());
        }
    }

    fn open(&self) -> Result<Box<dyn Split>> {
        let most = |part: &Part| self.scan.limit.map_or(part.count, |limit| part.count.min(limit as u64));
        let wanted = most(&self.part);
        if self.scan.request.projection.is_empty() {
            return Ok(Box::new(RowCount { scan: self.scan.clone(), left: wanted }));
        }
        let footer = load_again(&self.key)?;
        if runtime::rule_out(&self.scan, &footer, &self.part)? {
            Tally::count("row groups ruled out by a join", self.part.groups.len() as u64);
            return Ok(Box::new(Nothing));
        }
        let Some(part) = runtime::narrowed(&self.scan, &footer, &self.part)? else { return Ok(Box::new(Nothing)) };
        let wanted = most(&part);
        let columns = output_columns(&self.scan, &footer)?;
        let mut roots: Vec<usize> = columns.iter().filter_map(|column| column.root).collect();
        roots.sort_unstable();
        roots.dedup();
        if roots.is_empty() {
            return Ok(Box::new(Nulls(RowCount { scan: self.scan.clone(), left: wanted })));
        }
        if let Some(flat) = FlatSplit::open(&self.scan, &footer, (self.file, &part), &columns, wanted)? {
            return Ok(Box::new(flat));
        }
        let late = Late::plan(&self.scan, &footer, &roots)?;
        let mut split = Decoding {
            scan: self.scan.clone(),
            footer,
            file: self.file,
            part,
            columns,
            roots,
            late,
            survivors: None,
            decoder: None,
            left: wanted,
            kept: None,
        };
        if split.late.is_none() {
            split.start_plain()?;
        }
        Ok(Box::new(split))
    }
}

impl ParquetSplit {
    /// What is read first: the predicate columns, or all.
    fn first_ranges(&self) -> Result<Vec<Range<u64>>> {
        let footer = load_again(&self.key)?;
        let columns = output_columns(&self.scan, &footer)?;
        let mut roots: Vec<usize> = columns.iter().filter_map(|column| column.root).collect();
        roots.sort_unstable();
        roots.dedup();
        if roots.is_empty() || runtime::rule_out(&self.scan, &footer, &self.part)? {
            return Ok(Vec::new());
        }
        let late = match FlatSplit::reads(&footer, &self.part, &roots) {
            true => None,
            false => Late::plan(&self.scan, &footer, &roots)?,
        };
        let roots = late.map_or(roots, |late| late.first);
        Opening { scan: &self.scan, footer: &footer, part: &self.part, file: self.file }.wanted_ranges(&roots, None)
    }
}

/// How a column of the scan comes out of a decoded batch.
#[derive(Debug, Clone)]
pub(super) struct OutputColumn {
    /// The file's root column; `None` when the file does not have it.
    pub(super) root: Option<usize>,
    pub(super) target: DataType,
    /// Whether text in it must be checked for UTF-8 here, because the decoder does not.
    pub(super) unchecked_text: bool,
}

fn output_columns(scan: &Scan, footer: &Footer) -> Result<Vec<OutputColumn>> {
    let fields = scan.request.projection.iter().zip(scan.schema.fields());
    fields
        .map(|(index, field)| {
            let root = file_column(scan, footer, *index)?;
            let unchecked_text = root.and_then(|root| footer.unchecked_text.get(root)).copied().unwrap_or(false);
            Ok(OutputColumn { root, target: field.data_type().clone(), unchecked_text })
        })
        .collect()
}

/// Decodes batches of some columns.
struct Decoder {
    reader: ParquetRecordBatchReader,
    source: ChunkSource,
    /// What it holds.
    _reservation: Reservation,
}

impl Decoder {
    /// The next batch.
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        guard(String::new, || {
            // An error of reading, such as no room for a page, has become the text of a damaged file on its way here.
            let own = |error: ArrowError| self.source.take_failure().unwrap_or_else(|| error.into());
            self.reader.next().transpose().map_err(own)
        })
    }
}

/// What is needed to start a decoder.
pub(super) struct Opening<'a> {
    pub(super) scan: &'a Scan,
    pub(super) footer: &'a Footer,
    pub(super) part: &'a Part,
    /// Index into the scan's files.
    pub(super) file: usize,
}

impl Opening<'_> {
    /// Where the pages of `roots` (those of the rows `selected` of the part, or all) are read from, what decoding them
    /// holds, and how many rows are decoded at once.
    pub(super) fn source(
        &self,
        roots: &[usize],
        selected: Option<&RowSelection>,
    ) -> Result<(ChunkSource, Reservation, usize)> {
        let ranges = self.chunk_ranges(roots);
        let mut reservation = self.scan.context.budget.reservation("Parquet scan");
        let context = &self.scan.context;
        // All splits that run at once read ahead within a sixteenth of the memory.
        let window = window_bytes(ranges.len(), context.budget.limit() / 16 / context.threads.max(1));
        let windows: u64 = ranges.iter().map(|range| (range.end - range.start).min(window)).sum();
        let batch_rows = self.batch_rows(roots);
        let decoder = usize::try_from(self.decoder_bytes(roots, batch_rows as u64)).unwrap_or(usize::MAX);
        let ahead = reservation.try_grow(decoder.saturating_add(usize::try_from(windows).unwrap_or(usize::MAX)));
        let ranges = if ahead { ranges } else { Vec::new() };
        // Whoever has reserved all there is must still be able to read on.
        let slack = context.budget.limit() / SLACK_SHARE / context.threads.max(1);
        if !ahead {
            reservation.grow_with_slack(decoder, slack)?;
        }
        let pages = self.scan.context.budget.reservation("Parquet scan");
        let path = &self.scan.request.spec.files.get(self.file).ok_or_else(|| Error::internal("no such file"))?.path;
        let wanted = self.wanted_ranges(roots, selected)?;
        let source = ChunkSource::with_chunks(path, ranges, wanted, window, Some(pages), slack)?;
        Ok((source, reservation, batch_rows))
    }

    /// The row group alone with the places of its pages, where the part is of some of its rows.
    fn paged_group(&self, roots: &[usize]) -> Result<Option<ArrowReaderMetadata>> {
        match self.part.rows {
            Some(_) => self.footer.paged_group(self.part.groups.start, &self.leaves(roots)),
            None => Ok(None),
        }
    }

    /// The leaf columns of root columns.
    fn leaves(&self, roots: &[usize]) -> Vec<usize> {
        let descriptor = self.footer.metadata().file_metadata().schema_descr();
        (0..descriptor.num_columns()).filter(|leaf| roots.contains(&descriptor.get_column_root_idx(*leaf))).collect()
    }

    /// A decoder of the root columns `roots` over the part (or the rows `selected` of it).
    fn decoder(&self, roots: &[usize], selected: Option<RowSelection>) -> Result<Decoder> {
        let (source, reservation, batch_rows) = self.source(roots, selected.as_ref())?;
        let selected = match (selected, &self.part.rows) {
            (Some(selected), _) => Some(selected),
            (None, Some(rows)) => Some(selection(rows)?),
            (None, None) => None,
        };
        let chunks = source.clone();
        let place = || format!("file '{}', row group {}", self.footer.key.path, self.part.groups.start);
        let reader = guard(place, || {
            let (metadata, groups) = match self.paged_group(roots)? {
                Some(metadata) => (metadata, vec![0]),
                None => (self.footer.reader.clone(), self.part.groups.clone().collect()),
            };
            let mask = ProjectionMask::roots(metadata.parquet_schema(), roots.iter().copied());
            if let Some(selected) = &selected
                && are_repeated(metadata.parquet_schema(), &self.leaves(roots))
            {
                let columns = (mask, groups);
                return Ok(counting_reader(chunks, &metadata, columns, batch_rows, selected.clone())?);
            }
            let mut builder = ParquetRecordBatchReaderBuilder::new_with_metadata(chunks, metadata)
                .with_projection(mask)
                .with_row_groups(groups)
                .with_batch_size(batch_rows);
            if let Some(selected) = selected {
                // Between few rows skipping is cheaper than decoding everything under a mask.
                let is_sparse = (selected.row_count() as u64).saturating_mul(PASSING_SHARE) <= self.part.count;
                let policy = if is_sparse { RowSelectionPolicy::Selectors } else { RowSelectionPolicy::default() };
                builder = builder.with_row_selection(selected).with_row_selection_policy(policy);
            }
            Ok::<_, Error>(builder.build()?)
        })?;
        Ok(Decoder { reader, source, _reservation: reservation })
    }

    /// The byte ranges of the column chunks that will be read.
    fn chunk_ranges(&self, roots: &[usize]) -> Vec<Range<u64>> {
        self.chunks(roots).map(|column| column.byte_range()).map(|(start, size)| start..start + size).collect()
    }

    /// What of the column chunks will be read: the pages of the selected rows, where the page index says where they lie,
    /// else all.
    fn wanted_ranges(&self, roots: &[usize], selected: Option<&RowSelection>) -> Result<Vec<Range<u64>>> {
        let whole = self.part.rows.as_deref().map(selection).transpose()?;
        let Some(selected) = selected.or(whole.as_ref()).filter(|_| self.part.rows.is_some()) else {
            return Ok(self.chunk_ranges(roots));
        };
        let (group, leaves) = (self.part.groups.start, self.leaves(roots));
        let mut index = IndexReader::new(self.footer);
        index.expect(&leaves.iter().map(|leaf| (group, *leaf)).collect::<Vec<_>>(), false);
        let chunks = self.footer.metadata().row_groups().get(group).map(|group| group.columns()).unwrap_or_default();
        let mut ranges = Vec::new();
        for (leaf, chunk) in leaves.iter().filter_map(|leaf| Some((*leaf, chunks.get(*leaf)?))) {
            match index.locations(group, leaf) {
                Some(pages) => ranges.extend(page_ranges(chunk, &pages, selected)),
                None => {
                    let (start, size) = chunk.byte_range();
                    ranges.push(start..start + size);
                }
            }
        }
        Ok(ranges)
    }

    fn chunks(&self, roots: &[usize]) -> impl Iterator<Item = &ColumnChunkMetaData> {
        let descriptor = self.footer.metadata().file_metadata().schema_descr();
        let groups = self.footer.metadata().row_groups().get(self.part.groups.clone()).unwrap_or_default();
        groups.iter().flat_map(move |group| {
            let columns = group.columns().iter().enumerate();
            columns.filter(move |(leaf, _)| roots.contains(&descriptor.get_column_root_idx(*leaf))).map(|(_, c)| c)
        })
    }

    /// How many rows are decoded at once: fewer than asked for where rows are large, such as long lists.
    fn batch_rows(&self, roots: &[usize]) -> usize {
        let context = &self.scan.context;
        let sizes = self.chunks(roots).map(|column| usize::try_from(column.uncompressed_size()).unwrap_or(0));
        let bytes: usize = sizes.sum();
        let rows = usize::try_from(self.group_rows()).unwrap_or(usize::MAX);
        let most = (context.budget.limit() / BATCH_SHARE / context.threads.max(1)).clamp(1 << 16, MOST_BATCH_BYTES);
        (most / (bytes / rows.max(1)).max(1)).clamp(1, context.batch_size.max(1))
    }

    /// Rows of all row groups.
    fn group_rows(&self) -> u64 {
        let groups = self.footer.metadata().row_groups().get(self.part.groups.clone()).unwrap_or_default();
        groups.iter().map(|group| u64::try_from(group.num_rows()).unwrap_or(0)).sum()
    }

    /// A bound, as good as the footer allows, of what decoding batches of `batch` rows holds at a time.
    fn decoder_bytes(&self, roots: &[usize], batch: u64) -> u64 {
        let groups = u64::try_from(self.part.groups.len().max(1)).unwrap_or(1);
        let rows = self.group_rows() / groups;
        let sizes = self.chunks(roots).map(|column| {
            let size = u64::try_from(column.uncompressed_size()).unwrap_or(0);
            // A row of a list has many values.
            let row = (size / rows.max(1)).max(16);
            let page = size.min(PAGE_BYTES).saturating_add(dictionary_bytes(column).saturating_sub(PAGE_BYTES));
            page / groups + row.saturating_mul(batch.min(rows)) / groups
        });
        sizes.fold(0, u64::saturating_add)
    }
}

/// What the dictionary of a column chunk takes, as its page and as values: guessed from its compressed size.
fn dictionary_bytes(chunk: &ColumnChunkMetaData) -> u64 {
    let compressed = chunk.dictionary_page_offset().and_then(|start| chunk.data_page_offset().checked_sub(start));
    let compressed = compressed.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0);
    let (all, inflated) = (chunk.compressed_size().max(1).unsigned_abs(), chunk.uncompressed_size().unsigned_abs());
    let page = u64::try_from(u128::from(compressed) * u128::from(inflated) / u128::from(all)).unwrap_or(u64::MAX);
    page.min(inflated).saturating_mul(2)
}

/// The dictionary of a column chunk and the pages that hold any of the selected rows.
fn page_ranges(chunk: &ColumnChunkMetaData, pages: &[PageLocation], selected: &RowSelection) -> Vec<Range<u64>> {
    let (start, _) = chunk.byte_range();
    let first = pages.first().and_then(|page| u64::try_from(page.offset).ok()).unwrap_or(start);
    let mut ranges = selected.scan_ranges(pages);
    ranges.push(start..first.max(start));
    ranges
}

fn selection(runs: &[Range<u64>]) -> Result<RowSelection> {
    let count = |rows: u64| usize::try_from(rows).map_err(|_| Error::internal(format!("{rows} rows in a row group")));
    let (mut selectors, mut done) = (Vec::with_capacity(2 * runs.len()), 0);
    for run in runs {
        selectors.push(RowSelector::skip(count(run.start.saturating_sub(done))?));
        selectors.push(RowSelector::select(count(run.end.saturating_sub(run.start))?));
        done = run.end;
    }
    Ok(RowSelection::from(selectors))
}

/// A split being decoded.
struct Decoding {
    scan: Arc<Scan>,
    footer: Arc<Footer>,
    /// Index into the scan's files.
    file: usize,
    part: Part,
    columns: Vec<OutputColumn>,
    /// The root columns wanted, in file order.
    roots: Vec<usize>,
    /// Predicate columns to decode before the others.
    late: Option<Late>,
    /// What passed, once they are decoded.
    survivors: Option<Survivors>,
    /// Decodes all columns, or those that are not among the predicate columns; `None` before the start.
    decoder: Option<Decoder>,
    /// Rows still to give.
    left: u64,
    /// What the survivors hold.
    kept: Option<Reservation>,
}

impl Decoding {
    fn place(&self) -> String {
        format!("file '{}'", self.footer.key.path)
    }

    fn opening(&self) -> Opening<'_> {
        Opening { scan: &self.scan, footer: &self.footer, part: &self.part, file: self.file }
    }

    /// Starts decoding all columns of all rows.
    fn start_plain(&mut self) -> Result<()> {
        self.late = None;
        self.decoder = Some(self.opening().decoder(&self.roots, None)?);
        Ok(())
    }

    /// Decodes the predicate columns of all rows, then starts decoding the others of the rows that pass. Where there is
    /// no room to keep what passes, all columns are decoded together instead.
    fn start_late(&mut self, late: Late) -> Result<()> {
        let mut decoder = self.opening().decoder(&late.first, None)?;
        let mut gathering = Gathering::new(&late);
        let mut kept = self.scan.context.budget.reservation("Parquet scan");
        while let Some(batch) = self.decode(&mut decoder)? {
            self.scan.context.cancel.check()?;
            if !gathering.push(&self.scan, &late, &batch, &mut kept)? {
                return self.start_plain();
            }
        }
        drop(decoder);
        let (passed, survivors) = gathering.finish(&self.scan.gauge)?;
        let selection = match self.part.rows.as_deref() {
            Some(runs) => selection(runs)?.and_then(&passed),
            None => passed,
        };
        self.left = survivors.rows as u64;
        if self.left > 0 {
            self.decoder = Some(self.opening().decoder(&late.rest, Some(selection))?);
        }
        (self.late, self.survivors, self.kept) = (Some(late), Some(survivors), Some(kept));
        Ok(())
    }

    /// The next batch of `decoder`; the error of a damaged file names row group and column.
    fn decode(&self, decoder: &mut Decoder) -> Result<Option<RecordBatch>> {
        decoder.next().map_err(|error| {
            let blamed = if error.code() == Code::InvalidData { self.blame() } else { None };
            match blamed {
                Some(column) => error.context(format!("{column} of {}", self.place())),
                None => error.context(self.place()),
            }
        })
    }

    /// The decoded batch as the scan's columns.
    fn output(&mut self, batch: &RecordBatch) -> Result<RecordBatch> {
        let first = self.survivors.as_mut().map(|survivors| survivors.take(batch.num_rows())).unwrap_or_default();
        let decoded = |root: usize| match &self.late {
            Some(late) => match late.first.binary_search(&root) {
                Ok(index) => first.get(index),
                Err(_) => late.rest.binary_search(&root).ok().and_then(|index| batch.columns().get(index)),
            },
            None => self.roots.binary_search(&root).ok().and_then(|index| batch.columns().get(index)),
        };
        let columns = self.columns.iter().zip(self.scan.schema.fields()).map(|(column, field)| {
            let Some(root) = column.root else { return Ok(new_null_array(&column.target, batch.num_rows())) };
            let array = decoded(root).ok_or_else(|| Error::internal("the decoder left out a column"))?;
            converted(array, column).map_err(|error| error.context(format!("column '{}'", field.name())))
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(self.scan.schema.clone(), columns, &options)
            .map_err(|error| Error::new(Code::InvalidData, error.to_string()))
    }

    /// Which row group and column of the part cannot be decoded: only asked when something could not.
    fn blame(&self) -> Option<String> {
        let groups = self.part.groups.clone();
        groups.flat_map(|group| self.roots.iter().map(move |root| (group, *root))).find_map(|(group, root)| {
            let part = Part { groups: group..group + 1, rows: self.part.rows.clone(), count: self.part.count };
            let opening = Opening { scan: &self.scan, footer: &self.footer, part: &part, file: self.file };
            let decoded = opening.decoder(&[root], None).and_then(|mut decoder| {
                while decoder.next()?.is_some() {}
                Ok(())
            });
            let name = self.footer.schema.fields().get(root).map_or("?", |field| field.name());
            decoded.is_err().then(|| format!("row group {group}, column '{name}'"))
        })
    }
}

impl Split for Decoding {
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        self.scan.context.cancel.check()?;
        if self.survivors.is_none()
            && let Some(late) = self.late.take()
        {
            self.start_late(late)?;
        }
        let Some(mut decoder) = self.decoder.take_if(|_| self.left > 0) else { return Ok(None) };
        let Some(batch) = self.decode(&mut decoder)? else {
            return Err(Error::new(Code::InvalidData, format!("{} rows are missing", self.left)).context(self.place()));
        };
        self.decoder = Some(decoder);
        let rows = usize::try_from(self.left).unwrap_or(usize::MAX).min(batch.num_rows());
        let batch = if rows < batch.num_rows() { batch.slice(0, rows) } else { batch };
        self.left -= rows as u64;
        let output = self.output(&batch).map_err(|error| error.context(self.place()))?;
        // What passed the predicate columns has passed the filters.
        if self.late.is_some() { Ok(Some(output)) } else { passing(&self.scan.watched, output).map(Some) }
    }
}

/// An array in the scan's type, its text checked where the decoder did not.
pub(super) fn converted(array: &ArrayRef, column: &OutputColumn) -> Result<ArrayRef> {
    if column.unchecked_text {
        array.to_data().validate_full().map_err(|error| Error::new(Code::InvalidData, error.to_string()))?;
    }
    adapted(array, &column.target, leaf)
}

/// No rows.
struct Nothing;

impl Split for Nothing {
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        Ok(None)
    }
}

/// Rows without columns, straight from the footer.
struct RowCount {
    scan: Arc<Scan>,
    left: u64,
}

impl RowCount {
    fn step(&mut self) -> Option<usize> {
        let rows = usize::try_from(self.left).unwrap_or(usize::MAX).min(self.scan.context.batch_size.max(1));
        self.left -= rows as u64;
        (rows > 0).then_some(rows)
    }
}

impl Split for RowCount {
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        self.scan.context.cancel.check()?;
        let Some(rows) = self.step() else { return Ok(None) };
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(Some(RecordBatch::try_new_with_options(self.scan.schema.clone(), Vec::new(), &options)?))
    }
}

/// Rows of a file that has none of the wanted columns.
struct Nulls(RowCount);

impl Split for Nulls {
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        self.0.scan.context.cancel.check()?;
        let Some(rows) = self.0.step() else { return Ok(None) };
        let schema = self.0.scan.schema.clone();
        let columns = schema.fields().iter().map(|field| new_null_array(field.data_type(), rows)).collect();
        Ok(Some(RecordBatch::try_new(schema, columns)?))
    }
}
