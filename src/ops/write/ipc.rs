//! Arrow IPC: files (Feather V2) and streams, with text and bytes in the layout that every reader knows.
//!
//! Invariant: the rows of the record batch that is being gathered are reserved; when the budget refuses, it ends early.

use std::io::Write;
use std::sync::Arc;

use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::ipc::CompressionType;
use arrow::ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
use arrow::record_batch::RecordBatch;

use crate::batch::logical::extension_of;
use crate::error::{Code, Error, Result};
use crate::memory::{Budget, Reservation};
use crate::ops::write::{WriteCompression, WriteOptions};

/// A record batch has at most so many rows and bytes, or one in so many of the memory's.
const MOST_ROWS: usize = 128 << 10;
const MOST_BYTES: usize = 16 << 20;
const SHARE: usize = 32;

/// Writes batches as Arrow IPC.
pub(super) struct ArrowWriter<W: Write> {
    writer: Kind<W>,
    schema: SchemaRef,
    gathered: Vec<RecordBatch>,
    rows: usize,
    most_rows: usize,
    most_bytes: usize,
    reservation: Reservation,
}

enum Kind<W: Write> {
    File(FileWriter<W>),
    Stream(StreamWriter<W>),
}

impl<W: Write> ArrowWriter<W> {
    pub(super) fn new(out: W, options: &WriteOptions, schema: &Schema, stream: bool, budget: &Budget) -> Result<Self> {
        let compression = match options.compression {
            None | Some(WriteCompression::None) => None,
            Some(WriteCompression::Zstd) => Some(CompressionType::ZSTD),
            Some(WriteCompression::Lz4) => Some(CompressionType::LZ4_FRAME),
            Some(WriteCompression::Gzip | WriteCompression::Snappy) => {
                return Err(Error::new(Code::InvalidSetting, "Arrow files are compressed by zstd, lz4 or not at all"));
            }
        };
        let schema = Arc::new(Schema::new(schema.fields().iter().map(plain_field).collect::<Vec<_>>()));
        let options_of = IpcWriteOptions::default().try_with_compression(compression)?;
        let writer = match stream {
            true => Kind::Stream(StreamWriter::try_new_with_options(out, &schema, options_of)?),
            false => Kind::File(FileWriter::try_new_with_options(out, &schema, options_of)?),
        };
        Ok(ArrowWriter {
            writer,
            schema,
            gathered: Vec::new(),
            rows: 0,
            most_rows: options.row_group_rows.clamp(1, MOST_ROWS),
            most_bytes: (budget.limit() / SHARE).min(MOST_BYTES),
            reservation: budget.reservation("Arrow writer"),
        })
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut next = 0;
        while next < batch.num_rows() {
            let count = (self.most_rows - self.rows).min(batch.num_rows() - next);
            self.gather(&batch.slice(next, count))?;
            next += count;
            if self.rows >= self.most_rows || self.reservation.bytes() >= self.most_bytes {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn gather(&mut self, batch: &RecordBatch) -> Result<()> {
        let columns = batch.columns().iter().zip(self.schema.fields());
        let columns =
            columns.map(|(column, field)| Ok(cast(column, field.data_type())?)).collect::<Result<Vec<_>>>()?;
        let plain = RecordBatch::try_new(self.schema.clone(), columns)?;
        // Twice: when it is written, all that was gathered is brought together.
        if !self.reservation.try_grow(plain.get_array_memory_size().saturating_mul(2)) {
            self.flush()?;
        }
        self.rows += plain.num_rows();
        self.gathered.push(plain);
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        if self.rows > 0 {
            let batch = concat_batches(&self.schema, &self.gathered)?;
            match &mut self.writer {
                Kind::File(writer) => writer.write(&batch)?,
                Kind::Stream(writer) => writer.write(&batch)?,
            }
        }
        self.gathered.clear();
        self.rows = 0;
        self.reservation.shrink(self.reservation.bytes());
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<W> {
        self.flush()?;
        Ok(match self.writer {
            Kind::File(mut writer) => {
                writer.finish()?;
                writer.into_inner()?
            }
            Kind::Stream(mut writer) => {
                writer.finish()?;
                writer.into_inner()?
            }
        })
    }
}

fn plain_field(field: &FieldRef) -> FieldRef {
    let extension = extension_of(field.data_type());
    let plain = Field::new(field.name(), plain_type(field.data_type()), field.is_nullable());
    Arc::new(plain.with_metadata(extension))
}

/// The type without views, which not every reader of Arrow knows.
fn plain_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::List(item) => DataType::List(plain_field(item)),
        DataType::LargeList(item) => DataType::LargeList(plain_field(item)),
        DataType::FixedSizeList(item, size) => DataType::FixedSizeList(plain_field(item), *size),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(plain_field).collect()),
        DataType::Map(entries, sorted) => DataType::Map(plain_field(entries), *sorted),
        other => other.clone(),
    }
}
