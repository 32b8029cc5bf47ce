//! Keys of fixed width packed into a few 64-bit words: comparing is comparing words.
//!
//! A string of up to 12 bytes is its own 16-byte view. A longer one makes the batch unfit; the table then changes to
//! another form.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayData, ArrayRef, AsArray, BinaryViewArray, BooleanArray, BooleanBufferBuilder, NullBufferBuilder,
    StringViewArray, make_array,
};
use arrow::buffer::{Buffer, NullBuffer, ScalarBuffer};
use arrow::datatypes::{ArrowNativeType, DataType, Float32Type, Float64Type};

use super::slots::{Slots, vec_growth};
use super::{GroupIndex, Interned};
use crate::batch::hash::{canonical_f32, canonical_f64};
use crate::error::Result;

/// At most so many words are packed; wider keys go through rows.
const MOST_WORDS: usize = 6;

/// Where each key column lies in the packed words.
#[derive(Debug, Clone)]
pub(in crate::ops::aggregate) struct PackedLayout {
    columns: Vec<PackedColumn>,
    words: usize,
}

#[derive(Debug, Clone)]
struct PackedColumn {
    data_type: DataType,
    /// Bytes: 1, 2, 4, 8 or 16.
    width: usize,
    word: usize,
    /// Bits to the left within the word.
    shift: u32,
    /// The word and bit that say NULL.
    null_word: usize,
    null_bit: u32,
}

impl PackedLayout {
    /// The layout for keys of these types, or `None` where one has no fixed width or all are too wide.
    pub(in crate::ops::aggregate) fn new(types: &[DataType]) -> Option<Self> {
        let widths: Vec<usize> = types.iter().map(packed_width).collect::<Option<_>>()?;
        let mut order: Vec<usize> = (0..types.len()).collect();
        order.sort_by_key(|&column| std::cmp::Reverse(widths[column]));
        let mut offsets = vec![0; types.len()];
        let mut bytes = 0;
        for &column in &order {
            offsets[column] = bytes;
            bytes += widths[column];
        }
        let null_start = bytes;
        let words = (bytes + types.len().div_ceil(8)).div_ceil(8);
        if words > MOST_WORDS || types.is_empty() {
            return None;
        }
        let columns = types.iter().enumerate().map(|(column, data_type)| {
            let null_bit = null_start * 8 + column;
            PackedColumn {
                data_type: data_type.clone(),
                width: widths[column],
                word: offsets[column] / 8,
                shift: (offsets[column] % 8 * 8) as u32,
                null_word: null_bit / 64,
                null_bit: (null_bit % 64) as u32,
            }
        });
        Some(PackedLayout { columns: columns.collect(), words })
    }

    pub(in crate::ops::aggregate) fn words(&self) -> usize {
        self.words
    }
}

fn packed_width(data_type: &DataType) -> Option<usize> {
    match data_type {
        DataType::Boolean => Some(1),
        DataType::Utf8View | DataType::BinaryView => Some(16),
        other => other.primitive_width().filter(|width| matches!(width, 1 | 2 | 4 | 8 | 16)),
    }
}

/// Groups by packed keys of `W` words.
pub(in crate::ops::aggregate) struct PackedIndex<const W: usize> {
    layout: PackedLayout,
    slots: Slots,
    keys: Vec<[u64; W]>,
    batch: Vec<[u64; W]>,
}

impl<const W: usize> PackedIndex<W> {
    pub(in crate::ops::aggregate) fn new(layout: PackedLayout) -> Self {
        PackedIndex { layout, slots: Slots::new(), keys: Vec::new(), batch: Vec::new() }
    }

    /// Packs the batch's keys; false when one does not fit.
    fn pack(&mut self, keys: &[ArrayRef], rows: usize) -> bool {
        self.batch.clear();
        self.batch.resize(rows, [0; W]);
        let batch = &mut self.batch[..];
        self.layout.columns.iter().zip(keys).all(|(column, array)| pack_column(column, array, batch))
    }
}

impl<const W: usize> GroupIndex for PackedIndex<W> {
    fn intern(&mut self, keys: &[ArrayRef], hashes: &[u64], groups: &mut Vec<usize>) -> Result<Interned> {
        if !self.pack(keys, hashes.len()) {
            return Ok(Interned::Unfit);
        }
        groups.clear();
        groups.reserve(hashes.len());
        self.slots.reserve(hashes.len());
        let (slots, stored) = (&mut self.slots, &mut self.keys);
        for (key, &hash) in self.batch.iter().zip(hashes) {
            let (group, new) = slots.find_or_insert(hash, |group| stored[group] == *key);
            if new {
                stored.push(*key);
            }
            groups.push(group);
        }
        Ok(Interned::All)
    }

    fn len(&self) -> usize {
        self.slots.len()
    }

    fn bytes(&self) -> usize {
        self.slots.bytes() + (self.keys.capacity() + self.batch.capacity()) * size_of::<[u64; W]>()
    }

    fn growth(&self, rows: usize) -> usize {
        self.slots.growth(rows) + vec_growth(&self.keys, rows)
    }

    fn drain(&mut self) -> Result<Vec<ArrayRef>> {
        self.slots.clear();
        let keys = std::mem::take(&mut self.keys);
        self.layout.columns.iter().map(|column| unpack_column(column, &keys)).collect()
    }
}

