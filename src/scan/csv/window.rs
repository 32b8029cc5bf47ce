//! A moving window over a file's bytes: positioned reads of a plain file, the stream of a compressed one, or one chunk
//! after the other of a compressed one that is shared.
//!
//! Invariant: what has not been consumed stays, at the front of the window when more is read; the window grows only
//! when a single record fills it, and its memory is reserved before it grows.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use memchr::memchr_iter;
use parking_lot::Mutex;

use crate::error::{Code, Error, Result};
use crate::io::InputFile;
use crate::memory::Reservation;
use crate::scan::chunks::{Chunk, ChunkReader};
use crate::scan::csv::tokenize::MAX_WINDOW;

/// Bytes of a window to begin with.
pub const WINDOW_BYTES: usize = 512 * 1024;

/// Bytes read at once behind the end of a split, where mostly only the rest of a record is wanted.
pub const TAIL_BYTES: u64 = 32 * 1024;

enum Input {
    /// Read on from `next`; mostly up to `stop`.
    File {
        file: Arc<InputFile>,
        next: u64,
        stop: u64,
    },
    Stream {
        stream: Box<dyn Read + Send>,
        lines: u64,
    },
    /// The window is the chunk.
    Chunks {
        reader: ChunkReader,
        chunk: Option<Chunk>,
    },
}

/// How many lines there are before places of a file: the splits of a file count them together, so that a file with many
/// bad records is counted once.
#[derive(Debug, Default)]
pub struct LineCounts(Mutex<BTreeMap<u64, u64>>);

impl LineCounts {
    /// Places that are closer to each other are not both remembered.
    const STEP: u64 = 256 << 10;

    /// The number of line ends before `end`.
    fn before(&self, file: &InputFile, end: u64, newline: u8) -> Result<u64> {
        let known = self.0.lock().range(..=end).next_back().map(|(place, lines)| (*place, *lines));
        let (place, lines) = known.unwrap_or((0, 0));
        let lines = lines + lines_between(file, place, end, newline)?;
        if end - place >= Self::STEP {
            self.0.lock().insert(end, lines);
        }
        Ok(lines)
    }
}

/// See the module.
pub struct Window {
    path: String,
    input: Input,
    buffer: Vec<u8>,
    /// Bytes of the buffer that hold data.
    filled: usize,
    /// Where the unconsumed data begins in the buffer.
    begin: usize,
    /// The place of the buffer's first byte in the (inflated) file.
    position: u64,
    at_end: bool,
    newline: u8,
    /// `None` while planning, which has no budget.
    reservation: Option<Reservation>,
    line_counts: Arc<LineCounts>,
}

impl Window {
    /// A window over `file` from `start`; records that begin before `stop` are wanted.
    pub fn over_file(file: Arc<InputFile>, start: u64, stop: u64, newline: u8, memory: Option<Reservation>) -> Self {
        let path = file.path().to_string();
        let input = Input::File { next: start, stop, file };
        Window::new(path, input, start, newline, memory)
    }

    /// A window over `stream`, the text of `path`.
    pub fn over_stream(path: &str, stream: Box<dyn Read + Send>, newline: u8, memory: Option<Reservation>) -> Self {
        Window::new(path.to_string(), Input::Stream { stream, lines: 0 }, 0, newline, memory)
    }

    /// A window over the chunks of one split; each holds whole records.
    pub fn over_chunks(path: &str, reader: ChunkReader, newline: u8) -> Self {
        Window::new(path.to_string(), Input::Chunks { reader, chunk: None }, 0, newline, None)
    }

    fn new(path: String, input: Input, position: u64, newline: u8, reservation: Option<Reservation>) -> Self {
        let (buffer, filled, begin, at_end) = (Vec::new(), 0, 0, false);
        let line_counts = Arc::default();
        Window { path, input, buffer, filled, begin, position, at_end, newline, reservation, line_counts }
    }

    /// Counts lines together with other windows over the same file.
    pub fn count_lines_with(&mut self, counts: Arc<LineCounts>) {
        self.line_counts = counts;
    }

    /// The file's path.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// All data in the window, also what is consumed already.
    pub fn data(&self) -> &[u8] {
        match &self.input {
            Input::Chunks { chunk, .. } => chunk.as_deref().unwrap_or_default(),
            _ => self.buffer.get(..self.filled).unwrap_or_default(),
        }
    }

    /// Where the unconsumed data begins in `data`.
    pub fn begin(&self) -> usize {
        self.begin
    }

    /// The place of `data`'s first byte in the file.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Whether the file ends with the window.
    pub fn at_end(&self) -> bool {
        self.at_end
    }

    /// Marks the data before `begin` as consumed. It stays readable until the next `fill`.
    pub fn consume_to(&mut self, begin: usize) {
        self.begin = begin.min(self.filled);
    }

