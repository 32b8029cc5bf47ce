//! One pipeline as tasks.

use std::sync::Arc;

use parking_lot::Mutex;

use super::feed::{Entries, Entry, Feed, NextRound};
use super::lanes::{Lane, Lanes};
use super::metrics::{Meter, PipelineMeters};
use super::queue::{RESULT_ORDER, ResultQueue};
use super::stages::{Place, Stage};
use crate::batch::{SourceRef, Split};
use crate::error::{Error, Result};
use crate::ops::{DynSink, Flow, SinkPart, WorkPart};
use crate::sched::{Label, Outcome, Task, TaskContext, TaskId};
use crate::store::QueryContext;

/// The value of a task.
pub(super) enum Value {
    /// A pipeline's output.
    Source(SourceRef),
    /// What a lane left; taken once by the task that combines.
    Part(Mutex<Option<SinkPart>>),
    /// What a lane's work of one operator left; taken once by the task that asks for the rest.
    Held(Mutex<Option<WorkPart>>),
    /// Only that it is done.
    Done,
}

pub(super) type QueryTask = Task<Value, Error>;
pub(super) type Context = TaskContext<Value, Error>;

/// What all tasks of one pipeline share.
pub(super) struct PipelineRun {
    pub(super) name: Arc<str>,
    pub(super) context: Arc<QueryContext>,
    pub(super) lanes: Lanes,
    pub(super) stages: Vec<Stage>,
    pub(super) meters: Arc<PipelineMeters>,
    pub(super) target: Target,
}

/// Where a pipeline's batches go.
pub(super) enum Target {
    Sink(Arc<dyn DynSink>),
    Result(Arc<ResultQueue>),
}

/// A split that is to be opened, of a source whose rows enter the pipeline somewhere.
struct Opening {
    place: Place,
    source: SourceRef,
    meter: Arc<Meter>,
}

/// A split being read, between two runs of its task.
struct Reading {
    split: Box<dyn Split>,
    place: Place,
    /// Of the source, or of the operator that held these rows back.
    meter: Arc<Meter>,
    /// Counts all splits of the pipeline.
    number: usize,
}

impl PipelineRun {
    /// Adds the tasks of this pipeline over `feeds` (one per branch); gives the one whose value is the output.
    pub(super) fn expand(self: &Arc<Self>, context: &Context, feeds: Vec<Feed>) -> TaskId {
        let entry = |(branch, feed)| Entry {
            place: Place { branch, position: 0 },
            feed,
            meter: self.meters.sources.get(branch).cloned().unwrap_or_default(),
        };
        self.meters.extent.start(feeds.iter().map(|feed| feed.source().statistics()));
        let entries = feeds.into_iter().enumerate().map(entry).collect();
        self.run_stage(context, entries, 0, 0)
    }

    /// Adds a task for each split of `entries`, numbered from `number`, and one that goes on with stage `stage` behind
    /// them. Rounds are read one by one: the task behind one adds the next.
    pub(super) fn run_stage(
        self: &Arc<Self>,
        context: &Context,
        mut entries: Entries,
        mut number: usize,
        stage: usize,
    ) -> TaskId {
        let mut splits = Vec::new();
        let mut rounds = None;
        while rounds.is_none()
            && let Some(entry) = entries.pop_front()
        {
            let source = entry.feed.source();
            let count = source.split_count();
            self.meters.extent.add_splits(count);
            for index in 0..count {
                let opening = Opening { source: source.clone(), place: entry.place, meter: entry.meter.clone() };
                splits.push(context.add(self.clone().open_task(opening, index, number)));
                number += 1;
            }
            if let Feed::Rounds(round) = entry.feed {
                rounds = Some((entry.place, round, entry.meter));
            }
        }
        let run = self.clone();
        let done = Task::consumer(self.label("finish"), move |context, _| match (rounds, run.stages.get(stage)) {
            (Some((place, round, meter)), _) => {
                let next = NextRound { place, meter, rest: entries, number, stage };
                Ok(Outcome::Become(run.next_round(context, round, next)?))
            }
            (None, Some(_)) => Ok(run.finish_operator(context, stage, number)),
            (None, None) => run.finish_lanes(context),
        });
        context.add(done.inputs(splits))
    }

