//! Join keys in the form in which they are compared.
//!
//! One integer key is one word, sign extended, so that a table may be addressed by it. Other keys of fixed width are
//! packed into a few words; texts and everything else are byte strings. Equal keys have equal forms and equal hashes:
//! floats are made canonical (-0.0 is 0.0, NaN is one value), dictionaries are unpacked.

use std::sync::Arc;

use arrow::array::{Array, ArrayData, ArrayRef, AsArray, BinaryArray, StringArray, make_array};
use arrow::buffer::{Buffer, NullBuffer, ScalarBuffer};
use arrow::compute::cast;
use arrow::datatypes::{ArrowNativeType, DataType, Float32Type, Float64Type};
use arrow::row::{RowConverter, SortField};
use datafusion_common::ScalarValue;

use crate::batch::hash::{canonical_f32, canonical_f64};
use crate::batch::runtime_filter::{integer_words, is_integer_like};
use crate::error::{Error, Result};

/// At most so many words are packed; wider keys go through rows.
const MOST_WORDS: usize = 4;

/// How keys of some types are compared.
#[derive(Debug)]
pub(super) enum KeyForm {
    /// One integer-like column: one word, sign extended.
    Integer,
    /// Columns of fixed width in so many words.
    Packed(Vec<PackedColumn>, usize),
    /// One text.
    Text,
    /// The row form of the columns.
    Rows(RowConverter),
}

#[derive(Debug)]
pub(super) struct PackedColumn {
    word: usize,
    shift: u32,
    /// The word and bit that say NULL, where NULL equals NULL.
    null: Option<(usize, u32)>,
}

/// The keys of some rows.
#[derive(Debug, Clone)]
pub(super) enum Keys {
    /// So many words for each row.
    Words(ScalarBuffer<u64>, usize),
    Bytes(BinaryArray),
}

/// Least and greatest words of an integer key column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WordBounds {
    pub(super) least: u64,
    pub(super) greatest: u64,
    /// Whether the words are numbers without a sign.
    unsigned: bool,
}

impl WordBounds {
    /// Of the values of `column` that are not NULL; `None` where there are none or they are no integers.
    pub(super) fn of(column: &ArrayRef) -> Result<Option<WordBounds>> {
        if !is_integer_like(column.data_type()) || column.null_count() == column.len() {
            return Ok(None);
        }
        let Keys::Words(words, _) = integer_keys(column)? else { return Ok(None) };
        let unsigned = column.data_type().is_unsigned_integer();
        // Flipping the sign bit makes signed numbers compare as unsigned ones.
        let flip = if unsigned { 0 } else { 1 << 63 };
        let wider = |(least, greatest): (u64, u64), word: u64| (least.min(word ^ flip), greatest.max(word ^ flip));
        let (least, greatest) = match column.nulls().filter(|nulls| nulls.null_count() > 0) {
            None => words.iter().fold((u64::MAX, 0), |bounds, &word| wider(bounds, word)),
            Some(nulls) => nulls.valid_indices().fold((u64::MAX, 0), |bounds, row| wider(bounds, words[row])),
        };
        Ok(Some(WordBounds { least: least ^ flip, greatest: greatest ^ flip, unsigned }))
    }

    /// What holds the keys of both.
    pub(super) fn union(self, other: WordBounds) -> WordBounds {
        let flip = if self.unsigned { 0 } else { 1 << 63 };
        WordBounds {
            least: (self.least ^ flip).min(other.least ^ flip) ^ flip,
            greatest: (self.greatest ^ flip).max(other.greatest ^ flip) ^ flip,
            unsigned: self.unsigned,
        }
    }

    /// The least and the greatest value of the column's type.
    pub(super) fn scalars(self, data_type: &DataType) -> Result<(ScalarValue, ScalarValue)> {
        let words = [self.least, self.greatest];
        let buffer = match data_type.primitive_width() {
            Some(1) => Buffer::from_vec(words.map(|word| word as u8).to_vec()),
            Some(2) => Buffer::from_vec(words.map(|word| word as u16).to_vec()),
            Some(4) => Buffer::from_vec(words.map(|word| word as u32).to_vec()),
            _ => Buffer::from_vec(words.to_vec()),
        };
        let data = ArrayData::builder(data_type.clone()).len(2).add_buffer(buffer).build()?;
        let array = make_array(data);
        Ok((ScalarValue::try_from_array(&array, 0)?, ScalarValue::try_from_array(&array, 1)?))
    }
}

