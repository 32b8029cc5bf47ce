//! One stream that feeds all workers: a compressed file is inflated once, front to back, and cut at records into
//! chunks that are parsed side by side.
//!
//! A file of `n` compressed bytes is planned as `ceil(n / share)` splits; split `i` has the records whose chunk began
//! when the decoder stood in its share of the compressed bytes. Whoever reads a split inflates its next chunk under the
//! stream's lock and parses it after letting go, so that one worker inflates while the others parse. Chunks of earlier
//! splits that turn up on the way are parked in the store until they are asked for: a split that has stopped for its
//! consumer holds nobody up, and what waits may go to disk.
//!
//! Invariant: the chunks of all splits, one after the other, are the file; each but the last ends with a record. Nobody
//! waits for anything but inflating that is going on.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::Read;
use std::ops::Deref;
use std::sync::Arc;

use arrow::array::{AsArray, LargeBinaryArray};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use memchr::memchr_iter;
use parking_lot::Mutex;

use crate::error::{Error, Result};
use crate::io::CountedStream;
use crate::memory::Reservation;
use crate::store::{Handle, Loaded, QueryContext, UseOrder};

/// Compressed bytes of a split at least: some megabytes of text.
const LEAST_SHARE: u64 = 256 << 10;
/// Splits of a file at most.
const MOST_SPLITS: u64 = 1 << 12;
/// Inflated bytes of a chunk, unless a single record has more: where memory is short, and at most.
const LEAST_CHUNK: usize = 512 << 10;
const GREATEST_CHUNK: usize = 4 << 20;
/// What part of the memory limit a chunk may take.
const PART_OF_LIMIT: usize = 32;
/// Bytes inflated between two looks at where the decoder stands.
const STEP: usize = 128 << 10;
/// Files below this many compressed bytes are not worth sharing.
const SHARED_BYTES: u64 = 1 << 20;

/// Where records end.
pub trait Cutter: Send {
    /// How many bytes at the start of `bytes`, which begin with a record, are whole records; the first `searched` of
    /// them were seen before and hold none.
    fn whole(&mut self, bytes: &[u8], searched: usize) -> Result<usize>;

    /// Bytes that one record may have.
    fn longest(&self) -> usize;

    /// The error for a longer one.
    fn too_long(&self) -> Error;
}

/// Opens a stream.
pub type Begin = Box<dyn Fn() -> Result<Beginning> + Send>;

/// A stream at its beginning.
pub struct Beginning {
    pub stream: CountedStream,
    /// Inflated bytes before the first record.
    pub skip: u64,
    pub cutter: Box<dyn Cutter>,
}

/// For each file, by compressed bytes, into how many splits it is cut; `None` where one worker reads it whole. Whole
/// files are the better way for as long as there are others for the other workers.
pub fn shares(sizes: &[u64], threads: usize) -> Vec<Option<usize>> {
    let threads = u64::try_from(threads).unwrap_or(u64::MAX);
    let mut left: u64 = sizes.iter().sum();
    let share = |&size: &u64| {
        let is_shared = threads > 1 && size >= SHARED_BYTES && size.saturating_mul(threads) > left;
        left = left.saturating_sub(size);
        is_shared.then(|| usize::try_from(size.div_ceil(share_of(size))).unwrap_or(usize::MAX))
    };
    sizes.iter().map(share).collect()
}

fn share_of(size: u64) -> u64 {
    LEAST_SHARE.max(size.div_ceil(MOST_SPLITS))
}

/// Whole records of a file, one after the other.
pub struct Chunk {
    bytes: Bytes,
    /// The place of the first byte in the inflated file.
    pub offset: u64,
    /// Line ends before it.
    pub lines: u64,
    /// Whether the file ends with it: the last record may lack its end.
    pub at_end: bool,
}

enum Bytes {
    Own { bytes: Vec<u8>, _memory: Reservation },
    Parked(Loaded),
}

impl Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Own { bytes, .. } => bytes,
            Bytes::Parked(batch) => match batch.columns().first() {
                Some(column) if !column.is_empty() => column.as_binary::<i64>().value(0),
                _ => &[],
            },
        }
    }
}

/// A chunk that waits for its split, in the store.
struct Parked {
    handle: Handle,
    offset: u64,
    lines: u64,
    at_end: bool,
}

/// See the module.
pub struct SharedStream {
    path: String,
    /// Compressed bytes of a split.
    share: u64,
    splits: usize,
    newline: u8,
    context: Arc<QueryContext>,
    stream: Mutex<State>,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    chunks: BTreeMap<usize, VecDeque<Parked>>,
    /// Splits that want no more.
    closed: BTreeSet<usize>,
}

/// How far the stream is inflated.
enum State {
    Unopened,
    Open(Box<Inflating>),
    Ended,
    Failed(Error),
}

