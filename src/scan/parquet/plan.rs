//! From a request to splits: row groups kept, gathered to a good size, large ones cut along pages.
//!
//! Invariant: splits come in the order of files and rows, are disjoint, and cover every row group that is not ruled out.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::{DataType, Fields, Schema, SchemaRef};
use rayon::prelude::*;

use crate::error::{Code, Error, Result};
use crate::scan::early::EarlyConditions;
use crate::scan::format::{ScanRequest, Splits};
use crate::scan::merge::{find_column, union_by_name};
use crate::scan::parquet::bloom::Blooms;
use crate::scan::parquet::bounds::ColumnBounds;
use crate::scan::parquet::footer::{self, FileKey, Footer};
use crate::scan::parquet::index::IndexReader;
use crate::scan::parquet::late::Gauge;
use crate::scan::parquet::pages::{self, PageGauge};
use crate::scan::parquet::prune::{self, Group, Typed};
use crate::scan::parquet::range::Range as ValueRange;
use crate::scan::parquet::split::ParquetSplit;
use crate::scan::runtime::Watched;
use crate::store::QueryContext;

/// Rows that a split aims at when there is enough for everybody.
const SPLIT_ROWS: u64 = 128 << 10;
/// No fewer rows are worth a split of their own.
const LEAST_SPLIT_ROWS: u64 = 16 << 10;
/// Splits per thread that small inputs are cut for.
const SPLITS_PER_THREAD: u64 = 4;

/// Files that are planned side by side where a limit may leave out those behind them.
const FILES_AT_ONCE: usize = 64;

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
    /// Whether looking for pages to leave out has paid so far: by the filters, and by runtime filters.
    pub(super) pages: (PageGauge, PageGauge),
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
    /// Rows within the only row group, ascending and apart; `None` is all.
    pub(super) rows: Option<Arc<[Range<u64>]>>,
    /// How many rows that is.
    pub(super) count: u64,
}

/// The splits of `request`.
pub(super) fn splits(request: &ScanRequest, context: &Arc<QueryContext>) -> Result<Splits> {
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
    let pages = (PageGauge::default(), PageGauge::default());
    let scan = Arc::new(Scan { request: request_copy, schema, limit, context, gauge, pages, conditions, watched });
    let planned = plan_files(&scan, target)?;
    let mut ruled_out = RuledOut::default();
    planned.iter().for_each(|file| ruled_out.add(&file.ruled_out));
    let mut splits = Splits { plans: Vec::new(), ruled_out: ruled_out.to_string() };
    let mut rows = 0;
    for (file, PlannedFile { key, parts, .. }) in planned.into_iter().enumerate() {
        for part in parts {
            if limit.is_some_and(|limit| rows >= limit as u64) {
                return Ok(splits);
            }
            rows += part.count;
            splits.plans.push(Box::new(ParquetSplit::new(scan.clone(), file, key.clone(), part)));
        }
    }
    Ok(splits)
}

/// The files of the scan cut into parts, as far as its limit goes.
fn plan_files(scan: &Scan, target: u64) -> Result<Vec<PlannedFile>> {
    let files = scan.request.spec.files.len();
    let (mut planned, mut rows): (Vec<PlannedFile>, u64) = (Vec::new(), 0);
    while planned.len() < files && scan.limit.is_none_or(|limit| rows < limit as u64) {
        let portion = if scan.limit.is_some() { FILES_AT_ONCE } else { files };
        let next = planned.len()..files.min(planned.len() + portion);
        let more = next.into_par_iter().map(|file| plan_file(scan, file, target)).collect::<Result<Vec<_>>>()?;
        rows += more.iter().flat_map(|file| &file.parts).map(|part| part.count).sum::<u64>();
        planned.extend(more);
    }
    Ok(planned)
}

fn split_rows(rows: Option<u64>, threads: usize) -> u64 {
    let threads = u64::try_from(threads.max(1)).unwrap_or(1);
    let fair = rows.unwrap_or(u64::MAX) / (threads * SPLITS_PER_THREAD);
    fair.clamp(LEAST_SPLIT_ROWS, SPLIT_ROWS)
}

/// A file cut into parts.
struct PlannedFile {
    key: Arc<FileKey>,
    parts: Vec<Part>,
    ruled_out: RuledOut,
}

