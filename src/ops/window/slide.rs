//! Aggregates over frames: a frame is moved by what enters at its end and what leaves at its start.

use arrow::array::ArrayRef;

use super::bounds::{Current, Frames};
use super::exclude::{Exclude, Excluder, Remaining};
use super::layout::Slot;
use super::pages::Pages;
use super::works::FunctionWork;
use crate::error::{Error, Result};
use crate::expr::{Exclusion, Removal, SlidingAggregate, SlidingInputs, Step};

/// Smaller frames are filled anew rather than rounded.
const SMALL_FRAME: u64 = 64;

/// One aggregate and its frame, as far as it has come.
pub(super) struct Slide {
    index: usize,
    aggregate: Box<dyn SlidingAggregate>,
    /// Whether rows leave the frame within a partition.
    loses_rows: bool,
    exclude: Exclude,
    /// Where the peers of the last row begin, if EXCLUDE leaves them out.
    peers_from: u64,
    /// The rows `tail .. head` are in the aggregate.
    tail: u64,
    head: u64,
    /// Rows that have left since it was filled.
    left: u64,
    entering: Option<Inputs>,
    leaving: Option<Inputs>,
    steps: Vec<Step>,
    /// The last frame.
    last: Option<(u64, u64)>,
}

/// What a page gives to the aggregate.
struct Inputs {
    start: u64,
    end: u64,
    columns: SlidingInputs,
}

/// The end of the frame at which rows are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Entering,
    Leaving,
}

impl Slide {
    pub(super) fn new(slot: &Slot, index: usize) -> Result<Self> {
        Ok(Slide {
            index,
            aggregate: slot.call.sliding()?,
            loses_rows: slot.call.frame().start_moves() || slot.call.frame().exclusion != Exclusion::NoOthers,
            exclude: Exclude::new(slot),
            peers_from: u64::MAX,
            tail: 0,
            head: 0,
            left: 0,
            entering: None,
            leaving: None,
            steps: Vec::new(),
            last: None,
        })
    }

    /// Lets the aggregate follow the steps so far.
    fn apply(&mut self, current: &Current, pages: &Pages) -> Result<()> {
        if self.steps.is_empty() {
            return Ok(());
        }
        let none = match (&self.entering, &self.leaving) {
            (Some(_), Some(_)) => None,
            // No row is named then; any page will do.
            _ => Some(self.slot(pages)?.inputs(&current.page)?),
        };
        let columns = |side: &Option<Inputs>| side.as_ref().map(|inputs| inputs.columns.clone());
        let missing = || Error::internal("a frame without rows");
        let entering = columns(&self.entering).or_else(|| none.clone()).ok_or_else(missing)?;
        let leaving = columns(&self.leaving).or(none).ok_or_else(missing)?;
        self.aggregate.apply(&entering, &leaving, &self.steps)?;
        self.steps.clear();
        Ok(())
    }

