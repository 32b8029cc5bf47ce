//! What footers say of columns, and the few pages beside them that tell how many distinct values there are.
//!
//! A column chunk that is wholly dictionary-encoded has its number of distinct values in the header of its dictionary;
//! of others the first rows of a few row groups are decoded. Both are remembered with the footer.

use std::sync::Arc;

use arrow::datatypes::Schema;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Encoding;
use parquet::column::page::{Page, PageReader};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::serialized_reader::SerializedPageReader;
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::scan::merge::find_column;
use crate::scan::parquet::bounds::ColumnBounds;
use crate::scan::parquet::chunk::ChunkSource;
use crate::scan::parquet::fault::guard;
use crate::scan::parquet::footer::{self, Footer};
use crate::scan::spec::ScanSpec;
use crate::scan::statistics::{ColumnStatistics, Piece, TableStatistics, distinct_values, number, piece, step};

/// Files whose footers are asked; of more, so many spread evenly.
const FILES: usize = 64;
/// Row groups of all files that are looked into for distinct values.
const PIECES: usize = 3;
/// Rows of a row group that are decoded where there is no dictionary.
const ROWS: usize = 8192;
/// Bytes at the beginning of a column chunk that are mostly enough for that.
const LOOKED_AT: u64 = 512 << 10;

/// The statistics of `columns` over the files of `spec`.
pub(super) fn statistics(spec: &ScanSpec, columns: &[usize]) -> Result<TableStatistics> {
    let rows = spec.rows.map(|rows| rows as f64);
    let files: Vec<_> = spread(spec.files.len(), FILES).filter_map(|index| spec.files.get(index)).collect();
    let footers = files.par_iter().map(|file| footer::load(&file.path)).collect::<Result<Vec<_>>>()?;
    let in_files = spec.schema.fields().len().saturating_sub(spec.hive_columns);
    let of_column = |index: &usize| {
        let unknown = ColumnStatistics::default;
        if *index < in_files { column(&footers, &spec.schema, *index, rows).unwrap_or_else(unknown) } else { unknown() }
    };
    // Side by side, since those of objects mostly wait.
    Ok(TableStatistics { rows, columns: columns.par_iter().map(of_column).collect() })
}

/// At most `count` of the indexes below `all`, spread evenly, the first and the last among them.
fn spread(all: usize, count: usize) -> impl Iterator<Item = usize> {
    let taken = all.min(count);
    (0..taken).map(move |index| if taken < 2 { 0 } else { index * (all - 1) / (taken - 1) })
}

fn column(footers: &[Arc<Footer>], schema: &Schema, index: usize, rows: Option<f64>) -> Option<ColumnStatistics> {
    let field = schema.fields().get(index)?;
    let chunks = footers.iter().filter_map(|footer| Some((footer, find_column(&footer.schema, field.name())?)));
    let chunks: Vec<(&Arc<Footer>, usize)> = chunks.collect();
    let parts: Vec<Parts> = chunks.iter().filter_map(|(footer, root)| Parts::new(footer, *root, field)).collect();
    let range = parts.iter().map(Parts::range).reduce(|a, b| {
        let ((a_low, a_high), (b_low, b_high)) = (a?, b?);
        Some((a_low.min(b_low), a_high.max(b_high)))
    });
    let (seen, null_rows) = parts.iter().fold((0.0, 0.0), |sums, part| (sums.0 + part.rows, sums.1 + part.nulls));
    let nulls = if seen > 0.0 { null_rows / seen } else { 0.0 };
    let range = range.flatten();
    let groups: Vec<(&Arc<Footer>, usize, usize)> = chunks
        .iter()
        .flat_map(|(footer, root)| (0..footer.metadata().num_row_groups()).map(move |group| (*footer, *root, group)))
        .collect();
    let pieces: Vec<Piece> = spread(groups.len(), PIECES)
        .filter_map(|index| groups.get(index))
        .filter_map(|(footer, root, group)| footer.piece(*root, *group, || look(footer, *root, *group)))
        .collect();
    let rows = rows.unwrap_or(seen) * (1.0 - nulls);
    let distinct = distinct_values(&pieces, rows, range, step(field.data_type()));
    Some(ColumnStatistics { range, nulls: Some(nulls), distinct })
}

/// A column in all row groups of one file.
struct Parts {
    bounds: ColumnBounds,
    groups: usize,
    rows: f64,
    nulls: f64,
}

impl Parts {
    fn new(footer: &Footer, root: usize, field: &arrow::datatypes::Field) -> Option<Self> {
        let leaf = only_leaf(footer, root)?;
        let file_field = footer.reader.schema().fields().get(root)?;
        let groups: Vec<usize> = (0..footer.metadata().num_row_groups()).collect();
        let bounds = ColumnBounds::of_row_groups(footer.metadata(), leaf, file_field, field.data_type(), &groups)?;
        let nulls = groups.iter().filter_map(|group| bounds.nulls(*group)).sum::<u64>() as f64;
        Some(Parts { bounds, groups: groups.len(), rows: footer.rows() as f64, nulls })
    }

