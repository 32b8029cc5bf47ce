//! Lanes: the mutable state of a pipeline, at most one per worker, borrowed by a task for its run.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::record_batch::RecordBatch;
use parking_lot::Mutex;

use super::metrics::{Meter, PipelineMeters};
use super::stages::Place;
use crate::error::Result;
use crate::ops::{DynSink, DynSinkWork, Emit, Flow, Operator, Work};
use crate::store::QueryContext;

/// Takes what leaves the last operator, with the lane's sink where there is one.
pub(super) type EmitToSink<'a> = dyn FnMut(Option<&mut Box<dyn DynSinkWork>>, RecordBatch) -> Result<Flow> + 'a;

/// One lane of a pipeline.
pub(super) struct Lane {
    /// The works of each branch by the operator's position, opened when the first batch comes.
    branches: Vec<Vec<Option<Box<dyn Work>>>>,
    pub(super) sink: Option<Box<dyn DynSinkWork>>,
}

/// The lanes of one pipeline that no task holds.
pub(super) struct Lanes {
    idle: Mutex<Vec<Lane>>,
    operators: Vec<Vec<Arc<dyn Operator>>>,
    sink: Option<Arc<dyn DynSink>>,
    context: Arc<QueryContext>,
    meters: Arc<PipelineMeters>,
}

impl Lanes {
    pub(super) fn new(
        operators: Vec<Vec<Arc<dyn Operator>>>,
        sink: Option<Arc<dyn DynSink>>,
        context: Arc<QueryContext>,
        meters: Arc<PipelineMeters>,
    ) -> Self {
        Lanes { idle: Mutex::new(Vec::new()), operators, sink, context, meters }
    }

    /// The lane that was used last, or a new one.
    pub(super) fn borrow(&self) -> Result<Lane> {
        if let Some(lane) = self.idle.lock().pop() {
            return Ok(lane);
        }
        let open = |sink: &Arc<dyn DynSink>| self.meters.sink.during(|| sink.open(&self.context));
        let sink = self.sink.as_ref().map(open).transpose()?;
        let unopened = |operators: &Vec<_>| operators.iter().map(|_| None).collect();
        Ok(Lane { branches: self.operators.iter().map(unopened).collect(), sink })
    }

    pub(super) fn give_back(&self, lane: Lane) {
        self.idle.lock().push(lane);
    }

    /// All lanes, once every split has run.
    pub(super) fn take_all(&self) -> Vec<Lane> {
        std::mem::take(&mut self.idle.lock())
    }

    /// The works of the operator that stands at `places`, out of every lane, once no more batches come to it.
    pub(super) fn take_works(&self, places: &[Place]) -> Vec<Box<dyn Work>> {
        let mut lanes = self.idle.lock();
        let work = |lane: &mut Lane, place: &Place| lane.branches[place.branch][place.position].take();
        lanes
            .iter_mut()
            .flat_map(|lane| places.iter().filter_map(|place| work(lane, place)).collect::<Vec<_>>())
            .collect()
    }

    /// Pushes `batch` through the operators from `place` on into `out`.
    pub(super) fn push(&self, lane: &mut Lane, place: Place, batch: RecordBatch, out: &mut EmitToSink) -> Result<Flow> {
        let Lane { branches, sink } = lane;
        let mut works = Works {
            operators: &self.operators[place.branch][place.position..],
            works: &mut branches[place.branch][place.position..],
            meters: &self.meters.operators[place.branch][place.position..],
            context: &self.context,
        };
        works.push(batch, &mut |batch| {
            let meter = &self.meters.sink;
            meter.count_in(batch.num_rows());
            meter.during(|| out(sink.as_mut(), batch))
        })
    }
}

/// The operators that a batch still has to pass, and their works.
struct Works<'a> {
    operators: &'a [Arc<dyn Operator>],
    works: &'a mut [Option<Box<dyn Work>>],
    meters: &'a [Arc<Meter>],
    context: &'a Arc<QueryContext>,
}

impl Works<'_> {
    fn push(&mut self, batch: RecordBatch, out: &mut Emit) -> Result<Flow> {
        let (Some((operator, operators)), Some((work, works)), Some((meter, meters))) =
            (self.operators.split_first(), self.works.split_first_mut(), self.meters.split_first())
        else {
            return out(batch);
        };
        let mut behind = Works { operators, works, meters, context: self.context };
        meter.count_in(batch.num_rows());
        meter.during_without(|others: &mut Duration| {
            let work = match work {
                Some(work) => work,
                empty => empty.insert(operator.open(self.context)?),
            };
            work.push(batch, &mut |batch| {
                meter.count_out(batch.num_rows());
                let begin = Instant::now();
                let flow = behind.push(batch, out);
                *others += begin.elapsed();
                flow
            })
        })
    }
}
