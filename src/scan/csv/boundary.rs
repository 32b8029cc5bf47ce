//! Where the records of a split begin: the first record that starts at or behind a cut in the middle of a file.
//!
//! A cut may lie inside of quotes. Both suppositions, inside and outside, are followed through the bytes behind the
//! cut: in a well-formed file the wrong one soon runs into something that no well-formed file holds (text behind a
//! closing quote, another number of columns, a quote that is never closed). If neither or both survive, the file is
//! read from its beginning.
//!
//! Invariant: what was supposed is checked. A split notes where it began, the one before it where it ended, and
//! whoever comes second compares; since the first split begins at a known place, agreement of all neighbours proves
//! all of them right, and a disagreement is an error, never a wrong answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::cancel::CancelToken;
use crate::error::{Code, Error, Result};
use crate::io::LocalFile;
use crate::scan::csv::records::Records;
use crate::scan::csv::tokenize::{Bounds, Place, Tile, Tokenizer};
use crate::scan::csv::window::Window;

/// Bytes behind a cut that are looked at: first, and at most.
const FIRST_LOOK: usize = 64 * 1024;
pub const LAST_LOOK: usize = 1024 * 1024;

/// Records that a supposition must survive while the other one is still open.
const CONVINCING_RECORDS: usize = 8;
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
}

impl Boundaries {
    /// Cuts at these places, the first of which is 0.
    pub fn new(cuts: Vec<u64>) -> Self {
        let unknown = || cuts.iter().map(|_| AtomicU64::new(UNKNOWN)).collect();
        let (starts, ends) = (unknown(), unknown());
        Boundaries { cuts, starts, ends, exact: Mutex::new(0) }
    }

    /// Where split `index` ends: its records start before this place.
    pub fn stop(&self, index: usize) -> u64 {
        self.cuts.get(index + 1).copied().unwrap_or(UNKNOWN)
    }

    /// Where the first record of split `index` starts; the file's records begin at `data_start`.
    ///
    /// # Errors
    /// What reading finds, or a disagreement with the split before.
    pub fn start(
        &self,
        index: usize,
        file: &Arc<LocalFile>,
        data_start: u64,
        tokenizer: &Tokenizer,
        cancel: Option<&CancelToken>,
    ) -> Result<u64> {
        let cut = self.cuts.get(index).copied().unwrap_or(0);
        let start = match supposed_start(file, data_start, cut, tokenizer)? {
            Some(start) => start,
            None => self.exact_start(file, data_start, cut, tokenizer, cancel)?,
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
    fn exact_start(
        &self,
        file: &Arc<LocalFile>,
        data_start: u64,
        cut: u64,
        tokenizer: &Tokenizer,
        cancel: Option<&CancelToken>,
    ) -> Result<u64> {
        let known = *self.exact.lock();
        let from = if known <= cut { known.max(data_start) } else { data_start };
        let window = Window::over_file(file.clone(), from, cut, tokenizer.dialect().newline, None);
        let mut records = Records::new(window, tokenizer.clone(), cut, 0, true);
        while records.next(1 << 16)? {
            cancel.map_or(Ok(()), CancelToken::check)?;
        }
        let start = records.place();
        let mut exact = self.exact.lock();
        *exact = (*exact).max(start);
        Ok(start)
    }
}

/// What a supposition came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It leads to what no well-formed file holds.
    Refuted,
    /// Records of the right shape follow from `start` on; `whole` if up to the end of the file.
    Holds { start: usize, records: usize, whole: bool },
    /// The bytes at hand are not enough.
    Open,
}

/// The record start that only one supposition allows, if so.
pub fn supposed_start(file: &LocalFile, data_start: u64, cut: u64, tokenizer: &Tokenizer) -> Result<Option<u64>> {
    if cut <= data_start {
        return Ok(Some(data_start));
    }
    let from = cut - 1;
    let mut look = FIRST_LOOK;
    loop {
        let mut data = vec![0; look];
        let count = file.read_at(from, &mut data)?;
        data.truncate(count);
        let at_end = from + count as u64 >= file.size();
        let last = at_end || look >= LAST_LOOK;
        if let Some(start) = suppose(&data, at_end, last, tokenizer) {
            return Ok(Some(from + start as u64));
        }
        if last {
            return Ok(None);
        }
        look *= 4;
    }
}

/// Follows both suppositions. `data` begins one byte before the cut.
fn suppose(data: &[u8], at_end: bool, last: bool, tokenizer: &Tokenizer) -> Option<usize> {
    let dialect = tokenizer.dialect();
    // Between two quotes a cut would be ambiguous; no record starts right behind a quote, so the cut can move.
    let ambiguous = |byte: &u8| Some(*byte) == dialect.quote || Some(*byte) == dialect.escape;
    let quotes = data.iter().take_while(|byte| ambiguous(byte)).count();
    let cut = quotes + 1;
    let before = *data.get(cut - 1)?;
    let outside = if before == dialect.newline {
        Some(cut)
    } else {
        let place = if before == dialect.delimiter { Place::FieldStart } else { Place::InField };
        tokenizer.end_of_broken(data, cut, place, at_end)
    };
    let outside = verdict(data, outside, at_end, tokenizer);
    if dialect.quote.is_none() {
        return match outside {
            Verdict::Holds { start, .. } => Some(start),
            _ => None,
        };
    }
    let inside = tokenizer.end_of_broken(data, cut, Place::InQuotes, at_end);
    match (outside, verdict(data, inside, at_end, tokenizer)) {
        (Verdict::Holds { start, records, whole }, Verdict::Refuted) if whole || records > 0 => Some(start),
        (Verdict::Refuted, Verdict::Holds { start, records, whole }) if whole || records > 0 => Some(start),
        (Verdict::Holds { start, .. }, Verdict::Holds { start: other, .. }) if start == other => Some(start),
        (Verdict::Holds { start, records, .. }, Verdict::Open) if last && records >= CONVINCING_RECORDS => Some(start),
        _ => None,
    }
}

fn verdict(data: &[u8], start: Option<usize>, at_end: bool, tokenizer: &Tokenizer) -> Verdict {
    let Some(start) = start else { return if at_end { Verdict::Refuted } else { Verdict::Open } };
    let mut tile = Tile::default();
    let bounds = Bounds { from: start, stop: usize::MAX, max_rows: CHECKED_RECORDS, at_end };
    tokenizer.read(data, bounds, &mut tile);
    if tile.bad.is_some() {
        return Verdict::Refuted;
    }
    Verdict::Holds { start, records: tile.rows, whole: at_end && tile.consumed >= data.len() }
}
