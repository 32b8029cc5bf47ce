//! Rows as text, CSV or JSON lines: by one worker into a file, or made by all of them at the end of a query, whose result
//! are then the pieces of the file in their order.
//!
//! Invariant: a file that is compressed consists of members (gzip) or frames (zstd), one behind the other, which readers
//! take for one stream.

use std::io::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, LargeBinaryArray, RecordBatch, UInt64Array};
use arrow::buffer::{Buffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type};

use super::csv::CsvRows;
use super::json::JsonRows;
use super::target::{Stream, Target, compression_of};
use super::{WriteCompression, WriteFormat, WriteOptions};
use crate::batch::conformed;
use crate::batch::text::TextColumn;
use crate::error::{Error, Result};
use crate::io::Location;
use crate::memory::{Budget, Reservation};
use crate::ops::{Emit, Flow, Operator, Work};
use crate::store::QueryContext;

/// Text that is gathered before it goes to the file.
const CHUNK: usize = 64 << 10;
/// Text of one piece at most, but for the rest of its last row; all lanes together make at most this part of the limit.
const PIECE: usize = 1 << 20;
const PIECES_PART: usize = 32;
/// Text that is worth a member of its own in a compressed file.
const LEAST_MEMBER: usize = 256 << 10;

/// A text format.
#[derive(Debug)]
enum Rows {
    Csv(CsvRows),
    Json(JsonRows),
}

/// The rows of a text format, and what stands around them.
#[derive(Debug)]
struct TextRows {
    rows: Rows,
    /// What stands before the first row.
    head: String,
    frame: Option<Frame>,
}

/// What a file has that is more than lines.
#[derive(Debug)]
struct Frame {
    /// Before every row, in the place of the end of line behind it; what makes a file leaves out the first one.
    separator: &'static str,
    /// Behind the last row.
    tail: String,
}

impl TextRows {
    fn new(format: WriteFormat, options: &WriteOptions, schema: &Schema) -> Result<Self> {
        match format {
            WriteFormat::Csv => {
                let rows = CsvRows::new(options, schema)?;
                let (prefix, frame) = match &options.frame {
                    Some((prefix, suffix)) => (prefix.as_str(), Some(Frame { separator: "\n", tail: suffix.clone() })),
                    None => ("", None),
                };
                Ok(TextRows { head: format!("{prefix}{}", rows.head()), rows: Rows::Csv(rows), frame })
            }
            WriteFormat::Json => {
                let frame = options.array.then(|| Frame { separator: ",\n\t", tail: "\n]\n".to_string() });
                let head = if options.array { "[\n\t".to_string() } else { String::new() };
                Ok(TextRows { rows: Rows::Json(JsonRows::new(schema)), head, frame })
            }
            other => Err(Error::internal(format!("{other:?} is no text"))),
        }
    }

    fn head(&self) -> &str {
        &self.head
    }

    /// The bytes that the first row has before it and a file leaves out.
    fn first_separator(&self) -> usize {
        self.frame.as_ref().map_or(0, |frame| frame.separator.len())
    }

    fn tail(&self) -> &str {
        self.frame.as_ref().map_or("", |frame| frame.tail.as_str())
    }

    /// Appends rows from `from` on, the last one that which makes `out` longer than `most`; gives the row behind it.
    fn append(
        &self,
        columns: &[TextColumn],
        rows: std::ops::Range<usize>,
        most: usize,
        value: &mut String,
        out: &mut String,
    ) -> Result<usize> {
        for row in rows.clone() {
            if let Some(frame) = &self.frame {
                out.push_str(frame.separator);
            }
            match &self.rows {
                Rows::Csv(format) => format.row(columns, row, value, out)?,
                Rows::Json(format) => format.row(columns, row, out)?,
            }
            if self.frame.is_none() {
                out.push('\n');
            }
            if out.len() > most {
                return Ok(row + 1);
            }
        }
        Ok(rows.end)
    }
}

fn text_columns(batch: &RecordBatch) -> Result<Vec<TextColumn<'_>>> {
    batch.columns().iter().map(|column| TextColumn::new(column.as_ref())).collect()
}

/// Writes batches as text.
pub(super) struct TextWriter {
    out: Stream<Target>,
    rows: TextRows,
    chunk: String,
    value: String,
    has_rows: bool,
}

