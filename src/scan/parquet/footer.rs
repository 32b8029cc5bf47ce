//! Footers, read once: planning and every split's opening share them through a bounded cache of the process.
//!
//! Invariant: a footer belongs to path, size and time of change; a file that was written anew is read anew.
//!
//! # Known limitation
//! The cache is not counted in any session's budget; it holds at most [`CACHE_BYTES`] (and always the newest footer).

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::SystemTime;

use arrow::datatypes::{Schema, SchemaRef};
use arrow::ipc::root_as_message;
use parquet::arrow::ARROW_SCHEMA_META_KEY;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::basic::ConvertedType;
use parquet::file::metadata::{
    OffsetIndexBuilder, ParquetMetaData, ParquetMetaDataBuilder, ParquetMetaDataReader, ParquetStatisticsPolicy,
};
use parquet::schema::types::{ColumnDescPtr, SchemaDescriptor};

use crate::error::{Code, Error, Result};
use crate::expr::from_base64;
use crate::io::Location;
use crate::scan::merge::logical_schema;
use crate::scan::parquet::chunk::ChunkSource;
use crate::scan::parquet::extensions::with_extensions;
use crate::scan::parquet::fault::guard;
use crate::scan::parquet::index::{IndexReader, PageIndexes};
use crate::scan::parquet::intervals::{as_bytes, has_intervals};
use crate::scan::statistics::Piece;
use crate::scan::wide::wide_integer;

/// Bytes that remembered footers may take.
const CACHE_BYTES: usize = 32 << 20;

/// What identifies the contents of a file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct FileKey {
    pub(super) path: Location,
    size: u64,
    changed: Option<SystemTime>,
}

impl FileKey {
    /// Bytes in the file.
    pub(super) fn size(&self) -> u64 {
        self.size
    }
}

/// A file's footer, ready for readers.
#[derive(Debug)]
pub(super) struct Footer {
    pub(super) key: FileKey,
    /// Metadata and the Arrow types that decoding gives.
    pub(super) reader: ArrowReaderMetadata,
    /// The columns as the engine sees them: views for strings, no metadata.
    pub(super) schema: SchemaRef,
    /// By root column: whether it holds text that the decoder does not check for UTF-8.
    pub(super) unchecked_text: Vec<bool>,
    /// Page indexes, as far as they were read.
    pub(super) pages: PageIndexes,
    /// By root column and row group: what was found when its values were looked at.
    pieces: Mutex<HashMap<(usize, usize), Option<Piece>>>,
}

impl Footer {
    /// Metadata of the row groups, without page indexes.
    pub(super) fn metadata(&self) -> &ParquetMetaData {
        self.reader.metadata()
    }

    /// Rows in the file.
    pub(super) fn rows(&self) -> u64 {
        self.metadata().row_groups().iter().map(|group| u64::try_from(group.num_rows()).unwrap_or(0)).sum()
    }

    /// What `look` finds out of the values of root column `root` in row group `group`; it is called once.
    pub(super) fn piece(&self, root: usize, group: usize, look: impl FnOnce() -> Option<Piece>) -> Option<Piece> {
        let known = self.pieces.lock().unwrap_or_else(PoisonError::into_inner).get(&(root, group)).copied();
        known.unwrap_or_else(|| {
            let found = look();
            self.pieces.lock().unwrap_or_else(PoisonError::into_inner).insert((root, group), found);
            found
        })
    }

    /// Counts `bytes` of page indexes among what remembered footers take.
    pub(super) fn count_index(&self, bytes: usize) {
        CACHE.lock().unwrap_or_else(PoisonError::into_inner).grow(&self.key, bytes);
    }

    /// The only leaf column of a root column that is neither nested nor repeated.
    pub(super) fn flat_leaf(&self, root: usize) -> Option<usize> {
        let descriptor = self.metadata().file_metadata().schema_descr();
        let mut leaves = (0..descriptor.num_columns()).filter(|leaf| descriptor.get_column_root_idx(*leaf) == root);
        let leaf = leaves.next().filter(|_| leaves.next().is_none())?;
        let is_flat = !self.reader.schema().fields().get(root)?.data_type().is_nested();
        (is_flat && descriptor.column(leaf).max_rep_level() == 0).then_some(leaf)
    }

    /// Row group `group` as the only one of a file, with the places of the pages of the leaf columns `leaves`; `None`
    /// where they are not known.
    pub(super) fn paged_group(&self, group: usize, leaves: &[usize]) -> Result<Option<ArrowReaderMetadata>> {
        let (mut index, metadata) = (IndexReader::new(self), self.metadata());
        let Some(row_group) = metadata.row_groups().get(group) else { return Ok(None) };
        index.expect(&leaves.iter().map(|leaf| (group, *leaf)).collect::<Vec<_>>(), false);
        let mut places = vec![OffsetIndexBuilder::new().build(); row_group.num_columns()];
        for leaf in leaves {
            let (Some(found), Some(place)) = (index.offsets(group, *leaf), places.get_mut(*leaf)) else {
                return Ok(None);
            };
            *place = found;
        }
        let metadata = ParquetMetaDataBuilder::new(metadata.file_metadata().clone())
            .add_row_group(row_group.clone())
            .set_offset_index(Some(vec![places]))
            .build();
        let options = options().with_schema(self.reader.schema().clone());
        Ok(Some(ArrowReaderMetadata::try_new(Arc::new(metadata), options)?))
    }
}

