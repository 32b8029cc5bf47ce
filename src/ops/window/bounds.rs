//! The frame of every row of a page.
//!
//! Invariant: starts and ends never go back, from row to row and from partition to partition, but for RANGE frames of
//! months (see [`range`](super::range)); a frame whose end is not behind its start is empty.

use std::collections::VecDeque;

use super::groups::{Groups, Span};
use super::layout::Slot;
use super::pages::{PageView, Pages};
use super::range::RangeSearch;
use crate::error::{Error, Result};
use crate::expr::{Bound, Frame, FrameUnits, Offset};

/// The page whose rows get their values now.
pub(super) struct Current {
    pub(super) page: PageView,
    /// Its groups, by level.
    pub(super) groups: Vec<Groups>,
}

impl Current {
    pub(super) fn rows(&self) -> usize {
        self.page.num_rows()
    }

    pub(super) fn level(&self, level: usize) -> Result<&Groups> {
        self.groups.get(level).ok_or_else(|| Error::internal("a window's level that does not exist"))
    }

    /// The groups of a level with their ends; the last one's end is known up to `limit` only.
    pub(super) fn with_ends(&self, level: usize, pages: &mut Pages, limit: u64) -> Result<Vec<(Span, u64)>> {
        let mut spans: Vec<(Span, u64)> =
            self.level(level)?.spans().map(|span| (span, self.page.start + u64::from(span.to))).collect();
        let end = self.page.end();
        if let Some((_, last)) = spans.last_mut() {
            *last = if limit <= end { end } else { pages.next_group(level, end, limit)? };
        }
        Ok(spans)
    }
}

/// The frames of a page's rows.
#[derive(Debug, Default)]
pub(super) struct Frames {
    pub(super) starts: Vec<u64>,
    pub(super) ends: Vec<u64>,
}

/// Finds the frames of one kind, page after page.
pub(super) struct FrameBounds {
    frame: Frame,
    partition: usize,
    peers: usize,
    start: Side,
    end: Side,
}

/// How one end of the frame is found, with what it remembers of the rows before.
enum Side {
    Simple,
    Groups(GroupSeek),
    Range(Box<RangeSearch>),
}

impl FrameBounds {
    pub(super) fn new(slot: &Slot) -> Result<Self> {
        let frame = slot.call.frame().clone();
        let side = |bound: &Bound, is_end: bool| -> Result<Side> {
            Ok(match (bound, frame.units) {
                (Bound::Preceding(Offset::Count(groups)), FrameUnits::Groups) => {
                    Side::Groups(GroupSeek::new(-i128::from(*groups) + i128::from(is_end)))
                }
                (Bound::Following(Offset::Count(groups)), FrameUnits::Groups) => {
                    Side::Groups(GroupSeek::new(i128::from(*groups) + i128::from(is_end)))
                }
                (Bound::Preceding(Offset::Value(offset)), _) => {
                    Side::Range(Box::new(RangeSearch::new(slot, offset, false, is_end)?))
                }
                (Bound::Following(Offset::Value(offset)), _) => {
                    Side::Range(Box::new(RangeSearch::new(slot, offset, true, is_end)?))
                }
                _ => Side::Simple,
            })
        };
        let (start, end) = (side(&frame.start, false)?, side(&frame.end, true)?);
        Ok(FrameBounds { frame, partition: slot.partition, peers: slot.peers, start, end })
    }

    /// Whether these are the frames of `slot`, too.
    pub(super) fn serves(&self, slot: &Slot, other: &Slot) -> bool {
        let same_order = slot.order == other.order || !self.frame.has_range_offset();
        &self.frame == other.call.frame()
            && self.partition == other.partition
            && self.peers == other.peers
            && same_order
    }

    /// The frames of the current page's rows.
    pub(super) fn frames(&mut self, current: &Current, pages: &mut Pages) -> Result<Frames> {
        let place = (self.partition, self.peers, self.frame.units);
        let starts = bounds(place, &self.frame.start, &mut self.start, false, current, pages)?;
        let ends = bounds(place, &self.frame.end, &mut self.end, true, current, pages)?;
        Ok(Frames { starts, ends })
    }

    /// The first position that is still looked at.
    pub(super) fn needs_from(&self) -> u64 {
        let needs = |side: &Side| match side {
            Side::Range(search) => search.position(),
            _ => u64::MAX,
        };
        needs(&self.start).min(needs(&self.end))
    }

    /// Bytes that it holds between pages.
    pub(super) fn bytes(&self) -> usize {
        let bytes = |side: &Side| match side {
            Side::Groups(seek) => (seek.before.capacity() + seek.behind.capacity()) * size_of::<u64>(),
            _ => 0,
        };
        bytes(&self.start) + bytes(&self.end)
    }
}

type LevelsAndUnits = (usize, usize, FrameUnits);

