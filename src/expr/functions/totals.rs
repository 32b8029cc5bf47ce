//! What sums are added up in: 128-bit integers for integers and decimals, a compensated pair for floats.
//!
//! Invariant: a 128-bit total is exact, or an addition reported overflow. Integers below 128 bits cannot overflow it in
//! fewer than 2^64 rows. A float total keeps what every addition rounded away, so that the order of the rows, and with
//! it threads and batches, hardly ever shows in the result (Neumaier, "Rundungsfehleranalyse einiger Verfahren zur
//! Summation endlicher Summen", 1974; here with Knuth's branch-free two-sum).

use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, PrimitiveArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{ArrowPrimitiveType, DataType, Decimal128Type, Float64Type};
use datafusion_common::{Result as DataFusionResult, internal_err};

use super::groups::{FEW_GROUPS, LANES, are_few, counted, for_each};
use super::sum_accumulators::argument;
use crate::expr::arithmetic::DECIMAL128_LIMIT;

/// A value that can be added to a total of type `T`.
pub(in crate::expr) trait Addend<T>: Copy {
    /// Adds; true when the total overflowed.
    fn add_to(self, total: &mut T) -> bool;
    /// Takes away again; true when the total overflowed.
    fn take_from(self, total: &mut T) -> bool;
    /// The value as a key that is equal for equal values.
    fn key(self) -> i128;
    /// The value of a key.
    fn from_key(key: i128) -> Self;
}

