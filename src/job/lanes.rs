//! Lanes: the mutable state of a pipeline, at most one per worker, borrowed by a task for its run.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use parking_lot::Mutex;

use crate::error::Result;
use crate::ops::{DynSink, DynSinkWork, Emit, Flow, Operator, Work};
use crate::store::QueryContext;

/// Takes what leaves the last operator, with the lane's sink where there is one.
pub(super) type EmitToSink<'a> = dyn FnMut(Option<&mut Box<dyn DynSinkWork>>, RecordBatch) -> Result<Flow> + 'a;

/// One lane of a pipeline.
pub(super) struct Lane {
    /// The works of each branch, opened when the lane first runs a split of it.
    branches: Vec<Option<Vec<Box<dyn Work>>>>,
    pub(super) sink: Option<Box<dyn DynSinkWork>>,
}

/// The lanes of one pipeline that no task holds.
pub(super) struct Lanes {
    idle: Mutex<Vec<Lane>>,
    operators: Vec<Vec<Arc<dyn Operator>>>,
    sink: Option<Arc<dyn DynSink>>,
    context: Arc<QueryContext>,
}

impl Lanes {
    pub(super) fn new(
        operators: Vec<Vec<Arc<dyn Operator>>>,
        sink: Option<Arc<dyn DynSink>>,
        context: Arc<QueryContext>,
    ) -> Self {
        Lanes { idle: Mutex::new(Vec::new()), operators, sink, context }
    }

    /// The lane that was used last, or a new one.
    pub(super) fn borrow(&self) -> Result<Lane> {
        if let Some(lane) = self.idle.lock().pop() {
            return Ok(lane);
        }
        let sink = self.sink.as_ref().map(|sink| sink.open(&self.context)).transpose()?;
        Ok(Lane { branches: self.operators.iter().map(|_| None).collect(), sink })
    }

    pub(super) fn give_back(&self, lane: Lane) {
        self.idle.lock().push(lane);
    }

    /// All lanes, once every split has run.
    pub(super) fn take_all(&self) -> Vec<Lane> {
        std::mem::take(&mut self.idle.lock())
    }

    /// Pushes `batch` of branch `branch` through its operators into `out`.
    pub(super) fn push(
        &self,
        lane: &mut Lane,
        branch: usize,
        batch: RecordBatch,
        out: &mut EmitToSink,
    ) -> Result<Flow> {
        let Lane { branches, sink } = lane;
        let works = match &mut branches[branch] {
            Some(works) => works,
            empty => {
                let works = self.operators[branch].iter().map(|operator| operator.open(&self.context));
                empty.insert(works.collect::<Result<Vec<_>>>()?)
            }
        };
        push_through(works, batch, &mut |batch| out(sink.as_mut(), batch))
    }

    /// After the lane's last split: lets the operators emit what they still hold.
    pub(super) fn finish_operators(&self, lane: &mut Lane, split: usize) -> Result<()> {
        let Lane { branches, sink } = lane;
        let Some(sink) = sink else { return Ok(()) };
        for works in branches.iter_mut().flatten() {
            for position in 0..works.len() {
                let (head, rest) = works.split_at_mut(position + 1);
                head[position].finish(&mut |batch| push_through(rest, batch, &mut |batch| sink.push(split, batch)))?;
            }
        }
        Ok(())
    }
}

fn push_through(works: &mut [Box<dyn Work>], batch: RecordBatch, out: &mut Emit) -> Result<Flow> {
    match works.split_first_mut() {
        None => out(batch),
        Some((first, rest)) => first.push(batch, &mut |batch| push_through(rest, batch, out)),
    }
}
