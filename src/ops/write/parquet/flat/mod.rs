//! Flat columns: encoded by loops of our own over the parquet crate's pages.
//!
//! A column begins with a dictionary, unless it did without one in the row groups before. Where the first page shows
//! that most values are different, the dictionary is dropped; where it grows too large, the pages that follow have their
//! values as they are.
//!
//! Invariant: a page holds whole rows, and its values are those of the rows in their order. Nested columns, and types
//! that are rare, are left to the parquet crate's writers.

mod bounds;
mod codec;
mod hybrid;
mod numbers;
mod table;
mod texts;
mod values;

use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{Array, ArrayRef, BooleanBufferBuilder};
use arrow::datatypes::DataType;
use bytes::Bytes;
use parquet::basic::{Compression, Encoding, EncodingMask, PageType, Type};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::file::metadata::{ColumnChunkMetaData, ColumnIndexBuilder, OffsetIndexBuilder, PageEncodingStats};
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

use self::codec::Codec;
use self::numbers::Numbers;
use self::texts::Texts;
use self::values::PageValues;
use crate::error::{Error, Result};

/// A page has at most so many rows, and about so many bytes.
const PAGE_ROWS: usize = 20_000;
const PAGE_BYTES: usize = 1 << 20;

/// For so many row groups a column does without a dictionary when one was of no use.
const GROUPS_WITHOUT: usize = 16;

/// What the row groups of a file have learned of one column.
#[derive(Debug, Default)]
pub(super) struct Experience {
    /// Row groups to come that need not try a dictionary.
    without: AtomicUsize,
}

impl Experience {
    fn wants_dictionary(&self) -> bool {
        let less = |left: usize| left.checked_sub(1);
        self.without.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_err()
    }
}

/// Whether columns of this type are encoded here.
pub(super) fn takes(column: &ColumnDescPtr, data_type: &DataType) -> bool {
    column.max_rep_level() == 0
        && column.max_def_level() <= 1
        && column.path().parts().len() == 1
        && values_of(column.physical_type(), data_type).is_some()
}

fn values_of(physical: Type, data_type: &DataType) -> Option<Box<dyn PageValues>> {
    use DataType as T;
    Some(match (physical, data_type) {
        (Type::INT32, T::Int8 | T::Int16 | T::Int32 | T::UInt8 | T::UInt16 | T::Date32 | T::Time32(_)) => {
            Box::new(Numbers::<i32>::new())
        }
        (Type::INT32, T::Decimal128(..)) => Box::new(Numbers::<i32>::new()),
        (Type::INT32, T::UInt32) => Box::new(Numbers::<u32>::new()),
        (Type::INT64, T::Int64 | T::Timestamp(..) | T::Time64(_) | T::Decimal128(..)) => {
            Box::new(Numbers::<i64>::new())
        }
        (Type::INT64, T::UInt64) => Box::new(Numbers::<u64>::new()),
        (Type::FLOAT, T::Float32) => Box::new(Numbers::<f32>::new()),
        (Type::DOUBLE, T::Float64) => Box::new(Numbers::<f64>::new()),
        (Type::BYTE_ARRAY, T::Utf8 | T::LargeUtf8 | T::Utf8View) => Box::new(Texts::new(true)),
        (Type::BYTE_ARRAY, T::Binary | T::LargeBinary | T::BinaryView) => Box::new(Texts::new(false)),
        _ => return None,
    })
}

/// One column chunk being encoded.
pub(super) struct FlatColumn {
    column: ColumnDescPtr,
    values: Box<dyn PageValues>,
    compression: Compression,
    has_dictionary: bool,
    /// Of the page: its rows, and which of them are not null.
    rows: usize,
    valid: BooleanBufferBuilder,
    /// Header and bytes of each page.
    pages: Vec<Bytes>,
    pages_with_dictionary: usize,
    compressed_bytes: usize,
    uncompressed_bytes: usize,
    column_rows: usize,
    column_nulls: usize,
    column_index: ColumnIndexBuilder,
    offset_index: OffsetIndexBuilder,
}

/// What columns use one after the other: the page in the making.
pub(super) struct Scratch {
    codec: Codec,
    indexes: Vec<u32>,
    body: Vec<u8>,
    compressed: Vec<u8>,
}

impl Scratch {
    pub(super) fn new(compression: Compression) -> Result<Self> {
        let codec = Codec::new(compression)?;
        Ok(Scratch { codec, indexes: Vec::new(), body: Vec::new(), compressed: Vec::new() })
    }

    /// Bytes that it holds.
    pub(super) fn bytes(&self) -> usize {
        self.body.capacity() + self.compressed.capacity() + self.indexes.capacity() * size_of::<u32>()
    }
}