fn bounds(
    (partition, peers, units): LevelsAndUnits,
    bound: &Bound,
    side: &mut Side,
    is_end: bool,
    current: &Current,
    pages: &mut Pages,
) -> Result<Vec<u64>> {
    match (side, bound) {
        (Side::Groups(seek), _) => seek.find((partition, peers), current, pages),
        (Side::Range(search), _) => search.find((partition, peers), current, pages),
        (Side::Simple, Bound::Unbounded) => group_bounds(partition, is_end, current, pages),
        (Side::Simple, Bound::CurrentRow) if units != FrameUnits::Rows => group_bounds(peers, is_end, current, pages),
        (Side::Simple, Bound::CurrentRow) => row_bounds(partition, 0, is_end, current, pages),
        (Side::Simple, Bound::Preceding(Offset::Count(rows))) => {
            row_bounds(partition, -i128::from(*rows), is_end, current, pages)
        }
        (Side::Simple, Bound::Following(Offset::Count(rows))) => {
            row_bounds(partition, i128::from(*rows), is_end, current, pages)
        }
        (Side::Simple, Bound::Preceding(_) | Bound::Following(_)) => Err(Error::internal("a ROWS frame by values")),
    }
}

/// The first or the end of each row's group.
fn group_bounds(level: usize, is_end: bool, current: &Current, pages: &mut Pages) -> Result<Vec<u64>> {
    let mut bounds = Vec::with_capacity(current.rows());
    let limit = if is_end { u64::MAX } else { 0 };
    for (span, end) in current.with_ends(level, pages, limit)? {
        let bound = if is_end { end } else { span.start };
        bounds.extend(std::iter::repeat_n(bound, (span.to - span.from) as usize));
    }
    Ok(bounds)
}

/// So many rows from each row, within its partition.
fn row_bounds(partition: usize, offset: i128, is_end: bool, current: &Current, pages: &mut Pages) -> Result<Vec<u64>> {
    let offset = offset + i128::from(is_end);
    let moved = |position: u64| u64::try_from((i128::from(position) + offset).max(0)).unwrap_or(u64::MAX);
    let mut bounds = Vec::with_capacity(current.rows());
    let limit = moved(current.page.end().saturating_sub(1));
    for (span, end) in current.with_ends(partition, pages, limit)? {
        let first = current.page.start + u64::from(span.from);
        let rows = first..current.page.start + u64::from(span.to);
        if offset <= 1 {
            bounds.extend(rows.map(|row| moved(row).max(span.start)));
        } else {
            bounds.extend(rows.map(|row| moved(row).min(end)));
        }
    }
    Ok(bounds)
}

/// Finds the beginning of the group that is so many groups from the current one: the partition's first if there is none
/// before, its end if there is none behind.
struct GroupSeek {
    distance: i128,
    /// Beginnings of the current group and of those before it that can matter.
    before: VecDeque<u64>,
    /// Beginnings of the groups behind the current one that have been looked up.
    behind: VecDeque<u64>,
    /// The end of the partition once it is known.
    end: Option<u64>,
}

impl GroupSeek {
    fn new(distance: i128) -> Self {
        GroupSeek { distance, before: VecDeque::new(), behind: VecDeque::new(), end: None }
    }

    fn find(&mut self, levels: (usize, usize), current: &Current, pages: &mut Pages) -> Result<Vec<u64>> {
        let mut bounds = Vec::with_capacity(current.rows());
        let partitions = current.level(levels.0)?.spans().filter(|span| span.begins);
        let mut partitions = partitions.map(|span| span.start).peekable();
        for span in current.level(levels.1)?.spans() {
            if partitions.next_if_eq(&span.start).is_some() {
                self.before.clear();
                self.behind.clear();
                self.end = None;
            }
            if span.begins {
                self.before.push_back(span.start);
            }
            let bound = if self.distance > 0 { self.ahead(levels, span.start, pages)? } else { self.back() };
            bounds.extend(std::iter::repeat_n(bound, (span.to - span.from) as usize));
        }
        Ok(bounds)
    }

    fn back(&mut self) -> u64 {
        while i128::try_from(self.before.len()).unwrap_or(0) > 1 - self.distance {
            self.before.pop_front();
        }
        self.before.front().copied().unwrap_or(0)
    }

    fn ahead(&mut self, (partition, peers): (usize, usize), start: u64, pages: &mut Pages) -> Result<u64> {
        self.before.clear();
        while self.behind.front().is_some_and(|&group| group <= start) {
            self.behind.pop_front();
        }
        while i128::try_from(self.behind.len()).unwrap_or(0) < self.distance {
            if let Some(end) = self.end {
                return Ok(end);
            }
            let last = self.behind.back().copied().unwrap_or(start);
            let next = pages.next_group(peers, last + 1, u64::MAX)?;
            let is_other_partition = !pages.has(next)? || pages.next_group(partition, next, next + 1)? == next;
            if is_other_partition {
                self.end = Some(next);
            } else {
                self.behind.push_back(next);
            }
        }
        let index = usize::try_from(self.distance - 1).unwrap_or(usize::MAX);
        self.behind.get(index).copied().ok_or_else(|| Error::internal("a group that was counted is gone"))
    }
}
