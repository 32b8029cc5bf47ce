//! Columns of fixed width.
//!
//! Integer-like values are stored as differences to the least value, in as many bytes as the greatest difference
//! needs; the loops are plain, so that the compiler turns them into vector code. Other values are stored as they are.

use arrow::array::{Array, ArrayData, ArrayRef, AsArray, BooleanArray, make_array};
use arrow::buffer::{Buffer, NullBuffer};
use arrow::datatypes::{ArrowNativeType, DataType};

use super::bytes::{Reader, Writer};
use super::{Encoding, damaged};
use crate::error::Result;

/// What the values of a type are in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Values {
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    I128,
    /// Anything else of so many bytes.
    Opaque(usize),
}

impl Values {
    /// `None` for types that are not of fixed width.
    fn of(data_type: &DataType) -> Option<Self> {
        use arrow::datatypes::IntervalUnit;
        Some(match data_type {
            DataType::Int8 => Values::I8,
            DataType::Int16 => Values::I16,
            DataType::Int32 | DataType::Date32 | DataType::Time32(_) | DataType::Decimal32(..) => Values::I32,
            DataType::Interval(IntervalUnit::YearMonth) => Values::I32,
            DataType::Int64 | DataType::Date64 | DataType::Time64(_) | DataType::Decimal64(..) => Values::I64,
            DataType::Timestamp(..) | DataType::Duration(_) => Values::I64,
            DataType::UInt8 => Values::U8,
            DataType::UInt16 => Values::U16,
            DataType::UInt32 => Values::U32,
            DataType::UInt64 => Values::U64,
            DataType::Decimal128(..) => Values::I128,
            DataType::FixedSizeBinary(width) => Values::Opaque(usize::try_from(*width).ok().filter(|&w| w > 0)?),
            other => Values::Opaque(other.primitive_width()?),
        })
    }

    fn width(self) -> usize {
        match self {
            Values::I8 | Values::U8 => 1,
            Values::I16 | Values::U16 => 2,
            Values::I32 | Values::U32 => 4,
            Values::I64 | Values::U64 => 8,
            Values::I128 => 16,
            Values::Opaque(width) => width,
        }
    }
}

/// An integer as a difference to another.
pub(super) trait Difference: ArrowNativeType + Ord {
    /// `self - least`, which is not negative; its low 64 bits.
    fn minus(self, least: Self) -> u64;
    /// `least + difference`.
    fn plus(least: Self, difference: u64) -> Self;
    /// The greatest difference, when it fits 64 bits.
    fn range(least: Self, greatest: Self) -> Option<u64>;
    fn to_wide(self) -> i128;
    fn from_wide(wide: i128) -> Self;
}

macro_rules! difference {
    ($($signed:ty, $unsigned:ty;)*) => {$(
        impl Difference for $signed {
            #[inline(always)]
            fn minus(self, least: Self) -> u64 {
                self.wrapping_sub(least) as $unsigned as u64
            }
            #[inline(always)]
            fn plus(least: Self, difference: u64) -> Self {
                least.wrapping_add(difference as $signed)
            }
            fn range(least: Self, greatest: Self) -> Option<u64> {
                u64::try_from(greatest.wrapping_sub(least) as $unsigned).ok()
            }
            fn to_wide(self) -> i128 {
                self as i128
            }
            fn from_wide(wide: i128) -> Self {
                wide as $signed
            }
        }
    )*};
}
difference! { i8, u8; i16, u16; i32, u32; i64, u64; i128, u128; u8, u8; u16, u16; u32, u32; u64, u64; }

/// Writes a column of fixed width; false (and nothing written) for any other.
pub(super) fn encode(column: &ArrayRef, writer: &mut Writer) -> bool {
    if let Some(booleans) = column.as_boolean_opt() {
        writer.u8(Encoding::Bits as u8);
        writer.validity(column);
        writer.bits(booleans.values());
        return true;
    }
    let Some(values) = Values::of(column.data_type()) else { return false };
    let data = column.to_data();
    match values {
        Values::I8 => encode_integers::<i8>(&data, column, writer),
        Values::I16 => encode_integers::<i16>(&data, column, writer),
        Values::I32 => encode_integers::<i32>(&data, column, writer),
        Values::I64 => encode_integers::<i64>(&data, column, writer),
        Values::U8 => encode_integers::<u8>(&data, column, writer),
        Values::U16 => encode_integers::<u16>(&data, column, writer),
        Values::U32 => encode_integers::<u32>(&data, column, writer),
        Values::U64 => encode_integers::<u64>(&data, column, writer),
        Values::I128 => encode_integers::<i128>(&data, column, writer),
        Values::Opaque(width) => encode_raw(&data, column, width, writer),
    }
    true
}

fn encode_integers<T: Difference>(data: &ArrayData, column: &ArrayRef, writer: &mut Writer) {
    let values = data.buffers().first().map_or(&[][..], |buffer| buffer.typed_data::<T>());
    let values = values.get(data.offset()..data.offset() + data.len()).unwrap_or_default();
    let (least, greatest) = bounds(values, data.nulls());
    match T::range(least, greatest).map(width_for) {
        Some(width) if width < size_of::<T>() => {
            writer.u8(Encoding::Offsets as u8);
            writer.validity(column);
            write_differences(values, least, width, writer);
        }
        _ => encode_raw(data, column, size_of::<T>(), writer),
    }
}

