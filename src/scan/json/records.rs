//! Bytes into records: one JSON value each, by lines or by the elements of an array.
//!
//! Invariant: a record is never copied but once into the buffer; the buffer holds one read and the longest record, and
//! is reserved before it grows. A split of a file by bytes owns the lines that *start* in its range: raw line ends never
//! stand inside a JSON string, so this cuts every file right.

use std::io::Read;
use std::ops::Range;

use memchr::{memchr, memchr_iter, memrchr};

use crate::error::{Code, Error, Result};
use crate::io::{Compression, LocalFile, open_stream};
use crate::memory::Reservation;
use crate::scan::json::settings::{Layout, layout_of};

/// Bytes asked for at a time.
const READ_BYTES: usize = 256 << 10;
/// Bytes asked for at a time behind the end of a range, where only one line's rest is wanted.
const TAIL_BYTES: usize = 8 << 10;

/// Which bytes of which file.
#[derive(Debug, Clone)]
pub(super) struct Portion {
    pub(super) path: String,
    pub(super) compression: Compression,
    /// `None`: found out from the first bytes.
    pub(super) layout: Option<Layout>,
    /// Only lines that start in this range; an uncompressed file of lines only.
    pub(super) range: Option<Range<u64>>,
}

/// The records of a portion, one after the other.
pub(super) struct Records {
    input: Input,
    layout: Option<Layout>,
    buffer: Vec<u8>,
    /// The unread part of the buffer.
    unread: Range<usize>,
    /// Where the unread part starts, in (inflated) bytes of the file.
    offset: u64,
    /// Line ends between the portion's start and the unread part.
    lines: u64,
    at_end: bool,
    maximum: usize,
    array: ArrayState,
    reservation: Option<Reservation>,
}

/// Where a reader of an array stands between two elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ArrayState {
    /// Before `[`.
    Before,
    /// Behind `[`.
    First,
    /// Behind an element.
    Behind,
    /// Behind `]`.
    After,
}

/// One record: its bytes and its place.
#[derive(Debug)]
pub(super) struct Record<'a> {
    pub(super) bytes: &'a [u8],
    /// Lines between the portion's start and the record.
    pub(super) lines: u64,
    /// The bytes of the record's first line before the record.
    pub(super) before: &'a [u8],
}

/// What went wrong between records: in words, and where.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) error: Error,
    /// Lines between the portion's start and the place; `None` when the place is no matter.
    pub(super) lines: Option<u64>,
}

impl From<Error> for Broken {
    fn from(error: Error) -> Self {
        Broken { error, lines: None }
    }
}

impl Records {
    /// Opens `portion`; records longer than `maximum` bytes are refused.
    pub(super) fn open(portion: &Portion, maximum: usize, mut reservation: Option<Reservation>) -> Result<Self> {
        if let Some(reservation) = &mut reservation {
            reservation.grow(READ_BYTES)?;
        }
        let input = match &portion.range {
            Some(range) => Input::Range { file: LocalFile::open(&portion.path)?, next: range.start, end: range.end },
            None => Input::Stream(open_stream(&portion.path, portion.compression)?),
        };
        let mut records = Records {
            input,
            layout: portion.layout,
            buffer: vec![0; READ_BYTES],
            unread: 0..0,
            offset: portion.range.as_ref().map_or(0, |range| range.start),
            lines: 0,
            at_end: false,
            maximum,
            array: ArrayState::Before,
            reservation,
        };
        match &portion.range {
            Some(range) if range.start > 0 => records.skip_to_line_start(range.start)?,
            _ => records.skip_byte_order_mark()?,
        }
        Ok(records)
    }

