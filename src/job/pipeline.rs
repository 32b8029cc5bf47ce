//! One pipeline as tasks.

use std::sync::Arc;

use parking_lot::Mutex;

use super::lanes::{Lane, Lanes};
use super::queue::{RESULT_ORDER, ResultQueue};
use crate::batch::{SourceRef, Split};
use crate::error::{Error, Result};
use crate::ops::{DynSink, Flow, SinkPart};
use crate::sched::{Label, Outcome, Task, TaskContext, TaskId};
use crate::store::QueryContext;

/// The value of a task.
pub(super) enum Value {
    /// A pipeline's output.
    Source(SourceRef),
    /// What a lane left; taken once by the task that combines.
    Part(Mutex<Option<SinkPart>>),
    /// Only that it is done.
    Done,
}

pub(super) type QueryTask = Task<Value, Error>;
type Context = TaskContext<Value, Error>;

/// What all tasks of one pipeline share.
pub(super) struct PipelineRun {
    pub(super) name: Arc<str>,
    pub(super) context: Arc<QueryContext>,
    pub(super) lanes: Lanes,
    pub(super) target: Target,
}

/// Where a pipeline's batches go.
pub(super) enum Target {
    Sink(Arc<dyn DynSink>),
    Result(Arc<ResultQueue>),
}

/// A split being read, between two runs of its task.
struct Reading {
    split: Box<dyn Split>,
    branch: usize,
    number: usize,
}

impl PipelineRun {
    /// Adds the tasks of this pipeline over `sources` (one per branch); gives the one whose value is the output.
    pub(super) fn expand(self: &Arc<Self>, context: &Context, sources: Vec<SourceRef>) -> TaskId {
        let mut number = 0;
        let mut splits = Vec::new();
        for (branch, source) in sources.iter().enumerate() {
            for index in 0..source.split_count() {
                splits.push(context.add(self.clone().open_task(source.clone(), index, branch, number)));
                number += 1;
            }
        }
        let run = self.clone();
        let done = Task::consumer(self.label("finish"), move |context, _| run.finish_lanes(context, number));
        context.add(done.inputs(splits))
    }

    fn label(&self, verb: &str) -> Label {
        Label::from(format!("{verb} {}", self.name))
    }

    fn order(&self, number: usize) -> u64 {
        match self.target {
            Target::Sink(_) => number as u64,
            Target::Result(_) => RESULT_ORDER + number as u64,
        }
    }

    fn open_task(self: Arc<Self>, source: SourceRef, index: usize, branch: usize, number: usize) -> QueryTask {
        let label = Label::from(self.name.clone()).index(u32::try_from(number).unwrap_or(u32::MAX));
        let order = self.order(number);
        Task::producer(label, order, move |context, _| {
            if !self.wants(number) {
                return Ok(self.end_split(number));
            }
            let split = source.open(index)?;
            drop(source);
            self.read(context, Reading { split, branch, number })
        })
    }

    fn wants(&self, number: usize) -> bool {
        match &self.target {
            Target::Sink(sink) => sink.wants(number),
            Target::Result(_) => true,
        }
    }

    fn end_split(&self, number: usize) -> Outcome<Value> {
        if let Target::Result(queue) = &self.target {
            queue.finish_split(number);
        }
        Outcome::Value(Value::Done)
    }

    /// Reads a split to its end, or until the result's consumer has enough for now: then the rest is a task of its own.
    fn read(self: Arc<Self>, context: &Context, mut reading: Reading) -> Result<Outcome<Value>> {
        let mut lane = self.lanes.borrow()?;
        while self.wants(reading.number) {
            self.context.cancel.check()?;
            let Some(batch) = reading.split.next()? else { break };
            if batch.num_rows() > 0 && self.push(&mut lane, &reading, batch)? == Flow::Done {
                break;
            }
            if let Target::Result(queue) = &self.target
                && queue.is_full_for(reading.number)
            {
                self.lanes.give_back(lane);
                return Ok(Outcome::Become(context.add(self.rest_task(reading))));
            }
        }
        self.lanes.give_back(lane);
        Ok(self.end_split(reading.number))
    }

    fn push(&self, lane: &mut Lane, reading: &Reading, batch: arrow::record_batch::RecordBatch) -> Result<Flow> {
        self.lanes.push(lane, reading.branch, batch, &mut |sink, batch| match (&self.target, sink) {
            (Target::Sink(_), Some(sink)) => sink.push(reading.number, batch),
            (Target::Result(queue), _) => queue.put(&self.context, reading.number, batch).map(|()| Flow::More),
            (Target::Sink(_), None) => Err(Error::internal("a lane without its sink")),
        })
    }

    fn rest_task(self: Arc<Self>, reading: Reading) -> QueryTask {
        let label = Label::from(self.name.clone()).index(u32::try_from(reading.number).unwrap_or(u32::MAX));
        let order = self.order(reading.number);
        Task::producer(label, order, move |context, _| self.read(context, reading))
    }

    /// Every split has run: one finishing task per lane, then one that combines.
    fn finish_lanes(self: Arc<Self>, context: &Context, splits: usize) -> Result<Outcome<Value>> {
        let Target::Sink(sink) = &self.target else { return Ok(Outcome::Value(Value::Done)) };
        let sink = sink.clone();
        let lanes = self.lanes.take_all();
        let parts: Vec<TaskId> = lanes
            .into_iter()
            .map(|mut lane| {
                let run = self.clone();
                context.add(Task::consumer(self.label("finish"), move |_, _| {
                    run.lanes.finish_operators(&mut lane, splits)?;
                    let part = lane.sink.map(|sink| sink.finish()).transpose()?;
                    Ok(Outcome::Value(Value::Part(Mutex::new(part))))
                }))
            })
            .collect();
        let run = self.clone();
        let combine = Task::consumer(self.label("combine"), move |_, values: Vec<Arc<Value>>| {
            let parts = values.iter().filter_map(|value| match value.as_ref() {
                Value::Part(part) => part.lock().take(),
                _ => None,
            });
            let source = sink.combine(&run.context, parts.collect())?;
            Ok(Outcome::Value(Value::Source(source)))
        });
        Ok(Outcome::Become(context.add(combine.inputs(parts))))
    }
}
