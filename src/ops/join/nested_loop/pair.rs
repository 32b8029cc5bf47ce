//! All pairs of a probe batch and a block of the build side, step by step.
//!
//! The rows of the smaller of the two are taken one at a time, each against a piece of the larger: its values are
//! repeated, the larger's columns are only sliced. Where the larger is small, too, several rows make one step.

use std::ops::Range;

use arrow::array::{ArrayRef, UInt32Array};
use arrow::compute::take;
use arrow::record_batch::RecordBatch;

use super::build::{Block, BuildSide};
use super::condition::{Condition, SideColumn, Truth, repeated};
use crate::error::Result;

/// The steps over the pairs of two batches.
pub(super) struct Steps {
    probe_is_outer: bool,
    outer_rows: usize,
    inner_rows: usize,
    /// Rows of the outer loop in one step.
    group: usize,
    /// Rows of the inner loop in one step.
    piece: usize,
    /// Where the next step begins.
    outer: usize,
    inner: usize,
}

/// Some rows of one side, each with every one of a range of the other's.
#[derive(Debug, Clone)]
pub(super) struct Step {
    /// Whether the outer rows are the probe side's.
    pub(super) probe_is_outer: bool,
    pub(super) outer: Range<usize>,
    pub(super) inner: Range<usize>,
}

impl Steps {
    /// Steps of about `batch_size` pairs.
    pub(super) fn new(probe_rows: usize, build_rows: usize, batch_size: usize) -> Self {
        let probe_is_outer = probe_rows < build_rows;
        let (outer_rows, inner_rows) = if probe_is_outer { (probe_rows, build_rows) } else { (build_rows, probe_rows) };
        let piece = inner_rows.min(batch_size.max(1));
        let group = if piece < inner_rows { 1 } else { (batch_size / piece.max(1)).max(1) };
        Steps { probe_is_outer, outer_rows, inner_rows, group, piece, outer: 0, inner: 0 }
    }

    pub(super) fn next(&mut self) -> Option<Step> {
        if self.outer >= self.outer_rows || self.inner_rows == 0 {
            return None;
        }
        let outer = self.outer..self.outer_rows.min(self.outer + self.group);
        let inner = self.inner..self.inner_rows.min(self.inner + self.piece);
        self.inner = inner.end;
        if inner.end == self.inner_rows {
            (self.outer, self.inner) = (outer.end, 0);
        }
        Some(Step { probe_is_outer: self.probe_is_outer, outer, inner })
    }
}

impl Step {
    pub(super) fn pairs(&self) -> usize {
        self.outer.len() * self.inner.len()
    }

    /// The rows (of the probe batch, of the block) of pair `pair`.
    #[inline]
    pub(super) fn rows(&self, pair: usize) -> (usize, usize) {
        let (outer, inner) = match self.outer.len() {
            1 => (self.outer.start, self.inner.start + pair),
            _ => (self.outer.start + pair / self.inner.len(), self.inner.start + pair % self.inner.len()),
        };
        if self.probe_is_outer { (outer, inner) } else { (inner, outer) }
    }

    /// What `condition` says of the step's pairs.
    pub(super) fn truth(&self, condition: &Condition, null_aware: bool, sides: &Sides) -> Result<Truth> {
        condition.truth(self.pairs(), null_aware, |column| sides.column(self, column))
    }
}

/// The two batches that are paired.
pub(super) struct Sides<'a> {
    pub(super) probe: &'a RecordBatch,
    pub(super) block: &'a Block,
    pub(super) build: &'a BuildSide,
}

impl Sides<'_> {
    /// A column of one side over the pairs of `step`.
    fn column(&self, step: &Step, of: SideColumn) -> Result<ArrayRef> {
        let column = if of.of_probe { self.probe.column(of.index) } else { self.block.column(of.index) };
        let is_outer = of.of_probe == step.probe_is_outer;
        if step.outer.len() == 1 {
            if !is_outer {
                return Ok(match step.inner.len() == column.len() {
                    true => column.clone(),
                    false => column.slice(step.inner.start, step.inner.len()),
                });
            }
            let count = step.inner.len();
            let at_hand = if of.of_probe { None } else { self.build.single(of.index, count) };
            return at_hand.map_or_else(|| repeated(column, step.outer.start, count), Ok);
        }
        let (outer, inner) = (u32_range(&step.outer), u32_range(&step.inner));
        let rows: UInt32Array = match is_outer {
            true => outer.flat_map(|row| std::iter::repeat_n(row, step.inner.len())).collect::<Vec<_>>().into(),
            false => outer.flat_map(|_| inner.clone()).collect::<Vec<_>>().into(),
        };
        Ok(take(column, &rows, None)?)
    }

    /// All columns of the probe side, or of the build side, over the pairs of `step`.
    pub(super) fn columns(&self, step: &Step, of_probe: bool) -> Result<Vec<ArrayRef>> {
        let batch: &RecordBatch = if of_probe { self.probe } else { self.block };
        (0..batch.num_columns()).map(|index| self.column(step, SideColumn { of_probe, index })).collect()
    }
}

/// Batches have fewer than 2^32 rows: Arrow's own kernels count so.
fn u32_range(range: &Range<usize>) -> Range<u32> {
    let bound = |row: usize| u32::try_from(row).unwrap_or(u32::MAX);
    bound(range.start)..bound(range.end)
}
