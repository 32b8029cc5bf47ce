//! Record after record of one portion of a file, straight into columns.
//!
//! The text is taken in tiles: whole lines, or, where line ends mean nothing, as much as there is. The tokens of a tile
//! are found at once and then walked over. A tile ends before the first line with a flaw in a string.
//!
//! Invariant: every record of the portion is one row, an error, or, with `ignore_errors`, a line that is left out.

use std::str::Utf8Error;

use memchr::{memchr, memchr_iter, memrchr};

use crate::error::{Error, Result};
use crate::memory::Reservation;
use crate::scan::json::column::Row;
use crate::scan::json::fault::{Misfit, misfit_error, refused_record};
use crate::scan::json::input::Input;
use crate::scan::json::parse::{lone_value, record};
use crate::scan::json::records::{Broken, Record, found_layout, too_long, unexpected};
use crate::scan::json::settings::{Layout, Settings};
use crate::scan::json::structure::Tokens;
use crate::scan::json::walk::{Cursor, Trouble};

/// Bytes of a tile, unless a record has more. Tests read many.
const TILE_BYTES: usize = if cfg!(test) { 256 } else { 64 << 10 };

/// See the module.
pub(super) struct Reader {
    input: Input,
    layout: Option<Layout>,
    tokens: Tokens,
    tile: Tile,
    /// Bytes that a tile may have where line ends mean nothing.
    goal: usize,
    place: Place,
    /// No value is left.
    finished: bool,
    /// Bytes that one record may have.
    longest: usize,
    ignore_errors: bool,
    /// Columns whose types rest on a sample.
    unproven: Vec<String>,
    /// Whether records are objects whose keys are columns.
    unpacks: bool,
    /// What the tokens take.
    memory: Reservation,
}

/// The text whose tokens are known: the first bytes of the input's unread part.
#[derive(Debug, Default)]
struct Tile {
    bytes: usize,
    /// Index of the next token.
    next: usize,
    /// Bytes of values that were read whole, where line ends mean nothing.
    begun: usize,
    /// Where a string is flawed.
    flaw: Option<usize>,
}

/// Where a reader of an array stands between two elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Before,
    /// Behind `[`.
    First,
    /// Behind an element.
    Behind,
    /// Behind `]`.
    After,
}

/// What stands at the cursor.
enum Found {
    Record,
    /// A bracket of the array; it was taken.
    Bracket,
    /// The end of the tile.
    End,
    /// Something other than was expected.
    Wrong(usize, &'static str),
}

impl Reader {
    /// Reads the records of `input`.
    pub(super) fn new(input: Input, layout: Option<Layout>, settings: &Settings, memory: Reservation) -> Self {
        let (tokens, tile, place) = (Tokens::new(), Tile::default(), Place::Before);
        let (goal, finished) = (TILE_BYTES, false);
        let (longest, ignore_errors) = (settings.maximum_object_bytes, settings.ignore_errors);
        let unpacks = settings.records;
        let unproven = settings.unproven.clone();
        Reader { input, layout, tokens, tile, goal, place, finished, longest, ignore_errors, unproven, unpacks, memory }
    }

    /// Appends rows to `row` until it has `wanted` rows, or records of `most` bytes were read; gives the number of rows.
    /// Fewer than `wanted` rows of fewer bytes only at the end.
    pub(super) fn read(&mut self, row: &mut Row, wanted: usize, most: usize) -> Result<usize, Broken> {
        let (mut bytes, mut rows) = (0, 0);
        while rows < wanted && (rows == 0 || bytes < most) {
            if self.tile.next >= self.tokens.get().len() {
                if !self.next_tile()? {
                    break;
                }
                bytes += self.tile.bytes;
            }
            rows = match self.layout {
                Some(Layout::Array | Layout::Values) => self.read_values(row, rows, wanted)?,
                _ => self.read_lines(row, rows, wanted)?,
            };
        }
        Ok(rows)
    }

    /// Finds the tokens of the next tile; false behind the last.
    fn next_tile(&mut self) -> Result<bool, Broken> {
        let layout = match self.layout {
            Some(layout) => layout,
            None => found_layout(&mut self.input)?,
        };
        self.layout = Some(layout);
        match layout {
            Layout::Lines => self.next_lines(),
            Layout::Array | Layout::Values => self.next_values(),
        }
    }

