//! One 64-bit hash per row over some columns.
//!
//! Invariant: rows that are equal as group keys (NULL equals NULL, 0.0 equals -0.0, any NaN equals any NaN) of columns of
//! the same type have the same hash, whatever batch, slice or lane they come from. The high bits choose partitions, the
//! low bits slots, so both must be well mixed: words are folded by a 64 × 64 → 128 bit multiplication (as in wyhash).

use arrow::array::{Array, ArrayRef, AsArray, GenericByteViewArray, OffsetSizeTrait};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{ArrowNativeType, ByteArrayType, ByteViewType, DataType, Float32Type, Float64Type};
use arrow::row::{RowConverter, SortField};
use xxhash_rust::xxh3::xxh3_64;

use crate::error::Result;

const SEED: u64 = 0x9E37_79B9_7F4A_7C15;
const MULTIPLIER: u64 = 0xA076_1D64_78BD_642F;
const NULL_WORD: u64 = 0xE703_7ED1_A0B4_28DB;

/// The hash of every row of `columns` (all of `rows` length) into `hashes`, which is overwritten.
pub fn hash_rows(columns: &[ArrayRef], rows: usize, hashes: &mut Vec<u64>) -> Result<()> {
    hashes.clear();
    hashes.resize(rows, SEED);
    for column in columns {
        hash_column(column, hashes)?;
    }
    #[cfg(test)]
    masked::apply(hashes);
    Ok(())
}

/// Makes hashes of the running thread collide, for tests.
#[cfg(test)]
pub mod masked {
    use std::cell::Cell;

    thread_local! {
        static MASK: Cell<u64> = const { Cell::new(u64::MAX) };
    }

    pub(super) fn apply(hashes: &mut [u64]) {
        let mask = MASK.get();
        if mask != u64::MAX {
            hashes.iter_mut().for_each(|hash| *hash &= mask);
        }
    }

    /// Hashes keep only the bits of `mask` from now on; the mask before.
    pub fn set(mask: u64) -> u64 {
        MASK.replace(mask)
    }
}

/// Folds one word into a hash.
#[inline(always)]
pub fn fold(hash: u64, word: u64) -> u64 {
    let product = u128::from(hash ^ word) * u128::from(MULTIPLIER);
    // The sum with the rotated word keeps a zero factor from erasing what was there.
    (product as u64 ^ (product >> 64) as u64).wrapping_add(word.rotate_left(32))
}

fn hash_column(column: &ArrayRef, hashes: &mut [u64]) -> Result<()> {
    match column.data_type() {
        DataType::Boolean => {
            let values = column.as_boolean().values();
            fold_rows(hashes, column.nulls(), |row| u64::from(values.value(row)));
        }
        DataType::Float64 => {
            let values = column.as_primitive::<Float64Type>().values();
            fold_rows(hashes, column.nulls(), |row| canonical_f64(values[row]).to_bits());
        }
        DataType::Float32 => {
            let values = column.as_primitive::<Float32Type>().values();
            fold_rows(hashes, column.nulls(), |row| u64::from(canonical_f32(values[row]).to_bits()));
        }
        DataType::Utf8 => hash_bytes::<arrow::datatypes::Utf8Type>(column, hashes),
        DataType::LargeUtf8 => hash_bytes::<arrow::datatypes::LargeUtf8Type>(column, hashes),
        DataType::Binary => hash_bytes::<arrow::datatypes::BinaryType>(column, hashes),
        DataType::LargeBinary => hash_bytes::<arrow::datatypes::LargeBinaryType>(column, hashes),
        DataType::Utf8View => hash_views(column.as_string_view(), hashes),
        DataType::BinaryView => hash_views(column.as_binary_view(), hashes),
        other => match other.primitive_width() {
            Some(1) => fold_fixed::<u8>(column, hashes, u64::from),
            Some(2) => fold_fixed::<u16>(column, hashes, u64::from),
            Some(4) => fold_fixed::<u32>(column, hashes, u64::from),
            Some(8) => fold_fixed::<u64>(column, hashes, |word| word),
            Some(16) => fold_fixed::<u128>(column, hashes, |wide| {
                // Small values, of either sign, mix as one word.
                (wide as u64) ^ ((wide >> 64) as u64).wrapping_mul(MULTIPLIER)
            }),
            _ => return hash_nested(column, hashes),
        },
    }
    Ok(())
}

/// -0.0 becomes 0.0 and every NaN the same NaN.
#[inline]
pub fn canonical_f64(value: f64) -> f64 {
    if value.is_nan() { f64::NAN } else { value + 0.0 }
}

