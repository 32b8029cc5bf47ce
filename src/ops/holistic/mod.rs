//! Aggregates of all values of a group, out of core: quantiles, mode, lists, texts; in any order, distinct or not, beside any
//! other aggregate. (Holistic: Gray et al., "Data Cube", 1997; their state has no bound.)
//!
//! 1. Each lane spreads its rows (keys and inputs of the calls) over radix partitions in the store.
//! 2. One split per partition. Its rows are brought together group by group and each call is computed over them
//!    (`memory`). A partition that does not fit is spread again; one that is mostly one group is sorted
//!    instead, by the keys and the order of the call, and read group by group (`stream`).
//!
//! Invariant: the rows of a group are seen in the order of the call, what is equal there (all, without an order) in the order
//! in which it came; so the answer does not depend on lanes, batches and budget.
//!
//! # Known limitation
//! The list or text of one group is one value and must fit into memory. Without keys there is one partition, hence one worker
//! in the second phase.

mod chunk;
mod fold;
mod lane;
mod layout;
mod memory;
mod source;
mod stream;
#[cfg(test)]
mod tests;
mod values;

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::SchemaRef;

use self::lane::HolisticLane;
use self::layout::Layout;
use self::source::HolisticSource;
use crate::batch::{MemorySource, SourceRef};
use crate::error::Result;
use crate::expr::{AggregateCall, Evaluator};
use crate::ops::Sink;
use crate::ops::partition::{Partitions, Radix};
use crate::store::QueryContext;

/// GROUP BY `keys` (none: one group) with `calls` of any kind.
pub struct HolisticAggregate {
    layout: Arc<Layout>,
    /// Keys of the groups that exist even where there are no rows, and how many they are.
    groups_of_nothing: (Vec<ArrayRef>, usize),
}

impl HolisticAggregate {
    /// `output` has the keys' columns, then one for each call.
    pub fn new(keys: Vec<Evaluator>, calls: Vec<AggregateCall>, output: SchemaRef) -> Self {
        let groups_of_nothing = (Vec::new(), usize::from(keys.is_empty()));
        HolisticAggregate { layout: Arc::new(Layout::new(keys, calls, output)), groups_of_nothing }
    }

    /// With these groups (key columns of `groups` rows) where there are no rows at all.
    #[must_use]
    pub fn with_groups_of_nothing(mut self, keys: Vec<ArrayRef>, groups: usize) -> Self {
        self.groups_of_nothing = (keys, groups);
        self
    }

    /// A worker may use so many bytes for a partition.
    #[cfg(test)]
    fn with_share(mut self, bytes: usize) -> Self {
        if let Some(layout) = Arc::get_mut(&mut self.layout) {
            layout.share = Some(bytes);
        }
        self
    }

    /// So many partitions that one is a small part of the budget, and so few that its buffers are not tiny. The same for
    /// every lane, though the limit may change under a query.
    fn radix(&self, context: &QueryContext) -> Radix {
        let by_limit = || match context.budget.limit() >> 20 {
            _ if self.layout.keys.is_empty() => Radix::WHOLE,
            0..=31 => Radix::first(16),
            32..=127 => Radix::first(64),
            _ => Radix::first(256),
        };
        *self.layout.radix.get_or_init(by_limit)
    }
}

impl Sink for HolisticAggregate {
    type Work = HolisticLane;
    type Part = Partitions;

    fn name(&self) -> &'static str {
        "HolisticAggregate"
    }

    fn describe(&self) -> String {
        let keys: Vec<String> = self.layout.keys.iter().map(Evaluator::describe).collect();
        let calls: Vec<String> = self.layout.calls.iter().map(|slot| slot.call.describe()).collect();
        match keys.is_empty() {
            true => calls.join(", "),
            false => format!("by {}: {}", keys.join(", "), calls.join(", ")),
        }
    }

    fn schema(&self) -> SchemaRef {
        self.layout.output.clone()
    }

    fn open(&self, context: &Arc<QueryContext>) -> Result<HolisticLane> {
        HolisticLane::new(self.layout.clone(), context.clone(), self.radix(context))
    }

    fn combine(&self, context: &Arc<QueryContext>, parts: Vec<Partitions>) -> Result<SourceRef> {
        let (keys, groups) = &self.groups_of_nothing;
        if *groups > 0 && parts.iter().all(|part| part.rows() == 0) {
            let groups = self.layout.groups_of_nothing(keys, *groups)?;
            return Ok(Arc::new(MemorySource::new(self.layout.output.clone(), vec![groups])));
        }
        Ok(Arc::new(HolisticSource::new(self.layout.clone(), context.clone(), parts)?))
    }
}