    fn range(&self) -> Option<(f64, f64)> {
        let ranges = (0..self.groups).map(|group| self.bounds.range(group)).filter(|range| range.may_be_value);
        let ranges = ranges.map(|range| Some((number(range.smallest.as_ref()?)?, number(range.largest.as_ref()?)?)));
        ranges.reduce(|a, b| Some((a?.0.min(b?.0), a?.1.max(b?.1)))).flatten()
    }
}

/// The leaf column of a root column without parts.
fn only_leaf(footer: &Footer, root: usize) -> Option<usize> {
    let descriptor = footer.metadata().file_metadata().schema_descr();
    let mut leaves = (0..descriptor.num_columns()).filter(|leaf| descriptor.get_column_root_idx(*leaf) == root);
    let leaf = leaves.next()?;
    leaves.next().is_none().then_some(leaf)
}

/// How many distinct values a row group has, or its first rows.
fn look(footer: &Footer, root: usize, group: usize) -> Option<Piece> {
    let leaf = only_leaf(footer, root)?;
    let chunk = footer.metadata().row_groups().get(group)?.columns().get(leaf)?;
    let rows = f64::from(i32::try_from(chunk.num_values()).ok()?);
    match is_dictionary(chunk) {
        true => dictionary_values(footer, chunk).ok().flatten().map(|distinct| {
            let values = rows - group_nulls(chunk);
            Piece {
                rows: values,
                distinct: f64::from(distinct).min(values),
                range: group_range(footer, leaf, root, group),
            }
        }),
        false => first_rows(footer, root, group).ok().flatten(),
    }
}

fn group_nulls(chunk: &ColumnChunkMetaData) -> f64 {
    chunk.statistics().and_then(parquet::file::statistics::Statistics::null_count_opt).unwrap_or(0) as f64
}

fn group_range(footer: &Footer, leaf: usize, root: usize, group: usize) -> Option<(f64, f64)> {
    let field = footer.reader.schema().fields().get(root)?;
    let target = footer.schema.fields().get(root)?.data_type();
    let range = ColumnBounds::of_row_groups(footer.metadata(), leaf, field, target, &[group])?.range(0);
    Some((number(range.smallest.as_ref()?)?, number(range.largest.as_ref()?)?))
}

/// Whether every data page of the chunk points into its dictionary.
fn is_dictionary(chunk: &ColumnChunkMetaData) -> bool {
    let only = |encoding| chunk.page_encoding_stats_mask().is_some_and(|mask| mask.is_only(encoding));
    #[allow(deprecated, reason = "older writers use it")]
    let old = only(Encoding::PLAIN_DICTIONARY);
    chunk.dictionary_page_offset().is_some() && (old || only(Encoding::RLE_DICTIONARY))
}

fn dictionary_values(footer: &Footer, chunk: &ColumnChunkMetaData) -> Result<Option<u32>> {
    let source = Arc::new(ChunkSource::open(&footer.key.path)?);
    source.expect(std::iter::once(beginning(chunk)));
    let place = || format!("file '{}'", footer.key.path);
    guard(place, || {
        let rows = usize::try_from(chunk.num_values()).unwrap_or(0);
        let mut pages = SerializedPageReader::new(source, chunk, rows, None)?;
        Ok::<_, Error>(match pages.get_next_page()? {
            Some(Page::DictionaryPage { num_values, .. }) => Some(num_values),
            _ => None,
        })
    })
}

/// The part of a column chunk in which its dictionary and its first page lie.
fn beginning(chunk: &ColumnChunkMetaData) -> std::ops::Range<u64> {
    let (start, size) = chunk.byte_range();
    start..start + size.min(LOOKED_AT)
}

fn first_rows(footer: &Footer, root: usize, group: usize) -> Result<Option<Piece>> {
    let source = ChunkSource::open(&footer.key.path)?;
    let descriptor = footer.metadata().file_metadata().schema_descr();
    let columns = footer.metadata().row_groups().get(group).map(|group| group.columns()).unwrap_or_default();
    let leaves = columns.iter().enumerate().filter(|(leaf, _)| descriptor.get_column_root_idx(*leaf) == root);
    source.expect(leaves.map(|(_, chunk)| beginning(chunk)));
    let place = || format!("file '{}'", footer.key.path);
    guard(place, || {
        let mask = ProjectionMask::roots(footer.reader.parquet_schema(), [root]);
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(source, footer.reader.clone())
            .with_projection(mask)
            .with_row_groups(vec![group])
            .with_batch_size(ROWS)
            .with_limit(ROWS)
            .build()?;
        let first = reader.into_iter().next().transpose()?;
        Ok::<_, Error>(first.and_then(|batch| piece(batch.columns().first()?)))
    })
}
