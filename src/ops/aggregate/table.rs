//! A hash table of groups: an index of keys and one accumulator for each aggregate.
//!
//! Invariant: memory is reserved before a batch is taken; a table that gets no room says so and is unchanged.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion_expr::{EmitTo, GroupsAccumulator};

use super::index::{GroupIndex, Interned, new_index};
use super::layout::Layout;
use crate::error::Result;
use crate::memory::Reservation;

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is in the table.
    All,
    /// There was no room; the table is as before.
    NoRoom,
    /// The index cannot hold its keys; the table is as before and must change its form when it is empty.
    Unfit,
}

/// What the rows of a batch are.
#[derive(Clone, Copy)]
pub(super) enum Rows<'a> {
    /// Input rows: the aggregates' arguments and filters ([`Layout::inputs`]).
    Raw(&'a [ArrayRef]),
    /// Partial aggregates: the aggregates' states, one after the other.
    Partial(&'a [ArrayRef]),
}

/// Groups and their aggregates.
pub(super) struct Table {
    layout: Arc<Layout>,
    /// `None` where there are no keys: all rows are group 0, which exists from the start.
    index: Option<Box<dyn GroupIndex>>,
    packed: bool,
    accumulators: Vec<Box<dyn GroupsAccumulator>>,
    groups: Vec<usize>,
    has_rows: bool,
    /// Groups that the accumulators' vectors are known to hold without growing.
    fits: usize,
    reservation: Reservation,
}

impl Table {
    pub(super) fn new(layout: &Arc<Layout>, reservation: Reservation, packed: bool) -> Result<Self> {
        let index = match layout.key_types() {
            [] => None,
            types => Some(new_index(types, packed)?),
        };
        let accumulators = layout.calls.iter().map(|call| call.call.accumulator()).collect::<Result<_>>()?;
        Ok(Table {
            layout: layout.clone(),
            index,
            packed,
            accumulators,
            groups: Vec::new(),
            has_rows: false,
            fits: 0,
            reservation,
        })
    }

    /// Whether it ever took a row.
    pub(super) fn has_rows(&self) -> bool {
        self.has_rows
    }

    /// Groups in the table.
    pub(super) fn len(&self) -> usize {
        self.index.as_ref().map_or(1, |index| index.len())
    }

    /// Bytes the table holds.
    pub(super) fn bytes(&self) -> usize {
        self.index.as_ref().map_or(0, |index| index.bytes())
            + self.groups.capacity() * size_of::<usize>()
            + self.accumulators.iter().map(|accumulator| accumulator.size()).sum::<usize>()
    }

    /// Takes a batch of `keys` and what belongs to them.
    pub(super) fn take(&mut self, keys: &[ArrayRef], hashes: &[u64], rows: Rows) -> Result<Taken> {
        if !self.reserve_for(hashes.len()) {
            return Ok(Taken::NoRoom);
        }
        match &mut self.index {
            None => {
                self.groups.clear();
                self.groups.resize(hashes.len(), 0);
            }
            Some(index) => {
                if index.intern(keys, hashes, &mut self.groups)? == Interned::Unfit {
                    return Ok(Taken::Unfit);
                }
            }
        }
        self.accumulate(rows)?;
        self.has_rows |= !hashes.is_empty();
        if self.len() > self.fits {
            self.fits = self.len().max(self.fits * 2);
        }
        self.settle();
        Ok(Taken::All)
    }

    /// As `take` for a caller that has nowhere else to put the rows.
    ///
    /// # Errors
    /// `OUT_OF_MEMORY` where `take` says that there is no room.
    pub(super) fn insist(&mut self, rows: usize) -> Result<()> {
        let wanted = self.wanted(rows);
        let held = self.reservation.bytes();
        self.reservation.grow(wanted.saturating_sub(held))
    }

    fn accumulate(&mut self, rows: Rows) -> Result<()> {
        let total = self.len();
        let mut state = 0;
        for (accumulator, slot) in self.accumulators.iter_mut().zip(&self.layout.calls) {
            match rows {
                Rows::Raw(inputs) => {
                    let arguments: Vec<ArrayRef> = slot.arguments.iter().map(|&input| inputs[input].clone()).collect();
                    if slot.merges {
                        accumulator.merge_batch(&arguments, &self.groups, total)?;
                        continue;
                    }
                    let filter: Option<&BooleanArray> = slot.filter.map(|input| inputs[input].as_boolean());
                    accumulator.update_batch(&arguments, &self.groups, filter, total)?;
                }
                Rows::Partial(states) => {
                    let width = slot.state_fields.len();
                    accumulator.merge_batch(&states[state..state + width], &self.groups, total)?;
                    state += width;
                }
            }
        }
        Ok(())
    }

    /// What the table may hold while it takes `rows` more rows.
    fn wanted(&self, rows: usize) -> usize {
        let bytes = self.bytes();
        let accumulators = self.accumulators.iter().map(|accumulator| accumulator.size()).sum::<usize>();
        let index = self.index.as_ref().map_or(0, |index| index.growth(rows));
        // A vector that grows at least doubles, while the old one still lives; before that it only fills.
        let doubles = self.index.is_some() && self.len() + rows > self.fits;
        let states = if doubles { accumulators * 2 + rows * 16 * self.accumulators.len() } else { 0 };
        bytes + index + states + rows * size_of::<usize>()
    }

    fn reserve_for(&mut self, rows: usize) -> bool {
        let wanted = self.wanted(rows);
        wanted <= self.reservation.bytes() || self.reservation.try_grow(wanted - self.reservation.bytes())
    }

    /// Gives back what a growth asked for too much, in steps that keep the budget's counter quiet.
    fn settle(&mut self) {
        let bytes = self.bytes();
        if self.reservation.bytes() > bytes * 2 + (1 << 20) {
            self.reservation.try_resize(bytes + bytes / 2 + (1 << 19));
        }
    }

    /// Room for the groups once more, beside those in the table; false when there is none.
    pub(super) fn reserve_twice(&mut self) -> bool {
        let wanted = 2 * self.bytes();
        wanted <= self.reservation.bytes() || self.reservation.try_grow(wanted - self.reservation.bytes())
    }

    /// All groups with their partial states; the table is empty afterwards, but its reservation stays for what was drained
    /// until [`give_back`](Self::give_back).
    pub(super) fn drain_partial(&mut self) -> Result<(Vec<ArrayRef>, Vec<ArrayRef>)> {
        let keys = self.drain_keys()?;
        let mut states = Vec::new();
        for accumulator in &mut self.accumulators {
            states.extend(accumulator.state(EmitTo::All)?);
        }
        self.restart()?;
        Ok((keys, states))
    }

    /// All groups with their final values as one batch of the output schema; the table is empty afterwards, but keeps
    /// its reservation for the batch until it is dropped or used again.
    pub(super) fn drain_final(&mut self) -> Result<RecordBatch> {
        let rows = self.len();
        if self.layout.gives_states {
            let (mut columns, states) = self.drain_partial()?;
            columns.extend(states);
            return self.layout.output_batch(columns, rows);
        }
        let mut columns = self.drain_keys()?;
        for accumulator in &mut self.accumulators {
            columns.push(accumulator.evaluate(EmitTo::All)?);
        }
        self.layout.output_batch(columns, rows)
    }

    fn drain_keys(&mut self) -> Result<Vec<ArrayRef>> {
        self.index.as_mut().map_or(Ok(Vec::new()), |index| index.drain())
    }

    fn restart(&mut self) -> Result<()> {
        self.accumulators = self.layout.calls.iter().map(|call| call.call.accumulator()).collect::<Result<_>>()?;
        self.fits = 0;
        Ok(())
    }

    /// Reserves no more than the table holds now: what was drained is gone.
    pub(super) fn give_back(&mut self) {
        let bytes = self.bytes();
        self.reservation.shrink(self.reservation.bytes().saturating_sub(bytes));
    }

    /// Changes to the form of index that holds any key. Only when the table is empty.
    pub(super) fn widen(&mut self) -> Result<()> {
        self.packed = false;
        self.index = Some(new_index(self.layout.key_types(), false)?);
        Ok(())
    }

    /// Whether the index is of the fixed-width form, which some keys do not fit.
    pub(super) fn is_packed(&self) -> bool {
        self.packed
    }
}

impl Layout {
    /// A batch of the output schema from its columns.
    pub(super) fn output_batch(&self, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let columns = columns.into_iter().zip(self.output.fields()).map(|(column, field)| {
            if column.data_type() == field.data_type() {
                Ok(column)
            } else {
                arrow::compute::cast(&column, field.data_type())
            }
        });
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        Ok(RecordBatch::try_new_with_options(self.output.clone(), columns, &options)?)
    }
}
