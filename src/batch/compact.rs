//! Frees a batch from memory that it holds but does not use.
//!
//! A view array (strings, binary) keeps every buffer alive that any of its rows ever pointed into: eighty rows left of
//! a decoded page hold the page, and a batch gathered from a hundred others holds all their buffers. Before such a batch
//! is kept, counted or written, its strings are copied together.
//!
//! # Known limitation
//! Other array types are left as they are: a slice of a plain array still holds the whole array.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayData, ArrayRef, AsArray, ByteView, GenericByteViewArray, RecordBatchOptions, make_array,
};
use arrow::datatypes::{BinaryViewType, ByteViewType, DataType, StringViewType};
use arrow::record_batch::RecordBatch;

use crate::error::Result;

/// Less waste than this is not worth a copy.
const TOLERATED_WASTE: usize = 16 * 1024;

/// The same rows without buffers of which most is unused. Cheap when there is nothing to do.
pub fn compact(batch: &RecordBatch) -> Result<RecordBatch> {
    let columns = batch.columns().iter().map(compact_array).collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(batch.schema(), columns, &options)?)
}

/// The same values without buffers of which most is unused.
pub fn compact_array(array: &ArrayRef) -> Result<ArrayRef> {
    match array.data_type() {
        DataType::Utf8View => Ok(compact_views::<StringViewType>(array, array.as_string_view())),
        DataType::BinaryView => Ok(compact_views::<BinaryViewType>(array, array.as_binary_view())),
        other if holds_views(other) => Ok(make_array(compact_children(array.to_data())?)),
        _ => Ok(array.clone()),
    }
}

fn holds_views(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8View | DataType::BinaryView => true,
        DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) => {
            holds_views(field.data_type())
        }
        DataType::Map(field, _) => holds_views(field.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| holds_views(field.data_type())),
        _ => false,
    }
}

fn compact_views<T: ByteViewType>(array: &ArrayRef, views: &GenericByteViewArray<T>) -> ArrayRef {
    let held: usize = views.data_buffers().iter().map(|buffer| buffer.capacity()).sum();
    if held <= TOLERATED_WASTE {
        return array.clone();
    }
    // A view begins with its length; up to twelve bytes lie in the view itself.
    let lengths = views.views().iter().map(|&view| ByteView::from(view).length as usize);
    let used: usize = lengths.filter(|&length| length > 12).sum();
    if held <= used.saturating_mul(2).saturating_add(TOLERATED_WASTE) {
        return array.clone();
    }
    Arc::new(views.gc())
}

fn compact_children(data: ArrayData) -> Result<ArrayData> {
    let children = data
        .child_data()
        .iter()
        .map(|child| Ok(compact_array(&make_array(child.clone()))?.to_data()))
        .collect::<Result<Vec<_>>>()?;
    Ok(data.into_builder().child_data(children).build()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, StringViewArray};

    fn long_strings(rows: usize) -> ArrayRef {
        Arc::new(StringViewArray::from_iter_values((0..rows).map(|row| format!("a string that is not inlined {row}"))))
    }

    #[test]
    fn a_few_rows_do_not_hold_all_strings() {
        let all = RecordBatch::try_from_iter([("s", long_strings(10_000))]).expect("a batch");
        let few = compact(&all.slice(5_000, 10)).expect("compacts");
        assert!(few.get_array_memory_size() < 4_096, "{}", few.get_array_memory_size());
        assert_eq!(few, all.slice(5_000, 10));
    }

    #[test]
    fn a_full_batch_is_not_copied() {
        let all = long_strings(10_000);
        let same = compact_array(&all).expect("compacts");
        assert!(Arc::ptr_eq(&all, &same));
    }
}
