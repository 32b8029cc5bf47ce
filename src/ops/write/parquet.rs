//! Parquet, with row groups as large as asked or as memory allows.
//!
//! Invariant: the encoded pages of the row group that is being made are reserved; when the budget refuses, the row group
//! ends early.

use std::io::Write;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, GzipLevel, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::error::Result;
use crate::memory::{Budget, Reservation};
use crate::ops::write::{WriteCompression, WriteOptions};

/// A row group takes at most this part of the memory, whatever is free.
const LARGEST_PART: usize = 8;

/// Writes batches as Parquet.
pub(super) struct ParquetWriter<W: Write + Send> {
    writer: ArrowWriter<W>,
    reservation: Reservation,
    largest: usize,
}

impl<W: Write + Send> ParquetWriter<W> {
    pub(super) fn new(out: W, options: &WriteOptions, schema: SchemaRef, budget: &Budget) -> Result<Self> {
        let compression = match options.compression.unwrap_or(WriteCompression::Snappy) {
            WriteCompression::None => Compression::UNCOMPRESSED,
            WriteCompression::Gzip => Compression::GZIP(GzipLevel::default()),
            WriteCompression::Zstd => Compression::ZSTD(ZstdLevel::default()),
            WriteCompression::Snappy => Compression::SNAPPY,
            WriteCompression::Lz4 => Compression::LZ4_RAW,
        };
        let properties = WriterProperties::builder()
            .set_created_by(concat!("floe ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_compression(compression)
            .set_max_row_group_row_count(Some(options.row_group_rows.max(1)))
            .build();
        Ok(ParquetWriter {
            writer: ArrowWriter::try_new(out, schema, Some(properties))?,
            reservation: budget.reservation("Parquet writer"),
            largest: budget.limit() / LARGEST_PART,
        })
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.writer.write(batch)?;
        let held = self.writer.memory_size();
        if held > self.largest || !self.reservation.try_resize(held) {
            self.writer.flush()?;
            self.reservation.shrink(self.reservation.bytes());
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<W> {
        Ok(self.writer.into_inner()?)
    }
}
