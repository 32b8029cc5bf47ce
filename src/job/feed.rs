//! What a branch of a pipeline reads, and the rounds of a recursive query.
//!
//! The rows of each round pass through the pipeline that reads the recursive query as soon as they are there, before the
//! next round begins. So a LIMIT ends a recursion that would never end, and only one round waits in the store.
//!
//! # Known limitation
//! What the pipelines of the rounds did is not among the query's metrics.

use std::collections::VecDeque;
use std::sync::Arc;

use super::metrics::{Meter, QueryMetrics};
use super::pipeline::{Context, PipelineRun, Value};
use super::runner::{add_pipelines, source_of};
use super::stages::Place;
use crate::batch::SourceRef;
use crate::error::{Error, Result};
use crate::plan::RecursiveTerm;
use crate::sched::{Outcome, Task, TaskId};

/// What a branch reads.
pub(super) enum Feed {
    Source(SourceRef),
    Rounds(Round),
}

/// One round of a recursive query.
pub(super) struct Round {
    /// Its rows.
    pub(super) working: SourceRef,
    /// What every round reads.
    pub(super) read: Arc<[SourceRef]>,
    pub(super) term: Arc<dyn RecursiveTerm>,
}

impl Feed {
    /// What is read now.
    pub(super) fn source(&self) -> SourceRef {
        match self {
            Feed::Source(source) => source.clone(),
            Feed::Rounds(round) => round.working.clone(),
        }
    }
}

/// What enters the pipeline somewhere.
pub(super) struct Entry {
    pub(super) place: Place,
    pub(super) feed: Feed,
    pub(super) meter: Arc<Meter>,
}

/// Entries that are still to be read, in order.
pub(super) type Entries = VecDeque<Entry>;

/// Where a recursive query stands in its pipeline.
pub(super) struct NextRound {
    pub(super) place: Place,
    pub(super) meter: Arc<Meter>,
    /// What is read behind its last round.
    pub(super) rest: Entries,
    /// The number of the next split.
    pub(super) number: usize,
    pub(super) stage: usize,
}

impl PipelineRun {
    /// The rows of `round` have passed: adds the next round, and goes on with its rows and then with the rest.
    pub(super) fn next_round(self: &Arc<Self>, context: &Context, round: Round, next: NextRound) -> Result<TaskId> {
        let NextRound { place, meter, mut rest, number, stage } = next;
        self.context.cancel.check()?;
        if round.working.statistics().rows == Some(0) || !self.wants(number) {
            return Ok(self.run_stage(context, rest, number, stage));
        }
        let pipelines = round.term.pipelines(&round.working, &round.read)?;
        let metrics = QueryMetrics::new(&pipelines);
        let last = add_pipelines(pipelines, &self.context, None, &metrics, &mut |task| context.add(task))?;
        let run = self.clone();
        let go_on = Task::consumer(self.label("round of"), move |context: &Context, values: Vec<Arc<Value>>| {
            let working = match values.first() {
                Some(value) => source_of(value)?,
                None => return Err(Error::internal("a round without rows")),
            };
            rest.push_front(Entry { place, feed: Feed::Rounds(Round { working, ..round }), meter });
            Ok(Outcome::Become(run.run_stage(context, rest, number, stage)))
        });
        Ok(context.add(go_on.input(last)))
    }
}
