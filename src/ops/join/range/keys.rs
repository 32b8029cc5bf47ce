//! One column as values that compare fast: words of 64 or 128 bits of the same order, or bytes.
//!
//! Invariant: the order is that of SQL's comparisons: zero has no sign, NaN is one value above all numbers. NULLs have
//! no place in it; whoever compares leaves them out.

use std::cmp::Ordering;
use std::ops::Range;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, Decimal128Type, DurationMicrosecondType, DurationMillisecondType,
    DurationNanosecondType, DurationSecondType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use arrow::row::{RowConverter, Rows, SortField};

use crate::batch::hash::{canonical_f32, canonical_f64};
use crate::error::{Error, Result};

const SIGN: u64 = 1 << 63;
/// Decimals of so many digits fit into 64 bits.
const DIGITS_OF_A_WORD: u8 = 18;

/// The values of one column.
#[derive(Debug)]
pub(in crate::ops::join) struct Keys {
    values: Values,
    nulls: Option<NullBuffer>,
    /// Whether the words are those of floats.
    is_float: bool,
}

#[derive(Debug)]
enum Values {
    Words(Vec<u64>),
    Wide(Vec<u128>),
    Rows(Rows),
    Bytes(Bytes),
}

/// Byte strings one behind the other.
#[derive(Debug, Default)]
struct Bytes {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Bytes {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.ends.push(self.bytes.len());
    }

    fn get(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..self.ends[index]]
    }
}

impl Values {
    /// The bytes of a value that has no word.
    fn bytes(&self, row: usize) -> &[u8] {
        match self {
            Values::Rows(rows) => rows.row(row).data(),
            Values::Bytes(bytes) => bytes.get(row),
            Values::Words(_) | Values::Wide(_) => &[],
        }
    }
}

/// One value, apart from its column.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::ops::join) enum Key {
    Word(u64),
    Wide(u128),
    Bytes(Box<[u8]>),
}

/// Whether values of that type compare as the keys of this module do.
pub fn is_ordered(data_type: &DataType) -> bool {
    use DataType as D;
    match data_type {
        D::Boolean | D::Utf8 | D::LargeUtf8 | D::Utf8View | D::Binary | D::LargeBinary | D::BinaryView => true,
        D::Float16 | D::Interval(_) => false,
        other => other.is_primitive(),
    }
}

impl Keys {
    /// The values of `array`.
    ///
    /// # Errors
    /// `NOT_SUPPORTED` for a type that has no order.
    pub(in crate::ops::join) fn new(array: &ArrayRef) -> Result<Self> {
        let nulls = array.logical_nulls().filter(|nulls| nulls.null_count() > 0);
        let is_float = array.data_type().is_floating();
        Ok(Keys { values: values(array)?, nulls, is_float })
    }

    pub(in crate::ops::join) fn len(&self) -> usize {
        match &self.values {
            Values::Words(words) => words.len(),
            Values::Wide(words) => words.len(),
            Values::Rows(rows) => rows.num_rows(),
            Values::Bytes(bytes) => bytes.ends.len(),
        }
    }

