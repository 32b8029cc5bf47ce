//! What will be read of an object, as blocks that are fetched ahead.
//!
//! Ranges that lie close together are joined (a request costs more than some bytes that nobody wants), long ones are cut
//! (several connections are faster than one). As many blocks are under way or in memory as the allowance has room for;
//! a block is let go when all of its bytes have been read.
//!
//! Invariant: what is fetched ahead is reserved before it is fetched, and given back when the last slice of it is
//! dropped.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;

use crate::error::Result;
use crate::io::remote::runtime::{Pending, Watch};

/// Bytes that nobody wants but that are cheaper fetched than left out.
const GAP: u64 = 512 << 10;
/// No block is larger: beyond this a further connection is faster.
const GREATEST_BLOCK: u64 = 8 << 20;
/// A store that answers at once is asked for so much at a time: what comes is then read before it leaves the caches of the
/// processor.
const BLOCK_OF_QUICK_STORE: u64 = 1 << 20;
/// Bytes that a connection may bring in a second.
const RATE: u64 = 500_000_000;
/// No block is smaller, where it is cut.
const LEAST_BLOCK: u64 = 128 << 10;
/// Blocks that the allowance has room for at least.
const BLOCKS: u64 = 4;

/// See the module.
#[derive(Debug)]
pub(super) struct Ahead {
    /// In the order of the file, disjoint.
    blocks: Vec<Block>,
    /// Bytes of a block, where it is cut.
    block: u64,
    /// Bytes that may be under way or in memory.
    allowance: u64,
    /// Bytes that are.
    held: u64,
}

#[derive(Debug)]
struct Block {
    range: Range<u64>,
    /// What of it has not been read yet.
    unread: Vec<Range<u64>>,
    state: State,
}

#[derive(Debug)]
enum State {
    Planned,
    Fetching(Pending<Bytes>),
    Here(Bytes),
    /// All read, or given up.
    Gone,
}

impl Ahead {
    /// Nothing to read, and room for `allowance` bytes; less where the store, whose answers begin after `latency`, is kept
    /// busy by less.
    pub(super) fn new(allowance: u64, latency: Option<Duration>) -> Self {
        let block = latency.map_or(GREATEST_BLOCK, block_for).min(allowance / BLOCKS).max(LEAST_BLOCK);
        Ahead { blocks: Vec::new(), block, allowance: allowance.min(BLOCKS * block), held: 0 }
    }

    /// Forgets what there was and plans to read `ranges`.
    pub(super) fn plan(&mut self, ranges: Vec<Range<u64>>) {
        self.blocks = blocks(ranges, self.block);
        self.held = 0;
    }

    /// The bytes from `offset` on up to `most` of them, out of the block that has them; `None` where none has, or there is
    /// no room for it. `start` starts to fetch a range, or says that there is no room.
    pub(super) fn take(
        &mut self,
        offset: u64,
        most: u64,
        watch: Watch<'_>,
        start: impl Fn(Range<u64>) -> Result<Option<Pending<Bytes>>>,
    ) -> Result<Option<Bytes>> {
        let at = self.blocks.partition_point(|block| block.range.end <= offset);
        let Some(block) = self.blocks.get_mut(at).filter(|block| block.range.contains(&offset)) else {
            return Ok(None);
        };
        if matches!(block.state, State::Planned) {
            // Whatever else is held: this is wanted now.
            match start(block.range.clone())? {
                Some(pending) => block.state = State::Fetching(pending),
                None => return Ok(None),
            }
            self.held += block.range.end - block.range.start;
        }
        self.top_up(at, &start)?;
        let Some(block) = self.blocks.get_mut(at) else { return Ok(None) };
        if let State::Fetching(pending) = &block.state {
            let fetched = pending.wait(watch);
            if fetched.is_err() {
                self.held -= block.range.end - block.range.start;
                block.state = State::Gone;
            }
            block.state = State::Here(fetched?);
        }
        let State::Here(bytes) = &block.state else { return Ok(None) };
        let end = (offset + most).min(block.range.end);
        let slice = bytes.slice(within(offset - block.range.start)..within(end - block.range.start));
        block.note_read(offset..end);
        if block.unread.is_empty() {
            self.held -= block.range.end - block.range.start;
            block.state = State::Gone;
        }
        Ok(Some(slice))
    }

    /// Starts to fetch what is planned, from block `first` on and then before it, while there is room.
    pub(super) fn top_up(
        &mut self,
        first: usize,
        start: &impl Fn(Range<u64>) -> Result<Option<Pending<Bytes>>>,
    ) -> Result<()> {
        let count = self.blocks.len();
        for index in (first..count).chain(0..first.min(count)) {
            let Some(block) = self.blocks.get_mut(index) else { continue };
            let size = block.range.end - block.range.start;
            if !matches!(block.state, State::Planned) {
                continue;
            }
            if self.held + size > self.allowance {
                break;
            }
            match start(block.range.clone())? {
                Some(pending) => block.state = State::Fetching(pending),
                None => break,
            }
            self.held += size;
        }
        Ok(())
    }
}

impl Block {
    fn note_read(&mut self, read: Range<u64>) {
        let parts = self.unread.iter().flat_map(|part| {
            let before = part.start..part.end.min(read.start);
            let behind = part.start.max(read.end)..part.end;
            [before, behind].into_iter().filter(|part| part.start < part.end)
        });
        self.unread = parts.collect();
    }
}

