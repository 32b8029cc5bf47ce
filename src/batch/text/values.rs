//! Strings and lists of whatever offsets, behind one face each.

use std::ops::Range;

use arrow::array::{
    Array, AsArray, FixedSizeListArray, GenericListArray, GenericListViewArray, LargeStringArray, MapArray,
    StringArray, StringViewArray,
};
use arrow::datatypes::DataType;

/// A column of strings.
pub(super) enum Strings<'a> {
    Small(&'a StringArray),
    Large(&'a LargeStringArray),
    View(&'a StringViewArray),
}

impl<'a> Strings<'a> {
    pub(super) fn new(array: &'a dyn Array) -> Option<Self> {
        match array.data_type() {
            DataType::Utf8 => Some(Strings::Small(array.as_string())),
            DataType::LargeUtf8 => Some(Strings::Large(array.as_string())),
            DataType::Utf8View => Some(Strings::View(array.as_string_view())),
            _ => None,
        }
    }

    pub(super) fn value(&self, row: usize) -> &'a str {
        match self {
            Strings::Small(array) => array.value(row),
            Strings::Large(array) => array.value(row),
            Strings::View(array) => array.value(row),
        }
    }
}

/// Where the items of each row are in the column of items.
pub(super) enum Lists<'a> {
    Small(&'a GenericListArray<i32>),
    Large(&'a GenericListArray<i64>),
    Fixed(&'a FixedSizeListArray),
    SmallView(&'a GenericListViewArray<i32>),
    LargeView(&'a GenericListViewArray<i64>),
    Map(&'a MapArray),
}

impl<'a> Lists<'a> {
    /// The lists of a column, and their items.
    pub(super) fn new(array: &'a dyn Array) -> Option<(Self, &'a dyn Array)> {
        Some(match array.data_type() {
            DataType::List(_) => (Lists::Small(array.as_list()), array.as_list::<i32>().values().as_ref()),
            DataType::LargeList(_) => (Lists::Large(array.as_list()), array.as_list::<i64>().values().as_ref()),
            DataType::FixedSizeList(_, _) => {
                (Lists::Fixed(array.as_fixed_size_list()), array.as_fixed_size_list().values().as_ref())
            }
            DataType::ListView(_) => {
                (Lists::SmallView(array.as_list_view()), array.as_list_view::<i32>().values().as_ref())
            }
            DataType::LargeListView(_) => {
                (Lists::LargeView(array.as_list_view()), array.as_list_view::<i64>().values().as_ref())
            }
            _ => return None,
        })
    }

    pub(super) fn range(&self, row: usize) -> Range<usize> {
        match self {
            Lists::Small(array) => index(array.value_offsets()[row])..index(array.value_offsets()[row + 1]),
            Lists::Large(array) => index(array.value_offsets()[row])..index(array.value_offsets()[row + 1]),
            Lists::Map(array) => index(array.value_offsets()[row])..index(array.value_offsets()[row + 1]),
            Lists::Fixed(array) => {
                let start = index(array.value_offset(row));
                start..start + index(array.value_length())
            }
            Lists::SmallView(array) => {
                let start = index(array.value_offset(row));
                start..start + index(array.value_size(row))
            }
            Lists::LargeView(array) => {
                let start = index(array.value_offset(row));
                start..start + index(array.value_size(row))
            }
        }
    }
}

/// Arrow's offsets are never negative.
fn index(offset: impl TryInto<usize>) -> usize {
    offset.try_into().unwrap_or(0)
}