    /// Inflated bytes of the file before the next record.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The next record, or `None` behind the last.
    pub(super) fn next(&mut self) -> Result<Option<Record<'_>>, Broken> {
        let layout = match self.layout {
            Some(layout) => layout,
            None => self.find_layout()?,
        };
        match layout {
            Layout::Lines => self.next_line(),
            Layout::Array => self.next_element(),
        }
    }

    fn find_layout(&mut self) -> Result<Layout> {
        while self.unread().trim_ascii_start().is_empty() && self.fill()? {}
        let layout = layout_of(self.unread());
        self.layout = Some(layout);
        Ok(layout)
    }

    fn unread(&self) -> &[u8] {
        self.buffer.get(self.unread.clone()).unwrap_or_default()
    }

    /// Drops `count` unread bytes, counting lines.
    fn consume(&mut self, count: usize) {
        let end = (self.unread.start + count).min(self.unread.end);
        let dropped = self.buffer.get(self.unread.start..end).unwrap_or_default();
        self.lines += memchr_iter(b'\n', dropped).count() as u64;
        self.offset += dropped.len() as u64;
        self.unread.start = end;
    }

    /// Reads more behind the unread part; false at the end of the file.
    fn fill(&mut self) -> Result<bool> {
        if self.at_end {
            return Ok(false);
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
        let count = self.input.read(room)?;
        self.unread.end += count;
        self.at_end = count == 0;
        Ok(!self.at_end)
    }

    fn skip_byte_order_mark(&mut self) -> Result<()> {
        while self.unread.len() < 3 && self.fill()? {}
        if self.unread().starts_with(b"\xef\xbb\xbf") {
            self.unread.start += 3;
            self.offset += 3;
        }
        Ok(())
    }

    /// Goes to the first line that starts at `start` or later: behind the first line end from `start - 1` on.
    fn skip_to_line_start(&mut self, start: u64) -> Result<()> {
        if let Input::Range { next, .. } = &mut self.input {
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
            let is_over = matches!(&self.input, Input::Range { end, .. } if self.offset >= *end);
            if is_over || !self.fill()? {
                break;
            }
        }
        // Lines are counted from the split's first own line on.
        self.lines = 0;
        Ok(())
    }

    fn next_line(&mut self) -> Result<Option<Record<'_>>, Broken> {
        loop {
            if let Input::Range { end, .. } = &self.input
                && self.offset >= *end
            {
                return Ok(None);
            }
            let mut searched = 0;
            let length = loop {
                let found = memchr(b'\n', self.unread().get(searched..).unwrap_or_default());
                if let Some(found) = found {
                    break searched + found + 1;
                }
                searched = self.unread.len();
                self.check_size(searched)?;
                if !self.fill()? {
                    break self.unread.len();
                }
            };
            if length == 0 {
                return Ok(None);
            }
            self.check_size(length)?;
            let start = self.unread.start;
            let lines = self.lines;
            self.unread.start += length;
            self.offset += length as u64;
            self.lines += 1;
            if self.buffer.get(start..start + length).is_some_and(|line| !line.trim_ascii().is_empty()) {
                let bytes = self.buffer.get(start..start + length).unwrap_or_default();
                return Ok(Some(Record { bytes: bytes.trim_ascii_end(), lines, before: &[] }));
            }
        }
    }

    fn check_size(&self, bytes: usize) -> Result<(), Broken> {
        if bytes <= self.maximum {
            return Ok(());
        }
        let message = format!("a value has more than {} bytes", self.maximum);
        let error = Error::new(Code::InvalidData, message).hint(
            "one value per line is expected; for larger ones set read_json(…, maximum_object_size => bytes), and for a \
             file that is one array format => 'array'",
        );
        Err(Broken { error, lines: Some(self.lines) })
    }

    /// The next byte that is not white space; `None` at the end of the file.
    fn peek(&mut self) -> Result<Option<u8>> {
        loop {
            let blank = self.unread().iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            self.consume(blank);
            if let Some(byte) = self.unread().first() {
                return Ok(Some(*byte));
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    fn next_element(&mut self) -> Result<Option<Record<'_>>, Broken> {
        loop {
            let found = self.peek()?;
            self.array = match (self.array, found) {
                (ArrayState::Before, Some(b'[')) => ArrayState::First,
                (ArrayState::Before | ArrayState::After, None) => return Ok(None),
                (ArrayState::First | ArrayState::Behind, Some(b']')) => ArrayState::After,
                (ArrayState::First, Some(byte)) if byte != b',' => {
                    self.array = ArrayState::Behind;
                    return self.element().map(Some);
                }
                (ArrayState::Behind, Some(b',')) => {
                    self.consume(1);
                    return match self.peek()? {
                        Some(byte) if !matches!(byte, b',' | b']') => self.element().map(Some),
                        found => Err(self.unexpected("an element of the array behind ','", found)),
                    };
                }
                (ArrayState::Before, found) => return Err(self.unexpected("'[' at the start of the file", found)),
                (ArrayState::First, found) => return Err(self.unexpected("an element of the array or ']'", found)),
                (ArrayState::Behind, found) => {
                    return Err(self.unexpected("',' or ']' behind an element of the array", found));
                }
                (ArrayState::After, found) => {
                    return Err(self.unexpected("nothing behind the end of the array", found));
                }
            };
            self.consume(1);
        }
    }

    fn unexpected(&self, wanted: &str, found: Option<u8>) -> Broken {
        let found = match found {
            None => "the end of the file".to_owned(),
            Some(_) => format!("'{}'", String::from_utf8_lossy(self.unread()).chars().take(20).collect::<String>()),
        };
        let error = Error::new(Code::InvalidData, format!("expected {wanted}, found {found}"))
            .hint("a file that starts with '[' is read as one array; format => 'newline_delimited' reads lines");
        Broken { error, lines: Some(self.lines) }
    }

    /// The value that starts at the first unread byte.
    fn element(&mut self) -> Result<Record<'_>, Broken> {
        let mut scanner = ElementEnd::default();
        let mut scanned = 0;
        let length = loop {
            if let Some(end) = scanner.scan(self.unread().get(scanned..).unwrap_or_default()) {
                break scanned + end;
            }
            scanned = self.unread.len();
            self.check_size(scanned)?;
            if !self.fill()? {
                break scanned;
            }
        };
        let (start, lines) = (self.unread.start, self.lines);
        self.consume(length);
        let bytes = self.buffer.get(start..start + length).unwrap_or_default();
        let before = self.buffer.get(..start).unwrap_or_default();
        let before = memrchr(b'\n', before).and_then(|end| before.get(end + 1..)).unwrap_or(before);
        Ok(Record { bytes, lines, before })
    }
}

