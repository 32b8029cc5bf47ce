//! What every operator of a query did: rows, time, memory, bytes. Recorded always: a few counters for each batch.
//!
//! Times are those of the operator alone, without those behind it, added up over all workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::progress::{self, Extent, Progress};
use crate::config::bytes::format as human;
use crate::memory::Tally;
use crate::plan::{Input, Pipeline, PlanNode};

/// The counters of one source, operator or sink.
#[derive(Debug, Default)]
pub(super) struct Meter {
    rows_in: AtomicU64,
    rows_out: AtomicU64,
    nanoseconds: AtomicU64,
    tally: Arc<Tally>,
}

impl Meter {
    /// Runs `work` on this meter's account.
    pub(super) fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        let begin = Instant::now();
        let value = self.tally.during(work);
        self.add_time(begin.elapsed());
        value
    }

    /// Runs `work`, which gets a place to add the time that others took meanwhile.
    pub(super) fn during_without<T>(&self, work: impl FnOnce(&mut Duration) -> T) -> T {
        let begin = Instant::now();
        let mut others = Duration::ZERO;
        let value = self.tally.during(|| work(&mut others));
        self.add_time(begin.elapsed().saturating_sub(others));
        value
    }

    pub(super) fn count_in(&self, rows: usize) {
        self.rows_in.fetch_add(rows as u64, Ordering::Relaxed);
    }

    pub(super) fn count_out(&self, rows: usize) {
        self.rows_out.fetch_add(rows as u64, Ordering::Relaxed);
    }

    fn add_time(&self, time: Duration) {
        self.nanoseconds.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn usage(&self) -> Usage {
        Usage {
            rows_in: self.rows_in.load(Ordering::Relaxed),
            rows_out: self.rows_out.load(Ordering::Relaxed),
            time: Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed)),
            read_bytes: self.tally.read_bytes(),
            spilled_bytes: self.tally.spilled_bytes(),
            peak_bytes: self.tally.peak_bytes(),
            notes: self.tally.notes(),
        }
    }
}

/// The meters of one pipeline.
#[derive(Debug, Default)]
pub(super) struct PipelineMeters {
    /// By branch.
    pub(super) sources: Vec<Arc<Meter>>,
    /// By branch and position.
    pub(super) operators: Vec<Vec<Arc<Meter>>>,
    pub(super) sink: Arc<Meter>,
    pub(super) extent: Extent,
}

/// What the operators of one query have done so far.
#[derive(Debug)]
pub struct QueryMetrics {
    pipelines: Vec<Arc<PipelineMeters>>,
    /// Those of the sources that are files or tables.
    scans: Vec<Arc<Meter>>,
    begin: Instant,
    /// The greatest share that was told, as the bits of a number that is not negative: they are in the same order.
    furthest: AtomicU64,
}

/// What one operator has done so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    pub rows_in: u64,
    pub rows_out: u64,
    /// Of all workers together.
    pub time: Duration,
    pub read_bytes: u64,
    pub spilled_bytes: u64,
    /// Most bytes of its working sets at one time.
    pub peak_bytes: usize,
    /// What it counted besides, e.g. row groups left out.
    pub notes: Vec<(&'static str, u64)>,
}

impl QueryMetrics {
    pub(super) fn new(pipelines: &[Pipeline]) -> Self {
        let meters = pipelines.iter().zip(progress::weights(pipelines)).map(|(pipeline, weight)| {
            let operators = |count: usize| (0..count).map(|_| Arc::default()).collect();
            Arc::new(PipelineMeters {
                sources: pipeline.branches.iter().map(|_| Arc::default()).collect(),
                operators: pipeline.branches.iter().map(|branch| operators(branch.operators.len())).collect(),
                sink: Arc::default(),
                extent: Extent::of_weight(weight),
            })
        });
        let meters: Vec<Arc<PipelineMeters>> = meters.collect();
        let branches =
            pipelines.iter().zip(&meters).flat_map(|(pipeline, meters)| pipeline.branches.iter().zip(&meters.sources));
        let scans = branches.filter(|(branch, _)| matches!(branch.input, Input::Source(_)));
        let scans = scans.map(|(_, meter)| meter.clone()).collect();
        QueryMetrics { scans, pipelines: meters, begin: Instant::now(), furthest: AtomicU64::new(0) }
    }

    pub(super) fn pipeline(&self, index: usize) -> Arc<PipelineMeters> {
        self.pipelines.get(index).cloned().unwrap_or_default()
    }

    /// How far the query is.
    pub fn progress(&self) -> Progress {
        let share = |meters: &Arc<PipelineMeters>| {
            meters.extent.share(meters.sources.iter().map(|source| source.tally.read_bytes()).sum())
        };
        let now = if self.is_finished() { 1.0 } else { progress::fraction(self.pipelines.iter().map(share)) };
        let furthest = f64::from_bits(self.furthest.fetch_max(now.to_bits(), Ordering::Relaxed));
        let rows = self.scans.iter().map(|scan| scan.rows_out.load(Ordering::Relaxed)).sum();
        Progress { fraction: now.max(furthest), rows, elapsed: self.begin.elapsed() }
    }

    /// Whether the last pipeline has finished.
    pub(crate) fn is_finished(&self) -> bool {
        self.pipelines.last().is_none_or(|last| last.extent.is_finished())
    }

    /// What the operator at `node` has done; `None` where there is none.
    pub fn usage(&self, node: PlanNode) -> Option<Usage> {
        let meter = match node {
            PlanNode::Source { pipeline, branch } => self.pipelines.get(pipeline)?.sources.get(branch),
            PlanNode::Operator { pipeline, branch, position } => {
                self.pipelines.get(pipeline)?.operators.get(branch)?.get(position)
            }
            PlanNode::Sink { pipeline } => self.pipelines.get(pipeline).map(|meters| &meters.sink),
        };
        meter.map(|meter| meter.usage())
    }
}

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.rows_in, self.rows_out) {
            (rows, 0) if rows > 0 => write!(f, "{rows} rows in")?,
            (0, rows) => write!(f, "{rows} rows")?,
            (rows, out) => write!(f, "{rows} rows in, {out} out")?,
        }
        write!(f, ", {:.1} ms", self.time.as_secs_f64() * 1000.0)?;
        let peak = u64::try_from(self.peak_bytes).unwrap_or(u64::MAX);
        for (what, bytes) in [("read", self.read_bytes), ("spilled", self.spilled_bytes), ("peak", peak)] {
            if bytes > 0 {
                write!(f, ", {what} {}", human(bytes))?;
            }
        }
        self.notes.iter().try_for_each(|(what, number)| write!(f, ", {number} {what}"))
    }
}