    /// Moves the unconsumed data to the front and reads more behind it.
    ///
    /// # Errors
    /// What reading finds; `OUT_OF_MEMORY` when one record needs more than the budget has.
    pub fn fill(&mut self) -> Result<()> {
        if matches!(self.input, Input::Chunks { .. }) {
            return self.next_chunk();
        }
        self.drop_consumed();
        if self.filled == self.buffer.len() {
            self.grow()?;
        }
        let free = self.buffer.get_mut(self.filled..).unwrap_or_default();
        let count = match &mut self.input {
            Input::File { file, next, stop } => {
                let wanted = stop.saturating_sub(*next).max(TAIL_BYTES);
                let wanted = usize::try_from(wanted).unwrap_or(usize::MAX).min(free.len());
                let count = file.read_at(*next, free.get_mut(..wanted).unwrap_or_default())?;
                *next += count as u64;
                self.at_end = *next >= file.size();
                count
            }
            Input::Stream { stream, .. } => {
                let count = fill_from(stream.as_mut(), free)?;
                self.at_end = count < free.len();
                count
            }
            Input::Chunks { .. } => 0,
        };
        self.filled += count;
        Ok(())
    }

    fn next_chunk(&mut self) -> Result<()> {
        if self.begin < self.filled {
            return Err(Error::internal(format!("csv: a record of '{}' goes on behind its chunk", self.path)));
        }
        let Input::Chunks { reader, chunk } = &mut self.input else { return Ok(()) };
        // The old one's memory is free before the new one's is asked for.
        *chunk = None;
        (self.begin, self.filled) = (0, 0);
        *chunk = reader.next()?;
        match chunk {
            Some(chunk) => (self.filled, self.position, self.at_end) = (chunk.len(), chunk.offset, chunk.at_end),
            None => self.at_end = true,
        }
        Ok(())
    }

    fn drop_consumed(&mut self) {
        if self.begin == 0 {
            return;
        }
        if let Input::Stream { lines, .. } = &mut self.input {
            *lines += memchr_iter(self.newline, &self.buffer[..self.begin]).count() as u64;
        }
        self.buffer.copy_within(self.begin..self.filled, 0);
        self.filled -= self.begin;
        self.position += self.begin as u64;
        self.begin = 0;
    }

    fn grow(&mut self) -> Result<()> {
        let size = if self.buffer.is_empty() { WINDOW_BYTES } else { self.buffer.len().saturating_mul(2) };
        if size > MAX_WINDOW {
            let line = self.line_of(0)?;
            let message = format!("'{}' line {line}: a record is larger than {MAX_WINDOW} bytes", self.path);
            return Err(Error::new(Code::InvalidData, message).hint("is a quote never closed?"));
        }
        if let Some(reservation) = &mut self.reservation {
            // The old and the new buffer live side by side for a moment.
            reservation.grow(size).map_err(|error| error.context(format!("reading '{}'", self.path)))?;
        }
        let old = self.buffer.len();
        let mut larger = vec![0; size];
        larger[..self.filled].copy_from_slice(&self.buffer[..self.filled]);
        self.buffer = larger;
        if let Some(reservation) = &mut self.reservation {
            reservation.shrink(old);
        }
        Ok(())
    }

    /// Goes forward to a place in the file, which must not lie before the window.
    ///
    /// # Errors
    /// What reading finds.
    pub fn skip_to(&mut self, place: u64) -> Result<()> {
        loop {
            let ahead = usize::try_from(place.saturating_sub(self.position)).unwrap_or(usize::MAX);
            self.consume_to(ahead);
            if ahead <= self.filled || self.at_end {
                return Ok(());
            }
            self.fill()?;
        }
    }

    /// The number, from 1, of the line in which `at` (within `data`) lies. Counts from the beginning of the file, so
    /// it is for errors only.
    ///
    /// # Errors
    /// What reading finds.
    pub fn line_of(&self, at: usize) -> Result<u64> {
        let before = memchr_iter(self.newline, self.data().get(..at).unwrap_or_default()).count() as u64;
        match &self.input {
            Input::Stream { lines, .. } => Ok(lines + before + 1),
            Input::Chunks { chunk, .. } => Ok(chunk.as_ref().map_or(0, |chunk| chunk.lines) + before + 1),
            Input::File { file, .. } => Ok(self.line_counts.before(file, self.position, self.newline)? + before + 1),
        }
    }
}

/// Reads until the buffer is full or the stream ends.
fn fill_from(stream: &mut dyn Read, buffer: &mut [u8]) -> Result<usize> {
    let mut done = 0;
    while let Some(free) = buffer.get_mut(done..).filter(|free| !free.is_empty()) {
        match stream.read(free)? {
            0 => break,
            count => done += count,
        }
    }
    Ok(done)
}

fn lines_between(file: &InputFile, start: u64, end: u64, newline: u8) -> Result<u64> {
    let mut buffer = vec![0; 64 * 1024];
    let (mut at, mut lines) = (start, 0);
    while at < end {
        let count = file.read_at(at, &mut buffer)?;
        if count == 0 {
            break;
        }
        let wanted = usize::try_from(end - at).unwrap_or(usize::MAX).min(count);
        lines += memchr_iter(newline, buffer.get(..wanted).unwrap_or_default()).count() as u64;
        at += count as u64;
    }
    Ok(lines)
}
