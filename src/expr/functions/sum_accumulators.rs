//! The states of SUM: per group, running (with retraction, for windows) and distinct.
//!
//! What they add up in is in [`totals`](super::totals).

use std::collections::HashMap;
use std::mem::{size_of, size_of_val};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, PrimitiveArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{ArrowPrimitiveType, DataType};
use datafusion_common::utils::SingleRowListArrayBuilder;
use datafusion_common::{Result as DataFusionResult, ScalarValue, internal_err};
use datafusion_expr::{Accumulator, EmitTo, GroupsAccumulator};

use super::groups::{Seen, counted, for_each};
use super::totals::{Addend, InputType, SumType, Total, add_rows, widened};
use crate::error::{Code, Error};
use crate::expr::types::sql_type_name;

/// The error of a sum that does not fit `data_type`.
pub(in crate::expr) fn overflow(function: &str, data_type: &DataType) -> Error {
    let type_name = sql_type_name(data_type);
    Error::new(Code::Overflow, format!("overflow in {function}: the sum does not fit {type_name}"))
        .hint("cast the argument to DOUBLE for an approximate sum")
}

/// One sum per group.
#[derive(Debug)]
pub(super) struct SumGroups<I: InputType, S: SumType> {
    sums: Vec<S::Total>,
    seen: Seen,
    result_type: DataType,
    input: std::marker::PhantomData<I>,
}

impl<I, S> SumGroups<I, S>
where
    I: InputType,
    S: SumType,
    I::Native: Addend<S::Total>,
{
    pub(super) fn new(_input: &DataType, result_type: &DataType) -> Self {
        SumGroups {
            sums: Vec::new(),
            seen: Seen::default(),
            result_type: result_type.clone(),
            input: Default::default(),
        }
    }

    fn add<N: Addend<S::Total>>(
        &mut self,
        values: &[N],
        nulls: Option<NullBuffer>,
        groups: &[usize],
        total: usize,
    ) -> DataFusionResult<()> {
        self.sums.resize(total.max(self.sums.len()), S::Total::default());
        self.seen.note(groups, nulls.as_ref(), total);
        let overflowed = add_rows(&mut self.sums, groups, values, nulls.as_ref());
        if overflowed { Err(overflow("sum", &self.result_type).into()) } else { Ok(()) }
    }
}

impl<I, S> GroupsAccumulator for SumGroups<I, S>
where
    I: InputType,
    S: SumType,
    I::Native: Addend<S::Total>,
{
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> DataFusionResult<()> {
        let values = argument::<I>(values)?;
        self.add(values.values(), counted(values.nulls(), filter), groups, total)
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], total: usize) -> DataFusionResult<()> {
        let (sums, nulls) = S::totals(states)?;
        self.sums.resize(total.max(self.sums.len()), S::Total::default());
        self.seen.note(groups, nulls.as_ref(), total);
        let mut overflowed = false;
        for_each(groups, &sums, nulls.as_ref(), |group, sum| overflowed |= self.sums[group].merge(sum));
        if overflowed { Err(overflow("sum", &self.result_type).into()) } else { Ok(()) }
    }

    fn evaluate(&mut self, emit: EmitTo) -> DataFusionResult<ArrayRef> {
        // Groups without a value hold zero, which fits.
        let sums: Option<Vec<_>> = emit.take_needed(&mut self.sums).into_iter().map(S::value).collect();
        let Some(sums) = sums else { return Err(overflow("sum", &self.result_type).into()) };
        let sums = PrimitiveArray::<S>::new(sums.into(), self.seen.take(emit));
        Ok(Arc::new(sums.with_data_type(self.result_type.clone())))
    }

    fn state(&mut self, emit: EmitTo) -> DataFusionResult<Vec<ArrayRef>> {
        let sums = emit.take_needed(&mut self.sums);
        Ok(S::states(sums, self.seen.take(emit), &self.result_type))
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> DataFusionResult<Vec<ArrayRef>> {
        let values = argument::<I>(values)?;
        let sums = values.values().iter().map(|value| widened(*value)).collect();
        Ok(S::states(sums, counted(values.nulls(), filter), &self.result_type))
    }

    fn size(&self) -> usize {
        self.sums.capacity() * size_of::<S::Total>() + self.seen.size()
    }
}

/// The only argument, as an array of its type.
pub(super) fn argument<T: ArrowPrimitiveType>(values: &[ArrayRef]) -> DataFusionResult<&PrimitiveArray<T>> {
    match values.first().and_then(|array| array.as_primitive_opt::<T>()) {
        Some(array) => Ok(array),
        None => internal_err!("an argument that is no {}", T::DATA_TYPE),
    }
}

/// One sum, from which values can be taken away again.
#[derive(Debug)]
pub(super) struct RunningSum<I: InputType, S: SumType> {
    sum: S::Total,
    /// Values in the sum; merged states count as one.
    count: u64,
    result_type: DataType,
    input: std::marker::PhantomData<I>,
}

impl<I, S> RunningSum<I, S>
where
    I: InputType,
    S: SumType,
    I::Native: Addend<S::Total>,
{
    pub(super) fn new(_input: &DataType, result_type: &DataType) -> Self {
        let sum = S::Total::default();
        RunningSum { sum, count: 0, result_type: result_type.clone(), input: Default::default() }
    }

    /// The sum so far; zero when there is none.
    pub(super) fn sum(&self) -> S::Total {
        self.sum
    }

    fn checked(&self, overflowed: bool) -> DataFusionResult<()> {
        if overflowed { Err(overflow("sum", &self.result_type).into()) } else { Ok(()) }
    }
}