    /// No more batches come to the operator of stage `stage`: one finishing task per work, then one that asks for the
    /// rest.
    fn finish_operator(self: &Arc<Self>, context: &Context, stage: usize, number: usize) -> Outcome<Value> {
        let Stage { places, .. } = &self.stages[stage];
        let works = self.lanes.take_works(places);
        let meter = places.first().map(|place| self.meters.operators[place.branch][place.position].clone());
        let meter = meter.unwrap_or_default();
        let finish = |work: Box<dyn crate::ops::Work>| {
            let meter = meter.clone();
            context.add(Task::consumer(self.label("finish"), move |_, _| {
                let held = meter.during(|| work.finish())?;
                Ok(Outcome::Value(Value::Held(Mutex::new(Some(held)))))
            }))
        };
        let parts: Vec<TaskId> = works.into_iter().map(finish).collect();
        let run = self.clone();
        let rest = Task::consumer(self.label("rest of"), move |context, values: Vec<Arc<Value>>| {
            let parts = values.iter().filter_map(|value| match value.as_ref() {
                Value::Held(part) => part.lock().take(),
                _ => None,
            });
            let Stage { operator, .. } = &run.stages[stage];
            let source = meter.during(|| operator.rest(&run.context, parts.collect()))?;
            let entry = Entry { place: run.stages[stage].behind(), feed: Feed::Source(source), meter };
            Ok(Outcome::Become(run.run_stage(context, Entries::from([entry]), number, stage + 1)))
        });
        Outcome::Become(context.add(rest.inputs(parts)))
    }

    pub(super) fn label(&self, verb: &str) -> Label {
        Label::from(format!("{verb} {}", self.name))
    }

    fn order(&self, number: usize) -> u64 {
        match self.target {
            Target::Sink(_) => number as u64,
            Target::Result(_) => RESULT_ORDER + number as u64,
        }
    }

    fn open_task(self: Arc<Self>, opening: Opening, index: usize, number: usize) -> QueryTask {
        let label = Label::from(self.name.clone()).index(u32::try_from(number).unwrap_or(u32::MAX));
        let order = self.order(number);
        Task::producer(label, order, move |context, _| {
            if !self.wants(number) {
                return Ok(self.end_split(number));
            }
            let Opening { place, source, meter } = opening;
            let split = meter.during(|| source.open(index))?;
            drop(source);
            self.read(context, Reading { split, place, meter, number })
        })
    }

    pub(super) fn wants(&self, number: usize) -> bool {
        match &self.target {
            Target::Sink(sink) => sink.wants(number),
            Target::Result(_) => true,
        }
    }

    fn end_split(&self, number: usize) -> Outcome<Value> {
        if let Target::Result(queue) = &self.target {
            queue.finish_split(number);
        }
        self.meters.extent.end_split();
        Outcome::Value(Value::Done)
    }

    /// Reads a split to its end, or until the result's consumer has enough for now: then the rest is a task of its own.
    fn read(self: Arc<Self>, context: &Context, mut reading: Reading) -> Result<Outcome<Value>> {
        let mut lane = self.lanes.borrow()?;
        while self.wants(reading.number) {
            self.context.cancel.check()?;
            let Reading { split, meter, .. } = &mut reading;
            let Some(batch) = meter.during(|| split.next())? else { break };
            meter.count_out(batch.num_rows());
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
        self.lanes.push(lane, reading.place, batch, &mut |sink, batch| match (&self.target, sink) {
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
    fn finish_lanes(self: &Arc<Self>, context: &Context) -> Result<Outcome<Value>> {
        let Target::Sink(sink) = &self.target else {
            self.meters.extent.finish();
            return Ok(Outcome::Value(Value::Done));
        };
        let sink = sink.clone();
        let lanes = self.lanes.take_all();
        let parts: Vec<TaskId> = lanes
            .into_iter()
            .map(|lane| {
                let meter = self.meters.sink.clone();
                context.add(Task::consumer(self.label("finish"), move |_, _| {
                    let part = lane.sink.map(|sink| meter.during(|| sink.finish())).transpose()?;
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
            let source = run.meters.sink.during(|| sink.combine(&run.context, parts.collect()))?;
            run.meters.extent.finish();
            Ok(Outcome::Value(Value::Source(source)))
        });
        Ok(Outcome::Become(context.add(combine.inputs(parts))))
    }
}
