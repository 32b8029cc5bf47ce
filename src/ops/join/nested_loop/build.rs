//! The build side: its rows wait in the store, in blocks.

use std::ops::{Deref, Range};
use std::sync::{Arc, OnceLock};

use arrow::array::{ArrayRef, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;

use super::bits::SharedBits;
use super::coalesce::Coalesce;
use super::condition::repeated;
use crate::batch::{MemorySource, SourceRef};
use crate::error::{Error, Result};
use crate::memory::Reservation;
use crate::ops::{Flow, Sink, SinkWork};
use crate::store::{Handle, Loaded, QueryContext, Store, UseOrder};

/// A build side that takes at most this part of the limit is taken out of the store and kept at hand.
const PINNED_SHARE: usize = 16;
/// A build side that takes at most this part of the limit is expected to stay in memory.
const RESIDENT_SHARE: usize = 4;

/// Where the sink of a build side leaves its rows for the operators of the probe side.
#[derive(Debug, Clone, Default)]
pub struct BuildSlot(Arc<OnceLock<BuildSide>>);

impl BuildSlot {
    pub(in crate::ops::join) fn set(&self, side: BuildSide) -> Result<()> {
        self.0.set(side).map_err(|_| Error::internal("the build side of a join finished twice"))
    }

    pub(in crate::ops::join) fn get(&self) -> Result<&BuildSide> {
        self.0.get().ok_or_else(|| Error::internal("a join whose build side has not finished"))
    }
}

/// All rows of the build side.
#[derive(Debug)]
pub(in crate::ops::join) struct BuildSide {
    schema: SchemaRef,
    blocks: Vec<StoredBlock>,
    rows: usize,
    bytes: usize,
    limit: usize,
    store: Store,
    /// Which rows had a partner, where that matters.
    pub(in crate::ops::join) marks: Option<SharedBits>,
    /// The columns of a build side of a single row, repeated for a batch of the usual size.
    single: Option<Vec<ArrayRef>>,
    _reservation: Reservation,
}

#[derive(Debug)]
struct StoredBlock {
    place: Place,
    first: usize,
    rows: usize,
}

#[derive(Debug)]
enum Place {
    Pinned(RecordBatch),
    Stored(Arc<Handle>),
}

/// A block of the build side in memory.
pub(in crate::ops::join) struct Block {
    batch: RecordBatch,
    /// Counts the batch in the budget where it comes from the store.
    _loaded: Option<Loaded>,
    /// The number of its first row among all rows of the build side.
    pub(in crate::ops::join) first: usize,
}

impl Deref for Block {
    type Target = RecordBatch;

    fn deref(&self) -> &RecordBatch {
        &self.batch
    }
}

impl BuildSide {
    /// The rows of `handles`, batches of `schema` that may have more columns behind those. `marked`: whether it will be
    /// asked which rows had a partner.
    pub(in crate::ops::join) fn new(
        context: &QueryContext,
        schema: &SchemaRef,
        handles: Vec<Arc<Handle>>,
        marked: bool,
    ) -> Result<Self> {
        let rows = handles.iter().map(|handle| handle.rows()).sum();
        let bytes: usize = handles.iter().map(|handle| handle.bytes()).sum();
        let limit = context.budget.limit();
        let mut reservation = context.budget.reservation("join build side");
        let pinned = bytes <= limit / PINNED_SHARE && reservation.try_grow(bytes);
        let (mut blocks, mut first) = (Vec::with_capacity(handles.len()), 0);
        for handle in handles {
            let rows = handle.rows();
            let place = match pinned {
                true => Place::Pinned(context.store.get(&handle)?.into_batch()),
                false => Place::Stored(handle),
            };
            blocks.push(StoredBlock { place, first, rows });
            first += rows;
        }
        let single = match blocks.first().map(|block| &block.place) {
            Some(Place::Pinned(batch)) if rows == 1 => {
                let columns = batch.columns().iter().map(|column| repeated(column, 0, context.batch_size));
                Some(columns.collect::<Result<Vec<_>>>()?)
            }
            _ => None,
        };
        let marks = if marked { Some(SharedBits::new(context, rows)?) } else { None };
        let store = context.store.clone();
        let schema = schema.clone();
        Ok(BuildSide { schema, blocks, rows, bytes, limit, store, marks, single, _reservation: reservation })
    }

    pub(in crate::ops::join) fn rows(&self) -> usize {
        self.rows
    }

    pub(in crate::ops::join) fn block_count(&self) -> usize {
        self.blocks.len()
    }

    /// Whether reading all blocks over and over is not expected to read any of them from disk.
    pub(in crate::ops::join) fn is_resident(&self) -> bool {
        self.bytes <= self.limit / RESIDENT_SHARE
    }

    /// Column `index` of the single row of the build side, `count` times, where that is at hand.
    pub(super) fn single(&self, index: usize, count: usize) -> Option<ArrayRef> {
        let column = self.single.as_ref()?.get(index)?;
        (count <= column.len()).then(|| column.slice(0, count))
    }

    /// Block `index`, loaded where it is on disk; the following one is read ahead.
    pub(in crate::ops::join) fn block(&self, index: usize) -> Result<Block> {
        let mut block = self.whole_block(index)?;
        if block.num_columns() > self.schema.fields().len() {
            let columns = block.columns().iter().take(self.schema.fields().len()).cloned().collect();
            let options = RecordBatchOptions::new().with_row_count(Some(block.num_rows()));
            block.batch = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?;
        }
        Ok(block)
    }

    /// As `block`, with the columns that stand behind those of the schema.
    pub(in crate::ops::join) fn whole_block(&self, index: usize) -> Result<Block> {
        let Some(block) = self.blocks.get(index) else {
            return Err(Error::internal(format!("the build side has no block {index}")));
        };
        Ok(match &block.place {
            Place::Pinned(batch) => Block { batch: batch.clone(), _loaded: None, first: block.first },
            Place::Stored(handle) => {
                let loaded = self.store.get(handle)?;
                if let Some(StoredBlock { place: Place::Stored(next), .. }) = self.blocks.get(index + 1) {
                    self.store.prefetch([next.as_ref()]);
                }
                Block { batch: loaded.clone(), _loaded: Some(loaded), first: block.first }
            }
        })
    }

    /// Ranges of blocks of about `rows` rows each.
    pub(super) fn ranges(&self, rows: usize) -> Vec<Range<usize>> {
        let mut ranges = Vec::new();
        let (mut start, mut counted) = (0, 0);
        for (index, block) in self.blocks.iter().enumerate() {
            counted += block.rows;
            if counted >= rows || index + 1 == self.blocks.len() {
                ranges.push(start..index + 1);
                (start, counted) = (index + 1, 0);
            }
        }
        ranges
    }
}

/// Gathers the build side and leaves it in a slot; its own output has no rows.
#[derive(Debug)]
pub struct NestedLoopBuild {
    schema: SchemaRef,
    slot: BuildSlot,
    marked: bool,
}

impl NestedLoopBuild {
    /// A sink for batches of `schema`. `marked`: whether it will be asked which rows had a partner.
    pub fn new(schema: SchemaRef, slot: BuildSlot, marked: bool) -> Self {
        NestedLoopBuild { schema, slot, marked }
    }
}

impl Sink for NestedLoopBuild {
    type Work = NestedLoopBuildWork;
    type Part = Vec<Handle>;

    fn name(&self) -> &'static str {
        "NestedLoopBuild"
    }

    fn describe(&self) -> String {
        String::new()
    }

    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn open(&self, context: &Arc<QueryContext>) -> Result<NestedLoopBuildWork> {
        Ok(NestedLoopBuildWork {
            context: context.clone(),
            coalesce: Coalesce::new(self.schema.clone(), context.batch_size),
            handles: Vec::new(),
        })
    }

    fn combine(&self, context: &Arc<QueryContext>, parts: Vec<Vec<Handle>>) -> Result<SourceRef> {
        let handles = parts.into_iter().flatten().map(Arc::new).collect();
        self.slot.set(BuildSide::new(context, &self.schema, handles, self.marked)?)?;
        Ok(Arc::new(MemorySource::new(self.schema.clone(), Vec::new())))
    }
}

/// One lane of a [`NestedLoopBuild`].
pub struct NestedLoopBuildWork {
    context: Arc<QueryContext>,
    coalesce: Coalesce,
    handles: Vec<Handle>,
}

impl NestedLoopBuildWork {
    fn put(&mut self, batch: Option<RecordBatch>) -> Result<()> {
        let Some(batch) = batch else { return Ok(()) };
        // Every pass reads the blocks in order, so those at the end are the ones to give up.
        let order = UseOrder(u32::try_from(self.handles.len()).unwrap_or(u32::MAX));
        self.handles.push(self.context.store.put(batch, order)?);
        Ok(())
    }
}

impl SinkWork for NestedLoopBuildWork {
    type Part = Vec<Handle>;

    fn push(&mut self, _split: usize, batch: RecordBatch) -> Result<Flow> {
        self.context.cancel.check()?;
        let batch = self.coalesce.push(batch)?;
        self.put(batch)?;
        Ok(Flow::More)
    }

    fn finish(mut self) -> Result<Vec<Handle>> {
        let batch = self.coalesce.finish()?;
        self.put(batch)?;
        Ok(self.handles)
    }
}
