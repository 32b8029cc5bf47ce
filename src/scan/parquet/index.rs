//! Page indexes: where the pages of a column chunk lie, and what their smallest and largest values are. Read for one
//! column chunk at a time, when first asked for, and kept with the footer.
//!
//! Invariant: pages that are told of begin at row 0, ascend, and lie within their chunk. An index that is not like that,
//! or cannot be read, counts as none: nothing is ruled out by it.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use parquet::file::metadata::{
    OffsetIndexBuilder, PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData,
};
use parquet::file::page_index::offset_index::{OffsetIndexMetaData, PageLocation};

use crate::error::{Code, Error, Result};
use crate::scan::parquet::chunk::ChunkSource;
use crate::scan::parquet::fault::guard;
use crate::scan::parquet::footer::Footer;
use crate::scan::parquet::single::single_chunk;

/// No index of one column chunk is larger.
const MOST_BYTES: u64 = 16 << 20;

/// What is known of the pages of a file's column chunks, by row group and leaf column.
#[derive(Debug, Default)]
pub(super) struct PageIndexes(Mutex<HashMap<(usize, usize), Arc<Known>>>);

#[derive(Debug, Default)]
struct Known {
    /// `None` inside: there is no index.
    locations: OnceLock<Option<Arc<Vec<PageLocation>>>>,
    bounded: OnceLock<Option<Arc<ParquetMetaData>>>,
}

/// Reads the page indexes of one file.
#[derive(Debug)]
pub(super) struct IndexReader<'a> {
    footer: &'a Footer,
    source: Option<ChunkSource>,
}

impl<'a> IndexReader<'a> {
    /// Nothing is read yet.
    pub(super) fn new(footer: &'a Footer) -> Self {
        IndexReader { footer, source: None }
    }

    /// Says which indexes will be asked for, by row group and leaf; with their values' bounds when `bounded`.
    pub(super) fn expect(&mut self, chunks: &[(usize, usize)], bounded: bool) {
        let mut ranges = Vec::new();
        for (group, leaf) in chunks {
            let Some(group_metadata) = self.footer.metadata().row_groups().get(*group) else { continue };
            let known = self.known(*group, *leaf);
            if known.locations.get().is_none() {
                ranges.extend(offset_range(group_metadata, *leaf));
            }
            if bounded && known.bounded.get().is_none() {
                ranges.extend(bounds_range(group_metadata, *leaf));
            }
        }
        if !ranges.is_empty()
            && let Ok(source) = self.source()
        {
            source.expect(ranges);
        }
    }

    /// Where the pages lie, and with which rows they begin.
    pub(super) fn locations(&mut self, group: usize, leaf: usize) -> Option<Arc<Vec<PageLocation>>> {
        let known = self.known(group, leaf);
        if let Some(locations) = known.locations.get() {
            return locations.clone();
        }
        let read = self.read_locations(group, leaf).ok().flatten().map(Arc::new);
        let bytes = read.as_ref().map_or(0, |read| read.len() * size_of::<PageLocation>());
        self.footer.count_index(bytes);
        known.locations.get_or_init(|| read).clone()
    }

    /// The same as the parquet crate wants it.
    pub(super) fn offsets(&mut self, group: usize, leaf: usize) -> Option<OffsetIndexMetaData> {
        let mut builder = OffsetIndexBuilder::new();
        let locations = self.locations(group, leaf)?;
        let ends = locations.iter().skip(1).map(|page| page.first_row_index);
        let rows = self.footer.metadata().row_groups().get(group)?.num_rows();
        for (page, end) in locations.iter().zip(ends.chain([rows])) {
            builder.append_row_count(end - page.first_row_index);
            builder.append_offset_and_size(page.offset, page.compressed_page_size);
        }
        Some(builder.build())
    }

    /// The chunk as a file of its own, with both indexes.
    pub(super) fn bounded(&mut self, group: usize, leaf: usize) -> Option<Arc<ParquetMetaData>> {
        let known = self.known(group, leaf);
        if let Some(bounded) = known.bounded.get() {
            return bounded.clone();
        }
        let pages = self.locations(group, leaf).map_or(0, |locations| locations.len());
        let read = if pages > 0 { self.read_bounds(group, leaf, pages).ok().flatten().map(Arc::new) } else { None };
        self.footer.count_index(read.as_ref().map_or(0, |read| read.memory_size()));
        known.bounded.get_or_init(|| read).clone()
    }

