//! Keys of any types through Arrow's row form, which is comparable byte by byte.

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use arrow::row::{RowConverter, SortField};

use super::bytes::BytesGroups;
use super::{GroupIndex, Interned};
use crate::error::Result;

/// Groups of any key columns.
pub(in crate::ops::aggregate) struct RowsIndex {
    converter: RowConverter,
    types: Vec<DataType>,
    groups: BytesGroups,
}

impl RowsIndex {
    /// # Errors
    /// For types that have no row form.
    pub(in crate::ops::aggregate) fn new(types: &[DataType]) -> Result<Self> {
        let fields = types.iter().map(|data_type| SortField::new(data_type.clone())).collect();
        Ok(RowsIndex { converter: RowConverter::new(fields)?, types: types.to_vec(), groups: BytesGroups::new() })
    }
}

impl GroupIndex for RowsIndex {
    fn intern(&mut self, keys: &[ArrayRef], hashes: &[u64], groups: &mut Vec<usize>) -> Result<Interned> {
        let rows = self.converter.convert_columns(keys)?;
        groups.clear();
        groups.reserve(hashes.len());
        self.groups.slots.reserve(hashes.len());
        for (row, &hash) in rows.iter().zip(hashes) {
            groups.push(self.groups.intern(hash, row.as_ref())?);
        }
        Ok(Interned::All)
    }

    fn len(&self) -> usize {
        self.groups.slots.len()
    }

    fn bytes(&self) -> usize {
        self.groups.slots.bytes() + self.groups.arena.bytes() + self.converter.size()
    }

    fn growth(&self, rows: usize) -> usize {
        let per_row = self.groups.arena.bytes() / self.len().max(1);
        self.groups.slots.growth(rows) + self.groups.arena.growth(rows, per_row.max(32) * rows)
    }

    fn drain(&mut self) -> Result<Vec<ArrayRef>> {
        let groups = std::mem::replace(&mut self.groups, BytesGroups::new());
        let parser = self.converter.parser();
        let mut shorts = vec![[0u8; 16]; groups.slots.len()];
        let rows = shorts.iter_mut().enumerate().map(|(group, short)| parser.parse(groups.arena.get(group, short)));
        let columns = self.converter.convert_rows(rows)?;
        // Dictionaries come back as their values.
        let columns = columns.into_iter().zip(&self.types);
        columns
            .map(|(column, data_type)| {
                Ok(if column.data_type() == data_type { column } else { arrow::compute::cast(&column, data_type)? })
            })
            .collect()
    }
}
