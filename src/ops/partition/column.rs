//! The write-combining buffers of one column, one per partition.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, BooleanBufferBuilder, GenericByteArray, GenericByteViewArray,
    NullBufferBuilder, UInt32Array, make_array,
};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::compute::{concat, take};
use arrow::datatypes::{ArrowNativeType, BinaryType, ByteArrayType, ByteViewType, DataType, Utf8Type};

use crate::error::{Code, Error, Result};

/// All partitions' buffers of one column.
pub(super) struct ColumnBuffers {
    /// The type that `freeze` gives (see `stored_type`).
    data_type: DataType,
    values: Values,
    /// One per partition from the first NULL on.
    validity: Option<Vec<NullBufferBuilder>>,
}

enum Values {
    Fixed1(Vec<Vec<u8>>),
    Fixed2(Vec<Vec<u16>>),
    Fixed4(Vec<Vec<u32>>),
    Fixed8(Vec<Vec<u64>>),
    Fixed16(Vec<Vec<u128>>),
    Boolean(Vec<Vec<bool>>),
    Bytes(Vec<BytesBuffer>),
    /// Nested and rare types: pieces, concatenated when frozen.
    Other(Vec<Vec<ArrayRef>>),
}

/// Offsets (without the last) and bytes of one partition.
#[derive(Default)]
struct BytesBuffer {
    ends: Vec<i32>,
    bytes: Vec<u8>,
}

/// How the rows of one batch spread over the partitions.
pub(super) struct Spread<'a> {
    /// The partition of each row.
    pub(super) partition: &'a [u16],
    /// Rows of the batch in each partition.
    pub(super) counts: &'a [u32],
    /// Rows that each partition's buffer holds already.
    pub(super) before: &'a [u32],
}

impl ColumnBuffers {
    pub(super) fn new(data_type: DataType, partitions: usize) -> Self {
        fn fixed<T: Clone>(partitions: usize) -> Vec<Vec<T>> {
            vec![Vec::new(); partitions]
        }
        let values = match (&data_type, data_type.primitive_width()) {
            (DataType::Boolean, _) => Values::Boolean(fixed(partitions)),
            (DataType::Utf8 | DataType::Binary, _) => {
                Values::Bytes((0..partitions).map(|_| BytesBuffer::default()).collect())
            }
            (_, Some(1)) => Values::Fixed1(fixed(partitions)),
            (_, Some(2)) => Values::Fixed2(fixed(partitions)),
            (_, Some(4)) => Values::Fixed4(fixed(partitions)),
            (_, Some(8)) => Values::Fixed8(fixed(partitions)),
            (_, Some(16)) => Values::Fixed16(fixed(partitions)),
            _ => Values::Other((0..partitions).map(|_| Vec::new()).collect()),
        };
        ColumnBuffers { data_type, values, validity: None }
    }

    /// Copies every row of `array` to its partition.
    pub(super) fn append(&mut self, array: &ArrayRef, spread: &Spread) -> Result<()> {
        if !matches!(self.values, Values::Other(_)) {
            self.append_validity(array.logical_nulls().as_ref(), spread);
        }
        match &mut self.values {
            Values::Fixed1(buffers) => append_fixed(buffers, array, spread),
            Values::Fixed2(buffers) => append_fixed(buffers, array, spread),
            Values::Fixed4(buffers) => append_fixed(buffers, array, spread),
            Values::Fixed8(buffers) => append_fixed(buffers, array, spread),
            Values::Fixed16(buffers) => append_fixed(buffers, array, spread),
            Values::Boolean(buffers) => {
                let values = array.as_boolean().values();
                for (row, &partition) in spread.partition.iter().enumerate() {
                    buffers[usize::from(partition)].push(values.value(row));
                }
            }
            Values::Bytes(buffers) => append_bytes(buffers, array, spread)?,
            Values::Other(buffers) => append_pieces(buffers, array, spread)?,
        }
        Ok(())
    }

    fn append_validity(&mut self, nulls: Option<&NullBuffer>, spread: &Spread) {
        let nulls = nulls.filter(|nulls| nulls.null_count() > 0);
        if nulls.is_none() && self.validity.is_none() {
            return;
        }
        let builders = self.validity.get_or_insert_with(|| {
            let valid = |&rows: &u32| {
                let mut builder = NullBufferBuilder::new(0);
                builder.append_n_non_nulls(rows as usize);
                builder
            };
            spread.before.iter().map(valid).collect()
        });
        match nulls {
            None => {
                for (builder, &count) in builders.iter_mut().zip(spread.counts) {
                    builder.append_n_non_nulls(count as usize);
                }
            }
            Some(nulls) => {
                for (row, &partition) in spread.partition.iter().enumerate() {
                    builders[usize::from(partition)].append(nulls.is_valid(row));
                }
            }
        }
    }

    /// Takes partition `partition`'s buffer out as an array of the stored type.
    pub(super) fn freeze(&mut self, partition: usize, capacity: usize) -> Result<ArrayRef> {
        let nulls = self.validity.as_mut().and_then(|builders| builders[partition].finish());
        let data_type = self.data_type.clone();
        match &mut self.values {
            Values::Fixed1(buffers) => freeze_fixed(&mut buffers[partition], data_type, nulls, capacity),
            Values::Fixed2(buffers) => freeze_fixed(&mut buffers[partition], data_type, nulls, capacity),
            Values::Fixed4(buffers) => freeze_fixed(&mut buffers[partition], data_type, nulls, capacity),
            Values::Fixed8(buffers) => freeze_fixed(&mut buffers[partition], data_type, nulls, capacity),
            Values::Fixed16(buffers) => freeze_fixed(&mut buffers[partition], data_type, nulls, capacity),
            Values::Boolean(buffers) => {
                let values = std::mem::take(&mut buffers[partition]);
                let mut bits = BooleanBufferBuilder::new(values.len());
                values.iter().for_each(|&bit| bits.append(bit));
                Ok(Arc::new(BooleanArray::new(bits.finish(), nulls)))
            }
            Values::Bytes(buffers) => match data_type {
                DataType::Utf8 => freeze_bytes::<Utf8Type>(&mut buffers[partition], nulls),
                _ => freeze_bytes::<BinaryType>(&mut buffers[partition], nulls),
            },
            Values::Other(buffers) => {
                let pieces = std::mem::take(&mut buffers[partition]);
                let pieces: Vec<&dyn Array> = pieces.iter().map(AsRef::as_ref).collect();
                Ok(concat(&pieces)?)
            }
        }
    }

