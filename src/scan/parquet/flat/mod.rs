//! Columns without nesting, decoded by floe's own loops: pages as the parquet crate gives them, values only of the rows
//! that pass the scan's conditions.
//!
//! A conjunct over one column is asked once for each value of a dictionary, and then looked up by index (`finding`); indexes
//! stay packed (`hybrid`) until it is known of which rows they are wanted. Columns are read in the order of the conditions,
//! and those that no condition needs last and only for the rows that are left. Rows of which none is left are passed over in
//! all other columns, whole pages without inflating them.
//!
//! Pages of Snappy are inflated here (`snappy`), those of other codecs by the crate. Files whose columns are nested or
//! encoded in ways that are rare go through the parquet crate's reader (`split`).

mod column;
mod finding;
mod hybrid;
mod physical;
mod snappy;
#[cfg(test)]
mod tests;
mod text;

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatchOptions, new_null_array};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
};
use arrow::record_batch::RecordBatch;
use parquet::basic::{Encoding, LogicalType, TimeUnit as ParquetUnit, Type};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::schema::types::ColumnDescriptor;

use self::column::{Column, Leaf, Pages, Rows};
pub(super) use self::hybrid::Hybrid;
use self::physical::{Decimal32, Decimal64, DecimalBytes, Fixed, Float32, Float64, Int32, Int64};
use self::text::Variable;
use crate::batch::Split;
use crate::error::{Code, Error, Result};
use crate::expr::Selection;
use crate::memory::{Reservation, Tally};
use crate::scan::parquet::chunk::ChunkSource;
use crate::scan::parquet::fault::guard;
use crate::scan::parquet::footer::Footer;
use crate::scan::parquet::index::IndexReader;
use crate::scan::parquet::plan::{Part, Scan};
use crate::scan::parquet::split::{Opening, OutputColumn, converted};

/// Sixteen bytes hold every decimal of 38 digits.
const MOST_DECIMAL_BYTES: i32 = 16;

/// A split of which every column is flat.
pub(super) struct FlatSplit {
    scan: Arc<Scan>,
    footer: Arc<Footer>,
    part: Part,
    columns: Vec<OutputColumn>,
    leaves: Vec<FlatLeaf>,
    /// For each column of the scan, the leaf that has it; `None` where the file does not have it.
    places: Vec<Option<usize>>,
    source: Arc<ChunkSource>,
    _reservation: Reservation,
    /// The row group that is being read, and how many of its rows are left.
    group: usize,
    /// Rows of the row group that were looked at or passed over, and the runs of rows that are still to come.
    position: usize,
    runs: std::vec::IntoIter<Range<usize>>,
    /// Rows that are left of the present run.
    run_left: usize,
    /// Rows of the part that are still to read.
    left: usize,
    batch_rows: usize,
}

struct FlatLeaf {
    /// Index among the file's leaves.
    leaf: usize,
    column: Box<dyn Column>,
    /// Rows behind the others, which were read or passed over.
    behind: usize,
    /// Whether the rows that are being looked at have been loaded.
    loaded: bool,
}

/// The decoder of a root column; `None` where it is not flat or has an encoding that is not known here.
fn decoder(footer: &Footer, part: &Part, root: usize) -> Option<(usize, Box<dyn Column>)> {
    let field = footer.reader.schema().fields().get(root)?;
    let descriptor = footer.metadata().file_metadata().schema_descr();
    let mut leaves = (0..descriptor.num_columns()).filter(|leaf| descriptor.get_column_root_idx(*leaf) == root);
    let leaf = leaves.next().filter(|_| leaves.next().is_none())?;
    let column = descriptor.column(leaf);
    if column.max_rep_level() > 0 || column.max_def_level() > 1 || field.data_type().is_nested() {
        return None;
    }
    let nullable = column.max_def_level() == 1;
    let groups = footer.metadata().row_groups().get(part.groups.clone())?;
    if !groups.iter().filter_map(|group| group.columns().get(leaf)).all(|chunk| is_known(chunk, nullable)) {
        return None;
    }
    Some((leaf, typed(&column, field.data_type(), nullable)?))
}

