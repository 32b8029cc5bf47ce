//! EXCLUDE: the rows of a frame without the current row, its peers or both.
//!
//! A frame with something left out is up to three ranges of rows.

use super::bounds::{Current, Frames};
use super::groups::Span;
use super::layout::Slot;
use super::pages::Pages;
use crate::error::{Error, Result};
use crate::expr::Exclusion;

/// What a function's frames leave out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exclude {
    exclusion: Exclusion,
    /// The level of peers.
    peers: usize,
}

impl Exclude {
    pub(super) fn new(slot: &Slot) -> Self {
        Exclude { exclusion: slot.call.frame().exclusion, peers: slot.peers }
    }
}

/// The ranges of rows that remain of a frame, in order; some may be empty.
pub(super) type Remaining = [(u64, u64); 3];

/// Leaves rows out of the frames of one page.
pub(super) struct Excluder {
    exclusion: Exclusion,
    /// Groups of peers with their ends, where they matter, and the one that is looked at.
    peers: Vec<(Span, u64)>,
    group: usize,
    from: u64,
}

impl Excluder {
    /// `None` where nothing is left out.
    pub(super) fn new(exclude: Exclude, current: &Current, pages: &mut Pages) -> Result<Option<Self>> {
        let exclusion = exclude.exclusion;
        let peers = match exclusion {
            Exclusion::NoOthers => return Ok(None),
            Exclusion::CurrentRow => Vec::new(),
            Exclusion::Group | Exclusion::Ties => current.with_ends(exclude.peers, pages, u64::MAX)?,
        };
        Ok(Some(Excluder { exclusion, peers, group: 0, from: current.page.start }))
    }

    /// What remains of the frame of row `row` of the page; rows are asked for in order.
    pub(super) fn remaining(&mut self, row: usize, frames: &Frames) -> Result<Remaining> {
        let missing = || Error::internal("a row without its frame");
        let frame = (*frames.starts.get(row).ok_or_else(missing)?, *frames.ends.get(row).ok_or_else(missing)?);
        let position = self.from + row as u64;
        let own = (position, position + 1);
        let group = match self.exclusion {
            Exclusion::NoOthers => return Ok([frame, (frame.1, frame.1), (frame.1, frame.1)]),
            Exclusion::CurrentRow => own,
            Exclusion::Group | Exclusion::Ties => {
                while self.peers.get(self.group).is_some_and(|(span, _)| span.to as usize <= row) {
                    self.group += 1;
                }
                let (span, end) = self.peers.get(self.group).ok_or_else(missing)?;
                (span.start, *end)
            }
        };
        let within = |range: (u64, u64)| {
            let end = frame.1.max(frame.0);
            let start = range.0.clamp(frame.0, end);
            (start, range.1.clamp(start, end))
        };
        let kept = if self.exclusion == Exclusion::Ties { own } else { (position, position) };
        Ok([within((0, group.0)), within(kept), within((group.1, u64::MAX))])
    }

    /// The first row that the next page's rows can leave out.
    pub(super) fn needs_from(&self) -> u64 {
        self.peers.last().map_or(u64::MAX, |(span, _)| span.start)
    }
}

/// The n-th row of what remains, from 1 on, or from its end from -1 on.
pub(super) fn nth(remaining: &Remaining, n: i64) -> Option<u64> {
    let mut before = n.unsigned_abs().checked_sub(1)?;
    let mut find = |(start, end): (u64, u64)| {
        let rows = end.saturating_sub(start);
        if before < rows {
            return Some(if n > 0 { start + before } else { end - 1 - before });
        }
        before -= rows;
        None
    };
    if n > 0 {
        remaining.iter().find_map(|&range| find(range))
    } else {
        remaining.iter().rev().find_map(|&range| find(range))
    }
}