/// What a file's statistics, page indexes and bloom filters rule out.
#[derive(Debug, Default)]
struct RuledOut {
    groups: (u64, u64),
    by_bloom: u64,
    pages: (u64, u64),
}

impl RuledOut {
    fn add(&mut self, other: &RuledOut) {
        self.groups = (self.groups.0 + other.groups.0, self.groups.1 + other.groups.1);
        self.by_bloom += other.by_bloom;
        self.pages = (self.pages.0 + other.pages.0, self.pages.1 + other.pages.1);
    }
}

impl fmt::Display for RuledOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (out, all) = self.groups;
        if out > 0 {
            write!(f, "{out} of {all} row groups")?;
            if self.by_bloom > 0 {
                write!(f, " ({} by bloom filters)", self.by_bloom)?;
            }
        }
        let (pages, all) = self.pages;
        if pages > 0 {
            write!(f, "{}{pages} of {all} pages", if out > 0 { " and " } else { "" })?;
        }
        Ok(())
    }
}

fn plan_file(scan: &Scan, file: usize, target: u64) -> Result<PlannedFile> {
    scan.context.cancel.check()?;
    let entry = scan.request.spec.files.get(file).ok_or_else(|| Error::internal(format!("no file {file}")))?;
    let footer = footer::load(&entry.path)?;
    let mut ruled_out = RuledOut::default();
    let conjuncts = prune::groups(&scan.request.filters);
    let kept = kept_groups(scan, &footer, &conjuncts, &mut ruled_out)?;
    let mut index = IndexReader::new(&footer);
    pages::expect(scan, &footer, &mut index, &conjuncts, &kept)?;
    let mut parts: Vec<Part> = Vec::new();
    for group in kept {
        let rows = group_rows(&footer, group);
        let left = pages_left(scan, &footer, &mut index, &conjuncts, group)?;
        ruled_out.pages = (ruled_out.pages.0 + left.ruled_out, ruled_out.pages.1 + left.pages);
        let runs = left.rows.unwrap_or_else(|| pages::all(rows));
        let count: u64 = runs.iter().map(|run| run.end - run.start).sum();
        let cuts = if count > target * 2 { page_starts(scan, &footer, &mut index, group) } else { Vec::new() };
        if !pages::are_all(&runs, rows) || !cuts.is_empty() {
            parts.extend(cut(&runs, &cuts, target).into_iter().map(|rows| some_rows(group, rows)));
            continue;
        }
        match parts.last_mut() {
            Some(last) if last.rows.is_none() && last.groups.end == group && last.count + rows <= target => {
                last.groups.end = group + 1;
                last.count += rows;
            }
            _ => parts.push(Part { groups: group..group + 1, rows: None, count: rows }),
        }
    }
    Ok(PlannedFile { key: Arc::new(footer.key.clone()), parts, ruled_out })
}

/// The part that is these rows of a row group.
pub(super) fn some_rows(group: usize, rows: Vec<Range<u64>>) -> Part {
    let count = rows.iter().map(|run| run.end - run.start).sum();
    Part { groups: group..group + 1, rows: Some(rows.into()), count }
}

/// What the page index leaves of a row group, where it is worth asking.
fn pages_left(
    scan: &Scan,
    footer: &Footer,
    index: &mut IndexReader,
    conjuncts: &[Group],
    group: usize,
) -> Result<pages::Left> {
    let rows = group_rows(footer, group);
    if rows < pages::LEAST_ROWS || conjuncts.is_empty() || !scan.pages.0.is_worth_it() {
        return Ok(pages::Left::default());
    }
    let mut open = Vec::new();
    for conjunct in conjuncts {
        // Where all rows pass, no page can be left out.
        let known = Known::new(scan, footer, conjunct, &[group])?;
        if !prune::must_match(conjunct, &|name| known.column(name, 0)) {
            open.push(conjunct);
        }
    }
    if open.is_empty() {
        return Ok(pages::Left::default());
    }
    let left = pages::left(scan, footer, index, &open, group, rows)?;
    scan.pages.0.note(left.rows.is_some());
    Ok(left)
}

fn group_rows(footer: &Footer, group: usize) -> u64 {
    footer.metadata().row_groups().get(group).map_or(0, |group| u64::try_from(group.num_rows()).unwrap_or(0))
}