fn is_known(chunk: &ColumnChunkMetaData, nullable: bool) -> bool {
    chunk.encodings().all(|encoding| match encoding {
        Encoding::PLAIN | Encoding::RLE | Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY => true,
        // Levels of old files; where there are none, the name means nothing.
        #[allow(deprecated)]
        Encoding::BIT_PACKED => !nullable,
        _ => false,
    })
}

fn typed(column: &ColumnDescriptor, data_type: &DataType, nullable: bool) -> Option<Box<dyn Column>> {
    macro_rules! fixed {
        ($value:ident < $arrow:ty >, $width:expr) => {
            Box::new(Leaf::new(Fixed::<$value<$arrow>>::new($width, data_type.clone()), nullable))
        };
    }
    let same_scale = |scale: i8| i32::from(scale) == column.type_scale();
    let unit = match column.logical_type_ref() {
        Some(LogicalType::Timestamp(timestamp)) => Some(timestamp.unit),
        _ => None,
    };
    Some(match (column.physical_type(), data_type) {
        (Type::INT32, DataType::Int32) => fixed!(Int32<Int32Type>, 4),
        (Type::INT32, DataType::Date32) => fixed!(Int32<Date32Type>, 4),
        (Type::INT32, DataType::Decimal128(_, scale)) if same_scale(*scale) => fixed!(Decimal32<Decimal128Type>, 4),
        (Type::INT64, DataType::Int64) => fixed!(Int64<Int64Type>, 8),
        (Type::INT64, DataType::Timestamp(TimeUnit::Millisecond, _)) if unit == Some(ParquetUnit::MILLIS) => {
            fixed!(Int64<TimestampMillisecondType>, 8)
        }
        (Type::INT64, DataType::Timestamp(TimeUnit::Microsecond, _)) if unit == Some(ParquetUnit::MICROS) => {
            fixed!(Int64<TimestampMicrosecondType>, 8)
        }
        (Type::INT64, DataType::Timestamp(TimeUnit::Nanosecond, _)) if unit == Some(ParquetUnit::NANOS) => {
            fixed!(Int64<TimestampNanosecondType>, 8)
        }
        (Type::INT64, DataType::Decimal128(_, scale)) if same_scale(*scale) => fixed!(Decimal64<Decimal128Type>, 8),
        (Type::FLOAT, DataType::Float32) => fixed!(Float32<Float32Type>, 4),
        (Type::DOUBLE, DataType::Float64) => fixed!(Float64<Float64Type>, 8),
        (Type::FIXED_LEN_BYTE_ARRAY, DataType::Decimal128(_, scale))
            if same_scale(*scale) && (1..=MOST_DECIMAL_BYTES).contains(&column.type_length()) =>
        {
            fixed!(DecimalBytes<Decimal128Type>, usize::try_from(column.type_length()).ok()?)
        }
        (Type::BYTE_ARRAY, DataType::Utf8View | DataType::LargeUtf8 | DataType::BinaryView) => {
            Box::new(Leaf::new(Variable { data_type: data_type.clone() }, nullable))
        }
        _ => return None,
    })
}

impl FlatSplit {
    /// Whether all of the root columns `roots` are flat.
    pub(super) fn reads(footer: &Footer, part: &Part, roots: &[usize]) -> bool {
        roots.iter().all(|root| decoder(footer, part, *root).is_some())
    }