/// Finds where a value ends without understanding it.
#[derive(Debug, Default)]
struct ElementEnd {
    depth: usize,
    in_string: bool,
    escaped: bool,
    started: bool,
}

impl ElementEnd {
    /// The number of bytes that still belong to the value, once its end is seen.
    fn scan(&mut self, bytes: &[u8]) -> Option<usize> {
        for (index, byte) in bytes.iter().enumerate() {
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                if !self.in_string && self.depth == 0 {
                    return Some(index + 1);
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' if self.depth == 0 => return Some(index),
                b'}' | b']' => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return Some(index + 1);
                    }
                }
                b',' if self.depth == 0 => return Some(index),
                byte if self.depth == 0 && self.started && byte.is_ascii_whitespace() => return Some(index),
                _ => {}
            }
            self.started = true;
        }
        None
    }
}

/// Where bytes come from.
enum Input {
    Range { file: LocalFile, next: u64, end: u64 },
    Stream(Box<dyn Read + Send>),
}

impl Input {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        match self {
            Input::Stream(stream) => Ok(stream.read(buffer)?),
            Input::Range { file, next, end } => {
                let rest = usize::try_from(end.saturating_sub(*next)).unwrap_or(usize::MAX);
                let size = rest.max(TAIL_BYTES).min(buffer.len());
                let count = file.read_at(*next, buffer.get_mut(..size).unwrap_or_default())?;
                *next += count as u64;
                Ok(count)
            }
        }
    }
}
