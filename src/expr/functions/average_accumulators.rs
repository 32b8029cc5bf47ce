//! The states of AVG: a count and a sum, per group, running and distinct.

use std::marker::PhantomData;
use std::mem::{size_of, size_of_val};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, PrimitiveArray, UInt64Array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Decimal128Type, UInt64Type};
use datafusion_common::{Result as DataFusionResult, ScalarValue, internal_err};
use datafusion_expr::{Accumulator, EmitTo, GroupsAccumulator};

use super::groups::{counted, for_each};
use super::sum_accumulators::{Addend, DistinctSum, InputType, RunningSum, SumType, argument, overflow};
use crate::expr::types::HUGEINT;

/// One count and sum per group. `I` is the argument's type, `S` the sum's, `O` the result's.
pub(super) struct AverageGroups<I: InputType, S: SumType, O: InputType, F> {
    counts: Vec<u64>,
    sums: Vec<S::Native>,
    sum_type: DataType,
    result_type: DataType,
    /// Sum and count (not zero) to average.
    divide: F,
    types: PhantomData<(I, O)>,
}

impl<I, S, O, F> AverageGroups<I, S, O, F>
where
    I: InputType,
    S: SumType,
    O: InputType,
    I::Native: Addend<S::Native>,
    S::Native: Addend<S::Native>,
    F: Fn(S::Native, u64) -> DataFusionResult<O::Native> + Send + 'static,
{
    pub(super) fn new(sum_type: DataType, result_type: DataType, divide: F) -> Self {
        AverageGroups { counts: Vec::new(), sums: Vec::new(), sum_type, result_type, divide, types: PhantomData }
    }

    fn resize(&mut self, total: usize) {
        self.counts.resize(total.max(self.counts.len()), 0);
        self.sums.resize(total.max(self.sums.len()), S::Native::default());
    }

    /// Sums of a state are NULL for groups without a value.
    fn sum_array(&self, sums: Vec<S::Native>, counts: &[u64]) -> ArrayRef {
        let nulls = groups_with_values(counts);
        Arc::new(PrimitiveArray::<S>::new(sums.into(), nulls).with_data_type(self.sum_type.clone()))
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
    I::Native: Addend<S::Native>,
    S::Native: Addend<S::Native>,
    F: Fn(S::Native, u64) -> DataFusionResult<O::Native> + Send + 'static,
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
        let (counts, sums) = (self.counts.as_mut_slice(), self.sums.as_mut_slice());
        let mut overflowed = false;
        let rows = counted(values.nulls(), filter);
        for_each(groups, values.values(), rows.as_ref(), |group, value| {
            counts[group] += 1;
            overflowed |= value.add_to(&mut sums[group]);
        });
        self.checked(overflowed)
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], total: usize) -> DataFusionResult<()> {
        let [counts, sums] = states else { return internal_err!("a state of avg has two columns") };
        let counts = argument::<UInt64Type>(std::slice::from_ref(counts))?;
        let sums = argument::<S>(std::slice::from_ref(sums))?;
        self.resize(total);
        let mut overflowed = false;
        for_each(groups, counts.values(), counted(counts.nulls(), None).as_ref(), |group, count| {
            self.counts[group] += count;
        });
        for_each(groups, sums.values(), counted(sums.nulls(), None).as_ref(), |group, sum| {
            overflowed |= sum.add_to(&mut self.sums[group]);
        });
        self.checked(overflowed)
    }

    fn evaluate(&mut self, emit: EmitTo) -> DataFusionResult<ArrayRef> {
        let (counts, sums) = (emit.take_needed(&mut self.counts), emit.take_needed(&mut self.sums));
        let average = |(&count, sum): (&u64, S::Native)| match count {
            0 => Ok(O::Native::default()),
            _ => (self.divide)(sum, count),
        };
        let averages = counts.iter().zip(sums).map(average).collect::<DataFusionResult<Vec<_>>>()?;
        let averages = PrimitiveArray::<O>::new(averages.into(), groups_with_values(&counts));
        Ok(Arc::new(averages.with_data_type(self.result_type.clone())))
    }

    fn state(&mut self, emit: EmitTo) -> DataFusionResult<Vec<ArrayRef>> {
        let (counts, sums) = (emit.take_needed(&mut self.counts), emit.take_needed(&mut self.sums));
        let sums = self.sum_array(sums, &counts);
        Ok(vec![Arc::new(UInt64Array::from(counts)), sums])
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> DataFusionResult<Vec<ArrayRef>> {
        let values = argument::<I>(values)?;
        let counts: Vec<_> = match counted(values.nulls(), filter) {
            Some(rows) => rows.iter().map(u64::from).collect(),
            None => vec![1; values.len()],
        };
        let widen = |value: &I::Native| {
            let mut sum = S::Native::default();
            value.add_to(&mut sum);
            sum
        };
        let sums = self.sum_array(values.values().iter().map(widen).collect(), &counts);
        Ok(vec![Arc::new(UInt64Array::from(counts)), sums])
    }

    fn size(&self) -> usize {
        self.counts.capacity() * size_of::<u64>() + self.sums.capacity() * size_of::<S::Native>()
    }
}

