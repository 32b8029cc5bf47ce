//! Sums, averages and counts over a moving frame: what leaves is taken away again.
//!
//! Integers and decimals are exact. Floats keep what every step rounded away, so that a value that leaves takes with it
//! nearly all that it brought; infinities and NaN are counted apart, since they could never be taken away.
//!
//! # Known limitation
//! A float total that passed the greatest DOUBLE stays infinite until its frame is empty.

use std::marker::PhantomData;
use std::mem::size_of;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, NullBufferBuilder, PrimitiveArray};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Decimal32Type, Decimal64Type, Decimal128Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};

use super::sliding::{Removal, SlidingAggregate, SlidingInputs, Step};
use crate::error::{Error, Result};
use crate::expr::aggregate::AggregateCall;
use crate::expr::functions::{Addend, Compensated, InputType, SumType, overflow, unit};

/// A total of values of type `N` that values can leave; both give true when it overflowed.
pub(super) trait SlidingTotal<N>: Copy + Default + Send + 'static {
    fn add(&mut self, value: N) -> bool;
    fn remove(&mut self, value: N) -> bool;
}

impl<N: Addend<i128>> SlidingTotal<N> for i128 {
    #[inline(always)]
    fn add(&mut self, value: N) -> bool {
        value.add_to(self)
    }

    #[inline(always)]
    fn remove(&mut self, value: N) -> bool {
        value.take_from(self)
    }
}

/// A float total.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct FloatTotal {
    finite: Compensated,
    nan: u64,
    positive: u64,
    negative: u64,
}

impl FloatTotal {
    /// The counter of values like `value`, if it is not finite.
    fn special(&mut self, value: f64) -> Option<&mut u64> {
        match value {
            value if value.is_finite() => None,
            value if value.is_nan() => Some(&mut self.nan),
            value if value > 0.0 => Some(&mut self.positive),
            _ => Some(&mut self.negative),
        }
    }

    fn value(self) -> f64 {
        match self {
            FloatTotal { nan: 1.., .. } | FloatTotal { positive: 1.., negative: 1.., .. } => f64::NAN,
            FloatTotal { positive: 1.., .. } => f64::INFINITY,
            FloatTotal { negative: 1.., .. } => f64::NEG_INFINITY,
            FloatTotal { finite, .. } => finite.value(),
        }
    }
}

impl SlidingTotal<f64> for FloatTotal {
    #[inline(always)]
    fn add(&mut self, value: f64) -> bool {
        match self.special(value) {
            None => value.add_to(&mut self.finite),
            Some(count) => {
                *count += 1;
                false
            }
        }
    }

    #[inline(always)]
    fn remove(&mut self, value: f64) -> bool {
        match self.special(value) {
            None => value.take_from(&mut self.finite),
            Some(count) => {
                *count = count.saturating_sub(1);
                false
            }
        }
    }
}

/// A function of a total and the number of values in it.
struct SlidingTotals<I: InputType, T, O: ArrowPrimitiveType, F> {
    total: T,
    count: u64,
    finish: F,
    result_type: DataType,
    values: Vec<O::Native>,
    nulls: NullBufferBuilder,
    input: PhantomData<I>,
}

impl<I, T, O, F> SlidingTotals<I, T, O, F>
where
    I: InputType,
    T: SlidingTotal<I::Native>,
    O: ArrowPrimitiveType,
    F: Fn(T, u64) -> Result<O::Native> + Send + 'static,
{
    fn boxed(result_type: &DataType, finish: F) -> Box<dyn SlidingAggregate> {
        Box::new(SlidingTotals::<I, T, O, F> {
            total: T::default(),
            count: 0,
            finish,
            result_type: result_type.clone(),
            values: Vec::new(),
            nulls: NullBufferBuilder::new(0),
            input: PhantomData,
        })
    }
}

fn values_of<I: ArrowPrimitiveType>(inputs: &SlidingInputs) -> Result<&PrimitiveArray<I>> {
    let argument = inputs.arguments.first().and_then(|argument| argument.as_primitive_opt::<I>());
    argument.ok_or_else(|| Error::internal(format!("a window's argument is no {}", I::DATA_TYPE)))
}

