//! ASOF joins: each row of the left side meets the one row of the right side whose value is nearest (before, behind, or
//! on either side), among those with the same keys.
//!
//! * `side`: the keys and the value of a side; `build` gathers the right side.
//! * `index`: the right side in memory, by key and value; the left side streams and looks its partners up.
//! * `merge`: where that does not fit, both sides are sorted by the external sort and merged.
//! * `nearest`: which of several rows is the partner.
//!
//! Invariant: the partner is chosen first, and then the rest of the condition (a tolerance) says whether there is one. Of
//! right rows with equal keys and values the last of the input is taken backward, the first forward. A row with a NULL
//! for a key or the value has no partner.
//!
//! # Known limitation
//! The merge is one split, hence the work of one worker.

mod build;
mod index;
mod merge;
mod nearest;
mod probe;
mod side;
#[cfg(test)]
mod tests;

use std::sync::OnceLock;

use arrow::datatypes::SchemaRef;

use crate::error::{Error, Result};
use crate::expr::Evaluator;
use crate::ops::join::nested_loop::output::Output;
use crate::ops::join::nested_loop::{Condition, Gives, Shape};
use crate::ops::sort::{Sort, SortKey};

pub use build::AsofBuild;
pub use nearest::Direction;
pub use probe::AsofProbe;
pub use side::AsofSide;

use build::Right;

/// What both sides of an ASOF join share.
#[derive(Debug)]
pub struct AsofJoin {
    output: Output,
    left: AsofSide,
    right: AsofSide,
    left_sort: Sort,
    right_sort: Sort,
    direction: Direction,
    /// Of the pair of a row and its partner; of both sides' own columns, the left one being the probe side.
    residual: Option<Condition>,
    found: OnceLock<Right>,
}

impl AsofJoin {
    /// The join of `left` and `right`, which gives batches of `schema`: the columns of the left side, then those of the
    /// right. `outer`: a left row without a partner comes out with NULLs. `columns` makes an evaluator of a column of
    /// wide batches.
    ///
    /// # Errors
    /// `NOT_SUPPORTED` for keys or values that have no order.
    pub fn new(
        (left, right): (AsofSide, AsofSide),
        schema: SchemaRef,
        outer: bool,
        direction: Direction,
        residual: Option<Condition>,
        columns: impl Fn(&AsofSide, usize) -> Result<Evaluator>,
    ) -> Result<Self> {
        let shape = Shape { probe_is_left: true, gives: Gives::Pairs { probe_outer: outer, build_outer: false } };
        let output = Output { shape, schema, probe: left.schema().clone(), build: right.schema().clone() };
        let sort = |side: &AsofSide| {
            let key = |index| Ok(SortKey { evaluator: columns(side, index)?, descending: false, nulls_first: false });
            Sort::new(side.sort_columns().map(key).collect::<Result<_>>()?, side.wide().clone(), 0, None)
        };
        let (left_sort, right_sort) = (sort(&left)?, sort(&right)?);
        let found = OnceLock::new();
        Ok(AsofJoin { output, left, right, left_sort, right_sort, direction, residual, found })
    }

    fn is_outer(&self) -> bool {
        self.output.shape.marks_probe()
    }

    fn describe(&self) -> String {
        let residual = self.residual.as_ref().map(|residual| format!(" if {}", residual.describe()));
        format!("{}{}", self.direction.describe(), residual.unwrap_or_default())
    }

    fn set_right(&self, right: Right) -> Result<()> {
        self.found.set(right).map_err(|_| Error::internal("the right side of an ASOF join finished twice"))
    }

    fn right_rows(&self) -> Result<&Right> {
        self.found.get().ok_or_else(|| Error::internal("an ASOF join whose right side has not finished"))
    }
}
