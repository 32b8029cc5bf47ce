//! Texts and bytes: how they are stored, ordered and looked up.
//!
//! Values lie one after another as Parquet has them: their length in four bytes, then their bytes.

use arrow::array::{Array, ArrayRef, AsArray, ByteView};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use parquet::basic::BoundaryOrder;
use parquet::data_type::ByteArray;
use parquet::file::statistics::{Statistics, ValueStatistics};
use xxhash_rust::xxh3::xxh3_64;

use super::bounds::Bounds;
use super::table::Table;
use super::values::PageValues;
use crate::error::{Error, Result};

/// A dictionary has no more values and bytes than about this.
const MOST_VALUES: usize = 1 << 15;
const MOST_BYTES: usize = 1 << 20;
/// Bytes of a length.
const PREFIX: usize = 4;
/// Texts up to this length lie in their view.
const MOST_INLINE: u32 = 12;
/// Bounds are cut to this many bytes.
const BOUND_BYTES: usize = 64;

/// The texts of one column chunk.
pub(super) struct Texts {
    is_text: bool,
    /// Of the page.
    plain: Vec<u8>,
    count: usize,
    /// The dictionary: its values, where they begin, and what is found by.
    values: Vec<u8>,
    starts: Vec<u32>,
    table: Table,
    bounds: Bounds<Vec<u8>>,
}

impl Texts {
    pub(super) fn new(is_text: bool) -> Self {
        Texts {
            is_text,
            plain: Vec::new(),
            count: 0,
            values: Vec::new(),
            starts: Vec::new(),
            table: Table::default(),
            bounds: Bounds::new(),
        }
    }

    /// The least and the greatest of the page's values.
    fn page_bounds(&self) -> Option<(&[u8], &[u8])> {
        let mut values = each(&self.plain);
        let first = values.next()?;
        let (mut least, mut greatest) = (first, first);
        for value in values {
            if comes_before(value, least) {
                least = value;
            } else if comes_before(greatest, value) {
                greatest = value;
            }
        }
        Some((least, greatest))
    }

    /// The bounds as short as they may be, and whether they were cut.
    fn cut(&self, (least, greatest): (&[u8], &[u8])) -> ((Vec<u8>, bool), (Vec<u8>, bool)) {
        let cut = |value: &[u8]| -> Vec<u8> {
            let mut end = value.len().min(BOUND_BYTES);
            // A text is cut between two characters.
            while self.is_text && end > 0 && value.get(end).is_some_and(|byte| byte & 0xc0 == 0x80) {
                end -= 1;
            }
            value[..end].to_vec()
        };
        let least_cut = cut(least);
        let least_is_cut = least_cut.len() < least.len();
        if greatest.len() <= BOUND_BYTES {
            return ((least_cut, least_is_cut), (greatest.to_vec(), false));
        }
        // The next greater one of those that are short; of texts only what is in ASCII is counted up.
        let mut raised = cut(greatest);
        let last = if self.is_text { 0x7f } else { 0xff };
        while raised.last().is_some_and(|&byte| byte >= last) {
            raised.pop();
        }
        let greatest = match raised.last_mut() {
            Some(byte) => {
                *byte += 1;
                (raised, true)
            }
            None => (greatest.to_vec(), false),
        };
        ((least_cut, least_is_cut), greatest)
    }
}

/// The values of bytes that were written by `append`.
fn each(plain: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = plain;
    std::iter::from_fn(move || {
        let (length, behind) = rest.split_first_chunk::<PREFIX>()?;
        let (value, behind) = behind.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        rest = behind;
        Some(value)
    })
}

/// The order of two texts; mostly their first bytes tell.
#[inline]
fn comes_before(left: &[u8], right: &[u8]) -> bool {
    match (left.first_chunk::<8>(), right.first_chunk::<8>()) {
        (Some(first), Some(other)) if first != other => u64::from_be_bytes(*first) < u64::from_be_bytes(*other),
        _ => left < right,
    }
}

#[inline]
fn hash(value: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let length = value.len();
    let (low, high) = match (value.first_chunk::<8>(), value.last_chunk::<8>()) {
        (Some(first), Some(last)) if length <= 16 => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
        (Some(_), _) => return xxh3_64(value),
        _ => match (value.first_chunk::<4>(), value.last_chunk::<4>()) {
            (Some(first), Some(last)) => (u32::from_le_bytes(*first).into(), u32::from_le_bytes(*last).into()),
            _ => (value.iter().fold(0, |bytes, &byte| bytes << 8 | u64::from(byte)), 0),
        },
    };
    let mixed = (low ^ (length as u64).wrapping_mul(FACTOR)).wrapping_mul(FACTOR);
    (mixed ^ mixed >> 32 ^ high).wrapping_mul(FACTOR)
}

