//! Gathers rows of several batches into one.

use std::borrow::Borrow;

use arrow::array::{Array, RecordBatchOptions};
use arrow::compute::interleave;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;

use crate::error::Result;
use crate::store::compact;

/// The rows `picks` (batch, row) of `batches` as one batch of `schema`, whose columns are the first ones of the batches.
pub(super) fn gather<B: Borrow<RecordBatch>>(
    batches: &[B],
    picks: &[(usize, usize)],
    schema: &SchemaRef,
) -> Result<RecordBatch> {
    if picks.len() >= batches.len() {
        return gather_from_all(batches, picks, schema);
    }
    // With small batches there may be very many of which nothing is picked.
    let mut used: Vec<usize> = picks.iter().map(|&(batch, _)| batch).collect();
    used.sort_unstable();
    used.dedup();
    let picks: Vec<(usize, usize)> =
        picks.iter().map(|&(batch, row)| (used.partition_point(|&before| before < batch), row)).collect();
    let used: Vec<&RecordBatch> = used.into_iter().map(|batch| batches[batch].borrow()).collect();
    gather_from_all(&used, &picks, schema)
}

fn gather_from_all<B: Borrow<RecordBatch>>(
    batches: &[B],
    picks: &[(usize, usize)],
    schema: &SchemaRef,
) -> Result<RecordBatch> {
    let mut columns = Vec::with_capacity(schema.fields().len());
    for index in 0..schema.fields().len() {
        let values: Vec<&dyn Array> = batches.iter().map(|batch| batch.borrow().column(index).as_ref()).collect();
        columns.push(interleave(&values, picks)?);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(picks.len()));
    // Gathered strings still point into the buffers of all the batches that they came from.
    Ok(compact(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?))
}
