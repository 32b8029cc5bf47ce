//! What a nested loop join gives when its probe side has ended: the chunks that were still gathered, and then the rows
//! of the build side.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::BooleanArray;
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;

use super::NestedLoop;
use super::chunk::Chunk;
use super::shape::Gives;
use crate::batch::{MemorySource, Source, SourceRef, Split};
use crate::error::{Error, Result};
use crate::memory::Reservation;
use crate::ops::{Emit, Flow, Operator, Work, WorkPart};
use crate::store::QueryContext;

/// Splits for each worker, where a pass over the build side costs nothing but its own work.
const SPLITS_PER_THREAD: usize = 4;
/// A split has at least so many rows of the probe side.
const FEWEST_ROWS: usize = 64;
/// A split has about so many rows of the build side.
const BUILD_ROWS: usize = 128 * 1024;

/// Gathered probe batches that are joined while they are read.
pub(super) struct ChunkSource {
    join: Arc<NestedLoop>,
    context: Arc<QueryContext>,
    chunks: Vec<Vec<RecordBatch>>,
    _reservation: Reservation,
}

impl ChunkSource {
    pub(super) fn new(
        join: Arc<NestedLoop>,
        context: &Arc<QueryContext>,
        batches: Vec<RecordBatch>,
        reservation: Reservation,
    ) -> Result<Self> {
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        let splits = match join.slot.get()?.is_resident() {
            true => SPLITS_PER_THREAD * context.threads.max(1),
            // Every split reads the build side from disk.
            false => context.threads.max(1),
        };
        let chunks = chunks(batches, rows.div_ceil(splits).max(FEWEST_ROWS));
        Ok(ChunkSource { join, context: context.clone(), chunks, _reservation: reservation })
    }
}

/// The batches in chunks of `target` rows.
fn chunks(batches: Vec<RecordBatch>, target: usize) -> Vec<Vec<RecordBatch>> {
    let mut chunks: Vec<Vec<RecordBatch>> = Vec::new();
    let mut room = 0;
    for batch in batches {
        let mut offset = 0;
        while offset < batch.num_rows() {
            if room == 0 {
                chunks.push(Vec::new());
                room = target;
            }
            let rows = room.min(batch.num_rows() - offset);
            if let Some(chunk) = chunks.last_mut() {
                chunk.push(batch.slice(offset, rows));
            }
            (offset, room) = (offset + rows, room - rows);
        }
    }
    chunks
}

impl Source for ChunkSource {
    fn describe(&self) -> String {
        "gathered probe rows".to_owned()
    }

    fn schema(&self) -> SchemaRef {
        self.join.output.schema.clone()
    }

    fn split_count(&self) -> usize {
        self.chunks.len()
    }

    fn open(&self, index: usize) -> Result<Box<dyn Split>> {
        let missing = || Error::internal(format!("gathered probe rows have no split {index}"));
        let batches = self.chunks.get(index).ok_or_else(missing)?.clone();
        Ok(Box::new(ChunkSplit(Chunk::new(self.join.clone(), self.context.clone(), batches))))
    }
}

struct ChunkSplit(Chunk);

impl Split for ChunkSplit {
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        self.0.next()
    }
}

/// Stands behind the probe operator of a join that gives rows of its build side: lets everything pass, and gives these
/// rows when all pairs have been seen.
#[derive(Debug)]
pub struct BuildRows {
    join: Arc<NestedLoop>,
}

impl BuildRows {
    /// The operator of `join`.
    pub fn new(join: Arc<NestedLoop>) -> Self {
        BuildRows { join }
    }
}

impl Operator for BuildRows {
    fn name(&self) -> &'static str {
        "BuildRows"
    }

    fn describe(&self) -> String {
        String::new()
    }

    fn schema(&self) -> SchemaRef {
        self.join.output.schema.clone()
    }

    fn open(&self, _context: &Arc<QueryContext>) -> Result<Box<dyn Work>> {
        Ok(Box::new(PassOn))
    }

    fn holds_back(&self) -> bool {
        true
    }

    fn rest(&self, context: &Arc<QueryContext>, _parts: Vec<WorkPart>) -> Result<SourceRef> {
        let build = self.join.slot.get()?;
        if build.marks.is_none() {
            return Ok(Arc::new(MemorySource::new(self.schema(), Vec::new())));
        }
        let ranges = build.ranges(BUILD_ROWS);
        Ok(Arc::new(BuildRowsSource { join: self.join.clone(), context: context.clone(), ranges }))
    }
}

struct PassOn;

impl Work for PassOn {
    fn push(&mut self, batch: RecordBatch, out: &mut Emit) -> Result<Flow> {
        out(batch)
    }
}

struct BuildRowsSource {
    join: Arc<NestedLoop>,
    context: Arc<QueryContext>,
    ranges: Vec<Range<usize>>,
}

impl Source for BuildRowsSource {
    fn describe(&self) -> String {
        "rows of the build side".to_owned()
    }

    fn schema(&self) -> SchemaRef {
        self.join.output.schema.clone()
    }

    fn split_count(&self) -> usize {
        self.ranges.len()
    }

    fn open(&self, index: usize) -> Result<Box<dyn Split>> {
        let missing = || Error::internal(format!("the build side has no split {index}"));
        let blocks = self.ranges.get(index).ok_or_else(missing)?.clone();
        Ok(Box::new(BuildRowsSplit { join: self.join.clone(), context: self.context.clone(), blocks }))
    }
}

struct BuildRowsSplit {
    join: Arc<NestedLoop>,
    context: Arc<QueryContext>,
    blocks: Range<usize>,
}

impl Split for BuildRowsSplit {
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        let build = self.join.slot.get()?;
        let output = &self.join.output;
        for index in self.blocks.by_ref() {
            self.context.cancel.check()?;
            let block = build.block(index)?;
            let Some(marks) = &build.marks else { return Ok(None) };
            let matched: BooleanArray = marks.mask(block.first, block.num_rows());
            let batch = match output.shape.gives {
                Gives::BuildRows { kept } => output.kept(kept, &block, &matched, None)?,
                Gives::Pairs { build_outer: true, .. } => {
                    output.build_alone(filter_record_batch(&block, &arrow::compute::not(&matched)?)?)?
                }
                _ => return Ok(None),
            };
            if batch.num_rows() > 0 {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }
}
