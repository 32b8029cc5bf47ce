//! The bytes of a portion of a file, in a window that moves over them.
//!
//! Invariant: what has not been consumed stays in the window; the window grows only when somebody needs more than it
//! holds, and its memory is reserved before it grows. A split of a file by bytes owns the lines that *start* in its
//! range: raw line ends never stand inside a JSON string, so this cuts every file right.

use std::io::Read;
use std::ops::Range;

use memchr::{memchr, memchr_iter, memrchr};

use crate::error::Result;
use crate::io::{Compression, InputFile, Location, open_stream};
use crate::memory::Reservation;
use crate::scan::chunks::{Chunk, ChunkReader};
use crate::scan::json::settings::Layout;

/// Bytes asked for at a time.
const READ_BYTES: usize = 256 << 10;
/// Bytes asked for at a time behind the end of a range, where only one line's rest is wanted.
const TAIL_BYTES: usize = 8 << 10;

/// Which bytes of which file.
#[derive(Debug, Clone)]
pub(super) struct Portion {
    pub(super) path: Location,
    pub(super) compression: Compression,
    /// `None`: found out from the first bytes.
    pub(super) layout: Option<Layout>,
    /// Only lines that start in this range; an uncompressed file of lines only.
    pub(super) range: Option<Range<u64>>,
}

impl Portion {
    /// The bytes of the file that reading it mostly needs.
    pub(super) fn expected(&self) -> Range<u64> {
        match &self.range {
            Some(range) => range.start.saturating_sub(1)..range.end.saturating_add(TAIL_BYTES as u64),
            None => 0..u64::MAX,
        }
    }
}

/// Where bytes come from.
enum Source {
    Range {
        file: InputFile,
        next: u64,
        end: u64,
    },
    Stream(Box<dyn Read + Send>),
    /// The window is the chunk.
    Chunks {
        reader: ChunkReader,
        chunk: Option<Chunk>,
        /// Where the first chunk of the file begins.
        first: u64,
        /// Whether the file ends with the chunks that were read.
        ends: bool,
    },
}

/// See the module.
pub(super) struct Input {
    source: Source,
    buffer: Vec<u8>,
    /// The unread part of the window.
    unread: Range<usize>,
    /// Where the unread part starts, in (inflated) bytes of the file.
    offset: u64,
    /// Line ends between the portion's start and the unread part.
    lines: u64,
    at_end: bool,
    reservation: Option<Reservation>,
}

impl Input {
    /// Opens `portion` and goes to its first record.
    pub(super) fn open(portion: &Portion, mut reservation: Option<Reservation>) -> Result<Self> {
        if let Some(reservation) = &mut reservation {
            reservation.grow(READ_BYTES)?;
        }
        let source = match &portion.range {
            Some(range) => {
                let file = InputFile::open(&portion.path)?;
                file.expect(portion.expected());
                Source::Range { file, next: range.start, end: range.end }
            }
            None => Source::Stream(open_stream(&portion.path, portion.compression)?),
        };
        let start = portion.range.as_ref().map_or(0, |range| range.start);
        let mut input = Input {
            source,
            buffer: vec![0; READ_BYTES],
            unread: 0..0,
            offset: start,
            lines: 0,
            at_end: false,
            reservation,
        };
        if start > 0 {
            input.skip_to_line_start(start)?
        } else {
            input.skip_byte_order_mark()?
        }
        Ok(input)
    }

    /// One split of a stream that several share, whose text begins at `first`.
    pub(super) fn of_chunks(reader: ChunkReader, first: u64) -> Self {
        let source = Source::Chunks { reader, chunk: None, first, ends: false };
        let (buffer, unread, reservation) = (Vec::new(), 0..0, None);
        Input { source, buffer, unread, offset: 0, lines: 0, at_end: false, reservation }
    }

    /// Inflated bytes of the file before the unread part.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Line ends between the portion's start and the unread part.
    pub(super) fn lines(&self) -> u64 {
        self.lines
    }

    /// Whether the portion ends with the window.
    pub(super) fn is_at_end(&self) -> bool {
        self.at_end
    }

    /// Whether no record that begins in the window goes on behind it.
    pub(super) fn ends_with_record(&self) -> bool {
        self.at_end || matches!(self.source, Source::Chunks { .. })
    }

    /// Whether others read what stands before the window.
    pub(super) fn is_behind_others(&self) -> bool {
        matches!(&self.source, Source::Chunks { first, .. } if self.offset > *first)
    }

    /// Whether others read what stands behind the portion, once it is at its end.
    pub(super) fn is_before_others(&self) -> bool {
        matches!(&self.source, Source::Chunks { ends: false, .. })
    }

    fn window(&self) -> &[u8] {
        match &self.source {
            Source::Chunks { chunk, .. } => chunk.as_deref().unwrap_or_default(),
            _ => &self.buffer,
        }
    }

    /// What is in the window and not consumed.
    pub(super) fn unread(&self) -> &[u8] {
        self.window().get(self.unread.clone()).unwrap_or_default()
    }

    /// The last `count` bytes that were consumed, as far as they are still in the window.
    pub(super) fn consumed(&self, count: usize) -> &[u8] {
        self.window().get(self.unread.start.saturating_sub(count)..self.unread.start).unwrap_or_default()
    }

    /// What stands on the same line before the last `count` bytes that were consumed.
    pub(super) fn line_before(&self, count: usize) -> &[u8] {
        let before = self.window().get(..self.unread.start.saturating_sub(count)).unwrap_or_default();
        memrchr(b'\n', before).and_then(|end| before.get(end + 1..)).unwrap_or(before)
    }

