//! Gathers rows of several batches into one.

use arrow::array::{Array, RecordBatchOptions};
use arrow::compute::interleave;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;

use crate::error::Result;
use crate::store::compact;

/// The rows `picks` (batch, row) of `batches` as one batch of `schema`, whose columns are the first ones of the batches.
pub(super) fn gather(batches: &[&RecordBatch], picks: &[(usize, usize)], schema: &SchemaRef) -> Result<RecordBatch> {
    let mut columns = Vec::with_capacity(schema.fields().len());
    for index in 0..schema.fields().len() {
        let values: Vec<&dyn Array> = batches.iter().map(|batch| batch.column(index).as_ref()).collect();
        columns.push(interleave(&values, picks)?);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(picks.len()));
    // Gathered strings still point into the buffers of all the batches that they came from.
    Ok(compact(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?))
}
