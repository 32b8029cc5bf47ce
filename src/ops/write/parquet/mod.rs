//! Parquet: one file, whose row groups any number of workers encode at the same time.
//!
//! * `group`: one row group being encoded, flat columns by loops of our own (`flat`).
//! * `file`: the file; row groups lie in it as they come, and its footer names them in the order of the rows.
//! * `sink`: the ends of the pipelines that write a query's rows.
//!
//! Invariant: the encoded pages of a row group that is being made are reserved; when the budget refuses, the row group
//! ends early.

mod file;
mod flat;
mod group;
mod schema;
mod sink;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowRowGroupWriterFactory, ArrowWriterOptions};
use parquet::basic::{Compression, GzipLevel, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{WriterProperties, WriterPropertiesPtr, WriterVersion};
use parquet::schema::types::{SchemaDescPtr, SchemaDescriptor};

pub use file::ParquetFile;
pub use sink::WriteGroups;

use self::flat::Experience;
use self::group::RowGroup;
use self::schema::parquet_schema;
use crate::error::Result;
use crate::memory::{Budget, Reservation};
use crate::ops::write::{Target, WriteCompression, WriteOptions};

/// The row groups that are made at one time take at most this part of the memory, whatever is free.
const LARGEST_PART: usize = 8;

/// What every row group of a file has in common.
struct Layout {
    schema: SchemaRef,
    descriptor: SchemaDescPtr,
    properties: WriterPropertiesPtr,
    factory: ArrowRowGroupWriterFactory,
    compression: Compression,
    /// By leaf.
    experience: Vec<Experience>,
    /// The greatest number of rows in a row group.
    rows: usize,
}

impl Layout {
    fn new(schema: SchemaRef, options: &WriteOptions) -> Result<Self> {
        let compression = match options.compression.unwrap_or(WriteCompression::Snappy) {
            WriteCompression::None => Compression::UNCOMPRESSED,
            WriteCompression::Gzip => Compression::GZIP(GzipLevel::default()),
            WriteCompression::Zstd => {
                Compression::ZSTD(options.compression_level.map_or(Ok(ZstdLevel::default()), ZstdLevel::try_new)?)
            }
            WriteCompression::Snappy => Compression::SNAPPY,
            WriteCompression::Lz4 => Compression::LZ4_RAW,
        };
        let metadata = options.metadata.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
        let metadata: Vec<KeyValue> = metadata.collect();
        let version = if options.second_version { WriterVersion::PARQUET_2_0 } else { WriterVersion::PARQUET_1_0 };
        let properties = WriterProperties::builder()
            .set_created_by(concat!("floe ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_compression(compression)
            .set_writer_version(version)
            .set_key_value_metadata((!metadata.is_empty()).then_some(metadata))
            .build();
        // It settles how columns are stored; nothing is written through it.
        let options_of = ArrowWriterOptions::new()
            .with_properties(properties)
            .with_parquet_schema(parquet_schema(&schema, &options.field_ids)?);
        let writer = ArrowWriter::try_new_with_options(std::io::sink(), schema.clone(), options_of)?;
        let (writer, factory) = writer.into_serialized_writer()?;
        let descriptor = Arc::new(SchemaDescriptor::new(writer.schema_descr().root_schema_ptr()));
        let properties = writer.properties().clone();
        let experience = descriptor.columns().iter().map(|_| Experience::default()).collect();
        Ok(Layout {
            schema,
            descriptor,
            properties,
            factory,
            compression,
            experience,
            rows: options.row_group_rows.max(1),
        })
    }
}

/// Writes batches as Parquet, one row group after the other.
pub(super) struct ParquetWriter {
    file: ParquetFile,
    group: Option<RowGroup>,
    reservation: Reservation,
    largest: usize,
    next: usize,
}

impl ParquetWriter {
    pub(super) fn new(out: Target, options: &WriteOptions, schema: SchemaRef, budget: &Budget) -> Result<Self> {
        let file = ParquetFile::new(out, options, schema)?;
        let reservation = budget.reservation("Parquet writer");
        Ok(ParquetWriter { file, group: None, reservation, largest: budget.limit() / LARGEST_PART, next: 0 })
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut from = 0;
        while from < batch.num_rows() {
            let group = match &mut self.group {
                Some(group) => group,
                none => none.insert(RowGroup::new(self.file.layout())?),
            };
            let rows = group.room().min(batch.num_rows() - from);
            group.write(self.file.layout(), &batch.slice(from, rows))?;
            from += rows;
            let held = group.bytes();
            if group.room() == 0 || held > self.largest || !self.reservation.try_resize(held) {
                self.end_group()?;
            }
        }
        Ok(())
    }

    fn end_group(&mut self) -> Result<()> {
        if let Some(group) = self.group.take() {
            let written = self.file.append(group)?;
            self.file.place(self.next, 0, written);
            self.next += 1;
            self.reservation.shrink(self.reservation.bytes());
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<()> {
        self.end_group()?;
        self.file.finish().map(drop)
    }
}