impl FlatColumn {
    /// A chunk of `column`, whose batches have columns of `data_type`.
    ///
    /// # Errors
    /// An internal error for a column that [`takes`] does not take.
    pub(super) fn new(
        column: ColumnDescPtr,
        data_type: &DataType,
        compression: Compression,
        experience: &Experience,
    ) -> Result<Self> {
        let values = values_of(column.physical_type(), data_type);
        let values = values.ok_or_else(|| Error::internal(format!("a flat Parquet column of {data_type}")))?;
        Ok(FlatColumn {
            values,
            compression,
            has_dictionary: experience.wants_dictionary(),
            rows: 0,
            valid: BooleanBufferBuilder::new(0),
            pages: Vec::new(),
            pages_with_dictionary: 0,
            compressed_bytes: 0,
            uncompressed_bytes: 0,
            column_rows: 0,
            column_nulls: 0,
            column_index: ColumnIndexBuilder::new(column.physical_type()),
            offset_index: OffsetIndexBuilder::new(),
            column,
        })
    }

    /// Adds the rows of `column`.
    pub(super) fn write(&mut self, column: &ArrayRef, scratch: &mut Scratch, experience: &Experience) -> Result<()> {
        let mut from = 0;
        while from < column.len() {
            let rest = column.slice(from, column.len() - from);
            let bytes = PAGE_BYTES.saturating_sub(self.values.plain_bytes());
            let taken = self.values.append(&rest, PAGE_ROWS - self.rows, bytes)?;
            match rest.nulls() {
                Some(nulls) => self.valid.append_buffer(nulls.slice(0, taken).inner()),
                None => self.valid.append_n(taken, true),
            }
            self.rows += taken;
            from += taken;
            if self.rows >= PAGE_ROWS || self.values.plain_bytes() >= PAGE_BYTES {
                self.end_page(scratch, experience)?;
            }
        }
        Ok(())
    }

    /// Whether the page that is made has its values in the dictionary, which it adds them to.
    fn uses_dictionary(&mut self, indexes: &mut Vec<u32>, experience: &Experience) -> bool {
        if !self.has_dictionary {
            return false;
        }
        let before = self.values.dictionary_len();
        self.values.look_up(indexes);
        let different = self.values.dictionary_len();
        let is_first = self.pages.is_empty();
        if self.values.dictionary_is_full() || is_first && different > self.values.count() / 2 && different > 16 {
            self.values.truncate_dictionary(before);
            self.has_dictionary = false;
            if is_first {
                experience.without.store(GROUPS_WITHOUT, Ordering::Relaxed);
            }
        }
        self.has_dictionary
    }

