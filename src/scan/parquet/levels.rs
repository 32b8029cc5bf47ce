//! Pages of repeated columns, whose repetition levels are counted before the decoder passes over rows by them.
//!
//! The decoder does not come to an end where a damaged page has fewer levels than it says. Here such a page is an error.

use std::sync::Arc;

use bytes::Bytes;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReader, RowGroups, RowSelection};
use parquet::arrow::{ProjectionMask, parquet_to_arrow_field_levels};
use parquet::basic::Encoding;
use parquet::column::page::{Page, PageIterator, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::serialized_reader::SerializedPageReader;
use parquet::schema::types::SchemaDescriptor;

use crate::error::Error;
use crate::scan::parquet::chunk::ChunkSource;
use crate::scan::parquet::flat::Hybrid;

/// Whether some of the leaf columns are repeated.
pub(super) fn are_repeated(descriptor: &SchemaDescriptor, leaves: &[usize]) -> bool {
    leaves.iter().any(|leaf| descriptor.column(*leaf).max_rep_level() > 0)
}

/// A decoder of the rows `selected` of some row groups.
///
/// # Errors
/// What the parquet crate finds wrong with the columns.
pub(super) fn counting_reader(
    source: ChunkSource,
    metadata: &ArrowReaderMetadata,
    (mask, groups): (ProjectionMask, Vec<usize>),
    batch_rows: usize,
    selected: RowSelection,
) -> ParquetResult<ParquetRecordBatchReader> {
    let levels = parquet_to_arrow_field_levels(metadata.parquet_schema(), mask, Some(metadata.schema().fields()))?;
    let groups = Groups { source: Arc::new(source), metadata: metadata.metadata().clone(), groups };
    ParquetRecordBatchReader::try_new_with_row_groups(&levels, &groups, batch_rows, Some(selected))
}

/// The row groups that are read.
#[derive(Clone)]
struct Groups {
    source: Arc<ChunkSource>,
    metadata: Arc<ParquetMetaData>,
    groups: Vec<usize>,
}

impl RowGroups for Groups {
    fn num_rows(&self) -> usize {
        self.row_groups().map(|group| usize::try_from(group.num_rows()).unwrap_or(0)).sum()
    }

    fn column_chunks(&self, leaf: usize) -> ParquetResult<Box<dyn PageIterator>> {
        Ok(Box::new(Chunks { groups: self.clone(), leaf, next: 0 }))
    }

    fn row_groups(&self) -> Box<dyn Iterator<Item = &RowGroupMetaData> + '_> {
        Box::new(self.groups.iter().filter_map(|group| self.metadata.row_groups().get(*group)))
    }

    fn metadata(&self) -> &ParquetMetaData {
        &self.metadata
    }
}

/// The chunks of one column.
struct Chunks {
    groups: Groups,
    leaf: usize,
    /// Index into the row groups that are read.
    next: usize,
}

impl Chunks {
    fn open(&self, group: usize) -> ParquetResult<Box<dyn PageReader>> {
        let Groups { source, metadata, .. } = &self.groups;
        let missing = || ParquetError::General(format!("there is no column {} in row group {group}", self.leaf));
        let row_group = metadata.row_groups().get(group).ok_or_else(missing)?;
        let chunk = row_group.columns().get(self.leaf).ok_or_else(missing)?;
        let index = metadata.offset_index().and_then(|index| index.get(group)?.get(self.leaf));
        let locations = index.map(|index| index.page_locations().clone());
        let rows = usize::try_from(row_group.num_rows()).unwrap_or(0);
        let reader = SerializedPageReader::new(source.clone(), chunk, rows, locations)?;
        let greatest = u16::try_from(chunk.column_descr().max_rep_level()).unwrap_or(0);
        Ok(Box::new(Counted { reader, width: (u16::BITS - greatest.leading_zeros()) as usize }))
    }
}

impl Iterator for Chunks {
    type Item = ParquetResult<Box<dyn PageReader>>;

