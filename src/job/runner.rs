//! From a physical plan to a running task graph.

use std::sync::Arc;

use super::feed::{Feed, Round};
use super::lanes::Lanes;
use super::metrics::{PipelineMeters, QueryMetrics};
use super::pipeline::{PipelineRun, QueryTask, Target, Value};
use super::queue::ResultQueue;
use super::stages::stages;
use super::stream::BatchStream;
use crate::batch::SourceRef;
use crate::error::{Error, Result};
use crate::plan::{Input, PhysicalPlan, Pipeline};
use crate::sched::{Graph, Label, Options, Outcome, Scheduler, Task, TaskId};
use crate::store::QueryContext;

/// Bytes of result batches that wait for a slow consumer before the query is held back.
const RESULT_BYTES: usize = 32 << 20;

/// The workers of a session. Several queries run on them at once.
pub struct Runner {
    scheduler: Scheduler,
}

impl Runner {
    /// Workers for `threads` tasks at a time.
    ///
    /// # Errors
    /// `IO_ERROR` when the system starts no more threads.
    pub fn new(threads: usize) -> Result<Self> {
        let scheduler = Scheduler::new(threads.max(1))
            .map_err(|error| Error::new(crate::error::Code::Io, format!("no worker threads: {error}")))?;
        Ok(Runner { scheduler })
    }

    /// Starts `plan`. The stream gives its batches as they come; dropping it cancels.
    pub fn run(&self, plan: PhysicalPlan, context: Arc<QueryContext>) -> Result<BatchStream> {
        let bound = RESULT_BYTES.min(context.budget.limit() / 16).max(1 << 16);
        let queue = Arc::new(ResultQueue::new(bound));
        let mut graph: Graph<Value, Error> = Graph::new();
        let metrics = Arc::new(QueryMetrics::new(&plan.pipelines));
        let last = add_pipelines(plan.pipelines, &context, Some(&queue), &metrics, &mut |task| graph.add(task))?;
        graph.want(last);
        context.budget.note_planned();
        let finished = queue.clone();
        let options = Options::new(on_panic, Error::cancelled)
            .cancel_token(context.cancel.clone())
            .gate(queue.clone())
            .on_finish(move |outcome| finished.finish(outcome.map(|_| ()).map_err(Clone::clone)));
        let handle = self.scheduler.submit(graph, options);
        Ok(BatchStream::new(plan.schema, queue, handle, context, metrics))
    }
}

fn on_panic(text: String, label: &Label) -> Error {
    Error::internal(format!("a panic in task '{label}': {text}"))
}

/// Adds the tasks that start `pipelines`; gives the last one's, whose value is its output. `queue` takes the result of a
/// pipeline without a sink.
///
/// # Errors
/// An internal error for pipelines that do not stand in order.
pub(super) fn add_pipelines(
    pipelines: Vec<Pipeline>,
    context: &Arc<QueryContext>,
    queue: Option<&Arc<ResultQueue>>,
    metrics: &QueryMetrics,
    add: &mut dyn FnMut(QueryTask) -> TaskId,
) -> Result<TaskId> {
    let mut starts: Vec<TaskId> = Vec::with_capacity(pipelines.len());
    for (index, pipeline) in pipelines.into_iter().enumerate() {
        let inputs = pipeline.branches.iter().flat_map(|branch| branch.input.pipelines());
        let needs: Vec<_> = inputs.chain(pipeline.after.iter().copied()).collect();
        let mut task = start_task(index, pipeline, context, queue, metrics.pipeline(index))?;
        for need in needs {
            let Some(&start) = starts.get(need) else {
                return Err(Error::internal(format!("pipeline {index} reads pipeline {need}, which comes later")));
            };
            task = task.input(start);
        }
        starts.push(add(task));
    }
    starts.pop().ok_or_else(|| Error::internal("a plan without a pipeline"))
}

/// The task that starts a pipeline when those it reads have finished; its value is the pipeline's output.
fn start_task(
    index: usize,
    pipeline: Pipeline,
    context: &Arc<QueryContext>,
    queue: Option<&Arc<ResultQueue>>,
    meters: Arc<PipelineMeters>,
) -> Result<QueryTask> {
    let name: Arc<str> = match &pipeline.sink {
        Some(sink) => format!("pipeline {index} ({})", sink.name()).into(),
        None => format!("pipeline {index} (result)").into(),
    };
    let operators: Vec<_> = pipeline.branches.iter().map(|branch| branch.operators.clone()).collect();
    let stages = stages(&operators);
    let lanes = Lanes::new(operators, pipeline.sink.clone(), context.clone(), meters.clone());
    let target = match (pipeline.sink, queue) {
        (Some(sink), _) => Target::Sink(sink),
        (None, Some(queue)) => Target::Result(queue.clone()),
        (None, None) => return Err(Error::internal("a round of a recursive query without a sink")),
    };
    let run = Arc::new(PipelineRun { name: name.clone(), context: context.clone(), lanes, stages, meters, target });
    let inputs: Vec<Input> = pipeline.branches.into_iter().map(|branch| branch.input).collect();
    Ok(Task::consumer(Label::from(format!("start {name}")), move |context, values: Vec<Arc<Value>>| {
        let mut finished = values.iter().map(|value| source_of(value));
        let mut next = || finished.next().unwrap_or_else(|| Err(Error::internal("a pipeline without its input")));
        let feeds = inputs.into_iter().map(|input| {
            Ok(match input {
                Input::Source(source) => Feed::Source(source),
                Input::Pipeline(_) => Feed::Source(next()?),
                Input::Rounds(rounds) => {
                    let working = next()?;
                    let read = rounds.reads.iter().map(|_| next()).collect::<Result<_>>()?;
                    Feed::Rounds(Round { working, read, term: rounds.term })
                }
            })
        });
        let feeds = feeds.collect::<Result<Vec<Feed>>>()?;
        Ok(Outcome::Become(run.expand(context, feeds)))
    }))
}

/// The output of a finished pipeline.
pub(super) fn source_of(value: &Value) -> Result<SourceRef> {
    match value {
        Value::Source(source) => Ok(source.clone()),
        _ => Err(Error::internal("a pipeline whose input is no source")),
    }
}
