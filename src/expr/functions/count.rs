//! The state of COUNT, for `count(*)` and for one argument; the function itself is the library's.

use std::mem::size_of;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Int64Array};
use arrow::datatypes::Int64Type;
use datafusion_common::{Result as DataFusionResult, internal_err};
use datafusion_expr::{EmitTo, GroupsAccumulator};

use super::groups::{count_rows, counted, for_each};
use super::sum_accumulators::argument;

/// One count per group.
#[derive(Debug, Default)]
pub(in crate::expr) struct CountGroups {
    counts: Vec<u64>,
}

impl CountGroups {
    fn take(&mut self, emit: EmitTo) -> ArrayRef {
        let counts = emit.take_needed(&mut self.counts);
        // A count of rows is far below 2^63.
        Arc::new(Int64Array::from_iter_values(counts.into_iter().map(u64::cast_signed)))
    }
}

impl GroupsAccumulator for CountGroups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> DataFusionResult<()> {
        let [values] = values else { return internal_err!("count over {} columns", values.len()) };
        self.counts.resize(total.max(self.counts.len()), 0);
        let nulls = values.logical_nulls();
        count_rows(&mut self.counts, groups, counted(nulls.as_ref(), filter).as_ref());
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], total: usize) -> DataFusionResult<()> {
        let counts = argument::<Int64Type>(states)?;
        self.counts.resize(total.max(self.counts.len()), 0);
        for_each(groups, counts.values(), counted(counts.nulls(), None).as_ref(), |group, count| {
            self.counts[group] += count.cast_unsigned();
        });
        Ok(())
    }

    fn evaluate(&mut self, emit: EmitTo) -> DataFusionResult<ArrayRef> {
        Ok(self.take(emit))
    }

    fn state(&mut self, emit: EmitTo) -> DataFusionResult<Vec<ArrayRef>> {
        Ok(vec![self.take(emit)])
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> DataFusionResult<Vec<ArrayRef>> {
        let [values] = values else { return internal_err!("count over {} columns", values.len()) };
        let nulls = values.logical_nulls();
        let counts = match counted(nulls.as_ref(), filter) {
            Some(rows) => Int64Array::from_iter_values(rows.iter().map(i64::from)),
            None => Int64Array::from_value(1, values.len()),
        };
        Ok(vec![Arc::new(counts)])
    }

    fn size(&self) -> usize {
        self.counts.capacity() * size_of::<u64>()
    }
}
