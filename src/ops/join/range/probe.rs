//! The probe side of a range join.
//!
//! * A build side of a few rows: every pair is looked at, which takes less than to sort.
//! * One that stays in memory: probe rows are gathered, sorted and joined chunk by chunk while they stream.
//! * A larger one: the probe side is sorted as a whole, so that only blocks of near keys have to meet.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;

use super::RangeJoin;
use super::block::SortedBlock;
use super::join::BlockJoin;
use super::side::BLOCK_ROWS;
use super::source::{ChunkSource, StoredSource};
use crate::batch::SourceRef;
use crate::error::{Error, Result};
use crate::memory::Reservation;
use crate::ops::join::nested_loop::NestedLoopProbe;
use crate::ops::join::nested_loop::coalesce::Coalesce;
use crate::ops::sort::{Run, SortWork};
use crate::ops::{Emit, Flow, Operator, Sink, SinkWork, Work, WorkPart};
use crate::store::{QueryContext, batch_bytes, compact};

/// With a build side of up to so many rows nothing is sorted.
const FEW_ROWS: usize = 48;
/// The part of the limit that all lanes may gather; sorting takes about as much again.
const GATHERED_SHARE: usize = 16;
/// A chunk has at least so many blocks before it is joined, unless they are too many bytes.
const CHUNK_BLOCKS: usize = 8;

/// Joins what streams through it with the sorted build side.
#[derive(Debug)]
pub struct RangeProbe {
    join: Arc<RangeJoin>,
    nested: NestedLoopProbe,
}

impl RangeProbe {
    /// The operator of `join`.
    pub fn new(join: Arc<RangeJoin>) -> Self {
        RangeProbe { nested: NestedLoopProbe::new(join.nested.clone()), join }
    }
}

/// How the probe side is joined.
enum Way {
    Pairs,
    Chunks,
    Sorted,
}

fn way(join: &RangeJoin) -> Result<Way> {
    let build = join.nested.slot.get()?;
    Ok(match build.rows() <= FEW_ROWS {
        true => Way::Pairs,
        false if build.is_resident() => Way::Chunks,
        false => Way::Sorted,
    })
}

impl Operator for RangeProbe {
    fn name(&self) -> &'static str {
        "RangeJoin"
    }

    fn describe(&self) -> String {
        self.join.describe()
    }

    fn schema(&self) -> SchemaRef {
        self.join.nested.output.schema.clone()
    }

    fn open(&self, context: &Arc<QueryContext>) -> Result<Box<dyn Work>> {
        let join = self.join.clone();
        Ok(match way(&join)? {
            Way::Pairs => self.nested.open(context)?,
            Way::Chunks => Box::new(ChunkWork {
                context: context.clone(),
                most: context.budget.limit() / GATHERED_SHARE / context.threads.max(1),
                coalesce: Coalesce::new(join.probe.schema().clone(), context.batch_size),
                gathered: Gathered::new(context),
                join,
            }),
            Way::Sorted => {
                let work = join.probe_sort.open(context)?;
                Box::new(SortedWork { join, work })
            }
        })
    }

    fn holds_back(&self) -> bool {
        true
    }

    fn rest(&self, context: &Arc<QueryContext>, parts: Vec<WorkPart>) -> Result<SourceRef> {
        let join = self.join.clone();
        match way(&join)? {
            Way::Pairs => self.nested.rest(context, parts),
            Way::Chunks => {
                let mut all = Gathered::new(context);
                for part in parts {
                    let Gathered { batches, rows, reservation } = *part.downcast().map_err(foreign)?;
                    all.batches.extend(batches);
                    all.rows += rows;
                    all.reservation.merge(reservation);
                }
                Ok(Arc::new(ChunkSource::new(join, context, all.batches, all.reservation)))
            }
            Way::Sorted => {
                let mut runs = Vec::new();
                for part in parts {
                    runs.extend(*part.downcast::<Vec<Run>>().map_err(foreign)?);
                }
                Ok(Arc::new(StoredSource::new(join, context, runs)?))
            }
        }
    }
}

fn foreign(_: WorkPart) -> Error {
    Error::internal("RangeJoin: a part of another operator")
}

/// Keyed rows that wait to become a chunk.
struct Gathered {
    batches: Vec<RecordBatch>,
    rows: usize,
    reservation: Reservation,
}

impl Gathered {
    fn new(context: &QueryContext) -> Self {
        Gathered { batches: Vec::new(), rows: 0, reservation: context.budget.reservation("range join probe side") }
    }
}

struct ChunkWork {
    join: Arc<RangeJoin>,
    context: Arc<QueryContext>,
    /// Bytes that this lane gathers at most.
    most: usize,
    coalesce: Coalesce,
    gathered: Gathered,
}

impl ChunkWork {
    fn gather(&mut self, batch: RecordBatch, out: &mut Emit) -> Result<Flow> {
        let batch = compact(batch);
        // Twice: the sorted chunk is a copy.
        let bytes = 2 * batch_bytes(&batch);
        let rows = batch.num_rows();
        let gathered = &mut self.gathered;
        let is_full =
            gathered.rows + rows > CHUNK_BLOCKS * BLOCK_ROWS || gathered.reservation.bytes() + bytes > self.most;
        if !is_full && gathered.reservation.try_grow(bytes) {
            gathered.batches.push(batch);
            gathered.rows += rows;
            return Ok(Flow::More);
        }
        let mut batches = std::mem::take(&mut gathered.batches);
        batches.push(batch);
        let flow = self.join_chunk(&batches, out)?;
        self.gathered = Gathered::new(&self.context);
        Ok(flow)
    }

    fn join_chunk(&self, batches: &[RecordBatch], out: &mut Emit) -> Result<Flow> {
        let sorted = self.join.probe.sorted(batches)?;
        for block in SortedBlock::cut(&self.join.probe, &sorted, BLOCK_ROWS)? {
            let mut join = BlockJoin::new(self.join.clone(), self.context.clone(), block);
            while let Some(batch) = join.next()? {
                if out(batch)? == Flow::Done {
                    return Ok(Flow::Done);
                }
            }
        }
        Ok(Flow::More)
    }
}

impl Work for ChunkWork {
    fn push(&mut self, batch: RecordBatch, out: &mut Emit) -> Result<Flow> {
        if self.join.nested.gives_nothing()? {
            return Ok(Flow::Done);
        }
        self.context.cancel.check()?;
        match self.coalesce.push(self.join.probe.keyed(&batch)?)? {
            Some(batch) => self.gather(batch, out),
            None => Ok(Flow::More),
        }
    }

    fn finish(mut self: Box<Self>) -> Result<WorkPart> {
        if let Some(batch) = self.coalesce.finish()? {
            self.gathered.reservation.try_grow(batch_bytes(&batch));
            self.gathered.rows += batch.num_rows();
            self.gathered.batches.push(batch);
        }
        Ok(Box::new(self.gathered))
    }
}

struct SortedWork {
    join: Arc<RangeJoin>,
    work: SortWork,
}

impl Work for SortedWork {
    fn push(&mut self, batch: RecordBatch, _out: &mut Emit) -> Result<Flow> {
        self.work.push(0, self.join.probe.keyed(&batch)?)
    }

    fn finish(self: Box<Self>) -> Result<WorkPart> {
        Ok(Box::new(self.work.finish()?))
    }
}
