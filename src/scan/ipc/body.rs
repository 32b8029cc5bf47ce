//! The parts of a record batch's body that some of its columns need.
//!
//! A header names for every column, in order, its nodes and its buffers. The buffers of the wanted columns are fetched in
//! runs and put side by side; in a copy of the header they are then where they are.
//!
//! Invariant: what is fetched lies within the body, and was reserved before; so is what it inflates to.

use std::ops::Range;

use arrow::buffer::{Buffer, MutableBuffer};
use arrow::datatypes::{DataType, Field, Schema, UnionMode};
use arrow::ipc::{Message, MetadataVersion, RecordBatch as Header};

use super::layout::Place;
use crate::error::{Code, Error, Result};
use crate::io::InputFile;
use crate::memory::Reservation;

/// Bytes that are read for nothing rather than asked for apart.
const GAP: u64 = 64 << 10;
/// What every run begins at a multiple of, so that values are aligned as they were.
const ALIGNMENT: u64 = 64;
/// Bytes of a buffer's entry in a header: where it is and how long.
const ENTRY: usize = 16;
/// Before compressed bytes: how many they inflate to.
const LENGTH: usize = 8;

/// A buffer of the body: its number among all, and where it lies.
struct Wanted {
    number: usize,
    range: Range<u64>,
}

/// Counts nodes and buffers as they come.
struct Walk<'a> {
    version: MetadataVersion,
    buffers: usize,
    /// How many buffers each column of views has beside two.
    variadic: std::vec::IntoIter<i64>,
    schema: &'a Schema,
}

fn damaged(message: impl Into<String>) -> Error {
    Error::new(Code::InvalidData, message)
}

impl Walk<'_> {
    /// By column, which buffers it has.
    fn columns(&mut self) -> Result<Vec<Range<usize>>> {
        let schema = self.schema;
        let column = |field: &std::sync::Arc<Field>| {
            let first = self.buffers;
            self.pass(field)?;
            Ok(first..self.buffers)
        };
        schema.fields().iter().map(column).collect()
    }

    fn pass(&mut self, field: &Field) -> Result<()> {
        use DataType::{
            Binary, BinaryView, Dictionary, FixedSizeList, LargeBinary, LargeList, LargeListView, LargeUtf8, List,
            ListView, Map, Null, RunEndEncoded, Struct, Union, Utf8, Utf8View,
        };
        self.buffers += match field.data_type() {
            Null | RunEndEncoded(..) => 0,
            FixedSizeList(..) | Struct(_) => 1,
            Utf8 | LargeUtf8 | Binary | LargeBinary | ListView(_) | LargeListView(_) => 3,
            Utf8View | BinaryView => {
                let more = self.variadic.next().and_then(|count| usize::try_from(count).ok());
                2 + more.ok_or_else(|| damaged(format!("the number of buffers of column '{}'", field.name())))?
            }
            Union(_, mode) => {
                usize::from(self.version < MetadataVersion::V5) + 1 + usize::from(*mode == UnionMode::Dense)
            }
            _ => 2,
        };
        match field.data_type() {
            List(item)
            | LargeList(item)
            | Map(item, _)
            | ListView(item)
            | LargeListView(item)
            | FixedSizeList(item, _) => self.pass(item),
            Struct(fields) => fields.iter().try_for_each(|field| self.pass(field)),
            RunEndEncoded(ends, values) => self.pass(ends).and_then(|()| self.pass(values)),
            Union(fields, _) => fields.iter().try_for_each(|(_, field)| self.pass(field)),
            // The values are in a message of their own.
            Dictionary(..) => Ok(()),
            _ => Ok(()),
        }
    }
}

/// Fetches what the columns `columns` of a batch need. The header's entries, which lie in `message`, are changed to where
/// the buffers are in what is given back.
pub(super) fn fetch(
    file: &InputFile,
    place: &Place,
    (schema, columns): (&Schema, &[usize]),
    version: MetadataVersion,
    message: &mut [u8],
    reservation: &mut Reservation,
) -> Result<Buffer> {
    let (entries, wanted, compressed) = {
        let (_, parsed) = super::layout::message(message)?;
        let header = batch_of(&parsed)?;
        let wanted = wanted(&header, place, (schema, columns), version)?;
        (entries_of(message, &header)?, wanted, header.compression().is_some())
    };
    let runs = runs(&wanted);
    let total = runs.iter().map(|(_, at, range)| at + (range.end - range.start)).max().unwrap_or(0);
    let total = usize::try_from(total).map_err(|_| damaged("a record batch larger than memory can be"))?;
    reservation.grow(total)?;
    file.expect_all(
        runs.iter()
            .map(|(_, _, range)| place.start + place.header + range.start..place.start + place.header + range.end),
    );
    let mut body = MutableBuffer::from_len_zeroed(total);
    for (_, at, range) in &runs {
        let from = usize::try_from(*at).unwrap_or(usize::MAX);
        let size = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let out = body.get_mut(from..from.saturating_add(size)).ok_or_else(|| Error::internal("a run without room"))?;
        if file.read_at(place.start + place.header + range.start, out)? < size {
            return Err(damaged("the file ends within a record batch"));
        }
    }
    let mut inflated = 0_usize;
    for (first, at, range) in &runs {
        for wanted in wanted.get(first.clone()).unwrap_or_default() {
            let offset = at + (wanted.range.start - range.start);
            let entry = entries + wanted.number * ENTRY;
            let slot =
                message.get_mut(entry..entry + 8).ok_or_else(|| damaged("the header of a message is damaged"))?;
            slot.copy_from_slice(&offset.to_le_bytes());
            let size = usize::try_from(wanted.range.end - wanted.range.start).unwrap_or(usize::MAX);
            if compressed && size > 0 {
                let from = usize::try_from(offset).unwrap_or(usize::MAX);
                inflated = inflated.saturating_add(inflated_size(body.get(from..).unwrap_or_default(), size)?);
            }
        }
    }
    reservation.grow(inflated)?;
    Ok(body.into())
}