impl TextWriter {
    pub(super) fn new(
        target: Target,
        location: &Location,
        format: WriteFormat,
        options: &WriteOptions,
        schema: &Schema,
    ) -> Result<Self> {
        let rows = TextRows::new(format, options, schema)?;
        let mut chunk = String::with_capacity(2 * CHUNK);
        chunk.push_str(rows.head());
        let out = Stream::new(target, compression_of(location, options)?)?;
        Ok(TextWriter { out, rows, chunk, value: String::new(), has_rows: false })
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let columns = text_columns(batch)?;
        let mut row = 0;
        while row < batch.num_rows() {
            let before = self.chunk.len();
            row = self.rows.append(&columns, row..batch.num_rows(), CHUNK, &mut self.value, &mut self.chunk)?;
            if !std::mem::replace(&mut self.has_rows, true) {
                self.chunk.replace_range(before..before + self.rows.first_separator(), "");
            }
            if self.chunk.len() > CHUNK {
                self.out.write_all(self.chunk.as_bytes())?;
                self.chunk.clear();
            }
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<()> {
        self.chunk.push_str(self.rows.tail());
        self.out.write_all(self.chunk.as_bytes())?;
        self.out.finish()?.finish()
    }
}

/// Makes batches of a query pieces of a text file.
#[derive(Debug, Clone)]
pub struct EncodeText {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    format: WriteFormat,
    rows: TextRows,
    compression: WriteCompression,
    /// Of the rows.
    schema: SchemaRef,
    /// Of the pieces.
    pieces: SchemaRef,
}

impl EncodeText {
    /// Pieces of the file at `location`, whose rows are of `schema`.
    ///
    /// # Errors
    /// `INVALID_SETTING` for what the format does not have.
    pub fn new(location: &Location, format: WriteFormat, options: &WriteOptions, schema: SchemaRef) -> Result<Self> {
        let rows = TextRows::new(format, options, &schema)?;
        let compression = compression_of(location, options)?;
        let pieces = Schema::new(vec![
            Field::new("text", DataType::LargeBinary, false),
            Field::new("compressed", DataType::Boolean, false),
            Field::new("rows", DataType::UInt64, false),
        ]);
        let shared = Shared { format, rows, compression, schema, pieces: Arc::new(pieces) };
        Ok(EncodeText { shared: Arc::new(shared) })
    }
}

impl Operator for EncodeText {
    fn name(&self) -> &'static str {
        "Write"
    }

    fn describe(&self) -> String {
        format!("{:?}", self.shared.format).to_uppercase()
    }

    fn schema(&self) -> SchemaRef {
        self.shared.pieces.clone()
    }

    fn open(&self, context: &Arc<QueryContext>) -> Result<Box<dyn Work>> {
        let share = context.budget.limit() / PIECES_PART / context.threads.max(1);
        Ok(Box::new(EncodeWork {
            shared: self.shared.clone(),
            context: context.clone(),
            most: share.clamp(CHUNK, PIECE),
            value: String::new(),
            reservation: context.budget.reservation("text writer"),
        }))
    }
}

struct EncodeWork {
    shared: Arc<Shared>,
    context: Arc<QueryContext>,
    /// Text of a piece.
    most: usize,
    value: String,
    /// Of the piece that is made, and its compressed form.
    reservation: Reservation,
}

impl Work for EncodeWork {
    fn push(&mut self, batch: RecordBatch, out: &mut Emit) -> Result<Flow> {
        self.context.cancel.check()?;
        let batch = conformed(batch, &self.shared.schema)?;
        let columns = text_columns(&batch)?;
        let mut row = 0;
        while row < batch.num_rows() {
            let from = row;
            self.reserve(2 * self.most)?;
            let mut text = String::with_capacity(self.most + self.most / 8);
            row = self.shared.rows.append(&columns, from..batch.num_rows(), self.most, &mut self.value, &mut text)?;
            self.reserve(text.capacity() + self.value.capacity())?;
            if out(self.piece(text.into_bytes(), row - from)?)? == Flow::Done {
                return Ok(Flow::Done);
            }
        }
        self.reservation.shrink(self.reservation.bytes());
        Ok(Flow::More)
    }
}

impl EncodeWork {
    /// Makes sure of at least so many bytes.
    fn reserve(&mut self, bytes: usize) -> Result<()> {
        self.reservation.grow(bytes.saturating_sub(self.reservation.bytes()))
    }

