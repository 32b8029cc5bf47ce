//! From a request to splits: row groups kept, gathered to a good size, large ones cut along pages.
//!
//! Invariant: splits come in the order of files and rows, are disjoint, and cover every row group that is not ruled out.

use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::{Fields, Schema, SchemaRef};
use rayon::prelude::*;

use crate::error::{Code, Error, Result};
use crate::scan::early::EarlyConditions;
use crate::scan::format::{ScanRequest, SplitPlan};
use crate::scan::parquet::bounds::ColumnBounds;
use crate::scan::parquet::footer::{self, FileKey, Footer};
use crate::scan::parquet::late::Gauge;
use crate::scan::parquet::prune::{self, Group, Typed};
use crate::scan::parquet::range::Range as ValueRange;
use crate::scan::parquet::schema::{find_column, union_by_name};
use crate::scan::parquet::split::ParquetSplit;
use crate::scan::runtime::Watched;
use crate::store::QueryContext;

/// Rows that a split aims at when there is enough for everybody.
const SPLIT_ROWS: u64 = 128 << 10;
/// No fewer rows are worth a split of their own.
const LEAST_SPLIT_ROWS: u64 = 16 << 10;
/// Splits per thread that small inputs are cut for.
const SPLITS_PER_THREAD: u64 = 4;

/// What all splits of one scan share.
#[derive(Debug)]
pub(super) struct Scan {
    pub(super) request: ScanRequest,
    /// The columns that come out.
    pub(super) schema: SchemaRef,
    /// Rows that a split need not go beyond.
    pub(super) limit: Option<usize>,
    pub(super) context: Arc<QueryContext>,
    /// Whether decoding predicate columns first has paid so far.
    pub(super) gauge: Gauge,
    /// What is asked of a row before all of it is decoded.
    pub(super) conditions: EarlyConditions,
    /// By runtime filter of the request.
    pub(super) watched: Vec<Watched>,
}

/// A part of a file: row groups, or a range of rows in one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// Consecutive row groups.
    pub(super) groups: Range<usize>,
    /// Rows within the only row group; `None` is all.
    pub(super) rows: Option<Range<u64>>,
    /// How many rows that is.
    pub(super) count: u64,
}

/// The splits of `request`.
pub(super) fn splits(request: &ScanRequest, context: &Arc<QueryContext>) -> Result<Vec<Box<dyn SplitPlan>>> {
    let fields = request.projection.iter().map(|index| {
        let field = request.spec.schema.fields().get(*index);
        field.cloned().ok_or_else(|| Error::internal(format!("the scan has no column {index}")))
    });
    let schema = Arc::new(Schema::new(fields.collect::<Result<Fields>>()?));
    // Under a filter nobody knows which rows count.
    let limit = request.limit.filter(|_| request.filters.is_empty());
    let watched = request.runtime_filters.iter().map(|filter| {
        let position = request.projection.iter().position(|column| *column == filter.column);
        Watched::new(position.unwrap_or(usize::MAX), filter.filter.clone())
    });
    let watched = watched.collect();
    let (request_copy, gauge) = (request.clone(), Gauge::default());
    let target = split_rows(request.spec.rows, context.threads);
    let (context, conditions) = (context.clone(), EarlyConditions::new(request)?);
    let scan = Arc::new(Scan { request: request_copy, schema, limit, context, gauge, conditions, watched });
    let files = 0..request.spec.files.len();
    let planned = files.into_par_iter().map(|file| plan_file(&scan, file, target)).collect::<Result<Vec<_>>>()?;
    let mut splits: Vec<Box<dyn SplitPlan>> = Vec::new();
    let mut rows = 0;
    for (file, (key, parts)) in planned.into_iter().enumerate() {
        for part in parts {
            if limit.is_some_and(|limit| rows >= limit as u64) {
                return Ok(splits);
            }
            rows += part.count;
            splits.push(Box::new(ParquetSplit::new(scan.clone(), file, key.clone(), part)));
        }
    }
    Ok(splits)
}

fn split_rows(rows: Option<u64>, threads: usize) -> u64 {
    let threads = u64::try_from(threads.max(1)).unwrap_or(1);
    let fair = rows.unwrap_or(u64::MAX) / (threads * SPLITS_PER_THREAD);
    fair.clamp(LEAST_SPLIT_ROWS, SPLIT_ROWS)
}

fn plan_file(scan: &Scan, file: usize, target: u64) -> Result<(Arc<FileKey>, Vec<Part>)> {
    scan.context.cancel.check()?;
    let entry = scan.request.spec.files.get(file).ok_or_else(|| Error::internal(format!("no file {file}")))?;
    let footer = footer::load(&entry.path)?;
    let kept = kept_groups(scan, &footer)?;
    let mut parts: Vec<Part> = Vec::new();
    for group in kept {
        let count = group_rows(&footer, group);
        if count > target * 2
            && let Some(cuts) = page_cuts(scan, &footer, group, target)
        {
            parts.extend(cuts);
            continue;
        }
        match parts.last_mut() {
            Some(last) if last.rows.is_none() && last.groups.end == group && last.count + count <= target => {
                last.groups.end = group + 1;
                last.count += count;
            }
            _ => parts.push(Part { groups: group..group + 1, rows: None, count }),
        }
    }
    Ok((Arc::new(footer.key.clone()), parts))
}

