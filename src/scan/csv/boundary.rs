//! Where the records of a split begin: the first record that starts at or behind a cut in the middle of a file.
//!
//! A cut may lie inside of quotes. Both suppositions, inside and outside, are followed through the bytes behind the
//! cut: in a well-formed file the wrong one soon runs into something that no well-formed file holds (text behind a
//! closing quote, another number of columns, a quote that is never closed). Where there is no quote at all for long,
//! the next one decides, wherever it is. If neither or both suppositions survive, the file is read from its beginning.
//!
//! Invariant: what was supposed is checked. A split notes where it began, the one before it where it ended, and
//! whoever comes second compares; since the first split begins at a known place, agreement of all neighbours proves
//! all of them right, and a disagreement is an error, never a wrong answer.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use memchr::{memchr, memrchr};
use parking_lot::Mutex;

use crate::cancel::CancelToken;
use crate::error::{Code, Error, Result};
use crate::io::InputFile;
use crate::scan::csv::dialect::Dialect;
use crate::scan::csv::records::Records;
use crate::scan::csv::tokenize::{Bounds, Broken, Place, Tile, Tokenizer};
use crate::scan::csv::window::{TAIL_BYTES, Window};

/// Bytes behind a cut that are looked at: first, and at most.
const FIRST_LOOK: usize = 64 * 1024;
pub const LAST_LOOK: usize = 1024 * 1024;

/// Bytes before a cut that are looked at where they may tell a comment, or the end of a long delimiter.
const LINE_LOOK: u64 = 16 * 1024;

/// Bytes without any quote behind which a cut is taken to lie outside of quotes.
const FAR_BYTES: u64 = 256 << 20;

/// Records that are checked for their shape.
const CHECKED_RECORDS: usize = 256;

const UNKNOWN: u64 = u64::MAX;

/// The cuts of one file and what its splits found there.
#[derive(Debug)]
pub struct Boundaries {
    /// Where splits begin; the first is 0.
    cuts: Vec<u64>,
    starts: Vec<AtomicU64>,
    ends: Vec<AtomicU64>,
    /// The last record start that was found by reading from the beginning.
    exact: Mutex<u64>,
    /// A range in which there is no quote.
    quote_free: Mutex<Range<u64>>,
}

impl Boundaries {
    /// Cuts at these places, the first of which is 0.
    pub fn new(cuts: Vec<u64>) -> Self {
        let unknown = || cuts.iter().map(|_| AtomicU64::new(UNKNOWN)).collect();
        let (starts, ends) = (unknown(), unknown());
        Boundaries { cuts, starts, ends, exact: Mutex::new(0), quote_free: Mutex::new(0..0) }
    }

    /// Where split `index` ends: its records start before this place.
    pub fn stop(&self, index: usize) -> u64 {
        self.cuts.get(index + 1).copied().unwrap_or(UNKNOWN)
    }

    /// The bytes that reading split `index` mostly needs: from before its cut, to behind its end.
    pub fn range(&self, index: usize) -> Range<u64> {
        let cut = self.cuts.get(index).copied().unwrap_or(0);
        cut.saturating_sub(1)..self.stop(index).saturating_add(TAIL_BYTES)
    }

    /// Where the first record of split `index` starts.
    ///
    /// # Errors
    /// What reading finds, or a disagreement with the split before.
    pub fn start(&self, index: usize, layout: &Layout, cancel: Option<&CancelToken>) -> Result<u64> {
        let cut = self.cuts.get(index).copied().unwrap_or(0);
        let file = layout.file;
        let start = match self.supposed_start(cut, layout, cancel)? {
            Some(start) => start,
            None => self.exact_start(cut, layout, cancel)?,
        };
        if let Some(noted) = self.starts.get(index) {
            noted.store(start, Ordering::SeqCst);
        }
        self.compare(index, file.path())?;
        Ok(start)
    }

    /// Notes that split `index` ended before the record at `end`.
    ///
    /// # Errors
    /// A disagreement with the split behind.
    pub fn ended(&self, index: usize, end: u64, path: &str) -> Result<()> {
        if let Some(noted) = self.ends.get(index) {
            noted.store(end, Ordering::SeqCst);
        }
        self.compare(index + 1, path)
    }

    /// Compares where split `index` began with where the one before ended, once both are known.
    fn compare(&self, index: usize, path: &str) -> Result<()> {
        let before = index.checked_sub(1).and_then(|before| self.ends.get(before));
        let (Some(start), Some(end)) = (self.starts.get(index), before) else { return Ok(()) };
        let (start, end) = (start.load(Ordering::SeqCst), end.load(Ordering::SeqCst));
        if start == end || start == UNKNOWN || end == UNKNOWN {
            return Ok(());
        }
        let message = format!("'{path}': cannot tell which quotes around byte {start} open and which close");
        Err(Error::new(Code::InvalidData, message).hint("parallel => false reads the file from front to back"))
    }