/// How many bytes a compressed buffer inflates to.
fn inflated_size(bytes: &[u8], size: usize) -> Result<usize> {
    let length = bytes.first_chunk::<LENGTH>().filter(|_| size >= LENGTH).map(|length| i64::from_le_bytes(*length));
    match length {
        // Not compressed after all.
        Some(-1) => Ok(size),
        Some(length) => {
            usize::try_from(length).map_err(|_| damaged(format!("a buffer that inflates to {length} bytes")))
        }
        None => Err(damaged("a compressed buffer without a length")),
    }
}

/// The record batch that a message is, or that holds the values of a dictionary.
pub(super) fn batch_of<'a>(message: &Message<'a>) -> Result<Header<'a>> {
    let values = || message.header_as_dictionary_batch().and_then(|dictionary| dictionary.data());
    message.header_as_record_batch().or_else(values).ok_or_else(|| damaged("a message is no record batch"))
}

/// Where in `message` the entries of the buffers begin.
fn entries_of(message: &[u8], header: &Header) -> Result<usize> {
    let entries = header.buffers().map(|buffers| buffers.bytes()).unwrap_or_default();
    let from = entries.as_ptr().addr().checked_sub(message.as_ptr().addr());
    let inside = |from: &usize| from.checked_add(entries.len()).is_some_and(|end| end <= message.len());
    if entries.is_empty() {
        return Ok(0);
    }
    from.filter(inside).ok_or_else(|| Error::internal("the entries of a header lie elsewhere"))
}

/// The buffers of the wanted columns, in the order of the body.
fn wanted(
    header: &Header,
    place: &Place,
    (schema, columns): (&Schema, &[usize]),
    version: MetadataVersion,
) -> Result<Vec<Wanted>> {
    let variadic: Vec<i64> = header.variadicBufferCounts().into_iter().flatten().collect();
    let mut walk = Walk { version, buffers: 0, variadic: variadic.into_iter(), schema };
    let by_column = walk.columns()?;
    let entries = header.buffers().ok_or_else(|| damaged("a record batch has no buffers"))?;
    if entries.len() < walk.buffers {
        return Err(damaged(format!("a record batch has {} buffers instead of {}", entries.len(), walk.buffers)));
    }
    let mut wanted = Vec::new();
    for number in columns.iter().filter_map(|column| by_column.get(*column)).flat_map(Clone::clone) {
        let entry = entries.get(number);
        let start = u64::try_from(entry.offset()).ok();
        let end = start.zip(u64::try_from(entry.length()).ok()).and_then(|(start, length)| start.checked_add(length));
        let (Some(start), Some(end)) = (start, end.filter(|end| *end <= place.body)) else {
            let (offset, length, body) = (entry.offset(), entry.length(), place.body);
            return Err(damaged(format!("a buffer of {length} bytes at byte {offset} of a body of {body}")));
        };
        wanted.push(Wanted { number, range: start..end });
    }
    wanted.sort_by_key(|wanted| (wanted.range.start, wanted.range.end));
    Ok(wanted)
}

/// Which of `wanted` are read at once, where they are put, and from where in the body they come.
fn runs(wanted: &[Wanted]) -> Vec<(Range<usize>, u64, Range<u64>)> {
    let mut runs: Vec<(Range<usize>, Range<u64>)> = Vec::new();
    for (index, next) in wanted.iter().enumerate() {
        match runs.last_mut() {
            Some((members, range)) if next.range.start <= range.end.saturating_add(GAP) => {
                members.end = index + 1;
                range.end = range.end.max(next.range.end);
            }
            _ => runs.push((index..index + 1, next.range.clone())),
        }
    }
    let mut at = 0_u64;
    let mut placed = Vec::with_capacity(runs.len());
    for (members, range) in runs {
        let start = at.next_multiple_of(ALIGNMENT) + range.start % ALIGNMENT;
        at = start + (range.end - range.start);
        placed.push((members, start, range));
    }
    placed
}
