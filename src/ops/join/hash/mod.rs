//! Hash join, out of core.
//!
//! The build side's rows wait in the store. Where they fit with an index over their keys, they become one immutable
//! table that all workers fill, and the probe side streams past it. Where they do not, they lie in radix partitions: as
//! many as fit become the table, the others meet their probe rows at the end, each pair by itself (`pairwise`), cut
//! further where they still do not fit. This is hybrid hashing: Shapiro, "Join Processing in Database Systems with
//! Large Main Memories", TODS 1986; the table that all workers fill without partitioning is that of Blanas, Li and
//! Patel, "Design and Evaluation of Main Memory Hash Join Algorithms for Multi-core CPUs", SIGMOD 2011.
//!
//! Either side can be built, whatever the type of the join: rows of the build side that come out by whether they matched
//! (outer, semi, anti, mark) are marked in a bitmap and follow as the rest of the probe operator.
//!
//! From the outside in: [`HashJoin`] makes the sinks of the build side (`lane`, `build`) and the operator of the probe
//! side (`operator`); `table` holds rows (`gather`) and `index`; `probe` is the loop over a batch; `rest` and `pairwise`
//! are what comes after it.

mod build;
mod filters;
mod gather;
mod index;
mod index_sparse;
mod keys;
mod lane;
mod operator;
mod output;
mod pairwise;
mod probe;
mod rest;
mod share;
mod spec;
mod table;
#[cfg(test)]
mod tests;
mod zeroed;

use std::sync::Arc;

pub use self::build::{BuildSink, FillSink, TableSink};
pub use self::operator::HashJoinProbe;
pub use self::share::JoinShare;
use self::spec::Spec;
pub use self::spec::{HashJoinPlan, Residual, Side};
use crate::error::Result;

/// The parts of a hash join.
pub struct HashJoin {
    /// Ends the pipeline of the build side.
    pub build: BuildSink,
    /// Ends the pipeline that reads the output of `build` and nothing else.
    pub fill: FillSink,
    /// Ends the pipeline that reads the output of `fill` and nothing else.
    pub table: TableSink,
    /// Stands in the pipeline of the probe side, which starts when that of `table` has finished.
    pub probe: HashJoinProbe,
}

impl HashJoin {
    /// The parts of the join `plan`; `share` is that of all joins of the query.
    ///
    /// # Errors
    /// For keys of a type that cannot be compared.
    pub fn new(plan: HashJoinPlan, share: Arc<JoinShare>) -> Result<Self> {
        Ok(HashJoin::of(Spec::new(plan)?, share))
    }

    /// As `new`, with other knobs.
    #[cfg(test)]
    fn with_knobs(plan: HashJoinPlan, share: Arc<JoinShare>, knobs: spec::Knobs) -> Result<Self> {
        Ok(HashJoin::of(Spec { knobs, ..Spec::new(plan)? }, share))
    }

    fn of(spec: Spec, share: Arc<JoinShare>) -> Self {
        let spec = Arc::new(spec);
        let slot = build::Slot::default();
        let (build, fill, table) = build::sinks(spec.clone(), share, slot.clone());
        HashJoin { build, fill, table, probe: HashJoinProbe::new(spec, slot) }
    }
}
