//! Columns in chunks, and copying any rows of them into one array.
//!
//! A row is its number plus one; 0 gives NULL. The chunk of a row is the upper bits of its number.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, GenericByteArray, StringArray, make_array, new_null_array,
};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::compute::interleave;
use arrow::datatypes::{ArrowNativeType, BinaryType, ByteArrayType, DataType, Utf8Type};

use super::spec::in_type;
use crate::error::{Code, Error, Result};

/// One column of all chunks.
pub(super) struct ChunkedColumn {
    data_type: DataType,
    values: Values,
    /// Of each chunk, where any has NULLs.
    nulls: Option<Vec<Option<NullBuffer>>>,
    shift: u32,
}

enum Values {
    Fixed1(Vec<ScalarBuffer<u8>>),
    Fixed2(Vec<ScalarBuffer<u16>>),
    Fixed4(Vec<ScalarBuffer<u32>>),
    Fixed8(Vec<ScalarBuffer<u64>>),
    Fixed16(Vec<ScalarBuffer<u128>>),
    Boolean(Vec<BooleanBuffer>),
    Bytes(Vec<(OffsetBuffer<i32>, Buffer)>),
    /// Nested and rare types; the last one is a single NULL.
    Other(Vec<ArrayRef>),
}

/// Rows to copy.
#[derive(Clone, Copy)]
pub(super) struct RowList<'a> {
    pub(super) rows: &'a [u32],
    /// Whether some may be 0.
    pub(super) optional: bool,
}

impl ChunkedColumn {
    /// The column whose chunks are `chunks`, all of type `data_type`.
    pub(super) fn new(data_type: &DataType, chunks: &[ArrayRef], shift: u32) -> Self {
        fn fixed<T: ArrowNativeType>(chunks: &[ArrayRef]) -> Vec<ScalarBuffer<T>> {
            let values = |chunk: &ArrayRef| {
                let data = chunk.to_data();
                let buffer = data.buffers().first().cloned().unwrap_or_default();
                ScalarBuffer::new(buffer, data.offset(), data.len())
            };
            chunks.iter().map(values).collect()
        }
        let mut nulls = None;
        let values = match (data_type, data_type.primitive_width()) {
            (DataType::Boolean, _) => {
                Values::Boolean(chunks.iter().map(|chunk| chunk.as_boolean().values().clone()).collect())
            }
            (DataType::Utf8, _) => Values::Bytes(chunks.iter().map(bytes_of::<Utf8Type>).collect()),
            (DataType::Binary, _) => Values::Bytes(chunks.iter().map(bytes_of::<BinaryType>).collect()),
            (_, Some(1)) => Values::Fixed1(fixed(chunks)),
            (_, Some(2)) => Values::Fixed2(fixed(chunks)),
            (_, Some(4)) => Values::Fixed4(fixed(chunks)),
            (_, Some(8)) => Values::Fixed8(fixed(chunks)),
            (_, Some(16)) => Values::Fixed16(fixed(chunks)),
            _ => Values::Other(chunks.iter().cloned().chain([new_null_array(data_type, 1)]).collect()),
        };
        if !matches!(values, Values::Other(_)) && chunks.iter().any(|chunk| chunk.null_count() > 0) {
            let of = |chunk: &ArrayRef| chunk.nulls().filter(|nulls| nulls.null_count() > 0).cloned();
            nulls = Some(chunks.iter().map(of).collect());
        }
        ChunkedColumn { data_type: data_type.clone(), values, nulls, shift }
    }

    /// The rows of `list`, in its order, as an array of type `target`.
    pub(super) fn gather(&self, list: RowList, target: &DataType) -> Result<ArrayRef> {
        let array = match &self.values {
            Values::Fixed1(chunks) => self.gather_fixed(chunks, list),
            Values::Fixed2(chunks) => self.gather_fixed(chunks, list),
            Values::Fixed4(chunks) => self.gather_fixed(chunks, list),
            Values::Fixed8(chunks) => self.gather_fixed(chunks, list),
            Values::Fixed16(chunks) => self.gather_fixed(chunks, list),
            Values::Boolean(chunks) => {
                let bits = BooleanBuffer::collect_bool(list.rows.len(), |index| match list.rows[index] {
                    0 => false,
                    row => {
                        let (chunk, row) = self.place(row);
                        chunks[chunk].value(row)
                    }
                });
                Ok(Arc::new(BooleanArray::new(bits, self.gather_nulls(list))) as ArrayRef)
            }
            Values::Bytes(chunks) => self.gather_bytes(chunks, list),
            Values::Other(chunks) => self.gather_other(chunks, list),
        };
        in_type(&array?, target)
    }

