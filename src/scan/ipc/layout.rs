//! Where the messages of a file or stream lie.
//!
//! Invariant: every place lies within the file. Batches know how many of the dictionaries are in force for them: in a
//! stream those before them, in a file all.

use arrow::datatypes::{Schema, SchemaRef};
use arrow::ipc::convert::fb_to_schema;
use arrow::ipc::reader::read_footer_length;
use arrow::ipc::{Block, Message, MessageHeader, MetadataVersion, root_as_footer, root_as_message};
use bytes::Bytes;

use super::GUARD;
use crate::error::{Code, Error, Result};
use crate::io::{InputFile, Location};
use crate::scan::wide::wide_integer;

/// What files begin and end with; a file's beginning is filled up to eight bytes.
const MAGIC: &[u8] = b"ARROW1";
const FEATHER_V1: &[u8] = b"FEA1";
const BEGINNING: u64 = 8;
/// The length of the footer and the magic bytes.
const TRAILER: u64 = 10;
/// Bytes at the end of a file in which its footer mostly lies.
const FOOTER_BYTES: u64 = 64 << 10;
/// Bytes in which the header of a message mostly lies.
const HEADER_BYTES: u64 = 4 << 10;
/// No header of a message is larger.
const MOST_HEADER_BYTES: u64 = 256 << 20;
/// Comes before the length of a header, but in files older than format 0.15.
const CONTINUATION: [u8; 4] = [0xff; 4];

/// What lies where.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) schema: SchemaRef,
    pub(super) version: MetadataVersion,
    pub(super) dictionaries: Vec<Place>,
    pub(super) batches: Vec<Place>,
}

/// A message in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) start: u64,
    /// Bytes of the header, with its length and filling; the body follows.
    pub(super) header: u64,
    pub(super) body: u64,
    /// Rows of a record batch, where they are known.
    pub(super) rows: Option<u64>,
    /// How many of the dictionaries are in force.
    pub(super) dictionaries: usize,
}

impl Layout {
    /// Looks through the file at `path`.
    ///
    /// # Errors
    /// `FILE_NOT_FOUND`, `IO_ERROR`, `INVALID_DATA` for what is neither a file nor a stream of Arrow IPC.
    pub(super) fn read(path: &Location) -> Result<Self> {
        let file = InputFile::open(path)?;
        GUARD.run(
            || format!("file '{path}'"),
            || {
                let mut first = [0; BEGINNING as usize];
                let count = file.read_at(0, &mut first)?;
                let first = first.get(..count).unwrap_or_default();
                if first.starts_with(FEATHER_V1) {
                    return Err(
                        Error::not_supported("Feather V1").hint("write the file anew as Feather V2 (Arrow IPC)")
                    );
                }
                if first.starts_with(MAGIC) { of_file(&file) } else { of_stream(&file) }
            },
        )
    }

    /// Rows of all batches, where they are known.
    pub(super) fn rows(&self) -> Option<u64> {
        self.batches.iter().map(|place| place.rows).sum()
    }
}

fn damaged(message: impl Into<String>) -> Error {
    Error::new(Code::InvalidData, message)
}

fn of_file(file: &InputFile) -> Result<Layout> {
    let size = file.size();
    file.expect(size.saturating_sub(FOOTER_BYTES)..size);
    let end = size.checked_sub(TRAILER).filter(|end| *end >= BEGINNING);
    let end = end.ok_or_else(|| damaged(format!("{size} bytes are too few for an Arrow file")))?;
    let trailer = file.read_bytes(end, TRAILER as usize)?;
    let trailer: [u8; TRAILER as usize] = trailer.as_ref().try_into().map_err(|_| damaged("the file ends early"))?;
    let length = read_footer_length(trailer).map_err(|_| {
        damaged("the file does not end as Arrow files do: it is damaged, or was not written to its end")
    })?;
    let start = end.checked_sub(length as u64).filter(|start| *start >= BEGINNING);
    let start = start.ok_or_else(|| damaged(format!("a footer of {length} bytes in a file of {size}")))?;
    let bytes = file.read_bytes(start, length)?;
    let footer = root_as_footer(&bytes).map_err(|error| damaged(format!("the footer is damaged: {error}")))?;
    let schema = footer.schema().ok_or_else(|| damaged("the footer has no schema"))?;
    let schema = checked_schema(schema)?;
    let place = |block: &Block| place_of(block, start);
    let dictionaries = footer.dictionaries().into_iter().flatten().map(place).collect::<Result<Vec<Place>>>()?;
    let mut batches = footer.recordBatches().into_iter().flatten().map(place).collect::<Result<Vec<Place>>>()?;
    for batch in &mut batches {
        batch.dictionaries = dictionaries.len();
        // Far away every header is a request.
        if !file.location().is_remote() {
            let header = file.read_bytes(batch.start, usize::try_from(batch.header).unwrap_or(usize::MAX))?;
            batch.rows = Some(rows_of(&message(&header)?.1)?);
        }
    }
    Ok(Layout { schema, version: footer.version(), dictionaries, batches })
}

