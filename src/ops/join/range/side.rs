//! A sorted side in the store, cut into blocks that know the least and greatest of their keys.
//!
//! Where all rows stay in memory the blocks are cut from the sort's runs as they are. Otherwise the runs are merged
//! first, so that a block spans few keys and most pairs of blocks need not be looked at.

use std::sync::{Arc, OnceLock};

use arrow::array::RecordBatchOptions;
use arrow::compute::concat_batches;
use arrow::record_batch::RecordBatch;

use super::block::{KeyedSide, SortedBlock, StoredBlock};
use crate::batch::{MemorySource, SourceRef};
use crate::error::{Error, Result};
use crate::memory::Reservation;
use crate::ops::join::nested_loop::build::BuildSide;
use crate::ops::sort::{Run, Sort, SortWork};
use crate::ops::{Flow, Sink, SinkWork};
use crate::store::{Handle, QueryContext, UseOrder};

use super::RangeJoin;

/// A side that takes at most this part of the limit is not merged, and its blocks stay ready.
const RESIDENT_SHARE: usize = 4;
/// A block takes at most this part of a lane's share of the limit.
const BLOCK_SHARE: usize = 48;
/// A block has so many rows, unless they are too many bytes.
pub(super) const BLOCK_ROWS: usize = 128 * 1024;
/// Bytes of a ready block's keys and order, for each row, about.
const KEY_BYTES: usize = 24;

/// The blocks of a sorted side, whose rows are a [`BuildSide`].
#[derive(Debug)]
pub(super) struct SortedSide {
    pub(super) blocks: Vec<StoredBlock>,
    /// Blocks that are ready, where all of them may be.
    ready: Option<Vec<OnceLock<Arc<SortedBlock>>>>,
    _reservation: Reservation,
}

impl SortedSide {
    /// The rows of sorted `runs` of keyed batches.
    pub(super) fn new(
        context: &Arc<QueryContext>,
        side: &KeyedSide,
        sort: &Sort,
        runs: Vec<Run>,
        own: &arrow::datatypes::SchemaRef,
        marked: bool,
    ) -> Result<(BuildSide, SortedSide)> {
        let bytes: usize = runs.iter().map(Run::bytes).sum();
        let limit = context.budget.limit();
        let most = (limit / BLOCK_SHARE / context.threads.max(1)).max(1);
        let mut handles = Vec::new();
        let mut blocks: Vec<StoredBlock> = Vec::new();
        let runs = match bytes <= limit / RESIDENT_SHARE {
            true => runs.into_iter().map(|run| run.into_pieces().collect()).collect(),
            false => vec![merged(context, sort, runs)?],
        };
        for run in runs {
            let run: Vec<Arc<Handle>> = run;
            let mut is_first = true;
            for handle in run {
                context.cancel.check()?;
                let span = side.span(&narrowed(side, &*context.store.get(&handle)?)?)?;
                let index = handles.len();
                let (rows, bytes) = (handle.rows(), handle.bytes());
                match blocks.last_mut() {
                    Some(block) if !is_first && block.rows + rows <= BLOCK_ROWS && block.bytes + bytes <= most => {
                        block.pieces.end = index + 1;
                        (block.rows, block.bytes) = (block.rows + rows, block.bytes + bytes);
                        block.span = block.span.clone().and(span);
                    }
                    last => {
                        let start = last.map_or(0, |block| block.start + block.rows);
                        blocks.push(StoredBlock { pieces: index..index + 1, start, rows, bytes, span });
                    }
                }
                is_first = false;
                handles.push(handle);
            }
        }
        let rows: usize = handles.iter().map(|handle| handle.rows()).sum();
        let mut reservation = context.budget.reservation("range join blocks");
        let needed = bytes.saturating_add(rows * KEY_BYTES);
        let is_ready = needed <= limit / RESIDENT_SHARE && reservation.try_grow(needed);
        let ready = is_ready.then(|| blocks.iter().map(|_| OnceLock::new()).collect());
        let build = BuildSide::new(context, own, handles, marked)?;
        Ok((build, SortedSide { blocks, ready, _reservation: reservation }))
    }

