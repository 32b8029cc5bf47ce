//! Strings and binary columns: lengths, then bytes, compressed where that pays.
//!
//! Arrays of views keep their short values (which lie in the views) apart from the long ones, so that the long ones
//! come back as the array's one buffer without being moved again. Values under a null become empty there.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, GenericByteArray, GenericByteViewArray, OffsetSizeTrait};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{
    ArrowNativeType, BinaryType, BinaryViewType, ByteArrayType, ByteViewType, DataType, LargeBinaryType, LargeUtf8Type,
    StringViewType, Utf8Type,
};

use super::bytes::{Reader, Writer};
use super::fixed::{read_integers, write_integers};
use super::{Encoding, damaged};
use crate::error::Result;

/// Values up to this length lie in their view.
const MOST_INLINE: u32 = 12;
/// Long values of one array that together are longer than this are left to Arrow IPC, which keeps several buffers.
const MOST_LONG_BYTES: usize = i32::MAX as usize;

/// Writes a column of strings or binary values; false (and nothing written) for any other.
pub(super) fn encode(column: &ArrayRef, writer: &mut Writer) -> bool {
    match column.data_type() {
        DataType::Utf8 => encode_offsets(column.as_bytes::<Utf8Type>(), writer),
        DataType::LargeUtf8 => encode_offsets(column.as_bytes::<LargeUtf8Type>(), writer),
        DataType::Binary => encode_offsets(column.as_bytes::<BinaryType>(), writer),
        DataType::LargeBinary => encode_offsets(column.as_bytes::<LargeBinaryType>(), writer),
        DataType::Utf8View => return encode_views(column.as_byte_view::<StringViewType>(), writer),
        DataType::BinaryView => return encode_views(column.as_byte_view::<BinaryViewType>(), writer),
        _ => return false,
    }
    true
}

/// Reads a column back.
pub(super) fn decode(data_type: &DataType, rows: usize, reader: &mut Reader) -> Result<ArrayRef> {
    match data_type {
        DataType::Utf8 => decode_offsets::<Utf8Type>(rows, reader),
        DataType::LargeUtf8 => decode_offsets::<LargeUtf8Type>(rows, reader),
        DataType::Binary => decode_offsets::<BinaryType>(rows, reader),
        DataType::LargeBinary => decode_offsets::<LargeBinaryType>(rows, reader),
        DataType::Utf8View => decode_views::<StringViewType>(rows, reader),
        DataType::BinaryView => decode_views::<BinaryViewType>(rows, reader),
        _ => Err(damaged("a column has another type")),
    }
}

fn encode_offsets<T: ByteArrayType>(array: &GenericByteArray<T>, writer: &mut Writer) {
    writer.u8(Encoding::Strings as u8);
    writer.validity(array);
    let offsets = array.value_offsets();
    let lengths: Vec<u64> =
        offsets.iter().zip(offsets.iter().skip(1)).map(|(a, b)| (b.as_usize() - a.as_usize()) as u64).collect();
    write_integers(&lengths, writer);
    let bound = |offset: Option<&T::Offset>| offset.map_or(0, |offset| offset.as_usize());
    let bytes = array.value_data().get(bound(offsets.first())..bound(offsets.last()));
    writer.section(bytes.unwrap_or_default());
}

fn decode_offsets<T: ByteArrayType>(rows: usize, reader: &mut Reader) -> Result<ArrayRef> {
    let nulls = reader.validity(rows)?;
    let lengths = read_integers::<u64>(rows, reader)?;
    let bytes = reader.section()?;
    let mut offsets = Vec::with_capacity(rows + 1);
    let mut end = 0_usize;
    offsets.push(T::Offset::usize_as(0));
    for length in lengths {
        end = end.saturating_add(length as usize);
        offsets.push(T::Offset::usize_as(end));
    }
    if end != bytes.len() || end > T::Offset::MAX_OFFSET {
        return Err(damaged("the lengths of its strings do not add up"));
    }
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    // SAFETY: the offsets start at zero, never fall, and end at the length of the bytes (checked above); `nulls` has
    // `rows` bits. That the bytes are UTF-8 where the type says so, cut at the same places as when they were written,
    // follows from the block's checksum and identity, which were verified: they were taken from a valid array.
    Ok(Arc::new(unsafe { GenericByteArray::<T>::new_unchecked(offsets, Buffer::from_vec(bytes), nulls) }))
}