fn place_of(block: &Block, end: u64) -> Result<Place> {
    let outside = || {
        let (start, header, body) = (block.offset(), block.metaDataLength(), block.bodyLength());
        damaged(format!("the footer places a message of {header} + {body} bytes at byte {start}, where none can be"))
    };
    let start = u64::try_from(block.offset()).map_err(|_| outside())?;
    let header = u64::try_from(block.metaDataLength()).map_err(|_| outside())?;
    let body = u64::try_from(block.bodyLength()).map_err(|_| outside())?;
    let last = start.checked_add(header).and_then(|last| last.checked_add(body));
    let fits = start >= BEGINNING && header >= BEGINNING && last.is_some_and(|last| last <= end);
    if !fits {
        return Err(outside());
    }
    Ok(Place { start, header, body, rows: None, dictionaries: 0 })
}

fn checked_schema(schema: arrow::ipc::Schema<'_>) -> Result<SchemaRef> {
    if !schema.endianness().equals_to_target_endianness() {
        return Err(Error::not_supported("reading Arrow data of the other byte order"));
    }
    if let Some(column) = wide_integer(schema) {
        return Err(Error::not_supported(format!(
            "reading column '{column}', which has integers of more than 64 bits,"
        ))
        .hint("write it as a decimal of 38 digits"));
    }
    let schema: Schema = fb_to_schema(schema);
    Ok(schema.into())
}

/// The header of a message with the bytes before it: how many those are, and the message.
pub(super) fn message(header: &[u8]) -> Result<(usize, Message<'_>)> {
    let prefix = if header.starts_with(&CONTINUATION) { 8 } else { 4 };
    let bytes = header.get(prefix..).ok_or_else(|| damaged("a message has no header"))?;
    let message =
        root_as_message(bytes).map_err(|error| damaged(format!("the header of a message is damaged: {error}")))?;
    Ok((prefix, message))
}

/// Rows of a message that is a record batch.
pub(super) fn rows_of(message: &Message<'_>) -> Result<u64> {
    let batch = message.header_as_record_batch().ok_or_else(|| damaged("a message is no record batch"))?;
    let first = batch.nodes().and_then(|nodes| nodes.iter().next()).map(|node| node.length());
    match u64::try_from(batch.length()).ok().filter(|_| first.is_none_or(|first| first == batch.length())) {
        Some(rows) => Ok(rows),
        None => {
            let values = first.map_or(String::new(), |first| format!(" whose first column has {first} values"));
            Err(damaged(format!("a record batch of {} rows{values}", batch.length())))
        }
    }
}

/// Walks from message to message.
fn of_stream(file: &InputFile) -> Result<Layout> {
    let mut found: Option<Layout> = None;
    let mut start = 0;
    while let Some(header) = next_header(file, start)? {
        let (_, message) = message(&header)?;
        let body = u64::try_from(message.bodyLength()).ok();
        let end = body.and_then(|body| (start + header.len() as u64).checked_add(body));
        let (Some(body), Some(end)) = (body, end.filter(|end| *end <= file.size())) else {
            return Err(damaged(format!("the file ends within the message at byte {start}")));
        };
        let header_bytes = header.len() as u64;
        let place = |rows, dictionaries| Place { start, header: header_bytes, body, rows, dictionaries };
        match (message.header_type(), &mut found) {
            (MessageHeader::Schema, None) => {
                let schema = message.header_as_schema().ok_or_else(|| damaged("the schema is damaged"))?;
                let (schema, version) = (checked_schema(schema)?, message.version());
                found = Some(Layout { schema, version, dictionaries: Vec::new(), batches: Vec::new() });
            }
            (MessageHeader::DictionaryBatch, Some(layout)) => layout.dictionaries.push(place(None, 0)),
            (MessageHeader::RecordBatch, Some(layout)) => {
                layout.batches.push(place(Some(rows_of(&message)?), layout.dictionaries.len()));
            }
            (kind, _) => {
                let kind = kind.variant_name().unwrap_or("unknown");
                return Err(damaged(format!("a message of the kind {kind} at byte {start}, where none is expected")));
            }
        }
        start = end;
    }
    found.ok_or_else(|| damaged("there is no schema: this is no Arrow data"))
}

/// The header of the message at `start` with what comes before it; `None` at the end.
fn next_header(file: &InputFile, start: u64) -> Result<Option<Bytes>> {
    let left = file.size().saturating_sub(start);
    if left == 0 {
        return Ok(None);
    }
    let first = file.read_bytes(start, left.min(HEADER_BYTES) as usize)?;
    let word = |at: usize| first.get(at..).and_then(<[u8]>::first_chunk::<4>).copied();
    let (prefix, length) = match (word(0), word(4)) {
        (Some(CONTINUATION), Some(length)) => (8, length),
        (Some(length), _) => (4, length),
        (None, _) => return Err(damaged(format!("the file ends within the message at byte {start}"))),
    };
    let length = u64::from(u32::from_le_bytes(length));
    if length == 0 {
        return Ok(None);
    }
    let total = prefix + length;
    if total > left || length > MOST_HEADER_BYTES {
        let message = if start == 0 {
            "this is no Arrow data".to_string()
        } else {
            format!("the file ends within the message at byte {start}")
        };
        return Err(damaged(message));
    }
    let header = match total <= first.len() as u64 {
        true => first.slice(..total as usize),
        false => file.read_bytes(start, total as usize)?,
    };
    Ok(Some(header))
}
