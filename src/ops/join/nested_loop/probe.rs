//! The probe side of a nested loop join: a streaming operator that gathers batches where one pass over the build side
//! is dear.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;

use super::NestedLoop;
use super::build::BuildSide;
use super::chunk::Chunk;
use super::coalesce::Coalesce;
use super::rest::ChunkSource;
use crate::batch::SourceRef;
use crate::error::{Error, Result};
use crate::memory::Reservation;
use crate::ops::{Emit, Flow, Operator, Work, WorkPart};
use crate::store::{QueryContext, batch_bytes, compact};

/// For a build side of up to so many rows each batch is joined when it comes.
const FEW_ROWS: usize = 1024;
/// The part of the limit that all lanes may gather where the build side stays in memory: gathering only lets the lanes
/// share the work evenly.
const RESIDENT_SHARE: usize = 16;
/// The same where it does not: the more is gathered, the fewer times the build side is read from disk.
const PAGED_SHARE: usize = 3;

/// Joins what streams through it with the build side.
#[derive(Debug)]
pub struct NestedLoopProbe {
    join: Arc<NestedLoop>,
}

impl NestedLoopProbe {
    /// The operator of `join`.
    pub fn new(join: Arc<NestedLoop>) -> Self {
        NestedLoopProbe { join }
    }
}

impl Operator for NestedLoopProbe {
    fn name(&self) -> &'static str {
        if self.join.condition.is_none() { "CrossJoin" } else { "NestedLoopJoin" }
    }

    fn describe(&self) -> String {
        self.join.describe()
    }

    fn schema(&self) -> SchemaRef {
        self.join.output.schema.clone()
    }

    fn open(&self, context: &Arc<QueryContext>) -> Result<Box<dyn Work>> {
        let build = self.join.slot.get()?;
        let most = match gathers(&self.join, build) {
            false => 0,
            true if build.is_resident() => context.budget.limit() / RESIDENT_SHARE / context.threads.max(1),
            true => context.budget.limit() / PAGED_SHARE / context.threads.max(1),
        };
        Ok(Box::new(NestedLoopWork {
            join: self.join.clone(),
            context: context.clone(),
            most,
            coalesce: Coalesce::new(self.join.output.probe.clone(), context.batch_size),
            gathered: Vec::new(),
            reservation: context.budget.reservation("join probe side"),
        }))
    }

    fn holds_back(&self) -> bool {
        true
    }

    fn rest(&self, context: &Arc<QueryContext>, parts: Vec<WorkPart>) -> Result<SourceRef> {
        let mut batches = Vec::new();
        let mut reservation = context.budget.reservation("join probe side");
        for part in parts {
            let part = part.downcast::<Gathered>().map_err(|_| Error::internal("a part of another operator"))?;
            batches.extend(part.batches);
            reservation.merge(part.reservation);
        }
        Ok(Arc::new(ChunkSource::new(self.join.clone(), context, batches, reservation)?))
    }
}

/// Whether probe batches are gathered before they are joined.
fn gathers(join: &NestedLoop, build: &BuildSide) -> bool {
    !build.is_resident() || (join.condition.is_some() && build.rows() > FEW_ROWS)
}

/// What a lane has gathered and not joined.
struct Gathered {
    batches: Vec<RecordBatch>,
    reservation: Reservation,
}

struct NestedLoopWork {
    join: Arc<NestedLoop>,
    context: Arc<QueryContext>,
    /// Bytes that this lane gathers at most.
    most: usize,
    coalesce: Coalesce,
    gathered: Vec<RecordBatch>,
    reservation: Reservation,
}

impl NestedLoopWork {
    /// Joins `batches` with the whole build side.
    fn join(&self, batches: Vec<RecordBatch>, out: &mut Emit) -> Result<Flow> {
        let mut chunk = Chunk::new(self.join.clone(), self.context.clone(), batches);
        while let Some(batch) = chunk.next()? {
            if out(batch)? == Flow::Done {
                return Ok(Flow::Done);
            }
        }
        Ok(Flow::More)
    }

    fn has_room(&mut self, bytes: usize) -> bool {
        self.reservation.bytes() + bytes <= self.most && self.reservation.try_grow(bytes)
    }

    fn gather(&mut self, batch: RecordBatch, out: &mut Emit) -> Result<Flow> {
        let batch = compact(batch);
        let bytes = batch_bytes(&batch);
        if self.has_room(bytes) {
            self.gathered.push(batch);
            return Ok(Flow::More);
        }
        let mut batches = std::mem::take(&mut self.gathered);
        // The batch exists, so it may as well take part in this pass.
        batches.push(batch);
        let flow = self.join(batches, out)?;
        self.reservation.shrink(self.reservation.bytes());
        Ok(flow)
    }
}

impl Work for NestedLoopWork {
    fn push(&mut self, batch: RecordBatch, out: &mut Emit) -> Result<Flow> {
        if self.join.gives_nothing()? {
            return Ok(Flow::Done);
        }
        if self.most == 0 {
            return self.join(vec![batch], out);
        }
        match self.coalesce.push(batch)? {
            Some(batch) => self.gather(batch, out),
            None => Ok(Flow::More),
        }
    }

    fn finish(mut self: Box<Self>) -> Result<WorkPart> {
        if let Some(batch) = self.coalesce.finish()? {
            self.reservation.try_grow(batch_bytes(&batch));
            self.gathered.push(batch);
        }
        Ok(Box::new(Gathered { batches: self.gathered, reservation: self.reservation }))
    }
}
