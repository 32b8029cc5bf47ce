//! What a batch really holds in memory, and making it hold no more than it needs.
//!
//! Invariant: every allocation that a batch keeps alive counts once, in full, however small the slice of it that the
//! batch uses; after `compact` that is at most about twice what the batch itself needs.

use arrow::array::{Array, ArrayData, ArrayRef, AsArray, make_array};
use arrow::array::{ByteView, MutableArrayData};
use arrow::datatypes::DataType;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use crate::memory::allocation_bytes;

/// What a column takes besides its buffers.
const COLUMN_OVERHEAD: usize = 128;
/// Strings up to this length lie in their view.
const MOST_INLINE: u32 = 12;
/// What a column may hold beyond twice its own bytes before it is copied.
const SLACK: usize = 1024;

/// Bytes of memory that `batch` keeps alive.
pub fn batch_bytes(batch: &RecordBatch) -> usize {
    let mut regions = Vec::new();
    for column in batch.columns() {
        collect_regions(&column.to_data(), &mut regions);
    }
    sum_of(&mut regions) + (batch.num_columns() + 1) * COLUMN_OVERHEAD
}

/// The same rows; columns that pin much more memory than they need are copied.
pub fn compact(batch: RecordBatch) -> RecordBatch {
    let compacted: Vec<_> = batch.columns().iter().map(compact_array).collect();
    if compacted.iter().all(Option::is_none) {
        return batch;
    }
    let columns = compacted.into_iter().zip(batch.columns()).map(|(new, old)| new.unwrap_or_else(|| old.clone()));
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    // The types and lengths are those of the old columns, so this cannot fail.
    RecordBatch::try_new_with_options(batch.schema(), columns.collect(), &options).unwrap_or(batch)
}

/// A copy of `array` without what it does not use; `None` when that would save little.
fn compact_array(array: &ArrayRef) -> Option<ArrayRef> {
    let data = array.to_data();
    let mut regions = Vec::new();
    collect_regions(&data, &mut regions);
    let held = sum_of(&mut regions);
    if held <= SLACK || held <= 2 * own_bytes(&data) + SLACK {
        return None;
    }
    match array.data_type() {
        DataType::Utf8View => Some(std::sync::Arc::new(array.as_string_view().gc())),
        DataType::BinaryView => Some(std::sync::Arc::new(array.as_binary_view().gc())),
        _ => {
            let mut copy = MutableArrayData::new(vec![&data], false, data.len());
            copy.try_extend(0, 0, data.len()).ok()?;
            Some(make_array(copy.freeze()))
        }
    }
}

/// Start and size of each allocation behind `data`.
fn collect_regions(data: &ArrayData, regions: &mut Vec<(usize, usize)>) {
    let nulls = data.nulls().map(|nulls| nulls.buffer());
    for buffer in data.buffers().iter().chain(nulls) {
        regions.push((buffer.data_ptr().as_ptr() as usize, buffer.capacity()));
    }
    for child in data.child_data() {
        collect_regions(child, regions);
    }
}

fn sum_of(regions: &mut Vec<(usize, usize)>) -> usize {
    regions.sort_unstable();
    regions.dedup_by_key(|(start, _)| *start);
    regions.iter().map(|(_, size)| allocation_bytes(*size)).sum()
}

/// Bytes that the rows of `data` need by themselves.
fn own_bytes(data: &ArrayData) -> usize {
    let nulls = data.nulls().map_or(0, |nulls| nulls.len().div_ceil(8));
    let children = |children: &[ArrayData]| children.iter().map(own_bytes).sum::<usize>();
    nulls
        + match data.data_type() {
            DataType::Utf8View | DataType::BinaryView => own_view_bytes(data),
            DataType::List(_) | DataType::Map(_, _) => own_list_bytes::<i32>(data),
            DataType::LargeList(_) => own_list_bytes::<i64>(data),
            DataType::Struct(_) => children(data.child_data()),
            _ => data.get_slice_memory_size().map_or(usize::MAX / 4, |bytes| bytes - nulls),
        }
}

fn own_view_bytes(data: &ArrayData) -> usize {
    let views = data.buffers().first().map_or(&[][..], |views| views.typed_data::<u128>());
    let views = views.iter().skip(data.offset()).take(data.len());
    let outside = views.map(|view| ByteView::from(*view).length).filter(|length| *length > MOST_INLINE);
    data.len() * 16 + outside.map(|length| length as usize).sum::<usize>()
}

fn own_list_bytes<O: arrow::datatypes::ArrowNativeType>(data: &ArrayData) -> usize {
    let offsets = data.buffers().first().map_or(&[][..], |offsets| offsets.typed_data::<O>());
    let bound = |index: usize| offsets.get(data.offset() + index).map_or(0, |offset| offset.as_usize());
    let (start, end) = (bound(0), bound(data.len()));
    let child = data.child_data().first().filter(|child| start <= end && end <= child.len());
    (data.len() + 1) * size_of::<O>() + child.map_or(0, |child| own_bytes(&child.slice(start, end - start)))
}
