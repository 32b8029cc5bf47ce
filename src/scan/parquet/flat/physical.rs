//! How values of one physical type lie in a page, and what becomes of them.
//!
//! A page's values are kept as they lie there until it is known which rows are wanted; only those are copied.

use arrow::array::{ArrayRef, PrimitiveArray};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::{ArrowPrimitiveType, DataType};
use bytes::Bytes;
use std::marker::PhantomData;
use std::sync::Arc;

use super::hybrid::damaged;
use crate::error::{Error, Result};

/// Rows of a piece that are wanted.
#[derive(Debug, Clone, Copy)]
pub(super) enum Chosen<'a> {
    /// All.
    All,
    /// Those numbered, in ascending order, counted from this one on.
    Some(&'a [u32], u32),
}

/// A physical type with the Arrow type that it becomes.
pub(super) trait Physical: Send + 'static {
    /// A dictionary's values.
    type Dictionary: Send + Sync;
    /// Values of a piece that has no dictionary, one for each row.
    type Plain: Send;
    /// Values that are coming out.
    type Output: Send + Default;
    /// Whether what comes out may point into the pages that it was read from.
    const POINTS_INTO_PAGES: bool;

    /// The values of a dictionary page.
    fn dictionary(&self, page: Bytes, count: usize) -> Result<Self::Dictionary>;

    /// How many there are.
    fn dictionary_length(dictionary: &Self::Dictionary) -> usize;

    /// The next values of a page from `at` on, which moves behind them: one for each row of `rows` that is valid.
    fn plain(&self, page: &Bytes, at: &mut usize, rows: usize, validity: Option<&BooleanBuffer>)
    -> Result<Self::Plain>;

    /// Passes over `values` values.
    fn skip_plain(&self, page: &Bytes, at: &mut usize, values: usize) -> Result<()>;

    /// Says that so many values will be appended.
    fn reserve(output: &mut Self::Output, values: usize);

    /// Appends dictionary values by index; false when some index is beyond the dictionary.
    fn gather(dictionary: &Self::Dictionary, indexes: &[u32], output: &mut Self::Output) -> bool;

    /// Appends values of a piece.
    fn append_plain(&self, plain: &Self::Plain, chosen: Chosen, output: &mut Self::Output);

    /// The array of what was appended.
    fn finish(&self, output: Self::Output, nulls: Option<NullBuffer>) -> Result<ArrayRef>;
}

/// How values of fixed width become Arrow's.
pub(super) trait FixedValue: Send + 'static {
    type Arrow: ArrowPrimitiveType;
    /// A dictionary's values.
    type Dictionary: Send + Sync;

    /// The value whose bytes these are.
    fn value(bytes: &[u8]) -> Native<Self>;

    /// Appends the values of `bytes`, which have `width` bytes each.
    fn append(bytes: &[u8], width: usize, output: &mut Vec<Native<Self>>);

    /// The dictionary of the values of `bytes`, which have `width` bytes each.
    fn dictionary(bytes: Bytes, width: usize) -> Self::Dictionary;

    /// How many values it has.
    fn length(dictionary: &Self::Dictionary) -> usize;

    /// As [`Physical::gather`].
    fn gather(dictionary: &Self::Dictionary, indexes: &[u32], output: &mut Vec<Native<Self>>) -> bool;
}

type Native<F> = <<F as FixedValue>::Arrow as ArrowPrimitiveType>::Native;

/// Appends what `value` gives for the indexes; false when it gives nothing for one.
#[inline(always)]
pub(super) fn gathered<T: Default>(indexes: &[u32], output: &mut Vec<T>, value: impl Fn(usize) -> Option<T>) -> bool {
    let mut known = true;
    output.extend(indexes.iter().map(|index| {
        let value = value(*index as usize);
        known &= value.is_some();
        value.unwrap_or_default()
    }));
    known
}

/// Defines a fixed value of so many bytes, read little-endian as `$raw`. Its dictionary stays as it lies in the page: many are
/// as long as what they are for, and few of their values may be wanted.
macro_rules! fixed_value {
    ($name:ident, $raw:ty, $native:ty) => {
        /// Of this many bytes in the file.
        #[derive(Debug)]
        pub(super) struct $name<A>(PhantomData<fn() -> A>);

        impl<A: ArrowPrimitiveType<Native = $native>> FixedValue for $name<A> {
            type Arrow = A;
            type Dictionary = Bytes;

            #[inline(always)]
            fn value(bytes: &[u8]) -> $native {
                let value = bytes.first_chunk().map_or(<$raw>::default(), |bytes| <$raw>::from_le_bytes(*bytes));
                <$native>::from(value)
            }

            fn append(bytes: &[u8], _width: usize, output: &mut Vec<$native>) {
                let values = bytes.as_chunks::<{ size_of::<$raw>() }>().0;
                output.extend(values.iter().map(|value| <$native>::from(<$raw>::from_le_bytes(*value))));
            }

            fn dictionary(bytes: Bytes, _width: usize) -> Bytes {
                bytes
            }

            fn length(dictionary: &Bytes) -> usize {
                dictionary.len() / size_of::<$raw>()
            }

            fn gather(dictionary: &Bytes, indexes: &[u32], output: &mut Vec<$native>) -> bool {
                let values = dictionary.as_chunks::<{ size_of::<$raw>() }>().0;
                gathered(indexes, output, |index| {
                    values.get(index).map(|value| <$native>::from(<$raw>::from_le_bytes(*value)))
                })
            }
        }
    };
}

