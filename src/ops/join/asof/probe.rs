//! The left side of an ASOF join: each batch looks its partners up in the index, or all of it is sorted first.

use std::sync::Arc;

use arrow::array::{Array, UInt32Array};
use arrow::compute::{filter, filter_record_batch};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;

use super::AsofJoin;
use super::build::Right;
use super::index::Index;
use super::merge::MergeSource;
use crate::batch::{MemorySource, SourceRef};
use crate::error::{Error, Result};
use crate::ops::sort::{Run, SortWork};
use crate::ops::{Emit, Flow, Operator, Sink, SinkWork, Work, WorkPart};
use crate::store::QueryContext;

/// Finds each row that streams through it its partner.
#[derive(Debug)]
pub struct AsofProbe {
    join: Arc<AsofJoin>,
}

impl AsofProbe {
    /// The operator of the left side of `join`.
    pub fn new(join: Arc<AsofJoin>) -> Self {
        AsofProbe { join }
    }
}

impl Operator for AsofProbe {
    fn name(&self) -> &'static str {
        "AsofJoin"
    }

    fn describe(&self) -> String {
        self.join.describe()
    }

    fn schema(&self) -> SchemaRef {
        self.join.output.schema.clone()
    }

    fn open(&self, context: &Arc<QueryContext>) -> Result<Box<dyn Work>> {
        let join = self.join.clone();
        Ok(match join.right_rows()? {
            Right::InMemory { .. } => Box::new(IndexedWork { join, context: context.clone() }),
            Right::Sorted(_) => {
                let work = join.left_sort.open(context)?;
                Box::new(SortedWork { join, work, next_row: 0 })
            }
        })
    }

    fn holds_back(&self) -> bool {
        true
    }

    fn rest(&self, context: &Arc<QueryContext>, parts: Vec<WorkPart>) -> Result<SourceRef> {
        let Right::Sorted(right) = self.join.right_rows()? else {
            return Ok(Arc::new(MemorySource::new(self.schema(), Vec::new())));
        };
        let mut runs: Vec<Vec<Run>> = Vec::new();
        for part in parts {
            let part = part.downcast::<Vec<Run>>().map_err(|_| Error::internal("a part of another operator"))?;
            runs.push(*part);
        }
        let left = self.join.left_sort.combine(context, runs)?;
        let right = self.join.right_sort.combine(context, vec![std::mem::take(&mut *right.lock())])?;
        Ok(Arc::new(MergeSource::new(self.join.clone(), context.clone(), left, right)))
    }
}

struct IndexedWork {
    join: Arc<AsofJoin>,
    context: Arc<QueryContext>,
}

impl Work for IndexedWork {
    fn push(&mut self, batch: RecordBatch, out: &mut Emit) -> Result<Flow> {
        self.context.cancel.check()?;
        let Right::InMemory { index, .. } = self.join.right_rows()? else {
            return Err(Error::internal("an ASOF join whose index is gone"));
        };
        if index.rows.num_rows() == 0 && !self.join.is_outer() {
            return Ok(Flow::Done);
        }
        let output = joined(&self.join, index, &batch)?;
        if output.num_rows() == 0 { Ok(Flow::More) } else { out(output) }
    }
}

/// The rows of a left batch with their partners.
fn joined(join: &AsofJoin, index: &Index, batch: &RecordBatch) -> Result<RecordBatch> {
    let wide = join.left.widen(batch, 0)?;
    let complete = join.left.complete(&wide)?;
    let partners = index.partners(&join.left, &wide, join.direction, complete.as_ref())?;
    join.with_partners(batch, &index.rows, partners)
}

impl AsofJoin {
    /// The output of left rows, the partners of which are these rows of `right`.
    pub(super) fn with_partners(
        &self,
        left: &RecordBatch,
        right: &RecordBatch,
        partners: UInt32Array,
    ) -> Result<RecordBatch> {
        let partners = self.within(left, right, partners)?;
        if self.is_outer() || partners.null_count() == 0 {
            let right = right.columns().iter().map(|column| Ok(arrow::compute::take(column, &partners, None)?));
            return self.output.pairs(left.columns().to_vec(), right.collect::<Result<_>>()?, left.num_rows());
        }
        let found = arrow::compute::is_not_null(&partners)?;
        let left = filter_record_batch(left, &found)?;
        let partners = filter(&partners, &found)?;
        let right = right.columns().iter().map(|column| Ok(arrow::compute::take(column, &partners, None)?));
        self.output.pairs(left.columns().to_vec(), right.collect::<Result<_>>()?, left.num_rows())
    }

    /// The partners for which the rest of the condition is true.
    fn within(&self, left: &RecordBatch, right: &RecordBatch, partners: UInt32Array) -> Result<UInt32Array> {
        let Some(residual) = &self.residual else { return Ok(partners) };
        let found = arrow::compute::is_not_null(&partners)?;
        if found.true_count() == 0 {
            return Ok(partners);
        }
        let rows = filter(&partners, &found)?;
        let selected = residual.truth(rows.len(), false, |of| {
            Ok(match of.of_probe {
                true => filter(left.column(of.index), &found)?,
                false => arrow::compute::take(right.column(of.index), &rows, None)?,
            })
        })?;
        let mask = selected.selected.mask(rows.len());
        let mut kept = mask.iter();
        let keep = |partner: Option<u32>| partner.filter(|_| kept.next().unwrap_or(false));
        Ok(partners.iter().map(keep).collect())
    }
}

struct SortedWork {
    join: Arc<AsofJoin>,
    work: SortWork,
    next_row: u64,
}

impl Work for SortedWork {
    fn push(&mut self, batch: RecordBatch, _out: &mut Emit) -> Result<Flow> {
        let wide = self.join.left.widen(&batch, self.next_row)?;
        self.next_row += batch.num_rows() as u64;
        self.work.push(0, wide)
    }

    fn finish(self: Box<Self>) -> Result<WorkPart> {
        Ok(Box::new(self.work.finish()?))
    }
}