/// An offset within a block, which is much smaller than the address space.
fn within(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

/// Bytes that a connection brings while the next answer is waited for, and no less than is worth a request.
fn block_for(latency: Duration) -> u64 {
    let bytes = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX).saturating_mul(RATE / 1_000_000);
    bytes.clamp(BLOCK_OF_QUICK_STORE, GREATEST_BLOCK)
}

/// The blocks that hold `ranges`, none longer than `greatest`.
fn blocks(mut ranges: Vec<Range<u64>>, greatest: u64) -> Vec<Block> {
    ranges.retain(|range| range.start < range.end);
    ranges.sort_by_key(|range| range.start);
    let mut joined: Vec<(Range<u64>, Vec<Range<u64>>)> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some((whole, parts)) if range.start <= whole.end.saturating_add(GAP) => {
                whole.end = whole.end.max(range.end);
                match parts.last_mut() {
                    Some(part) if range.start <= part.end => part.end = part.end.max(range.end),
                    _ => parts.push(range),
                }
            }
            _ => joined.push((range.clone(), vec![range])),
        }
    }
    let mut blocks = Vec::new();
    for (whole, parts) in joined {
        let count = (whole.end - whole.start).div_ceil(greatest);
        let size = (whole.end - whole.start).div_ceil(count);
        for number in 0..count {
            let range = whole.start + number * size..(whole.start + (number + 1) * size).min(whole.end);
            let inside = |part: &Range<u64>| part.start.max(range.start)..part.end.min(range.end);
            let unread: Vec<_> = parts.iter().map(inside).filter(|part| part.start < part.end).collect();
            // A block of nothing but a gap is not wanted.
            if !unread.is_empty() {
                blocks.push(Block { range, unread, state: State::Planned });
            }
        }
    }
    blocks
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "plans are lists of ranges, also of one")]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::AtomicU64;

    use super::*;

    fn ranges(blocks: &[Block]) -> Vec<Range<u64>> {
        blocks.iter().map(|block| block.range.clone()).collect()
    }

    #[test]
    fn close_ranges_are_joined_and_long_ones_cut() {
        let far = GAP + 10;
        let close = vec![100..200, 0..50, 150..300, 300 + far..400 + far];
        let found = blocks(close, 1 << 20);
        assert_eq!(ranges(&found), [0..300, 300 + far..400 + far]);
        assert_eq!(found[0].unread, [0..50, 100..300]);
        assert_eq!(ranges(&blocks(vec![0..10, 10..25], 10)), [0..9, 9..18, 18..25]);
        assert!(blocks(vec![5..5], 10).is_empty());
    }

    /// Reads `reads` of a file whose bytes are their offsets, and says which blocks were fetched.
    fn read(ahead: &mut Ahead, reads: &[Range<u64>], room: bool) -> Vec<Range<u64>> {
        let interrupts = AtomicU64::new(0);
        let watch = Watch { interrupts: &interrupts, cancel: None };
        let fetched = Mutex::new(Vec::new());
        let start = |range: Range<u64>| {
            if !room {
                return Ok(None);
            }
            fetched.lock().unwrap().push(range.clone());
            let bytes: Bytes = range.map(|offset| offset as u8).collect::<Vec<u8>>().into();
            Pending::start(async move { Ok(bytes) }).map(Some)
        };
        for range in reads {
            let mut at = range.start;
            while at < range.end {
                let Some(bytes) = ahead.take(at, range.end - at, watch, start).unwrap() else { break };
                assert!(!bytes.is_empty() && bytes[0] == at as u8);
                at += bytes.len() as u64;
            }
        }
        fetched.into_inner().unwrap()
    }

    #[test]
    fn the_slower_the_answers_the_more_is_under_way() {
        let sizes = |allowance: u64, milliseconds: Option<u64>| {
            let ahead = Ahead::new(allowance, milliseconds.map(Duration::from_millis));
            (ahead.block, ahead.allowance)
        };
        assert_eq!(sizes(32 << 20, None), (8 << 20, 32 << 20));
        assert_eq!(sizes(32 << 20, Some(0)), (1 << 20, 4 << 20));
        assert_eq!(sizes(32 << 20, Some(8)), (4_000_000, 16_000_000));
        assert_eq!(sizes(32 << 20, Some(60_000)), (8 << 20, 32 << 20));
        assert_eq!(sizes(2 << 20, Some(0)), (512 << 10, 2 << 20));
        assert_eq!(sizes(100, Some(0)), (LEAST_BLOCK, 100));
    }

    #[test]
    fn everything_is_fetched_once_and_let_go_when_read() {
        let mut ahead = Ahead::new(4 * LEAST_BLOCK, None);
        ahead.plan(vec![0..10 * LEAST_BLOCK]);
        assert_eq!(read(&mut ahead, &[0..10], true).len(), 4);
        let rest = read(&mut ahead, &[10..LEAST_BLOCK * 5, LEAST_BLOCK * 5..LEAST_BLOCK * 10], true);
        assert_eq!(rest.len(), 6);
        assert_eq!(ahead.held, 0);
        assert!(ahead.blocks.iter().all(|block| matches!(block.state, State::Gone)));
    }

    #[test]
    fn what_is_not_planned_or_has_no_room_is_left_to_the_reader() {
        let mut ahead = Ahead::new(1 << 20, None);
        ahead.plan(vec![100..200]);
        assert!(read(&mut ahead, &[0..10, 200..210], true).is_empty());
        assert!(read(&mut ahead, &[100..110], false).is_empty());
        assert_eq!(read(&mut ahead, &[100..110], true), [100..200]);
    }
}
