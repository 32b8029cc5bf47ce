//! The functions of one split at work: page after page, each function adds its column.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::record_batch::RecordBatch;

use super::bounds::{Current, FrameBounds, Frames};
use super::distance::{NthBy, ShiftBy};
use super::groups::Groups;
use super::layout::{Layout, Slot};
use super::pages::Pages;
use super::rank::Rank;
use super::shift::Shift;
use super::slide::Slide;
use super::source::Ordered;
use super::value::Nth;
use crate::error::Result;
use crate::expr::WindowFunction;
use crate::memory::Reservation;
use crate::store::QueryContext;

/// One function's state between pages.
pub(super) trait FunctionWork: Send {
    /// Its values for the rows of the current page; `frames` where it has a frame.
    fn evaluate(&mut self, current: &Current, frames: Option<&Frames>, pages: &mut Pages) -> Result<ArrayRef>;

    /// The first position before the next page that it can still ask for; anything greater when it needs none.
    fn needs_from(&self) -> u64;

    /// Bytes that it holds.
    fn bytes(&self) -> usize {
        0
    }
}

/// All functions over the sorted rows of one split.
pub(super) struct Evaluation {
    layout: Arc<Layout>,
    context: Arc<QueryContext>,
    pages: Pages,
    works: Vec<(Box<dyn FunctionWork>, Option<usize>)>,
    bounds: Vec<FrameBounds>,
    /// The next row without values.
    position: u64,
    /// For each level, where the group of the row before it began.
    open: Vec<u64>,
    reservation: Reservation,
}

impl Evaluation {
    pub(super) fn new(layout: &Arc<Layout>, context: &Arc<QueryContext>, rows: Ordered) -> Result<Self> {
        let mut bounds: Vec<(FrameBounds, &Slot)> = Vec::new();
        let mut works: Vec<(Box<dyn FunctionWork>, Option<usize>)> = Vec::with_capacity(layout.slots.len());
        for (index, slot) in layout.slots.iter().enumerate() {
            let work: Box<dyn FunctionWork> = match slot.call.function() {
                WindowFunction::Shift { back } => Box::new(Shift::new(slot, *back)?),
                WindowFunction::ShiftBy { ahead } => Box::new(ShiftBy::new(slot, *ahead)?),
                WindowFunction::Nth(n) => Box::new(Nth::new(slot, *n)?),
                WindowFunction::NthBy => Box::new(NthBy::new(slot)?),
                WindowFunction::Aggregate(_) => Box::new(Slide::new(slot, index)?),
                _ => Box::new(Rank::new(slot)),
            };
            let framed = matches!(
                slot.call.function(),
                WindowFunction::Nth(_) | WindowFunction::NthBy | WindowFunction::Aggregate(_)
            );
            let frame = match framed {
                false => None,
                true => Some(match bounds.iter().position(|(known, of)| known.serves(of, slot)) {
                    Some(known) => known,
                    None => {
                        bounds.push((FrameBounds::new(slot)?, slot));
                        bounds.len() - 1
                    }
                }),
            };
            works.push((work, frame));
        }
        Ok(Evaluation {
            bounds: bounds.into_iter().map(|(bounds, _)| bounds).collect(),
            pages: Pages::new(layout.clone(), context.clone(), rows),
            works,
            position: 0,
            open: vec![0; layout.levels()],
            reservation: context.budget.reservation("Window"),
            layout: layout.clone(),
            context: context.clone(),
        })
    }

    /// The next rows with the functions' values.
    pub(super) fn next(&mut self) -> Result<Option<RecordBatch>> {
        self.context.cancel.check()?;
        let Some(page) = self.pages.at(self.position)? else { return Ok(None) };
        let groups = (0..self.layout.levels()).map(|level| {
            let bits = self.pages.bits(&page, level)?;
            Ok(Groups::new(&bits, page.start, self.open[level]))
        });
        let current = Current { groups: groups.collect::<Result<_>>()?, page };
        let frames = self.bounds.iter_mut().map(|bounds| bounds.frames(&current, &mut self.pages));
        let frames = frames.collect::<Result<Vec<_>>>()?;
        let mut values = Vec::with_capacity(self.works.len());
        for (work, frame) in &mut self.works {
            let frames = frame.and_then(|index| frames.get(index));
            values.push(work.evaluate(&current, frames, &mut self.pages)?);
        }
        let output = self.layout.output_batch(&current.page, &values)?;
        self.position = current.page.end();
        for (open, groups) in self.open.iter_mut().zip(&current.groups) {
            *open = groups.last();
        }
        drop(current);
        self.settle()?;
        Ok(Some(output))
    }

    /// Lets go of the pages behind, and counts what the functions hold.
    fn settle(&mut self) -> Result<()> {
        let needed = self.works.iter().map(|(work, _)| work.needs_from());
        let needed = needed.chain(self.bounds.iter().map(FrameBounds::needs_from)).min().unwrap_or(u64::MAX);
        self.pages.release(needed.min(self.position));
        let bytes: usize = self.works.iter().map(|(work, _)| work.bytes()).sum();
        let bytes = bytes + self.bounds.iter().map(FrameBounds::bytes).sum::<usize>();
        if bytes > self.reservation.bytes() {
            self.reservation.grow(bytes - self.reservation.bytes())?;
        } else {
            self.reservation.shrink(self.reservation.bytes() - bytes);
        }
        Ok(())
    }
}