impl Keys {
    /// Bytes that are not those of a column.
    pub(super) fn bytes_per_row(form: &KeyForm) -> usize {
        match form {
            KeyForm::Integer => 8,
            KeyForm::Packed(_, words) => words * 8,
            KeyForm::Text => 0,
            KeyForm::Rows(_) => 48,
        }
    }
}

/// The type in which a key is hashed and compared.
pub(super) fn key_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Dictionary(_, value) => key_type(value),
        DataType::RunEndEncoded(_, value) => key_type(value.data_type()),
        DataType::Float16 => DataType::Float32,
        other => other.clone(),
    }
}

/// A key column whose equal values have equal bits and equal hashes.
pub(super) fn canonical_key(key: ArrayRef) -> Result<ArrayRef> {
    let data_type = key_type(key.data_type());
    let key = if key.data_type() == &data_type { key } else { cast(&key, &data_type)? };
    Ok(match data_type {
        DataType::Float64 => {
            Arc::new(key.as_primitive::<Float64Type>().unary::<_, Float64Type>(canonical_f64)) as ArrayRef
        }
        DataType::Float32 => Arc::new(key.as_primitive::<Float32Type>().unary::<_, Float32Type>(canonical_f32)),
        _ => key,
    })
}

/// The rows in which no key is NULL; `None` where that is all of them.
pub(super) fn valid_keys(keys: &[ArrayRef]) -> Option<NullBuffer> {
    let nulls = keys
        .iter()
        .fold(None, |nulls: Option<NullBuffer>, key| NullBuffer::union(nulls.as_ref(), key.logical_nulls().as_ref()));
    nulls.filter(|nulls| nulls.null_count() > 0)
}

impl KeyForm {
    /// The form of keys of these types; NULL keys are part of it only where `null_equal`.
    pub(super) fn new(types: &[DataType], null_equal: bool) -> Result<Self> {
        let types: Vec<DataType> = types.iter().map(key_type).collect();
        if let [one] = types.as_slice()
            && !null_equal
            && is_integer_like(one)
        {
            return Ok(KeyForm::Integer);
        }
        if let Some((columns, words)) = pack(&types, null_equal) {
            return Ok(KeyForm::Packed(columns, words));
        }
        match types.as_slice() {
            [DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View] if !null_equal => Ok(KeyForm::Text),
            _ => {
                let fields = types.iter().map(|data_type| SortField::new(row_type(data_type)));
                Ok(KeyForm::Rows(RowConverter::new(fields.collect())?))
            }
        }
    }

    /// The keys of `rows` rows of canonical key columns. A row with a NULL key has some key or other unless NULLs are
    /// part of the form.
    pub(super) fn keys(&self, columns: &[ArrayRef], rows: usize) -> Result<Keys> {
        match (self, columns) {
            (KeyForm::Integer, [column]) => integer_keys(column),
            (KeyForm::Packed(packed, words), _) => {
                let mut buffer = vec![0u64; rows * words];
                for (place, column) in packed.iter().zip(columns) {
                    pack_column(place, column, &mut buffer, *words)?;
                }
                Ok(Keys::Words(ScalarBuffer::from(buffer), *words))
            }
            (KeyForm::Text, [column]) => {
                let text =
                    if column.data_type() == &DataType::Utf8 { column.clone() } else { cast(column, &DataType::Utf8)? };
                let text: &StringArray = text.as_string();
                let (offsets, values, nulls) = text.clone().into_parts();
                Ok(Keys::Bytes(BinaryArray::try_new(offsets, values, nulls)?))
            }
            (KeyForm::Rows(converter), _) => {
                let columns = columns.iter().map(|column| {
                    let data_type = row_type(column.data_type());
                    Ok(if column.data_type() == &data_type { column.clone() } else { cast(column, &data_type)? })
                });
                Ok(Keys::Bytes(converter.convert_columns(&columns.collect::<Result<Vec<_>>>()?)?.try_into_binary()?))
            }
            _ => Err(Error::internal("join keys that are not those of the join")),
        }
    }
}

