//! Writes batches into a file: CSV, Parquet, JSON lines or Arrow IPC; or into a folder of files (see `folder`). A query
//! writes by all of its workers, but for Arrow IPC, which one writes.
//!
//! Invariant: the file is there whole or not at all. Rows go to a temporary file beside it, which takes its name in
//! [`FileWriter::finish`]; a writer dropped before leaves nothing, and an older file of that name stays as it was.
//! (Something that is not a regular file, such as a pipe or `/dev/stdout`, is written directly.) An object of a store
//! appears in the same way.

mod csv;
mod folder;
mod ipc;
mod json;
mod parquet;
mod target;
#[cfg(test)]
mod tests;
mod text;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;

use crate::error::Result;
use crate::io::Location;
use crate::memory::Budget;

use self::ipc::ArrowWriter;
use self::parquet::ParquetWriter;
use self::target::Target;
use self::text::TextWriter;

pub use self::folder::{Existing, FolderOptions, WriteFiles, WriteFolder, WrittenFolder};
pub use self::parquet::{ParquetFile, WriteGroups};
pub use self::text::{EncodeText, TextFile};

/// A format that files are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteFormat {
    Csv,
    Parquet,
    /// JSON: one object a line.
    Json,
    /// Arrow IPC as a file, which is also Feather V2.
    Arrow,
    /// Arrow IPC as a stream.
    ArrowStream,
}

/// How a file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteCompression {
    None,
    Gzip,
    Zstd,
    /// Parquet only.
    Snappy,
    /// Parquet and Arrow only.
    Lz4,
}

/// The numbers that the columns of a Parquet file have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldIds {
    None,
    /// From 0 on, those within a column behind its own.
    Auto,
    /// Those of some columns, by name.
    Of(Vec<(String, i32)>),
}

/// What can be chosen about a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteOptions {
    /// By default what the name says (`.gz`, `.zst`), Snappy for Parquet, and none for Arrow.
    pub compression: Option<WriteCompression>,
    /// CSV: the first line holds the names.
    pub header: bool,
    /// CSV: between fields; up to four bytes.
    pub delimiter: String,
    /// CSV: around fields that need it; one byte of ASCII. Without one, fields stand as they are.
    pub quote: Option<u8>,
    /// CSV: before a quote within a field; one byte of ASCII. By default the quote.
    pub escape: Option<u8>,
    /// CSV: columns whose fields are quoted always; `*` is every column.
    pub force_quote: Vec<String>,
    /// CSV: the text of NULL.
    pub null: String,
    /// CSV: what stands before the first row, the header included, and behind the last one, which then has no end of line.
    pub frame: Option<(String, String)>,
    /// JSON: one array of objects, and no lines of them.
    pub array: bool,
    /// Parquet: how hard Zstandard tries, from 1 to 22.
    pub compression_level: Option<i32>,
    /// Parquet: numbers of the columns.
    pub field_ids: FieldIds,
    /// Parquet: texts that the footer has by name.
    pub metadata: Vec<(String, String)>,
    /// Parquet: whether the file is of the format's second version.
    pub second_version: bool,
    /// Parquet and Arrow: the greatest number of rows in a row group or record batch; memory may end one earlier.
    pub row_group_rows: usize,
}

impl Default for WriteOptions {
    fn default() -> Self {
        WriteOptions {
            compression: None,
            header: true,
            delimiter: ",".to_string(),
            quote: Some(b'"'),
            escape: None,
            force_quote: Vec::new(),
            null: String::new(),
            frame: None,
            array: false,
            compression_level: None,
            field_ids: FieldIds::None,
            metadata: Vec::new(),
            second_version: false,
            row_group_rows: 1 << 20,
        }
    }
}

/// A file being written.
///
/// ```
/// use std::sync::Arc;
/// use arrow::array::{ArrayRef, Int32Array};
/// use floe::batch::RecordBatch;
/// use floe::memory::Budget;
/// use floe::ops::write::{FileWriter, WriteFormat, WriteOptions};
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("numbers.csv");
/// let batch = RecordBatch::try_from_iter([("n", Arc::new(Int32Array::from(vec![1, 2])) as ArrayRef)])?;
/// let (options, budget) = (WriteOptions::default(), Budget::new(1 << 20));
/// let location = floe::io::Location::local(&path.to_string_lossy());
/// let mut writer = FileWriter::create(&location, WriteFormat::Csv, &options, batch.schema(), &budget)?;
/// writer.write(&batch)?;
/// assert_eq!(writer.finish()?, 2);
/// assert_eq!(std::fs::read_to_string(&path)?, "n\n1\n2\n");
/// # Ok::<(), floe::Error>(())
/// ```
pub struct FileWriter {
    encoder: Encoder,
    path: String,
    rows: u64,
    written: Arc<AtomicU64>,
}

enum Encoder {
    Text(Box<TextWriter>),
    Parquet(Box<ParquetWriter>),
    Arrow(Box<ArrowWriter<Target>>),
}

impl FileWriter {
    /// Starts the file at `location`, whose rows are of `schema`.
    ///
    /// # Errors
    /// `IO_ERROR` or `FILE_NOT_FOUND` when the folder cannot be written to, `INVALID_SETTING` for a compression that the
    /// format does not have, `NOT_SUPPORTED` for a column type that it does not have.
    pub fn create(
        location: &Location,
        format: WriteFormat,
        options: &WriteOptions,
        schema: SchemaRef,
        budget: &Budget,
    ) -> Result<Self> {
        let name = location.to_string();
        let writer = Target::create(location, budget).and_then(|target| {
            let written = target.counter();
            let encoder = Self::encoder(target, location, format, options, schema, budget)?;
            Ok(FileWriter { encoder, path: name.clone(), rows: 0, written })
        });
        writer.map_err(|error| error.context(format!("writing '{name}'")))
    }

    fn encoder(
        target: Target,
        location: &Location,
        format: WriteFormat,
        options: &WriteOptions,
        schema: SchemaRef,
        budget: &Budget,
    ) -> Result<Encoder> {
        Ok(match format {
            WriteFormat::Csv | WriteFormat::Json => {
                Encoder::Text(Box::new(TextWriter::new(target, location, format, options, &schema)?))
            }
            WriteFormat::Parquet => Encoder::Parquet(Box::new(ParquetWriter::new(target, options, schema, budget)?)),
            WriteFormat::Arrow | WriteFormat::ArrowStream => {
                let stream = format == WriteFormat::ArrowStream;
                Encoder::Arrow(Box::new(ArrowWriter::new(target, options, &schema, stream, budget)?))
            }
        })
    }

    /// The bytes that the file has so far, without what its encoder still holds.
    pub fn bytes(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Adds the rows of `batch`.
    ///
    /// # Errors
    /// `IO_ERROR` when the disk refuses.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let written = match &mut self.encoder {
            Encoder::Text(writer) => writer.write(batch),
            Encoder::Parquet(writer) => writer.write(batch),
            Encoder::Arrow(writer) => writer.write(batch),
        };
        written.map_err(|error| error.context(format!("writing '{}'", self.path)))?;
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    /// Ends the file and gives it its name: the number of rows in it.
    ///
    /// # Errors
    /// `IO_ERROR` when the disk refuses; the file is then not there.
    pub fn finish(self) -> Result<u64> {
        let finished = match self.encoder {
            Encoder::Text(writer) => writer.finish(),
            Encoder::Parquet(writer) => writer.finish(),
            Encoder::Arrow(writer) => writer.finish().and_then(Target::finish),
        };
        finished.map_err(|error| error.context(format!("writing '{}'", self.path)))?;
        Ok(self.rows)
    }
}
