//! The states of SUM: per group, running (with retraction, for windows) and distinct.
//!
//! Invariant: a 128-bit sum is exact, or its `overflow` is set and stays an error. Integers below 128 bits cannot
//! overflow it in fewer than 2^64 rows; decimals are watched addition by addition.

use std::collections::HashMap;
use std::fmt::Debug;
use std::mem::{size_of, size_of_val};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, PrimitiveArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{ArrowPrimitiveType, DataType, Decimal128Type, Float64Type};
use datafusion_common::utils::SingleRowListArrayBuilder;
use datafusion_common::{Result as DataFusionResult, ScalarValue, internal_err};
use datafusion_expr::{Accumulator, EmitTo, GroupsAccumulator};

use super::groups::{Seen, counted, for_each};
use crate::error::{Code, Error};
use crate::expr::arithmetic::DECIMAL128_LIMIT;
use crate::expr::types::sql_type_name;

/// A value that can be added to a sum of type `S`.
pub(super) trait Addend<S>: Copy {
    /// Adds; true when the sum overflowed.
    fn add_to(self, sum: &mut S) -> bool;
    /// Takes away again; true when the sum overflowed.
    fn take_from(self, sum: &mut S) -> bool;
    /// The value as a key that is equal for equal values.
    fn key(self) -> i128;
    /// The value of a key.
    fn from_key(key: i128) -> Self;
}

macro_rules! integer_addend {
    ($($native:ty),*) => {$(
        impl Addend<i128> for $native {
            #[inline(always)]
            fn add_to(self, sum: &mut i128) -> bool {
                *sum = sum.wrapping_add(i128::from(self));
                false
            }

            #[inline(always)]
            fn take_from(self, sum: &mut i128) -> bool {
                *sum = sum.wrapping_sub(i128::from(self));
                false
            }

            fn key(self) -> i128 {
                i128::from(self)
            }

            fn from_key(key: i128) -> Self {
                key as $native
            }
        }
    )*};
}

integer_addend!(i8, i16, i32, i64, u8, u16, u32, u64);

impl Addend<i128> for i128 {
    #[inline(always)]
    fn add_to(self, sum: &mut i128) -> bool {
        let overflow;
        (*sum, overflow) = sum.overflowing_add(self);
        overflow
    }

    #[inline(always)]
    fn take_from(self, sum: &mut i128) -> bool {
        let overflow;
        (*sum, overflow) = sum.overflowing_sub(self);
        overflow
    }

    fn key(self) -> i128 {
        self
    }

    fn from_key(key: i128) -> Self {
        key
    }
}

impl Addend<f64> for f64 {
    #[inline(always)]
    fn add_to(self, sum: &mut f64) -> bool {
        *sum += self;
        false
    }

    #[inline(always)]
    fn take_from(self, sum: &mut f64) -> bool {
        *sum -= self;
        false
    }

    fn key(self) -> i128 {
        // One zero and one NaN; and the order of keys, in which distinct values are added, does not depend on chance.
        let value = if self.is_nan() { f64::NAN } else { self + 0.0 };
        i128::from(value.to_bits())
    }

    fn from_key(key: i128) -> Self {
        f64::from_bits(key as u64)
    }
}

/// The type of an argument: any of arrow's primitive types.
pub(super) trait InputType: ArrowPrimitiveType + Debug + Send + Sync {}

impl<T: ArrowPrimitiveType + Debug + Send + Sync> InputType for T {}

/// The type of a sum.
pub(super) trait SumType: InputType {
    /// Whether a result fits the type.
    fn fits(sum: Self::Native) -> bool;
}

impl SumType for Decimal128Type {
    fn fits(sum: i128) -> bool {
        sum.unsigned_abs() < DECIMAL128_LIMIT.unsigned_abs()
    }
}

impl SumType for Float64Type {
    fn fits(_sum: f64) -> bool {
        true
    }
}

/// The error of a sum that does not fit `data_type`.
pub(super) fn overflow(function: &str, data_type: &DataType) -> Error {
    let type_name = sql_type_name(data_type);
    Error::new(Code::Overflow, format!("overflow in {function}: the sum does not fit {type_name}"))
        .hint("cast the argument to DOUBLE for an approximate sum")
}

/// One sum per group.
#[derive(Debug)]
pub(super) struct SumGroups<I: InputType, S: SumType> {
    sums: Vec<S::Native>,
    seen: Seen,
    result_type: DataType,
    input: std::marker::PhantomData<I>,
}

impl<I, S> SumGroups<I, S>
where
    I: InputType,
    S: SumType,
    I::Native: Addend<S::Native>,
    S::Native: Addend<S::Native>,
{
    pub(super) fn new(_input: &DataType, result_type: &DataType) -> Self {
        SumGroups {
            sums: Vec::new(),
            seen: Seen::default(),
            result_type: result_type.clone(),
            input: Default::default(),
        }
    }

    fn add<N: Addend<S::Native>>(
        &mut self,
        values: &[N],
        nulls: Option<NullBuffer>,
        groups: &[usize],
        total: usize,
    ) -> DataFusionResult<()> {
        self.sums.resize(total.max(self.sums.len()), S::Native::default());
        self.seen.note(groups, nulls.as_ref(), total);
        let sums = self.sums.as_mut_slice();
        let mut overflowed = false;
        for_each(groups, values, nulls.as_ref(), |group, value| overflowed |= value.add_to(&mut sums[group]));
        if overflowed { Err(overflow("sum", &self.result_type).into()) } else { Ok(()) }
    }

    fn take(&mut self, emit: EmitTo) -> PrimitiveArray<S> {
        let sums = emit.take_needed(&mut self.sums);
        PrimitiveArray::<S>::new(sums.into(), self.seen.take(emit)).with_data_type(self.result_type.clone())
    }
}

