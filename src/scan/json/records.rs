//! Bytes into records: one JSON value each, by lines or by the elements of an array; for samples.
//!
//! Invariant: a record is never copied but once into the window.

use memchr::memchr;

use crate::error::{Code, Error, Result};
use crate::memory::Reservation;
use crate::scan::json::input::{Input, Portion};
use crate::scan::json::settings::{Layout, layout_of};

/// The records of a portion, one after the other.
pub(super) struct Records {
    input: Input,
    layout: Option<Layout>,
    maximum: usize,
    array: ArrayState,
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
    pub(super) fn open(portion: &Portion, maximum: usize, reservation: Option<Reservation>) -> Result<Self> {
        let input = Input::open(portion, reservation)?;
        Ok(Records { input, layout: portion.layout, maximum, array: ArrayState::Before })
    }

    /// Inflated bytes of the file before the next record.
    pub(super) fn offset(&self) -> u64 {
        self.input.offset()
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
            Layout::Values => self.next_value(),
        }
    }

    fn find_layout(&mut self) -> Result<Layout> {
        let layout = found_layout(&mut self.input)?;
        self.layout = Some(layout);
        Ok(layout)
    }

    fn next_line(&mut self) -> Result<Option<Record<'_>>, Broken> {
        loop {
            if self.input.is_over() {
                return Ok(None);
            }
            let mut searched = 0;
            let length = loop {
                let found = memchr(b'\n', self.input.unread().get(searched..).unwrap_or_default());
                if let Some(found) = found {
                    break searched + found + 1;
                }
                searched = self.input.unread().len();
                self.check_size(searched)?;
                if !self.input.fill()? {
                    break self.input.unread().len();
                }
            };
            if length == 0 {
                return Ok(None);
            }
            self.check_size(length)?;
            let lines = self.input.lines();
            self.input.consume(length);
            if !self.input.consumed(length).trim_ascii().is_empty() {
                let bytes = self.input.consumed(length).trim_ascii_end();
                return Ok(Some(Record { bytes, lines, before: &[] }));
            }
        }
    }

    fn check_size(&self, bytes: usize) -> Result<(), Broken> {
        if bytes <= self.maximum {
            return Ok(());
        }
        Err(Broken { error: too_long(self.maximum), lines: Some(self.input.lines()) })
    }

    /// The next byte that is not white space; `None` at the end of the file.
    fn peek(&mut self) -> Result<Option<u8>> {
        loop {
            let blank = self.input.unread().iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            self.input.consume(blank);
            if let Some(byte) = self.input.unread().first() {
                return Ok(Some(*byte));
            }
            if !self.input.fill()? {
                return Ok(None);
            }
        }
    }

    fn next_value(&mut self) -> Result<Option<Record<'_>>, Broken> {
        match self.peek()? {
            Some(_) => self.element().map(Some),
            None => Ok(None),
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
                    self.input.consume(1);
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
            self.input.consume(1);
        }
    }

    fn unexpected(&self, wanted: &str, found: Option<u8>) -> Broken {
        let found = found.map(|_| self.input.unread());
        Broken { error: unexpected(wanted, found), lines: Some(self.input.lines()) }
    }

    /// The value that starts at the first unread byte.
    fn element(&mut self) -> Result<Record<'_>, Broken> {
        let mut scanner = ElementEnd::default();
        let mut scanned = 0;
        let length = loop {
            if let Some(end) = scanner.scan(self.input.unread().get(scanned..).unwrap_or_default()) {
                break scanned + end;
            }
            scanned = self.input.unread().len();
            self.check_size(scanned)?;
            if !self.input.fill()? {
                break scanned;
            }
        };
        // At least one byte, so that values which cannot begin so come to an end, too.
        let length = length.max(1);
        let lines = self.input.lines();
        self.input.consume(length);
        let bytes = self.input.consumed(length);
        Ok(Record { bytes, lines, before: self.input.line_before(bytes.len()) })
    }
}

/// The layout of what `input` begins with.
pub(super) fn found_layout(input: &mut Input) -> Result<Layout> {
    while input.unread().trim_ascii_start().is_empty() && input.fill()? {}
    Ok(layout_of(input.unread()))
}

/// The error for a value with more than `maximum` bytes.
pub(super) fn too_long(maximum: usize) -> Error {
    Error::new(Code::InvalidData, format!("a value has more than {maximum} bytes")).hint(
        "one value per line is expected; for larger ones set read_json(…, maximum_object_size => bytes), and for a file \
         that is one array format => 'array'",
    )
}

/// The error for bytes between values; `found` is `None` at the end of the file.
pub(super) fn unexpected(wanted: &str, found: Option<&[u8]>) -> Error {
    let found = match found {
        None => "the end of the file".to_owned(),
        Some(bytes) => {
            let bytes = bytes.get(..80).unwrap_or(bytes);
            format!("'{}'", String::from_utf8_lossy(bytes).chars().take(20).collect::<String>())
        }
    };
    Error::new(Code::InvalidData, format!("expected {wanted}, found {found}"))
        .hint("a file that starts with '[' is read as one array; format => 'newline_delimited' reads lines")
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
