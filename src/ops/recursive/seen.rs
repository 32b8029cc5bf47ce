//! One partition of the rows that a recursion has seen.
//!
//! It is a table in memory from round to round while it is a small part of the budget. Else its rows wait in the store
//! between the rounds, and each round that brings rows to the partition makes a table of them for as long as it takes.
//! Where that gets no room, the partition is cut, for good.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{ArrayRef, UInt32Array};
use arrow::compute::{cast, take_record_batch};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use super::Seen;
use crate::batch::hash::hash_rows;
use crate::error::{Error, Result};
use crate::memory::Reservation;
use crate::ops::aggregate::index::{GroupIndex, Interned, new_index};
use crate::ops::partition::{PartitionWriter, Partitions, Radix};
use crate::store::{Handle, QueryContext, UseOrder};

/// A partition that got no room is cut into so many.
const CUT_AGAIN: usize = 16;
/// All tables that stay from round to round take at most this part of the budget.
const RESIDENT_SHARE: usize = 4;

/// The seen rows of one partition.
pub(super) struct SeenPartition {
    /// The last cut that they went through.
    radix: Radix,
    rows: SeenRows,
}

enum SeenRows {
    Table(SeenTable),
    /// Keys in the store.
    Stored(Vec<Handle>),
    Cut(Radix, Vec<SeenPartition>),
}

impl SeenPartition {
    pub(super) fn new(radix: Radix) -> Self {
        SeenPartition { radix, rows: SeenRows::Stored(Vec::new()) }
    }

    /// Puts those rows of `batches` into `new` that it has not seen, and has seen them then.
    pub(super) fn learn(
        &mut self,
        seen: &Seen,
        context: &Arc<QueryContext>,
        batches: Vec<Handle>,
        new: &mut VecDeque<Handle>,
    ) -> Result<()> {
        if batches.is_empty() {
            return Ok(());
        }
        if let SeenRows::Cut(radix, parts) = &mut self.rows {
            return learn_cut(parts, *radix, seen, context, batches, new);
        }
        let Some(mut table) = self.table(seen, context)? else {
            self.cut(seen, context)?;
            return self.learn(seen, context, batches, new);
        };
        let mut batches = VecDeque::from(batches);
        while let Some(handle) = batches.pop_front() {
            context.cancel.check()?;
            let rows = handle.rows();
            if !table.makes_room(rows, self.radix)? {
                self.rows = SeenRows::Stored(table.into_store(context)?);
                self.cut(seen, context)?;
                batches.push_front(handle);
                return self.learn(seen, context, batches.into(), new);
            }
            let batch = context.store.take(handle)?;
            let batch = seen.restored(&batch)?;
            let fresh = table.add(&seen.keys(batch.columns())?, batch.num_rows(), &seen.key_types)?;
            if !fresh.is_empty() {
                let fresh = take_record_batch(&batch, &UInt32Array::from(fresh))?;
                new.push_back(context.store.put(fresh, UseOrder::default())?);
            }
        }
        let most = context.budget.limit() / RESIDENT_SHARE / self.radix.total();
        self.rows = match table.bytes() <= most {
            true => SeenRows::Table(table.settled()),
            false => SeenRows::Stored(table.into_store(context)?),
        };
        Ok(())
    }

    /// The seen rows as a table; `None` where there is no room for one.
    fn table(&mut self, seen: &Seen, context: &Arc<QueryContext>) -> Result<Option<SeenTable>> {
        let handles = match std::mem::replace(&mut self.rows, SeenRows::Stored(Vec::new())) {
            SeenRows::Table(table) => return Ok(Some(table)),
            SeenRows::Stored(handles) => handles,
            SeenRows::Cut(..) => return Err(Error::internal("a table of rows that are cut")),
        };
        let mut table = SeenTable::new(context.budget.reservation("Unseen"), &seen.key_types)?;
        for handle in &handles {
            context.cancel.check()?;
            if !table.makes_room(handle.rows(), self.radix)? {
                self.rows = SeenRows::Stored(handles);
                return Ok(None);
            }
            let keys = key_columns(&*context.store.get(handle)?, &seen.key_types)?;
            table.add(&keys, handle.rows(), &seen.key_types)?;
        }
        Ok(Some(table))
    }

    /// Spreads the seen rows over partitions of their own.
    fn cut(&mut self, seen: &Seen, context: &Arc<QueryContext>) -> Result<()> {
        let SeenRows::Stored(handles) = std::mem::replace(&mut self.rows, SeenRows::Stored(Vec::new())) else {
            return Err(Error::internal("rows that are cut twice"));
        };
        let radix = self.radix.again(CUT_AGAIN).ok_or_else(|| Error::internal("rows that cannot be cut further"))?;
        let spread = spread(&key_schema(&seen.key_types), radix, seen, context, handles)?;
        let part = |handles| SeenPartition { radix, rows: SeenRows::Stored(handles) };
        self.rows = SeenRows::Cut(radix, spread.handles.into_iter().map(part).collect());
        Ok(())
    }
}

fn learn_cut(
    parts: &mut [SeenPartition],
    radix: Radix,
    seen: &Seen,
    context: &Arc<QueryContext>,
    batches: Vec<Handle>,
    new: &mut VecDeque<Handle>,
) -> Result<()> {
    let spread = spread(&seen.schema, radix, seen, context, batches)?;
    parts.iter_mut().zip(spread.handles).try_for_each(|(part, batches)| part.learn(seen, context, batches, new))
}

