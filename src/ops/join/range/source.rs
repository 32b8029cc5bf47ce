//! What a range join gives when its probe side has ended.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;

use super::RangeJoin;
use super::block::SortedBlock;
use super::join::BlockJoin;
use super::side::{BLOCK_ROWS, SortedSide};
use crate::batch::{Source, Split};
use crate::error::{Error, Result};
use crate::memory::Reservation;
use crate::ops::join::nested_loop::build::BuildSide;
use crate::ops::sort::Run;
use crate::store::QueryContext;

const SPLITS_PER_THREAD: usize = 2;
/// A split has at least so many rows.
const FEWEST_ROWS: usize = 4096;

/// Gathered probe rows, sorted and joined split by split.
pub(super) struct ChunkSource {
    join: Arc<RangeJoin>,
    context: Arc<QueryContext>,
    chunks: Vec<Vec<RecordBatch>>,
    _reservation: Reservation,
}

impl ChunkSource {
    pub(super) fn new(
        join: Arc<RangeJoin>,
        context: &Arc<QueryContext>,
        batches: Vec<RecordBatch>,
        reservation: Reservation,
    ) -> Self {
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        let target = rows.div_ceil(SPLITS_PER_THREAD * context.threads.max(1)).max(FEWEST_ROWS);
        let mut chunks: Vec<Vec<RecordBatch>> = Vec::new();
        let mut room = 0_usize;
        for batch in batches {
            match chunks.last_mut() {
                Some(chunk) if room > 0 => {
                    room = room.saturating_sub(batch.num_rows());
                    chunk.push(batch);
                }
                _ => {
                    room = target.saturating_sub(batch.num_rows());
                    chunks.push(vec![batch]);
                }
            }
        }
        ChunkSource { join, context: context.clone(), chunks, _reservation: reservation }
    }
}

impl Source for ChunkSource {
    fn describe(&self) -> String {
        "gathered probe rows".to_owned()
    }

    fn schema(&self) -> SchemaRef {
        self.join.nested.output.schema.clone()
    }

    fn split_count(&self) -> usize {
        self.chunks.len()
    }

    fn open(&self, index: usize) -> Result<Box<dyn Split>> {
        let missing = || Error::internal(format!("gathered probe rows have no split {index}"));
        let chunk = self.chunks.get(index).ok_or_else(missing)?;
        let sorted = self.join.probe.sorted(chunk)?;
        let blocks = SortedBlock::cut(&self.join.probe, &sorted, BLOCK_ROWS)?.into();
        let (join, context) = (self.join.clone(), self.context.clone());
        Ok(Box::new(BlocksSplit { join, context, blocks, current: None, _reservation: None }))
    }
}

/// Joins block after block.
struct BlocksSplit {
    join: Arc<RangeJoin>,
    context: Arc<QueryContext>,
    blocks: VecDeque<Arc<SortedBlock>>,
    current: Option<BlockJoin>,
    _reservation: Option<Reservation>,
}

impl Split for BlocksSplit {
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(current) = &mut self.current {
                if let Some(batch) = current.next()? {
                    return Ok(Some(batch));
                }
                self.current = None;
            }
            let Some(block) = self.blocks.pop_front() else { return Ok(None) };
            self.current = Some(BlockJoin::new(self.join.clone(), self.context.clone(), block));
        }
    }
}

/// The probe side, sorted as a whole: one split for each of its blocks.
pub(super) struct StoredSource {
    join: Arc<RangeJoin>,
    context: Arc<QueryContext>,
    rows: BuildSide,
    sorted: SortedSide,
}

impl StoredSource {
    pub(super) fn new(join: Arc<RangeJoin>, context: &Arc<QueryContext>, runs: Vec<Run>) -> Result<Self> {
        let own = &join.nested.output.probe;
        let (rows, sorted) = SortedSide::new(context, &join.probe, &join.probe_sort, runs, own, false)?;
        Ok(StoredSource { join, context: context.clone(), rows, sorted })
    }
}

impl Source for StoredSource {
    fn describe(&self) -> String {
        "sorted probe rows".to_owned()
    }

    fn schema(&self) -> SchemaRef {
        self.join.nested.output.schema.clone()
    }

    fn split_count(&self) -> usize {
        self.sorted.blocks.len()
    }

    fn open(&self, index: usize) -> Result<Box<dyn Split>> {
        let mut reservation = self.context.budget.reservation("range join blocks");
        let block = self.sorted.block(&self.join.probe, &self.rows, index, &mut reservation)?;
        let (join, context) = (self.join.clone(), self.context.clone());
        let blocks = VecDeque::from([block]);
        Ok(Box::new(BlocksSplit { join, context, blocks, current: None, _reservation: Some(reservation) }))
    }
}