    /// The split over the part of a file (its index among the scan's), of which `wanted` rows are wanted; `None` when some of `columns` is not flat, or none is
    /// in the file.
    pub(super) fn open(
        scan: &Arc<Scan>,
        footer: &Arc<Footer>,
        (file, part): (usize, &Part),
        columns: &[OutputColumn],
        wanted: u64,
    ) -> Result<Option<Self>> {
        let mut roots: Vec<usize> = columns.iter().filter_map(|column| column.root).collect();
        roots.sort_unstable();
        roots.dedup();
        let decoders: Option<Vec<_>> = roots.iter().map(|root| decoder(footer, part, *root)).collect();
        let Some(decoders) = decoders.filter(|decoders| !decoders.is_empty()) else { return Ok(None) };
        let (source, reservation, batch_rows) = Opening { scan, footer, part, file }.source(&roots, None)?;
        let place = |column: &OutputColumn| column.root.and_then(|root| roots.binary_search(&root).ok());
        let leaf = |(leaf, column)| FlatLeaf { leaf, column, behind: 0, loaded: false };
        // Texts are checked where they are decoded.
        let checked = |column: &OutputColumn| OutputColumn { unchecked_text: false, ..column.clone() };
        Ok(Some(FlatSplit {
            scan: scan.clone(),
            footer: footer.clone(),
            part: part.clone(),
            columns: columns.iter().map(checked).collect(),
            leaves: decoders.into_iter().map(leaf).collect(),
            places: columns.iter().map(place).collect(),
            source: Arc::new(source),
            _reservation: reservation,
            group: part.groups.start,
            position: 0,
            runs: Vec::new().into_iter(),
            run_left: 0,
            left: usize::try_from(wanted).unwrap_or(usize::MAX),
            batch_rows,
        }))
    }

    /// Starts the next row group.
    fn start_group(&mut self) -> Result<()> {
        let number = self.group;
        let metadata = self.footer.metadata();
        let group = metadata.row_groups().get(number).filter(|_| self.part.groups.contains(&number));
        let Some(group) = group else {
            return Err(Error::new(Code::InvalidData, format!("{} rows are missing", self.left)));
        };
        let rows = usize::try_from(group.num_rows()).unwrap_or(0);
        let within = |row: u64| usize::try_from(row).unwrap_or(rows).min(rows);
        let runs: Vec<Range<usize>> = self.part.rows.as_ref().map_or_else(
            || std::iter::once(0..rows).collect(),
            |runs| runs.iter().map(|run| within(run.start)..within(run.end)).collect(),
        );
        let mut index = IndexReader::new(&self.footer);
        for leaf in &mut self.leaves {
            let chunk = group.columns().get(leaf.leaf);
            let chunk = chunk.ok_or_else(|| Error::internal(format!("row group {number} lacks a column")))?;
            let locations = self.part.rows.as_ref().and_then(|_| index.locations(number, leaf.leaf));
            let locations = locations.map(|pages| pages.as_ref().clone());
            leaf.column.start(Pages::new(self.source.clone(), chunk, rows, locations)?);
            (leaf.behind, leaf.loaded) = (0, false);
        }
        (self.group, self.position, self.runs) = (number + 1, 0, runs.into_iter());
        Ok(())
    }

    /// Goes on to the next run of rows of the row group; false when there is none.
    fn start_run(&mut self) -> bool {
        let Some(run) = self.runs.next() else { return false };
        let gap = run.start.saturating_sub(self.position);
        self.leaves.iter_mut().for_each(|leaf| leaf.behind += gap);
        (self.position, self.run_left) = (run.end, run.end.saturating_sub(run.start));
        true
    }

    /// Looks at the next rows, at most `most`, and appends those that pass; gives how many those are.
    fn step(&mut self, most: usize) -> Result<usize> {
        let count = most.min(self.run_left).min(self.left);
        let mut rows = Rows::all(count);
        self.test(&mut rows)?;
        self.watch(&mut rows)?;
        let wanted = rows.wanted();
        if wanted < count {
            Tally::count("rows ruled out before the other columns", (count - wanted) as u64);
        }
        for place in 0..self.leaves.len() {
            if wanted > 0 {
                self.ask(place, count, |column| column.append(&rows))?;
            }
            if let Some(leaf) = self.leaves.get_mut(place)
                && !std::mem::take(&mut leaf.loaded)
            {
                leaf.behind += count;
            }
        }
        self.run_left -= count;
        self.left -= count;
        Ok(wanted)
    }

