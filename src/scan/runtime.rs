//! Runtime filters in a scan: rows whose key no build side has, or that a top-n does not want any more, are left out
//! while that pays.
//!
//! Invariant: a row is left out only when what was published says that it cannot matter.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{ArrayRef, BooleanArray};
use arrow::compute::{and, filter_record_batch};
use arrow::record_batch::RecordBatch;

use crate::batch::{RuntimeFilter, Split, Threshold};
use crate::error::Result;

/// A filter on one column of a scan.
#[derive(Debug, Clone)]
pub struct ScanFilter {
    /// Index into the spec's schema.
    pub column: usize,
    pub filter: Told,
}

/// What a scan is told while the query runs.
#[derive(Debug, Clone)]
pub enum Told {
    /// The keys of a join's build side; known before the scan starts, or never.
    Keys(Arc<RuntimeFilter>),
    /// The worst value that a top-n still wants; known some time after the scan has started, and ever better.
    Threshold(Arc<Threshold>),
}

impl Told {
    /// Whether anything is known by now.
    pub fn is_known(&self) -> bool {
        match self {
            Told::Keys(keys) => keys.get().is_some(),
            Told::Threshold(threshold) => threshold.get().is_some(),
        }
    }

    /// Which rows of `column` pass; `None` where that is not known.
    fn mask(&self, column: &ArrayRef) -> Result<Option<BooleanArray>> {
        match self {
            Told::Keys(keys) => keys.get().map_or(Ok(None), |keys| keys.mask(column)),
            Told::Threshold(threshold) => threshold.mask(column),
        }
    }
}

/// A filter that lets more than this many of eight rows pass costs more than it saves.
const MOST_PASSING: u64 = 5;
/// Rows after which a filter is judged.
const JUDGED_ROWS: u64 = 1 << 16;
/// A filter that did not pay is asked about one batch in so many: data changes along a table.
const TRY_AGAIN: u64 = 64;

/// A filter on a column of a batch, and how many rows it has let pass.
#[derive(Debug)]
pub struct Watched {
    /// The column's position in the batches.
    pub position: usize,
    pub filter: Told,
    batches: AtomicU64,
    seen: AtomicU64,
    passed: AtomicU64,
}

impl Watched {
    /// A filter of which nothing is known yet.
    pub fn new(position: usize, filter: Told) -> Self {
        let (batches, seen, passed) = Default::default();
        Watched { position, filter, batches, seen, passed }
    }

    /// Which of `column`'s rows pass; `None` where that is not known or not worth knowing.
    pub fn mask(&self, column: &ArrayRef) -> Result<Option<BooleanArray>> {
        if self.is_wanted() { self.mask_now(column) } else { Ok(None) }
    }

    /// The same without asking whether it is worth it.
    pub fn mask_now(&self, column: &ArrayRef) -> Result<Option<BooleanArray>> {
        let Some(mask) = self.filter.mask(column)? else { return Ok(None) };
        self.seen.fetch_add(mask.len() as u64, Ordering::Relaxed);
        self.passed.fetch_add(mask.true_count() as u64, Ordering::Relaxed);
        Ok(Some(mask))
    }

    /// Whether it is worth to look at the column of the next batch; asked once for each.
    pub fn is_wanted(&self) -> bool {
        self.filter.is_known() && self.pays()
    }

    /// Whether it has ruled out a good part of the rows so far; nobody knows at first.
    pub fn has_paid(&self) -> bool {
        let (seen, passed) = (self.seen.load(Ordering::Relaxed), self.passed.load(Ordering::Relaxed));
        seen < JUDGED_ROWS || passed.saturating_mul(8) <= seen.saturating_mul(MOST_PASSING)
    }

    fn pays(&self) -> bool {
        let batch = self.batches.fetch_add(1, Ordering::Relaxed);
        self.has_paid() || batch.is_multiple_of(TRY_AGAIN)
    }
}

/// The rows of `batch` that every filter lets pass.
pub fn passing(filters: &[Watched], batch: RecordBatch) -> Result<RecordBatch> {
    let mut mask: Option<BooleanArray> = None;
    for watched in filters {
        let Some(column) = batch.columns().get(watched.position) else { continue };
        let Some(passing) = watched.mask(column)? else { continue };
        mask = Some(match mask {
            Some(mask) => and(&mask, &passing)?,
            None => passing,
        });
    }
    Ok(match mask {
        Some(mask) if mask.true_count() < batch.num_rows() => filter_record_batch(&batch, &mask)?,
        _ => batch,
    })
}

/// A split without the rows that the filters rule out.
pub(super) struct Filtered {
    pub(super) inner: Box<dyn Split>,
    pub(super) filters: Arc<Vec<Watched>>,
}

impl Split for Filtered {
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        let Some(batch) = self.inner.next()? else { return Ok(None) };
        passing(&self.filters, batch).map(Some)
    }
}
