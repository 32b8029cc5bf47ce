//! Nested loop and cross joins: every row of one side meets every row of the other.
//!
//! * `build`: the rows of one side wait in the store, in blocks.
//! * `probe`: batches of the other stream; where a pass over the build side is dear they are gathered first.
//! * `chunk`: some probe batches against all blocks, in steps of about one batch of pairs (`pair`), over which the
//!   `condition` is evaluated.
//! * `rest`: what was still gathered at the end, and then the rows of the build side without (or with) a partner.
//!
//! Invariant: every pair is looked at once, and a probe row's fate is decided only behind the last block.
//!
//! # Known limitation
//! A condition is evaluated for every pair; `range` joins know better where it compares the two sides.

pub(super) mod bits;
pub(super) mod build;
mod chunk;
pub(super) mod coalesce;
mod condition;
pub(super) mod output;
mod pair;
mod probe;
mod rest;
mod shape;
#[cfg(test)]
mod tests;

use arrow::datatypes::SchemaRef;

pub use build::{BuildSlot, NestedLoopBuild};
pub use condition::{Condition, SideColumn};
pub use probe::NestedLoopProbe;
pub use rest::BuildRows;
pub use shape::{Gives, Kept, Shape};

use crate::error::Result;
use output::Output;

/// What both sides of a nested loop join share.
#[derive(Debug)]
pub struct NestedLoop {
    pub(super) output: Output,
    /// `None`: every pair.
    condition: Option<Condition>,
    pub(super) slot: BuildSlot,
}

impl NestedLoop {
    /// A join of batches of `probe` and `build` by `condition`, which gives batches of `schema`: the columns of the
    /// left side, then those of the right, or those of the one side that `shape` keeps.
    pub fn new(
        shape: Shape,
        probe: SchemaRef,
        build: SchemaRef,
        schema: SchemaRef,
        condition: Option<Condition>,
        slot: BuildSlot,
    ) -> Self {
        NestedLoop { output: Output { shape, schema, probe, build }, condition, slot }
    }

    pub(super) fn describe(&self) -> String {
        self.condition.as_ref().map(Condition::describe).unwrap_or_default()
    }

    /// Whether no probe row can give anything.
    pub(super) fn gives_nothing(&self) -> Result<bool> {
        Ok(self.output.shape.needs_build_rows() && self.slot.get()?.rows() == 0)
    }
}
