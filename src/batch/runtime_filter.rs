//! What a join knows of its build keys, told to the scan of its probe side while the query runs.
//!
//! A [`RuntimeFilter`] is a slot that the join's lowering shares between the build side and the scan. The build side
//! publishes a [`KeyFilter`] once, before the probe side's pipeline starts; a scan that finds one drops rows (and, by
//! its bounds, whole row groups) that cannot match.
//!
//! Invariant: a filter never drops a row whose key is among the build keys; it may let others through. Where the type
//! of a column is not that of the keys it says nothing.
//!
//! The blocked Bloom filter is that of Putze, Sanders and Singler, "Cache-, Hash- and Space-Efficient Bloom Filters",
//! 2007, with blocks of one 64-bit word.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use arrow::array::{Array, ArrayRef, BooleanArray, Scalar};
use arrow::buffer::BooleanBuffer;
use arrow::compute::kernels::cmp::{gt_eq, lt_eq};
use arrow::compute::{and, is_null, or};
use arrow::datatypes::{ArrowNativeType, DataType};
use datafusion_common::ScalarValue;

use crate::batch::hash::hash_rows;
use crate::error::Result;
use crate::memory::Reservation;

/// The slot between a join's build side and the scan of its probe side.
#[derive(Debug, Default)]
pub struct RuntimeFilter(OnceLock<Arc<KeyFilter>>);

impl RuntimeFilter {
    /// An empty slot.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Fills the slot; only the first call counts.
    pub fn publish(&self, filter: impl Into<Arc<KeyFilter>>) {
        let _ = self.0.set(filter.into());
    }

    /// What was published; `None` where nothing is known.
    pub fn get(&self) -> Option<&KeyFilter> {
        self.0.get().map(Arc::as_ref)
    }
}

/// What is known of one key column of a build side.
#[derive(Debug)]
pub struct KeyFilter {
    data_type: DataType,
    rows: usize,
    bounds: Option<(ScalarValue, ScalarValue)>,
    null_passes: bool,
    members: Members,
    /// Accounts for `members`.
    _reservation: Option<Reservation>,
}

/// Which keys there are, as far as that is known.
#[derive(Debug, Default)]
pub enum Members {
    /// Only the bounds are known.
    #[default]
    Unknown,
    /// Exactly: a bit for each integer of the range.
    Bits(KeyBits),
    /// Some more may pass.
    Bloom(KeyBloom),
}

impl KeyFilter {
    /// For `rows` build keys of type `data_type` that lie within `bounds` (none known: `None`).
    pub fn new(data_type: DataType, rows: usize, bounds: Option<(ScalarValue, ScalarValue)>) -> Self {
        KeyFilter { data_type, rows, bounds, null_passes: false, members: Members::Unknown, _reservation: None }
    }

    /// NULL keys match NULL keys, and there are such.
    #[must_use]
    pub fn with_nulls(mut self) -> Self {
        self.null_passes = true;
        self
    }

    /// With the set of keys, whose memory `reservation` accounts for.
    #[must_use]
    pub fn with_members(mut self, members: Members, reservation: Reservation) -> Self {
        self.members = members;
        self._reservation = Some(reservation);
        self
    }

    /// Adds the keys of `column` to the set; NULLs are not part of it. Threads may do so at the same time, before it is
    /// published.
    pub fn insert(&self, column: &ArrayRef) -> Result<()> {
        match &self.members {
            Members::Unknown => {}
            Members::Bits(bits) => {
                let mut words = Vec::new();
                integer_words(column, &mut words);
                words
                    .iter()
                    .enumerate()
                    .filter(|(row, _)| column.is_valid(*row))
                    .for_each(|(_, &word)| bits.insert(word));
            }
            Members::Bloom(bloom) => {
                let mut hashes = Vec::new();
                hash_rows(std::slice::from_ref(column), column.len(), &mut hashes)?;
                hashes.into_iter().for_each(|hash| bloom.insert(hash));
            }
        }
        Ok(())
    }

    /// Whether there is no build key at all: nothing can match.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The least and the greatest key, where they are known. NULL keys have none.
    pub fn bounds(&self) -> Option<(&ScalarValue, &ScalarValue)> {
        self.bounds.as_ref().map(|(least, greatest)| (least, greatest))
    }

    /// Whether rows whose key is NULL may match.
    pub fn null_passes(&self) -> bool {
        self.null_passes
    }

    /// Which rows of `column` may match; `None` where the filter says nothing about them. The mask has no NULLs.
    pub fn mask(&self, column: &ArrayRef) -> Result<Option<BooleanArray>> {
        if self.is_empty() {
            return Ok(Some(BooleanArray::new(BooleanBuffer::new_unset(column.len()), None)));
        }
        if !self.is_comparable(column.data_type()) {
            return Ok(None);
        }
        let bits = match &self.members {
            Members::Unknown => return self.mask_by_bounds(column),
            Members::Bits(bits) => {
                let mut words = Vec::new();
                if !integer_words(column, &mut words) {
                    return Ok(None);
                }
                BooleanBuffer::collect_bool(words.len(), |row| bits.contains(words[row]))
            }
            Members::Bloom(bloom) => {
                let mut hashes = Vec::new();
                hash_rows(std::slice::from_ref(column), column.len(), &mut hashes)?;
                BooleanBuffer::collect_bool(hashes.len(), |row| bloom.contains(hashes[row]))
            }
        };
        Ok(Some(BooleanArray::new(self.settle_nulls(column, bits), None)))
    }

