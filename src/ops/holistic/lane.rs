//! Phase one: a lane spreads its rows over partitions. Where only the first row of each group matters, it leaves out the others
//! of every batch, as long as that pays.

use std::sync::Arc;

use arrow::array::{ArrayRef, UInt32Array};
use arrow::compute::take_arrays;
use arrow::record_batch::RecordBatch;

use super::chunk::encoded;
use super::layout::{Layout, Order};
use crate::batch::hash::hash_rows;
use crate::error::{Error, Result};
use crate::ops::aggregate::{Interned, new_index};
use crate::ops::partition::{PartitionWriter, Partitions, Radix};
use crate::ops::sort::sequence;
use crate::ops::{Flow, SinkWork};
use crate::store::QueryContext;

/// One lane of phase one.
pub struct HolisticLane {
    layout: Arc<Layout>,
    writer: PartitionWriter,
    split: usize,
    next_row: u64,
    hashes: Vec<u64>,
    /// Batches in which leaving out all but the first rows did not pay.
    misses: usize,
}

/// After so many batches in which it did not pay, a lane stops looking for first rows.
const MOST_MISSES: usize = 8;

/// The first row of each group in `order`.
fn first_rows(layout: &Layout, columns: &[ArrayRef], hashes: &[u64], order: Option<&Order>) -> Result<Vec<u32>> {
    let keys = columns.get(..layout.keys.len()).unwrap_or_default();
    let mut groups = Vec::new();
    if new_index(layout.key_types(), true)?.intern(keys, hashes, &mut groups)? == Interned::Unfit {
        new_index(layout.key_types(), false)?.intern(keys, hashes, &mut groups)?;
    }
    let order_rows = match order {
        None => None,
        Some(order) => {
            let missing = || Error::internal("rows without a column of their order");
            let columns = order.columns.iter().map(|&(column, _)| columns.get(column).cloned().ok_or_else(missing));
            Some(encoded(&columns.collect::<Result<Vec<_>>>()?, order)?)
        }
    };
    let mut firsts: Vec<u32> = Vec::new();
    for (row, &group) in (0_u32..).zip(&groups) {
        match firsts.get_mut(group) {
            None => firsts.push(row),
            Some(first) => {
                if order_rows.as_ref().is_some_and(|rows| rows.row(row as usize) < rows.row(*first as usize)) {
                    *first = row;
                }
            }
        }
    }
    Ok(firsts)
}

impl HolisticLane {
    pub(super) fn new(layout: Arc<Layout>, context: Arc<QueryContext>, radix: Radix) -> Result<Self> {
        let writer = PartitionWriter::new(&context, &layout.rows, radix, 0)?;
        Ok(HolisticLane { layout, writer, split: 0, next_row: 0, hashes: Vec::new(), misses: 0 })
    }
}

impl SinkWork for HolisticLane {
    type Part = Partitions;

    fn push(&mut self, split: usize, batch: RecordBatch) -> Result<Flow> {
        let rows = batch.num_rows();
        if rows == 0 {
            return Ok(Flow::More);
        }
        if split != self.split {
            (self.split, self.next_row) = (split, 0);
        }
        let first = sequence(split, self.next_row)?;
        self.next_row += rows as u64;
        sequence(split, self.next_row)?;
        let mut columns = self.layout.evaluate_keys(&batch)?;
        hash_rows(&columns, rows, &mut self.hashes)?;
        columns.extend(self.layout.evaluate_inputs(&batch, first)?);
        if self.misses < MOST_MISSES
            && let Some(order) = self.layout.first_row_order()
        {
            let firsts = first_rows(&self.layout, &columns, &self.hashes, order)?;
            if firsts.len() > rows - rows / 4 {
                self.misses += 1;
            } else {
                self.hashes = firsts.iter().map(|&row| self.hashes[row as usize]).collect();
                columns = take_arrays(&columns, &UInt32Array::from(firsts), None)?;
            }
        }
        self.writer.push(&columns, &self.hashes)?;
        Ok(Flow::More)
    }

    fn finish(self) -> Result<Partitions> {
        self.writer.finish()
    }
}