impl<I, T, O, F> SlidingAggregate for SlidingTotals<I, T, O, F>
where
    I: InputType,
    T: SlidingTotal<I::Native>,
    O: ArrowPrimitiveType,
    F: Fn(T, u64) -> Result<O::Native> + Send + 'static,
{
    fn apply(&mut self, entering: &SlidingInputs, leaving: &SlidingInputs, steps: &[Step]) -> Result<()> {
        let (entering_counts, leaving_counts) = (entering.counted(), leaving.counted());
        let (entering, leaving) = (values_of::<I>(entering)?.values(), values_of::<I>(leaving)?.values());
        let (mut total, mut count, mut overflowed) = (self.total, self.count, false);
        for step in steps {
            match *step {
                Step::Reset => (total, count) = (T::default(), 0),
                Step::Add { from, to } => {
                    for row in from as usize..to as usize {
                        if entering_counts.as_ref().is_none_or(|counts| counts.is_valid(row)) {
                            overflowed |= total.add(entering[row]);
                            count += 1;
                        }
                    }
                }
                Step::Remove { from, to } => {
                    for row in from as usize..to as usize {
                        if leaving_counts.as_ref().is_none_or(|counts| counts.is_valid(row)) {
                            overflowed |= total.remove(leaving[row]);
                            count -= 1;
                        }
                    }
                    if count == 0 {
                        // What rounding left behind goes with the last value.
                        total = T::default();
                    }
                }
                Step::Emit { rows } if count == 0 => {
                    self.values.extend(std::iter::repeat_n(O::Native::default(), rows as usize));
                    self.nulls.append_n_nulls(rows as usize);
                }
                Step::Emit { rows } => {
                    let value = (self.finish)(total, count)?;
                    self.values.extend(std::iter::repeat_n(value, rows as usize));
                    self.nulls.append_n_non_nulls(rows as usize);
                }
            }
        }
        (self.total, self.count) = (total, count);
        if overflowed { Err(overflow("sum", &self.result_type)) } else { Ok(()) }
    }

    fn take(&mut self) -> Result<ArrayRef> {
        let values = std::mem::take(&mut self.values);
        let array = PrimitiveArray::<O>::try_new(values.into(), self.nulls.finish())?;
        Ok(Arc::new(array.with_data_type(self.result_type.clone())))
    }

    fn removal(&self) -> Removal {
        Removal::Any
    }

    fn bytes(&self) -> usize {
        self.values.capacity() * size_of::<O::Native>() + self.nulls.allocated_size()
    }
}

/// How many rows count.
#[derive(Default)]
struct SlidingCount {
    count: i64,
    values: Vec<i64>,
    /// Whether NULLs count, as in `count(*)`.
    all_rows: bool,
}

impl SlidingCount {
    fn counted(&self, inputs: &SlidingInputs) -> Option<arrow::buffer::NullBuffer> {
        let filtered = |nulls| crate::expr::functions::counted(nulls, inputs.filter.as_ref());
        if self.all_rows {
            return filtered(None);
        }
        let nulls = inputs.arguments.iter().map(|argument| argument.logical_nulls());
        let nulls = nulls.reduce(|left, right| arrow::buffer::NullBuffer::union(left.as_ref(), right.as_ref()));
        filtered(nulls.flatten().as_ref())
    }
}

fn count_range(counts: Option<&arrow::buffer::NullBuffer>, from: u32, to: u32) -> i64 {
    let (from, rows) = (from as usize, (to - from) as usize);
    let counted = match counts {
        None => rows,
        Some(counts) if rows == 1 => usize::from(counts.is_valid(from)),
        Some(counts) => rows - counts.slice(from, rows).null_count(),
    };
    i64::try_from(counted).unwrap_or(i64::MAX)
}

impl SlidingAggregate for SlidingCount {
    fn apply(&mut self, entering: &SlidingInputs, leaving: &SlidingInputs, steps: &[Step]) -> Result<()> {
        let (entering, leaving) = (self.counted(entering), self.counted(leaving));
        for step in steps {
            match *step {
                Step::Reset => self.count = 0,
                Step::Add { from, to } => self.count += count_range(entering.as_ref(), from, to),
                Step::Remove { from, to } => self.count -= count_range(leaving.as_ref(), from, to),
                Step::Emit { rows } => self.values.extend(std::iter::repeat_n(self.count, rows as usize)),
            }
        }
        Ok(())
    }