    /// Texts hash alike in every form.
    fn is_comparable(&self, other: &DataType) -> bool {
        let is_text =
            |data_type: &DataType| matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
        other == &self.data_type || is_text(other) && is_text(&self.data_type)
    }

    fn settle_nulls(&self, column: &ArrayRef, bits: BooleanBuffer) -> BooleanBuffer {
        match column.logical_nulls().filter(|nulls| nulls.null_count() > 0) {
            None => bits,
            Some(nulls) if self.null_passes => &bits | &!nulls.inner(),
            Some(nulls) => &bits & nulls.inner(),
        }
    }

    fn mask_by_bounds(&self, column: &ArrayRef) -> Result<Option<BooleanArray>> {
        let Some((least, greatest)) = &self.bounds else { return Ok(None) };
        let scalar = |value: &ScalarValue| -> Result<Scalar<ArrayRef>> {
            Ok(Scalar::new(value.cast_to(column.data_type())?.to_array()?))
        };
        let mut mask = and(&gt_eq(column, &scalar(least)?)?, &lt_eq(column, &scalar(greatest)?)?)?;
        if self.null_passes {
            mask = or(&mask, &is_null(column)?)?;
        }
        let bits = match mask.nulls() {
            Some(nulls) => mask.values() & nulls.inner(),
            None => mask.values().clone(),
        };
        Ok(Some(BooleanArray::new(self.settle_nulls(column, bits), None)))
    }
}

/// A bit for each integer of a range. Bits may be set by several threads.
#[derive(Debug)]
pub struct KeyBits {
    /// The word (see [`integer_words`]) of the first bit.
    first: u64,
    bits: Vec<AtomicU64>,
}

impl KeyBits {
    /// Bytes for a range of `range` integers.
    pub fn bytes(range: usize) -> usize {
        range.div_ceil(64) * 8
    }

    /// No member yet; the range begins at the word `first`.
    pub fn new(first: u64, range: usize) -> Self {
        KeyBits { first, bits: atomic_words(range.div_ceil(64)) }
    }

    /// Adds the integer of word `word`; one outside of the range is ignored.
    #[inline]
    pub fn insert(&self, word: u64) {
        let place = word.wrapping_sub(self.first);
        if let Some(bits) = self.bits.get((place >> 6) as usize) {
            set_bits(bits, 1 << (place & 63));
        }
    }

    /// Whether the integer of word `word` is a member.
    #[inline]
    pub fn contains(&self, word: u64) -> bool {
        let place = word.wrapping_sub(self.first);
        match self.bits.get((place >> 6) as usize) {
            Some(bits) => bits.load(Ordering::Relaxed) >> (place & 63) & 1 == 1,
            None => false,
        }
    }
}

/// A Bloom filter over hashes of [`hash_rows`]. Members may be added by several threads.
#[derive(Debug)]
pub struct KeyBloom {
    /// A power of two of blocks.
    blocks: Vec<AtomicU64>,
}

/// Bits in the filter for each member.
const BITS_PER_KEY: usize = 12;

impl KeyBloom {
    /// Bytes for `rows` members.
    pub fn bytes(rows: usize) -> usize {
        (rows * BITS_PER_KEY / 64).next_power_of_two() * 8
    }

    /// No member yet; sized for `rows`.
    pub fn new(rows: usize) -> Self {
        KeyBloom { blocks: atomic_words(KeyBloom::bytes(rows) / 8) }
    }

    /// Adds the key of hash `hash`.
    #[inline]
    pub fn insert(&self, hash: u64) {
        set_bits(&self.blocks[self.block(hash)], pattern(hash));
    }

    /// Whether the key of hash `hash` may be a member.
    #[inline]
    pub fn contains(&self, hash: u64) -> bool {
        let pattern = pattern(hash);
        self.blocks[self.block(hash)].load(Ordering::Relaxed) & pattern == pattern
    }

    #[inline]
    fn block(&self, hash: u64) -> usize {
        (hash >> 30) as usize & (self.blocks.len() - 1)
    }
}

/// Four of 64 bits, by the low bits of the hash.
#[inline]
fn pattern(hash: u64) -> u64 {
    1 << (hash & 63) | 1 << (hash >> 6 & 63) | 1 << (hash >> 12 & 63) | 1 << (hash >> 18 & 63)
}

#[inline]
fn set_bits(word: &AtomicU64, bits: u64) {
    if word.load(Ordering::Relaxed) & bits != bits {
        word.fetch_or(bits, Ordering::Relaxed);
    }
}

