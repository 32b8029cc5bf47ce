//! The right side in memory: its rows by key and value, to be looked up for one left batch after the other.

use std::ops::Range;

use arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array};
use arrow::buffer::NullBuffer;
use arrow::compute::take_record_batch;
use arrow::row::{RowConverter, Rows, SortField};
use hashbrown::HashTable;

use super::nearest::Direction;
use super::side::AsofSide;
use crate::batch::hash::hash_rows;
use crate::error::{Error, Result};
use crate::ops::join::range::keys::Keys;

/// Bytes that a row takes in an index besides the row itself (twice, while it is sorted) and its key bytes, about.
pub(super) const BYTES_PER_ROW: usize = 64;

/// All right rows, in the order of their groups and values.
#[derive(Debug)]
pub(super) struct Index {
    /// The side's own columns.
    pub(super) rows: RecordBatch,
    values: Keys,
    groups: Groups,
}

/// The rows of each key.
#[derive(Debug)]
enum Groups {
    /// There are no keys.
    One,
    ByKey {
        table: HashTable<u32>,
        converter: RowConverter,
        keys: Rows,
        ranges: Vec<Range<u32>>,
    },
}

impl Index {
    /// The index of complete wide rows.
    pub(super) fn new(side: &AsofSide, wide: &RecordBatch) -> Result<Self> {
        let values = Keys::new(side.value(wide)?)?;
        let sequences = Keys::new(wide.columns().last().ok_or_else(|| Error::internal("a wide batch of no columns"))?)?;
        let keys = side.keys(wide);
        let rows = wide.num_rows();
        // Rows of a batch, which has fewer than 2^32.
        if keys.is_empty() {
            let order = values.sorted_with(vec![0; rows], &sequences);
            return Ok(Index {
                rows: taken(side, wide, &order)?,
                values: values.gathered(&order),
                groups: Groups::One,
            });
        }
        let (numbers, mut groups) = Groups::by_key(keys, rows)?;
        let order = values.sorted_with(numbers.clone(), &sequences);
        if let Groups::ByKey { ranges, .. } = &mut groups {
            for (position, &row) in order.iter().enumerate() {
                let range = &mut ranges[numbers[row as usize] as usize];
                if range.start == range.end {
                    *range = position as u32..position as u32;
                }
                range.end = position as u32 + 1;
            }
        }
        Ok(Index { rows: taken(side, wide, &order)?, values: values.gathered(&order), groups })
    }

    /// The partner of each row of a wide left batch.
    pub(super) fn partners(
        &self,
        side: &AsofSide,
        wide: &RecordBatch,
        direction: Direction,
        complete: Option<&NullBuffer>,
    ) -> Result<UInt32Array> {
        let values = Keys::new(side.value(wide)?)?;
        let find = |row: usize, range: Option<Range<usize>>| {
            if complete.is_some_and(|complete| complete.is_null(row)) {
                return None;
            }
            direction.partner(&values, row, &self.values, range?).map(|partner| partner as u32)
        };
        match &self.groups {
            Groups::One => {
                let all = 0..self.rows.num_rows();
                Ok((0..wide.num_rows()).map(|row| find(row, Some(all.clone()))).collect())
            }
            Groups::ByKey { table, converter, keys, ranges, .. } => {
                let columns = side.keys(wide);
                let mut hashes = Vec::new();
                hash_rows(columns, wide.num_rows(), &mut hashes)?;
                let wanted = converter.convert_columns(columns)?;
                let group = |row: usize| {
                    let found =
                        table.find(hashes[row], |&group| keys.row(group as usize).data() == wanted.row(row).data());
                    found.map(|&group| {
                        let range = &ranges[group as usize];
                        range.start as usize..range.end as usize
                    })
                };
                Ok((0..wide.num_rows()).map(|row| find(row, group(row))).collect())
            }
        }
    }
}

fn taken(side: &AsofSide, wide: &RecordBatch, order: &[u32]) -> Result<RecordBatch> {
    Ok(take_record_batch(&side.narrow(wide)?, &UInt32Array::from(order.to_vec()))?)
}

impl Groups {
    /// The group of each row, and the groups without their ranges.
    fn by_key(columns: &[ArrayRef], rows: usize) -> Result<(Vec<u32>, Groups)> {
        let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
        let converter = RowConverter::new(fields)?;
        let all = converter.convert_columns(columns)?;
        let mut hashes = Vec::new();
        hash_rows(columns, rows, &mut hashes)?;
        let mut table: HashTable<u32> = HashTable::new();
        let (mut firsts, mut numbers) = (Vec::new(), Vec::with_capacity(rows));
        for row in 0..rows {
            let same = |&group: &u32| all.row(firsts[group as usize]).data() == all.row(row).data();
            let entry = match table.find(hashes[row], same) {
                Some(&group) => group,
                None => {
                    let group = firsts.len() as u32;
                    firsts.push(row);
                    table.insert_unique(hashes[row], group, |&group| hashes[firsts[group as usize]]);
                    group
                }
            };
            numbers.push(entry);
        }
        let mut keys = converter.empty_rows(firsts.len(), 0);
        firsts.iter().for_each(|&row| keys.push(all.row(row)));
        let ranges = vec![0..0; firsts.len()];
        Ok((numbers, Groups::ByKey { table, converter, keys, ranges }))
    }
}
