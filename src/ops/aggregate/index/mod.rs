//! From key columns to group numbers: the part of a hash table that knows the keys.
//!
//! Three forms, chosen by the key types: [`PackedIndex`] for keys of fixed width (short strings count as such),
//! [`BytesIndex`] for one string column, [`RowsIndex`] for everything else. Group numbers count from 0 in the order of
//! first appearance.

mod bytes;
mod packed;
mod rows;
mod slots;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;

use crate::error::Result;

pub(super) use bytes::BytesIndex;
pub(super) use packed::{PackedIndex, PackedLayout};
pub(super) use rows::RowsIndex;

/// Whether an index could take a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ops) enum Interned {
    /// Every row has its group number.
    All,
    /// This form cannot hold one of the keys; nothing of the batch was taken.
    Unfit,
}

/// Keys to group numbers.
pub(in crate::ops) trait GroupIndex: Send {
    /// The group number of each row into `groups` (overwritten).
    fn intern(&mut self, keys: &[ArrayRef], hashes: &[u64], groups: &mut Vec<usize>) -> Result<Interned>;

    /// Groups so far.
    fn len(&self) -> usize;

    /// Bytes held.
    fn bytes(&self) -> usize;

    /// Bytes that taking `rows` more rows may add at most while it grows (old and new tables live side by side).
    fn growth(&self, rows: usize) -> usize;

    /// Gives all keys in group order, in the key columns' own types, and starts over empty.
    fn drain(&mut self) -> Result<Vec<ArrayRef>>;
}

/// The index for keys of these types; `packed` allows the fixed-width form.
pub(in crate::ops) fn new_index(types: &[DataType], packed: bool) -> Result<Box<dyn GroupIndex>> {
    if packed && let Some(layout) = PackedLayout::new(types) {
        return Ok(match layout.words() {
            1 => Box::new(PackedIndex::<1>::new(layout)),
            2 => Box::new(PackedIndex::<2>::new(layout)),
            3 => Box::new(PackedIndex::<3>::new(layout)),
            4 => Box::new(PackedIndex::<4>::new(layout)),
            5 => Box::new(PackedIndex::<5>::new(layout)),
            _ => Box::new(PackedIndex::<6>::new(layout)),
        });
    }
    match types {
        [DataType::Utf8View | DataType::BinaryView] => Ok(Box::new(BytesIndex::new(types[0].clone()))),
        _ => Ok(Box::new(RowsIndex::new(types)?)),
    }
}