    /// Reads from the nearest certain place before the cut.
    fn exact_start(&self, cut: u64, layout: &Layout, cancel: Option<&CancelToken>) -> Result<u64> {
        let known = *self.exact.lock();
        let from = if known <= cut { known.max(layout.data_start) } else { layout.data_start };
        let tokenizer = layout.tokenizer;
        let window = Window::over_file(layout.file.clone(), from, cut, tokenizer.dialect().newline, None);
        let mut records = Records::new(window, tokenizer.clone(), cut, 0, true);
        while records.next(1 << 16)? {
            cancel.map_or(Ok(()), CancelToken::check)?;
        }
        let start = records.place();
        let mut exact = self.exact.lock();
        *exact = (*exact).max(start);
        Ok(start)
    }

    /// The record start that only one supposition allows, if so.
    fn supposed_start(&self, cut: u64, layout: &Layout, cancel: Option<&CancelToken>) -> Result<Option<u64>> {
        let found = near_start(cut, layout)?;
        let Supposition::UnlessQuoted { start, until } = found else { return Ok(found.start()) };
        if !layout.quotes_expected {
            return Ok(Some(start));
        }
        // The bytes at hand have no quote: what the next one is, opening or closing, tells.
        let Some(quote) = self.next_quote(until, layout, cancel)? else { return Ok(Some(start)) };
        let nearby = quote.saturating_sub(FIRST_LOOK as u64 / 2).max(until);
        Ok(match near_start(nearby, layout)? {
            Supposition::Outside(_) => Some(start),
            Supposition::Inside(other) => Some(other),
            _ => None,
        })
    }

    /// The first quote at or behind `from`, unless it is very far away.
    fn next_quote(&self, from: u64, layout: &Layout, cancel: Option<&CancelToken>) -> Result<Option<u64>> {
        let Some(quote) = layout.tokenizer.dialect().quote else { return Ok(None) };
        let known = self.quote_free.lock().clone();
        let mut at = if known.contains(&from) { known.end } else { from };
        let mut data = vec![0; LAST_LOOK];
        let mut found = None;
        while at < layout.file.size() && at - from < FAR_BYTES {
            cancel.map_or(Ok(()), CancelToken::check)?;
            let count = layout.file.read_at(at, &mut data)?;
            match memchr(quote, data.get(..count).unwrap_or_default()) {
                Some(ahead) => {
                    at += ahead as u64;
                    found = Some(at);
                    break;
                }
                None => at += count as u64,
            }
        }
        let start = if known.contains(&from) { known.start } else { from };
        *self.quote_free.lock() = start..at;
        Ok(found)
    }
}

/// What a file is made of.
pub struct Layout<'a> {
    pub file: &'a Arc<InputFile>,
    /// Where the records begin.
    pub data_start: u64,
    pub tokenizer: &'a Tokenizer,
    /// False when a look into all parts of the file found no quote.
    pub quotes_expected: bool,
}

/// What the bytes behind a cut say, with the place of the first record that starts there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Supposition {
    /// The cut certainly lies outside of quotes.
    Outside(u64),
    /// The cut certainly lies inside of quotes.
    Inside(u64),
    /// Inside or outside, the next record starts there.
    Either(u64),
    /// The cut lies outside, unless it lies in a quoted field that goes on behind `until`: there was no quote so far.
    UnlessQuoted {
        start: u64,
        until: u64,
    },
    Unclear,
}

impl Supposition {
    /// The record start, where it is certain.
    pub fn start(self) -> Option<u64> {
        match self {
            Supposition::Outside(start) | Supposition::Inside(start) | Supposition::Either(start) => Some(start),
            Supposition::UnlessQuoted { .. } | Supposition::Unclear => None,
        }
    }
}

/// Follows both suppositions through the bytes behind the cut.
///
/// # Errors
/// What reading finds.
pub fn near_start(cut: u64, layout: &Layout) -> Result<Supposition> {
    if cut <= layout.data_start {
        return Ok(Supposition::Outside(layout.data_start));
    }
    let tokenizer = layout.tokenizer.strict();
    let looks_back = tokenizer.dialect().comment.is_some() || !tokenizer.dialect().tail.is_empty();
    let before = if looks_back { cut.min(LINE_LOOK) } else { 1 };
    let from = cut - before;
    let cut = usize::try_from(before).unwrap_or(1);
    let mut look = FIRST_LOOK;
    loop {
        let mut data = vec![0; look];
        let count = layout.file.read_at(from, &mut data)?;
        data.truncate(count);
        let at_end = from + count as u64 >= layout.file.size();
        let supposed = Data { bytes: &data, place: from, cut, at_end }.suppose(&tokenizer);
        let enough = match supposed {
            Supposition::Unclear => false,
            Supposition::UnlessQuoted { .. } => !layout.quotes_expected,
            _ => true,
        };
        if enough || at_end || look >= LAST_LOOK {
            return Ok(supposed);
        }
        look *= 4;
    }
}

/// What a supposition came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It leads to what no well-formed file holds.
    Refuted,
    /// Records of the right shape follow from there on, or the file ends.
    Holds(usize),
    /// The bytes at hand are not enough.
    Open,
}

