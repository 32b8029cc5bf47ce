//! Some groups in memory: what each call makes of their rows.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, UInt32Array, new_null_array};
use arrow::compute::{interleave, take};
use arrow::record_batch::RecordBatch;
use arrow::row::Rows;
use datafusion_common::ScalarValue;

use super::layout::{CallSlot, Layout, Order};
use crate::batch::order::OrderConverter;
use crate::error::{Error, Result};
use crate::expr::{AggregateCall, Gathering};
use crate::ops::sort::normalised;

/// The rows of some groups. Row `i` of every gathered column belongs to the group in whose `starts` it lies.
pub(super) struct Chunk<'a> {
    layout: &'a Layout,
    batches: Vec<&'a RecordBatch>,
    places: Vec<(usize, usize)>,
    starts: Vec<usize>,
    /// Columns gathered so far.
    columns: Vec<Option<ArrayRef>>,
    /// Orders made so far.
    orders: Vec<Option<Arc<Ordered>>>,
    /// The first rows of the groups in an order.
    firsts: Option<(usize, Arc<[Option<u32>]>)>,
}

/// All rows of the chunk in one order, within their groups.
pub(super) struct Ordered {
    rows: Vec<u32>,
    keys: Rows,
}

/// Rows that count for a call, group by group.
struct Selection {
    /// `None` for all, in the order in which they came.
    rows: Option<Vec<u32>>,
    starts: Vec<usize>,
}

impl<'a> Chunk<'a> {
    pub(super) fn new(
        layout: &'a Layout,
        batches: Vec<&'a RecordBatch>,
        places: &[(u32, u32)],
        starts: Vec<usize>,
    ) -> Self {
        let places = places.iter().map(|&(batch, row)| (batch as usize, row as usize)).collect();
        let columns = vec![None; layout.rows.fields().len()];
        let orders = vec![None; layout.orders.len()];
        Chunk { layout, batches, places, starts, columns, orders, firsts: None }
    }

    /// The value of `slot` for each group.
    pub(super) fn evaluate(&mut self, slot: &CallSlot) -> Result<ArrayRef> {
        if let (true, Some(order)) = (slot.takes_first_row(), slot.order) {
            let firsts = self.firsts(order)?;
            return self.pick(slot, firsts.to_vec());
        }
        let selection = self.select(slot)?;
        match slot.gathering() {
            None => {
                let arguments = slot
                    .arguments
                    .iter()
                    .map(|&column| self.layout.in_own_type(column, &self.selected(column, &selection)?))
                    .collect::<Result<Vec<_>>>()?;
                accumulate(&slot.call, &arguments, &selection.starts)
            }
            Some(Gathering::Mode) => {
                let ordered = self.ordered(slot)?;
                let rows = selection.rows.as_deref().unwrap_or_default();
                let modes = selection.starts.windows(2).map(|bounds| ordered.mode(&rows[bounds[0]..bounds[1]]));
                self.pick(slot, modes.collect())
            }
            Some(gathering) if gathering.picks() => {
                let picked = selection.starts.windows(2).map(|bounds| {
                    let index = bounds[0] + gathering.pick(bounds[1] - bounds[0])?;
                    selection.rows.as_ref().map_or(u32::try_from(index).ok(), |rows| rows.get(index).copied())
                });
                self.pick(slot, picked.collect())
            }
            Some(gathering) => {
                let values = self.selected(value_column(slot)?, &selection)?;
                gathering.evaluate(&values, &selection.starts, &slot.item)
            }
        }
    }

    /// The first argument at one row for each group.
    fn pick(&mut self, slot: &CallSlot, rows: Vec<Option<u32>>) -> Result<ArrayRef> {
        Ok(take(&self.column(value_column(slot)?)?, &UInt32Array::from(rows), None)?)
    }

    fn selected(&mut self, column: usize, selection: &Selection) -> Result<ArrayRef> {
        let whole = self.column(column)?;
        match &selection.rows {
            None => Ok(whole),
            Some(rows) => Ok(take(&whole, &UInt32Array::from(rows.clone()), None)?),
        }
    }