    #[inline(always)]
    fn place(&self, row: u32) -> (usize, usize) {
        let number = row.wrapping_sub(1) as usize;
        (number >> self.shift, number & ((1 << self.shift) - 1))
    }

    fn gather_fixed<T: ArrowNativeType>(&self, chunks: &[ScalarBuffer<T>], list: RowList) -> Result<ArrayRef> {
        let value = |&row: &u32| {
            let (chunk, row) = self.place(row);
            chunks[chunk][row]
        };
        let values: Vec<T> = match list.optional {
            false => list.rows.iter().map(value).collect(),
            true => list.rows.iter().map(|row| if *row == 0 { T::default() } else { value(row) }).collect(),
        };
        let data = arrow::array::ArrayData::builder(self.data_type.clone())
            .len(values.len())
            .add_buffer(Buffer::from_vec(values))
            .nulls(self.gather_nulls(list))
            .build()?;
        Ok(make_array(data))
    }

    fn gather_nulls(&self, list: RowList) -> Option<NullBuffer> {
        let bits = match &self.nulls {
            None if !list.optional => return None,
            None => BooleanBuffer::collect_bool(list.rows.len(), |index| list.rows[index] != 0),
            Some(nulls) => BooleanBuffer::collect_bool(list.rows.len(), |index| match list.rows[index] {
                0 => false,
                row => {
                    let (chunk, row) = self.place(row);
                    nulls[chunk].as_ref().is_none_or(|nulls| nulls.is_valid(row))
                }
            }),
        };
        Some(NullBuffer::new(bits)).filter(|nulls| nulls.null_count() > 0)
    }

    fn gather_bytes(&self, chunks: &[(OffsetBuffer<i32>, Buffer)], list: RowList) -> Result<ArrayRef> {
        let mut offsets: Vec<i32> = Vec::with_capacity(list.rows.len() + 1);
        let mut bytes: Vec<u8> = Vec::with_capacity(list.rows.len() * 16);
        offsets.push(0);
        for &row in list.rows {
            if row != 0 {
                let (chunk, row) = self.place(row);
                let (ends, values) = &chunks[chunk];
                bytes.extend_from_slice(&values.as_slice()[ends[row] as usize..ends[row + 1] as usize]);
            }
            offsets.push(i32::try_from(bytes.len()).map_err(|_| too_much_text())?);
        }
        let nulls = self.gather_nulls(list);
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        let bytes = Buffer::from_vec(bytes);
        Ok(match self.data_type {
            DataType::Utf8 => Arc::new(StringArray::try_new(offsets, bytes, nulls)?),
            _ => Arc::new(BinaryArray::try_new(offsets, bytes, nulls)?),
        })
    }

    fn gather_other(&self, chunks: &[ArrayRef], list: RowList) -> Result<ArrayRef> {
        let arrays: Vec<&dyn Array> = chunks.iter().map(AsRef::as_ref).collect();
        let null = (chunks.len().saturating_sub(1), 0);
        let places: Vec<(usize, usize)> =
            list.rows.iter().map(|&row| if row == 0 { null } else { self.place(row) }).collect();
        Ok(interleave(&arrays, &places)?)
    }
}

fn bytes_of<T: ByteArrayType<Offset = i32>>(chunk: &ArrayRef) -> (OffsetBuffer<i32>, Buffer) {
    let array: &GenericByteArray<T> = chunk.as_bytes::<T>();
    (array.offsets().clone(), array.values().clone())
}

fn too_much_text() -> Error {
    Error::new(Code::OutOfMemory, "more than 2 GiB of text in one batch of a join").hint("set a smaller batch_size")
}
