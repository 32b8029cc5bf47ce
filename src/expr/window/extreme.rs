//! MIN and MAX over a moving frame.
//!
//! A queue holds the values that can still become the answer: each is better than all behind it. The front is the answer;
//! what enters drives out the worse ones at the back, what leaves is at the front or was driven out before. (The
//! monotonic wedge of Lemire, "Streaming maximum-minimum filter using no more than three comparisons per element", 2006.)
//! Where rows never leave, the queue is one value.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::mem::size_of;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, GenericByteArray, GenericByteBuilder, NullBufferBuilder,
    PrimitiveArray,
};
use arrow::compute::cast;
use arrow::datatypes::*;

use super::sliding::{Removal, SlidingAggregate, SlidingInputs, Step};
use crate::error::{Error, Result};
use crate::expr::aggregate::AggregateCall;

/// The queue of values that can still be the answer, with the number of the row that each came from.
struct Wedge<V> {
    greatest: bool,
    moving: bool,
    values: VecDeque<(u64, V)>,
    /// Rows that have entered and left since the last reset.
    entered: u64,
    left: u64,
}

impl<V> Wedge<V> {
    fn new(greatest: bool, moving: bool) -> Self {
        Wedge { greatest, moving, values: VecDeque::new(), entered: 0, left: 0 }
    }

    fn reset(&mut self) {
        self.values.clear();
        (self.entered, self.left) = (0, 0);
    }

    /// Takes a value; `compare` orders a value of the queue against it.
    fn enter(&mut self, compare: impl Fn(&V) -> Ordering, value: impl FnOnce() -> V) {
        let is_no_better = |old: &V| if self.greatest { compare(old).is_le() } else { compare(old).is_ge() };
        if !self.moving && self.values.front().is_some_and(|(_, best)| !is_no_better(best)) {
            return;
        }
        while self.values.back().is_some_and(|(_, old)| is_no_better(old)) {
            self.values.pop_back();
        }
        self.values.push_back((self.entered, value()));
    }

    fn leave(&mut self, rows: u64) {
        self.left += rows;
        while self.values.front().is_some_and(|(row, _)| *row < self.left) {
            self.values.pop_front();
        }
    }

    fn best(&self) -> Option<&V> {
        self.values.front().map(|(_, value)| value)
    }
}

/// As numbers order in SQL: NaN is one value, greater than all others, and zero has no sign.
fn order<N: PartialOrd>(left: &N, right: &N) -> Ordering {
    #[expect(clippy::eq_op, reason = "only NaN differs from itself")]
    let is_nan = |value: &N| value != value;
    left.partial_cmp(right).unwrap_or_else(|| is_nan(left).cmp(&is_nan(right)))
}

struct PrimitiveExtreme<T: ArrowPrimitiveType> {
    wedge: Wedge<T::Native>,
    result_type: DataType,
    values: Vec<T::Native>,
    nulls: NullBufferBuilder,
}

impl<T: ArrowPrimitiveType> SlidingAggregate for PrimitiveExtreme<T> {
    fn apply(&mut self, entering: &SlidingInputs, _leaving: &SlidingInputs, steps: &[Step]) -> Result<()> {
        let counts = entering.counted();
        let values = entering.arguments.first().and_then(|argument| argument.as_primitive_opt::<T>());
        let Some(values) = values.map(PrimitiveArray::values) else {
            return Err(Error::internal(format!("min or max of a column that is no {}", T::DATA_TYPE)));
        };
        for step in steps {
            match *step {
                Step::Reset => self.wedge.reset(),
                Step::Add { from, to } => {
                    for row in from as usize..to as usize {
                        if counts.as_ref().is_none_or(|counts| counts.is_valid(row)) {
                            let value = values[row];
                            self.wedge.enter(|old| order(old, &value), || value);
                        }
                        self.wedge.entered += 1;
                    }
                }
                Step::Remove { from, to } => self.wedge.leave(u64::from(to - from)),
                Step::Emit { rows } => {
                    let rows = rows as usize;
                    match self.wedge.best() {
                        Some(value) => self.nulls.append_n_non_nulls(std::iter::repeat_n(value, rows).len()),
                        None => self.nulls.append_n_nulls(rows),
                    }
                    let value = self.wedge.best().copied().unwrap_or_default();
                    self.values.extend(std::iter::repeat_n(value, rows));
                }
            }
        }
        Ok(())
    }

    fn take(&mut self) -> Result<ArrayRef> {
        let values = std::mem::take(&mut self.values);
        let array = PrimitiveArray::<T>::try_new(values.into(), self.nulls.finish())?;
        Ok(Arc::new(array.with_data_type(self.result_type.clone())))
    }

    fn removal(&self) -> Removal {
        if self.wedge.moving { Removal::Exact } else { Removal::Never }
    }

    fn bytes(&self) -> usize {
        self.wedge.values.capacity() * size_of::<(u64, T::Native)>()
            + self.values.capacity() * size_of::<T::Native>()
            + self.nulls.allocated_size()
    }
}

/// Of texts and binary values; they pass as `T` whatever their layout is.
struct BytesExtreme<T: ByteArrayType<Offset = i32>> {
    wedge: Wedge<Box<[u8]>>,
    /// Bytes of the values in the queue, as far as it is known.
    queued: usize,
    result_type: DataType,
    values: GenericByteBuilder<T>,
}