    fn take(&mut self) -> Result<ArrayRef> {
        Ok(Arc::new(Int64Array::from(std::mem::take(&mut self.values))))
    }

    fn removal(&self) -> Removal {
        Removal::Any
    }

    fn bytes(&self) -> usize {
        self.values.capacity() * size_of::<i64>()
    }
}

/// The aggregate of `call` where it is a sum, an average or a count of a type that is floe's own.
pub(super) fn own(call: &AggregateCall) -> Option<Box<dyn SlidingAggregate>> {
    let input = call.arguments().first().map(|argument| argument.data_type().clone())?;
    let field = call.field();
    let result = field.data_type();
    match call.function().fun().name() {
        "count" if result == &DataType::Int64 => {
            Some(Box::new(SlidingCount { all_rows: call.counts_rows(), ..SlidingCount::default() }))
        }
        "sum" => own_sum(&input, result),
        "avg" => own_average(&input, result),
        _ => None,
    }
}

fn exact_sum<I: InputType>(result: &DataType) -> Box<dyn SlidingAggregate>
where
    I::Native: Addend<i128>,
{
    let result_type = result.clone();
    SlidingTotals::<I, i128, Decimal128Type, _>::boxed(result, move |total, _| {
        Decimal128Type::value(total).ok_or_else(|| overflow("sum", &result_type))
    })
}

fn own_sum(input: &DataType, result: &DataType) -> Option<Box<dyn SlidingAggregate>> {
    let own_result = matches!(result, DataType::Decimal128(..));
    Some(match input {
        DataType::Float64 if result == &DataType::Float64 => {
            SlidingTotals::<Float64Type, FloatTotal, Float64Type, _>::boxed(result, |total, _| Ok(total.value()))
        }
        _ if !own_result => return None,
        DataType::Int8 => exact_sum::<Int8Type>(result),
        DataType::Int16 => exact_sum::<Int16Type>(result),
        DataType::Int32 => exact_sum::<Int32Type>(result),
        DataType::Int64 => exact_sum::<Int64Type>(result),
        DataType::UInt8 => exact_sum::<UInt8Type>(result),
        DataType::UInt16 => exact_sum::<UInt16Type>(result),
        DataType::UInt32 => exact_sum::<UInt32Type>(result),
        DataType::UInt64 => exact_sum::<UInt64Type>(result),
        DataType::Decimal32(..) => exact_sum::<Decimal32Type>(result),
        DataType::Decimal64(..) => exact_sum::<Decimal64Type>(result),
        DataType::Decimal128(..) => exact_sum::<Decimal128Type>(result),
        _ => return None,
    })
}

/// `unit` of the total are one.
fn exact_average<I: InputType>(result: &DataType, unit: f64) -> Option<Box<dyn SlidingAggregate>>
where
    I::Native: Addend<i128>,
{
    let divide = move |total: i128, count: u64| Ok(total as f64 / (count as f64 * unit));
    Some(SlidingTotals::<I, i128, Float64Type, _>::boxed(result, divide))
}

fn own_average(input: &DataType, result: &DataType) -> Option<Box<dyn SlidingAggregate>> {
    match (input, result) {
        (DataType::Float64, DataType::Float64) => {
            let divide = |total: FloatTotal, count: u64| Ok(total.value() / count as f64);
            Some(SlidingTotals::<Float64Type, FloatTotal, Float64Type, _>::boxed(result, divide))
        }
        (DataType::Int8, DataType::Float64) => exact_average::<Int8Type>(result, 1.0),
        (DataType::Int16, DataType::Float64) => exact_average::<Int16Type>(result, 1.0),
        (DataType::Int32, DataType::Float64) => exact_average::<Int32Type>(result, 1.0),
        (DataType::Int64, DataType::Float64) => exact_average::<Int64Type>(result, 1.0),
        (DataType::UInt8, DataType::Float64) => exact_average::<UInt8Type>(result, 1.0),
        (DataType::UInt16, DataType::Float64) => exact_average::<UInt16Type>(result, 1.0),
        (DataType::UInt32, DataType::Float64) => exact_average::<UInt32Type>(result, 1.0),
        (DataType::UInt64, DataType::Float64) => exact_average::<UInt64Type>(result, 1.0),
        (DataType::Decimal128(..), DataType::Float64) => exact_average::<Decimal128Type>(result, unit(input)),
        _ => None,
    }
}