/// -0.0 becomes 0.0 and every NaN the same NaN.
#[inline]
pub fn canonical_f32(value: f32) -> f32 {
    if value.is_nan() { f32::NAN } else { value + 0.0 }
}

#[inline(always)]
fn fold_rows(hashes: &mut [u64], nulls: Option<&NullBuffer>, word: impl Fn(usize) -> u64) {
    match nulls.filter(|nulls| nulls.null_count() > 0) {
        None => {
            for (row, hash) in hashes.iter_mut().enumerate() {
                *hash = fold(*hash, word(row));
            }
        }
        Some(nulls) => {
            for (row, hash) in hashes.iter_mut().enumerate() {
                *hash = fold(*hash, if nulls.is_valid(row) { word(row) } else { NULL_WORD });
            }
        }
    }
}

fn fold_fixed<T: ArrowNativeType>(column: &ArrayRef, hashes: &mut [u64], word: impl Fn(T) -> u64) {
    let data = column.to_data();
    let values = &data.buffer::<T>(0)[..hashes.len()];
    fold_rows(hashes, column.nulls(), |row| word(values[row]));
}

fn hash_bytes<T: ByteArrayType>(column: &ArrayRef, hashes: &mut [u64])
where
    T::Offset: OffsetSizeTrait,
{
    let array = column.as_bytes::<T>();
    fold_rows(hashes, column.nulls(), |row| {
        let bytes: &[u8] = array.value(row).as_ref();
        hash_text(bytes)
    });
}

fn hash_views<T: ByteViewType + ?Sized>(array: &GenericByteViewArray<T>, hashes: &mut [u64]) {
    let views = array.views();
    fold_rows(hashes, array.nulls(), |row| {
        let view = views[row];
        if view as u32 <= 12 {
            return inline_word(view);
        }
        let bytes: &[u8] = array.value(row).as_ref();
        xxh3_64(bytes)
    });
}

/// The word of a string, the same whether it lies in a view array or in an offset array.
#[inline]
fn hash_text(bytes: &[u8]) -> u64 {
    if bytes.len() > 12 {
        return xxh3_64(bytes);
    }
    let mut view = [0u8; 16];
    view[0] = bytes.len() as u8;
    view[4..4 + bytes.len()].copy_from_slice(bytes);
    inline_word(u128::from_le_bytes(view))
}

/// The word of a string of up to 12 bytes, from its view.
#[inline(always)]
fn inline_word(view: u128) -> u64 {
    fold(view as u64, (view >> 64) as u64)
}

/// Nested and rare types: the hash of their row form.
fn hash_nested(column: &ArrayRef, hashes: &mut [u64]) -> Result<()> {
    let converter = RowConverter::new(vec![SortField::new(column.data_type().clone())])?;
    let rows = converter.convert_columns(std::slice::from_ref(column))?;
    for (row, hash) in hashes.iter_mut().enumerate() {
        *hash = fold(*hash, xxh3_64(rows.row(row).as_ref()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Float64Array, Int64Array, StringArray, StringViewArray};

    use super::*;

    fn hashes(columns: &[ArrayRef]) -> Vec<u64> {
        let mut hashes = Vec::new();
        hash_rows(columns, columns[0].len(), &mut hashes).unwrap();
        hashes
    }

    #[test]
    fn strings_hash_alike_in_views_and_offsets() {
        let texts = ["", "a", "twelve bytes", "thirteen byte", "a much longer text than a view can hold"];
        let views: ArrayRef = Arc::new(StringViewArray::from_iter_values(texts));
        let offsets: ArrayRef = Arc::new(StringArray::from_iter_values(texts));
        assert_eq!(hashes(&[views]), hashes(&[offsets]));
    }

    #[test]
    fn a_slice_hashes_as_the_whole() {
        let whole: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(3), Some(-4)]));
        let slice = whole.slice(1, 3);
        assert_eq!(hashes(&[whole])[1..], hashes(&[slice])[..]);
    }

    #[test]
    fn equal_floats_hash_alike() {
        let values: ArrayRef = Arc::new(Float64Array::from(vec![0.0, -0.0, f64::NAN, -f64::NAN]));
        let hashes = hashes(&[values]);
        assert_eq!(hashes[0], hashes[1]);
        assert_eq!(hashes[2], hashes[3]);
    }

    #[test]
    fn sequential_keys_spread_over_high_and_low_bits() {
        let keys: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1 << 16));
        let hashes = hashes(&[keys]);
        for shift in [0, 56] {
            let mut counts = [0usize; 256];
            hashes.iter().for_each(|hash| counts[(hash >> shift & 0xFF) as usize] += 1);
            let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
            assert!(*least > 150 && *most < 380, "{least} to {most} of 256 expected");
        }
    }
}