impl<I, S> GroupsAccumulator for SumGroups<I, S>
where
    I: InputType,
    S: SumType,
    I::Native: Addend<S::Native>,
    S::Native: Addend<S::Native>,
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
        let sums = argument::<S>(states)?;
        self.add(sums.values(), counted(sums.nulls(), None), groups, total)
    }

    fn evaluate(&mut self, emit: EmitTo) -> DataFusionResult<ArrayRef> {
        let sums = self.take(emit);
        // Groups without a value hold zero, which fits.
        if sums.values().iter().all(|sum| S::fits(*sum)) {
            Ok(Arc::new(sums))
        } else {
            Err(overflow("sum", &self.result_type).into())
        }
    }

    fn state(&mut self, emit: EmitTo) -> DataFusionResult<Vec<ArrayRef>> {
        Ok(vec![Arc::new(self.take(emit))])
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> DataFusionResult<Vec<ArrayRef>> {
        let values = argument::<I>(values)?;
        let widen = |value: &I::Native| {
            let mut sum = S::Native::default();
            value.add_to(&mut sum);
            sum
        };
        let sums: Vec<_> = values.values().iter().map(widen).collect();
        let sums = PrimitiveArray::<S>::new(sums.into(), counted(values.nulls(), filter));
        Ok(vec![Arc::new(sums.with_data_type(self.result_type.clone()))])
    }

    fn size(&self) -> usize {
        self.sums.capacity() * size_of::<S::Native>() + self.seen.size()
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
    sum: S::Native,
    /// Values in the sum; merged states count as one.
    count: u64,
    result_type: DataType,
    input: std::marker::PhantomData<I>,
}

impl<I, S> RunningSum<I, S>
where
    I: InputType,
    S: SumType,
    I::Native: Addend<S::Native>,
    S::Native: Addend<S::Native>,
{
    pub(super) fn new(_input: &DataType, result_type: &DataType) -> Self {
        let sum = S::Native::default();
        RunningSum { sum, count: 0, result_type: result_type.clone(), input: Default::default() }
    }

    fn add<T: ArrowPrimitiveType>(&mut self, values: &PrimitiveArray<T>) -> DataFusionResult<()>
    where
        T::Native: Addend<S::Native>,
    {
        let mut overflowed = false;
        let mut sum = self.sum;
        match values.nulls() {
            None => values.values().iter().for_each(|value| overflowed |= value.add_to(&mut sum)),
            Some(_) => values.iter().flatten().for_each(|value| overflowed |= value.add_to(&mut sum)),
        }
        self.sum = sum;
        self.count += (values.len() - values.null_count()) as u64;
        if overflowed { Err(overflow("sum", &self.result_type).into()) } else { Ok(()) }
    }

    /// The sum so far; zero when there is none.
    pub(super) fn sum(&self) -> S::Native {
        self.sum
    }

    fn value(&self) -> DataFusionResult<ScalarValue> {
        ScalarValue::new_primitive::<S>((self.count > 0).then_some(self.sum), &self.result_type)
    }
}

impl<I, S> Accumulator for RunningSum<I, S>
where
    I: InputType,
    S: SumType,
    I::Native: Addend<S::Native>,
    S::Native: Addend<S::Native>,
{
    fn update_batch(&mut self, values: &[ArrayRef]) -> DataFusionResult<()> {
        self.add(argument::<I>(values)?)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> DataFusionResult<()> {
        self.add(argument::<S>(states)?)
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
            self.sum = S::Native::default();
        }
        if overflowed { Err(overflow("sum", &self.result_type).into()) } else { Ok(()) }
    }

    fn evaluate(&mut self) -> DataFusionResult<ScalarValue> {
        if S::fits(self.sum) { self.value() } else { Err(overflow("sum", &self.result_type).into()) }
    }

    fn state(&mut self) -> DataFusionResult<Vec<ScalarValue>> {
        Ok(vec![self.value()?])
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
    I::Native: Addend<S::Native>,
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

    /// Their sum; `None` when there is no value.
    pub(super) fn sum(&self) -> DataFusionResult<Option<S::Native>> {
        let mut sum = S::Native::default();
        let mut overflowed = false;
        for value in self.values() {
            overflowed |= value.add_to(&mut sum);
        }
        if overflowed || !S::fits(sum) {
            return Err(overflow("sum", &self.result_type).into());
        }
        Ok((!self.counts.is_empty()).then_some(sum))
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
    I::Native: Addend<S::Native>,
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
        ScalarValue::new_primitive::<S>(self.sum()?, &self.result_type)
    }

    fn state(&mut self) -> DataFusionResult<Vec<ScalarValue>> {
        let values = PrimitiveArray::<I>::from_iter_values(self.values()).with_data_type(self.input_type.clone());
        Ok(vec![SingleRowListArrayBuilder::new(Arc::new(values)).build_list_scalar()])
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.counts.capacity() * size_of::<(i128, u64)>()
    }
}