/// The footer of the file at `path`, from the cache or from the file.
///
/// # Errors
/// `FILE_NOT_FOUND`, `IO_ERROR`, or `INVALID_DATA` when the file is not Parquet; all name the file.
pub(super) fn load(path: &Location) -> Result<Arc<Footer>> {
    let key = key_of(path)?;
    if let Some(footer) = CACHE.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return Ok(footer);
    }
    let footer = Arc::new(read(key, path)?);
    CACHE.lock().unwrap_or_else(PoisonError::into_inner).put(footer.clone());
    Ok(footer)
}

/// The footer of a file that was planned as `key`.
///
/// # Errors
/// As `load`, and `IO_ERROR` when the file was written anew since.
pub(super) fn load_again(key: &FileKey) -> Result<Arc<Footer>> {
    let footer = load(&key.path)?;
    if footer.key != *key {
        return Err(Error::new(Code::Io, format!("file '{}' was changed while it was being read", key.path))
            .hint("run the statement again when the file is complete"));
    }
    Ok(footer)
}

fn key_of(path: &Location) -> Result<FileKey> {
    let facts = path.facts()?;
    // The cache outlives the query that reads.
    Ok(FileKey { path: path.alone(), size: facts.size, changed: facts.modified })
}

fn read(key: FileKey, path: &Location) -> Result<Footer> {
    let place = || format!("file '{}'", key.path);
    if key.size < 12 {
        return Err(Error::new(Code::InvalidData, format!("{} bytes are too few for a Parquet file", key.size))
            .context(place())
            .hint("the file is damaged or is not Parquet; write it again, or leave it out of the glob"));
    }
    let source = ChunkSource::open(path)?;
    source.expect_footer();
    guard(place, || {
        let options = options();
        let metadata = ParquetMetaDataReader::new()
            .with_metadata_options(Some(options.metadata_options().clone()))
            .parse_and_finish(&source)?;
        check_chunks(&metadata, key.size)?;
        let written = metadata.file_metadata().schema_descr_ptr();
        let metadata = Arc::new(if has_intervals(&written) { as_bytes(&metadata)? } else { metadata });
        let by_parquet =
            || ArrowReaderMetadata::try_new(metadata.clone(), options.clone().with_skip_arrow_metadata(true));
        let declared = match declares_wide_integers(&metadata) {
            true => by_parquet()?,
            false => ArrowReaderMetadata::try_new(metadata.clone(), options.clone()).or_else(|_| by_parquet())?,
        };
        let schema: SchemaRef = Arc::new(logical_schema(&with_extensions(declared.schema(), &written)));
        let reader = as_views(declared, &schema, &options)?;
        let unchecked_text = unchecked_text(metadata.file_metadata().schema_descr());
        let (pages, pieces) = (PageIndexes::default(), Mutex::default());
        Ok::<_, Error>(Footer { key: key.clone(), reader, schema, unchecked_text, pages, pieces })
    })
}

fn options() -> ArrowReaderOptions {
    ArrowReaderOptions::new().with_size_stats_policy(ParquetStatisticsPolicy::SkipAll)
}

/// Whether the writer's own schema has integers that Arrow's crates do not know; to Parquet they are sixteen bytes.
fn declares_wide_integers(metadata: &ParquetMetaData) -> bool {
    let columns = metadata.file_metadata().schema_descr().columns();
    let may_be_wide = |column: &ColumnDescPtr| {
        column.physical_type() == parquet::basic::Type::FIXED_LEN_BYTE_ARRAY
            && column.type_length() == 16
            && column.logical_type_ref().is_none()
    };
    let pairs = metadata.file_metadata().key_value_metadata().map(Vec::as_slice).unwrap_or_default();
    let declared = pairs.iter().find(|pair| pair.key == ARROW_SCHEMA_META_KEY).and_then(|pair| pair.value.as_ref());
    let Some(declared) = declared.filter(|_| columns.iter().any(may_be_wide)) else { return false };
    let bytes = from_base64(declared).unwrap_or_default();
    // A length, with or without a mark before it, precedes the message.
    let message = bytes.get(if bytes.starts_with(&[0xff; 4]) { 8 } else { 4 }..).unwrap_or_default();
    let message = root_as_message(message).ok();
    message.and_then(|message| message.header_as_schema()).is_some_and(|schema| wide_integer(schema).is_some())
}

