//! An object opened for reading at positions.
//!
//! Invariant: what is asked for comes from a block fetched ahead where there is one, else by a request of its own for
//! just these bytes; either way it is complete.

use std::ops::Range;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::error::{Code, Error, Result};
use crate::io::location::Location;
use crate::io::remote::ahead::Ahead;
use crate::io::remote::fetch;
use crate::io::remote::object::{Facts, Object};
use crate::io::remote::runtime::Pending;
use crate::memory::{Reservation, Tally};

use std::sync::Arc;

/// The share of the memory limit that all workers may fetch ahead of what they read, and its bounds for one of them.
const SHARE: usize = 16;
const ALLOWANCE: std::ops::RangeInclusive<usize> = (512 << 10)..=(32 << 20);
/// What may be fetched ahead outside of a query, which has no budget.
const PLANNING_ALLOWANCE: usize = 2 << 20;
/// What is fetched ahead leaves so much of the memory to others.
const LEFT_TO_OTHERS: usize = 4;
/// Bytes of one request for what was not announced.
const PIECE: usize = 1 << 20;

/// See the module.
#[derive(Debug)]
pub(in crate::io) struct RemoteFile {
    location: Location,
    object: Arc<Object>,
    facts: Facts,
    /// Behind a lock since files are read through `&self`; one worker at a time reads one.
    ahead: Mutex<Ahead>,
}

impl RemoteFile {
    /// Opens the object; asks the store for its size where that is not known.
    ///
    /// # Errors
    /// `FILE_NOT_FOUND`, `IO_ERROR`, `CANCELLED`.
    pub(in crate::io) fn open(location: &Location, object: &Arc<Object>) -> Result<Self> {
        let facts = object.facts(location)?.clone();
        let allowance = match location.surroundings() {
            Some(query) => (query.budget.limit() / SHARE / query.workers).clamp(*ALLOWANCE.start(), *ALLOWANCE.end()),
            None => PLANNING_ALLOWANCE,
        };
        let ahead = Mutex::new(Ahead::new(allowance as u64, object.store.latency()));
        Ok(RemoteFile { location: location.clone(), object: object.clone(), facts, ahead })
    }

    /// Bytes in the object.
    pub(in crate::io) fn size(&self) -> u64 {
        self.facts.size
    }

    /// Begins to fetch `ranges` for whoever opens the object next and expects just these.
    pub(in crate::io) fn prepare(location: &Location, object: &Arc<Object>, ranges: Vec<Range<u64>>) {
        // Nobody waits here, so what is not known is not asked.
        let Some(query) = location.surroundings().filter(|_| object.is_known() && !ranges.is_empty()) else { return };
        if let Ok(file) = RemoteFile::open(location, object) {
            file.expect(ranges.clone());
            query.put_prepared(location, file.clamped(ranges), file.ahead.into_inner());
        }
    }

    /// `ranges` as far as they lie in the object, in its order.
    fn clamped(&self, mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
        for range in &mut ranges {
            range.end = range.end.min(self.facts.size);
        }
        ranges.sort_by_key(|range| range.start);
        ranges
    }

    /// Begins to fetch `ranges`. What cannot be started now is met again, and told of, when it is read.
    pub(in crate::io) fn expect(&self, ranges: Vec<Range<u64>>) {
        let ranges = self.clamped(ranges);
        let mut ahead = self.ahead.lock();
        let prepared = self.location.surroundings().and_then(|query| query.take_prepared(&self.location, &ranges));
        match prepared {
            Some(prepared) => *ahead = prepared,
            None => ahead.plan(ranges),
        }
        let _ = ahead.top_up(0, &|range| self.start_ahead(range));
    }

    /// As [`InputFile::read_at`](crate::io::InputFile::read_at).
    pub(in crate::io) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let available = usize::try_from(self.facts.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let wanted = available.min(buffer.len());
        let mut done = 0;
        while let Some(free) = buffer.get_mut(done..wanted).filter(|free| !free.is_empty()) {
            let bytes = self.some(offset + done as u64, free.len())?;
            free[..bytes.len()].copy_from_slice(&bytes);
            done += bytes.len();
        }
        Tally::count_read(done);
        Ok(done)
    }

    /// As [`InputFile::append_at`](crate::io::InputFile::append_at).
    pub(in crate::io) fn append_at(&self, offset: u64, size: usize, bytes: &mut Vec<u8>) -> Result<()> {
        self.check(offset, size)?;
        let mut done = 0;
        while done < size {
            let part = self.some(offset + done as u64, size - done)?;
            bytes.extend_from_slice(&part);
            done += part.len();
        }
        Tally::count_read(size);
        Ok(())
    }

    /// As [`InputFile::read_bytes`](crate::io::InputFile::read_bytes).
    pub(in crate::io) fn read_bytes(&self, offset: u64, size: usize) -> Result<Bytes> {
        self.check(offset, size)?;
        if size > 0 {
            let first = self.some(offset, size)?;
            if first.len() == size {
                Tally::count_read(size);
                return Ok(first);
            }
            let mut bytes = Vec::with_capacity(size);
            bytes.extend_from_slice(&first);
            Tally::count_read(first.len());
            self.append_at(offset + first.len() as u64, size - first.len(), &mut bytes)?;
            return Ok(bytes.into());
        }
        Ok(Bytes::new())
    }

    fn check(&self, offset: u64, size: usize) -> Result<()> {
        if offset.checked_add(size as u64).is_some_and(|end| end <= self.facts.size) {
            return Ok(());
        }
        let message =
            format!("'{}' ends at byte {}, before byte {offset} and {size} more", self.location, self.facts.size);
        Err(Error::new(Code::Io, message))
    }

    /// Some of the `most` bytes from `offset` on, all of which are in the object: at least one.
    fn some(&self, offset: u64, most: usize) -> Result<Bytes> {
        let watch = self.object.watch(&self.location);
        let mut ahead = self.ahead.lock();
        if let Some(bytes) = ahead.take(offset, most as u64, watch, |range| self.start_ahead(range))? {
            return Ok(bytes);
        }
        drop(ahead);
        let range = offset..offset + most.min(PIECE) as u64;
        self.start(range, None)?.wait(watch)
    }

    /// Starts to fetch a block; `None` when there is no room for it.
    fn start_ahead(&self, range: Range<u64>) -> Result<Option<Pending<Bytes>>> {
        let Some(query) = self.location.surroundings() else { return self.start(range, None).map(Some) };
        let mut reservation = query.budget.reservation("read ahead");
        let size = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let limit = query.budget.effective_limit();
        if !reservation.grow_under(size, limit - limit / LEFT_TO_OTHERS) {
            return Ok(None);
        }
        self.start(range, Some(reservation)).map(Some)
    }

    fn start(&self, range: Range<u64>, reservation: Option<Reservation>) -> Result<Pending<Bytes>> {
        Tally::count("requests", 1);
        let (store, key) = (self.object.store.clone(), self.object.key.clone());
        Pending::start(fetch::range(store, key, self.facts.clone(), range, reservation))
    }
}