impl PageValues for Texts {
    fn append(&mut self, column: &ArrayRef, rows: usize, bytes: usize) -> Result<usize> {
        let views = match column.data_type() {
            DataType::Utf8 | DataType::LargeUtf8 => &cast(column, &DataType::Utf8View)?,
            DataType::Binary | DataType::LargeBinary => &cast(column, &DataType::BinaryView)?,
            _ => column,
        };
        let as_text = views.as_string_view_opt().map(|texts| (texts.views(), texts.data_buffers()));
        let as_bytes = || views.as_binary_view_opt().map(|bytes| (bytes.views(), bytes.data_buffers()));
        let Some((views, buffers)) = as_text.or_else(as_bytes) else {
            return Err(Error::internal(format!("a flat Parquet column of {}", column.data_type())));
        };
        let nulls = column.nulls().filter(|nulls| nulls.null_count() > 0);
        let most = self.plain.len().saturating_add(bytes.max(1));
        for (row, &view) in views.iter().take(rows.max(1)).enumerate() {
            if self.plain.len() >= most {
                return Ok(row);
            }
            if nulls.is_some_and(|nulls| nulls.is_null(row)) {
                continue;
            }
            self.count += 1;
            let view_of = ByteView::from(view);
            if view_of.length <= MOST_INLINE {
                // A short one looks in its view as it does in the page.
                self.plain.extend_from_slice(&view.to_le_bytes());
                self.plain.truncate(self.plain.len() - (MOST_INLINE - view_of.length) as usize);
                continue;
            }
            let (start, length) = (view_of.offset as usize, view_of.length as usize);
            let value = buffers.get(view_of.buffer_index as usize).and_then(|buffer| buffer.get(start..start + length));
            self.plain.extend_from_slice(&view_of.length.to_le_bytes());
            self.plain.extend_from_slice(value.ok_or_else(|| Error::internal("a text that is not there"))?);
        }
        Ok(rows.clamp(1, views.len()))
    }

    fn count(&self) -> usize {
        self.count
    }

    fn plain_bytes(&self) -> usize {
        self.plain.len()
    }

    fn append_plain(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.plain);
    }

    fn look_up(&mut self, indexes: &mut Vec<u32>) {
        let Texts { plain, values, starts, table, .. } = self;
        indexes.clear();
        indexes.extend(each(plain).map(|value| {
            let dictionary = std::cell::RefCell::new((&mut *values, &mut *starts));
            let is_same = |index: usize| {
                let (values, starts) = &*dictionary.borrow();
                let end = starts.get(index + 1).map_or(values.len(), |&next| next as usize);
                values[starts[index] as usize + PREFIX..end] == *value
            };
            let add = || {
                let (values, starts) = &mut *dictionary.borrow_mut();
                starts.push(values.len() as u32);
                values.extend_from_slice(&(value.len() as u32).to_le_bytes());
                values.extend_from_slice(value);
            };
            table.index_of(hash(value), is_same, add)
        }));
    }

    fn dictionary_len(&self) -> usize {
        self.starts.len()
    }

    fn dictionary_is_full(&self) -> bool {
        self.starts.len() > MOST_VALUES || self.values.len() > MOST_BYTES
    }

    fn truncate_dictionary(&mut self, count: usize) {
        if let Some(&end) = self.starts.get(count) {
            self.values.truncate(end as usize);
            self.starts.truncate(count);
            self.table.truncate(count);
        }
    }

    fn append_dictionary(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.values);
    }

    fn end_page(&mut self) -> Option<(Vec<u8>, Vec<u8>)> {
        let bounds = self.page_bounds().map(|bounds| (self.cut(bounds), (bounds.0.to_vec(), bounds.1.to_vec())));
        self.plain.clear();
        self.count = 0;
        let (((least, _), (greatest, _)), whole) = bounds?;
        self.bounds.add(whole.0, whole.1);
        Some((least, greatest))
    }

    fn order(&self) -> BoundaryOrder {
        self.bounds.order()
    }

    fn statistics(&self, nulls: u64) -> Statistics {
        let bounds = self.bounds.all().map(|(least, greatest)| self.cut((least, greatest)));
        let Some(((least, least_is_cut), (greatest, greatest_is_cut))) = bounds else {
            return ValueStatistics::<ByteArray>::new(None, None, None, Some(nulls), false).into();
        };
        ValueStatistics::<ByteArray>::new(Some(least.into()), Some(greatest.into()), None, Some(nulls), false)
            .with_min_is_exact(!least_is_cut)
            .with_max_is_exact(!greatest_is_cut)
            .into()
    }

    fn bytes(&self) -> usize {
        self.plain.capacity() + self.values.capacity() + self.starts.capacity() * size_of::<u32>() + self.table.bytes()
    }
}