    pub(in crate::ops::join) fn is_valid(&self, row: usize) -> bool {
        self.nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row))
    }

    /// The order of a value of this column and one of another of the same type.
    #[inline]
    pub(in crate::ops::join) fn compare(&self, row: usize, other: &Keys, other_row: usize) -> Ordering {
        match (&self.values, &other.values) {
            (Values::Words(left), Values::Words(right)) => left[row].cmp(&right[other_row]),
            (Values::Wide(left), Values::Wide(right)) => left[row].cmp(&right[other_row]),
            // Lowering joins columns of one type only, so neither has words.
            (left, right) => left.bytes(row).cmp(right.bytes(other_row)),
        }
    }

    /// The value of a row.
    pub(in crate::ops::join) fn key(&self, row: usize) -> Key {
        match &self.values {
            Values::Words(words) => Key::Word(words[row]),
            Values::Wide(words) => Key::Wide(words[row]),
            values => Key::Bytes(values.bytes(row).into()),
        }
    }

    /// How far two values (of numbers or times, one column's and another's of its type) are apart, as a number whose
    /// order is that of the distances.
    pub(in crate::ops::join) fn distance(&self, row: usize, other: &Keys, other_row: usize) -> u128 {
        match (&self.values, &other.values) {
            (Values::Words(left), Values::Words(right)) if left[row] == right[other_row] => 0,
            (Values::Words(left), Values::Words(right)) if self.is_float => {
                // The bits of floats that are not negative have their order.
                (number(left[row]) - number(right[other_row])).abs().to_bits().into()
            }
            (Values::Words(left), Values::Words(right)) => left[row].abs_diff(right[other_row]).into(),
            (Values::Wide(left), Values::Wide(right)) => left[row].abs_diff(right[other_row]),
            _ => 0,
        }
    }

    /// The values of these rows, all of which have one.
    pub(in crate::ops::join) fn gathered(&self, rows: &[u32]) -> Keys {
        let values = match &self.values {
            Values::Words(words) => Values::Words(rows.iter().map(|&row| words[row as usize]).collect()),
            Values::Wide(words) => Values::Wide(rows.iter().map(|&row| words[row as usize]).collect()),
            Values::Rows(all) => {
                let mut gathered = Bytes::default();
                rows.iter().for_each(|&row| gathered.push(all.row(row as usize).data()));
                Values::Bytes(gathered)
            }
            Values::Bytes(all) => {
                let mut gathered = Bytes::default();
                rows.iter().for_each(|&row| gathered.push(all.get(row as usize)));
                Values::Bytes(gathered)
            }
        };
        Keys { values, nulls: None, is_float: self.is_float }
    }

    /// All rows by group, then by value, then by the order of `ties` (a column of 64 bits).
    pub(in crate::ops::join) fn sorted_with(&self, groups: Vec<u32>, ties: &Keys) -> Vec<u32> {
        let tie = |row: usize| match &ties.values {
            Values::Words(words) => words[row],
            _ => 0,
        };
        let rows = groups.into_iter().enumerate();
        match &self.values {
            Values::Words(words) => {
                sorted_by_value(rows.map(|(row, group)| ((group, words[row], tie(row)), row as u32)))
            }
            Values::Wide(words) => {
                sorted_by_value(rows.map(|(row, group)| ((group, words[row], tie(row)), row as u32)))
            }
            Values::Rows(_) | Values::Bytes(_) => {
                let mut order: Vec<(u32, u32)> = rows.map(|(row, group)| (group, row as u32)).collect();
                order.sort_unstable_by(|left, right| {
                    let (row, other) = (left.1 as usize, right.1 as usize);
                    let by_value = || self.compare(row, self, other);
                    left.0.cmp(&right.0).then_with(by_value).then_with(|| tie(row).cmp(&tie(other)))
                });
                order.into_iter().map(|(_, row)| row).collect()
            }
        }
    }

    /// Those of `rows` that have a value, in the order of their values; equal ones in the order of the rows.
    pub(in crate::ops::join) fn sorted(&self, rows: Range<usize>) -> Vec<u32> {
        // Rows of a batch, which has fewer than 2^32.
        let valid = rows.filter(|&row| self.is_valid(row)).map(|row| row as u32);
        match &self.values {
            Values::Words(words) => sorted_by_value(valid.map(|row| (words[row as usize], row))),
            Values::Wide(words) => sorted_by_value(valid.map(|row| (words[row as usize], row))),
            all => {
                let mut order: Vec<u32> = valid.collect();
                order.sort_by(|&left, &right| all.bytes(left as usize).cmp(all.bytes(right as usize)));
                order
            }
        }
    }
}