    /// Drops `count` unread bytes, counting lines.
    pub(super) fn consume(&mut self, count: usize) {
        let end = (self.unread.start + count).min(self.unread.end);
        let dropped = self.window().get(self.unread.start..end).unwrap_or_default();
        let (lines, bytes) = (memchr_iter(b'\n', dropped).count() as u64, dropped.len() as u64);
        self.lines += lines;
        self.offset += bytes;
        self.unread.start = end;
    }

    /// Brings more behind the unread part; false at the end of the portion.
    pub(super) fn fill(&mut self) -> Result<bool> {
        if self.at_end {
            return Ok(false);
        }
        if matches!(self.source, Source::Chunks { .. }) {
            return self.next_chunk();
        }
        if self.unread.start > 0 && (self.unread.is_empty() || self.unread.end == self.buffer.len()) {
            self.buffer.copy_within(self.unread.clone(), 0);
            self.unread = 0..self.unread.len();
        }
        if self.unread.end == self.buffer.len() {
            let more = self.buffer.len();
            if let Some(reservation) = &mut self.reservation {
                reservation.grow(more)?;
            }
            self.buffer.resize(self.buffer.len() + more, 0);
        }
        let room = self.buffer.get_mut(self.unread.end..).unwrap_or_default();
        let count = self.source.read(room)?;
        self.unread.end += count;
        self.at_end = count == 0;
        Ok(!self.at_end)
    }

    fn next_chunk(&mut self) -> Result<bool> {
        let Source::Chunks { reader, chunk, ends, .. } = &mut self.source else { return Ok(false) };
        if !self.unread.is_empty() {
            // A chunk ends with a record, but for the last one of a file.
            return Ok(false);
        }
        // The old one's memory is free before the new one's is asked for.
        *chunk = None;
        *chunk = reader.next()?;
        match chunk {
            Some(chunk) => {
                *ends = chunk.at_end;
                (self.unread, self.offset, self.lines) = (0..chunk.len(), chunk.offset, chunk.lines);
            }
            None => (self.unread, self.at_end) = (0..0, true),
        }
        Ok(!self.at_end)
    }

    fn skip_byte_order_mark(&mut self) -> Result<()> {
        while self.unread.len() < 3 && self.fill()? {}
        if self.unread().starts_with(BYTE_ORDER_MARK) {
            self.unread.start += BYTE_ORDER_MARK.len();
            self.offset += BYTE_ORDER_MARK.len() as u64;
        }
        Ok(())
    }

    /// Goes to the first line that starts at `start` or later: behind the first line end from `start - 1` on.
    fn skip_to_line_start(&mut self, start: u64) -> Result<()> {
        if let Source::Range { next, .. } = &mut self.source {
            *next = start - 1;
        }
        self.offset = start - 1;
        loop {
            if let Some(end) = memchr(b'\n', self.unread()) {
                self.consume(end + 1);
                break;
            }
            self.consume(self.unread.len());
            // Behind the range no line can be this split's.
            if self.is_over() || !self.fill()? {
                break;
            }
        }
        // Lines are counted from the split's first own line on.
        self.lines = 0;
        Ok(())
    }

    /// Whether the unread part starts behind the portion's range.
    pub(super) fn is_over(&self) -> bool {
        matches!(&self.source, Source::Range { end, .. } if self.offset >= *end)
    }

    /// How many of the unread bytes may be lines that start in the range: those that end before the last byte of it, and
    /// the one that holds this byte.
    fn last_of_range(&self) -> Option<usize> {
        match &self.source {
            Source::Range { end, .. } => usize::try_from((end - 1).saturating_sub(self.offset)).ok(),
            _ => None,
        }
    }

    /// How many bytes at the start of the unread part are whole lines of the portion: at least one, where there is one.
    /// `None` where a line has more than `longest` bytes.
    pub(super) fn whole_lines(&mut self, longest: usize) -> Result<Option<usize>> {
        if self.is_over() {
            return Ok(Some(0));
        }
        let mut searched = 0;
        loop {
            let unread = self.unread();
            let unseen = unread.get(searched..).unwrap_or_default();
            let found = match self.last_of_range() {
                Some(last) if last < unread.len() => {
                    let (before, behind) = unread.split_at(last);
                    let last = memchr(b'\n', behind).map(|end| last + end + 1);
                    last.or_else(|| memrchr(b'\n', before).map(|end| end + 1))
                }
                _ => memrchr(b'\n', unseen).map(|end| searched + end + 1),
            };
            if let Some(length) = found {
                return Ok(Some(length));
            }
            if unread.len() > longest {
                return Ok(None);
            }
            searched = unread.len();
            if !self.fill()? {
                return Ok(Some(self.unread.len()));
            }
        }
    }
}

/// What some programs put before UTF-8.
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

impl Source {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        match self {
            Source::Stream(stream) => Ok(stream.read(buffer)?),
            Source::Range { file, next, end } => {
                let rest = usize::try_from(end.saturating_sub(*next)).unwrap_or(usize::MAX);
                let size = rest.max(TAIL_BYTES).min(buffer.len());
                let count = file.read_at(*next, buffer.get_mut(..size).unwrap_or_default())?;
                *next += count as u64;
                Ok(count)
            }
            Source::Chunks { .. } => Ok(0),
        }
    }
}