impl<I, S> Accumulator for RunningSum<I, S>
where
    I: InputType,
    S: SumType,
    I::Native: Addend<S::Total>,
{
    fn update_batch(&mut self, values: &[ArrayRef]) -> DataFusionResult<()> {
        let values = argument::<I>(values)?;
        let mut overflowed = false;
        let mut sum = self.sum;
        match values.nulls() {
            None => values.values().iter().for_each(|value| overflowed |= value.add_to(&mut sum)),
            Some(_) => values.iter().flatten().for_each(|value| overflowed |= value.add_to(&mut sum)),
        }
        self.sum = sum;
        self.count += (values.len() - values.null_count()) as u64;
        self.checked(overflowed)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> DataFusionResult<()> {
        let (sums, nulls) = S::totals(states)?;
        let mut overflowed = false;
        for (row, sum) in sums.into_iter().enumerate() {
            if nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)) {
                overflowed |= self.sum.merge(sum);
                self.count += 1;
            }
        }
        self.checked(overflowed)
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> DataFusionResult<()> {
        let values = argument::<I>(values)?;
        let mut overflowed = false;
        values.iter().flatten().for_each(|value| overflowed |= value.take_from(&mut self.sum));
        self.count = self.count.saturating_sub((values.len() - values.null_count()) as u64);
        if self.count == 0 {
            // What rounding left behind goes with the last value.
            self.sum = S::Total::default();
        }
        self.checked(overflowed)
    }

    fn evaluate(&mut self) -> DataFusionResult<ScalarValue> {
        let sum = S::value(self.sum);
        self.checked(sum.is_none())?;
        ScalarValue::new_primitive::<S>(sum.filter(|_| self.count > 0), &self.result_type)
    }

    fn state(&mut self) -> DataFusionResult<Vec<ScalarValue>> {
        let nulls = (self.count == 0).then(|| NullBuffer::new_null(1));
        let states = S::states(vec![self.sum], nulls, &self.result_type);
        states.iter().map(|state| ScalarValue::try_from_array(state, 0)).collect()
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

/// The sum of the distinct values.
#[derive(Debug)]
pub(super) struct DistinctSum<I: InputType, S: SumType> {
    /// How often each value is in the frame, by its key.
    counts: HashMap<i128, u64, foldhash::fast::RandomState>,
    input_type: DataType,
    result_type: DataType,
    types: std::marker::PhantomData<(I, S)>,
}

impl<I, S> DistinctSum<I, S>
where
    I: InputType,
    S: SumType,
    I::Native: Addend<S::Total>,
{
    pub(super) fn new(input: &DataType, result_type: &DataType) -> Self {
        let counts = HashMap::default();
        DistinctSum { counts, input_type: input.clone(), result_type: result_type.clone(), types: Default::default() }
    }

    /// The distinct values in the order of their keys.
    fn values(&self) -> Vec<I::Native> {
        let mut keys: Vec<_> = self.counts.keys().copied().collect();
        keys.sort_unstable();
        keys.into_iter().map(I::Native::from_key).collect()
    }

    /// How many distinct values there are.
    pub(super) fn count(&self) -> usize {
        self.counts.len()
    }

    /// Their total; zero when there is no value.
    pub(super) fn total(&self) -> DataFusionResult<S::Total> {
        let mut total = S::Total::default();
        let mut overflowed = false;
        for value in self.values() {
            overflowed |= value.add_to(&mut total);
        }
        if overflowed { Err(overflow("sum", &self.result_type).into()) } else { Ok(total) }
    }

    fn insert(&mut self, values: &PrimitiveArray<I>) {
        for value in values.iter().flatten() {
            *self.counts.entry(value.key()).or_default() += 1;
        }
    }
}

impl<I, S> Accumulator for DistinctSum<I, S>
where
    I: InputType,
    S: SumType,
    I::Native: Addend<S::Total>,
{
    fn update_batch(&mut self, values: &[ArrayRef]) -> DataFusionResult<()> {
        self.insert(argument::<I>(values)?);
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> DataFusionResult<()> {
        let Some(lists) = states.first().and_then(|state| state.as_list_opt::<i32>()) else {
            return internal_err!("a state of sum distinct that is no list");
        };
        for list in lists.iter().flatten() {
            self.insert(argument::<I>(&[list])?);
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> DataFusionResult<()> {
        for value in argument::<I>(values)?.iter().flatten() {
            if let std::collections::hash_map::Entry::Occupied(mut entry) = self.counts.entry(value.key()) {
                *entry.get_mut() -= 1;
                if *entry.get() == 0 {
                    entry.remove();
                }
            }
        }
        Ok(())
    }

    fn evaluate(&mut self) -> DataFusionResult<ScalarValue> {
        let Some(sum) = S::value(self.total()?) else { return Err(overflow("sum", &self.result_type).into()) };
        ScalarValue::new_primitive::<S>((!self.counts.is_empty()).then_some(sum), &self.result_type)
    }

    fn state(&mut self) -> DataFusionResult<Vec<ScalarValue>> {
        let values = PrimitiveArray::<I>::from_iter_values(self.values()).with_data_type(self.input_type.clone());
        Ok(vec![SingleRowListArrayBuilder::new(Arc::new(values)).build_list_scalar()])
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.counts.capacity() * size_of::<(i128, u64)>()
    }
}