    /// Finds the tokens of the first `bytes` unread bytes.
    fn find_tokens(&mut self, bytes: usize, lines: bool) -> Result<()> {
        // Of a large record the columns hold as much again, beyond what a batch is expected to.
        let needed = if bytes > TILE_BYTES { bytes * 3 } else { bytes };
        if needed > self.memory.bytes() {
            self.memory.grow(needed - self.memory.bytes())?;
        }
        let text = self.input.unread().get(..bytes).unwrap_or_default();
        let flaw = self.tokens.find(text, lines);
        let invalid = std::str::from_utf8(text).err();
        // A character may go on behind the tile.
        let is_all = self.input.ends_with_record() && bytes == self.input.unread().len();
        let goes_on = |error: &Utf8Error| error.error_len().is_none() && !lines && !is_all;
        let invalid = invalid.filter(|error| !goes_on(error)).map(|error| error.valid_up_to());
        let flaw = flaw.into_iter().chain(invalid).min();
        if let Some(flaw) = flaw {
            self.tokens.cut(flaw);
        }
        self.tile = Tile { bytes, next: 0, begun: 0, flaw };
        Ok(())
    }

    fn broken(&self, error: Error, at: usize) -> Broken {
        let before = self.input.unread().get(..at).unwrap_or_default();
        Broken { error, lines: Some(self.input.lines() + memchr_iter(b'\n', before).count() as u64) }
    }
}

/// The value at the cursor as row number `rows`.
#[inline]
fn next_record(cursor: &mut Cursor, row: &mut Row, rows: usize, unpacks: bool) -> Result<(), Trouble> {
    if unpacks { record(cursor, row, rows) } else { lone_value(cursor, row) }
}

/// Lines.
impl Reader {
    fn next_lines(&mut self) -> Result<bool, Broken> {
        loop {
            self.input.consume(self.tile.bytes);
            self.tile = Tile::default();
            let Some(whole) = self.input.whole_lines(self.longest)? else {
                return Err(self.broken(too_long(self.longest), 0));
            };
            if whole == 0 {
                self.tokens.clear();
                return Ok(false);
            }
            let bytes = self.tile_of_lines(whole);
            if bytes > self.longest && memchr(b'\n', self.input.unread()).is_none_or(|end| end + 1 >= bytes) {
                return Err(self.broken(too_long(self.longest), 0));
            }
            self.find_tokens(bytes, true)?;
            let Some(flaw) = self.tile.flaw else { return Ok(true) };
            let text = self.input.unread();
            let line = text.get(..flaw).and_then(|before| memrchr(b'\n', before)).map_or(0, |end| end + 1);
            if line > 0 {
                // The line with the flaw begins the next tile.
                self.tile = Tile { bytes: line, ..Tile::default() };
                self.tokens.cut(line);
                return Ok(true);
            }
            let end = memchr(b'\n', text).map_or(bytes, |end| end + 1);
            if !self.ignore_errors {
                return Err(self.refused(0, end, flaw));
            }
            self.tile = Tile { bytes: end, ..Tile::default() };
        }
    }

    /// As many of the first `whole` bytes, which are whole lines, as one tile has.
    fn tile_of_lines(&self, whole: usize) -> usize {
        if whole <= TILE_BYTES {
            return whole;
        }
        let text = self.input.unread().get(..whole).unwrap_or_default();
        let (near, far) = text.split_at(TILE_BYTES.min(text.len()));
        match memrchr(b'\n', near) {
            Some(end) => end + 1,
            None => memchr(b'\n', far).map_or(whole, |end| near.len() + end + 1),
        }
    }