struct Inflating {
    input: CountedStream,
    cutter: Box<dyn Cutter>,
    /// The beginning of the next record.
    carried: Vec<u8>,
    memory: Reservation,
    /// Place and line of `carried` in the inflated file.
    offset: u64,
    lines: u64,
}

impl SharedStream {
    /// The stream of the file at `path`, of `size` compressed bytes; lines end with `newline`.
    pub fn new(path: &str, size: u64, newline: u8, context: &Arc<QueryContext>) -> Self {
        SharedStream::with_share(path, size, share_of(size), newline, context)
    }

    fn with_share(path: &str, size: u64, share: u64, newline: u8, context: &Arc<QueryContext>) -> Self {
        SharedStream {
            path: path.to_owned(),
            share,
            splits: usize::try_from(size.div_ceil(share)).unwrap_or(usize::MAX).max(1),
            newline,
            context: context.clone(),
            stream: Mutex::new(State::Unopened),
            waiting: Mutex::default(),
        }
    }

    /// What split `split` reads of it. `begin` is asked once, of whoever comes first.
    pub fn reader(self: &Arc<Self>, split: usize, begin: Begin) -> ChunkReader {
        ChunkReader { stream: self.clone(), split, begin }
    }

    fn next(&self, split: usize, begin: &Begin) -> Result<Option<Chunk>> {
        self.context.cancel.check()?;
        if let Some(chunk) = self.parked(split)? {
            return Ok(Some(chunk));
        }
        let mut state = self.stream.lock();
        loop {
            self.context.cancel.check()?;
            // What others inflated while this one waited for the lock.
            if let Some(chunk) = self.parked(split)? {
                return Ok(Some(chunk));
            }
            if let State::Unopened = &*state {
                *state = self.opened(begin);
            }
            let inflating = match &mut *state {
                State::Open(inflating) => inflating,
                State::Failed(error) => return Err(error.clone()),
                State::Unopened | State::Ended => return Ok(None),
            };
            let owner = self.owner(inflating);
            if owner > split {
                return Ok(None);
            }
            match self.inflate(inflating, owner) {
                Ok(Some(chunk)) if owner == split => return Ok(Some(chunk)),
                Ok(Some(chunk)) => self.park(chunk, owner)?,
                Ok(None) => *state = State::Ended,
                Err(error) => *state = State::Failed(error),
            }
        }
    }

    fn opened(&self, begin: &Begin) -> State {
        let opened = begin().and_then(|Beginning { mut stream, skip, cutter }| {
            let (mut left, mut lines) = (skip, 0);
            let mut passed = vec![0; STEP];
            while left > 0 {
                let wanted = usize::try_from(left).unwrap_or(STEP).min(STEP);
                let count = fill(&mut stream, passed.get_mut(..wanted).unwrap_or_default())?;
                lines += memchr_iter(self.newline, passed.get(..count).unwrap_or_default()).count() as u64;
                if count < wanted {
                    break;
                }
                left -= count as u64;
            }
            let (carried, memory) = (Vec::new(), self.context.budget.reservation("compressed stream"));
            Ok(Inflating { input: stream, cutter, carried, memory, offset: skip - left, lines })
        });
        opened.map_or_else(State::Failed, |inflating| State::Open(Box::new(inflating)))
    }

    /// The split in whose share the decoder stands.
    fn owner(&self, inflating: &Inflating) -> usize {
        let owner = inflating.input.consumed() / self.share;
        usize::try_from(owner).unwrap_or(usize::MAX).min(self.splits - 1)
    }

    /// Inflates the next chunk, which is split `owner`'s; `None` at the end of the file.
    fn inflate(&self, inflating: &mut Inflating, owner: usize) -> Result<Option<Chunk>> {
        let end = if owner + 1 >= self.splits { u64::MAX } else { (owner as u64 + 1) * self.share };
        let full = (self.context.budget.limit() / PART_OF_LIMIT).clamp(LEAST_CHUNK, GREATEST_CHUNK);
        let mut memory = self.context.budget.reservation("compressed stream");
        let mut bytes = std::mem::take(&mut inflating.carried);
        memory.grow(full.max(bytes.len()) + STEP)?;
        bytes.reserve_exact(full.max(bytes.len()) + STEP - bytes.len());
        let (mut goal, mut searched, mut at_end) = (full, 0, false);
        let whole = loop {
            // A record that fills more than the chunk is followed to its end, wherever that is.
            while bytes.len() < goal && !at_end && (searched > 0 || inflating.input.consumed() < end) {
                at_end = inflating.step(&mut bytes)?;
            }
            if at_end {
                break bytes.len();
            }
            match inflating.cutter.whole(&bytes, searched)? {
                0 if bytes.len() > inflating.cutter.longest() => return Err(self.too_long(inflating)),
                0 => {}
                whole => break whole,
            }
            self.context.cancel.check()?;
            searched = bytes.len();
            goal = (bytes.len() * 2).min(inflating.cutter.longest().saturating_add(STEP)).max(bytes.len() + STEP);
            let more = (goal + STEP).saturating_sub(bytes.capacity());
            if more > 0 {
                // Old and new bytes live side by side for a moment.
                let old = bytes.capacity();
                memory.grow(goal + STEP)?;
                bytes.reserve_exact(goal + STEP - bytes.len());
                memory.shrink(old);
            }
        };
        inflating.carry(bytes.get(whole..).unwrap_or_default())?;
        bytes.truncate(whole);
        if bytes.is_empty() {
            return Ok(None);
        }
        let (offset, lines) = (inflating.offset, inflating.lines);
        inflating.offset += whole as u64;
        inflating.lines += memchr_iter(self.newline, &bytes).count() as u64;
        Ok(Some(Chunk { bytes: Bytes::Own { bytes, _memory: memory }, offset, lines, at_end }))
    }

