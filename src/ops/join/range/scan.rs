//! The pairs of two sorted blocks that satisfy one or two comparisons.
//!
//! Both blocks are in the order of their first keys, so the first comparison gives each row of the right block a bound:
//! its partners are the left rows before it, or from it on. For the second, the right rows are visited in the order of
//! their second keys while the left rows whose second keys satisfy it are put into a set; the partners are those of the
//! set on the right side of the bound (Khayyat et al., "Lightning Fast and Space Efficient Inequality Joins", 2015, with
//! a [summarised set](super::bitset) in place of the bitmap that is scanned).

use std::cmp::Ordering;
use std::sync::Arc;

use super::bitset::BitSet;
use super::block::SortedBlock;
use crate::ops::join::nested_loop::bits::Bits;

/// How the left key has to compare with the right one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    /// Whether `left ? right` holds for two keys of that order.
    pub(super) fn holds(self, ordering: Ordering) -> bool {
        match self {
            Comparison::Less => ordering.is_lt(),
            Comparison::LessOrEqual => ordering.is_le(),
            Comparison::Greater => ordering.is_gt(),
            Comparison::GreaterOrEqual => ordering.is_ge(),
        }
    }

    /// The comparison with its sides exchanged.
    #[must_use]
    pub fn flipped(self) -> Self {
        match self {
            Comparison::Less => Comparison::Greater,
            Comparison::LessOrEqual => Comparison::GreaterOrEqual,
            Comparison::Greater => Comparison::Less,
            Comparison::GreaterOrEqual => Comparison::LessOrEqual,
        }
    }

    /// Whether the smaller left keys are the ones that satisfy it.
    pub(super) fn is_less(self) -> bool {
        matches!(self, Comparison::Less | Comparison::LessOrEqual)
    }

    pub(super) fn symbol(self) -> &'static str {
        match self {
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
        }
    }
}

/// What is wanted of the pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of them.
    Pairs,
    /// For each left row one, if there is any.
    LeftRows,
    /// For each right row one, if there is any.
    RightRows,
}

/// The pairs of two blocks, some at a time.
pub(super) struct Scan {
    left: Arc<SortedBlock>,
    right: Arc<SortedBlock>,
    wanted: Wanted,
    /// For each right row with a first key: partners are the left rows before this one, or from it on.
    bounds: Vec<u32>,
    before: bool,
    second: Option<Second>,
    /// The right row (in order of visit) at which the scan stands, and the left row at which it goes on.
    visit: usize,
    position: usize,
    entered: bool,
}

/// The second comparison on its way.
struct Second {
    comparison: Comparison,
    set: BitSet,
    /// How many left rows (in order of second keys) are in the set.
    inserted: usize,
}

impl Scan {
    pub(super) fn new(
        left: Arc<SortedBlock>,
        right: Arc<SortedBlock>,
        (first, second): (Comparison, Option<Comparison>),
        wanted: Wanted,
    ) -> Self {
        let second = second.map(|comparison| Second { comparison, set: BitSet::new(left.keyed_rows()), inserted: 0 });
        let bounds = bounds(&left, &right, first);
        Scan { left, right, wanted, bounds, before: first.is_less(), second, visit: 0, position: 0, entered: false }
    }

