//! The states of AVG: a count and a total, per group, running and distinct.

use std::marker::PhantomData;
use std::mem::{size_of, size_of_val};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, PrimitiveArray, UInt64Array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, UInt64Type};
use datafusion_common::{Result as DataFusionResult, ScalarValue, internal_err};
use datafusion_expr::{Accumulator, EmitTo, GroupsAccumulator};

use super::groups::{count_rows, counted, for_each};
use super::sum_accumulators::{DistinctSum, RunningSum, argument, overflow};
use super::totals::{Addend, InputType, SumType, Total, add_rows, widened};

/// One count and total per group. `I` is the argument's type, `S` the sum's, `O` the result's.
pub(super) struct AverageGroups<I: InputType, S: SumType, O: InputType, F> {
    counts: Vec<u64>,
    sums: Vec<S::Total>,
    sum_type: DataType,
    result_type: DataType,
    /// Total and count (not zero) to average.
    divide: F,
    types: PhantomData<(I, O)>,
}

impl<I, S, O, F> AverageGroups<I, S, O, F>
where
    I: InputType,
    S: SumType,
    O: InputType,
{
    pub(super) fn new(sum_type: DataType, result_type: DataType, divide: F) -> Self {
        AverageGroups { counts: Vec::new(), sums: Vec::new(), sum_type, result_type, divide, types: PhantomData }
    }

    fn resize(&mut self, total: usize) {
        self.counts.resize(total.max(self.counts.len()), 0);
        self.sums.resize(total.max(self.sums.len()), S::Total::default());
    }

    /// The state; sums are NULL for groups without a value.
    fn columns(&self, counts: Vec<u64>, sums: Vec<S::Total>) -> Vec<ArrayRef> {
        let nulls = groups_with_values(&counts);
        let mut columns = vec![Arc::new(UInt64Array::from(counts)) as ArrayRef];
        columns.extend(S::states(sums, nulls, &self.sum_type));
        columns
    }

    fn checked(&self, overflowed: bool) -> DataFusionResult<()> {
        if overflowed { Err(overflow("avg", &self.sum_type).into()) } else { Ok(()) }
    }
}

/// Which groups have a value; `None` when all have.
fn groups_with_values(counts: &[u64]) -> Option<NullBuffer> {
    counts.contains(&0).then(|| counts.iter().map(|count| *count > 0).collect())
}

impl<I, S, O, F> GroupsAccumulator for AverageGroups<I, S, O, F>
where
    I: InputType,
    S: SumType,
    O: InputType,
    I::Native: Addend<S::Total>,
    F: Fn(S::Total, u64) -> DataFusionResult<O::Native> + Send + 'static,
{
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> DataFusionResult<()> {
        let values = argument::<I>(values)?;
        self.resize(total);
        let rows = counted(values.nulls(), filter);
        count_rows(&mut self.counts, groups, rows.as_ref());
        let overflowed = add_rows(&mut self.sums, groups, values.values(), rows.as_ref());
        self.checked(overflowed)
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], total: usize) -> DataFusionResult<()> {
        let Some((counts, sums)) = states.split_first() else { return internal_err!("a state of avg is empty") };
        let counts = argument::<UInt64Type>(std::slice::from_ref(counts))?;
        let (sums, nulls) = S::totals(sums)?;
        self.resize(total);
        let mut overflowed = false;
        for_each(groups, counts.values(), counted(counts.nulls(), None).as_ref(), |group, count| {
            self.counts[group] += count;
        });
        for_each(groups, &sums, nulls.as_ref(), |group, sum| overflowed |= self.sums[group].merge(sum));
        self.checked(overflowed)
    }

    fn evaluate(&mut self, emit: EmitTo) -> DataFusionResult<ArrayRef> {
        let (counts, sums) = (emit.take_needed(&mut self.counts), emit.take_needed(&mut self.sums));
        let average = |(&count, sum): (&u64, S::Total)| match count {
            0 => Ok(O::Native::default()),
            _ => (self.divide)(sum, count),
        };
        let averages = counts.iter().zip(sums).map(average).collect::<DataFusionResult<Vec<_>>>()?;
        let averages = PrimitiveArray::<O>::new(averages.into(), groups_with_values(&counts));
        Ok(Arc::new(averages.with_data_type(self.result_type.clone())))
    }

    fn state(&mut self, emit: EmitTo) -> DataFusionResult<Vec<ArrayRef>> {
        let (counts, sums) = (emit.take_needed(&mut self.counts), emit.take_needed(&mut self.sums));
        Ok(self.columns(counts, sums))
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> DataFusionResult<Vec<ArrayRef>> {
        let values = argument::<I>(values)?;
        let counts: Vec<_> = match counted(values.nulls(), filter) {
            Some(rows) => rows.iter().map(u64::from).collect(),
            None => vec![1; values.len()],
        };
        Ok(self.columns(counts, values.values().iter().map(|value| widened(*value)).collect()))
    }

    fn size(&self) -> usize {
        self.counts.capacity() * size_of::<u64>() + self.sums.capacity() * size_of::<S::Total>()
    }
}