fixed_value!(Int32, i32, i32);
fixed_value!(Int64, i64, i64);
fixed_value!(Float32, f32, f32);
fixed_value!(Float64, f64, f64);
fixed_value!(Decimal32, i32, i128);
fixed_value!(Decimal64, i64, i128);

/// Decimals as big-endian bytes of any number up to sixteen.
#[derive(Debug)]
pub(super) struct DecimalBytes<A>(PhantomData<fn() -> A>);

impl<A: ArrowPrimitiveType<Native = i128>> FixedValue for DecimalBytes<A> {
    type Arrow = A;
    type Dictionary = Vec<i128>;

    #[inline(always)]
    fn value(bytes: &[u8]) -> i128 {
        // The sign fills what the bytes do not.
        let negative = bytes.first().is_some_and(|first| first & 0x80 != 0);
        bytes.iter().fold(if negative { -1 } else { 0 }, |value, byte| value << 8 | i128::from(*byte))
    }

    fn append(bytes: &[u8], width: usize, output: &mut Vec<i128>) {
        output.extend(bytes.chunks_exact(width).map(Self::value));
    }

    fn dictionary(bytes: Bytes, width: usize) -> Vec<i128> {
        bytes.chunks_exact(width).map(Self::value).collect()
    }

    fn length(dictionary: &Vec<i128>) -> usize {
        dictionary.len()
    }

    fn gather(dictionary: &Vec<i128>, indexes: &[u32], output: &mut Vec<i128>) -> bool {
        gathered(indexes, output, |index| dictionary.get(index).copied())
    }
}

/// Values of fixed width.
#[derive(Debug)]
pub(super) struct Fixed<F> {
    /// Bytes of a value in the file.
    width: usize,
    data_type: DataType,
    kind: PhantomData<fn() -> F>,
}

/// Values as they lie in the page, or spread to their rows where some are NULL.
pub(super) enum FixedPlain<T> {
    Bytes(Bytes),
    Values(Vec<T>),
}

impl<F: FixedValue> Fixed<F> {
    /// Values of `width` bytes that become `data_type`.
    pub(super) fn new(width: usize, data_type: DataType) -> Self {
        Fixed { width, data_type, kind: PhantomData }
    }
}

impl<F: FixedValue> Physical for Fixed<F> {
    type Dictionary = F::Dictionary;
    type Plain = FixedPlain<Native<F>>;
    type Output = Vec<Native<F>>;
    const POINTS_INTO_PAGES: bool = false;

    fn dictionary(&self, page: Bytes, count: usize) -> Result<Self::Dictionary> {
        let length = count.checked_mul(self.width).filter(|length| *length <= page.len());
        let length = length.ok_or_else(|| damaged(format!("the dictionary has no room for {count} values")))?;
        Ok(F::dictionary(page.slice(..length), self.width))
    }

    fn dictionary_length(dictionary: &Self::Dictionary) -> usize {
        F::length(dictionary)
    }

    fn plain(
        &self,
        page: &Bytes,
        at: &mut usize,
        rows: usize,
        validity: Option<&BooleanBuffer>,
    ) -> Result<Self::Plain> {
        let start = *at;
        let count = validity.map_or(rows, BooleanBuffer::count_set_bits);
        self.skip_plain(page, at, count)?;
        let bytes = page.slice(start..*at);
        let Some(validity) = validity else { return Ok(FixedPlain::Bytes(bytes)) };
        let mut values = vec![Native::<F>::default(); rows];
        for (row, value) in validity.set_indices().zip(bytes.chunks_exact(self.width)) {
            values[row] = F::value(value);
        }
        Ok(FixedPlain::Values(values))
    }

    fn skip_plain(&self, page: &Bytes, at: &mut usize, values: usize) -> Result<()> {
        let end = values.checked_mul(self.width).and_then(|bytes| at.checked_add(bytes));
        *at = end.filter(|end| *end <= page.len()).ok_or_else(|| damaged(format!("{values} values are missing")))?;
        Ok(())
    }

    fn reserve(output: &mut Self::Output, values: usize) {
        output.reserve(values);
    }

    fn gather(dictionary: &Self::Dictionary, indexes: &[u32], output: &mut Self::Output) -> bool {
        F::gather(dictionary, indexes, output)
    }

    fn append_plain(&self, plain: &Self::Plain, chosen: Chosen, output: &mut Self::Output) {
        match (plain, chosen) {
            (FixedPlain::Bytes(bytes), Chosen::All) => F::append(bytes, self.width, output),
            (FixedPlain::Bytes(bytes), Chosen::Some(rows, base)) => output.extend(rows.iter().map(|row| {
                let start = (row - base) as usize * self.width;
                F::value(bytes.get(start..start + self.width).unwrap_or_default())
            })),
            (FixedPlain::Values(values), Chosen::All) => output.extend_from_slice(values),
            (FixedPlain::Values(values), Chosen::Some(rows, base)) => {
                let value = |row: &u32| values.get((row - base) as usize).copied().unwrap_or_default();
                output.extend(rows.iter().map(value));
            }
        }
    }

    fn finish(&self, output: Self::Output, nulls: Option<NullBuffer>) -> Result<ArrayRef> {
        let array = PrimitiveArray::<F::Arrow>::try_new(output.into(), nulls).map_err(Error::from)?;
        Ok(Arc::new(array.with_data_type(self.data_type.clone())))
    }
}
