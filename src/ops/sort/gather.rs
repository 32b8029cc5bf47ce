//! Gathers rows of several batches into one.

use arrow::array::{Array, RecordBatchOptions};
use arrow::compute::interleave;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;

use crate::batch::compact_array;
use crate::error::Result;

/// The rows `picks` (batch, row) of `batches` as one batch of `schema`, whose columns are the first ones of the batches.
pub(super) fn gather(batches: &[&RecordBatch], picks: &[(usize, usize)], schema: &SchemaRef) -> Result<RecordBatch> {
    let mut columns = Vec::with_capacity(schema.fields().len());
    for index in 0..schema.fields().len() {
        let values: Vec<&dyn Array> = batches.iter().map(|batch| batch.column(index).as_ref()).collect();
        columns.push(compact_array(&interleave(&values, picks)?)?);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(picks.len()));
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?)
}
