//! One row group being encoded, column by column.

use std::io::{Cursor, Read, Write};

use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, compute_leaves};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::writer::SerializedRowGroupWriter;

use super::Layout;
use super::flat::{self, FlatColumn, Scratch};
use crate::error::Result;

/// A row group that takes rows.
pub(super) struct RowGroup {
    /// One for each column of the schema.
    columns: Vec<Column>,
    scratch: Scratch,
    rows: usize,
    most_rows: usize,
}

enum Column {
    /// And which leaf it is.
    Flat(Box<FlatColumn>, usize),
    /// One for each leaf.
    Nested(Vec<ArrowColumnWriter>),
}

impl RowGroup {
    pub(super) fn new(layout: &Layout) -> Result<Self> {
        let leaves = layout.descriptor.columns();
        let mut writers = layout.factory.create_column_writers(0)?.into_iter().enumerate().peekable();
        let mut columns = Vec::with_capacity(layout.schema.fields().len());
        for (index, field) in layout.schema.fields().iter().enumerate() {
            let mut own = Vec::new();
            while let Some(writer) = writers.next_if(|(leaf, _)| layout.descriptor.get_column_root_idx(*leaf) == index)
            {
                own.push(writer);
            }
            columns.push(match own.as_slice() {
                [(leaf, _)] if flat::takes(&leaves[*leaf], field.data_type()) => {
                    let (column, experience) = (leaves[*leaf].clone(), &layout.experience[*leaf]);
                    let column = FlatColumn::new(column, field.data_type(), layout.compression, experience)?;
                    Column::Flat(Box::new(column), *leaf)
                }
                _ => Column::Nested(own.into_iter().map(|(_, writer)| writer).collect()),
            });
        }
        // One compression serves all columns.
        let scratch = Scratch::new(layout.compression)?;
        Ok(RowGroup { columns, scratch, rows: 0, most_rows: layout.rows })
    }

    /// How many more rows it may take.
    pub(super) fn room(&self) -> usize {
        self.most_rows.saturating_sub(self.rows)
    }

    /// Adds the rows of `batch`, which has the columns of `layout`.
    pub(super) fn write(&mut self, layout: &Layout, batch: &RecordBatch) -> Result<()> {
        let fields = layout.schema.fields().iter().zip(batch.columns());
        for (column, (field, values)) in self.columns.iter_mut().zip(fields) {
            match column {
                Column::Flat(column, leaf) => column.write(values, &mut self.scratch, &layout.experience[*leaf])?,
                Column::Nested(writers) => {
                    for (writer, leaf) in writers.iter_mut().zip(compute_leaves(field, values)?) {
                        writer.write(&leaf)?;
                    }
                }
            }
        }
        self.rows += batch.num_rows();
        Ok(())
    }

    /// Bytes that it holds.
    pub(super) fn bytes(&self) -> usize {
        let bytes = |column: &Column| match column {
            Column::Flat(column, _) => column.bytes(),
            Column::Nested(writers) => writers.iter().map(ArrowColumnWriter::memory_size).sum(),
        };
        self.columns.iter().map(bytes).sum::<usize>() + self.scratch.bytes()
    }

    /// The encoded columns.
    pub(super) fn finish(mut self, layout: &Layout) -> Result<Vec<EncodedColumn>> {
        let mut encoded = Vec::new();
        for column in self.columns {
            match column {
                Column::Flat(column, leaf) => {
                    let (pages, close) = column.finish(&mut self.scratch, &layout.experience[leaf])?;
                    encoded.push(EncodedColumn::Flat(Pages(pages), Box::new(close)));
                }
                Column::Nested(writers) => {
                    for writer in writers {
                        encoded.push(EncodedColumn::Nested(Box::new(writer.close()?)));
                    }
                }
            }
        }
        Ok(encoded)
    }
}

/// A column chunk that only has to be written.
pub(super) enum EncodedColumn {
    Flat(Pages, Box<ColumnCloseResult>),
    Nested(Box<ArrowColumnChunk>),
}

impl EncodedColumn {
    pub(super) fn append_to<W: Write + Send>(self, writer: &mut SerializedRowGroupWriter<'_, W>) -> Result<()> {
        match self {
            EncodedColumn::Flat(pages, close) => writer.append_column(&pages, *close)?,
            EncodedColumn::Nested(chunk) => chunk.append_to_row_group(writer)?,
        }
        Ok(())
    }
}

/// The pages of a column chunk, one behind the other.
pub(super) struct Pages(Vec<Bytes>);

impl Length for Pages {
    fn len(&self) -> u64 {
        self.0.iter().map(|page| page.len() as u64).sum()
    }
}

impl ChunkReader for Pages {
    type T = PagesReader;

    fn get_read(&self, start: u64) -> std::result::Result<PagesReader, ParquetError> {
        match start {
            0 => Ok(PagesReader { pages: self.0.clone().into_iter(), page: Cursor::default() }),
            _ => Err(ParquetError::General("a column chunk is written from its beginning".to_owned())),
        }
    }

    fn get_bytes(&self, _start: u64, _length: usize) -> std::result::Result<Bytes, ParquetError> {
        Err(ParquetError::General("a column chunk is written as a whole".to_owned()))
    }
}

/// Gives the bytes of pages, and lets go of each.
pub(super) struct PagesReader {
    pages: std::vec::IntoIter<Bytes>,
    page: Cursor<Bytes>,
}

impl Read for PagesReader {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        loop {
            let read = self.page.read(bytes)?;
            if read > 0 || bytes.is_empty() {
                return Ok(read);
            }
            match self.pages.next() {
                Some(page) => self.page = Cursor::new(page),
                None => return Ok(0),
            }
        }
    }
}