    fn end_page(&mut self, scratch: &mut Scratch, experience: &Experience) -> Result<()> {
        let (rows, count) = (self.rows, self.values.count());
        let uses_dictionary = self.uses_dictionary(&mut scratch.indexes, experience);
        scratch.body.clear();
        self.append_levels(rows - count, &mut scratch.body);
        if uses_dictionary {
            let width = hybrid::width_of(self.values.dictionary_len().saturating_sub(1));
            scratch.body.push(u8::try_from(width).unwrap_or(u8::MAX));
            hybrid::append_numbers(&scratch.indexes, width, &mut scratch.body);
            self.pages_with_dictionary += 1;
        } else {
            self.values.append_plain(&mut scratch.body);
        }
        let page = |buf, num_values| Page::DataPage {
            buf,
            num_values,
            encoding: if uses_dictionary { Encoding::RLE_DICTIONARY } else { Encoding::PLAIN },
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let page = self.compressed_page(scratch, rows, page)?;
        self.note_page(rows, count, page.len())?;
        self.pages.push(page);
        self.rows = 0;
        self.valid.truncate(0);
        Ok(())
    }

    /// Which rows are null, where the column may have nulls.
    fn append_levels(&self, nulls: usize, body: &mut Vec<u8>) {
        if self.column.max_def_level() == 0 {
            return;
        }
        let start = body.len();
        body.extend_from_slice(&[0; 4]);
        match nulls {
            0 => hybrid::append_run(1, self.rows, 1, body),
            _ => hybrid::append_bits(self.valid.as_slice(), self.rows, body),
        }
        let length = u32::try_from(body.len() - start - 4).unwrap_or(u32::MAX);
        body[start..start + 4].copy_from_slice(&length.to_le_bytes());
    }

    /// The page of what is in `body`, compressed, behind its header.
    fn compressed_page(
        &mut self,
        scratch: &mut Scratch,
        values: usize,
        page: impl FnOnce(Bytes, u32) -> Page,
    ) -> Result<Bytes> {
        scratch.codec.compress(&scratch.body, &mut scratch.compressed)?;
        let values = u32::try_from(values).map_err(|_| Error::internal("a Parquet page of too many values"))?;
        let page = CompressedPage::new(page(Bytes::copy_from_slice(&scratch.compressed), values), scratch.body.len());
        let mut out = TrackedWrite::new(Vec::with_capacity(scratch.compressed.len() + 64));
        let written = SerializedPageWriter::new(&mut out).write_page(page)?;
        self.uncompressed_bytes += written.uncompressed_size;
        self.compressed_bytes += written.compressed_size;
        Ok(out.into_inner()?.into())
    }

    /// Writes down what the page index says of a page; its place is counted from the first data page.
    fn note_page(&mut self, rows: usize, count: usize, bytes: usize) -> Result<()> {
        let nulls = rows - count;
        let whole = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        match self.values.end_page() {
            Some((least, greatest)) => self.column_index.append(false, least, greatest, whole(nulls)),
            None if count == 0 => self.column_index.append(true, Vec::new(), Vec::new(), whole(nulls)),
            None => self.column_index.to_invalid(),
        }
        let size = i32::try_from(bytes).map_err(|_| Error::internal("a Parquet page of more than 2 GB"))?;
        let start = self.pages.iter().map(Bytes::len).sum();
        self.offset_index.append_offset_and_size(whole(start), size);
        self.offset_index.append_row_count(whole(rows));
        self.column_rows += rows;
        self.column_nulls += nulls;
        Ok(())
    }

    /// Bytes that it holds.
    pub(super) fn bytes(&self) -> usize {
        self.values.bytes() + self.compressed_bytes + self.pages.len() * size_of::<Bytes>()
    }

    /// The whole chunk: its pages and what the footer says of them.
    pub(super) fn finish(
        mut self,
        scratch: &mut Scratch,
        experience: &Experience,
    ) -> Result<(Vec<Bytes>, ColumnCloseResult)> {
        if self.rows > 0 {
            self.end_page(scratch, experience)?;
        }
        let mut head = None;
        if self.pages_with_dictionary > 0 {
            scratch.body.clear();
            self.values.append_dictionary(&mut scratch.body);
            let page =
                |buf, num_values| Page::DictionaryPage { buf, num_values, encoding: Encoding::PLAIN, is_sorted: false };
            head = Some(self.compressed_page(scratch, self.values.dictionary_len(), page)?);
        }
        let metadata = self.metadata(head.as_ref().map(Bytes::len))?;
        let mut offset_index = self.offset_index.build();
        let behind = head.as_ref().map_or(0, Bytes::len);
        for location in &mut offset_index.page_locations {
            location.offset += i64::try_from(behind).unwrap_or(0);
        }
        let mut column_index = self.column_index;
        column_index.set_boundary_order(self.values.order());
        let close = ColumnCloseResult {
            bytes_written: self.compressed_bytes as u64,
            rows_written: self.column_rows as u64,
            metadata,
            bloom_filter: None,
            column_index: if column_index.valid() { Some(column_index.build()?) } else { None },
            offset_index: Some(offset_index),
        };
        Ok((head.into_iter().chain(self.pages).collect(), close))
    }

    fn metadata(&self, dictionary: Option<usize>) -> Result<ColumnChunkMetaData> {
        let whole = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let pages = |page_type, encoding, count: usize| PageEncodingStats {
            page_type,
            encoding,
            count: i32::try_from(count).unwrap_or(i32::MAX),
        };
        let plain = self.pages.len() - self.pages_with_dictionary;
        let stats = [
            pages(PageType::DICTIONARY_PAGE, Encoding::PLAIN, usize::from(dictionary.is_some())),
            pages(PageType::DATA_PAGE, Encoding::RLE_DICTIONARY, self.pages_with_dictionary),
            pages(PageType::DATA_PAGE, Encoding::PLAIN, plain),
        ];
        let stats: Vec<PageEncodingStats> = stats.into_iter().filter(|stats| stats.count > 0).collect();
        let encodings = stats.iter().map(|stats| stats.encoding).chain([Encoding::RLE]).collect::<Vec<_>>();
        let metadata = ColumnChunkMetaData::builder(self.column.clone())
            .set_compression(self.compression)
            .set_encodings_mask(EncodingMask::new_from_encodings(encodings.iter()))
            .set_page_encoding_stats(stats)
            .set_total_compressed_size(whole(self.compressed_bytes))
            .set_total_uncompressed_size(whole(self.uncompressed_bytes))
            .set_num_values(whole(self.column_rows))
            .set_data_page_offset(whole(dictionary.unwrap_or(0)))
            .set_dictionary_page_offset(dictionary.map(|_| 0))
            .set_statistics(self.values.statistics(self.column_nulls as u64));
        Ok(metadata.build()?)
    }
}
