//! Record after record of one split: a window, a tokenizer over it, and errors that say where.
//!
//! Invariant: a record belongs to the split in which it starts; the reader stops before the first record that starts
//! at or behind `stop`.

use std::ops::Range;

use memchr::{memchr, memrchr};

use crate::error::{Code, Error, Result};
use crate::scan::csv::dialect::Dialect;
use crate::scan::csv::rejects::{Reject, kind_of};
use crate::scan::csv::tokenize::{BadRecord, Bounds, Field, FirstRecord, Flaw, Rules, Tile, Tokenizer};
use crate::scan::csv::window::Window;
use crate::scan::fault::shown;

/// See the module.
pub struct Records {
    window: Window,
    tokenizer: Tokenizer,
    /// Place in the file.
    stop: u64,
    tile: Tile,
    /// Passes over bad records instead of failing.
    ignore_errors: bool,
    /// Columns that every record must have, for the error.
    columns: usize,
    /// Bad records that were passed over, where somebody wants to know them.
    passed: Option<Vec<Reject>>,
}

impl Records {
    /// Reads the records that start before `stop`, from where the window stands.
    pub fn new(window: Window, tokenizer: Tokenizer, stop: u64, columns: usize, ignore_errors: bool) -> Self {
        Records { window, tokenizer, stop, tile: Tile::default(), ignore_errors, columns, passed: None }
    }

    /// Remembers the bad records that are passed over.
    #[must_use]
    pub fn remembering(self) -> Self {
        Records { passed: Some(Vec::new()), ..self }
    }