fn encode_views<T: ByteViewType>(array: &GenericByteViewArray<T>, writer: &mut Writer) -> bool {
    let lengths = view_lengths(array.views(), array.nulls());
    let sum = |long: bool| lengths.iter().filter(|&&l| (l > MOST_INLINE) == long).map(|&l| l as usize).sum::<usize>();
    let (short_bytes, long_bytes) = (sum(false), sum(true));
    if long_bytes > MOST_LONG_BYTES {
        return false;
    }
    // Room behind the last value, because all sixteen bytes are copied at once.
    let mut short = vec![0; short_bytes + 16];
    let mut short_end = 0;
    let mut long = Vec::with_capacity(long_bytes);
    let mut run = Run::default();
    for (&view, &length) in array.views().iter().zip(&lengths) {
        if length <= MOST_INLINE {
            if let Some(place) = short.get_mut(short_end..short_end + 16) {
                place.copy_from_slice(&(view >> 32).to_le_bytes());
            }
            short_end += length as usize;
        } else {
            let (buffer, start) = ((view >> 64) as u32 as usize, (view >> 96) as usize);
            if !run.extend(buffer, start, length as usize) {
                run.copy_to(&mut long, array.data_buffers());
                run = Run { buffer, start, length: length as usize };
            }
        }
    }
    run.copy_to(&mut long, array.data_buffers());
    short.truncate(short_bytes);
    writer.u8(Encoding::Strings as u8);
    writer.validity(array);
    write_integers(&lengths, writer);
    writer.section(&short);
    writer.section(&long);
    true
}

/// Long values that follow one another in memory, so that they are copied together.
#[derive(Debug, Clone, Copy, Default)]
struct Run {
    buffer: usize,
    start: usize,
    length: usize,
}

impl Run {
    /// Whether the value was the next one.
    #[inline]
    fn extend(&mut self, buffer: usize, start: usize, length: usize) -> bool {
        let is_next = buffer == self.buffer && start == self.start + self.length;
        self.length += if is_next { length } else { 0 };
        is_next
    }

    fn copy_to(&self, target: &mut Vec<u8>, buffers: &[Buffer]) {
        let bytes = buffers.get(self.buffer).and_then(|buffer| buffer.get(self.start..self.start + self.length));
        target.extend_from_slice(bytes.unwrap_or_default());
    }
}

/// The length of each value, 0 where it is null.
fn view_lengths(views: &[u128], nulls: Option<&NullBuffer>) -> Vec<u32> {
    let mut lengths: Vec<u32> = views.iter().map(|&view| view as u32).collect();
    if let Some(nulls) = nulls.filter(|nulls| nulls.null_count() > 0) {
        lengths.iter_mut().zip(nulls.iter()).for_each(|(length, valid)| *length *= u32::from(valid));
    }
    lengths
}

fn decode_views<T: ByteViewType>(rows: usize, reader: &mut Reader) -> Result<ArrayRef> {
    let nulls = reader.validity(rows)?;
    let lengths = read_integers::<u32>(rows, reader)?;
    let short = reader.section()?;
    let long = reader.section()?;
    let (mut short_start, mut long_start) = (0_usize, 0_usize);
    let mut views = Vec::with_capacity(rows);
    for length in lengths {
        let bytes = length as usize;
        if length <= MOST_INLINE {
            let rest = short.get(short_start..).unwrap_or_default();
            views.push(inline_view(length, rest).ok_or_else(|| damaged("a short string is missing"))?);
            short_start += bytes;
        } else {
            let value = long.get(long_start..).filter(|rest| rest.len() >= bytes);
            let prefix = value.and_then(|value| value.first_chunk::<4>());
            let prefix = u32::from_le_bytes(*prefix.ok_or_else(|| damaged("a long string is missing"))?);
            views.push(u128::from(length) | u128::from(prefix) << 32 | (long_start as u128) << 96);
            long_start += bytes;
        }
    }
    if short_start != short.len() || long_start != long.len() || long_start > MOST_LONG_BYTES {
        return Err(damaged("the lengths of its strings do not add up"));
    }
    let buffers: Vec<Buffer> = if long.is_empty() { Vec::new() } else { vec![Buffer::from_vec(long)] };
    // SAFETY: every long view lies within the one buffer, and its prefix is that of its bytes; every short one has
    // zeros behind its value (built above); `nulls` has `rows` bits. That the bytes are UTF-8 where the type says so,
    // cut at the same places as when they were written, follows from the block's checksum and identity, which were
    // verified: they were taken from a valid array.
    Ok(Arc::new(unsafe { GenericByteViewArray::<T>::new_unchecked(ScalarBuffer::from(views), buffers, nulls) }))
}

/// The bits of a value of each length from 0 to 12.
const INLINE_MASKS: [u128; MOST_INLINE as usize + 1] = {
    let mut masks = [0; MOST_INLINE as usize + 1];
    let mut length = 1;
    while length < masks.len() {
        masks[length] = masks[length - 1] << 8 | 0xff;
        length += 1;
    }
    masks
};

/// A view of a value of at most 12 bytes, which `rest` begins with; `None` when it is shorter.
#[inline]
fn inline_view(length: u32, rest: &[u8]) -> Option<u128> {
    let bits = match rest.first_chunk::<16>() {
        Some(bytes) => u128::from_le_bytes(*bytes) & INLINE_MASKS.get(length as usize)?,
        None => {
            let mut bytes = [0; 16];
            let value = rest.get(..length as usize)?;
            bytes.iter_mut().zip(value).for_each(|(place, byte)| *place = *byte);
            u128::from_le_bytes(bytes)
        }
    };
    Some(bits << 32 | u128::from(length))
}
