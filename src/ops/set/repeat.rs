//! Repeat: each row as often as a count of it says. INTERSECT ALL and EXCEPT ALL end in it.
//!
//! Invariant: no batch that comes out has more rows than the query's batch size, however large a count is.

use std::sync::Arc;

use arrow::array::{Array, AsArray, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{Int64Type, SchemaRef};
use arrow::record_batch::RecordBatch;

use crate::error::{Error, Result};
use crate::expr::Evaluator;
use crate::ops::{Emit, Flow, Operator, Work};
use crate::store::QueryContext;

/// Gives each row `count` times; a count that is NULL or below one leaves the row out.
#[derive(Debug)]
pub struct Repeat {
    count: Arc<Evaluator>,
    schema: SchemaRef,
}

impl Repeat {
    /// Repeats rows of `schema` by `count`, a BIGINT.
    pub fn new(count: Evaluator, schema: SchemaRef) -> Self {
        Repeat { count: Arc::new(count), schema }
    }
}

impl Operator for Repeat {
    fn name(&self) -> &'static str {
        "Repeat"
    }

    fn describe(&self) -> String {
        format!("{} times", self.count.describe())
    }

    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn open(&self, context: &Arc<QueryContext>) -> Result<Box<dyn Work>> {
        Ok(Box::new(RepeatWork { count: self.count.clone(), context: context.clone() }))
    }
}

struct RepeatWork {
    count: Arc<Evaluator>,
    context: Arc<QueryContext>,
}

impl Work for RepeatWork {
    fn push(&mut self, batch: RecordBatch, out: &mut Emit) -> Result<Flow> {
        let counts = self.count.evaluate(&batch)?;
        let counts = counts
            .as_primitive_opt::<Int64Type>()
            .ok_or_else(|| Error::internal(format!("a count of type {}", counts.data_type())))?;
        let most = self.context.batch_size.max(1);
        let mut rows: Vec<u32> = Vec::with_capacity(most);
        for (row, count) in (0u32..).zip(counts) {
            let mut left = u64::try_from(count.unwrap_or(0)).unwrap_or(0);
            while left > 0 {
                let room = most - rows.len();
                let now = usize::try_from(left).unwrap_or(usize::MAX).min(room);
                rows.extend(std::iter::repeat_n(row, now));
                left -= now as u64;
                if rows.len() == most && self.emit(&batch, &mut rows, out)? == Flow::Done {
                    return Ok(Flow::Done);
                }
            }
        }
        if rows.is_empty() { Ok(Flow::More) } else { self.emit(&batch, &mut rows, out) }
    }
}

impl RepeatWork {
    fn emit(&self, batch: &RecordBatch, rows: &mut Vec<u32>, out: &mut Emit) -> Result<Flow> {
        self.context.cancel.check()?;
        let indices = UInt32Array::from(std::mem::take(rows));
        out(take_record_batch(batch, &indices)?)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int64Array};
    use datafusion_expr::col;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::ops::testing::{context, evaluator, run};

    proptest! {
        #[test]
        fn each_row_comes_as_often_as_it_says(counts in vec(proptest::option::of(-2..20i64), 0..60), batch_size in 1..9usize) {
            let rows: ArrayRef = Arc::new(Int64Array::from_iter_values(0..counts.len() as i64));
            let column: ArrayRef = Arc::new(Int64Array::from(counts.clone()));
            let batch = RecordBatch::try_from_iter_with_nullable([("row", rows, true), ("n", column, true)]).expect("a batch");
            let repeat = Repeat::new(evaluator(&col("n"), &batch.schema()), batch.schema());
            let output = run(&repeat, &context(1 << 20, batch_size, 1), vec![batch]).expect("repeats");
            prop_assert!(output.iter().all(|batch| batch.num_rows() <= batch_size));
            let seen: Vec<i64> = output
                .iter()
                .flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec())
                .collect();
            let expected: Vec<i64> = (0i64..)
                .zip(&counts)
                .flat_map(|(row, count)| std::iter::repeat_n(row, usize::try_from(count.unwrap_or(0)).unwrap_or(0)))
                .collect();
            prop_assert_eq!(seen, expected);
        }
    }
}
