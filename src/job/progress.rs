//! How far a query is: the share of its input that was read, by pipeline, each weighed by the rows that it is to read.
//!
//! Invariant: the share of one query never goes back, and is 1 when its last pipeline has finished. Whoever asks adds up
//! counters that are kept anyway; nothing is done for it while nobody asks.
//!
//! # Known limitation
//! What a pipeline will read that has not started is a guess, and a pipeline that follows a small answer of another one
//! may be short: the share may then jump. Rounds of recursive queries do not count.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::metrics::QueryMetrics;
use crate::batch::Statistics;
use crate::plan::{Input, Pipeline};

/// Of files whose rows are not counted, these many bytes are thought to be a row.
const BYTES_OF_A_ROW: u64 = 64;
/// A sink that does not keep its rows is thought to give one for these many.
const ROWS_OF_A_GROUP: u64 = 10;
/// The share of a pipeline whose input was read and which has not finished.
const ALL_READ: f64 = 0.98;
/// No rest is estimated before this share is done, or this time has passed.
const LEAST_SHARE: f64 = 0.02;
const LEAST_TIME: Duration = Duration::from_millis(500);

/// How far a query is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// The share that is done, from 0 to 1. It never goes back.
    pub fraction: f64,
    /// Rows that were read from files and tables so far.
    pub rows: u64,
    /// Since the query began to run.
    pub elapsed: Duration,
}

impl Progress {
    /// How long the rest will take, if it goes on as before; `None` while there is nothing to tell it from.
    pub fn remaining(&self) -> Option<Duration> {
        if self.fraction < LEAST_SHARE || self.elapsed < LEAST_TIME {
            return None;
        }
        Duration::try_from_secs_f64(self.elapsed.as_secs_f64() * (1.0 - self.fraction) / self.fraction).ok()
    }
}

/// Tells of one query how far it is, from any thread, also when its stream has gone.
///
/// ```
/// let session = floe::session::Session::new()?;
/// let mut stream = session.sql("SELECT sum(value) FROM range(100000) AS r(value)")?.stream()?;
/// let handle = stream.progress_handle();
/// assert!(stream.all(|batch| batch.is_ok()));
/// assert_eq!(handle.progress().fraction, 1.0);
/// # Ok::<(), floe::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ProgressHandle(Arc<QueryMetrics>);

impl ProgressHandle {
    pub(crate) fn new(metrics: Arc<QueryMetrics>) -> Self {
        ProgressHandle(metrics)
    }

    /// How far the query is now.
    pub fn progress(&self) -> Progress {
        self.0.progress()
    }
}

/// What a pipeline has to read, and what of it was read.
#[derive(Debug, Default)]
pub(super) struct Extent {
    /// In rows; a guess until the pipeline starts.
    weight: AtomicU64,
    /// On disk; 0 where it is not known.
    bytes: AtomicU64,
    splits: AtomicU64,
    ended_splits: AtomicU64,
    finished: AtomicBool,
}

impl Extent {
    pub(super) fn of_weight(weight: u64) -> Self {
        Extent { weight: AtomicU64::new(weight), ..Extent::default() }
    }