/// One type for all forms of text, so that both sides' rows compare.
fn row_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView => DataType::Binary,
        other => other.clone(),
    }
}

fn integer_keys(column: &ArrayRef) -> Result<Keys> {
    if column.data_type().primitive_width() == Some(8) {
        let data = column.to_data();
        let buffer = data.buffers().first().cloned().unwrap_or_default();
        return Ok(Keys::Words(ScalarBuffer::new(buffer, data.offset(), data.len()), 1));
    }
    let mut words = Vec::with_capacity(column.len());
    match integer_words(column, &mut words) {
        true => Ok(Keys::Words(ScalarBuffer::from(words), 1)),
        false => Err(Error::internal(format!("{} as an integer key", column.data_type()))),
    }
}

/// Where each column lies, and how many words there are; `None` where one has no fixed width or all are too wide.
fn pack(types: &[DataType], null_equal: bool) -> Option<(Vec<PackedColumn>, usize)> {
    let width = |data_type: &DataType| match data_type {
        DataType::Boolean => Some(1),
        other => other.primitive_width().filter(|width| matches!(width, 1 | 2 | 4 | 8 | 16)),
    };
    let widths: Vec<usize> = types.iter().map(width).collect::<Option<_>>()?;
    let mut order: Vec<usize> = (0..types.len()).collect();
    order.sort_by_key(|&column| std::cmp::Reverse(widths[column]));
    let mut columns: Vec<PackedColumn> = types.iter().map(|_| PackedColumn { word: 0, shift: 0, null: None }).collect();
    let mut bytes = 0;
    for column in order {
        columns[column].word = bytes / 8;
        columns[column].shift = (bytes % 8 * 8) as u32;
        bytes += widths[column];
    }
    if null_equal {
        for (index, column) in columns.iter_mut().enumerate() {
            let bit = bytes * 8 + index;
            column.null = Some((bit / 64, (bit % 64) as u32));
        }
        bytes += types.len().div_ceil(8);
    }
    let words = bytes.div_ceil(8);
    (words <= MOST_WORDS && words > 0).then_some((columns, words))
}

fn pack_column(place: &PackedColumn, column: &ArrayRef, buffer: &mut [u64], words: usize) -> Result<()> {
    match (column.data_type(), column.data_type().primitive_width()) {
        (DataType::Boolean, _) => {
            let values = column.as_boolean().values();
            pack_words(place, column, buffer, words, |row| u64::from(values.value(row)));
        }
        (_, Some(1)) => pack_fixed::<u8>(place, column, buffer, words, u64::from),
        (_, Some(2)) => pack_fixed::<u16>(place, column, buffer, words, u64::from),
        (_, Some(4)) => pack_fixed::<u32>(place, column, buffer, words, u64::from),
        (_, Some(8)) => pack_fixed::<u64>(place, column, buffer, words, |word| word),
        (_, Some(16)) => {
            pack_fixed::<u128>(place, column, buffer, words, |wide| wide as u64);
            let high = PackedColumn { word: place.word + 1, shift: 0, null: None };
            pack_fixed::<u128>(&high, column, buffer, words, |wide| (wide >> 64) as u64);
        }
        (other, _) => return Err(Error::internal(format!("{other} as a packed key"))),
    }
    Ok(())
}

fn pack_fixed<T: ArrowNativeType>(
    place: &PackedColumn,
    column: &ArrayRef,
    buffer: &mut [u64],
    words: usize,
    word: impl Fn(T) -> u64,
) {
    let data = column.to_data();
    let values = data.buffer::<T>(0);
    pack_words(place, column, buffer, words, |row| word(values[row]));
}

#[inline(always)]
fn pack_words(place: &PackedColumn, column: &ArrayRef, buffer: &mut [u64], words: usize, word: impl Fn(usize) -> u64) {
    let nulls = column.nulls().filter(|nulls| nulls.null_count() > 0);
    for (row, key) in buffer.chunks_exact_mut(words).enumerate() {
        if nulls.is_none_or(|nulls| nulls.is_valid(row)) {
            key[place.word] |= word(row) << place.shift;
        } else if let Some((null_word, bit)) = place.null {
            key[null_word] |= 1 << bit;
        }
    }
}
