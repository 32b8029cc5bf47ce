//! Phase one: a lane spreads its rows over partitions.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;

use super::layout::Layout;
use crate::batch::hash::hash_rows;
use crate::error::Result;
use crate::ops::partition::{PartitionWriter, Partitions};
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
}

impl HolisticLane {
    pub(super) fn new(layout: Arc<Layout>, context: Arc<QueryContext>, bits: u32) -> Result<Self> {
        let writer = PartitionWriter::new(&context, &layout.rows, 0, bits, 0)?;
        Ok(HolisticLane { layout, writer, split: 0, next_row: 0, hashes: Vec::new() })
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
        self.writer.push(&columns, &self.hashes)?;
        Ok(Flow::More)
    }

    fn finish(self) -> Result<Partitions> {
        self.writer.finish()
    }
}
