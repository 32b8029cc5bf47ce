//! A Parquet file that is being written, perhaps by several workers.
//!
//! Invariant: row groups lie in the file in the order in which they came, and its footer names them in the order of the
//! rows. So nobody waits for the rows before theirs, and no encoded row group waits in memory.

use std::io::Write;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use parking_lot::Mutex;
use parquet::file::metadata::{FileMetaData, ParquetMetaDataBuilder, ParquetMetaDataWriter, RowGroupMetaData};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::page_index::offset_index::OffsetIndexMetaData;
use parquet::file::writer::{SerializedRowGroupWriter, TrackedWrite};

use super::group::RowGroup;
use super::{LARGEST_PART, Layout};
use crate::error::{Error, Result};
use crate::io::Location;
use crate::memory::Budget;
use crate::ops::write::{Target, WriteOptions};
use crate::store::QueryContext;

/// What every Parquet file begins with.
const MAGIC: &[u8] = b"PAR1";

/// A file that has no name before it is whole; see [`finish`](ParquetFile::finish).
pub struct ParquetFile {
    layout: Layout,
    name: String,
    // One file for all workers; locked for each row group.
    state: Mutex<State>,
}

struct State {
    out: Option<TrackedWrite<SharedTarget>>,
    groups: Vec<((usize, usize), WrittenGroup)>,
}

/// A row group that is in the file.
pub struct WrittenGroup {
    metadata: RowGroupMetaData,
    column_indexes: Vec<ColumnIndexMetaData>,
    offset_indexes: Vec<OffsetIndexMetaData>,
}

/// The place of the bytes: handed to those who write the footer, and got back from them.
#[derive(Clone)]
struct SharedTarget(Arc<Mutex<Target>>);

impl Write for SharedTarget {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.lock().flush()
    }
}

impl ParquetFile {
    /// Starts the file `location`, whose rows are of `schema`.
    ///
    /// # Errors
    /// `IO_ERROR` or `FILE_NOT_FOUND` when the folder cannot be written to, `NOT_SUPPORTED` for a column type that
    /// Parquet does not have.
    pub fn create(location: &Location, options: &WriteOptions, schema: SchemaRef, budget: &Budget) -> Result<Self> {
        let created = Target::create(location, budget).and_then(|target| ParquetFile::new(target, options, schema));
        let name = location.to_string();
        match created {
            Ok(file) => Ok(ParquetFile { name, ..file }),
            Err(error) => Err(error.context(format!("writing '{name}'"))),
        }
    }

    pub(super) fn new(target: Target, options: &WriteOptions, schema: SchemaRef) -> Result<Self> {
        let layout = Layout::new(schema, options)?;
        let mut out = TrackedWrite::new(SharedTarget(Arc::new(Mutex::new(target))));
        out.write_all(MAGIC)?;
        let state = Mutex::new(State { out: Some(out), groups: Vec::new() });
        Ok(ParquetFile { layout, name: String::new(), state })
    }

    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(super) fn schema(&self) -> &SchemaRef {
        &self.layout.schema
    }

    /// Bytes that the row group of one lane may hold.
    pub(super) fn largest_group(&self, context: &QueryContext) -> usize {
        context.budget.limit() / LARGEST_PART / context.threads.max(1)
    }

    /// Writes a row group behind those that are there.
    pub(super) fn append(&self, group: RowGroup) -> Result<WrittenGroup> {
        // Its last pages are made outside of the lock.
        let columns = group.finish(&self.layout)?;
        let mut state = self.state.lock();
        let out = state.out.as_mut().ok_or_else(Error::cancelled)?;
        let mut written = None;
        let keep = |_, metadata, _, column_indexes: Vec<Option<_>>, offset_indexes: Vec<Option<_>>| {
            let column_indexes = column_indexes.into_iter().map(|index| index.unwrap_or(ColumnIndexMetaData::NONE));
            written = Some(WrittenGroup {
                metadata,
                column_indexes: column_indexes.collect(),
                offset_indexes: offset_indexes.into_iter().flatten().collect(),
            });
            Ok(())
        };
        let (descriptor, properties) = (self.layout.descriptor.clone(), self.layout.properties.clone());
        let mut writer = SerializedRowGroupWriter::new(descriptor, properties, out, 0, Some(Box::new(keep)));
        for column in columns {
            column.append_to(&mut writer).map_err(|error| self.context(error))?;
        }
        writer.close().map_err(|error| self.context(error.into()))?;
        written.ok_or_else(|| Error::internal("a Parquet row group that is nowhere"))
    }

    fn context(&self, error: Error) -> Error {
        if self.name.is_empty() { error } else { error.context(format!("writing '{}'", self.name)) }
    }

    /// Says where a row group stands among all: those of one `position` by their `part`.
    pub(super) fn place(&self, position: usize, part: usize, group: WrittenGroup) {
        self.state.lock().groups.push(((position, part), group));
    }

    /// Ends the file and gives it its name: the number of rows in it. Once.
    ///
    /// # Errors
    /// `IO_ERROR` when the disk refuses; the file is then not there.
    pub fn finish(&self) -> Result<u64> {
        let mut state = self.state.lock();
        let out = state.out.take().ok_or_else(Error::cancelled)?;
        let mut groups = std::mem::take(&mut state.groups);
        drop(state);
        groups.sort_by_key(|(place, _)| *place);
        self.end(out, groups.into_iter().map(|(_, group)| group).collect()).map_err(|error| self.context(error))
    }

    fn end(&self, out: TrackedWrite<SharedTarget>, groups: Vec<WrittenGroup>) -> Result<u64> {
        let properties = &self.layout.properties;
        let rows: i64 = groups.iter().map(|group| group.metadata.num_rows()).sum();
        let file = FileMetaData::new(
            properties.writer_version().as_num(),
            rows,
            Some(properties.created_by().to_owned()),
            properties.key_value_metadata().cloned(),
            self.layout.descriptor.clone(),
            None,
        );
        let (mut metadata, mut column_indexes, mut offset_indexes) = (Vec::new(), Vec::new(), Vec::new());
        for (ordinal, group) in groups.into_iter().enumerate() {
            metadata.push(self.numbered(ordinal, group.metadata)?);
            column_indexes.push(group.column_indexes);
            offset_indexes.push(group.offset_indexes);
        }
        let metadata = ParquetMetaDataBuilder::new(file)
            .set_row_groups(metadata)
            .set_column_index(Some(column_indexes))
            .set_offset_index(Some(offset_indexes))
            .build();
        let target = out.inner().clone();
        ParquetMetaDataWriter::new_with_tracked(out, &metadata).finish()?;
        let target = Arc::try_unwrap(target.0).map_err(|_| Error::internal("a file that somebody still writes"))?;
        target.into_inner().finish()?;
        Ok(u64::try_from(rows).unwrap_or(0))
    }

    /// The row group as the one of that number (which not every number is small enough to be written down).
    fn numbered(&self, ordinal: usize, group: RowGroupMetaData) -> Result<RowGroupMetaData> {
        let builder = RowGroupMetaData::builder(self.layout.descriptor.clone())
            .set_num_rows(group.num_rows())
            .set_total_byte_size(group.total_byte_size())
            .set_file_offset(group.file_offset().unwrap_or(0))
            .set_column_metadata(group.columns().to_vec());
        Ok(match i16::try_from(ordinal) {
            Ok(ordinal) => builder.set_ordinal(ordinal),
            Err(_) => builder,
        }
        .build()?)
    }

    /// Takes the file away, which was not finished.
    pub fn abandon(&self) {
        self.state.lock().out.take();
    }
}
