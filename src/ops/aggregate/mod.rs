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
//! Aggregates whose state grows with their input are not for this operator but for [`holistic`](super::holistic); DISTINCT inside
//! a call is two aggregations (`plan::lower::aggregate`), of which the first may give its calls' states.

pub(in crate::ops) mod index;
mod lane;
mod layout;
mod source;
mod table;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::SchemaRef;

pub(in crate::ops) use self::index::{Interned, new_index};
use self::lane::{AggregateLane, AggregatePart};
pub use self::layout::CallInput;
use self::layout::Layout;
pub(in crate::ops) use self::layout::{table_key, table_type};
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
    /// Keys of the groups that exist even where there are no rows, and how many they are.
    groups_of_nothing: (Vec<ArrayRef>, usize),
}

/// Groups after which a lane looks at how much it reduces; about what the second-level cache holds.
const GROUPS_IN_LANE: usize = 1 << 16;

impl HashAggregate {
    /// `output` has the keys' columns, then one for each call.
    pub fn new(keys: Vec<Evaluator>, calls: Vec<AggregateCall>, output: SchemaRef) -> Result<Self> {
        HashAggregate::staged(keys, calls.into_iter().map(CallInput::Rows).collect(), Some(output))
    }

    /// One stage of an aggregation in several: it may take the states of the stage before it, and without an `output`
    /// schema it gives states itself (columns `key0`, …, then `state0`, … of all calls).
    pub fn staged(keys: Vec<Evaluator>, calls: Vec<CallInput>, output: Option<SchemaRef>) -> Result<Self> {
        let groups_of_nothing = (Vec::new(), usize::from(keys.is_empty() && output.is_some()));
        let layout = Arc::new(Layout::new(keys, calls, output)?);
        Ok(HashAggregate { layout, groups_in_lane: GROUPS_IN_LANE, groups_of_nothing })
    }

    /// With these groups (key columns of `groups` rows) where there are no rows at all, as the empty set of GROUPING
    /// SETS has one.
    #[must_use]
    pub fn with_groups_of_nothing(mut self, keys: Vec<ArrayRef>, groups: usize) -> Self {
        self.groups_of_nothing = (keys, groups);
        self
    }

    /// Lanes spread their table after so many groups.
    #[cfg(test)]
    fn with_groups_in_lane(mut self, groups: usize) -> Self {
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
        let (keys, groups) = &self.groups_of_nothing;
        if *groups > 0 && parts.iter().all(AggregatePart::is_empty) {
            let groups = self.layout.groups_of_nothing(keys, *groups)?;
            return Ok(Arc::new(MemorySource::new(self.layout.output.clone(), vec![groups])));
        }
        Ok(Arc::new(AggregateSource::new(self.layout.clone(), context.clone(), parts)?))
    }
}
