//! One call over a sorted stream of rows, group by group.
//!
//! Invariant: of a group that is being read, only what the call needs is in memory: a state of fixed size, or values that go
//! to the store when they become many.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, LargeStringArray, UInt32Array, new_empty_array};
use arrow::buffer::{Buffer, OffsetBuffer};
use arrow::compute::{cast, concat, take};
use arrow::datatypes::{DataType, UInt64Type};
use arrow::record_batch::RecordBatch;
use arrow::row::{OwnedRow, Row, Rows};

use super::layout::{CallSlot, Layout};
use super::values::GroupValues;
use crate::error::{Error, Result};
use crate::expr::{AggregateCall, EmitTo, Gathering, GroupsAccumulator, in_views};
use crate::memory::Reservation;
use crate::store::QueryContext;

/// A sorted batch cut into runs of one group each.
pub(super) struct Segments<'a> {
    batch: &'a RecordBatch,
    /// Run `i` has the rows `bounds[i] .. bounds[i + 1]`.
    bounds: Vec<usize>,
    /// The columns of the pass's order.
    order: Option<Rows>,
    /// The first run belongs to the group that is being read.
    continues: bool,
    sequence: Option<&'a ArrayRef>,
}

impl<'a> Segments<'a> {
    pub(super) fn new(
        batch: &'a RecordBatch,
        bounds: Vec<usize>,
        order: Option<Rows>,
        continues: bool,
        sequence: Option<&'a ArrayRef>,
    ) -> Self {
        Segments { batch, bounds, order, continues, sequence }
    }

    /// Where `row` stood in the input.
    fn sequence(&self, row: usize) -> Result<u64> {
        let sequences = self.sequence.and_then(|column| column.as_primitive_opt::<UInt64Type>());
        let sequence = sequences.and_then(|sequences| sequences.values().get(row).copied());
        sequence.ok_or_else(|| Error::internal("rows without their sequence"))
    }

    pub(super) fn count(&self) -> usize {
        self.bounds.len() - 1
    }

    pub(super) fn start(&self, segment: usize) -> usize {
        self.bounds[segment]
    }

    fn order_row(&self, row: usize) -> Result<Row<'_>> {
        Ok(self.order.as_ref().ok_or_else(|| Error::internal("a pass without the order that a call needs"))?.row(row))
    }

    fn column(&self, index: usize) -> Result<&ArrayRef> {
        self.batch.columns().get(index).ok_or_else(|| Error::internal(format!("rows without column {index}")))
    }
}

/// What a call knows of the group that is being read.
enum State {
    Values(GroupValues),
    Accumulator(Option<Box<dyn GroupsAccumulator>>),
    Mode(Mode),
}

/// A call being computed.
pub(super) struct CallFold {
    layout: Arc<Layout>,
    call: AggregateCall,
    /// Where the arguments are in the pass.
    arguments: Vec<usize>,
    /// Where they are in a row.
    columns_of_row: Vec<usize>,
    item: DataType,
    filter: Option<usize>,
    distinct: bool,
    ignores_nulls: bool,
    state: State,
    /// The last value that counted in the group, where only different ones do.
    last: Option<OwnedRow>,
    /// Rows of the batch that count, run by run, and the arguments in them.
    kept: Vec<u32>,
    kept_bounds: Vec<usize>,
    columns: Vec<ArrayRef>,
}

impl CallFold {
    /// `place` says where a column of the stored rows is in the pass.
    pub(super) fn new(
        layout: &Arc<Layout>,
        slot: &CallSlot,
        context: &Arc<QueryContext>,
        place: impl Fn(usize) -> usize,
    ) -> Result<Self> {
        let state = match slot.gathering() {
            None => State::Accumulator(None),
            Some(Gathering::Mode) => State::Mode(Mode::default()),
            Some(_) => State::Values(GroupValues::new(context)),
        };
        let needed = if slot.gathering().is_some() { 1 } else { usize::MAX };
        let columns_of_row: Vec<usize> = slot.arguments.iter().copied().take(needed).collect();
        Ok(CallFold {
            layout: layout.clone(),
            call: slot.call.clone(),
            arguments: columns_of_row.iter().map(|&column| place(column)).collect(),
            columns_of_row,
            item: slot.item.clone(),
            filter: slot.filter.map(place),
            distinct: slot.distinct,
            ignores_nulls: slot.ignores_nulls(),
            state,
            last: None,
            kept: Vec::new(),
            kept_bounds: Vec::new(),
            columns: Vec::new(),
        })
    }

