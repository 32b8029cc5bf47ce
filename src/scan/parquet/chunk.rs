//! Positioned reads of one split's column chunks, a window per chunk.
//!
//! Invariant: a window never reaches past its column chunk, and all windows of a split together hold at most
//! [`WINDOW_BYTES`] beyond single pages that are larger. Every split opens the file for itself, and of every column chunk
//! it asks for each byte once.

use std::io::Read;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use parquet::errors::Result as ParquetResult;
use parquet::file::reader::{ChunkReader, Length};

use crate::error::{Code, Error, Result};
use crate::io::{InputFile, Location};
use crate::memory::Reservation;
use crate::scan::parquet::fault::carried;

/// Bytes that the read-ahead windows of one split may hold together.
pub(super) const WINDOW_BYTES: u64 = 8 << 20;
/// No window is smaller, so that a page header and a small page come with one read.
const LEAST_WINDOW: u64 = 64 << 10;
/// No window is larger: beyond this a read costs what its bytes cost.
const GREATEST_WINDOW: u64 = 1 << 20;
/// Bytes at the end of a file in which its footer mostly lies.
const FOOTER_BYTES: u64 = 64 << 10;

/// A file read by position. Clones share the windows.
#[derive(Debug, Clone)]
pub(super) struct ChunkSource(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    file: InputFile,
    /// What will be read, in the order of the file: windows do not reach further.
    wanted: Vec<Range<u64>>,
    /// Bytes by which a page may go over the limit.
    slack: usize,
    /// Behind a lock only because the parquet crate reads through `&self`; one split is read by one worker at a time.
    windows: Mutex<Windows>,
}

#[derive(Debug)]
struct Windows {
    chunks: Vec<Chunk>,
    window: u64,
    /// Counts the pages larger than a window; `None` while only a footer is read.
    reservation: Option<Reservation>,
    /// The first error of reading, which the parquet crate makes a text of.
    failure: Option<Error>,
}

/// A column chunk and what of it has been read ahead.
#[derive(Debug)]
struct Chunk {
    range: Range<u64>,
    start: u64,
    bytes: Bytes,
}

impl ChunkSource {
    /// The file at `path` without windows.
    ///
    /// # Errors
    /// `FILE_NOT_FOUND` or `IO_ERROR`, naming the path.
    pub(super) fn open(path: &Location) -> Result<Self> {
        Self::with_chunks(path, Vec::new(), Vec::new(), LEAST_WINDOW, None, 0)
    }

    /// Says that the footer will be read.
    pub(super) fn expect_footer(&self) {
        let size = self.0.file.size();
        self.0.file.expect(size.saturating_sub(FOOTER_BYTES)..size);
    }

    /// Says which parts of the file will be read.
    pub(super) fn expect(&self, ranges: impl IntoIterator<Item = Range<u64>>) {
        self.0.file.expect_all(ranges);
    }

    /// The file at `path`, with a window for each of the column chunks `ranges`, of which only `wanted` will be read. Pages
    /// larger than a window count in `reservation`, which may go `slack` bytes over the limit for them.
    pub(super) fn with_chunks(
        path: &Location,
        ranges: Vec<Range<u64>>,
        mut wanted: Vec<Range<u64>>,
        window: u64,
        reservation: Option<Reservation>,
        slack: usize,
    ) -> Result<Self> {
        let file = InputFile::open(path)?;
        wanted.sort_by_key(|range| range.start);
        file.expect_all(wanted.iter().cloned());
        let mut chunks: Vec<Chunk> =
            ranges.into_iter().map(|range| Chunk { start: range.start, range, bytes: Bytes::new() }).collect();
        chunks.sort_by_key(|chunk| chunk.range.start);
        let windows = Mutex::new(Windows { chunks, window, reservation, failure: None });
        Ok(ChunkSource(Arc::new(Shared { file, wanted, slack, windows })))
    }

    /// Why reading failed, if it did: the error itself.
    pub(super) fn take_failure(&self) -> Option<Error> {
        self.0.windows.lock().unwrap_or_else(PoisonError::into_inner).failure.take()
    }

    /// Up to `wanted` bytes from `start` on and at least `least`, out of a window where there is one.
    fn fetch(&self, start: u64, least: u64, wanted: u64) -> Result<Bytes> {
        let mut windows = self.0.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let fetched = self.fetch_within(&mut windows, start, least, wanted);
        if let Err(error) = &fetched {
            windows.failure.get_or_insert_with(|| error.clone());
        }
        fetched
    }

