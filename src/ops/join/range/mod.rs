//! Range joins: one or two of the conditions compare an expression of one side with one of the other by `<`, `<=`, `>`
//! or `>=` (BETWEEN is two of them); whatever else there is is the residual, looked at for the pairs that are found.
//!
//! * `keys`: key columns as words that compare fast.
//! * `block`: rows in the order of their first keys; `side`: a whole side as blocks in the store.
//! * `scan`: the pairs of two blocks, in time near the number of rows and pairs (`bitset`).
//! * `join`: one left block against all right blocks whose keys can meet; left is the probe side, right the build side.
//! * `probe` and `source`: chunk by chunk while the probe side streams, or sorted as a whole.
//!
//! Invariant: two blocks meet at most once, and a block with NULLs for keys still gives its rows to an outer join.
//!
//! # Known limitation
//! A build side that does not stay in memory is merged into one order by one worker.

mod bitset;
mod block;
mod join;
pub(super) mod keys;
mod probe;
mod scan;
mod side;
mod source;
#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};

use crate::error::{Error, Result};
use crate::expr::Evaluator;
use crate::ops::join::nested_loop::build::BuildSide;
use crate::ops::join::nested_loop::{Condition, NestedLoop};
use crate::ops::sort::{Sort, SortKey};

pub use block::KeyedSide;
pub use keys::is_ordered;
pub use probe::RangeProbe;
pub use scan::Comparison;
pub use side::RangeBuild;

use side::SortedSide;

/// What both sides of a range join share.
#[derive(Debug)]
pub struct RangeJoin {
    /// The same join with its whole condition.
    nested: Arc<NestedLoop>,
    probe: KeyedSide,
    build: KeyedSide,
    probe_sort: Sort,
    build_sort: Sort,
    /// How the probe side's keys compare with the build side's.
    comparisons: (Comparison, Option<Comparison>),
    residual: Option<Condition>,
    sorted: OnceLock<SortedSide>,
}

impl RangeJoin {
    /// The join of the sides of `nested` by comparing their keys. `first_keys` are the columns of the first keys,
    /// over the keyed batches of the probe and of the build side.
    ///
    /// # Errors
    /// `NOT_SUPPORTED` for keys that have no order.
    pub fn new(
        nested: Arc<NestedLoop>,
        (probe, build): (KeyedSide, KeyedSide),
        first_keys: (Evaluator, Evaluator),
        comparisons: (Comparison, Option<Comparison>),
        residual: Option<Condition>,
    ) -> Result<Self> {
        let key = |evaluator: Evaluator| vec![SortKey { evaluator, descending: false, nulls_first: false }];
        let probe_sort = Sort::new(key(first_keys.0), probe.schema().clone(), 0, None)?;
        let build_sort = Sort::new(key(first_keys.1), build.schema().clone(), 0, None)?;
        let sorted = OnceLock::new();
        Ok(RangeJoin { nested, probe, build, probe_sort, build_sort, comparisons, residual, sorted })
    }

    fn describe(&self) -> String {
        let second = self.comparisons.1.map(|second| format!(" and {}", second.symbol())).unwrap_or_default();
        format!("by {}{second}: {}", self.comparisons.0.symbol(), self.nested.describe())
    }

    fn set_build(&self, rows: BuildSide, sorted: SortedSide) -> Result<()> {
        self.sorted.set(sorted).map_err(|_| Error::internal("the build side of a range join finished twice"))?;
        self.nested.slot.set(rows)
    }

    fn sorted(&self) -> Result<&SortedSide> {
        self.sorted.get().ok_or_else(|| Error::internal("a range join whose build side has not finished"))
    }
}