    fn too_long(&self, inflating: &Inflating) -> Error {
        let place = format!("line {} of file '{}'", inflating.lines + 1, self.path);
        inflating.cutter.too_long().context(place)
    }

    /// The next chunk that waits for `split`.
    fn parked(&self, split: usize) -> Result<Option<Chunk>> {
        let parked = self.waiting.lock().chunks.get_mut(&split).and_then(VecDeque::pop_front);
        let Some(Parked { handle, offset, lines, at_end }) = parked else { return Ok(None) };
        let batch = self.context.store.take(handle)?;
        Ok(Some(Chunk { bytes: Bytes::Parked(batch), offset, lines, at_end }))
    }

    fn park(&self, chunk: Chunk, owner: usize) -> Result<()> {
        let Chunk { bytes: Bytes::Own { mut bytes, _memory: memory }, offset, lines, at_end } = chunk else {
            return Err(Error::internal("a chunk is parked twice"));
        };
        if self.waiting.lock().closed.contains(&owner) {
            return Ok(());
        }
        bytes.shrink_to_fit();
        let length = i64::try_from(bytes.len()).map_err(|_| Error::internal("a chunk larger than 2^63 bytes"))?;
        let offsets = OffsetBuffer::new(ScalarBuffer::from(vec![0, length]));
        let array = LargeBinaryArray::try_new(offsets, Buffer::from_vec(bytes), None)?;
        let schema = Schema::new(vec![Field::new("bytes", DataType::LargeBinary, false)]);
        let batch = RecordBatch::try_new(Arc::new(schema), vec![Arc::new(array)])?;
        // The store counts it from here on.
        drop(memory);
        let order = UseOrder(u32::try_from(owner).unwrap_or(u32::MAX));
        let handle = self.context.store.put(batch, order)?;
        let mut waiting = self.waiting.lock();
        if !waiting.closed.contains(&owner) {
            waiting.chunks.entry(owner).or_default().push_back(Parked { handle, offset, lines, at_end });
        }
        Ok(())
    }
}

/// The chunks of one split.
pub struct ChunkReader {
    stream: Arc<SharedStream>,
    split: usize,
    begin: Begin,
}

impl ChunkReader {
    /// The split's next chunk; `None` behind its last.
    ///
    /// # Errors
    /// What opening and inflating find; `OUT_OF_MEMORY`; `CANCELLED`.
    pub fn next(&self) -> Result<Option<Chunk>> {
        self.stream.next(self.split, &self.begin)
    }
}

impl Drop for ChunkReader {
    /// What is left of the split is wanted by nobody.
    fn drop(&mut self) {
        let mut waiting = self.stream.waiting.lock();
        waiting.closed.insert(self.split);
        waiting.chunks.remove(&self.split);
    }
}

impl Inflating {
    /// Keeps the beginning of the next record.
    fn carry(&mut self, begun: &[u8]) -> Result<()> {
        self.memory.shrink(self.memory.bytes());
        self.memory.grow(begun.len())?;
        self.carried = begun.to_vec();
        Ok(())
    }

    /// Appends up to `STEP` bytes; true at the end of the file.
    fn step(&mut self, bytes: &mut Vec<u8>) -> Result<bool> {
        let start = bytes.len();
        bytes.resize(start + STEP, 0);
        let count = fill(&mut self.input, bytes.get_mut(start..).unwrap_or_default())?;
        bytes.truncate(start + count);
        Ok(count < STEP)
    }
}

/// Reads until the buffer is full or the stream ends.
fn fill(stream: &mut CountedStream, buffer: &mut [u8]) -> Result<usize> {
    let mut done = 0;
    while let Some(free) = buffer.get_mut(done..).filter(|free| !free.is_empty()) {
        match stream.read(free)? {
            0 => break,
            count => done += count,
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests;
