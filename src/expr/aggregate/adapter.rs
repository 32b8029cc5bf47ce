//! Aggregates that exist only for one group, made to work for many.
//!
//! The library's adapter looks at every group for every batch; this one looks at the groups that the batch has.

use std::mem::size_of;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, UInt32Array, new_empty_array};
use arrow::compute::{filter, take_arrays};
use arrow::datatypes::FieldRef;
use datafusion_common::{Result as DataFusionResult, ScalarValue, internal_err};
use datafusion_expr::{Accumulator, EmitTo, GroupsAccumulator};
use datafusion_physical_expr::aggregate::AggregateFunctionExpr;

/// One accumulator per group.
pub(super) struct PerGroup {
    function: Arc<AggregateFunctionExpr>,
    state_fields: Vec<FieldRef>,
    accumulators: Vec<Box<dyn Accumulator>>,
    /// Bytes that the accumulators hold.
    bytes: usize,
}

impl PerGroup {
    pub(super) fn new(function: Arc<AggregateFunctionExpr>, state_fields: Vec<FieldRef>) -> Self {
        PerGroup { function, state_fields, accumulators: Vec::new(), bytes: 0 }
    }

    /// Calls `give` with each group of the batch and its rows.
    fn dispatch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        selected: Option<&BooleanArray>,
        total: usize,
        give: impl Fn(&mut dyn Accumulator, &[ArrayRef]) -> DataFusionResult<()>,
    ) -> DataFusionResult<()> {
        while self.accumulators.len() < total {
            let accumulator = self.function.create_accumulator()?;
            self.bytes += accumulator.size();
            self.accumulators.push(accumulator);
        }
        let rows = ordered_rows(groups, selected)?;
        let ordered = UInt32Array::from_iter_values(rows.iter().map(|&(_, row)| row));
        let values = take_arrays(values, &ordered, None)?;
        let mut start = 0;
        for run in rows.chunk_by(|left, right| left.0 == right.0) {
            let slices: Vec<_> = values.iter().map(|array| array.slice(start, run.len())).collect();
            start += run.len();
            let Some(accumulator) = run.first().and_then(|&(group, _)| self.accumulators.get_mut(group)) else {
                return internal_err!("a group beyond the number of groups");
            };
            let before = accumulator.size();
            give(accumulator.as_mut(), &slices)?;
            self.bytes = (self.bytes + accumulator.size()).saturating_sub(before);
        }
        Ok(())
    }

    fn take(&mut self, emit: EmitTo) -> Vec<Box<dyn Accumulator>> {
        let taken = emit.take_needed(&mut self.accumulators);
        let freed: usize = taken.iter().map(|accumulator| accumulator.size()).sum();
        self.bytes = if self.accumulators.is_empty() { 0 } else { self.bytes.saturating_sub(freed) };
        taken
    }
}

/// The rows that count with their groups, group by group, in row order within each.
fn ordered_rows(groups: &[usize], selected: Option<&BooleanArray>) -> DataFusionResult<Vec<(usize, u32)>> {
    let mut rows = Vec::with_capacity(groups.len());
    for (row, &group) in groups.iter().enumerate() {
        if selected.is_none_or(|selected| selected.is_valid(row) && selected.value(row)) {
            let Ok(row) = u32::try_from(row) else { return internal_err!("a batch of more than 2^32 rows") };
            rows.push((group, row));
        }
    }
    if !rows.is_sorted() {
        rows.sort_unstable();
    }
    Ok(rows)
}

/// The states of `accumulators`, column by column.
fn states(
    accumulators: impl Iterator<Item = DataFusionResult<Box<dyn Accumulator>>>,
    fields: &[FieldRef],
) -> DataFusionResult<Vec<ArrayRef>> {
    let mut columns = vec![Vec::new(); fields.len()];
    for accumulator in accumulators {
        let state = accumulator?.state()?;
        if state.len() != columns.len() {
            return internal_err!("a state of {} columns instead of {}", state.len(), columns.len());
        }
        columns.iter_mut().zip(state).for_each(|(column, value)| column.push(value));
    }
    let array = |(column, field): (Vec<ScalarValue>, &FieldRef)| {
        if column.is_empty() { Ok(new_empty_array(field.data_type())) } else { ScalarValue::iter_to_array(column) }
    };
    columns.into_iter().zip(fields).map(array).collect()
}

impl GroupsAccumulator for PerGroup {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        selected: Option<&BooleanArray>,
        total: usize,
    ) -> DataFusionResult<()> {
        self.dispatch(values, groups, selected, total, |accumulator, values| accumulator.update_batch(values))
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], total: usize) -> DataFusionResult<()> {
        self.dispatch(states, groups, None, total, |accumulator, states| accumulator.merge_batch(states))
    }

    fn evaluate(&mut self, emit: EmitTo) -> DataFusionResult<ArrayRef> {
        let accumulators = self.take(emit);
        if accumulators.is_empty() {
            return Ok(new_empty_array(self.function.field().data_type()));
        }
        let values: Vec<_> =
            accumulators.into_iter().map(|mut accumulator| accumulator.evaluate()).collect::<Result<_, _>>()?;
        ScalarValue::iter_to_array(values)
    }

    fn state(&mut self, emit: EmitTo) -> DataFusionResult<Vec<ArrayRef>> {
        let accumulators = self.take(emit);
        states(accumulators.into_iter().map(Ok), &self.state_fields)
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        selected: Option<&BooleanArray>,
    ) -> DataFusionResult<Vec<ArrayRef>> {
        let rows = values.first().map_or(0, |array| array.len());
        let one_row = |row: usize| {
            let mut accumulator = self.function.create_accumulator()?;
            let mut slices: Vec<_> = values.iter().map(|array| array.slice(row, 1)).collect();
            if let Some(selected) = selected {
                let selected = selected.slice(row, 1);
                slices = slices.iter().map(|array| filter(array, &selected)).collect::<Result<_, _>>()?;
            }
            accumulator.update_batch(&slices)?;
            Ok(accumulator)
        };
        states((0..rows).map(one_row), &self.state_fields)
    }

    fn size(&self) -> usize {
        self.bytes + self.accumulators.capacity() * size_of::<Box<dyn Accumulator>>()
    }
}