    /// Block `index`, ready to be joined. What it takes is counted in `reservation`, unless it stays ready.
    pub(super) fn block(
        &self,
        side: &KeyedSide,
        rows: &BuildSide,
        index: usize,
        reservation: &mut Reservation,
    ) -> Result<Arc<SortedBlock>> {
        let missing = || Error::internal(format!("a sorted side has no block {index}"));
        let block = self.blocks.get(index).ok_or_else(missing)?;
        let slot = self.ready.as_ref().and_then(|ready| ready.get(index));
        if let Some(ready) = slot.and_then(OnceLock::get) {
            return Ok(ready.clone());
        }
        reservation.shrink(reservation.bytes());
        if slot.is_none() {
            reservation.grow(block.bytes + block.rows * KEY_BYTES)?;
        }
        let pieces = block.pieces.clone().map(|piece| rows.whole_block(piece)).collect::<Result<Vec<_>>>()?;
        let pieces = pieces.iter().map(|piece| narrowed(side, piece)).collect::<Result<Vec<_>>>()?;
        let batch = concat_batches(side.schema(), &pieces)?;
        let sorted = Arc::new(SortedBlock::new(side, batch, block.start)?);
        // Whoever was first wins; both are the same.
        Ok(slot.map_or(sorted.clone(), |slot| slot.get_or_init(|| sorted).clone()))
    }
}

/// The keyed columns of a piece of a run.
fn narrowed(side: &KeyedSide, piece: &RecordBatch) -> Result<RecordBatch> {
    let columns = piece.columns().iter().take(side.schema().fields().len()).cloned().collect();
    let options = RecordBatchOptions::new().with_row_count(Some(piece.num_rows()));
    Ok(RecordBatch::try_new_with_options(side.schema().clone(), columns, &options)?)
}

/// All rows of `runs` in one order.
fn merged(context: &Arc<QueryContext>, sort: &Sort, runs: Vec<Run>) -> Result<Vec<Arc<Handle>>> {
    let source = sort.combine(context, vec![runs])?;
    let mut handles = Vec::new();
    for index in 0..source.split_count() {
        let mut split = source.open(index)?;
        while let Some(batch) = split.next()? {
            let order = UseOrder(u32::try_from(handles.len()).unwrap_or(u32::MAX));
            handles.push(Arc::new(context.store.put(batch, order)?));
        }
    }
    Ok(handles)
}

/// Sorts the build side of a range join and leaves it to the probe side; its own output has no rows.
#[derive(Debug)]
pub struct RangeBuild {
    join: Arc<RangeJoin>,
}

impl RangeBuild {
    /// The sink of the build side of `join`.
    pub fn new(join: Arc<RangeJoin>) -> Self {
        RangeBuild { join }
    }
}

impl Sink for RangeBuild {
    type Work = RangeBuildWork;
    type Part = Vec<Run>;

    fn name(&self) -> &'static str {
        "RangeBuild"
    }

    fn describe(&self) -> String {
        self.join.build_sort.describe()
    }

    fn schema(&self) -> arrow::datatypes::SchemaRef {
        self.join.nested.output.build.clone()
    }

    fn open(&self, context: &Arc<QueryContext>) -> Result<RangeBuildWork> {
        Ok(RangeBuildWork { join: self.join.clone(), work: self.join.build_sort.open(context)? })
    }

    fn combine(&self, context: &Arc<QueryContext>, parts: Vec<Vec<Run>>) -> Result<SourceRef> {
        let RangeJoin { build, build_sort, nested, .. } = self.join.as_ref();
        let runs = parts.into_iter().flatten().collect();
        let marked = nested.output.shape.marks_build();
        let (rows, sorted) = SortedSide::new(context, build, build_sort, runs, &nested.output.build, marked)?;
        self.join.set_build(rows, sorted)?;
        Ok(Arc::new(MemorySource::new(Sink::schema(self), Vec::new())))
    }
}

/// One lane of a [`RangeBuild`].
pub struct RangeBuildWork {
    join: Arc<RangeJoin>,
    work: SortWork,
}

impl SinkWork for RangeBuildWork {
    type Part = Vec<Run>;

    fn push(&mut self, split: usize, batch: RecordBatch) -> Result<Flow> {
        self.work.push(split, self.join.build.keyed(&batch)?)
    }

    fn finish(self) -> Result<Vec<Run>> {
        self.work.finish()
    }
}
