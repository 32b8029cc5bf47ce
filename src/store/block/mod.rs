//! The form a batch has on disk: a header with a checksum, then one column after another.
//!
//! Invariant: decoding gives back exactly the schema, the rows and the validity that were encoded, or an error; the
//! checksum over everything behind it and the block's identity are verified first, so a block of another batch, a
//! flipped bit or a short write is never taken for an answer.
//!
//! ```text
//! checksum u64 · magic u32 · columns u32 · identity u64 · rows u64 · length u64 · columns …
//! column: encoding u8, then what the encoding says (see `fixed`, `strings`, `nested`)
//! ```
//! Integer-like columns are stored as differences to their minimum in 0, 1, 2, 4 or 8 bytes; strings as lengths and
//! bytes; what has structure as Arrow IPC. The format lives only as long as the process: nothing else reads it.

mod bytes;
mod fixed;
mod nested;
mod strings;

#[cfg(test)]
mod tests;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{Field, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use xxhash_rust::xxh3::xxh3_64;

use self::bytes::{Reader, Writer};
use crate::error::{Code, Error, Result};

/// Which batch a block belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockId(pub u64);

/// Whether bytes may be compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// The disk is faster than compressing.
    Never,
    /// Where a sample says that it saves more than a quarter.
    WhereItPays,
}

const MAGIC: u32 = 0x464c_4f45;
const CHECKSUM_BYTES: usize = 8;

/// How one column is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Encoding {
    /// Arrow IPC of this column alone.
    Nested = 0,
    /// Differences to the least value.
    Offsets = 1,
    /// Values as they are in memory.
    Raw = 2,
    /// One bit per value.
    Bits = 3,
    /// Lengths, then bytes.
    Strings = 4,
}

impl Encoding {
    fn of(tag: u8) -> Result<Self> {
        let known = [Self::Nested, Self::Offsets, Self::Raw, Self::Bits, Self::Strings];
        known.into_iter().find(|encoding| *encoding as u8 == tag).ok_or_else(|| damaged("an unknown encoding"))
    }
}

/// Writes `batch` into `buffer` from `start` on (growing it where needed) and gives back where the block ends.
///
/// # Errors
/// Only for types that Arrow IPC cannot write.
pub fn encode_block(
    batch: &RecordBatch,
    id: BlockId,
    compression: Compression,
    buffer: &mut Vec<u8>,
    start: usize,
) -> Result<usize> {
    let mut writer = Writer::new(buffer, start, compression);
    writer.u64(0);
    writer.u32(MAGIC);
    writer.u32(batch.num_columns() as u32);
    writer.u64(id.0);
    writer.u64(batch.num_rows() as u64);
    let length_at = writer.position();
    writer.u64(0);
    for (column, field) in batch.columns().iter().zip(batch.schema_ref().fields()) {
        encode_column(column, field, &mut writer)?;
    }
    let end = writer.position();
    writer.set_u64(length_at, (end - start) as u64);
    let checksum = xxh3_64(writer.written(start + CHECKSUM_BYTES));
    writer.set_u64(start, checksum);
    Ok(end)
}

/// Reads a block back.
///
/// # Errors
/// `SPILL_FAILED` when it is not exactly what was written for `id`.
pub fn decode_block(bytes: &[u8], id: BlockId, schema: &SchemaRef, rows: usize) -> Result<RecordBatch> {
    let mut reader = Reader::new(bytes);
    let checksum = reader.u64()?;
    if xxh3_64(reader.rest()) != checksum {
        return Err(damaged("its checksum does not match"));
    }
    let is_ours = reader.u32()? == MAGIC
        && reader.u32()? as usize == schema.fields().len()
        && reader.u64()? == id.0
        && reader.u64()? == rows as u64
        && reader.u64()? == bytes.len() as u64;
    if !is_ours {
        return Err(damaged("it belongs to another batch"));
    }
    let columns = schema.fields().iter().map(|field| decode_column(field, rows, &mut reader));
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options).map_err(|error| damaged(&error.to_string()))
}

fn encode_column(column: &ArrayRef, field: &Field, writer: &mut Writer) -> Result<()> {
    if fixed::encode(column, writer) || strings::encode(column, writer) {
        return Ok(());
    }
    writer.u8(Encoding::Nested as u8);
    nested::encode(column, field, writer)
}

fn decode_column(field: &Field, rows: usize, reader: &mut Reader) -> Result<ArrayRef> {
    let encoding = Encoding::of(reader.u8()?)?;
    let column = match encoding {
        Encoding::Nested => nested::decode(reader)?,
        Encoding::Offsets | Encoding::Raw | Encoding::Bits => fixed::decode(encoding, field.data_type(), rows, reader)?,
        Encoding::Strings => strings::decode(field.data_type(), rows, reader)?,
    };
    if column.len() != rows || column.data_type() != field.data_type() {
        return Err(damaged("a column has another length or type"));
    }
    Ok(column)
}

/// The error for a block that is not what was written.
fn damaged(what: &str) -> Error {
    Error::new(Code::SpillFailed, format!("a spilled block was not read back as it was written: {what}"))
        .hint("the disk of the spill directory may be failing: SET spill_dir = '/another/disk'")
}
