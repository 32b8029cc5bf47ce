//! Writing into and reading from one contiguous buffer, and the parts all encodings share: validity and packed bytes.

use arrow::array::Array;
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer};

use super::{Compression, damaged};
use crate::error::Result;

/// Shorter byte sections are not worth compressing.
const LEAST_COMPRESSED: usize = 512;
/// Length of the sample that decides whether compression pays.
const SAMPLE: usize = 4096;

/// Appends to a buffer that is longer than what was written, so that nothing is zeroed twice.
pub(super) struct Writer<'a> {
    buffer: &'a mut Vec<u8>,
    position: usize,
    compression: Compression,
}

impl<'a> Writer<'a> {
    pub(super) fn new(buffer: &'a mut Vec<u8>, position: usize, compression: Compression) -> Self {
        Writer { buffer, position, compression }
    }

    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// The next `length` bytes, to be filled by the caller.
    pub(super) fn space(&mut self, length: usize) -> &mut [u8] {
        let start = self.position;
        self.position += length;
        if self.buffer.len() < self.position {
            let wanted = self.position.max(self.buffer.capacity());
            self.buffer.resize(wanted, 0);
        }
        self.buffer.get_mut(start..self.position).unwrap_or_default()
    }

    /// Takes back the last `length` bytes of what `space` gave out.
    fn give_back(&mut self, length: usize) {
        self.position -= length;
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.space(bytes.len()).copy_from_slice(bytes);
    }

    pub(super) fn u8(&mut self, value: u8) {
        self.bytes(&[value]);
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.bytes(&value.to_le_bytes());
    }

    pub(super) fn u64(&mut self, value: u64) {
        self.bytes(&value.to_le_bytes());
    }

    /// Overwrites eight bytes that were written before.
    pub(super) fn set_u64(&mut self, at: usize, value: u64) {
        if let Some(place) = self.buffer.get_mut(at..at + 8) {
            place.copy_from_slice(&value.to_le_bytes());
        }
    }

    /// What was written from `start` on.
    pub(super) fn written(&self, start: usize) -> &[u8] {
        self.buffer.get(start..self.position).unwrap_or_default()
    }

    pub(super) fn bits(&mut self, bits: &BooleanBuffer) {
        let bytes = bits.len().div_ceil(8);
        let aligned = bits.sliced();
        self.bytes(aligned.get(..bytes).unwrap_or(&aligned));
    }

    /// The validity of `array`: a flag, then a bitmap where there are nulls.
    pub(super) fn validity(&mut self, array: &dyn Array) {
        match array.nulls().filter(|nulls| nulls.null_count() > 0) {
            None => self.u8(0),
            Some(nulls) => {
                self.u8(1);
                self.bits(nulls.inner());
            }
        }
    }

    /// A section of bytes, compressed where that is allowed and a sample says that it saves more than a quarter.
    pub(super) fn section(&mut self, bytes: &[u8]) {
        self.u64(bytes.len() as u64);
        let stored_at = self.position;
        self.u64(bytes.len() as u64);
        let may_pay = self.compression == Compression::WhereItPays && bytes.len() >= LEAST_COMPRESSED;
        if may_pay && compression_pays(bytes) {
            let most = lz4_flex::block::get_maximum_output_size(bytes.len());
            let space = self.space(most);
            if let Ok(length) = lz4_flex::block::compress_into(bytes, space)
                && length < bytes.len()
            {
                self.give_back(most - length);
                self.set_u64(stored_at, length as u64);
                return;
            }
            self.give_back(most);
        }
        self.bytes(bytes);
    }
}

/// Whether a piece from the middle shrinks by more than a quarter.
fn compression_pays(bytes: &[u8]) -> bool {
    let mut scratch = [0; lz4_flex::block::get_maximum_output_size(SAMPLE)];
    let middle = (bytes.len() / 2).min(bytes.len().saturating_sub(SAMPLE));
    let sample = bytes.get(middle..bytes.len().min(middle + SAMPLE)).unwrap_or(bytes);
    lz4_flex::block::compress_into(sample, &mut scratch).is_ok_and(|length| length * 4 < sample.len() * 3)
}

/// Reads what a [`Writer`] wrote.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(|| damaged("it is too short"))?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or_else(|| damaged("it is too short"))?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn length(&mut self) -> Result<usize> {
        usize::try_from(self.u64()?).map_err(|_| damaged("a length is too large"))
    }

    pub(super) fn bits(&mut self, length: usize) -> Result<BooleanBuffer> {
        let bytes = self.take(length.div_ceil(8))?;
        Ok(BooleanBuffer::new(Buffer::from(bytes), 0, length))
    }

    pub(super) fn validity(&mut self, rows: usize) -> Result<Option<NullBuffer>> {
        match self.u8()? {
            0 => Ok(None),
            1 => Ok(Some(NullBuffer::new(self.bits(rows)?))),
            _ => Err(damaged("a validity flag is neither set nor unset")),
        }
    }

    pub(super) fn section(&mut self) -> Result<Vec<u8>> {
        let length = self.length()?;
        let stored = self.length()?;
        let bytes = self.take(stored)?;
        if stored == length {
            return Ok(bytes.to_vec());
        }
        let mut whole = vec![0; length];
        match lz4_flex::block::decompress_into(bytes, &mut whole) {
            Ok(written) if written == length => Ok(whole),
            _ => Err(damaged("a compressed section does not unpack")),
        }
    }
}