/// The least and the greatest value that is not null; twice the same when there is none.
fn bounds<T: Difference>(values: &[T], nulls: Option<&NullBuffer>) -> (T, T) {
    let mut bounds: Option<(T, T)> = None;
    let mut widen = |values: &[T]| {
        let Some(&first) = values.first() else { return };
        let start = bounds.unwrap_or((first, first));
        bounds = Some(values.iter().fold(start, |(least, greatest), &value| (least.min(value), greatest.max(value))));
    };
    match nulls.filter(|nulls| nulls.null_count() > 0) {
        None => widen(values),
        Some(nulls) => nulls.valid_slices().for_each(|(start, end)| widen(values.get(start..end).unwrap_or_default())),
    }
    bounds.unwrap_or_default()
}

/// Bytes per difference.
fn width_for(range: u64) -> usize {
    match range {
        0 => 0,
        1..=0xff => 1,
        0x100..=0xffff => 2,
        0x1_0000..=0xffff_ffff => 4,
        _ => 8,
    }
}

/// Width, least value and the differences to it. (Where a value is null, its difference may be cut short.)
fn write_differences<T: Difference>(values: &[T], least: T, width: usize, writer: &mut Writer) {
    writer.u8(width as u8);
    writer.bytes(&least.to_wide().to_le_bytes());
    let space = writer.space(values.len() * width);
    match width {
        1 => narrow::<T, 1>(values, least, space),
        2 => narrow::<T, 2>(values, least, space),
        4 => narrow::<T, 4>(values, least, space),
        8 => narrow::<T, 8>(values, least, space),
        _ => {}
    }
}

fn narrow<T: Difference, const WIDTH: usize>(values: &[T], least: T, space: &mut [u8]) {
    for (place, value) in space.as_chunks_mut::<WIDTH>().0.iter_mut().zip(values) {
        let difference = value.minus(least).to_le_bytes();
        place.copy_from_slice(&difference[..WIDTH]);
    }
}

fn widen<T: Difference, const WIDTH: usize>(bytes: &[u8], least: T) -> Vec<T> {
    let value = |place: &[u8; WIDTH]| {
        let mut difference = [0; 8];
        difference[..WIDTH].copy_from_slice(place);
        T::plus(least, u64::from_le_bytes(difference))
    };
    bytes.as_chunks::<WIDTH>().0.iter().map(value).collect()
}

/// Writes integers with no nulls among them.
pub(super) fn write_integers<T: Difference>(values: &[T], writer: &mut Writer) {
    let (least, greatest) = bounds(values, None);
    write_differences(values, least, T::range(least, greatest).map_or(8, width_for), writer);
}

/// Reads what `write_integers` (or an integer column) wrote.
pub(super) fn read_integers<T: Difference>(count: usize, reader: &mut Reader) -> Result<Vec<T>> {
    let width = usize::from(reader.u8()?);
    let least = T::from_wide(i128::from_le_bytes(reader.array()?));
    let bytes = reader.take(count.checked_mul(width).ok_or_else(|| damaged("a length is too large"))?)?;
    Ok(match width {
        0 => vec![least; count],
        1 => widen::<T, 1>(bytes, least),
        2 => widen::<T, 2>(bytes, least),
        4 => widen::<T, 4>(bytes, least),
        8 => widen::<T, 8>(bytes, least),
        _ => return Err(damaged("integers of an unknown width")),
    })
}

fn encode_raw(data: &ArrayData, column: &ArrayRef, width: usize, writer: &mut Writer) {
    writer.u8(Encoding::Raw as u8);
    writer.validity(column);
    let (start, length) = (data.offset() * width, data.len() * width);
    let bytes = data.buffers().first().and_then(|buffer| buffer.get(start..start + length));
    writer.bytes(bytes.unwrap_or_default());
}

/// Reads a column back.
pub(super) fn decode(encoding: Encoding, data_type: &DataType, rows: usize, reader: &mut Reader) -> Result<ArrayRef> {
    let nulls = reader.validity(rows)?;
    if encoding == Encoding::Bits {
        return Ok(std::sync::Arc::new(BooleanArray::new(reader.bits(rows)?, nulls)));
    }
    let values = Values::of(data_type).ok_or_else(|| damaged("a column has another type"))?;
    let buffer = if encoding == Encoding::Raw {
        let length = rows.checked_mul(values.width()).ok_or_else(|| damaged("a length is too large"))?;
        Buffer::from(reader.take(length)?)
    } else {
        match values {
            Values::I8 => Buffer::from_vec(read_integers::<i8>(rows, reader)?),
            Values::I16 => Buffer::from_vec(read_integers::<i16>(rows, reader)?),
            Values::I32 => Buffer::from_vec(read_integers::<i32>(rows, reader)?),
            Values::I64 => Buffer::from_vec(read_integers::<i64>(rows, reader)?),
            Values::U8 => Buffer::from_vec(read_integers::<u8>(rows, reader)?),
            Values::U16 => Buffer::from_vec(read_integers::<u16>(rows, reader)?),
            Values::U32 => Buffer::from_vec(read_integers::<u32>(rows, reader)?),
            Values::U64 => Buffer::from_vec(read_integers::<u64>(rows, reader)?),
            Values::I128 => Buffer::from_vec(read_integers::<i128>(rows, reader)?),
            Values::Opaque(_) => return Err(damaged("a column has another type")),
        }
    };
    let data = ArrayData::builder(data_type.clone()).len(rows).add_buffer(buffer).nulls(nulls).build();
    data.map(make_array).map_err(|error| damaged(&error.to_string()))
}