/// The batches, whose columns are those of `schema`, by partition.
fn spread(
    schema: &Schema,
    radix: Radix,
    seen: &Seen,
    context: &Arc<QueryContext>,
    batches: Vec<Handle>,
) -> Result<Partitions> {
    let mut writer = PartitionWriter::new(context, schema, radix, 0)?;
    let mut hashes = Vec::new();
    for handle in batches {
        context.cancel.check()?;
        let batch = context.store.take(handle)?;
        let keys = seen.keys(batch.columns())?;
        hash_rows(&keys, batch.num_rows(), &mut hashes)?;
        writer.push(batch.columns(), &hashes)?;
    }
    writer.finish()
}

fn key_schema(types: &[DataType]) -> Schema {
    Schema::new(types.iter().map(|key| Field::new("key", key.clone(), true)).collect::<Vec<_>>())
}

/// Columns from the store in the types of keys.
fn key_columns(batch: &RecordBatch, types: &[DataType]) -> Result<Vec<ArrayRef>> {
    let columns = batch.columns().iter().zip(types);
    let column = |(column, key): (&ArrayRef, &DataType)| match column.data_type() == key {
        true => Ok(column.clone()),
        false => Ok(cast(column, key)?),
    };
    columns.map(column).collect()
}

/// Rows in memory, each once.
struct SeenTable {
    index: Box<dyn GroupIndex>,
    groups: Vec<usize>,
    hashes: Vec<u64>,
    types: Vec<DataType>,
    reservation: Reservation,
}

impl SeenTable {
    fn new(reservation: Reservation, types: &[DataType]) -> Result<Self> {
        let index = new_index(types, true)?;
        Ok(SeenTable { index, groups: Vec::new(), hashes: Vec::new(), types: types.to_vec(), reservation })
    }

    fn bytes(&self) -> usize {
        self.index.bytes() + (self.groups.capacity() + self.hashes.capacity()) * size_of::<u64>()
    }

    /// Reserves what `rows` more rows may take; false where there is no room, and the rows can be cut further.
    fn makes_room(&mut self, rows: usize, radix: Radix) -> Result<bool> {
        let wanted = self.bytes() + self.index.growth(rows) + rows * 2 * size_of::<u64>();
        let missing = wanted.saturating_sub(self.reservation.bytes());
        if missing == 0 || self.reservation.try_grow(missing) {
            return Ok(true);
        }
        if self.index.len() > 0 && radix.again(CUT_AGAIN).is_some() {
            return Ok(false);
        }
        self.reservation.grow(missing)?;
        Ok(true)
    }

    /// Adds rows for which room was made; gives the numbers of those that are new.
    fn add(&mut self, keys: &[ArrayRef], rows: usize, types: &[DataType]) -> Result<Vec<u32>> {
        hash_rows(keys, rows, &mut self.hashes)?;
        let before = self.index.len();
        if self.index.intern(keys, &self.hashes, &mut self.groups)? == Interned::Unfit {
            self.widen(types)?;
            let rows = self.hashes.len();
            let missing = (self.bytes() + self.index.growth(rows)).saturating_sub(self.reservation.bytes());
            self.reservation.grow(missing)?;
            if self.index.intern(keys, &self.hashes, &mut self.groups)? == Interned::Unfit {
                return Err(Error::internal("a row that no index can hold"));
            }
        }
        let mut next = before;
        let mut fresh = Vec::new();
        for (row, &group) in (0u32..).zip(&self.groups) {
            if group == next {
                fresh.push(row);
                next += 1;
            }
        }
        Ok(fresh)
    }

    /// Changes to the form of index that holds any key; rows keep their numbers.
    fn widen(&mut self, types: &[DataType]) -> Result<()> {
        let keys = self.index.drain()?;
        let rows = keys.first().map_or(0, |key| key.len());
        self.index = new_index(types, false)?;
        let missing = (self.bytes() + self.index.growth(rows)).saturating_sub(self.reservation.bytes());
        self.reservation.grow(missing)?;
        let (mut hashes, mut groups) = (Vec::new(), Vec::new());
        hash_rows(&keys, rows, &mut hashes)?;
        self.index.intern(&keys, &hashes, &mut groups)?;
        Ok(())
    }

    /// The table between two rounds: reserves no more than it holds.
    fn settled(mut self) -> Self {
        (self.groups, self.hashes) = (Vec::new(), Vec::new());
        let bytes = self.bytes();
        self.reservation.try_resize(bytes);
        self
    }

    /// The rows as batches in the store.
    fn into_store(mut self, context: &Arc<QueryContext>) -> Result<Vec<Handle>> {
        let keys = self.index.drain()?;
        let rows = keys.first().map_or(0, |key| key.len());
        let schema = Arc::new(key_schema(&self.types));
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(schema, keys, &options)?;
        let step = context.batch_size.max(1);
        let starts = (0..rows).step_by(step);
        let pieces = starts.map(|start| batch.slice(start, step.min(rows - start)));
        pieces.map(|piece| context.store.put(piece, UseOrder::default())).collect()
    }
}
