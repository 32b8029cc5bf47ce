//! Small batches put together, so that blocks are worth their handling.

use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;

use crate::error::Result;
use crate::store::compact;

/// Gathers small batches until they make one of the usual size. Holds fewer rows than that.
#[derive(Debug)]
pub(in crate::ops::join) struct Coalesce {
    schema: SchemaRef,
    batch_size: usize,
    small: Vec<RecordBatch>,
    rows: usize,
}

impl Coalesce {
    pub(in crate::ops::join) fn new(schema: SchemaRef, batch_size: usize) -> Self {
        Coalesce { schema, batch_size, small: Vec::new(), rows: 0 }
    }

    /// Takes `batch`; gives one when there are enough rows for it.
    pub(in crate::ops::join) fn push(&mut self, batch: RecordBatch) -> Result<Option<RecordBatch>> {
        if self.small.is_empty() && batch.num_rows() >= self.batch_size / 2 {
            return Ok(Some(batch));
        }
        self.rows += batch.num_rows();
        self.small.push(compact(batch));
        if self.rows < self.batch_size { Ok(None) } else { self.finish() }
    }

    /// What is left.
    pub(in crate::ops::join) fn finish(&mut self) -> Result<Option<RecordBatch>> {
        if std::mem::take(&mut self.rows) == 0 {
            return Ok(None);
        }
        Ok(Some(concat_batches(&self.schema, &std::mem::take(&mut self.small))?))
    }
}