    fn read_lines(&mut self, row: &mut Row, mut rows: usize, wanted: usize) -> Result<usize, Broken> {
        let text = self.input.unread().get(..self.tile.bytes).unwrap_or_default();
        let mut cursor = Cursor::new(text, self.tokens.get(), self.tile.next);
        let mut troubled = None;
        while rows < wanted {
            match cursor.peek() {
                None => break,
                Some((_, b'\n')) => {
                    cursor.next += 1;
                    continue;
                }
                Some(_) => {}
            }
            let first = cursor.next;
            let read = next_record(&mut cursor, row, rows, self.unpacks).and_then(|()| match cursor.peek() {
                None | Some((_, b'\n')) => Ok(()),
                Some((at, _)) => Err(Trouble::Syntax(at)),
            });
            match read {
                Ok(()) => rows += 1,
                Err(trouble) => {
                    row.truncate(rows);
                    let start = cursor.place_of(first);
                    let start = memrchr(b'\n', &text[..start]).map_or(0, |end| end + 1);
                    let length = memchr(b'\n', &text[start..]).map_or(text.len() - start, |end| end + 1);
                    if !self.ignore_errors || self.is_of_inferred_type(&trouble) {
                        troubled = Some((trouble, start, start + length));
                        break;
                    }
                    // What quotes the line has may have hidden its end: the rest is looked at anew.
                    self.tile.bytes = start + length;
                    cursor.next = self.tokens.get().len();
                }
            }
        }
        self.tile.next = cursor.next;
        match troubled {
            Some((trouble, start, end)) => Err(self.trouble(trouble, start, end)),
            None => Ok(rows),
        }
    }

    /// Whether the fault lies with the sample from which the column has its type.
    fn is_of_inferred_type(&self, trouble: &Trouble) -> bool {
        matches!(trouble, Trouble::Misfit(misfit, _) if self.rests_on_sample(misfit))
    }

    fn rests_on_sample(&self, misfit: &Misfit) -> bool {
        if misfit.is_new_key {
            return true;
        }
        match misfit.path.last() {
            Some(key) if self.unpacks => self.unproven.contains(key),
            _ => !self.unproven.is_empty(),
        }
    }

    /// The error for the record between `start` and `end` of the unread part.
    fn trouble(&self, trouble: Trouble, start: usize, end: usize) -> Broken {
        match trouble {
            Trouble::Misfit(misfit, at) => {
                let is_of_inferred_type = self.rests_on_sample(&misfit);
                let (error, lines) =
                    misfit_error(&self.record(start, end), &misfit, !is_of_inferred_type, at.saturating_sub(start));
                let error = if is_of_inferred_type { error.of_inferred_type() } else { error };
                Broken { error, lines: Some(lines) }
            }
            Trouble::Syntax(at) => self.refused(start, end, at),
            Trouble::End => self.refused(start, end, end),
        }
    }

    /// The error for the record between `start` and `end` that is no JSON from `at` on.
    fn refused(&self, start: usize, end: usize, at: usize) -> Broken {
        let (error, lines) = refused_record(&self.record(start, end), at.saturating_sub(start));
        Broken { error, lines: Some(lines) }
    }

    fn record(&self, start: usize, end: usize) -> Record<'_> {
        let text = self.input.unread();
        let bytes = text.get(start..end).unwrap_or_default().trim_ascii_end();
        let before = text.get(..start).unwrap_or_default();
        let lines = self.input.lines() + memchr_iter(b'\n', before).count() as u64;
        let on_line = memrchr(b'\n', before).and_then(|end| before.get(end + 1..));
        Record { bytes, lines, before: on_line.unwrap_or_else(|| self.input.line_before(0)) }
    }
}

/// Values one after the other, or the elements of an array.
impl Reader {
    fn next_values(&mut self) -> Result<bool, Broken> {
        self.input.consume(self.tile.begun);
        self.tile = Tile::default();
        if self.finished {
            self.tokens.clear();
            return Ok(false);
        }
        while self.input.unread().len() < self.goal && self.input.fill()? {}
        if self.place == Place::Before && self.input.is_behind_others() {
            self.place = Place::Behind;
        }
        self.find_tokens(self.input.unread().len().min(self.goal), false)?;
        Ok(true)
    }