    fn fetch_within(&self, windows: &mut Windows, start: u64, least: u64, wanted: u64) -> Result<Bytes> {
        let window = windows.window;
        let found = windows.chunks.partition_point(|chunk| chunk.range.start <= start);
        let chunk = found.checked_sub(1).and_then(|index| windows.chunks.get_mut(index));
        let Some(chunk) = chunk.filter(|chunk| start < chunk.range.end) else {
            let size = wanted.min(self.0.file.size().saturating_sub(start)).max(least);
            return self.read(start, size, &[]);
        };
        let available = (chunk.start + chunk.bytes.len() as u64).saturating_sub(start);
        if start >= chunk.start && available >= least.max(1) {
            let from = slice_offset(start - chunk.start)?;
            return Ok(chunk.bytes.slice(from..));
        }
        let rest = self.wanted_end(start).unwrap_or(chunk.range.end).min(chunk.range.end) - start;
        let size = least.max(window.min(rest));
        // A page that the window holds the beginning of.
        let known = match start >= chunk.start && available > 0 {
            true => std::mem::take(&mut chunk.bytes).slice(slice_offset(start - chunk.start)?..),
            false => Bytes::new(),
        };
        chunk.bytes = Bytes::new();
        if size > window
            && let Some(reservation) = &mut windows.reservation
        {
            // A page cannot be read in part, and what others hold may not shrink before this is read.
            reservation.grow_with_slack(slice_offset(size - window)?, self.0.slack)?;
        }
        let bytes = self.read(start, size, &known)?;
        if size > window {
            // One page larger than a window: handed on whole, nothing is kept of it.
            if let Some(reservation) = &mut windows.reservation {
                reservation.shrink(slice_offset(size - window)?);
            }
            return Ok(bytes);
        }
        if let Some(chunk) = found.checked_sub(1).and_then(|index| windows.chunks.get_mut(index)) {
            chunk.start = start;
            chunk.bytes = bytes.clone();
        }
        Ok(bytes)
    }

    /// Where what will be read from `start` on ends; `None` where that was not foreseen.
    fn wanted_end(&self, start: u64) -> Option<u64> {
        let at = self.0.wanted.partition_point(|range| range.end <= start);
        let mut runs = self.0.wanted.iter().skip(at);
        let mut end = runs.next().filter(|range| range.contains(&start))?.end;
        for next in runs {
            if next.start > end {
                break;
            }
            end = end.max(next.end);
        }
        Some(end)
    }

    /// Exactly `size` bytes from `start` on, the first of which are `known`.
    fn read(&self, start: u64, size: u64, known: &[u8]) -> Result<Bytes> {
        if start.checked_add(size).is_none_or(|end| end > self.0.file.size()) {
            let message = format!(
                "bytes {start} to {} are asked for, but the file ends at {}",
                start.saturating_add(size),
                self.0.file.size()
            );
            return Err(Error::new(Code::InvalidData, message).context(format!("file '{}'", self.0.file.path())));
        }
        let size = slice_offset(size)?;
        if known.is_empty() {
            return self.0.file.read_bytes(start, size);
        }
        let mut bytes = Vec::with_capacity(size);
        bytes.extend_from_slice(known);
        self.0.file.append_at(start + known.len() as u64, size.saturating_sub(known.len()), &mut bytes)?;
        Ok(bytes.into())
    }
}

/// The size of one window when `chunks` of them are open and a split may take `share` bytes of memory for them.
pub(super) fn window_bytes(chunks: usize, share: usize) -> u64 {
    let chunks = u64::try_from(chunks.max(1)).unwrap_or(u64::MAX);
    let share = u64::try_from(share).unwrap_or(u64::MAX);
    (WINDOW_BYTES.min(share) / chunks).clamp(LEAST_WINDOW, GREATEST_WINDOW)
}

fn slice_offset(bytes: u64) -> Result<usize> {
    usize::try_from(bytes).map_err(|_| Error::new(Code::InvalidData, format!("a part of {bytes} bytes")))
}

impl Length for ChunkSource {
    fn len(&self) -> u64 {
        self.0.file.size()
    }
}

impl ChunkReader for ChunkSource {
    type T = ChunkRead;

    fn get_read(&self, start: u64) -> ParquetResult<ChunkRead> {
        Ok(ChunkRead { source: self.clone(), position: start, bytes: Bytes::new() })
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let size = length as u64;
        let mut bytes = self.fetch(start, size, size).map_err(carried)?;
        bytes.truncate(length);
        Ok(bytes)
    }
}

/// A sequential reader over a [`ChunkSource`], for page headers.
#[derive(Debug)]
pub(super) struct ChunkRead {
    source: ChunkSource,
    position: u64,
    bytes: Bytes,
}

impl Read for ChunkRead {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        if self.bytes.is_empty() {
            if self.position >= self.source.0.file.size() {
                return Ok(0);
            }
            self.bytes = self.source.fetch(self.position, 1, 512).map_err(std::io::Error::other)?;
            self.position += self.bytes.len() as u64;
        }
        let count = out.len().min(self.bytes.len());
        out[..count].copy_from_slice(&self.bytes.split_to(count));
        Ok(count)
    }
}