    /// Finds the rows that count.
    pub(super) fn begin_batch(&mut self, segments: &Segments) -> Result<()> {
        let filter = self.filter.map(|filter| segments.column(filter)).transpose()?.map(|filter| filter.as_boolean());
        let nulls = match self.ignores_nulls {
            true => segments.column(self.arguments.first().copied().unwrap_or(usize::MAX))?.logical_nulls(),
            false => None,
        };
        self.kept.clear();
        self.kept_bounds.clear();
        self.kept_bounds.push(0);
        for segment in 0..segments.count() {
            if segment > 0 || !segments.continues {
                self.last = None;
            }
            let mut last = None;
            for row in segments.bounds[segment]..segments.bounds[segment + 1] {
                let passes = filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row))
                    && nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
                if !passes || self.distinct && self.is_repeated(segments, last, row)? {
                    continue;
                }
                last = Some(row);
                self.kept.push(u32::try_from(row).map_err(|_| Error::internal("a batch of more than 2^32 rows"))?);
            }
            if let (true, Some(last)) = (self.distinct, last) {
                self.last = Some(segments.order_row(last)?.owned());
            }
            self.kept_bounds.push(self.kept.len());
        }
        let rows = if self.kept.len() == segments.batch.num_rows() {
            None
        } else {
            Some(UInt32Array::from(self.kept.clone()))
        };
        self.columns.clear();
        for &argument in &self.arguments {
            let column = segments.column(argument)?;
            self.columns.push(match &rows {
                None => column.clone(),
                Some(rows) => take(column, rows, None)?,
            });
        }
        Ok(())
    }

    /// Whether the value of `row` is that of the last row that counted in its group.
    fn is_repeated(&self, segments: &Segments, last: Option<usize>, row: usize) -> Result<bool> {
        let row = segments.order_row(row)?;
        match (last, &self.last) {
            (Some(last), _) => Ok(segments.order_row(last)? == row),
            (None, Some(last)) => Ok(last.row() == row),
            (None, None) => Ok(false),
        }
    }

    /// Takes run `segment` of the batch into the group that is being read.
    pub(super) fn add(&mut self, segments: &Segments, segment: usize) -> Result<()> {
        let (start, end) = (self.kept_bounds[segment], self.kept_bounds[segment + 1]);
        if start == end {
            return Ok(());
        }
        let columns: Vec<ArrayRef> = self.columns.iter().map(|column| column.slice(start, end - start)).collect();
        match &mut self.state {
            State::Values(values) => columns.into_iter().take(1).for_each(|column| values.push(column)),
            State::Accumulator(accumulator) => {
                let accumulator = match accumulator {
                    Some(accumulator) => accumulator,
                    empty => empty.insert(self.call.accumulator()?),
                };
                let columns = columns.iter().zip(&self.columns_of_row);
                let columns = columns.map(|(column, &index)| self.layout.in_own_type(index, column));
                accumulator.update_batch(&columns.collect::<Result<Vec<_>>>()?, &vec![0; end - start], None, 1)?;
            }
            State::Mode(mode) => {
                let mut done = 0;
                for run in self.kept[start..end].chunk_by(|&left, &right| {
                    let rows = segments.order_row(left as usize).ok().zip(segments.order_row(right as usize).ok());
                    rows.is_some_and(|(left, right)| left == right)
                }) {
                    let row = segments.order_row(run[0] as usize)?;
                    mode.add(row, run.len(), || columns[0].slice(done, 1), segments.sequence(run[0] as usize)?);
                    done += run.len();
                }
            }
        }
        Ok(())
    }

    /// The batch goes: what is kept of it is copied.
    pub(super) fn end_batch(&mut self) -> Result<()> {
        self.columns.clear();
        match &mut self.state {
            State::Values(values) => values.settle(),
            State::Mode(mode) => mode.settle(),
            State::Accumulator(_) => Ok(()),
        }
    }

    /// The value of the group that has been read, as one row; what it holds is added to `reservation`.
    pub(super) fn finish(&mut self, reservation: &mut Reservation) -> Result<ArrayRef> {
        let result = self.call.field().data_type().clone();
        let empty = || Ok(cast(&self.call.empty_value()?.to_array()?, &result)?);
        match &mut self.state {
            State::Accumulator(accumulator) => match accumulator.take() {
                Some(mut accumulator) => Ok(accumulator.evaluate(EmitTo::All)?),
                None => empty(),
            },
            State::Mode(mode) => match std::mem::take(mode).value() {
                Some(value) => Ok(cast(&value, &result)?),
                None => empty(),
            },
            State::Values(values) if values.rows() == 0 => empty(),
            State::Values(values) => {
                let values = values.take();
                let gathering = self.call.gathering().ok_or_else(|| Error::internal("values for no gathering"))?;
                gathered(gathering, values, &self.item, &result, reservation)
            }
        }
    }
}

