//! Bloom filters of column chunks: whether a row group has any of the values that a column is compared with.
//!
//! Only the block that a value falls into is read, 32 bytes, so that large filters cost neither time nor memory. The
//! filter is the split block filter of the Parquet format (Putze, Sanders, Singler, "Cache-, Hash- and Space-Efficient
//! Bloom Filters", 2007), over XXH64 of the value as PLAIN encodes it.
//!
//! Invariant: a row group that has a row for which the conjunct is true is kept. A filter whose header is not understood,
//! a value whose stored form is not certain, and any other conjunct rule out nothing.

use std::collections::HashMap;

use arrow::datatypes::{DataType, TimeUnit};
use bytes::Bytes;
use datafusion_common::ScalarValue;
use datafusion_expr::{BinaryExpr, Expr, Operator};
use parquet::basic::{LogicalType, TimeUnit as ParquetUnit, Type};
use parquet::file::reader::ChunkReader;
use parquet::schema::types::ColumnDescriptor;
use twox_hash::XxHash64;

use crate::error::Result;
use crate::scan::parquet::chunk::ChunkSource;
use crate::scan::parquet::footer::Footer;
use crate::scan::parquet::plan::{Scan, file_leaf};
use crate::scan::parquet::prune::exact_literal;

/// Bytes of a block, of which every value has one bit in each of the eight words.
const BLOCK: u64 = 32;
const SALT: [u32; 8] =
    [0x47b6_137b, 0x4497_4d91, 0x8824_ad5b, 0xa2b7_289d, 0x7054_95c7, 0x2df1_424b, 0x9efc_4947, 0x5c6b_fb31];
/// Bytes in which a header lies.
const HEADER: u64 = 32;
/// What follows the length in a header: the only algorithm, hash and compression that there are.
const ONLY_KIND: [u8; 13] = [0x1c, 0x1c, 0, 0, 0x1c, 0x1c, 0, 0, 0x1c, 0x1c, 0, 0, 0];
/// For lists of more values filters are not asked.
const MOST_VALUES: usize = 32;
/// Row groups of one object whose filters are asked.
const MOST_REMOTE_GROUPS: usize = 16;

/// The filters of one file.
pub(super) struct Blooms<'a> {
    scan: &'a Scan,
    footer: &'a Footer,
    source: Option<ChunkSource>,
    /// By row group and leaf: where the blocks begin and how many there are.
    known: HashMap<(usize, usize), Option<(u64, u64)>>,
}

impl<'a> Blooms<'a> {
    /// Nothing is read yet.
    pub(super) fn new(scan: &'a Scan, footer: &'a Footer) -> Self {
        Blooms { scan, footer, source: None, known: HashMap::new() }
    }

    /// Leaves of `groups` those of which some row can make `conjunct` true.
    pub(super) fn retain(&mut self, conjunct: &Expr, groups: &mut Vec<usize>) -> Result<()> {
        // Far away every question is a request, which costs as much as some data.
        if self.footer.key.path.is_remote() && groups.len() > MOST_REMOTE_GROUPS {
            return Ok(());
        }
        let mut kept = Vec::with_capacity(groups.len());
        for group in groups.iter() {
            if self.may_match(conjunct, *group)? {
                kept.push(*group);
            }
        }
        *groups = kept;
        Ok(())
    }

    /// Whether some row of row group `group` can make `conjunct` true.
    fn may_match(&mut self, conjunct: &Expr, group: usize) -> Result<bool> {
        match conjunct {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
                Ok(self.may_match(left, group)? && self.may_match(right, group)?)
            }
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
                Ok(self.may_match(left, group)? || self.may_match(right, group)?)
            }
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => match (left.as_ref(), right.as_ref()) {
                (Expr::Column(column), Expr::Literal(value, _)) | (Expr::Literal(value, _), Expr::Column(column)) => {
                    self.may_have(&column.name, value, group)
                }
                _ => Ok(true),
            },
            Expr::InList(list) if !list.negated && list.list.len() <= MOST_VALUES => {
                let Expr::Column(column) = list.expr.as_ref() else { return Ok(true) };
                for item in &list.list {
                    let Expr::Literal(value, _) = item else { return Ok(true) };
                    if self.may_have(&column.name, value, group)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            _ => Ok(true),
        }
    }

