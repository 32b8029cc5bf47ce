//! Which rows of a row group a predicate leaves, by what the page index says of its pages.
//!
//! Invariant: every row for which all conjuncts are true is among those that are left. Pages of different columns begin at
//! different rows: a row belongs to a piece that lies within one page of every column that the conjuncts name.

#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::datatypes::DataType;

use crate::error::Result;
use crate::scan::parquet::bounds::ColumnBounds;
use crate::scan::parquet::footer::Footer;
use crate::scan::parquet::index::IndexReader;
use crate::scan::parquet::plan::{Scan, file_leaf};
use crate::scan::parquet::prune::{self, Group, Typed};

/// In row groups of fewer rows pages are not looked for.
pub(super) const LEAST_ROWS: u64 = if cfg!(test) { 2 } else { 4 << 10 };
/// Row groups after which looking is judged, the share of them in which it has to pay, and how often it is tried again.
const JUDGED_GROUPS: u64 = 8;
const PAYING_SHARE: u64 = 8;
const TRY_AGAIN: u64 = 32;

/// Whether looking for pages has paid: it is an effort in vain where a column's values lie in no order.
#[derive(Debug, Default)]
pub(super) struct PageGauge {
    asked: AtomicU64,
    looked: AtomicU64,
    paid: AtomicU64,
}

impl PageGauge {
    /// Whether to look into the next row group.
    pub(super) fn is_worth_it(&self) -> bool {
        let (asked, looked) = (self.asked.fetch_add(1, Ordering::Relaxed), self.looked.load(Ordering::Relaxed));
        let paid = self.paid.load(Ordering::Relaxed);
        looked < JUDGED_GROUPS || paid.saturating_mul(PAYING_SHARE) >= looked || asked.is_multiple_of(TRY_AGAIN)
    }

    /// Some pages of a row group were left out, or none.
    pub(super) fn note(&self, paid: bool) {
        self.looked.fetch_add(1, Ordering::Relaxed);
        self.paid.fetch_add(u64::from(paid), Ordering::Relaxed);
    }
}

/// Says what [`left`] will ask of the row groups `groups`.
pub(super) fn expect(
    scan: &Scan,
    footer: &Footer,
    index: &mut IndexReader,
    conjuncts: &[Group],
    groups: &[usize],
) -> Result<()> {
    if !footer.key.path.is_remote() {
        return Ok(());
    }
    let mut chunks = Vec::new();
    for name in conjuncts.iter().flat_map(|group| &group.columns) {
        if let Some((leaf, _)) = file_leaf(scan, footer, name)? {
            chunks.extend(groups.iter().map(|group| (*group, leaf)));
        }
    }
    index.expect(&chunks, true);
    Ok(())
}

/// The rows that are left of a row group, and what that took.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Left {
    /// Ascending and apart; `None` for all.
    pub(super) rows: Option<Vec<Range<u64>>>,
    /// Pages of the columns that the conjuncts name, and those of them of which no row is left.
    pub(super) pages: u64,
    pub(super) ruled_out: u64,
}

/// A column's pages.
pub(super) struct Paged {
    name: String,
    pub(super) bounds: ColumnBounds,
    pub(super) data_type: DataType,
    /// The first row of each page.
    pub(super) starts: Vec<u64>,
}

impl Paged {
    /// The page that has row `row`.
    fn page(&self, row: u64) -> usize {
        self.starts.partition_point(|start| *start <= row).saturating_sub(1)
    }

    /// The rows of the pages that are kept; all pages have `rows`.
    pub(super) fn runs(&self, rows: u64, is_kept: impl Fn(usize) -> bool) -> Vec<Range<u64>> {
        let ends = self.starts.iter().skip(1).chain([&rows]);
        let pages = self.starts.iter().zip(ends).enumerate().filter(|(page, _)| is_kept(*page));
        let mut runs = Vec::new();
        pages.for_each(|(_, (start, end))| append(&mut runs, *start..*end));
        runs
    }
}