    /// The pipeline starts over these sources.
    pub(super) fn start(&self, sources: impl Iterator<Item = Statistics>) {
        let (mut weight, mut bytes) = (0, 0);
        for statistics in sources {
            weight += weight_of(statistics);
            bytes += statistics.bytes.unwrap_or(0);
        }
        self.weight.store(weight, Ordering::Relaxed);
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    pub(super) fn add_splits(&self, count: usize) {
        self.splits.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(super) fn end_split(&self) {
        self.ended_splits.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn finish(&self) {
        self.finished.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_finished(&self) -> bool {
        self.finished.load(Ordering::Relaxed)
    }

    /// Weight and share of the pipeline, of which `read_bytes` were read.
    pub(super) fn share(&self, read_bytes: u64) -> (u64, f64) {
        let share = |part: u64, whole: u64| if whole == 0 { 0.0 } else { (part as f64 / whole as f64).min(1.0) };
        let splits = share(self.ended_splits.load(Ordering::Relaxed), self.splits.load(Ordering::Relaxed));
        // A split may be large: what was read of it counts, too, where the bytes of all are known.
        let bytes = share(read_bytes, self.bytes.load(Ordering::Relaxed));
        let done = if self.is_finished() { 1.0 } else { ALL_READ * splits.max(bytes) };
        (self.weight.load(Ordering::Relaxed), done)
    }
}

fn weight_of(statistics: Statistics) -> u64 {
    statistics.rows.or(statistics.bytes.map(|bytes| bytes / BYTES_OF_A_ROW)).unwrap_or(1).max(1)
}

/// What each pipeline is thought to read, in rows, before any has started.
pub(super) fn weights(pipelines: &[Pipeline]) -> Vec<u64> {
    let mut weights: Vec<u64> = Vec::with_capacity(pipelines.len());
    for pipeline in pipelines {
        let of_pipeline = |index: &usize| {
            let keeps_rows =
                pipelines.get(*index).and_then(|before| before.sink.as_ref()).is_some_and(|s| s.keeps_rows());
            let weight = weights.get(*index).copied().unwrap_or(1);
            (if keeps_rows { weight } else { weight / ROWS_OF_A_GROUP }).max(1)
        };
        let of_branch = |input: &Input| match input {
            Input::Source(source) => weight_of(source.statistics()),
            other => other.pipelines().iter().map(of_pipeline).sum(),
        };
        let weight = pipeline.branches.iter().map(|branch| of_branch(&branch.input)).sum();
        weights.push(weight);
    }
    weights
}

/// The share of the whole, of pipelines of these weights and shares.
pub(super) fn fraction(parts: impl Iterator<Item = (u64, f64)>) -> f64 {
    let (whole, done) =
        parts.fold((0.0, 0.0), |(whole, done), (weight, share)| (whole + weight as f64, done + weight as f64 * share));
    if whole > 0.0 { (done / whole).clamp(0.0, 1.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_that_of_splits_or_of_bytes_and_ends_at_one() {
        let extent = Extent::of_weight(7);
        assert_eq!(extent.share(0), (7, 0.0));
        extent.start([Statistics { rows: Some(100), bytes: Some(1000) }].into_iter());
        extent.add_splits(4);
        assert_eq!(extent.share(500), (100, ALL_READ * 0.5));
        (0..3).for_each(|_| extent.end_split());
        assert_eq!(extent.share(500), (100, ALL_READ * 0.75));
        assert_eq!(extent.share(5000), (100, ALL_READ));
        extent.finish();
        assert_eq!(extent.share(0), (100, 1.0));
        let unknown = Extent::default();
        unknown.start([Statistics::default(), Statistics { rows: None, bytes: Some(6400) }].into_iter());
        assert_eq!(unknown.share(0), (101, 0.0));
    }

    #[test]
    fn pipelines_count_by_what_they_read() {
        assert_eq!(fraction([(300, 1.0), (100, 0.0)].into_iter()), 0.75);
        assert_eq!(fraction([(300, 1.0), (100, 1.0)].into_iter()), 1.0);
        assert_eq!(fraction([].into_iter()), 0.0);
    }

    #[test]
    fn the_rest_is_told_when_there_is_something_to_tell_it_from() {
        let at = |fraction, seconds| Progress { fraction, rows: 0, elapsed: Duration::from_secs(seconds) };
        assert_eq!(at(0.25, 2).remaining(), Some(Duration::from_secs(6)));
        assert_eq!(at(1.0, 2).remaining(), Some(Duration::ZERO));
        assert_eq!(at(0.0, 2).remaining(), None);
        assert_eq!(at(0.5, 0).remaining(), None);
    }
}