/// How many units of a number of this type are one.
pub(in crate::expr) fn unit(data_type: &DataType) -> f64 {
    match data_type {
        DataType::Decimal128(_, scale) => 10_f64.powi(i32::from(*scale)),
        _ => 1.0,
    }
}

/// One average as DOUBLE, from which values can be taken away again.
#[derive(Debug)]
pub(super) struct RunningAverage<I: InputType, S: SumType> {
    sum: RunningSum<I, S>,
    count: u64,
    /// How many of the sum's units are one.
    unit: f64,
    divide: fn(S::Total, f64) -> f64,
}

impl<I: InputType, S: SumType> RunningAverage<I, S>
where
    I::Native: Addend<S::Total>,
{
    pub(super) fn new(input: &DataType, sum_type: &DataType, divide: fn(S::Total, f64) -> f64) -> Self {
        RunningAverage { sum: RunningSum::new(input, sum_type), count: 0, unit: unit(input), divide }
    }
}

impl<I: InputType, S: SumType> Accumulator for RunningAverage<I, S>
where
    I::Native: Addend<S::Total>,
{
    fn update_batch(&mut self, values: &[ArrayRef]) -> DataFusionResult<()> {
        self.count += values.first().map_or(0, |array| array.len() - array.null_count()) as u64;
        self.sum.update_batch(values)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> DataFusionResult<()> {
        let Some((counts, sums)) = states.split_first() else { return internal_err!("a state of avg is empty") };
        let counts = argument::<UInt64Type>(std::slice::from_ref(counts))?;
        self.count += counts.iter().flatten().sum::<u64>();
        self.sum.merge_batch(sums)
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> DataFusionResult<()> {
        self.count -= values.first().map_or(0, |array| array.len() - array.null_count()) as u64;
        self.sum.retract_batch(values)
    }

    fn evaluate(&mut self) -> DataFusionResult<ScalarValue> {
        Ok(ScalarValue::Float64((self.count > 0).then(|| (self.divide)(self.sum.sum(), self.count as f64 * self.unit))))
    }

    fn state(&mut self) -> DataFusionResult<Vec<ScalarValue>> {
        let mut state = vec![ScalarValue::UInt64(Some(self.count))];
        state.extend(self.sum.state()?);
        Ok(state)
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

/// The average of the distinct values as DOUBLE.
#[derive(Debug)]
pub(super) struct DistinctAverage<I: InputType, S: SumType> {
    values: DistinctSum<I, S>,
    /// How many of the sum's units are one.
    unit: f64,
    divide: fn(S::Total, f64) -> f64,
}

impl<I: InputType, S: SumType> DistinctAverage<I, S>
where
    I::Native: Addend<S::Total>,
{
    pub(super) fn new(input: &DataType, sum_type: &DataType, divide: fn(S::Total, f64) -> f64) -> Self {
        DistinctAverage { values: DistinctSum::new(input, sum_type), unit: unit(input), divide }
    }
}

impl<I: InputType, S: SumType> Accumulator for DistinctAverage<I, S>
where
    I::Native: Addend<S::Total>,
{
    fn update_batch(&mut self, values: &[ArrayRef]) -> DataFusionResult<()> {
        self.values.update_batch(values)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> DataFusionResult<()> {
        self.values.merge_batch(states)
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> DataFusionResult<()> {
        self.values.retract_batch(values)
    }

    fn evaluate(&mut self) -> DataFusionResult<ScalarValue> {
        let (sum, count) = (self.values.total()?, self.values.count());
        Ok(ScalarValue::Float64((count > 0).then(|| (self.divide)(sum, count as f64 * self.unit))))
    }

    fn state(&mut self) -> DataFusionResult<Vec<ScalarValue>> {
        self.values.state()
    }

    fn size(&self) -> usize {
        self.values.size()
    }
}
