//! The right side of an ASOF join: an index where it fits in memory, sorted runs where not.

use std::sync::Arc;

use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use parking_lot::Mutex;

use super::AsofJoin;
use super::index::{BYTES_PER_ROW, Index};
use super::side::sequence;
use crate::batch::{MemorySource, SourceRef};
use crate::error::Result;
use crate::memory::Reservation;
use crate::ops::join::nested_loop::coalesce::Coalesce;
use crate::ops::sort::Run;
use crate::ops::{Flow, Sink, SinkWork};
use crate::store::{Handle, QueryContext, UseOrder};

/// The index takes at most this part of the limit.
const INDEX_SHARE: usize = 3;

/// The right side when all of it has been seen.
pub(super) enum Right {
    InMemory {
        index: Box<Index>,
        _reservation: Reservation,
    },
    /// Taken once, when the left side has been sorted as well.
    Sorted(Mutex<Vec<Run>>),
}

impl std::fmt::Debug for Right {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Right::InMemory { index, .. } => write!(f, "InMemory({} rows)", index.rows.num_rows()),
            Right::Sorted(_) => f.write_str("Sorted"),
        }
    }
}

/// Gathers the right side and leaves it to the left side; its own output has no rows.
#[derive(Debug)]
pub struct AsofBuild {
    join: Arc<AsofJoin>,
}

impl AsofBuild {
    /// The sink of the right side of `join`.
    pub fn new(join: Arc<AsofJoin>) -> Self {
        AsofBuild { join }
    }
}

impl Sink for AsofBuild {
    type Work = AsofBuildWork;
    type Part = Vec<Handle>;

    fn name(&self) -> &'static str {
        "AsofBuild"
    }

    fn describe(&self) -> String {
        String::new()
    }

    fn schema(&self) -> SchemaRef {
        self.join.right.schema().clone()
    }

    fn open(&self, context: &Arc<QueryContext>) -> Result<AsofBuildWork> {
        Ok(AsofBuildWork {
            coalesce: Coalesce::new(self.join.right.wide().clone(), context.batch_size),
            join: self.join.clone(),
            context: context.clone(),
            handles: Vec::new(),
            split: 0,
            next_row: 0,
        })
    }

    fn combine(&self, context: &Arc<QueryContext>, parts: Vec<Vec<Handle>>) -> Result<SourceRef> {
        let handles: Vec<Handle> = parts.into_iter().flatten().collect();
        let bytes: usize = handles.iter().map(Handle::bytes).sum();
        let rows: usize = handles.iter().map(Handle::rows).sum();
        // The rows once in the store's batches, once as a whole, and once sorted.
        let needed = bytes.saturating_mul(2).saturating_add(rows * BYTES_PER_ROW);
        let mut reservation = context.budget.reservation("AsofJoin");
        let fits = needed <= context.budget.limit() / INDEX_SHARE && u32::try_from(rows).is_ok();
        let right = match fits && reservation.try_grow(needed) {
            true => Right::InMemory { index: Box::new(self.index(context, handles)?), _reservation: reservation },
            false => Right::Sorted(Mutex::new(self.sorted(context, handles)?)),
        };
        self.join.set_right(right)?;
        Ok(Arc::new(MemorySource::new(Sink::schema(self), Vec::new())))
    }
}

impl AsofBuild {
    fn index(&self, context: &QueryContext, handles: Vec<Handle>) -> Result<Index> {
        let loaded = handles.into_iter().map(|handle| context.store.take(handle)).collect::<Result<Vec<_>>>()?;
        let whole = concat_batches(self.join.right.wide(), loaded.iter().map(|loaded| &**loaded))?;
        drop(loaded);
        Index::new(&self.join.right, &whole)
    }

    fn sorted(&self, context: &Arc<QueryContext>, handles: Vec<Handle>) -> Result<Vec<Run>> {
        let mut work = self.join.right_sort.open(context)?;
        for handle in handles {
            let batch = context.store.take(handle)?;
            work.push(0, batch.clone())?;
        }
        work.finish()
    }
}

/// One lane of an [`AsofBuild`].
pub struct AsofBuildWork {
    join: Arc<AsofJoin>,
    context: Arc<QueryContext>,
    coalesce: Coalesce,
    handles: Vec<Handle>,
    split: usize,
    next_row: u64,
}

impl AsofBuildWork {
    fn put(&mut self, batch: Option<RecordBatch>) -> Result<()> {
        let Some(batch) = batch else { return Ok(()) };
        let order = UseOrder(u32::try_from(self.handles.len()).unwrap_or(u32::MAX));
        self.handles.push(self.context.store.put(batch, order)?);
        Ok(())
    }
}

impl SinkWork for AsofBuildWork {
    type Part = Vec<Handle>;

    fn push(&mut self, split: usize, batch: RecordBatch) -> Result<Flow> {
        self.context.cancel.check()?;
        if split != self.split {
            (self.split, self.next_row) = (split, 0);
        }
        let side = &self.join.right;
        let wide = side.widen(&batch, sequence(split, self.next_row))?;
        self.next_row += batch.num_rows() as u64;
        let complete = side.only_complete(wide)?;
        if complete.num_rows() > 0 {
            let batch = self.coalesce.push(complete)?;
            self.put(batch)?;
        }
        Ok(Flow::More)
    }

    fn finish(mut self) -> Result<Vec<Handle>> {
        let batch = self.coalesce.finish()?;
        self.put(batch)?;
        Ok(self.handles)
    }
}
