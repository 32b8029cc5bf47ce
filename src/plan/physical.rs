//! What lowering makes: pipelines with edges between them.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;

use crate::batch::SourceRef;
use crate::error::Result;
use crate::ops::{DynSink, Operator};
use crate::scan::ScanSpec;

/// A query as pipelines. Every pipeline but the last ends in a sink that a later one reads; the last one's batches are
/// the query's result.
pub struct PhysicalPlan {
    /// In an order in which every pipeline stands behind those it reads.
    pub pipelines: Vec<Pipeline>,
    /// The schema of the result.
    pub schema: SchemaRef,
    /// Scans of columns whose types rest on samples.
    pub uncertain: Vec<UncertainScan>,
}

impl PhysicalPlan {
    /// The same, whose result passes `operator` too.
    #[must_use]
    pub fn through(mut self, operator: Arc<dyn Operator>) -> Self {
        self.schema = operator.schema();
        let last = self.pipelines.len().saturating_sub(1);
        match self.pipelines.last_mut() {
            Some(Pipeline { branches, sink: None, .. }) => {
                branches.iter_mut().for_each(|branch| branch.operators.push(operator.clone()));
            }
            _ => {
                let branch = Branch { input: Input::Pipeline(last), operators: vec![operator] };
                self.pipelines.push(Pipeline { branches: vec![branch], sink: None, after: Vec::new() });
            }
        }
        self
    }

    /// The same, without a result: its rows go to the first of `sinks`, and what that one gives to the next.
    #[must_use]
    pub fn ending_in(mut self, sinks: impl IntoIterator<Item = Arc<dyn DynSink>>) -> Self {
        for sink in sinks {
            let Some(last) = self.pipelines.len().checked_sub(1) else { break };
            match self.pipelines.last_mut() {
                Some(pipeline) if pipeline.sink.is_none() => pipeline.sink = Some(sink),
                _ => {
                    let branch = Branch { input: Input::Pipeline(last), operators: Vec::new() };
                    self.pipelines.push(Pipeline { branches: vec![branch], sink: Some(sink), after: Vec::new() });
                }
            }
        }
        self
    }
}

/// Files, and the columns of them (indexes into the schema) that are read although their types rest on samples.
pub type UncertainScan = (Arc<ScanSpec>, Vec<usize>);

/// A place in a physical plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanNode {
    /// What a branch reads.
    Source { pipeline: usize, branch: usize },
    /// A streaming operator, counted from the source.
    Operator { pipeline: usize, branch: usize, position: usize },
    /// The end of a pipeline.
    Sink { pipeline: usize },
}

/// Branches that feed one sink.
pub struct Pipeline {
    /// Their rows follow one another (UNION ALL); mostly there is one.
    pub branches: Vec<Branch>,
    /// `None` only for the last pipeline, whose batches then go to the caller.
    pub sink: Option<Arc<dyn DynSink>>,
    /// Pipelines that must have finished before this one starts, beyond those its branches read: the build sides of
    /// its joins.
    pub after: Vec<usize>,
}

/// A source and the streaming operators over it, in the order in which a batch passes them.
pub struct Branch {
    pub input: Input,
    pub operators: Vec<Arc<dyn Operator>>,
}

/// Where a branch's batches come from.
pub enum Input {
    /// A file scan or a stored table.
    Source(SourceRef),
    /// The output of the pipeline of that index.
    Pipeline(usize),
    /// All rounds of a recursive query, one after the other.
    Rounds(Rounds),
}

impl Input {
    /// The pipelines whose output this input needs.
    pub fn pipelines(&self) -> Vec<usize> {
        match self {
            Input::Source(_) => Vec::new(),
            Input::Pipeline(index) => vec![*index],
            Input::Rounds(rounds) => std::iter::once(rounds.first).chain(rounds.reads.iter().copied()).collect(),
        }
    }
}

/// A recursive query: rows of a first round, and what makes the next round of the last one. It ends with a round without
/// rows.
pub struct Rounds {
    /// The pipeline of the first round.
    pub first: usize,
    /// The pipelines whose outputs every round reads.
    pub reads: Vec<usize>,
    pub term: Arc<dyn RecursiveTerm>,
}

/// What makes a round.
pub trait RecursiveTerm: Send + Sync {
    /// The name of the recursive query.
    fn name(&self) -> &str;

    /// The pipelines of one round, numbered for themselves: the last one's output, whose number of rows is known, are
    /// the round's rows. `working` are the rows of the round before, `read` the outputs of [`Rounds::reads`].
    ///
    /// # Errors
    /// Those of lowering.
    fn pipelines(&self, working: &SourceRef, read: &[SourceRef]) -> Result<Vec<Pipeline>>;
}
