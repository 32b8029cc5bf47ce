//! Which of the rows in the order of their values is the partner.

use std::cmp::Ordering;
use std::ops::Range;

use crate::ops::join::range::keys::Keys;

/// Which row of the right side a row of the left side meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The last one whose value is at most (`strict`: less than) the left one's.
    Backward { strict: bool },
    /// The first one whose value is at least (`strict`: greater than) the left one's.
    Forward { strict: bool },
    /// The one whose value is nearest; of two the one before.
    Nearest,
}

impl Direction {
    pub(super) fn describe(self) -> &'static str {
        match self {
            Direction::Backward { strict: false } => ">=",
            Direction::Backward { strict: true } => ">",
            Direction::Forward { strict: false } => "<=",
            Direction::Forward { strict: true } => "<",
            Direction::Nearest => "nearest",
        }
    }

    /// The partner of left row `row` among the right rows of `range`, which are in the order of their values. Of
    /// several rows of one value the last is taken backward, the first forward.
    pub(super) fn partner(self, left: &Keys, row: usize, right: &Keys, range: Range<usize>) -> Option<usize> {
        let before = |counts: fn(Ordering) -> bool| {
            let (mut low, mut high) = (range.start, range.end);
            while low < high {
                let middle = low + (high - low) / 2;
                if counts(right.compare(middle, left, row)) { low = middle + 1 } else { high = middle }
            }
            low
        };
        let last = |end: usize| (end > range.start).then(|| end - 1);
        let first = |start: usize| (start < range.end).then_some(start);
        match self {
            Direction::Backward { strict: false } => last(before(Ordering::is_le)),
            Direction::Backward { strict: true } => last(before(Ordering::is_lt)),
            Direction::Forward { strict: false } => first(before(Ordering::is_lt)),
            Direction::Forward { strict: true } => first(before(Ordering::is_le)),
            Direction::Nearest => {
                let end = before(Ordering::is_le);
                nearer(left, row, right, last(end), first(end))
            }
        }
    }
}

/// The nearer of the last right row at or before the left one and the first behind it.
pub(super) fn nearer(
    left: &Keys,
    row: usize,
    right: &Keys,
    before: Option<usize>,
    behind: Option<usize>,
) -> Option<usize> {
    match (before, behind) {
        (Some(before), Some(behind)) => {
            let is_behind = left.distance(row, right, behind) < left.distance(row, right, before);
            Some(if is_behind { behind } else { before })
        }
        (before, behind) => before.or(behind),
    }
}