    fn read_values(&mut self, row: &mut Row, mut rows: usize, wanted: usize) -> Result<usize, Broken> {
        let text = self.input.unread().get(..self.tile.bytes).unwrap_or_default();
        let mut cursor = Cursor::new(text, self.tokens.get(), self.tile.next);
        let mut begun = self.tile.begun;
        let mut outcome = Outcome::Full;
        while rows < wanted {
            let resume = cursor;
            match between(&mut cursor, &mut self.place, self.layout) {
                Found::Bracket => {
                    begun = cursor.end();
                    continue;
                }
                Found::Record => {}
                Found::End => {
                    outcome = Outcome::Out(resume.peek().map(|(at, _)| at));
                    break;
                }
                Found::Wrong(at, wanted) => {
                    outcome = Outcome::Wrong(at, wanted);
                    break;
                }
            }
            let start = cursor.peek().map_or(0, |(at, _)| at);
            match next_record(&mut cursor, row, rows, self.unpacks) {
                Ok(()) => {
                    (rows, self.place) = (rows + 1, Place::Behind);
                    begun = cursor.end();
                }
                Err(trouble) => {
                    row.truncate(rows);
                    outcome = match trouble {
                        Trouble::End => Outcome::Out(Some(start)),
                        trouble => Outcome::Trouble(trouble, start),
                    };
                    break;
                }
            }
        }
        (self.tile.next, self.tile.begun) = (cursor.next, begun);
        match outcome {
            Outcome::Full => Ok(rows),
            Outcome::Out(pending) => self.out_of_text(pending).map(|()| rows),
            Outcome::Trouble(trouble, start) => Err(self.trouble(trouble, start, self.tile.bytes)),
            Outcome::Wrong(at, wanted) => Err(self.broken(unexpected(wanted, self.input.unread().get(at..)), at)),
        }
    }

    /// The tile's text ends within a value or a separator that starts at `pending`, or between two.
    fn out_of_text(&mut self, pending: Option<usize>) -> Result<(), Broken> {
        self.tile.next = self.tokens.get().len();
        if let Some(flaw) = self.tile.flaw {
            return Err(self.refused(pending.unwrap_or(flaw), self.tile.bytes, flaw));
        }
        if pending.is_none() {
            self.tile.begun = self.tile.bytes;
        }
        let ends = if pending.is_some() { self.input.ends_with_record() } else { self.input.is_at_end() };
        let is_all = ends && self.tile.bytes == self.input.unread().len();
        if !is_all {
            // The next tile begins with what is pending, and is larger where that is all there was.
            self.goal = if self.tile.begun == 0 { self.goal * 2 } else { TILE_BYTES };
            let is_too_long = self.goal > self.longest.saturating_mul(2).max(TILE_BYTES);
            return if is_too_long { Err(self.broken(too_long(self.longest), 0)) } else { Ok(()) };
        }
        let is_open = self.layout == Some(Layout::Array)
            && matches!(self.place, Place::First | Place::Behind)
            && !self.input.is_before_others();
        match pending.map(|at| (at, self.input.unread().get(at))) {
            Some((at, Some(b','))) if is_open => {
                Err(self.broken(unexpected("an element of the array behind ','", None), at))
            }
            Some((at, _)) => Err(self.refused(at, self.tile.bytes, self.tile.bytes)),
            None if is_open => {
                let error = unexpected("',' or ']' behind an element of the array", None);
                Err(self.broken(error, self.tile.bytes))
            }
            None => {
                self.finished = true;
                Ok(())
            }
        }
    }
}

/// Why reading a tile of values stopped.
enum Outcome {
    /// There are as many rows as were wanted.
    Full,
    /// The text ends, within what starts at that place or between two values.
    Out(Option<usize>),
    Trouble(Trouble, usize),
    Wrong(usize, &'static str),
}

/// Goes over what stands before the next value.
fn between(cursor: &mut Cursor, place: &mut Place, layout: Option<Layout>) -> Found {
    let Some((at, byte)) = cursor.peek() else { return Found::End };
    if layout != Some(Layout::Array) {
        return Found::Record;
    }
    *place = match (*place, byte) {
        (Place::Before, b'[') => Place::First,
        (Place::First | Place::Behind, b']') => Place::After,
        (Place::First, byte) if byte != b',' => return Found::Record,
        (Place::Behind, b',') => {
            cursor.next += 1;
            return match cursor.peek() {
                None => {
                    cursor.next -= 1;
                    Found::End
                }
                Some((at, b',' | b']')) => Found::Wrong(at, "an element of the array behind ','"),
                Some(_) => Found::Record,
            };
        }
        (Place::Before, _) => return Found::Wrong(at, "'[' at the start of the file"),
        (Place::First, _) => return Found::Wrong(at, "an element of the array or ']'"),
        (Place::Behind, _) => return Found::Wrong(at, "',' or ']' behind an element of the array"),
        (Place::After, _) => return Found::Wrong(at, "nothing behind the end of the array"),
    };
    cursor.next += 1;
    Found::Bracket
}