    /// Column `index` for the rows of the chunk.
    fn column(&mut self, index: usize) -> Result<ArrayRef> {
        let missing = || Error::internal(format!("rows without column {index}"));
        if let Some(column) = self.columns.get(index).ok_or_else(missing)? {
            return Ok(column.clone());
        }
        let parts = self.batches.iter().map(|batch| Some(batch.columns().get(index)?.as_ref()));
        let parts: Vec<&dyn Array> = parts.collect::<Option<_>>().ok_or_else(missing)?;
        let column = interleave(&parts, &self.places)?;
        self.columns[index] = Some(column.clone());
        Ok(column)
    }

    fn select(&mut self, slot: &CallSlot) -> Result<Selection> {
        let counts = self.counting(slot)?;
        let ordered = slot.order.map(|_| self.ordered(slot)).transpose()?;
        let Some(ordered) = ordered else {
            return Ok(match counts {
                None => Selection { rows: None, starts: self.starts.clone() },
                Some(counts) => self.filtered((0..).take(counts.len()), &counts),
            });
        };
        let mut selection = match counts {
            None => Selection { rows: Some(ordered.rows.clone()), starts: self.starts.clone() },
            Some(counts) => self.filtered(ordered.rows.iter().copied(), &counts),
        };
        if slot.distinct {
            selection = ordered.distinct(&selection);
        }
        Ok(selection)
    }

    /// Which rows count: those that the filter lets through and, where NULLs do not count, that have a value. `None` for all.
    fn counting(&mut self, slot: &CallSlot) -> Result<Option<BooleanArray>> {
        let filter = slot.filter.map(|filter| self.column(filter)).transpose()?;
        let nulls = match slot.ignores_nulls() {
            true => self.column(value_column(slot)?)?.logical_nulls().filter(|nulls| nulls.null_count() > 0),
            false => None,
        };
        let passed = filter.as_ref().map(|filter| {
            let filter = filter.as_boolean();
            let nulls = filter.nulls().map(|nulls| nulls.inner());
            BooleanArray::new(nulls.map_or_else(|| filter.values().clone(), |valid| filter.values() & valid), None)
        });
        Ok(match (passed, nulls) {
            (None, None) => None,
            (Some(passed), None) => Some(passed),
            (None, Some(nulls)) => Some(BooleanArray::new(nulls.into_inner(), None)),
            (Some(passed), Some(nulls)) => Some(BooleanArray::new(passed.values() & nulls.inner(), None)),
        })
    }

    /// Those of `rows` (a permutation within the groups) that count.
    fn filtered(&self, rows: impl Iterator<Item = u32>, counts: &BooleanArray) -> Selection {
        let (mut kept, mut starts) = (Vec::with_capacity(counts.len()), Vec::with_capacity(self.starts.len()));
        let mut ends = self.starts.iter().skip(1).peekable();
        starts.push(0);
        for (index, row) in rows.enumerate() {
            while ends.peek().is_some_and(|&&end| end <= index) {
                ends.next();
                starts.push(kept.len());
            }
            if counts.value(row as usize) {
                kept.push(row);
            }
        }
        starts.extend(ends.map(|_| kept.len()));
        Selection { rows: Some(kept), starts }
    }

    /// The chunk's rows in the order of `slot`.
    fn ordered(&mut self, slot: &CallSlot) -> Result<Arc<Ordered>> {
        let number = slot.order.ok_or_else(|| Error::internal("a call without the order that it needs"))?;
        if let Some(ordered) = self.orders.get(number).and_then(Option::as_ref) {
            return Ok(ordered.clone());
        }
        let layout = self.layout;
        let order = layout.orders.get(number).ok_or_else(|| Error::internal("an order that is not there"))?;
        let ordered = Arc::new(Ordered::new(self.order_keys(order)?, &self.starts)?);
        self.orders[number] = Some(ordered.clone());
        Ok(ordered)
    }

    /// The first row of each group in that order.
    fn firsts(&mut self, number: usize) -> Result<Arc<[Option<u32>]>> {
        if let Some((known, firsts)) = &self.firsts
            && *known == number
        {
            return Ok(firsts.clone());
        }
        let layout = self.layout;
        let order = layout.orders.get(number).ok_or_else(|| Error::internal("an order that is not there"))?;
        let keys = self.order_keys(order)?;
        let first = |bounds: &[usize]| {
            let first =
                (bounds[0]..bounds[1]).reduce(|first, row| if keys.row(row) < keys.row(first) { row } else { first });
            first.and_then(|row| u32::try_from(row).ok())
        };
        let firsts: Arc<[Option<u32>]> = self.starts.windows(2).map(first).collect();
        self.firsts = Some((number, firsts.clone()));
        Ok(firsts)
    }