impl<T: ByteArrayType<Offset = i32>> BytesExtreme<T>
where
    T::Native: FromBytes,
{
    fn add(&mut self, values: &GenericByteArray<T>, counts: Option<&arrow::buffer::NullBuffer>, from: u32, to: u32) {
        for row in from as usize..to as usize {
            if counts.is_none_or(|counts| counts.is_valid(row)) {
                let value: &[u8] = values.value(row).as_ref();
                self.wedge.enter(|old| old.as_ref().cmp(value), || value.into());
            }
            self.wedge.entered += 1;
        }
    }
}

/// What a value of the result is made from.
trait FromBytes {
    fn from_bytes(bytes: &[u8]) -> Option<&Self>;
}

impl FromBytes for str {
    fn from_bytes(bytes: &[u8]) -> Option<&str> {
        std::str::from_utf8(bytes).ok()
    }
}

impl FromBytes for [u8] {
    fn from_bytes(bytes: &[u8]) -> Option<&[u8]> {
        Some(bytes)
    }
}

impl<T: ByteArrayType<Offset = i32>> SlidingAggregate for BytesExtreme<T>
where
    T::Native: FromBytes,
{
    fn apply(&mut self, entering: &SlidingInputs, _leaving: &SlidingInputs, steps: &[Step]) -> Result<()> {
        let counts = entering.counted();
        let Some(argument) = entering.arguments.first() else {
            return Err(Error::internal("min or max without an argument"));
        };
        let argument =
            if argument.data_type() == &T::DATA_TYPE { argument.clone() } else { cast(argument, &T::DATA_TYPE)? };
        let values = argument.as_bytes::<T>();
        for step in steps {
            match *step {
                Step::Reset => self.wedge.reset(),
                Step::Add { from, to } => self.add(values, counts.as_ref(), from, to),
                Step::Remove { from, to } => self.wedge.leave(u64::from(to - from)),
                Step::Emit { rows } => {
                    let best = self.wedge.best().and_then(|value| T::Native::from_bytes(value));
                    for _ in 0..rows {
                        self.values.append_option(best);
                    }
                }
            }
        }
        self.queued = self.wedge.values.iter().map(|(_, value)| value.len()).sum();
        Ok(())
    }

    fn take(&mut self) -> Result<ArrayRef> {
        let values: ArrayRef = Arc::new(self.values.finish());
        Ok(if values.data_type() == &self.result_type { values } else { cast(&values, &self.result_type)? })
    }

    fn removal(&self) -> Removal {
        if self.wedge.moving { Removal::Exact } else { Removal::Never }
    }

    fn bytes(&self) -> usize {
        let entries = self.wedge.values.capacity() * size_of::<(u64, Box<[u8]>)>();
        entries + self.queued + self.values.values_slice().len() + size_of_val(self.values.offsets_slice())
    }
}

/// The aggregate of `call` where it is `min` or `max` of a type whose values compare directly.
pub(super) fn own(call: &AggregateCall, moving: bool) -> Option<Box<dyn SlidingAggregate>> {
    let greatest = match call.function().fun().name() {
        "max" => true,
        "min" => false,
        _ => return None,
    };
    let field = call.field();
    let result_type = field.data_type().clone();
    let input = call.arguments().first()?.data_type();
    macro_rules! primitive {
        ($of:ty) => {
            Box::new(PrimitiveExtreme::<$of> {
                wedge: Wedge::new(greatest, moving),
                result_type,
                values: Vec::new(),
                nulls: NullBufferBuilder::new(0),
            })
        };
    }
    macro_rules! bytes {
        ($of:ty) => {
            Box::new(BytesExtreme::<$of> {
                wedge: Wedge::new(greatest, moving),
                queued: 0,
                result_type,
                values: GenericByteBuilder::new(),
            })
        };
    }
    Some(match input {
        DataType::Int8 => primitive!(Int8Type),
        DataType::Int16 => primitive!(Int16Type),
        DataType::Int32 => primitive!(Int32Type),
        DataType::Int64 => primitive!(Int64Type),
        DataType::UInt8 => primitive!(UInt8Type),
        DataType::UInt16 => primitive!(UInt16Type),
        DataType::UInt32 => primitive!(UInt32Type),
        DataType::UInt64 => primitive!(UInt64Type),
        DataType::Float32 => primitive!(Float32Type),
        DataType::Float64 => primitive!(Float64Type),
        DataType::Decimal32(..) => primitive!(Decimal32Type),
        DataType::Decimal64(..) => primitive!(Decimal64Type),
        DataType::Decimal128(..) => primitive!(Decimal128Type),
        DataType::Decimal256(..) => primitive!(Decimal256Type),
        DataType::Date32 => primitive!(Date32Type),
        DataType::Date64 => primitive!(Date64Type),
        DataType::Timestamp(TimeUnit::Second, _) => primitive!(TimestampSecondType),
        DataType::Timestamp(TimeUnit::Millisecond, _) => primitive!(TimestampMillisecondType),
        DataType::Timestamp(TimeUnit::Microsecond, _) => primitive!(TimestampMicrosecondType),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => primitive!(TimestampNanosecondType),
        DataType::Time32(TimeUnit::Second) => primitive!(Time32SecondType),
        DataType::Time32(TimeUnit::Millisecond) => primitive!(Time32MillisecondType),
        DataType::Time64(TimeUnit::Microsecond) => primitive!(Time64MicrosecondType),
        DataType::Time64(TimeUnit::Nanosecond) => primitive!(Time64NanosecondType),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => bytes!(Utf8Type),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => bytes!(BinaryType),
        _ => return None,
    })
}