fn pack_column<const W: usize>(column: &PackedColumn, array: &ArrayRef, batch: &mut [[u64; W]]) -> bool {
    let nulls = array.logical_nulls().filter(|nulls| nulls.null_count() > 0);
    let nulls = nulls.as_ref();
    match &column.data_type {
        DataType::Boolean => {
            let values = array.as_boolean().values();
            pack_words(column, nulls, batch, |row| u64::from(values.value(row)));
        }
        DataType::Float64 => {
            let values = array.as_primitive::<Float64Type>().values();
            pack_words(column, nulls, batch, |row| canonical_f64(values[row]).to_bits());
        }
        DataType::Float32 => {
            let values = array.as_primitive::<Float32Type>().values();
            pack_words(column, nulls, batch, |row| u64::from(canonical_f32(values[row]).to_bits()));
        }
        DataType::Utf8View => return pack_views(column, nulls, batch, array.as_string_view().views()),
        DataType::BinaryView => return pack_views(column, nulls, batch, array.as_binary_view().views()),
        _ => match column.width {
            1 => pack_fixed::<u8, W>(column, array, nulls, batch, u64::from),
            2 => pack_fixed::<u16, W>(column, array, nulls, batch, u64::from),
            4 => pack_fixed::<u32, W>(column, array, nulls, batch, u64::from),
            8 => pack_fixed::<u64, W>(column, array, nulls, batch, |word| word),
            _ => {
                let data = array.to_data();
                let values = &data.buffer::<u128>(0)[..batch.len()];
                pack_wide(column, nulls, batch, |row| values[row]);
            }
        },
    }
    true
}

fn pack_fixed<T: ArrowNativeType, const W: usize>(
    column: &PackedColumn,
    array: &ArrayRef,
    nulls: Option<&NullBuffer>,
    batch: &mut [[u64; W]],
    word: impl Fn(T) -> u64,
) {
    let data = array.to_data();
    let values = &data.buffer::<T>(0)[..batch.len()];
    pack_words(column, nulls, batch, |row| word(values[row]));
}

#[inline(always)]
fn pack_words<const W: usize>(
    column: &PackedColumn,
    nulls: Option<&NullBuffer>,
    batch: &mut [[u64; W]],
    word: impl Fn(usize) -> u64,
) {
    let (index, shift) = (column.word, column.shift);
    match nulls {
        None => batch.iter_mut().enumerate().for_each(|(row, key)| key[index] |= word(row) << shift),
        Some(nulls) => {
            for (row, key) in batch.iter_mut().enumerate() {
                if nulls.is_valid(row) {
                    key[index] |= word(row) << shift;
                } else {
                    key[column.null_word] |= 1 << column.null_bit;
                }
            }
        }
    }
}

#[inline(always)]
fn pack_wide<const W: usize>(
    column: &PackedColumn,
    nulls: Option<&NullBuffer>,
    batch: &mut [[u64; W]],
    value: impl Fn(usize) -> u128,
) {
    for (row, key) in batch.iter_mut().enumerate() {
        if nulls.is_none_or(|nulls| nulls.is_valid(row)) {
            let value = value(row);
            key[column.word] = value as u64;
            key[column.word + 1] = (value >> 64) as u64;
        } else {
            key[column.null_word] |= 1 << column.null_bit;
        }
    }
}

fn pack_views<const W: usize>(
    column: &PackedColumn,
    nulls: Option<&NullBuffer>,
    batch: &mut [[u64; W]],
    views: &[u128],
) -> bool {
    let fits = match nulls {
        None => views.iter().all(|&view| view as u32 <= 12),
        Some(nulls) => views.iter().enumerate().all(|(row, &view)| view as u32 <= 12 || nulls.is_null(row)),
    };
    if fits {
        pack_wide(column, nulls, batch, |row| views[row]);
    }
    fits
}

fn unpack_column<const W: usize>(column: &PackedColumn, keys: &[[u64; W]]) -> Result<ArrayRef> {
    let mut validity = NullBufferBuilder::new(keys.len());
    for key in keys {
        validity.append(key[column.null_word] >> column.null_bit & 1 == 0);
    }
    let nulls = validity.finish();
    let word = |key: &[u64; W]| key[column.word] >> column.shift;
    let wide = |key: &[u64; W]| u128::from(key[column.word]) | u128::from(key[column.word + 1]) << 64;
    let buffer = match (&column.data_type, column.width) {
        (DataType::Boolean, _) => {
            let mut bits = BooleanBufferBuilder::new(keys.len());
            keys.iter().for_each(|key| bits.append(word(key) & 1 == 1));
            return Ok(Arc::new(BooleanArray::new(bits.finish(), nulls)));
        }
        (DataType::Utf8View, _) => {
            let views: ScalarBuffer<u128> = keys.iter().map(wide).collect();
            return Ok(Arc::new(StringViewArray::try_new(views, Vec::new(), nulls)?));
        }
        (DataType::BinaryView, _) => {
            let views: ScalarBuffer<u128> = keys.iter().map(wide).collect();
            return Ok(Arc::new(BinaryViewArray::try_new(views, Vec::new(), nulls)?));
        }
        (_, 1) => Buffer::from_vec(keys.iter().map(|key| word(key) as u8).collect::<Vec<_>>()),
        (_, 2) => Buffer::from_vec(keys.iter().map(|key| word(key) as u16).collect::<Vec<_>>()),
        (_, 4) => Buffer::from_vec(keys.iter().map(|key| word(key) as u32).collect::<Vec<_>>()),
        (_, 8) => Buffer::from_vec(keys.iter().map(word).collect::<Vec<_>>()),
        _ => Buffer::from_vec(keys.iter().map(wide).collect::<Vec<_>>()),
    };
    let data = ArrayData::builder(column.data_type.clone()).len(keys.len()).add_buffer(buffer).nulls(nulls).build()?;
    Ok(make_array(data))
}
