//! Hash aggregation, out of core, in two phases.
//!
//! 1. Each lane fills a small table. When it is full and did not reduce its input much, the lane stops aggregating and
//!    only spreads its rows over radix partitions in the store; where it did, the table's partial groups are spread and
//!    it starts again. A lane that never filled its table leaves its groups as they are.
//! 2. One split per partition: all lanes' raw and partial rows of the partition go into one table, whose groups are the
//!    output. A partition that gets no room is spread again by the next bits of the hash, recursively.
//!
//! The idea of thread-local tables that fall back to radix partitions is that of Leis et al., "Morsel-Driven
//! Parallelism", SIGMOD 2014; skipping the first phase where it does not reduce is Larson's "Data reduction by partial
//! preaggregation", ICDE 2002.
//!
//! # Known limitation
//! An aggregate whose state grows with its input (median, array_agg, string_agg, DISTINCT inside a call) keeps that
//! state in memory; it fails with OUT_OF_MEMORY where that does not fit.

mod index;
mod lane;
mod layout;
mod source;
mod table;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow::datatypes::SchemaRef;

use self::lane::{AggregateLane, AggregatePart};
use self::layout::Layout;
use self::source::AggregateSource;
use crate::batch::{MemorySource, SourceRef};
use crate::error::Result;
use crate::expr::{AggregateCall, Evaluator};
use crate::ops::Sink;
use crate::store::QueryContext;

/// GROUP BY `keys` (none: one group) with `calls`.
pub struct HashAggregate {
    layout: Arc<Layout>,
    groups_in_lane: usize,
}

/// Groups after which a lane looks at how much it reduces; about what the second-level cache holds.
const GROUPS_IN_LANE: usize = 1 << 16;

impl HashAggregate {
    /// `output` has the keys' columns, then one for each call.
    pub fn new(keys: Vec<Evaluator>, calls: Vec<AggregateCall>, output: SchemaRef) -> Result<Self> {
        let layout = Arc::new(Layout::new(keys, calls, output)?);
        Ok(HashAggregate { layout, groups_in_lane: GROUPS_IN_LANE })
    }

    /// For tests: lanes spread their table after so many groups.
    #[doc(hidden)]
    #[must_use]
    pub fn with_groups_in_lane(mut self, groups: usize) -> Self {
        self.groups_in_lane = groups;
        self
    }
}

impl Sink for HashAggregate {
    type Work = AggregateLane;
    type Part = AggregatePart;

    fn name(&self) -> &'static str {
        "HashAggregate"
    }

    fn describe(&self) -> String {
        let keys: Vec<String> = self.layout.keys.iter().map(Evaluator::describe).collect();
        let calls: Vec<String> = self.layout.calls.iter().map(|slot| slot.call.describe()).collect();
        match (keys.is_empty(), calls.is_empty()) {
            (true, _) => calls.join(", "),
            (false, true) => format!("by {}", keys.join(", ")),
            (false, false) => format!("by {}: {}", keys.join(", "), calls.join(", ")),
        }
    }

    fn schema(&self) -> SchemaRef {
        self.layout.output.clone()
    }

    fn open(&self, context: &Arc<QueryContext>) -> Result<AggregateLane> {
        AggregateLane::new(self.layout.clone(), context.clone(), self.groups_in_lane)
    }

    fn combine(&self, context: &Arc<QueryContext>, parts: Vec<AggregatePart>) -> Result<SourceRef> {
        if self.layout.keys.is_empty() && parts.iter().all(|part| part.table.is_none()) {
            let group = self.layout.empty_group()?;
            return Ok(Arc::new(MemorySource::new(self.layout.output.clone(), vec![group])));
        }
        Ok(Arc::new(AggregateSource::new(self.layout.clone(), context.clone(), parts)?))
    }
}