    fn next(&mut self) -> Option<Self::Item> {
        let group = *self.groups.groups.get(self.next)?;
        self.next += 1;
        Some(self.open(group))
    }
}

impl PageIterator for Chunks {}

/// The pages of one column chunk.
struct Counted {
    reader: SerializedPageReader<ChunkSource>,
    /// Bits of a repetition level; 0 where the column is not repeated.
    width: usize,
}

impl Counted {
    /// The page, whose repetition levels are as many as it has values.
    fn checked(&self, page: Page) -> ParquetResult<Page> {
        let levels = match &page {
            Page::DataPage { buf, rep_level_encoding: Encoding::RLE, .. } => behind_length(buf),
            Page::DataPageV2 { buf, rep_levels_byte_len, .. } => first_bytes(buf, *rep_levels_byte_len as usize),
            _ => return Ok(page),
        };
        if self.width > 0 {
            let levels = Hybrid::new(levels, self.width);
            levels.and_then(|mut levels| levels.skip(page.num_values() as usize)).map_err(as_theirs)?;
        }
        Ok(page)
    }
}

/// The decoder makes a text of it in any case.
fn as_theirs(error: Error) -> ParquetError {
    ParquetError::General(error.message().to_owned())
}

/// The bytes whose number stands before them, as far as they are there.
fn behind_length(bytes: &Bytes) -> Bytes {
    let length = bytes.first_chunk::<4>().map_or(0, |length| u32::from_le_bytes(*length) as usize);
    first_bytes(&bytes.slice(bytes.len().min(4)..), length)
}

fn first_bytes(bytes: &Bytes, count: usize) -> Bytes {
    bytes.slice(..count.min(bytes.len()))
}

impl Iterator for Counted {
    type Item = ParquetResult<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for Counted {
    fn get_next_page(&mut self) -> ParquetResult<Option<Page>> {
        self.reader.get_next_page()?.map(|page| self.checked(page)).transpose()
    }

    fn peek_next_page(&mut self) -> ParquetResult<Option<PageMetadata>> {
        self.reader.peek_next_page()
    }

    fn skip_next_page(&mut self) -> ParquetResult<()> {
        self.reader.skip_next_page()
    }

    fn at_record_boundary(&mut self) -> ParquetResult<bool> {
        self.reader.at_record_boundary()
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, ListArray};
    use arrow::datatypes::Int64Type;
    use datafusion_expr::{col, lit};
    use parquet::basic::Compression;
    use parquet::file::properties::WriterVersion;
    use tempfile::TempDir;

    use super::*;
    use crate::scan::Options;
    use crate::scan::parquet::footer::load;
    use crate::scan::parquet::tests::{Scanned, batch, ints, write};

    #[test]
    fn damaged_levels_do_not_keep_the_decoder_busy_for_ever() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("lists.parquet");
        let lists = (0..1000).map(|row| Some((0..row % 3).map(Some)));
        let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists));
        let (rows, filter) = (batch(vec![("a", ints(0..1000)), ("l", lists)]), col("a").eq(lit(800i64)));
        let read = || Scanned::new(std::slice::from_ref(&path), Options::new())?.filtered(filter.clone()).read();
        for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
            write(&path, &rows, |properties| {
                let plain = properties.set_writer_version(version).set_compression(Compression::UNCOMPRESSED);
                plain.set_dictionary_enabled(false)
            });
            assert_eq!(read().unwrap().num_rows(), 1);
            let start = load(&path.to_str().unwrap().into()).unwrap().metadata().row_group(0).column(1).byte_range().0;
            let (start, whole) = (usize::try_from(start).unwrap(), std::fs::read(&path).unwrap());
            let mut refused = 0;
            for (place, flips) in (start..start + 160).flat_map(|place| [1, 0x40, 0xff].map(|flips| (place, flips))) {
                let mut bytes = whole.clone();
                bytes[place] ^= flips;
                std::fs::write(&path, &bytes).unwrap();
                refused += usize::from(read().is_err());
            }
            assert!(refused > 20, "{refused}");
        }
    }
}
