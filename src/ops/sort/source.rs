//! The last merge as a source: ranges of keys, each merged by whoever opens it.
//!
//! Invariant: the ranges follow one another and cover all keys, so that the splits together are the one order. Their
//! bounds are first keys of pieces, weighted by rows; a piece across a bound is read by both neighbours.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use parking_lot::Mutex;

use super::keys::{Key, SortKeys};
use super::merge::{KeyRange, Merge};
use super::run::Run;
use crate::batch::{Source, SourceRef, Split, Statistics};
use crate::error::{Error, Result};
use crate::memory::Reservation;
use crate::store::QueryContext;

/// No split has fewer rows than about this.
const ROWS_PER_SPLIT: usize = 64 * 1024;

/// So many splits for each worker, that none is left with nothing to do for long.
const SPLITS_PER_WORKER: usize = 8;

/// A bound is worth it when so many pieces of each run lie between it and the next.
const PIECES_PER_BOUND: usize = 4;

/// What one split merges.
struct Share {
    range: KeyRange,
    runs: Vec<Run>,
}

/// Sorted runs, which are merged while they are read.
pub(super) struct MergeSource {
    keys: Arc<SortKeys>,
    context: Arc<QueryContext>,
    skip: usize,
    fetch: usize,
    rows: usize,
    batch_rows: usize,
    // A split is opened through a shared reference and consumes its runs; locked once.
    splits: Vec<Mutex<Option<Share>>>,
    /// For the keys of the pieces.
    _reservation: Reservation,
}

impl MergeSource {
    /// The rows of `runs` behind the first `limits.0`, at most `limits.1` of them, in batches of `batch_rows`.
    pub(super) fn source(
        keys: Arc<SortKeys>,
        context: Arc<QueryContext>,
        runs: Vec<Run>,
        (skip, fetch): (usize, Option<usize>),
        batch_rows: usize,
    ) -> Result<SourceRef> {
        let total: usize = runs.iter().map(Run::rows).sum();
        let rows = total.saturating_sub(skip).min(fetch.unwrap_or(usize::MAX));
        let mut reservation = context.budget.reservation("Sort (merge)");
        reservation.grow(runs.iter().map(Run::key_bytes).sum())?;
        let pieces = runs.iter().map(|run| run.pieces.len()).sum::<usize>();
        let most = (total / ROWS_PER_SPLIT).min(pieces / PIECES_PER_BOUND / runs.len().max(1));
        let count = match (context.threads, skip, fetch) {
            (2.., 0, None) => most.clamp(1, context.threads * SPLITS_PER_WORKER),
            _ => 1,
        };
        let ranges = ranges(&runs, total, count);
        let within = |range: KeyRange| {
            let runs = runs.iter().map(|run| run.between(range.low.as_deref(), range.high.as_deref()));
            let runs = runs.filter(|run| run.rows() > 0).collect();
            Mutex::new(Some(Share { range, runs }))
        };
        let splits = ranges.into_iter().map(within).collect();
        let fetch = fetch.unwrap_or(usize::MAX);
        Ok(Arc::new(MergeSource { keys, context, skip, fetch, rows, batch_rows, splits, _reservation: reservation }))
    }
}

/// About `count` ranges of about as many rows of `runs`, which have `total` rows.
fn ranges(runs: &[Run], total: usize, count: usize) -> Vec<KeyRange> {
    let mut pieces: Vec<(&Arc<Key>, usize)> = Vec::new();
    if count > 1 {
        pieces.extend(runs.iter().flat_map(|run| &run.pieces).map(|piece| (&piece.first, piece.handle.rows())));
        pieces.sort_by(|left, right| left.0.compare(right.0));
    }
    let mut bounds: Vec<Arc<Key>> = Vec::new();
    let mut before = 0;
    for (first, rows) in pieces {
        if before >= total * (bounds.len() + 1) / count {
            bounds.push(first.clone());
        }
        before += rows;
    }
    let lows = std::iter::once(None).chain(bounds.iter().cloned().map(Some));
    let highs = bounds.iter().cloned().map(Some).chain(std::iter::once(None));
    lows.zip(highs).map(|(low, high)| KeyRange { low, high }).collect()
}

impl Source for MergeSource {
    fn describe(&self) -> String {
        format!("sorted rows ({})", self.rows)
    }

    fn schema(&self) -> SchemaRef {
        self.keys.output().clone()
    }

    fn split_count(&self) -> usize {
        self.splits.len()
    }

    fn open(&self, index: usize) -> Result<Box<dyn Split>> {
        let taken = || Error::internal("Sort: its output can be read once only");
        let Share { range, runs } = self.splits.get(index).and_then(|split| split.lock().take()).ok_or_else(taken)?;
        let (keys, context) = (self.keys.clone(), self.context.clone());
        let schema = keys.output().clone();
        let merge = Merge::new(keys, context, schema, runs, range, self.skip, self.fetch)?;
        Ok(Box::new(MergeSplit { merge, batch_rows: self.batch_rows }))
    }

    fn statistics(&self) -> Statistics {
        Statistics { rows: u64::try_from(self.rows).ok(), bytes: None }
    }
}

struct MergeSplit {
    merge: Merge,
    batch_rows: usize,
}

impl Split for MergeSplit {
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        self.merge.next(self.batch_rows)
    }
}
