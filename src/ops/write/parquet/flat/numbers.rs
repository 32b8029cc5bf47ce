//! Numbers: how they are stored, ordered and looked up.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::{Buffer, ScalarBuffer};
use arrow::compute::cast;
use arrow::datatypes::{ArrowNativeType, DataType, Decimal128Type};
use parquet::basic::BoundaryOrder;
use parquet::file::statistics::{Statistics, ValueStatistics};

use super::bounds::Bounds;
use super::table::Table;
use super::values::PageValues;
use crate::error::{Error, Result};

/// A dictionary has no more values than about this: its table should stay in the second-level cache.
const MOST_VALUES: usize = 1 << 15;

/// A number as Parquet stores it.
pub(super) trait Number: ArrowNativeType + PartialOrd {
    /// A pattern of its own for every value.
    fn bits(self) -> u64;
    fn append(values: &[Self], out: &mut Vec<u8>);
    /// Least and greatest; `None` where there is none (of NaNs).
    fn bounds(values: &[Self]) -> Option<(Self, Self)>;
    fn statistics(bounds: Option<(Self, Self)>, nulls: u64) -> Statistics;
}

macro_rules! number {
    ($($native:ty, $stored:ty, $bits:expr, $bounds:expr, $signed:literal;)*) => {$(
        impl Number for $native {
            #[inline(always)]
            fn bits(self) -> u64 {
                $bits(self)
            }
            fn append(values: &[Self], out: &mut Vec<u8>) {
                out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            }
            fn bounds(values: &[Self]) -> Option<(Self, Self)> {
                $bounds(values)
            }
            fn statistics(bounds: Option<(Self, Self)>, nulls: u64) -> Statistics {
                let stored = |value: $native| <$stored>::from_le_bytes(value.to_le_bytes());
                let (least, greatest) = bounds.map(|(least, greatest)| (stored(least), stored(greatest))).unzip();
                ValueStatistics::<$stored>::new(least, greatest, None, Some(nulls), false)
                    .with_backwards_compatible_min_max($signed)
                    .into()
            }
        }
    )*};
}
number! {
    i32, i32, |value: i32| u64::from(value.cast_unsigned()), whole_bounds, true;
    u32, i32, |value: u32| u64::from(value), whole_bounds, false;
    i64, i64, |value: i64| value.cast_unsigned(), whole_bounds, true;
    u64, i64, |value: u64| value, whole_bounds, false;
    f32, f32, |value: f32| u64::from(value.to_bits()), single_bounds, true;
    f64, f64, |value: f64| value.to_bits(), double_bounds, true;
}

fn whole_bounds<T: Copy + Ord>(values: &[T]) -> Option<(T, T)> {
    let &first = values.first()?;
    Some(values.iter().fold((first, first), |(least, greatest), &value| (least.min(value), greatest.max(value))))
}

macro_rules! float_bounds {
    ($name:ident, $float:ty) => {
        /// NaN has no place in the order; of zeros the outer one is meant.
        fn $name(values: &[$float]) -> Option<($float, $float)> {
            let start = (<$float>::INFINITY, <$float>::NEG_INFINITY);
            let (least, greatest) =
                values.iter().fold(start, |(least, greatest), &value| (least.min(value), greatest.max(value)));
            let outer = |bound: $float, zero: $float| if bound == 0.0 { zero } else { bound };
            // Only NaNs leave the bounds as they were.
            (least <= greatest).then_some((outer(least, -0.0), outer(greatest, 0.0)))
        }
    };
}
float_bounds!(single_bounds, f32);
float_bounds!(double_bounds, f64);

/// The numbers of one column chunk.
pub(super) struct Numbers<N> {
    /// Of the page.
    plain: Vec<N>,
    /// The dictionary: its values and where each one stands.
    values: Vec<N>,
    table: Table,
    bounds: Bounds<N>,
}

impl<N: Number> Numbers<N> {
    pub(super) fn new() -> Self {
        let (plain, values) = (Vec::new(), Vec::new());
        Numbers { plain, values, table: Table::default(), bounds: Bounds::new() }
    }
}