macro_rules! integer_addend {
    ($($native:ty),*) => {$(
        impl Addend<i128> for $native {
            #[inline(always)]
            fn add_to(self, total: &mut i128) -> bool {
                *total = total.wrapping_add(i128::from(self));
                false
            }

            #[inline(always)]
            fn take_from(self, total: &mut i128) -> bool {
                *total = total.wrapping_sub(i128::from(self));
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
    fn add_to(self, total: &mut i128) -> bool {
        let overflow;
        (*total, overflow) = total.overflowing_add(self);
        overflow
    }

    #[inline(always)]
    fn take_from(self, total: &mut i128) -> bool {
        let overflow;
        (*total, overflow) = total.overflowing_sub(self);
        overflow
    }

    fn key(self) -> i128 {
        self
    }

    fn from_key(key: i128) -> Self {
        key
    }
}

/// A float total: the rounded sum, and the sum of what the additions rounded away.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(in crate::expr) struct Compensated {
    sum: f64,
    rest: f64,
}

impl Compensated {
    /// The total as one float.
    pub(in crate::expr) fn value(self) -> f64 {
        // Once infinite or NaN, the rest means nothing.
        if self.sum.is_finite() { self.sum + self.rest } else { self.sum }
    }
}

impl Addend<Compensated> for f64 {
    #[inline(always)]
    fn add_to(self, total: &mut Compensated) -> bool {
        let sum = total.sum + self;
        let added = sum - total.sum;
        total.rest += (total.sum - (sum - added)) + (self - added);
        total.sum = sum;
        false
    }

    #[inline(always)]
    fn take_from(self, total: &mut Compensated) -> bool {
        (-self).add_to(total)
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

/// A total that other totals can be added to.
pub(in crate::expr) trait Total: Copy + Default + Debug + Send + Sync + 'static {
    /// Adds; true when this total overflowed.
    fn merge(&mut self, other: Self) -> bool;
}

impl Total for i128 {
    fn merge(&mut self, other: Self) -> bool {
        other.add_to(self)
    }
}

impl Total for Compensated {
    fn merge(&mut self, other: Self) -> bool {
        other.sum.add_to(self);
        self.rest += other.rest;
        false
    }
}

/// The type of an argument: any of arrow's primitive types.
pub(in crate::expr) trait InputType: ArrowPrimitiveType + Debug + Send + Sync {}

impl<T: ArrowPrimitiveType + Debug + Send + Sync> InputType for T {}

/// Totals with the rows of a state that hold one.
pub(in crate::expr) type Partials<T> = (Vec<T>, Option<NullBuffer>);

/// The type of a sum.
pub(in crate::expr) trait SumType: InputType {
    /// What is added up in.
    type Total: Total;

    /// The result; `None` when it does not fit the type.
    fn value(total: Self::Total) -> Option<Self::Native>;

    /// Totals as columns of a state.
    fn states(totals: Vec<Self::Total>, nulls: Option<NullBuffer>, data_type: &DataType) -> Vec<ArrayRef>;

    /// Columns of a state as totals.
    fn totals(states: &[ArrayRef]) -> DataFusionResult<Partials<Self::Total>>;
}

impl SumType for Decimal128Type {
    type Total = i128;

    fn value(total: i128) -> Option<i128> {
        (total.unsigned_abs() < DECIMAL128_LIMIT.unsigned_abs()).then_some(total)
    }

    fn states(totals: Vec<i128>, nulls: Option<NullBuffer>, data_type: &DataType) -> Vec<ArrayRef> {
        vec![Arc::new(PrimitiveArray::<Self>::new(totals.into(), nulls).with_data_type(data_type.clone()))]
    }

    fn totals(states: &[ArrayRef]) -> DataFusionResult<Partials<i128>> {
        let sums = argument::<Self>(states)?;
        Ok((sums.values().to_vec(), counted(sums.nulls(), None)))
    }
}

impl SumType for Float64Type {
    type Total = Compensated;

    fn value(total: Compensated) -> Option<f64> {
        Some(total.value())
    }

    fn states(totals: Vec<Compensated>, nulls: Option<NullBuffer>, _data_type: &DataType) -> Vec<ArrayRef> {
        let sums: Vec<_> = totals.iter().map(|total| total.sum).collect();
        let rests: Vec<_> = totals.iter().map(|total| total.rest).collect();
        [sums, rests]
            .map(|values| Arc::new(PrimitiveArray::<Self>::new(values.into(), nulls.clone())) as ArrayRef)
            .into()
    }

    fn totals(states: &[ArrayRef]) -> DataFusionResult<Partials<Compensated>> {
        let [sums, rests] = states else { return internal_err!("a float total of {} columns", states.len()) };
        let sums = argument::<Self>(std::slice::from_ref(sums))?;
        let rests = argument::<Self>(std::slice::from_ref(rests))?;
        let pairs = sums.values().iter().zip(rests.values());
        Ok((pairs.map(|(&sum, &rest)| Compensated { sum, rest }).collect(), counted(sums.nulls(), None)))
    }
}

/// One value as a total.
pub(super) fn widened<N: Addend<T>, T: Total>(value: N) -> T {
    let mut total = T::default();
    value.add_to(&mut total);
    total
}

/// Adds every row that counts to its group's total; true when one overflowed.
pub(super) fn add_rows<N: Addend<T>, T: Total>(
    totals: &mut [T],
    groups: &[usize],
    values: &[N],
    counted: Option<&NullBuffer>,
) -> bool {
    if let ([total], None) = (&mut *totals, counted) {
        return add_rows_to_one(total, values);
    }
    if counted.is_none() && are_few(totals.len(), groups.len()) {
        return add_rows_to_few(totals, groups, values);
    }
    let mut overflowed = false;
    for_each(groups, values, counted, |group, value| overflowed |= value.add_to(&mut totals[group]));
    overflowed
}

/// As with few groups, without asking which.
fn add_rows_to_one<N: Addend<T>, T: Total>(total: &mut T, values: &[N]) -> bool {
    let (mut lanes, mut overflowed) = ([T::default(); LANES], false);
    let (values, last_values) = values.as_chunks::<LANES>();
    for values in values {
        for (lane, value) in lanes.iter_mut().zip(values) {
            overflowed |= value.add_to(lane);
        }
    }
    last_values.iter().for_each(|value| overflowed |= value.add_to(&mut lanes[0]));
    lanes.into_iter().for_each(|lane| overflowed |= total.merge(lane));
    overflowed
}

/// With few groups, one row's addition would wait for the row before it: several totals per group in turn do not.
fn add_rows_to_few<N: Addend<T>, T: Total>(totals: &mut [T], groups: &[usize], values: &[N]) -> bool {
    let mut lanes = [[T::default(); FEW_GROUPS]; LANES];
    let mut overflowed = false;
    let (groups, last_groups) = groups.as_chunks::<LANES>();
    let (values, last_values) = values.as_chunks::<LANES>();
    for (groups, values) in groups.iter().zip(values) {
        for lane in 0..LANES {
            overflowed |= values[lane].add_to(&mut lanes[lane][groups[lane] % FEW_GROUPS]);
        }
    }
    for (group, value) in last_groups.iter().zip(last_values) {
        overflowed |= value.add_to(&mut lanes[0][group % FEW_GROUPS]);
    }
    for lane in lanes {
        for (total, part) in totals.iter_mut().zip(lane) {
            overflowed |= total.merge(part);
        }
    }
    overflowed
}