fn group_rows(footer: &Footer, group: usize) -> u64 {
    footer.metadata().row_groups().get(group).map_or(0, |group| u64::try_from(group.num_rows()).unwrap_or(0))
}

/// The non-empty row groups that no filter rules out.
fn kept_groups(scan: &Scan, footer: &Footer) -> Result<Vec<usize>> {
    let all = 0..footer.metadata().num_row_groups();
    let mut kept: Vec<usize> = all.filter(|group| group_rows(footer, *group) > 0).collect();
    for group in prune::groups(&scan.request.filters) {
        if kept.is_empty() {
            break;
        }
        let known = Known::new(scan, footer, &group, &kept)?;
        let mut number = 0;
        kept.retain(|_| {
            let part = number;
            number += 1;
            prune::may_match(&group, &|name| known.column(name, part))
        });
    }
    Ok(kept)
}

/// What is known of a group's columns, for several parts of one file.
struct Known(Vec<(String, Column)>);

/// What is known of one column.
pub(super) enum Column {
    /// Not in the file: NULL throughout.
    Missing,
    /// Statistics, in the engine's type.
    Bounded(ColumnBounds, arrow::datatypes::DataType),
    /// Nothing, or not a column of the files.
    Unknown,
}

impl Known {
    fn new(scan: &Scan, footer: &Footer, group: &Group, parts: &[usize]) -> Result<Self> {
        let columns = group.columns.iter().map(|name| Ok((name.clone(), column(scan, footer, name, parts)?)));
        Ok(Known(columns.collect::<Result<_>>()?))
    }

    fn column(&self, name: &str, part: usize) -> Typed {
        match self.0.iter().find(|(known, _)| known == name) {
            Some((_, Column::Missing)) => Typed { range: ValueRange::null(), data_type: None },
            Some((_, Column::Bounded(bounds, data_type))) => {
                Typed { range: bounds.range(part), data_type: Some(data_type.clone()) }
            }
            _ => Typed::unknown(),
        }
    }
}

pub(super) fn column(scan: &Scan, footer: &Footer, name: &str, parts: &[usize]) -> Result<Column> {
    let spec = &scan.request.spec;
    let in_files = spec.schema.fields().len().saturating_sub(spec.hive_columns);
    let Some((index, field)) = spec.schema.column_with_name(name) else { return Ok(Column::Unknown) };
    if index >= in_files {
        return Ok(Column::Unknown);
    }
    let Some(root) = file_column(scan, footer, index)? else { return Ok(Column::Missing) };
    let descriptor = footer.metadata().file_metadata().schema_descr();
    let mut leaves = (0..descriptor.num_columns()).filter(|leaf| descriptor.get_column_root_idx(*leaf) == root);
    let (Some(leaf), Some(file_field)) = (leaves.next(), footer.reader.schema().fields().get(root)) else {
        return Ok(Column::Unknown);
    };
    if file_field.data_type().is_nested() {
        return Ok(Column::Unknown);
    }
    let target = field.data_type().clone();
    let bounds = ColumnBounds::of_row_groups(footer.metadata(), leaf, file_field, &target, parts);
    Ok(bounds.map_or(Column::Unknown, |bounds| Column::Bounded(bounds, target)))
}

/// Where column `index` of the scan stands in the file; `None` when it is missing and may be.
///
/// # Errors
/// `INVALID_DATA` when it is missing and may not be.
pub(super) fn file_column(scan: &Scan, footer: &Footer, index: usize) -> Result<Option<usize>> {
    let spec = &scan.request.spec;
    let field =
        spec.schema.fields().get(index).ok_or_else(|| Error::internal(format!("the scan has no column {index}")))?;
    match find_column(&footer.schema, field.name()) {
        Some(column) => Ok(Some(column)),
        None if union_by_name(&spec.options)? => Ok(None),
        None => Err(Error::new(
            Code::InvalidData,
            format!("column '{}' is not in file '{}'", field.name(), footer.key.path),
        )
        .hint("read_parquet(…, union_by_name => true) fills missing columns with NULL")),
    }
}

/// A large row group cut along the pages of its heaviest column; `None` when the file has no page index.
fn page_cuts(scan: &Scan, footer: &Footer, group: usize, target: u64) -> Option<Vec<Part>> {
    let rows = group_rows(footer, group);
    let indexed = footer.with_page_index()?;
    let roots: Vec<usize> =
        scan.request.projection.iter().filter_map(|index| file_column(scan, footer, *index).ok().flatten()).collect();
    let descriptor = indexed.parquet_schema();
    let (heaviest, _) = footer
        .metadata()
        .row_groups()
        .get(group)?
        .columns()
        .iter()
        .enumerate()
        .filter(|(leaf, _)| roots.contains(&descriptor.get_column_root_idx(*leaf)))
        .max_by_key(|(_, column)| column.compressed_size())?;
    let pages = indexed.metadata().offset_index()?.get(group)?.get(heaviest)?.page_locations();
    let mut starts = vec![0];
    for page in pages {
        let row = u64::try_from(page.first_row_index).ok().filter(|row| *row < rows)?;
        if starts.last().is_some_and(|last| row >= last + target) {
            starts.push(row);
        }
    }
    let ends = starts.iter().skip(1).copied().chain([rows]);
    let cut =
        |(start, end): (&u64, u64)| Part { groups: group..group + 1, rows: Some(*start..end), count: end - start };
    Some(starts.iter().zip(ends).map(cut).collect())
}