/// The rows of row group `number` (it has `rows`) that some row of its pages can make every conjunct true with.
pub(super) fn left(
    scan: &Scan,
    footer: &Footer,
    index: &mut IndexReader,
    conjuncts: &[&Group],
    number: usize,
    rows: u64,
) -> Result<Left> {
    let mut left = Left::default();
    for group in conjuncts {
        let mut columns = Vec::new();
        for name in &group.columns {
            columns.extend(paged(scan, footer, index, name, number, rows)?);
        }
        if columns.is_empty() {
            continue;
        }
        let kept = kept(group, &columns, rows);
        for column in &columns {
            let pages = column.starts.iter().zip(column.starts.iter().skip(1).chain([&rows]));
            left.pages += column.starts.len() as u64;
            left.ruled_out += pages.filter(|(start, end)| !meets(&kept, **start..**end)).count() as u64;
        }
        if !are_all(&kept, rows) {
            left.rows = Some(match left.rows.take() {
                None => kept,
                Some(before) => common(&before, &kept),
            });
        }
    }
    Ok(left)
}

fn kept(group: &Group, columns: &[Paged], rows: u64) -> Vec<Range<u64>> {
    let mut cuts: Vec<u64> = columns.iter().flat_map(|column| column.starts.iter().copied()).collect();
    cuts.sort_unstable();
    cuts.dedup();
    let mut kept: Vec<Range<u64>> = Vec::new();
    for (start, end) in cuts.iter().zip(cuts.iter().skip(1).chain([&rows])) {
        let known = |name: &str| match columns.iter().find(|column| column.name == name) {
            Some(column) => {
                Typed { range: column.bounds.range(column.page(*start)), data_type: Some(column.data_type.clone()) }
            }
            None => Typed::unknown(),
        };
        if !prune::may_match(group, &known) {
            continue;
        }
        append(&mut kept, *start..*end);
    }
    kept
}

/// The pages of column `name` in row group `group`, which has `rows`; `None` where nothing is known of them.
pub(super) fn paged(
    scan: &Scan,
    footer: &Footer,
    index: &mut IndexReader,
    name: &str,
    group: usize,
    rows: u64,
) -> Result<Option<Paged>> {
    let Some((leaf, target)) = file_leaf(scan, footer, name)? else { return Ok(None) };
    let Some(metadata) = index.bounded(group, leaf) else { return Ok(None) };
    let Some(locations) = index.locations(group, leaf) else { return Ok(None) };
    let starts: Vec<u64> = locations.iter().filter_map(|page| u64::try_from(page.first_row_index).ok()).collect();
    let descriptor = footer.metadata().file_metadata().schema_descr();
    let Some(field) = footer.reader.schema().fields().get(descriptor.get_column_root_idx(leaf)) else {
        return Ok(None);
    };
    let bounds = ColumnBounds::of_pages(&metadata, field, &target, &starts, rows);
    Ok(bounds.map(|bounds| Paged { name: name.to_string(), bounds, data_type: target, starts }))
}

/// All of `rows` rows.
pub(super) fn all(rows: u64) -> Vec<Range<u64>> {
    std::iter::once(0..rows).collect()
}

/// Whether the runs are all of `rows` rows.
pub(super) fn are_all(runs: &[Range<u64>], rows: u64) -> bool {
    matches!(runs, [run] if *run == (0..rows))
}

/// Adds a range behind the others.
fn append(runs: &mut Vec<Range<u64>>, next: Range<u64>) {
    match runs.last_mut() {
        Some(last) if last.end == next.start => last.end = next.end,
        _ => runs.push(next),
    }
}

/// What is in both; both are ascending and apart.
pub(super) fn common(left: &[Range<u64>], right: &[Range<u64>]) -> Vec<Range<u64>> {
    let (mut left, mut right) = (left.iter().peekable(), right.iter().peekable());
    let mut common = Vec::new();
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        let both = a.start.max(b.start)..a.end.min(b.end);
        if !both.is_empty() {
            common.push(both);
        }
        if a.end < b.end {
            left.next()
        } else {
            right.next()
        };
    }
    common
}

fn meets(kept: &[Range<u64>], rows: Range<u64>) -> bool {
    let at = kept.partition_point(|range| range.end <= rows.start);
    kept.get(at).is_some_and(|range| range.start < rows.end)
}
