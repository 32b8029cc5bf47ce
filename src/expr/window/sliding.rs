//! Aggregates over a frame that moves along the sorted rows.
//!
//! Whoever moves the frame says in [`Step`]s what enters, what leaves and where a value is due; steps come in batches
//! that concern one page of rows at each end, so that a call costs nothing per row.
//!
//! Invariant: rows enter in order, and leave in the order in which they entered, unless the aggregate can lose
//! [any](Removal::Any).

use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::buffer::NullBuffer;

use super::extreme;
use super::library::LibraryAggregate;
use super::ordered;
use super::totals;
use crate::error::Result;
use crate::expr::aggregate::AggregateCall;
use crate::expr::functions::counted;

/// One move of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The frame is empty.
    Reset,
    /// Rows `from .. to` of the page at the frame's end enter.
    Add { from: u32, to: u32 },
    /// Rows `from .. to` of the page at the frame's start leave.
    Remove { from: u32, to: u32 },
    /// The value is that of the next so many rows of output.
    Emit { rows: u32 },
}

/// How rows can leave an aggregate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// As if they had never been there, whichever they are.
    Any,
    /// As if they had never been there, those first that entered first.
    Exact,
    /// But for rounding: a small frame, and one that has lost as many rows as it has, is filled anew.
    Rounded,
    /// Not at all: a frame that loses rows is filled anew.
    Never,
}

/// What one page of rows gives to an aggregate.
#[derive(Debug, Clone)]
pub struct SlidingInputs {
    pub arguments: Vec<ArrayRef>,
    /// Only rows where it is true count.
    pub filter: Option<BooleanArray>,
}

impl SlidingInputs {
    /// The rows that count for a function of one argument; `None` when all do.
    pub(super) fn counted(&self) -> Option<NullBuffer> {
        let nulls = self.arguments.first().and_then(|argument| argument.logical_nulls());
        counted(nulls.as_ref(), self.filter.as_ref())
    }
}

/// An aggregate over a moving frame; its outputs wait in it until they are taken.
pub trait SlidingAggregate: Send {
    /// Follows `steps`: what is added is in `entering`, what is removed in `leaving`.
    ///
    /// # Errors
    /// `OVERFLOW` and what else the function raises.
    fn apply(&mut self, entering: &SlidingInputs, leaving: &SlidingInputs, steps: &[Step]) -> Result<()>;

    /// The values emitted since the last call.
    fn take(&mut self) -> Result<ArrayRef>;

    /// How rows can leave.
    fn removal(&self) -> Removal;

    /// Whether the value can be asked for and rows added after that. If not, every frame is filled from its start.
    fn remembers(&self) -> bool {
        true
    }

    /// Bytes on the heap.
    fn bytes(&self) -> usize;
}

/// The aggregate of `call` over frames whose start moves, or not.
///
/// # Errors
/// What the library raises for a function it does not know.
pub(super) fn sliding(call: &AggregateCall, moving: bool) -> Result<Box<dyn SlidingAggregate>> {
    if !call.is_distinct()
        && let Some(own) = totals::own(call)
    {
        return Ok(own);
    }
    if let Some(own) = ordered::own(call, moving)? {
        return Ok(own);
    }
    // Doubles change nothing here.
    if let Some(own) = extreme::own(call, moving) {
        return Ok(own);
    }
    Ok(Box::new(LibraryAggregate::new(call, moving)?))
}