fn gathered(
    gathering: &Gathering,
    mut values: GroupValues,
    item: &DataType,
    result: &DataType,
    reservation: &mut Reservation,
) -> Result<ArrayRef> {
    if let Gathering::Text { separator } = gathering {
        return joined(values, separator, reservation);
    }
    if gathering.picks() {
        return match gathering.pick(values.rows()) {
            Some(row) => Ok(cast(&values.at(row)?, result)?),
            None => Ok(arrow::array::new_null_array(result, 1)),
        };
    }
    if let Gathering::Quantiles { .. } = gathering
        && values.is_stored()
    {
        return gathering.of_sorted(values.rows(), |row| values.at(row));
    }
    let bytes = values.bytes();
    reservation.grow(2 * bytes)?;
    let rows = values.rows();
    let value = gathering.evaluate(&values.all()?, &[0, rows], item)?;
    reservation.shrink(bytes);
    Ok(value)
}

/// All texts in one, made batch by batch.
fn joined(values: GroupValues, separator: &str, reservation: &mut Reservation) -> Result<ArrayRef> {
    reservation.grow(values.bytes() + values.rows() * separator.len())?;
    let mut text: Vec<u8> = Vec::with_capacity(values.bytes() + values.rows() * separator.len());
    let mut is_first = true;
    values.for_each(|part| {
        let part = cast(part, &DataType::LargeUtf8)?;
        for value in part.as_string::<i64>().iter().flatten() {
            if !std::mem::take(&mut is_first) {
                text.extend_from_slice(separator.as_bytes());
            }
            text.extend_from_slice(value.as_bytes());
        }
        Ok(())
    })?;
    let offsets = OffsetBuffer::from_lengths([text.len()]);
    in_views(&LargeStringArray::try_new(offsets, Buffer::from_vec(text), None)?)
}

/// The most frequent value so far, and the run that is being read.
#[derive(Default)]
struct Mode {
    run: Option<Run>,
    best: Option<Run>,
}

struct Run {
    key: OwnedRow,
    value: ArrayRef,
    rows: usize,
    first: u64,
}

impl Mode {
    fn add(&mut self, key: Row, rows: usize, value: impl FnOnce() -> ArrayRef, first: u64) {
        match &mut self.run {
            Some(run) if run.key.row() == key => run.rows += rows,
            _ => {
                self.end_run();
                self.run = Some(Run { key: key.owned(), value: value(), rows, first });
            }
        }
    }

    fn end_run(&mut self) {
        let Some(run) = self.run.take() else { return };
        let is_better = |best: &Run| (run.rows, best.first) > (best.rows, run.first);
        if self.best.as_ref().is_none_or(is_better) {
            self.best = Some(run);
        }
    }

    fn settle(&mut self) -> Result<()> {
        for run in self.run.iter_mut().chain(&mut self.best) {
            run.value = concat(&[run.value.as_ref(), new_empty_array(run.value.data_type()).as_ref()])?;
        }
        Ok(())
    }

    fn value(mut self) -> Option<ArrayRef> {
        self.end_run();
        self.best.map(|best| best.value)
    }
}