    /// Appends pairs until there are `most` or there are no more; gives whether there may be more. `skip` says which
    /// left rows need no (further) partner.
    pub(super) fn fill(
        &mut self,
        most: usize,
        skip: Option<&Bits>,
        left_rows: &mut Vec<u32>,
        right_rows: &mut Vec<u32>,
    ) -> bool {
        while left_rows.len() < most {
            if !self.entered && !self.enter() {
                return false;
            }
            let Some(right) = self.right_row(self.visit) else { return false };
            let bound = self.bounds[right as usize] as usize;
            let end = if self.before { bound } else { self.left.keyed_rows() };
            while left_rows.len() < most {
                let next = match &self.second {
                    Some(second) => second.set.next(self.position),
                    None => Some(self.position),
                };
                let Some(left) = next.filter(|&left| left < end) else {
                    self.leave();
                    break;
                };
                self.position = left + 1;
                if skip.is_some_and(|skip| skip.get(left)) {
                    if let Some(second) = &mut self.second {
                        second.set.remove(left);
                    }
                    continue;
                }
                // Rows of batches, which have fewer than 2^32.
                left_rows.push(left as u32);
                right_rows.push(right);
                match (self.wanted, &mut self.second) {
                    (Wanted::LeftRows, Some(second)) => second.set.remove(left),
                    (Wanted::RightRows, _) => {
                        self.leave();
                        break;
                    }
                    _ => {}
                }
            }
        }
        true
    }

    /// How many pairs there are in all, where that is seen without looking at each.
    pub(super) fn count(&self) -> Option<u64> {
        if self.second.is_some() {
            return None;
        }
        let keyed = self.left.keyed_rows() as u64;
        let of = |&bound: &u32| if self.before { u64::from(bound) } else { keyed - u64::from(bound) };
        Some(self.bounds.iter().map(of).sum())
    }

    /// The `visit`-th right row that is visited.
    fn right_row(&self, visit: usize) -> Option<u32> {
        let Some(second) = &self.second else { return u32::try_from(visit).ok().filter(|_| visit < self.bounds.len()) };
        let order = &self.right.order;
        match second.comparison.is_less() {
            true => order.get(visit),
            false => order.get(order.len().checked_sub(visit + 1)?),
        }
        .copied()
    }

    /// Begins with the right row at which the scan stands.
    fn enter(&mut self) -> bool {
        let Some(right) = self.right_row(self.visit) else { return false };
        if let Some(second) = &mut self.second {
            let (Some(left_keys), Some(right_keys)) = (&self.left.second, &self.right.second) else { return false };
            let order = &self.left.order;
            while second.inserted < order.len() {
                let index =
                    if second.comparison.is_less() { second.inserted } else { order.len() - 1 - second.inserted };
                let left = order[index] as usize;
                if !second.comparison.holds(left_keys.compare(left, right_keys, right as usize)) {
                    break;
                }
                second.set.insert(left);
                second.inserted += 1;
            }
        }
        self.position = if self.before { 0 } else { self.bounds[right as usize] as usize };
        if self.wanted == Wanted::LeftRows && self.second.is_none() {
            self.position = self.position.max(self.first_unseen());
        }
        self.entered = true;
        true
    }

    /// With one comparison, and for left rows only: those before this one have been given. Bounds ascend, so where the
    /// partners are the rows before the bound, all before the last bound are known; where they are those behind it,
    /// the first right row has all.
    fn first_unseen(&self) -> usize {
        match (self.visit.checked_sub(1).and_then(|visit| self.bounds.get(visit)), self.before) {
            (None, _) => 0,
            (Some(&bound), true) => bound as usize,
            (Some(_), false) => self.left.keyed_rows(),
        }
    }

    fn leave(&mut self) {
        self.visit += 1;
        self.entered = false;
    }
}

/// For each right row with a first key, how many left rows stand before its partners, or are its partners.
fn bounds(left: &SortedBlock, right: &SortedBlock, comparison: Comparison) -> Vec<u32> {
    // Left rows with a key that is less (or not greater) than the right row's come first.
    let counts_equal = matches!(comparison, Comparison::LessOrEqual | Comparison::Greater);
    let mut bounds = Vec::with_capacity(right.keyed_rows());
    let mut bound = 0;
    for right_row in 0..right.keyed_rows() {
        while bound < left.keyed_rows() {
            let ordering = left.first.compare(bound, &right.first, right_row);
            if ordering.is_lt() || (counts_equal && ordering.is_eq()) { bound += 1 } else { break }
        }
        bounds.push(bound as u32);
    }
    bounds
}