    fn known(&self, group: usize, leaf: usize) -> Arc<Known> {
        let mut all = self.footer.pages.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry((group, leaf)).or_default().clone()
    }

    fn source(&mut self) -> Result<&ChunkSource> {
        let source = match self.source.take() {
            Some(source) => source,
            None => ChunkSource::open(&self.footer.key.path)?,
        };
        Ok(self.source.insert(source))
    }

    fn read_locations(&mut self, group: usize, leaf: usize) -> Result<Option<Vec<PageLocation>>> {
        let Some(row_group) = self.footer.metadata().row_groups().get(group) else { return Ok(None) };
        let Some(range) = offset_range(row_group, leaf) else { return Ok(None) };
        let read = self.read(group, leaf, &range, PageIndexPolicy::Optional, PageIndexPolicy::Skip)?;
        let locations =
            read.offset_index().and_then(|groups| groups.first()?.first()).map(|index| index.page_locations());
        Ok(locations.filter(|locations| are_pages(locations, row_group, leaf)).cloned())
    }

    fn read_bounds(&mut self, group: usize, leaf: usize, pages: usize) -> Result<Option<ParquetMetaData>> {
        let Some(row_group) = self.footer.metadata().row_groups().get(group) else { return Ok(None) };
        let Some(range) = bounds_range(row_group, leaf) else { return Ok(None) };
        // Bounds without places are no use, and the places are known. Read together, all that lies between the two kinds
        // of index in the file would be read with them.
        let read = self.read(group, leaf, &range, PageIndexPolicy::Skip, PageIndexPolicy::Optional)?;
        let index = read.column_index().and_then(|groups| groups.first()?.first());
        let fits = index.is_some_and(|index| index.num_pages() == pages as u64);
        let Some(offsets) = self.offsets(group, leaf).filter(|_| fits) else { return Ok(None) };
        Ok(Some(read.into_builder().set_offset_index(Some(vec![vec![offsets]])).build()))
    }

    fn read(
        &mut self,
        group: usize,
        leaf: usize,
        range: &Range<u64>,
        offsets: PageIndexPolicy,
        bounds: PageIndexPolicy,
    ) -> Result<ParquetMetaData> {
        let footer = self.footer;
        let source = self.source()?;
        guard(
            || format!("file '{}'", footer.key.path),
            || {
                if range.end > footer.key.size() || range.end - range.start > MOST_BYTES {
                    return Err(Error::new(Code::InvalidData, "a page index lies outside of the file"));
                }
                let mut reader =
                    ParquetMetaDataReader::new_with_metadata(single_chunk(footer.metadata(), group, leaf)?)
                        .with_offset_index_policy(offsets)
                        .with_column_index_policy(bounds);
                reader.read_page_indexes(source)?;
                Ok(reader.finish()?)
            },
        )
    }
}

fn offset_range(group: &RowGroupMetaData, leaf: usize) -> Option<Range<u64>> {
    let chunk = group.columns().get(leaf)?;
    range(chunk.offset_index_offset(), chunk.offset_index_length())
}

fn bounds_range(group: &RowGroupMetaData, leaf: usize) -> Option<Range<u64>> {
    let chunk = group.columns().get(leaf)?;
    range(chunk.column_index_offset(), chunk.column_index_length())
}

fn range(offset: Option<i64>, length: Option<i32>) -> Option<Range<u64>> {
    let (start, length) = (u64::try_from(offset?).ok()?, u64::try_from(length?).ok()?);
    Some(start..start.checked_add(length)?).filter(|range| !range.is_empty())
}

/// Whether the pages are what they have to be.
fn are_pages(pages: &[PageLocation], group: &RowGroupMetaData, leaf: usize) -> bool {
    let Some((start, size)) = group.columns().get(leaf).map(|chunk| chunk.byte_range()) else { return false };
    let inside = |page: &PageLocation| {
        let (offset, bytes) = (u64::try_from(page.offset).ok()?, u64::try_from(page.compressed_page_size).ok()?);
        Some(offset >= start && offset.checked_add(bytes)? <= start + size)
    };
    let first_rows = pages.iter().map(|page| page.first_row_index);
    pages.first().is_some_and(|page| page.first_row_index == 0)
        && first_rows.is_sorted_by(|a, b| a < b)
        && pages.last().is_some_and(|page| page.first_row_index < group.num_rows())
        && pages.iter().all(|page| inside(page) == Some(true))
}