impl<N: Number> PageValues for Numbers<N> {
    fn append(&mut self, column: &ArrayRef, rows: usize, bytes: usize) -> Result<usize> {
        let rows = rows.min(bytes / size_of::<N>()).clamp(1, column.len());
        let stored = stored::<N>(column)?;
        let values = stored.get(..rows).ok_or_else(|| Error::internal("numbers that are not there"))?;
        match column.nulls().filter(|nulls| nulls.null_count() > 0) {
            None => self.plain.extend_from_slice(values),
            Some(nulls) => {
                let valid = nulls.slice(0, rows);
                valid.valid_slices().for_each(|(start, end)| self.plain.extend_from_slice(&values[start..end]));
            }
        }
        Ok(rows)
    }

    fn count(&self) -> usize {
        self.plain.len()
    }

    fn plain_bytes(&self) -> usize {
        size_of_val(self.plain.as_slice())
    }

    fn append_plain(&self, out: &mut Vec<u8>) {
        N::append(&self.plain, out);
    }

    fn look_up(&mut self, indexes: &mut Vec<u32>) {
        let Numbers { plain, values, table, .. } = self;
        indexes.clear();
        indexes.extend(plain.iter().map(|value| {
            let bits = value.bits();
            let hash = bits.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let dictionary = std::cell::RefCell::new(&mut *values);
            table.index_of(
                hash,
                |index| dictionary.borrow()[index].bits() == bits,
                || dictionary.borrow_mut().push(*value),
            )
        }));
    }

    fn dictionary_len(&self) -> usize {
        self.values.len()
    }

    fn dictionary_is_full(&self) -> bool {
        self.values.len() > MOST_VALUES
    }

    fn truncate_dictionary(&mut self, count: usize) {
        self.values.truncate(count);
        self.table.truncate(count);
    }

    fn append_dictionary(&self, out: &mut Vec<u8>) {
        N::append(&self.values, out);
    }

    fn end_page(&mut self) -> Option<(Vec<u8>, Vec<u8>)> {
        let bounds = N::bounds(&self.plain);
        self.plain.clear();
        let (least, greatest) = bounds?;
        self.bounds.add(least, greatest);
        let bytes = |value: N| {
            let mut bytes = Vec::with_capacity(size_of::<N>());
            N::append(&[value], &mut bytes);
            bytes
        };
        Some((bytes(least), bytes(greatest)))
    }

    fn order(&self) -> BoundaryOrder {
        self.bounds.order()
    }

    fn statistics(&self, nulls: u64) -> Statistics {
        N::statistics(self.bounds.all().copied(), nulls)
    }

    fn bytes(&self) -> usize {
        (self.plain.capacity() + self.values.capacity()) * size_of::<N>() + self.table.bytes()
    }
}

/// The values of a column, one for each row.
fn stored<N: Number>(column: &ArrayRef) -> Result<ScalarBuffer<N>> {
    let narrow = |column: &ArrayRef| -> Buffer {
        // The precision says that they fit; what does not stands where the value is null.
        let values = column.as_primitive::<Decimal128Type>().values();
        match size_of::<N>() {
            4 => values.iter().map(|&value| value as i32).collect(),
            _ => values.iter().map(|&value| value as i64).collect(),
        }
    };
    match column.data_type() {
        DataType::Decimal128(..) => Ok(ScalarBuffer::new(narrow(column), 0, column.len())),
        DataType::Int8 | DataType::Int16 | DataType::UInt8 | DataType::UInt16 => {
            stored(&cast(column, &DataType::Int32)?)
        }
        other if other.primitive_width() == Some(size_of::<N>()) => {
            let data = column.to_data();
            let buffer = data.buffers().first().cloned().unwrap_or_default();
            Ok(ScalarBuffer::new(buffer, data.offset(), data.len()))
        }
        other => Err(Error::internal(format!("a flat Parquet column of {other}"))),
    }
}