/// The non-empty row groups that no filter rules out.
fn kept_groups(scan: &Scan, footer: &Footer, conjuncts: &[Group], ruled_out: &mut RuledOut) -> Result<Vec<usize>> {
    let all = 0..footer.metadata().num_row_groups();
    let mut kept: Vec<usize> = all.filter(|group| group_rows(footer, *group) > 0).collect();
    let all = kept.len();
    for group in conjuncts {
        if kept.is_empty() {
            break;
        }
        let known = Known::new(scan, footer, group, &kept)?;
        let mut number = 0;
        kept.retain(|_| {
            let part = number;
            number += 1;
            prune::may_match(group, &|name| known.column(name, part))
        });
    }
    let by_statistics = kept.len();
    let mut blooms = Blooms::new(scan, footer);
    for conjunct in conjuncts.iter().flat_map(|group| &group.conjuncts) {
        blooms.retain(conjunct, &mut kept)?;
    }
    ruled_out.groups = (count(all - kept.len()), count(all));
    ruled_out.by_bloom = count(by_statistics - kept.len());
    Ok(kept)
}

fn count(number: usize) -> u64 {
    number as u64
}

/// What is known of a group's columns, for several parts of one file.
struct Known(Vec<(String, Column)>);

/// What is known of one column.
pub(super) enum Column {
    /// Not in the file: NULL throughout.
    Missing,
    /// Statistics, in the engine's type.
    Bounded(Box<ColumnBounds>, DataType),
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
    let (Some(leaf), Some(file_field)) = (footer.flat_leaf(root), footer.reader.schema().fields().get(root)) else {
        return Ok(Column::Unknown);
    };
    let target = field.data_type().clone();
    let bounds = ColumnBounds::of_row_groups(footer.metadata(), leaf, file_field, &target, parts);
    Ok(bounds.map_or(Column::Unknown, |bounds| Column::Bounded(Box::new(bounds), target)))
}

/// The leaf column of column `name` of the scan, and the engine's type; `None` where the file has no such column, or one
/// that is nested.
pub(super) fn file_leaf(scan: &Scan, footer: &Footer, name: &str) -> Result<Option<(usize, DataType)>> {
    let spec = &scan.request.spec;
    let in_files = spec.schema.fields().len().saturating_sub(spec.hive_columns);
    let Some((index, field)) = spec.schema.column_with_name(name).filter(|(index, _)| *index < in_files) else {
        return Ok(None);
    };
    let root = file_column(scan, footer, index)?;
    Ok(root.and_then(|root| footer.flat_leaf(root)).map(|leaf| (leaf, field.data_type().clone())))
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

/// The first rows of the pages of the heaviest column that is read; empty when they are not known.
fn page_starts(scan: &Scan, footer: &Footer, index: &mut IndexReader, group: usize) -> Vec<u64> {
    let roots: Vec<usize> =
        scan.request.projection.iter().filter_map(|index| file_column(scan, footer, *index).ok().flatten()).collect();
    let descriptor = footer.metadata().file_metadata().schema_descr();
    let chunks = footer.metadata().row_groups().get(group).map(|group| group.columns()).unwrap_or_default();
    let read = chunks.iter().enumerate().filter(|(leaf, _)| roots.contains(&descriptor.get_column_root_idx(*leaf)));
    let heaviest = read.max_by_key(|(_, chunk)| chunk.compressed_size());
    let locations = heaviest.and_then(|(leaf, _)| index.locations(group, leaf));
    locations
        .iter()
        .flat_map(|pages| pages.iter())
        .filter_map(|page| u64::try_from(page.first_row_index).ok())
        .collect()
}

/// `runs` cut at some of `starts`, into parts of at least `target` rows.
fn cut(runs: &[Range<u64>], starts: &[u64], target: u64) -> Vec<Vec<Range<u64>>> {
    let (mut parts, mut part, mut rows) = (Vec::new(), Vec::new(), 0);
    for run in runs {
        let mut start = run.start;
        for end in starts.iter().copied().filter(|end| (run.start + 1..run.end).contains(end)).chain([run.end]) {
            if rows + (end - start) >= target {
                part.push(start..end);
                parts.push(std::mem::take(&mut part));
                (start, rows) = (end, 0);
            }
        }
        if start < run.end {
            part.push(start..run.end);
            rows += run.end - start;
        }
    }
    if !part.is_empty() {
        parts.push(part);
    }
    parts
}
