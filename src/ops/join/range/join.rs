//! One left block against all right blocks, as an iterator over output batches.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatchOptions, UInt32Array};
use arrow::compute::{filter, filter_record_batch, take};
use arrow::record_batch::RecordBatch;

use super::RangeJoin;
use super::block::SortedBlock;
use super::scan::{Scan, Wanted};
use crate::error::Result;
use crate::expr::Selection;
use crate::memory::Reservation;
use crate::ops::join::nested_loop::bits::Bits;
use crate::ops::join::nested_loop::{Gives, SideColumn};
use crate::store::QueryContext;

/// Rows of an output batch that has no columns.
const ROWS_WITHOUT_COLUMNS: u64 = 1 << 17;

/// A left block on its way.
pub(super) struct BlockJoin {
    join: Arc<RangeJoin>,
    context: Arc<QueryContext>,
    left: Arc<SortedBlock>,
    matched: Bits,
    next_right: usize,
    scan: Option<(Scan, Arc<SortedBlock>)>,
    /// Pairs that have been counted and not given.
    counted: u64,
    /// Where the rows that come out by themselves go on.
    next_alone: usize,
    /// What the right block takes.
    reservation: Reservation,
}

impl BlockJoin {
    pub(super) fn new(join: Arc<RangeJoin>, context: Arc<QueryContext>, left: Arc<SortedBlock>) -> Self {
        let matched = if join.nested.output.shape.marks_probe() { left.batch.num_rows() } else { 0 };
        let reservation = context.budget.reservation("range join blocks");
        BlockJoin {
            join,
            context,
            left,
            matched: Bits::new(matched),
            next_right: 0,
            scan: None,
            counted: 0,
            next_alone: 0,
            reservation,
        }
    }

    /// The next batch of the output.
    pub(super) fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            self.context.cancel.check()?;
            if self.counted > 0 {
                return self.count().map(Some);
            }
            if self.scan.is_none() && !self.next_scan()? {
                return self.alone();
            }
            if let Some(batch) = self.step()? {
                return Ok(Some(batch));
            }
        }
    }

    fn wanted(&self) -> Wanted {
        match self.join.nested.output.shape.gives {
            Gives::Pairs { .. } => Wanted::Pairs,
            Gives::ProbeRows { .. } => Wanted::LeftRows,
            Gives::BuildRows { .. } => Wanted::RightRows,
        }
    }

    /// Goes to the next right block that can have partners.
    fn next_scan(&mut self) -> Result<bool> {
        let join = self.join.clone();
        let (sorted, rows) = (join.sorted()?, join.nested.slot.get()?);
        while let Some(block) = sorted.blocks.get(self.next_right) {
            let index = self.next_right;
            self.next_right += 1;
            if !self.left.span.meets(&block.span, join.comparisons) {
                continue;
            }
            let right = sorted.block(&join.build, rows, index, &mut self.reservation)?;
            // A pair that is found may still fail the rest of the condition.
            let wanted = if join.residual.is_some() { Wanted::Pairs } else { self.wanted() };
            let scan = Scan::new(self.left.clone(), right.clone(), join.comparisons, wanted);
            let output = &join.nested.output;
            let only_counts = output.schema.fields().is_empty() && output.shape.gives == INNER;
            if only_counts
                && join.residual.is_none()
                && let Some(count) = scan.count()
            {
                self.counted = count;
                return if count > 0 { Ok(true) } else { continue };
            }
            self.scan = Some((scan, right));
            return Ok(true);
        }
        Ok(false)
    }

    fn count(&mut self) -> Result<RecordBatch> {
        let rows = self.counted.min(ROWS_WITHOUT_COLUMNS);
        self.counted -= rows;
        self.join.nested.output.pairs(Vec::new(), Vec::new(), rows as usize)
    }

    /// Looks at the next pairs.
    fn step(&mut self) -> Result<Option<RecordBatch>> {
        let skip = (self.wanted() == Wanted::LeftRows).then_some(&self.matched);
        let Some((scan, right)) = &mut self.scan else { return Ok(None) };
        let (mut left_rows, mut right_rows) = (Vec::new(), Vec::new());
        let more = scan.fill(self.context.batch_size, skip, &mut left_rows, &mut right_rows);
        let right = right.clone();
        if !more {
            self.scan = None;
        }
        if left_rows.is_empty() {
            return Ok(None);
        }
        self.pairs(&right, left_rows.into(), right_rows.into())
    }

    /// The output of pairs that satisfy the comparisons.
    fn pairs(
        &mut self,
        right: &SortedBlock,
        mut left_rows: UInt32Array,
        mut right_rows: UInt32Array,
    ) -> Result<Option<RecordBatch>> {
        let join = self.join.clone();
        if let Some(residual) = &join.residual {
            let column = |of: SideColumn| -> Result<ArrayRef> {
                let (batch, rows) =
                    if of.of_probe { (&self.left.batch, &left_rows) } else { (&right.batch, &right_rows) };
                Ok(take(batch.column(of.index), rows, None)?)
            };
            match residual.truth(left_rows.len(), false, column)?.selected {
                Selection::All => {}
                Selection::None => return Ok(None),
                Selection::Some(mask) => {
                    left_rows = filter(&left_rows, &mask)?.as_any().downcast_ref().cloned().unwrap_or(left_rows);
                    right_rows = filter(&right_rows, &mask)?.as_any().downcast_ref().cloned().unwrap_or(right_rows);
                }
            }
        }
        let output = &join.nested.output;
        if output.shape.marks_probe() {
            left_rows.values().iter().for_each(|&row| self.matched.set(row as usize));
        }
        if let Some(marks) = &join.nested.slot.get()?.marks {
            right_rows.values().iter().for_each(|&row| marks.set(right.start + row as usize));
        }
        if !output.shape.gives_pairs() {
            return Ok(None);
        }
        output.taken((&self.left.batch, &left_rows), (&right.batch, &right_rows)).map(Some)
    }

    /// The next rows of the left block that come out by themselves.
    fn alone(&mut self) -> Result<Option<RecordBatch>> {
        let output = &self.join.nested.output;
        let rows = self.left.batch.num_rows();
        if !output.shape.marks_probe() {
            return Ok(None);
        }
        let matched = self.matched.to_buffer();
        while self.next_alone < rows {
            let start = self.next_alone;
            let length = self.context.batch_size.clamp(1, rows - start);
            self.next_alone += length;
            let columns = self.left.batch.columns().iter().take(output.probe.fields().len());
            let columns = columns.map(|column| column.slice(start, length)).collect();
            let options = RecordBatchOptions::new().with_row_count(Some(length));
            let batch = RecordBatch::try_new_with_options(output.probe.clone(), columns, &options)?;
            let matched = BooleanArray::new(matched.slice(start, length), None);
            let batch = match output.shape.gives {
                Gives::ProbeRows { kept, .. } => output.kept(kept, &batch, &matched, None)?,
                _ => output.probe_alone(filter_record_batch(&batch, &arrow::compute::not(&matched)?)?)?,
            };
            if batch.num_rows() > 0 {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }
}

const INNER: Gives = Gives::Pairs { probe_outer: false, build_outer: false };
