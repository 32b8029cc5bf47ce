//! The library's `percentile_cont` with one flaw mended: its `convert_to_state` insists on a single argument, though
//! the percentile and the sort key are arguments too.

use arrow::array::{ArrayRef, BooleanArray};
use datafusion_common::Result as DataFusionResult;
use datafusion_expr::{EmitTo, GroupsAccumulator};

/// Hands everything on; `convert_to_state` sees the values alone.
pub(super) struct PercentileGroups(pub(super) Box<dyn GroupsAccumulator>);

impl GroupsAccumulator for PercentileGroups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> DataFusionResult<()> {
        self.0.update_batch(values, groups, filter, total)
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], total: usize) -> DataFusionResult<()> {
        self.0.merge_batch(states, groups, total)
    }

    fn evaluate(&mut self, emit: EmitTo) -> DataFusionResult<ArrayRef> {
        self.0.evaluate(emit)
    }

    fn state(&mut self, emit: EmitTo) -> DataFusionResult<Vec<ArrayRef>> {
        self.0.state(emit)
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> DataFusionResult<Vec<ArrayRef>> {
        self.0.convert_to_state(values.get(..1).unwrap_or(values), filter)
    }

    fn size(&self) -> usize {
        self.0.size()
    }
}