/// The bytes of a file around a cut, with one before it at least.
struct Data<'a> {
    bytes: &'a [u8],
    /// Place of the first byte in the file.
    place: u64,
    /// Index of the first byte behind the cut.
    cut: usize,
    at_end: bool,
}

impl Data<'_> {
    fn suppose(&self, tokenizer: &Tokenizer) -> Supposition {
        let dialect = tokenizer.dialect();
        // Between two quotes a cut would be ambiguous, and so among spaces that may stand around them; no record starts
        // right behind one, so the cut can move.
        let ambiguous = |byte: &&u8| {
            Some(**byte) == dialect.quote || Some(**byte) == dialect.escape || dialect.spaced && **byte == b' '
        };
        let behind = self.bytes.get(self.cut - 1..).unwrap_or_default();
        let cut = self.cut + behind.iter().take_while(ambiguous).count();
        let Some(&before) = self.bytes.get(cut - 1) else { return Supposition::Unclear };
        let outside = if before == dialect.newline {
            Broken::End(cut)
        } else if self.is_in_comment(cut, dialect) {
            self.line_end(cut, dialect.newline)
        } else {
            let place = if self.is_behind_delimiter(cut, dialect) { Place::FieldStart } else { Place::InField };
            tokenizer.end_of_broken(self.bytes, cut, place, self.at_end)
        };
        let outside = self.verdict(outside, tokenizer);
        let inside = match dialect.quote {
            Some(_) => self.verdict(tokenizer.end_of_broken(self.bytes, cut, Place::InQuotes, self.at_end), tokenizer),
            None => Verdict::Refuted,
        };
        let place = |index: usize| self.place + index as u64;
        match (outside, inside) {
            (Verdict::Holds(start), Verdict::Refuted) => Supposition::Outside(place(start)),
            (Verdict::Refuted, Verdict::Holds(start)) => Supposition::Inside(place(start)),
            (Verdict::Holds(start), Verdict::Holds(other)) if start == other => Supposition::Either(place(start)),
            (Verdict::Holds(start), Verdict::Open) if !self.has_quote(cut, dialect.quote) => {
                Supposition::UnlessQuoted { start: place(start), until: place(self.bytes.len()) }
            }
            _ => Supposition::Unclear,
        }
    }

    /// Whether the line around `cut`, which lies outside of quotes, is a comment.
    fn is_in_comment(&self, cut: usize, dialect: &Dialect) -> bool {
        let Some(comment) = dialect.comment else { return false };
        let line = memrchr(dialect.newline, self.bytes.get(..cut).unwrap_or_default()).map(|end| end + 1);
        line.is_some_and(|line| self.bytes.get(line) == Some(&comment))
    }

    fn is_behind_delimiter(&self, cut: usize, dialect: &Dialect) -> bool {
        let before = self.bytes.get(..cut).unwrap_or_default();
        let first = before.strip_suffix(dialect.tail.as_slice()).and_then(<[u8]>::last);
        first == Some(&dialect.delimiter)
    }

    fn line_end(&self, from: usize, newline: u8) -> Broken {
        match memchr(newline, self.bytes.get(from..).unwrap_or_default()) {
            Some(length) => Broken::End(from + length + 1),
            None if self.at_end => Broken::End(self.bytes.len()),
            None => Broken::Open,
        }
    }

    fn has_quote(&self, from: usize, quote: Option<u8>) -> bool {
        quote.is_some_and(|quote| memchr(quote, self.bytes.get(from..).unwrap_or_default()).is_some())
    }

    fn verdict(&self, end: Broken, tokenizer: &Tokenizer) -> Verdict {
        let start = match end {
            Broken::End(start) => start,
            Broken::Refuted => return Verdict::Refuted,
            Broken::Open => return Verdict::Open,
        };
        let mut tile = Tile::default();
        let bounds = Bounds { from: start, stop: usize::MAX, max_rows: CHECKED_RECORDS, at_end: self.at_end };
        tokenizer.read(self.bytes, bounds, &mut tile);
        match tile.bad {
            Some(_) => Verdict::Refuted,
            None if tile.rows > 0 || self.at_end => Verdict::Holds(start),
            None => Verdict::Open,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_that_disagree_are_an_error_whoever_comes_second() {
        let boundaries = Boundaries::new(vec![0, 5, 10]);
        boundaries.starts[1].store(7, Ordering::SeqCst);
        assert!(boundaries.ended(0, 7, "x.csv").is_ok());
        let error = boundaries.ended(0, 9, "x.csv").unwrap_err();
        assert!(error.message().contains("x.csv") && error.hint_text().unwrap().contains("parallel"), "{error}");
        assert!(boundaries.ended(1, 12, "x.csv").is_ok());
        boundaries.starts[2].store(11, Ordering::SeqCst);
        assert!(boundaries.compare(2, "x.csv").is_err());
        assert!(boundaries.ended(2, 20, "x.csv").is_ok());
    }
}
