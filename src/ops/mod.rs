//! The physical operators, all behind one door.
//!
//! * [`Operator`] → [`Work`]: batches in, batches out, inside a pipeline (filter, project, limit …).
//! * [`Sink`] → [`SinkWork`]: the end of a pipeline; what it collected becomes the next pipeline's [`Source`]
//!   (aggregate, sort, …).
//!
//! The operator is immutable and shared; its work is one per lane, `&mut`, and owns no lock. Operators never learn
//! where batches come from or go to, and a barrier is never inside one: the scheduler calls `combine` when every lane
//! of a pipeline has finished.

pub mod aggregate;
pub mod expand;
pub mod filter;
pub mod holistic;
pub mod join;
pub mod keep;
pub mod limit;
pub mod partition;
pub mod portions;
pub mod project;
pub mod recursive;
pub mod sample;
pub mod set;
pub mod sort;
pub mod top_n;
pub mod unnest;
pub mod window;
pub mod write;

#[cfg(test)]
pub mod testing;

use std::any::Any;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;

use crate::batch::SourceRef;
use crate::error::{Error, Result};
use crate::store::QueryContext;

/// Whether an operator wants more input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Go on.
    More,
    /// Nothing that comes later in this split can matter.
    Done,
}

/// Where a work puts its output; a fan-out is several calls. `Flow::Done` from it must be handed on.
pub type Emit<'a> = dyn FnMut(RecordBatch) -> Result<Flow> + 'a;

/// A streaming operator: immutable, shared by all lanes.
pub trait Operator: Send + Sync {
    /// The operator's name as EXPLAIN prints it, e.g. `Filter`.
    fn name(&self) -> &'static str;

    /// What it does, for EXPLAIN: expressions, keys.
    fn describe(&self) -> String;

    /// The schema of what it emits.
    fn schema(&self) -> SchemaRef;

    /// The state of one lane.
    fn open(&self, context: &Arc<QueryContext>) -> Result<Box<dyn Work>>;

    /// Whether it keeps rows until all input has been seen, and gives them as [`rest`](Operator::rest).
    fn holds_back(&self) -> bool {
        false
    }

    /// Every lane has finished: the rows that were held back. The splits of this source pass through the operators
    /// behind this one, after all others. Called once, and only where `holds_back`; `parts` is what the lanes left and
    /// may be empty when there was no input.
    fn rest(&self, _context: &Arc<QueryContext>, _parts: Vec<WorkPart>) -> Result<SourceRef> {
        Err(Error::internal(format!("{} holds nothing back", self.name())))
    }
}

/// One lane's state of a streaming operator.
pub trait Work: Send {
    /// Takes one batch, emits any number of batches.
    fn push(&mut self, batch: RecordBatch, out: &mut Emit) -> Result<Flow>;

    /// After the lane's last batch, where the operator holds rows back: what this lane kept.
    fn finish(self: Box<Self>) -> Result<WorkPart> {
        Ok(Box::new(()))
    }
}

/// What a lane of some streaming operator left; only that operator knows its type.
pub type WorkPart = Box<dyn Any + Send>;

/// The end of a pipeline: immutable, shared by all lanes.
///
/// `Part` is what one lane leaves when it has finished; `combine` turns all lanes' parts into the next source.
pub trait Sink: Send + Sync + 'static {
    type Work: SinkWork<Part = Self::Part>;
    type Part: Send + 'static;

    /// The sink's name as EXPLAIN prints it, e.g. `HashAggregate`.
    fn name(&self) -> &'static str;

    /// What it does, for EXPLAIN.
    fn describe(&self) -> String;

    /// The schema of the source that `combine` gives.
    fn schema(&self) -> SchemaRef;

    /// The state of one lane.
    fn open(&self, context: &Arc<QueryContext>) -> Result<Self::Work>;

    /// Whether split `split` can still matter. Asked before a split is opened and, if one likes, between its batches;
    /// once false it stays false, and leaving the split out changes nothing in the answer.
    fn wants(&self, _split: usize) -> bool {
        true
    }

    /// Whether it gives about as many rows again as it takes; for estimates of how far a query is.
    fn keeps_rows(&self) -> bool {
        false
    }

    /// All lanes have finished: what they collected, as a source. `parts` may be empty when there was no split.
    fn combine(&self, context: &Arc<QueryContext>, parts: Vec<Self::Part>) -> Result<SourceRef>;
}

/// One lane's state of a sink.
pub trait SinkWork: Send + 'static {
    type Part: Send + 'static;

    /// Takes one batch of split number `split` (batches of one split arrive in order, on one lane at a time).
    fn push(&mut self, split: usize, batch: RecordBatch) -> Result<Flow>;

    /// After the lane's last batch.
    fn finish(self) -> Result<Self::Part>;
}

/// A [`Sink`] with its types erased, so that a pipeline can hold any. Implemented for every sink; nobody else
/// implements it.
pub trait DynSink: Send + Sync {
    fn name(&self) -> &'static str;
    fn describe(&self) -> String;
    fn schema(&self) -> SchemaRef;
    fn open(&self, context: &Arc<QueryContext>) -> Result<Box<dyn DynSinkWork>>;
    fn wants(&self, split: usize) -> bool;
    fn keeps_rows(&self) -> bool;
    fn combine(&self, context: &Arc<QueryContext>, parts: Vec<SinkPart>) -> Result<SourceRef>;
}

/// A [`SinkWork`] with its type erased.
pub trait DynSinkWork: Send {
    fn push(&mut self, split: usize, batch: RecordBatch) -> Result<Flow>;
    fn finish(self: Box<Self>) -> Result<SinkPart>;
}

/// What a lane of some sink left.
pub struct SinkPart(Box<dyn Any + Send>);

impl<S: Sink> DynSink for S {
    fn name(&self) -> &'static str {
        Sink::name(self)
    }

    fn describe(&self) -> String {
        Sink::describe(self)
    }

    fn schema(&self) -> SchemaRef {
        Sink::schema(self)
    }

    fn open(&self, context: &Arc<QueryContext>) -> Result<Box<dyn DynSinkWork>> {
        Ok(Box::new(Sink::open(self, context)?))
    }

    fn wants(&self, split: usize) -> bool {
        Sink::wants(self, split)
    }

    fn keeps_rows(&self) -> bool {
        Sink::keeps_rows(self)
    }

    fn combine(&self, context: &Arc<QueryContext>, parts: Vec<SinkPart>) -> Result<SourceRef> {
        let parts = parts
            .into_iter()
            .map(|part| part.0.downcast::<S::Part>().map(|part| *part))
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(|_| Error::internal(format!("{}: a part of another sink", Sink::name(self))))?;
        Sink::combine(self, context, parts)
    }
}

impl<W: SinkWork> DynSinkWork for W {
    fn push(&mut self, split: usize, batch: RecordBatch) -> Result<Flow> {
        SinkWork::push(self, split, batch)
    }

    fn finish(self: Box<Self>) -> Result<SinkPart> {
        Ok(SinkPart(Box::new(SinkWork::finish(*self)?)))
    }
}