    fn slot<'a>(&self, pages: &'a Pages) -> Result<&'a Slot> {
        pages.layout().slots.get(self.index).ok_or_else(|| Error::internal("a function that does not exist"))
    }

    /// Rows `from .. to` enter or leave.
    fn move_rows(&mut self, side: Side, from: u64, to: u64, current: &Current, pages: &mut Pages) -> Result<()> {
        let mut from = from;
        while from < to {
            let inputs = if side == Side::Entering { &self.entering } else { &self.leaving };
            let known = inputs.as_ref().filter(|inputs| inputs.start <= from && from < inputs.end);
            let (start, end) = match known {
                Some(inputs) => (inputs.start, inputs.end),
                None => {
                    self.apply(current, pages)?;
                    self.load(side, from, pages)?
                }
            };
            let until = to.min(end);
            let (first, last) = (offset(from - start)?, offset(until - start)?);
            self.steps.push(match side {
                Side::Entering => Step::Add { from: first, to: last },
                Side::Leaving => Step::Remove { from: first, to: last },
            });
            from = until;
        }
        Ok(())
    }

    fn load(&mut self, side: Side, position: u64, pages: &mut Pages) -> Result<(u64, u64)> {
        let page = pages.at(position)?.ok_or_else(|| Error::internal("a frame behind the last row"))?;
        let columns = self.slot(pages)?.inputs(&page)?;
        let inputs = Inputs { start: page.start, end: page.end(), columns };
        let range = (inputs.start, inputs.end);
        match side {
            Side::Entering => self.entering = Some(inputs),
            Side::Leaving => self.leaving = Some(inputs),
        }
        Ok(range)
    }

    /// Moves the frame to `start .. end`.
    fn move_to(&mut self, start: u64, end: u64, current: &Current, pages: &mut Pages) -> Result<()> {
        let end = end.max(start);
        // RANGE frames of months may go back.
        let goes_back = start < self.tail || end < self.head;
        let loses = self.tail < start && !self.may_remove();
        if start >= self.head || goes_back || loses || !self.aggregate.remembers() {
            self.steps.push(Step::Reset);
            (self.tail, self.head, self.left) = (start, start, 0);
        }
        self.move_rows(Side::Entering, self.head, end, current, pages)?;
        self.head = self.head.max(end);
        self.move_rows(Side::Leaving, self.tail, start, current, pages)?;
        self.left += start - self.tail;
        self.tail = start;
        Ok(())
    }

    /// Whether rows may leave the frame as it is now.
    fn may_remove(&self) -> bool {
        let rows = self.head - self.tail;
        match self.aggregate.removal() {
            Removal::Any | Removal::Exact => true,
            Removal::Rounded => rows >= SMALL_FRAME && self.left <= rows,
            Removal::Never => false,
        }
    }

    /// The value over what `remaining` leaves of the frame.
    fn emit_remaining(
        &mut self,
        (start, end): (u64, u64),
        remaining: Remaining,
        current: &Current,
        pages: &mut Pages,
    ) -> Result<()> {
        if self.aggregate.removal() != Removal::Any {
            self.steps.push(Step::Reset);
            for (from, to) in remaining {
                self.move_rows(Side::Entering, from, to, current, pages)?;
            }
            self.emit();
            (self.tail, self.head) = (start, start);
            return Ok(());
        }
        self.move_to(start, end, current, pages)?;
        let [before, own, behind] = remaining;
        let left_out = [(before.1, own.0), (own.1, behind.0)];
        for (from, to) in left_out {
            self.move_rows(Side::Leaving, from, to, current, pages)?;
        }
        self.emit();
        for (from, to) in left_out {
            self.move_rows(Side::Entering, from, to, current, pages)?;
        }
        Ok(())
    }

    fn emit(&mut self) {
        match self.steps.last_mut() {
            Some(Step::Emit { rows }) => *rows += 1,
            _ => self.steps.push(Step::Emit { rows: 1 }),
        }
    }
}

fn offset(rows: u64) -> Result<u32> {
    u32::try_from(rows).map_err(|_| Error::internal("a page of more than 2^32 rows"))
}

impl FunctionWork for Slide {
    fn evaluate(&mut self, current: &Current, frames: Option<&Frames>, pages: &mut Pages) -> Result<ArrayRef> {
        let frames = frames.ok_or_else(|| Error::internal("an aggregate without its frames"))?;
        if let Some(mut excluder) = Excluder::new(self.exclude, current, pages)? {
            let mut last = None;
            for (row, (&start, &end)) in frames.starts.iter().zip(&frames.ends).enumerate() {
                let remaining = excluder.remaining(row, frames)?;
                if last == Some(remaining) {
                    self.emit();
                    continue;
                }
                self.emit_remaining((start, end), remaining, current, pages)?;
                last = Some(remaining);
            }
            self.peers_from = excluder.needs_from();
            self.apply(current, pages)?;
            return self.aggregate.take();
        }
        for (&start, &end) in frames.starts.iter().zip(&frames.ends) {
            if self.last != Some((start, end)) {
                self.move_to(start, end, current, pages)?;
                self.last = Some((start, end));
            }
            self.emit();
        }
        self.apply(current, pages)?;
        self.aggregate.take()
    }

    fn needs_from(&self) -> u64 {
        let frame = if self.loses_rows || !self.aggregate.remembers() { self.tail } else { self.head };
        frame.min(self.peers_from)
    }

    fn bytes(&self) -> usize {
        self.aggregate.bytes() + self.steps.capacity() * size_of::<Step>()
    }
}