    fn order_keys(&mut self, order: &Order) -> Result<Rows> {
        let columns = order.columns.iter().map(|&(column, _)| self.column(column)).collect::<Result<Vec<_>>>()?;
        encoded(&columns, order)
    }
}

/// The columns of an order as rows that compare as the order says.
pub(super) fn encoded(columns: &[ArrayRef], order: &Order) -> Result<Rows> {
    let sorted =
        columns.iter().zip(&order.columns).map(|(column, &(_, options))| (column.data_type().clone(), options));
    let columns: Vec<ArrayRef> = columns.iter().map(normalised).collect();
    Ok(OrderConverter::try_new(sorted)?.keys(&columns)?)
}

fn value_column(slot: &CallSlot) -> Result<usize> {
    slot.arguments.first().copied().ok_or_else(|| Error::internal("an aggregate without an argument"))
}

impl Ordered {
    fn new(keys: Rows, starts: &[usize]) -> Result<Self> {
        let count = u32::try_from(keys.num_rows()).map_err(|_| Error::internal("a chunk of more than 2^32 rows"))?;
        let mut rows: Vec<u32> = (0..count).collect();
        for bounds in starts.windows(2) {
            // Stable: what is equal keeps the order in which it came.
            rows[bounds[0]..bounds[1]].sort_by(|&left, &right| keys.row(left as usize).cmp(&keys.row(right as usize)));
        }
        Ok(Ordered { rows, keys })
    }

    fn are_equal(&self, left: u32, right: u32) -> bool {
        self.keys.row(left as usize) == self.keys.row(right as usize)
    }

    /// The first of each run of equal rows.
    fn distinct(&self, selection: &Selection) -> Selection {
        let rows = selection.rows.as_deref().unwrap_or_default();
        let (mut kept, mut starts) = (Vec::with_capacity(rows.len()), vec![0]);
        for bounds in selection.starts.windows(2) {
            for run in rows[bounds[0]..bounds[1]].chunk_by(|&left, &right| self.are_equal(left, right)) {
                kept.extend(run.first());
            }
            starts.push(kept.len());
        }
        Selection { rows: Some(kept), starts }
    }

    /// The first row of the longest run of equal rows, of several the one that came first.
    fn mode(&self, rows: &[u32]) -> Option<u32> {
        let runs = rows.chunk_by(|&left, &right| self.are_equal(left, right));
        let best = runs.filter_map(|run| Some((run.len(), *run.first()?)));
        best.max_by_key(|&(count, first)| (count, std::cmp::Reverse(first))).map(|(_, first)| first)
    }
}

/// A call with a state of fixed size over rows that all count, group by group.
pub(super) fn accumulate(call: &AggregateCall, arguments: &[ArrayRef], starts: &[usize]) -> Result<ArrayRef> {
    let filled: Vec<bool> = starts.windows(2).map(|bounds| bounds[0] < bounds[1]).collect();
    let mut accumulator = call.accumulator()?;
    // Every group that the accumulator knows has rows: the others are put in afterwards.
    let mut groups = Vec::with_capacity(starts.last().copied().unwrap_or(0));
    let mut group = 0;
    for bounds in starts.windows(2).filter(|bounds| bounds[0] < bounds[1]) {
        groups.resize(bounds[1], group);
        group += 1;
    }
    let values = match group {
        0 => new_null_array(call.field().data_type(), 0),
        _ => {
            accumulator.update_batch(arguments, &groups, None, group)?;
            accumulator.evaluate(crate::expr::EmitTo::All)?
        }
    };
    if group == filled.len() {
        return Ok(values);
    }
    let empty: ScalarValue = call.empty_value()?;
    let empty = arrow::compute::cast(&empty.to_array()?, values.data_type())?;
    let mut next = 0;
    let places: Vec<(usize, usize)> = filled
        .iter()
        .map(|&filled| {
            next += usize::from(filled);
            if filled { (0, next - 1) } else { (1, 0) }
        })
        .collect();
    Ok(interleave(&[values.as_ref(), empty.as_ref()], &places)?)
}