    /// Bytes of the variable-width part of partition `partition`.
    pub(super) fn variable_bytes(&self, partition: usize) -> usize {
        match &self.values {
            Values::Bytes(buffers) => buffers[partition].bytes.len(),
            Values::Other(buffers) => buffers[partition].iter().map(|piece| piece.get_array_memory_size()).sum(),
            _ => 0,
        }
    }
}

fn append_fixed<T: ArrowNativeType>(buffers: &mut [Vec<T>], array: &ArrayRef, spread: &Spread) {
    let data = array.to_data();
    let values = &data.buffer::<T>(0)[..spread.partition.len()];
    for (&value, &partition) in values.iter().zip(spread.partition) {
        buffers[usize::from(partition)].push(value);
    }
}

fn freeze_fixed<T: ArrowNativeType>(
    buffer: &mut Vec<T>,
    data_type: DataType,
    nulls: Option<NullBuffer>,
    capacity: usize,
) -> Result<ArrayRef> {
    let values = std::mem::replace(buffer, Vec::with_capacity(capacity));
    let data = arrow::array::ArrayData::builder(data_type)
        .len(values.len())
        .add_buffer(Buffer::from_vec(values))
        .nulls(nulls)
        .build()?;
    Ok(make_array(data))
}

fn append_bytes(buffers: &mut [BytesBuffer], array: &ArrayRef, spread: &Spread) -> Result<()> {
    match array.data_type() {
        DataType::Utf8View => append_views(buffers, array.as_string_view(), spread),
        DataType::BinaryView => append_views(buffers, array.as_binary_view(), spread),
        DataType::Utf8 => append_offsets(buffers, array.as_bytes::<Utf8Type>(), spread),
        DataType::Binary => append_offsets(buffers, array.as_bytes::<BinaryType>(), spread),
        DataType::LargeUtf8 => append_offsets(buffers, array.as_string::<i64>(), spread),
        DataType::LargeBinary => append_offsets(buffers, array.as_binary::<i64>(), spread),
        other => Err(Error::internal(format!("{other} in a partition buffer of bytes"))),
    }
}

fn append_views<T: ByteViewType + ?Sized>(
    buffers: &mut [BytesBuffer],
    array: &GenericByteViewArray<T>,
    spread: &Spread,
) -> Result<()> {
    let views = array.views();
    for (row, &partition) in spread.partition.iter().enumerate() {
        let buffer = &mut buffers[usize::from(partition)];
        let view = views[row];
        let length = view as u32 as usize;
        // A short string lies in its view, and a NULL's view is all zero.
        if length <= 12 {
            buffer.bytes.extend_from_slice(&view.to_le_bytes()[4..4 + length]);
        } else {
            let bytes: &[u8] = array.value(row).as_ref();
            buffer.bytes.extend_from_slice(bytes);
        }
        buffer.end_row()?;
    }
    Ok(())
}

fn append_offsets<T: ByteArrayType>(
    buffers: &mut [BytesBuffer],
    array: &GenericByteArray<T>,
    spread: &Spread,
) -> Result<()> {
    for (row, &partition) in spread.partition.iter().enumerate() {
        let buffer = &mut buffers[usize::from(partition)];
        let bytes: &[u8] = array.value(row).as_ref();
        buffer.bytes.extend_from_slice(bytes);
        buffer.end_row()?;
    }
    Ok(())
}

impl BytesBuffer {
    #[inline]
    fn end_row(&mut self) -> Result<()> {
        let end = i32::try_from(self.bytes.len()).map_err(|_| {
            Error::new(Code::OutOfMemory, "more than 2 GiB of text in one batch of a partition")
                .hint("set a smaller batch_size")
        })?;
        self.ends.push(end);
        Ok(())
    }
}

fn freeze_bytes<T: ByteArrayType<Offset = i32>>(
    buffer: &mut BytesBuffer,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef> {
    let BytesBuffer { ends, bytes } = std::mem::take(buffer);
    let mut offsets = Vec::with_capacity(ends.len() + 1);
    offsets.push(0);
    offsets.extend_from_slice(&ends);
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    Ok(Arc::new(GenericByteArray::<T>::try_new(offsets, Buffer::from_vec(bytes), nulls)?))
}

fn append_pieces(buffers: &mut [Vec<ArrayRef>], array: &ArrayRef, spread: &Spread) -> Result<()> {
    let mut rows: Vec<Vec<u32>> = spread.counts.iter().map(|&count| Vec::with_capacity(count as usize)).collect();
    for (row, &partition) in (0u32..).zip(spread.partition) {
        rows[usize::from(partition)].push(row);
    }
    for (buffer, rows) in buffers.iter_mut().zip(rows) {
        if !rows.is_empty() {
            buffer.push(take(array, &UInt32Array::from(rows), None)?);
        }
    }
    Ok(())
}