/// The average of integers, from which values can be taken away again.
#[derive(Debug)]
pub(super) struct RunningAverage<I: InputType> {
    sum: RunningSum<I, Decimal128Type>,
    count: u64,
}

impl<I: InputType> RunningAverage<I>
where
    I::Native: Addend<i128>,
{
    pub(super) fn new() -> Self {
        RunningAverage { sum: RunningSum::new(&I::DATA_TYPE, &HUGEINT), count: 0 }
    }
}

impl<I: InputType> Accumulator for RunningAverage<I>
where
    I::Native: Addend<i128>,
{
    fn update_batch(&mut self, values: &[ArrayRef]) -> DataFusionResult<()> {
        self.count += values.first().map_or(0, |array| array.len() - array.null_count()) as u64;
        self.sum.update_batch(values)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> DataFusionResult<()> {
        let [counts, sums] = states else { return internal_err!("a state of avg has two columns") };
        let counts = argument::<UInt64Type>(std::slice::from_ref(counts))?;
        self.count += counts.iter().flatten().sum::<u64>();
        self.sum.merge_batch(std::slice::from_ref(sums))
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> DataFusionResult<()> {
        self.count -= values.first().map_or(0, |array| array.len() - array.null_count()) as u64;
        self.sum.retract_batch(values)
    }

    fn evaluate(&mut self) -> DataFusionResult<ScalarValue> {
        Ok(ScalarValue::Float64((self.count > 0).then(|| self.sum.sum() as f64 / self.count as f64)))
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

/// The average of the distinct integers.
#[derive(Debug)]
pub(super) struct DistinctAverage<I: InputType>(DistinctSum<I, Decimal128Type>);

impl<I: InputType> DistinctAverage<I>
where
    I::Native: Addend<i128>,
{
    pub(super) fn new(input: &DataType) -> Self {
        DistinctAverage(DistinctSum::new(input, &HUGEINT))
    }
}

impl<I: InputType> Accumulator for DistinctAverage<I>
where
    I::Native: Addend<i128>,
{
    fn update_batch(&mut self, values: &[ArrayRef]) -> DataFusionResult<()> {
        self.0.update_batch(values)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> DataFusionResult<()> {
        self.0.merge_batch(states)
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> DataFusionResult<()> {
        self.0.retract_batch(values)
    }

    fn evaluate(&mut self) -> DataFusionResult<ScalarValue> {
        let sum = self.0.sum()?;
        Ok(ScalarValue::Float64(sum.map(|sum| sum as f64 / self.0.count() as f64)))
    }

    fn state(&mut self) -> DataFusionResult<Vec<ScalarValue>> {
        self.0.state()
    }

    fn size(&self) -> usize {
        self.0.size()
    }
}