fn atomic_words(words: usize) -> Vec<AtomicU64> {
    let mut atomics = Vec::with_capacity(words);
    atomics.resize_with(words, AtomicU64::default);
    atomics
}

/// Whether values of this type are integers that [`integer_words`] takes.
pub fn is_integer_like(data_type: &DataType) -> bool {
    let is_decimal = matches!(data_type, DataType::Decimal32(..) | DataType::Decimal64(..));
    is_decimal || data_type.is_integer() || data_type.is_temporal() && !matches!(data_type, DataType::Interval(_))
}

/// Each value of an integer-like column (integers, dates, times, small decimals) as one word, sign extended, so that
/// words of one type keep their distances. NULL rows have any word. False for other types.
pub fn integer_words(column: &ArrayRef, words: &mut Vec<u64>) -> bool {
    fn widen<T: ArrowNativeType>(column: &ArrayRef, words: &mut Vec<u64>, word: impl Fn(T) -> u64) {
        let data = column.to_data();
        words.extend(data.buffer::<T>(0).iter().take(column.len()).map(|&value| word(value)));
    }
    words.clear();
    let data_type = column.data_type();
    if !is_integer_like(data_type) {
        return false;
    }
    match (data_type.primitive_width(), data_type.is_unsigned_integer()) {
        (Some(1), false) => widen::<i8>(column, words, |value| i64::from(value) as u64),
        (Some(2), false) => widen::<i16>(column, words, |value| i64::from(value) as u64),
        (Some(4), false) => widen::<i32>(column, words, |value| i64::from(value) as u64),
        (Some(8), _) => widen::<u64>(column, words, |value| value),
        (Some(1), true) => widen::<u8>(column, words, u64::from),
        (Some(2), true) => widen::<u16>(column, words, u64::from),
        (Some(4), true) => widen::<u32>(column, words, u64::from),
        _ => return false,
    }
    true
}

#[cfg(test)]
mod tests {
    use arrow::array::{Date32Array, Int64Array, StringArray, StringViewArray};

    use super::*;
    use crate::memory::Budget;

    fn reservation() -> Reservation {
        Budget::new(1 << 20).reservation("test")
    }

    fn passing(filter: &KeyFilter, column: ArrayRef) -> Vec<bool> {
        filter.mask(&column).unwrap().unwrap().iter().map(|bit| bit.unwrap()).collect()
    }

    #[test]
    fn bounds_alone_rule_out_what_lies_outside() {
        let bounds = (ScalarValue::Int64(Some(3)), ScalarValue::Int64(Some(5)));
        let filter = KeyFilter::new(DataType::Int64, 2, Some(bounds.clone()));
        let column: ArrayRef = Arc::new(Int64Array::from(vec![Some(2), Some(3), None, Some(5), Some(6)]));
        assert_eq!(passing(&filter, column.clone()), [false, true, false, true, false]);
        let filter = KeyFilter::new(DataType::Int64, 2, Some(bounds)).with_nulls();
        assert_eq!(passing(&filter, column), [false, true, true, true, false]);
    }

    #[test]
    fn bits_are_exact_for_negative_keys_too() {
        let keys = [-3i32, 0, 2];
        let bits = KeyBits::new(i64::from(keys[0]) as u64, 6);
        keys.iter().for_each(|&key| bits.insert(i64::from(key) as u64));
        let filter = KeyFilter::new(DataType::Date32, 3, None).with_members(Members::Bits(bits), reservation());
        let column: ArrayRef = Arc::new(Date32Array::from_iter((-5..5).map(Some).chain([None])));
        let expected: Vec<bool> = (-5..5).map(|key| keys.contains(&key)).chain([false]).collect();
        assert_eq!(passing(&filter, column), expected);
    }

    #[test]
    fn a_bloom_filter_lets_every_member_pass_in_any_form_of_text() {
        let texts: Vec<String> = (0..1000).map(|number| format!("text number {number}")).collect();
        let members: ArrayRef = Arc::new(StringArray::from_iter_values(&texts[..500]));
        let mut hashes = Vec::new();
        hash_rows(&[members], 500, &mut hashes).unwrap();
        let bloom = KeyBloom::new(500);
        hashes.iter().for_each(|&hash| bloom.insert(hash));
        let filter = KeyFilter::new(DataType::Utf8, 500, None).with_members(Members::Bloom(bloom), reservation());
        let mask = passing(&filter, Arc::new(StringViewArray::from_iter_values(&texts)));
        assert!(mask[..500].iter().all(|&passes| passes));
        assert!(mask[500..].iter().filter(|&&passes| passes).count() < 100);
    }

    #[test]
    fn no_build_rows_let_nothing_pass() {
        let filter = KeyFilter::new(DataType::Int64, 0, None);
        assert_eq!(passing(&filter, Arc::new(Int64Array::from(vec![1, 2]))), [false, false]);
    }

    #[test]
    fn another_type_passes_unasked() {
        let filter = KeyFilter::new(DataType::Int64, 1, None);
        let column: ArrayRef = Arc::new(Date32Array::from(vec![1]));
        assert!(filter.mask(&column).unwrap().is_none());
    }
}