/// A reader that decodes straight into the types of `schema` wherever the decoder can, else into those `declared`.
fn as_views(
    declared: ArrowReaderMetadata,
    schema: &SchemaRef,
    options: &ArrowReaderOptions,
) -> parquet::errors::Result<ArrowReaderMetadata> {
    let metadata = declared.metadata();
    let with =
        |schema: Schema| ArrowReaderMetadata::try_new(metadata.clone(), options.clone().with_schema(Arc::new(schema)));
    if let Ok(reader) = with(schema.as_ref().clone()) {
        return Ok(reader);
    }
    // Some column cannot be decoded as the engine wants it: find out which ones can, one by one.
    let mut fields = declared.schema().fields().to_vec();
    for (index, wanted) in schema.fields().iter().enumerate() {
        let Some(field) = fields.get_mut(index) else { break };
        let kept = std::mem::replace(field, wanted.clone());
        if with(Schema::new(fields.clone())).is_err()
            && let Some(field) = fields.get_mut(index)
        {
            *field = kept;
        }
    }
    with(Schema::new(fields)).or(Ok(declared))
}

/// Row counts and byte ranges that cannot be: better refused here than met as an assertion later.
pub(super) fn check_chunks(metadata: &ParquetMetaData, size: u64) -> Result<()> {
    let columns = metadata.file_metadata().schema_descr().num_columns();
    if metadata.file_metadata().column_orders().is_some_and(|orders| orders.len() != columns) {
        return Err(Error::new(Code::InvalidData, "the footer orders another number of columns than it has"));
    }
    let rows = metadata.row_groups().iter().try_fold(0i64, |rows, group| rows.checked_add(group.num_rows()));
    if rows != Some(metadata.file_metadata().num_rows()) {
        return Err(Error::new(Code::InvalidData, "the row groups do not have as many rows as the file"));
    }
    for (index, group) in metadata.row_groups().iter().enumerate() {
        if group.num_columns() != columns {
            let message = format!("row group {index} has {} columns instead of {columns}", group.num_columns());
            return Err(Error::new(Code::InvalidData, message));
        }
        if group.num_rows() < 0 {
            return Err(Error::new(Code::InvalidData, format!("row group {index} has {} rows", group.num_rows())));
        }
        for column in group.columns() {
            let start = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
            let end = start.checked_add(column.compressed_size());
            let inside =
                start >= 0 && column.compressed_size() >= 0 && end.is_some_and(|end| end.unsigned_abs() <= size);
            if !inside {
                let name = column.column_path().string();
                let message = format!("row group {index}, column '{name}' lies outside of the file ({size} bytes)");
                return Err(Error::new(Code::InvalidData, message));
            }
        }
    }
    Ok(())
}

/// The decoder checks only columns annotated as UTF-8; JSON and plain binary read as text it takes on trust.
fn unchecked_text(descriptor: &SchemaDescriptor) -> Vec<bool> {
    let mut unchecked = vec![false; descriptor.root_schema().get_fields().len()];
    for leaf in 0..descriptor.num_columns() {
        let column = descriptor.column(leaf);
        let is_bytes = column.physical_type() == parquet::basic::Type::BYTE_ARRAY;
        if is_bytes
            && column.converted_type() != ConvertedType::UTF8
            && let Some(root) = unchecked.get_mut(descriptor.get_column_root_idx(leaf))
        {
            *root = true;
        }
    }
    unchecked
}

static CACHE: LazyLock<Mutex<Cache>> = LazyLock::new(Mutex::default);

/// Footers by file. Which of them leaves when they are too many is left to chance: scans of many files go round, and
/// whoever forgets what was not used for longest always forgets what comes next.
#[derive(Default)]
struct Cache {
    entries: HashMap<FileKey, Entry>,
    bytes: usize,
}

struct Entry {
    footer: Arc<Footer>,
    bytes: usize,
}

impl Cache {
    fn get(&self, key: &FileKey) -> Option<Arc<Footer>> {
        self.entries.get(key).map(|entry| entry.footer.clone())
    }

    fn put(&mut self, footer: Arc<Footer>) {
        let bytes = footer.metadata().memory_size();
        let entry = Entry { bytes, footer: footer.clone() };
        if let Some(old) = self.entries.insert(footer.key.clone(), entry) {
            self.bytes -= old.bytes;
        }
        self.bytes += bytes;
        self.shrink(&footer.key);
    }

    /// Counts `bytes` more for the footer of `key`, as long as it is remembered.
    fn grow(&mut self, key: &FileKey, bytes: usize) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.bytes += bytes;
            self.bytes += bytes;
            self.shrink(key);
        }
    }

    /// Forgets others than `kept` until there is room.
    fn shrink(&mut self, kept: &FileKey) {
        while self.bytes > CACHE_BYTES {
            // A map's order is as good as chance.
            let other = self.entries.keys().find(|key| *key != kept).cloned();
            let Some(removed) = other.and_then(|key| self.entries.remove(&key)) else { break };
            self.bytes -= removed.bytes;
        }
    }
}
