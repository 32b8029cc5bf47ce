//! Gathers rows of several batches into one.
//!
//! Texts are copied once, from where they lie into the one buffer of the new column: views of them would keep the
//! buffers of all the batches alive that they came from.

use std::borrow::Borrow;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ByteView, GenericByteViewArray, RecordBatchOptions};
use arrow::buffer::{Buffer, NullBuffer, ScalarBuffer};
use arrow::compute::interleave;
use arrow::datatypes::{BinaryViewType, ByteViewType, DataType, SchemaRef, StringViewType};
use arrow::record_batch::RecordBatch;

use crate::error::{Error, Result};
use crate::store::compact;

/// Texts up to this length lie in their view.
const MOST_INLINE: u32 = 12;

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
    for (index, field) in schema.fields().iter().enumerate() {
        let values: Vec<&dyn Array> = batches.iter().map(|batch| batch.borrow().column(index).as_ref()).collect();
        let texts = match field.data_type() {
            DataType::Utf8View => gather_texts::<StringViewType>(&values, picks)?,
            DataType::BinaryView => gather_texts::<BinaryViewType>(&values, picks)?,
            _ => None,
        };
        columns.push(match texts {
            Some(texts) => texts,
            None => interleave(&values, picks)?,
        });
    }
    let options = RecordBatchOptions::new().with_row_count(Some(picks.len()));
    // Nested columns may still point into the buffers of all the batches that they came from.
    Ok(compact(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?))
}

/// Texts with all their bytes in one buffer; `None` where one buffer cannot hold them.
fn gather_texts<T: ByteViewType>(values: &[&dyn Array], picks: &[(usize, usize)]) -> Result<Option<ArrayRef>> {
    let arrays = values.iter().map(|array| array.as_any().downcast_ref::<GenericByteViewArray<T>>());
    let Some(arrays) = arrays.collect::<Option<Vec<_>>>() else { return Ok(None) };
    let each: Vec<&[u128]> = arrays.iter().map(|array| array.views().as_ref()).collect();
    let mut views: Vec<u128> = picks.iter().map(|&(batch, row)| each[batch][row]).collect();
    let nulls = arrays.iter().any(|array| array.null_count() > 0);
    let nulls = nulls.then(|| NullBuffer::from_iter(picks.iter().map(|&(batch, row)| arrays[batch].is_valid(row))));
    if let Some(nulls) = &nulls {
        // Whatever stands where a value is null.
        views.iter_mut().enumerate().filter(|(row, _)| nulls.is_null(*row)).for_each(|(_, view)| *view = 0);
    }
    let lengths = views.iter().map(|&view| view as u32).filter(|&length| length > MOST_INLINE);
    let bytes: u64 = lengths.map(u64::from).sum();
    if u32::try_from(bytes).is_err() {
        return Ok(None);
    }
    let missing = || Error::internal("sort: a text that is not where it should be");
    let mut text: Vec<u8> = Vec::with_capacity(bytes as usize);
    for (view, &(batch, _)) in views.iter_mut().zip(picks) {
        let old = ByteView::from(*view);
        if old.length <= MOST_INLINE {
            continue;
        }
        let (start, length) = (old.offset as usize, old.length as usize);
        let buffer = arrays[batch].data_buffers().get(old.buffer_index as usize).ok_or_else(missing)?;
        let value = buffer.get(start..start + length).ok_or_else(missing)?;
        // Within 32 bits, as the sum of all lengths is.
        *view = ByteView { buffer_index: 0, offset: text.len() as u32, ..old }.as_u128();
        text.extend_from_slice(value);
    }
    let buffers: Vec<Buffer> = if text.is_empty() { Vec::new() } else { vec![Buffer::from_vec(text)] };
    // SAFETY: short views are those of valid arrays; every other one lies within the one buffer, where its bytes are those
    // of a value of a valid array, so that prefix and encoding are right; `nulls` has a bit for each view.
    let texts = unsafe { GenericByteViewArray::<T>::new_unchecked(ScalarBuffer::from(views), buffers, nulls) };
    Ok(Some(Arc::new(texts)))
}
