//! The lists of one column, of whatever list type, and their items.

use arrow::array::{Array, ArrayRef, AsArray, GenericListArray, GenericListViewArray, OffsetSizeTrait, UInt64Array};
use arrow::compute::take;
use arrow::datatypes::DataType;

use super::NoItems;
use crate::error::{Error, Result};

/// Some items of one row's lists: `count` from number `from` on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    pub(super) row: usize,
    pub(super) from: usize,
    pub(super) count: usize,
}

/// A column of lists.
pub(super) struct Lists {
    /// The items of all lists.
    items: ArrayRef,
    /// The first item of each row's list.
    starts: Vec<usize>,
    /// `None` for NULL.
    lengths: Vec<Option<usize>>,
}

impl Lists {
    pub(super) fn of(array: &ArrayRef) -> Result<Self> {
        match array.data_type() {
            DataType::List(_) => Ok(Lists::of_offsets(array.as_list::<i32>())),
            DataType::LargeList(_) => Ok(Lists::of_offsets(array.as_list::<i64>())),
            DataType::ListView(_) => Ok(Lists::of_views(array.as_list_view::<i32>())),
            DataType::LargeListView(_) => Ok(Lists::of_views(array.as_list_view::<i64>())),
            DataType::FixedSizeList(_, _) => {
                let lists = array.as_fixed_size_list();
                let length = usize::try_from(lists.value_length()).unwrap_or(0);
                let starts = (0..lists.len()).map(|row| row * length).collect();
                let lengths = (0..lists.len()).map(|row| lists.is_valid(row).then_some(length)).collect();
                Ok(Lists { items: lists.values().clone(), starts, lengths })
            }
            other => Err(Error::internal(format!("a list of type {other}"))),
        }
    }

    fn of_offsets<O: OffsetSizeTrait>(lists: &GenericListArray<O>) -> Self {
        let offsets = lists.value_offsets();
        let starts = offsets.iter().take(lists.len()).map(|start| start.as_usize()).collect();
        let length = |(row, pair): (usize, &[O])| match pair {
            [start, end] if lists.is_valid(row) => Some(end.as_usize() - start.as_usize()),
            _ => None,
        };
        let lengths = offsets.windows(2).enumerate().map(length).collect();
        Lists { items: lists.values().clone(), starts, lengths }
    }

    fn of_views<O: OffsetSizeTrait>(lists: &GenericListViewArray<O>) -> Self {
        let starts = lists.value_offsets().iter().map(|start| start.as_usize()).collect();
        let lengths = lists.value_sizes().iter().enumerate();
        let lengths = lengths.map(|(row, size)| lists.is_valid(row).then_some(size.as_usize())).collect();
        Lists { items: lists.values().clone(), starts, lengths }
    }

    /// How many rows the list of `row` becomes.
    pub(super) fn length(&self, row: usize, no_items: NoItems) -> usize {
        match self.lengths.get(row) {
            Some(Some(0)) => usize::from(no_items.keep_empty),
            Some(Some(length)) => *length,
            _ => usize::from(no_items.keep_nulls),
        }
    }

    /// The items of `ranges`, `total` rows; NULL behind the end of a list.
    pub(super) fn items(&self, ranges: &[Range], total: usize) -> Result<ArrayRef> {
        if let Some(start) = self.contiguous(ranges) {
            return Ok(self.items.slice(start, total));
        }
        let mut indices: Vec<Option<u64>> = Vec::with_capacity(total);
        for range in ranges {
            let (first, there) = self.there(range);
            indices.extend((first..first + there).map(|index| Some(index as u64)));
            indices.extend(std::iter::repeat_n(None, range.count - there));
        }
        Ok(take(&self.items, &UInt64Array::from(indices), None)?)
    }

    /// The first item of a range, and how many of its rows have an item.
    fn there(&self, range: &Range) -> (usize, usize) {
        let start = self.starts.get(range.row).copied().unwrap_or(0);
        let length = self.lengths.get(range.row).copied().flatten().unwrap_or(0);
        (start + range.from, length.saturating_sub(range.from).min(range.count))
    }

    /// Where the ranges begin, when their items follow one another without a gap: mostly, where there is one list.
    fn contiguous(&self, ranges: &[Range]) -> Option<usize> {
        let begin = self.there(ranges.first()?).0;
        let mut end = begin;
        for range in ranges {
            let (first, there) = self.there(range);
            if first != end || there != range.count {
                return None;
            }
            end += there;
        }
        Some(begin)
    }
}