    /// What `ask` says of the column at `place` with the next `count` rows loaded.
    fn ask<T>(&mut self, place: usize, count: usize, ask: impl FnOnce(&mut dyn Column) -> Result<T>) -> Result<T> {
        let leaf = self.leaves.get_mut(place).ok_or_else(|| Error::internal(format!("no leaf {place}")))?;
        let loaded = match std::mem::replace(&mut leaf.loaded, true) {
            true => Ok(()),
            false => leaf.column.skip(std::mem::take(&mut leaf.behind)).and_then(|()| leaf.column.load(count)),
        };
        loaded.and_then(|()| ask(leaf.column.as_mut())).map_err(|error| {
            let root = self.footer.metadata().file_metadata().schema_descr().get_column_root(leaf.leaf);
            let error = self.source.take_failure().unwrap_or(error);
            error.context(format!("row group {}, column '{}'", self.group - 1, root.name()))
        })
    }

    /// The leaf of a column of the scan that comes out as it lies in the file.
    fn unchanged(&self, position: usize) -> Option<usize> {
        let column = self.columns.get(position)?;
        let field = self.footer.reader.schema().fields().get(column.root?)?;
        self.places.get(position).copied().flatten().filter(|_| field.data_type() == &column.target)
    }

    /// Leaves of `rows` those that pass the scan's conditions.
    fn test(&mut self, rows: &mut Rows) -> Result<()> {
        let scan = self.scan.clone();
        for (number, condition) in scan.conditions.iter().enumerate() {
            let places: Option<Vec<usize>> = condition.columns().iter().map(|column| self.unchanged(*column)).collect();
            let Some(places) = places.filter(|_| rows.wanted() > 0) else { continue };
            if let [place] = places[..] {
                self.ask(place, rows.count, |column| column.test(condition, number, rows))?;
                continue;
            }
            let arrays = places.iter().map(|place| self.ask(*place, rows.count, |column| column.array(rows)));
            let arrays = arrays.collect::<Result<Vec<_>>>()?;
            rows.narrow(&condition.select(arrays, rows.wanted())?);
        }
        Ok(())
    }

    /// Leaves of `rows` those that what was said while the query runs lets pass.
    fn watch(&mut self, rows: &mut Rows) -> Result<()> {
        let scan = self.scan.clone();
        for watched in &scan.watched {
            let place = self.unchanged(watched.position).filter(|_| rows.wanted() > 0 && watched.is_wanted());
            let Some(place) = place else { continue };
            let array = self.ask(place, rows.count, |column| column.array(rows))?;
            if let Some(mask) = watched.mask_now(&array)? {
                rows.narrow(&Selection::of_mask(&mask));
            }
        }
        Ok(())
    }

    /// The rows that were appended, as the scan's columns.
    fn batch(&mut self, rows: usize) -> Result<RecordBatch> {
        let arrays = self.leaves.iter_mut().map(|leaf| leaf.column.finish()).collect::<Result<Vec<ArrayRef>>>()?;
        let columns = self.columns.iter().zip(&self.places).zip(self.scan.schema.fields());
        let columns = columns.map(|((column, place), field)| {
            let Some(array) = place.and_then(|place| arrays.get(place)) else {
                return Ok(new_null_array(&column.target, rows));
            };
            converted(array, column).map_err(|error| error.context(format!("column '{}'", field.name())))
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(self.scan.schema.clone(), columns, &options)
            .map_err(|error| Error::new(Code::InvalidData, error.to_string()))
    }

    /// Reads on until there are rows enough for a batch; `None` at the end.
    fn read(&mut self) -> Result<Option<RecordBatch>> {
        let mut appended = 0;
        while self.left > 0 {
            self.scan.context.cancel.check()?;
            if self.run_left == 0 {
                if !self.start_run() {
                    self.start_group()?;
                }
                continue;
            }
            let most = self.batch_rows.saturating_sub(appended);
            // A batch of a few rows costs what is behind the scan nearly as much as a full one.
            if most < self.batch_rows.div_ceil(2) {
                break;
            }
            appended += self.step(most)?;
        }
        if appended > 0 { self.batch(appended).map(Some) } else { Ok(None) }
    }
}

impl Split for FlatSplit {
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        let path = self.footer.key.path.clone();
        guard(|| format!("file '{path}'"), || self.read())
    }
}