fn sorted_by_value<T: Ord>(values: impl Iterator<Item = (T, u32)>) -> Vec<u32> {
    let mut pairs: Vec<(T, u32)> = values.collect();
    pairs.sort_unstable();
    pairs.into_iter().map(|(_, row)| row).collect()
}

fn values(array: &ArrayRef) -> Result<Values> {
    use DataType as D;
    use TimeUnit as U;
    Ok(Values::Words(match array.data_type() {
        D::Boolean => {
            let values = array.as_boolean().values();
            values.iter().map(u64::from).collect()
        }
        D::Int8 => signed::<Int8Type>(array),
        D::Int16 => signed::<Int16Type>(array),
        D::Int32 => signed::<Int32Type>(array),
        D::Int64 => signed::<Int64Type>(array),
        D::UInt8 => words::<UInt8Type>(array, u64::from),
        D::UInt16 => words::<UInt16Type>(array, u64::from),
        D::UInt32 => words::<UInt32Type>(array, u64::from),
        D::UInt64 => words::<UInt64Type>(array, |value| value),
        D::Float32 => words::<Float32Type>(array, |value| float(f64::from(canonical_f32(value)))),
        D::Float64 => words::<Float64Type>(array, |value| float(canonical_f64(value))),
        D::Date32 => signed::<Date32Type>(array),
        D::Date64 => signed::<Date64Type>(array),
        D::Time32(U::Second) => signed::<Time32SecondType>(array),
        D::Time32(_) => signed::<Time32MillisecondType>(array),
        D::Time64(U::Microsecond) => signed::<Time64MicrosecondType>(array),
        D::Time64(_) => signed::<Time64NanosecondType>(array),
        D::Timestamp(U::Second, _) => signed::<TimestampSecondType>(array),
        D::Timestamp(U::Millisecond, _) => signed::<TimestampMillisecondType>(array),
        D::Timestamp(U::Microsecond, _) => signed::<TimestampMicrosecondType>(array),
        D::Timestamp(U::Nanosecond, _) => signed::<TimestampNanosecondType>(array),
        D::Duration(U::Second) => signed::<DurationSecondType>(array),
        D::Duration(U::Millisecond) => signed::<DurationMillisecondType>(array),
        D::Duration(U::Microsecond) => signed::<DurationMicrosecondType>(array),
        D::Duration(U::Nanosecond) => signed::<DurationNanosecondType>(array),
        D::Decimal128(digits, _) if *digits <= DIGITS_OF_A_WORD => {
            words::<Decimal128Type>(array, |value| (value as i64) as u64 ^ SIGN)
        }
        D::Decimal128(_, _) => {
            let values = array.as_primitive::<Decimal128Type>().values();
            return Ok(Values::Wide(values.iter().map(|&value| value as u128 ^ (1 << 127)).collect()));
        }
        other if is_ordered(other) => {
            let converter = RowConverter::new(vec![SortField::new(other.clone())])?;
            return Ok(Values::Rows(converter.convert_columns(std::slice::from_ref(array))?));
        }
        other => return Err(Error::not_supported(format!("a range join of columns of type {other}"))),
    }))
}

fn words<T: ArrowPrimitiveType>(array: &ArrayRef, word: impl Fn(T::Native) -> u64) -> Vec<u64> {
    let array: &PrimitiveArray<T> = array.as_primitive();
    array.values().iter().map(|&value| word(value)).collect()
}

fn signed<T: ArrowPrimitiveType<Native: Into<i64>>>(array: &ArrayRef) -> Vec<u64> {
    words::<T>(array, |value| value.into() as u64 ^ SIGN)
}

/// The bits of a number in an order of their own: negative numbers are turned round and stand before the others.
fn float(value: f64) -> u64 {
    let bits = value.to_bits();
    if bits & SIGN == 0 { bits | SIGN } else { !bits }
}

/// The number of a word of [`float`].
fn number(word: u64) -> f64 {
    f64::from_bits(if word & SIGN == 0 { !word } else { word & !SIGN })
}