    /// The bad records that were passed over since it was last asked.
    pub fn take_passed(&mut self) -> Vec<Reject> {
        self.passed.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Reads at most `max_rows` records, mostly at least one; none where many bad ones are passed over. False after
    /// the last.
    ///
    /// # Errors
    /// What reading finds, and bad records unless they are ignored.
    pub fn next(&mut self, max_rows: usize) -> Result<bool> {
        loop {
            let window = &mut self.window;
            let stop = usize::try_from(self.stop.saturating_sub(window.position())).unwrap_or(usize::MAX);
            let bounds = Bounds { from: window.begin(), stop, max_rows, at_end: window.at_end() };
            self.tokenizer.read(window.data(), bounds, &mut self.tile);
            window.consume_to(self.tile.consumed);
            if let Some(bad) = self.tile.bad.filter(|_| !self.ignore_errors) {
                return Err(self.bad_record(bad));
            }
            if let (Some(bad), true) = (self.tile.bad, self.passed.is_some()) {
                let reject = self.passed_over(bad)?;
                self.passed.get_or_insert_default().push(reject);
            }
            if self.tile.rows > 0 {
                return Ok(true);
            }
            let window = &mut self.window;
            let finished = window.begin() >= stop || (window.at_end() && window.begin() >= window.data().len());
            if finished {
                return Ok(false);
            }
            let (start, pending) = (window.begin(), window.data().len() - window.begin());
            if self.tile.incomplete && pending > self.tokenizer.longest() && !self.ignore_errors {
                let flaw = Flaw::Size(pending);
                return Err(self.bad_record(BadRecord { start, end: start + pending, at: start, flaw }));
            }
            if self.tile.incomplete || window.begin() >= window.data().len() {
                if window.at_end() {
                    return Err(Error::internal(format!(
                        "csv: an unfinished record at the end of '{}'",
                        window.path()
                    )));
                }
                window.fill()?;
                if self.ignore_errors {
                    // Bad records may go on for long: the caller looks whether it is cancelled.
                    return Ok(true);
                }
            }
        }
    }

    /// The window's bytes, into which the fields point.
    pub fn data(&self) -> &[u8] {
        self.window.data()
    }

    /// The dialect of the records.
    pub fn dialect(&self) -> &Dialect {
        self.tokenizer.dialect()
    }

    /// The records that `next` has read.
    pub fn tile(&self) -> &Tile {
        &self.tile
    }

    /// Where the next record would start, as a place in the file.
    pub fn place(&self) -> u64 {
        self.window.position() + self.window.begin() as u64
    }

    /// `'path' line n, byte m` for something in the window.
    pub fn location(&self, at: usize) -> String {
        let (path, byte) = (self.window.path(), self.window.position() + at as u64);
        match self.window.line_of(at) {
            Ok(line) => format!("'{path}' line {line}, byte {byte}"),
            Err(_) => format!("'{path}' byte {byte}"),
        }
    }

    /// The line in which something in the window lies, for an error message.
    pub fn line_around(&self, at: usize) -> String {
        let (data, newline) = (self.data(), self.dialect().newline);
        let start = memrchr(newline, data.get(..at).unwrap_or_default()).map_or(0, |before| before + 1);
        let end = memchr(newline, data.get(at..).unwrap_or_default()).map_or(data.len(), |length| at + length);
        shown(data.get(start..end).unwrap_or_default().trim_ascii_end())
    }

    /// The text of a field for an error message.
    pub fn shown(&self, field: Field) -> String {
        shown(self.data().get(field.start()..field.end()).unwrap_or_default())
    }

    /// A place in the window as one in the file, from 0.
    pub fn place_of(&self, at: usize) -> u64 {
        self.window.position() + at as u64
    }

    /// The line of something in the window, from 1.
    ///
    /// # Errors
    /// What reading finds.
    pub fn line_of(&self, at: usize) -> Result<u64> {
        self.window.line_of(at)
    }

    /// Where the records of the last tile lie in the window.
    pub fn ranges(&self) -> Vec<Range<usize>> {
        let tokenizer = self.tokenizer.keeping_none();
        let (mut ranges, mut at) = (Vec::with_capacity(self.tile.rows), self.tile.started);
        while ranges.len() < self.tile.rows {
            match tokenizer.first_record(self.data(), at, self.window.at_end()) {
                FirstRecord::Found { fields, next } => {
                    let quoted = |field: &Field| usize::from(field.quoted());
                    ranges.push(fields.first().map_or(at, |first| first.start() - quoted(first))..next);
                    at = next;
                }
                _ => break,
            }
        }
        ranges
    }

    /// What stands in a range of the window, without the line end.
    pub fn text_of(&self, range: Range<usize>) -> String {
        String::from_utf8_lossy(self.data().get(range).unwrap_or_default().trim_ascii_end()).into_owned()
    }

    /// What is written down of a bad record.
    fn passed_over(&self, bad: BadRecord) -> Result<Reject> {
        let data = self.data();
        let text = data.get(bad.start..bad.end).unwrap_or_default();
        let at = match bad.flaw {
            Flaw::Columns(found) if found > self.columns => self.surplus(bad).unwrap_or(bad.at),
            Flaw::Columns(_) => bad.start + text.trim_ascii_end().len(),
            _ => bad.at,
        };
        let column = match bad.flaw {
            Flaw::Columns(found) if found > self.columns => Some(self.columns as u64 + 1),
            Flaw::Columns(found) => Some(found as u64),
            _ => None,
        };
        let (what, _) = self.described(bad);
        Ok(Reject {
            line: self.window.line_of(bad.start)?,
            record: self.place_of(bad.start),
            at: self.place_of(at),
            column,
            name: None,
            kind: kind_of(bad.flaw, self.columns),
            text: self.text_of(bad.start..bad.end),
            message: what,
        })
    }

    /// Where the first field begins that a record has too many.
    fn surplus(&self, bad: BadRecord) -> Option<usize> {
        let tokenizer = Tokenizer::of_any_width(*self.dialect(), Rules::default());
        let FirstRecord::Found { fields, .. } = tokenizer.first_record(self.data().get(..bad.end)?, bad.start, true)
        else {
            return None;
        };
        let field = fields.get(self.columns)?;
        let delimiter = 1 + self.dialect().tail.as_slice().len();
        field.start().checked_sub(delimiter + usize::from(field.quoted()))
    }

    fn bad_record(&self, bad: BadRecord) -> Error {
        let place = self.location(bad.start);
        let line = self.data().get(bad.start..bad.end).unwrap_or_default();
        let line = shown(line.trim_ascii_end());
        let (what, hint) = self.described(bad);
        Error::new(Code::InvalidData, format!("{place}: {what}: {line}")).hint(hint)
    }

    /// What is wrong with a record, and what to try.
    fn described(&self, bad: BadRecord) -> (String, String) {
        let dialect = self.tokenizer.dialect();
        let quote = char::from(dialect.quote.unwrap_or(b'"'));
        match bad.flaw {
            Flaw::Columns(found) => (
                format!("{} expected, {found} found", counted(self.columns)),
                "check delim, quote and skip, or leave such rows out with ignore_errors => true".to_string(),
            ),
            Flaw::AfterQuote => (
                format!("text follows the closing {quote} of a quoted field"),
                format!(
                    "inside quotes a {quote} is written twice, or with the escape option; quote => '' reads it as it is"
                ),
            ),
            Flaw::Size(bytes) => {
                let longest = self.tokenizer.longest();
                let what = format!("a record of at least {bytes} bytes, where max_line_size allows {longest}");
                (what, "is a quote never closed? Otherwise give a larger max_line_size".to_string())
            }
            Flaw::OpenQuote => (
                match self.window.line_of(bad.at) {
                    Ok(line) => format!("the {quote} opened in line {line} is never closed"),
                    Err(_) => format!("a {quote} is opened and never closed"),
                },
                "quote => '' reads quotes as plain characters".to_string(),
            ),
        }
    }
}

/// `1 column`, `2 columns`.
pub fn counted(columns: usize) -> String {
    if columns == 1 { "1 column".to_string() } else { format!("{columns} columns") }
}