    /// Whether column `name` may have `value` in row group `group`.
    pub(super) fn may_have(&mut self, name: &str, value: &ScalarValue, group: usize) -> Result<bool> {
        let Some((leaf, target)) = file_leaf(self.scan, self.footer, name)? else { return Ok(true) };
        let descriptor = self.footer.metadata().file_metadata().schema_descr().column(leaf);
        let Some(forms) = stored_forms(value, &target, &descriptor) else { return Ok(true) };
        let Some((start, blocks)) = self.filter(group, leaf) else { return Ok(true) };
        for form in forms {
            let hash = XxHash64::oneshot(0, &form);
            let block = ((hash >> 32) * blocks) >> 32;
            let Some(block) = self.bytes(start + block * BLOCK, BLOCK) else { return Ok(true) };
            if has(&block, hash) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Where the blocks of a filter begin, and how many there are.
    fn filter(&mut self, group: usize, leaf: usize) -> Option<(u64, u64)> {
        if let Some(known) = self.known.get(&(group, leaf)) {
            return *known;
        }
        let found = self.read_header(group, leaf);
        self.known.insert((group, leaf), found);
        found
    }

    fn read_header(&mut self, group: usize, leaf: usize) -> Option<(u64, u64)> {
        let chunk = self.footer.metadata().row_groups().get(group)?.columns().get(leaf)?;
        let offset = u64::try_from(chunk.bloom_filter_offset()?).ok()?;
        let size = self.footer.key.size();
        let header = self.bytes(offset, HEADER.min(size.checked_sub(offset)?))?;
        let (bytes, length) = header_of(&header)?;
        let start = offset + length;
        (start.checked_add(bytes)? <= size).then_some((start, bytes / BLOCK))
    }

    /// Bytes of the file; `None` when they cannot be read, which whoever reads the data will be told.
    fn bytes(&mut self, start: u64, size: u64) -> Option<Bytes> {
        if self.source.is_none() {
            self.source = ChunkSource::open(&self.footer.key.path).ok();
        }
        let bytes = self.source.as_ref()?.get_bytes(start, usize::try_from(size).ok()?).ok()?;
        (bytes.len() as u64 == size).then_some(bytes)
    }
}

/// Whether a block has the bits of a value.
fn has(block: &[u8], hash: u64) -> bool {
    let (words, _) = block.as_chunks::<4>();
    let low = u32::try_from(hash & u64::from(u32::MAX)).unwrap_or_default();
    words.iter().zip(SALT).all(|(word, salt)| u32::from_le_bytes(*word) >> (low.wrapping_mul(salt) >> 27) & 1 == 1)
}

/// The bytes of the blocks that a header tells, and the length of the header itself.
fn header_of(bytes: &[u8]) -> Option<(u64, u64)> {
    // Thrift's compact form: field 1 is a number, as a zigzag in groups of seven bits.
    let (field, rest) = bytes.split_first()?;
    let digits = rest.iter().take(5).position(|byte| byte & 0x80 == 0)? + 1;
    let (number, rest) = rest.split_at_checked(digits)?;
    let zigzag = number.iter().rev().fold(0_u64, |value, byte| value << 7 | u64::from(byte & 0x7f));
    let size = (zigzag & 1 == 0).then_some(zigzag >> 1)?;
    let understood = *field == 0x15 && rest.starts_with(&ONLY_KIND) && size > 0 && size.is_multiple_of(BLOCK);
    understood.then_some((size, (1 + digits + ONLY_KIND.len()) as u64))
}

/// The forms in which a column of the engine's type `target` can hold `value`; `None` where that is not certain.
fn stored_forms(value: &ScalarValue, target: &DataType, column: &ColumnDescriptor) -> Option<Vec<Vec<u8>>> {
    if value.is_null() {
        return None;
    }
    if let Some(text) = bytes_of(value) {
        let is_bytes = column.physical_type() == Type::BYTE_ARRAY;
        return (is_bytes && matches!(target, DataType::Utf8View | DataType::BinaryView)).then(|| vec![text.to_vec()]);
    }
    let value = if value.data_type() == *target { value.clone() } else { exact_literal(value, target)? };
    match value {
        // Both zeroes are equal.
        ScalarValue::Float64(Some(number)) if column.physical_type() == Type::DOUBLE && !number.is_nan() => {
            let forms = if number == 0.0 { vec![0.0, -0.0] } else { vec![number] };
            Some(forms.into_iter().map(|form: f64| form.to_le_bytes().to_vec()).collect())
        }
        ScalarValue::Float32(Some(number)) if column.physical_type() == Type::FLOAT && !number.is_nan() => {
            let forms = if number == 0.0 { vec![0.0, -0.0] } else { vec![number] };
            Some(forms.into_iter().map(|form: f32| form.to_le_bytes().to_vec()).collect())
        }
        value => integer_form(unscaled(&value, column)?, column).map(|form| vec![form]),
    }
}

fn bytes_of(value: &ScalarValue) -> Option<&[u8]> {
    match value {
        ScalarValue::Utf8(text) | ScalarValue::Utf8View(text) | ScalarValue::LargeUtf8(text) => {
            text.as_ref().map(String::as_bytes)
        }
        ScalarValue::Binary(bytes) | ScalarValue::BinaryView(bytes) | ScalarValue::LargeBinary(bytes) => {
            bytes.as_deref()
        }
        _ => None,
    }
}

/// The whole number by which the column stores `value`.
fn unscaled(value: &ScalarValue, column: &ColumnDescriptor) -> Option<i128> {
    let stored_unit = match column.logical_type_ref() {
        Some(LogicalType::Timestamp(timestamp)) => Some(timestamp.unit),
        _ => None,
    };
    let in_unit = |unit: TimeUnit| {
        let same = matches!(
            (unit, stored_unit),
            (TimeUnit::Millisecond, Some(ParquetUnit::MILLIS))
                | (TimeUnit::Microsecond, Some(ParquetUnit::MICROS))
                | (TimeUnit::Nanosecond, Some(ParquetUnit::NANOS))
        );
        same.then_some(())
    };
    Some(match value {
        ScalarValue::Int8(Some(number)) => i128::from(*number),
        ScalarValue::Int16(Some(number)) => i128::from(*number),
        ScalarValue::Int32(Some(number)) => i128::from(*number),
        ScalarValue::Int64(Some(number)) => i128::from(*number),
        ScalarValue::UInt8(Some(number)) => i128::from(*number),
        ScalarValue::UInt16(Some(number)) => i128::from(*number),
        ScalarValue::UInt32(Some(number)) => i128::from(*number),
        ScalarValue::UInt64(Some(number)) => i128::from(*number),
        ScalarValue::Date32(Some(days)) if column.physical_type() == Type::INT32 => i128::from(*days),
        ScalarValue::TimestampMillisecond(Some(time), _) => {
            in_unit(TimeUnit::Millisecond).map(|()| i128::from(*time))?
        }
        ScalarValue::TimestampMicrosecond(Some(time), _) => {
            in_unit(TimeUnit::Microsecond).map(|()| i128::from(*time))?
        }
        ScalarValue::TimestampNanosecond(Some(time), _) => in_unit(TimeUnit::Nanosecond).map(|()| i128::from(*time))?,
        ScalarValue::Decimal128(Some(number), _, scale) if i32::from(*scale) == column.type_scale() => *number,
        _ => return None,
    })
}

/// A whole number as the column stores it.
fn integer_form(number: i128, column: &ColumnDescriptor) -> Option<Vec<u8>> {
    match column.physical_type() {
        // Unsigned numbers take the bits of signed ones.
        Type::INT32 => {
            let bits = i32::try_from(number).or_else(|_| u32::try_from(number).map(u32::cast_signed)).ok()?;
            Some(bits.to_le_bytes().to_vec())
        }
        Type::INT64 => {
            let bits = i64::try_from(number).or_else(|_| u64::try_from(number).map(u64::cast_signed)).ok()?;
            Some(bits.to_le_bytes().to_vec())
        }
        Type::FIXED_LEN_BYTE_ARRAY => {
            let (bytes, length) = (number.to_be_bytes(), usize::try_from(column.type_length()).ok()?);
            let sign = if number < 0 { 0xff } else { 0 };
            let (head, tail) = bytes.split_at_checked(bytes.len().checked_sub(length)?)?;
            let fits =
                head.iter().all(|byte| *byte == sign) && tail.first().is_some_and(|byte| byte & 0x80 == sign & 0x80);
            fits.then(|| tail.to_vec())
        }
        _ => None,
    }
}