    fn piece(&mut self, mut text: Vec<u8>, rows: usize) -> Result<RecordBatch> {
        // The first piece of a file in a frame is still to be changed.
        let is_whole = self.shared.rows.frame.is_none();
        let compressed = is_whole && self.shared.compression != WriteCompression::None && text.len() >= LEAST_MEMBER;
        if compressed {
            text = member(&text, self.shared.compression)?;
        }
        text.shrink_to_fit();
        let offsets = OffsetBuffer::from_lengths([text.len()]);
        let text = LargeBinaryArray::try_new(offsets, Buffer::from_vec(text), None)?;
        let columns: [ArrayRef; 3] = [
            Arc::new(text),
            Arc::new(BooleanArray::from(vec![compressed])),
            Arc::new(UInt64Array::from(vec![rows as u64])),
        ];
        Ok(RecordBatch::try_new(self.shared.pieces.clone(), columns.to_vec())?)
    }
}

fn member(text: &[u8], compression: WriteCompression) -> Result<Vec<u8>> {
    let mut stream = Stream::new(Vec::with_capacity(text.len() / 4), compression)?;
    stream.write_all(text)?;
    stream.finish()
}

/// A text file whose pieces come from elsewhere.
pub struct TextFile {
    target: Target,
    path: String,
    compression: WriteCompression,
    /// Pieces that are too small for members of their own.
    loose: Vec<u8>,
    /// Bytes of the first piece that are left out.
    left_out: usize,
    tail: String,
    rows: u64,
}

impl TextFile {
    /// Starts the file at `location`, whose pieces `encode` makes.
    ///
    /// # Errors
    /// As [`FileWriter::create`](super::FileWriter::create).
    pub fn create(location: &Location, encode: &EncodeText, budget: &Budget) -> Result<Self> {
        let path = location.to_string();
        let target = Target::create(location, budget).map_err(|error| error.context(format!("writing '{path}'")))?;
        let loose = encode.shared.rows.head().as_bytes().to_vec();
        let rows = &encode.shared.rows;
        let (left_out, tail) = (rows.first_separator(), rows.tail().to_string());
        Ok(TextFile { target, path, compression: encode.shared.compression, loose, left_out, tail, rows: 0 })
    }

    /// Adds pieces.
    ///
    /// # Errors
    /// `IO_ERROR` when the disk refuses.
    pub fn append(&mut self, pieces: &RecordBatch) -> Result<()> {
        let (text, compressed) = (pieces.column(0).as_binary::<i64>(), pieces.column(1).as_boolean());
        for (piece, row) in (0..pieces.num_rows()).map(|row| (text.value(row), row)) {
            let piece = piece.get(std::mem::take(&mut self.left_out)..).unwrap_or_default();
            self.add(piece, compressed.value(row))
                .map_err(|error| error.context(format!("writing '{}'", self.path)))?;
        }
        self.rows += pieces.column(2).as_primitive::<UInt64Type>().values().iter().sum::<u64>();
        Ok(())
    }

    fn add(&mut self, piece: &[u8], compressed: bool) -> Result<()> {
        if compressed || self.compression == WriteCompression::None {
            self.end_loose()?;
            return Ok(self.target.write_all(piece)?);
        }
        self.loose.extend_from_slice(piece);
        if self.loose.len() >= LEAST_MEMBER { self.end_loose() } else { Ok(()) }
    }

    fn end_loose(&mut self) -> Result<()> {
        match self.compression {
            _ if self.loose.is_empty() => return Ok(()),
            WriteCompression::None => self.target.write_all(&self.loose)?,
            compression => self.target.write_all(&member(&self.loose, compression)?)?,
        }
        self.loose.clear();
        Ok(())
    }

    /// Ends the file and gives it its name: the number of rows in it.
    ///
    /// # Errors
    /// `IO_ERROR` when the disk refuses; the file is then not there.
    pub fn finish(mut self) -> Result<u64> {
        let tail = std::mem::take(&mut self.tail);
        if !tail.is_empty() {
            self.add(tail.as_bytes(), false).map_err(|error| error.context(format!("writing '{}'", self.path)))?;
        }
        let ended = match self.compression {
            // A compressed file without rows is an empty member, not an empty file.
            compression if compression != WriteCompression::None && self.target.is_empty() => {
                member(&self.loose, compression).and_then(|member| Ok(self.target.write_all(&member)?))
            }
            _ => self.end_loose(),
        };
        let path = self.path;
        ended.and_then(|()| self.target.finish()).map_err(|error| error.context(format!("writing '{path}'")))?;
        Ok(self.rows)
    }
}
