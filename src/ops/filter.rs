//! Filter: keeps the rows for which a predicate is true (not false, not NULL).
//!
//! Invariant: rows keep their order, and every row comes out during the very `push` that brought it. Nothing is held
//! between two pushes, because a work is not told where one split ends and the next begins, and a row that came out
//! during a later split would break every answer that depends on the order of splits. Small outputs are therefore
//! gathered by the operators that keep rows anyway (sort, aggregate), not here.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;

use crate::error::Result;
use crate::expr::{Evaluator, Selection};
use crate::ops::{Emit, Flow, Operator, Work};
use crate::store::QueryContext;

/// Keeps the rows for which the predicate is true.
#[derive(Debug)]
pub struct Filter {
    predicate: Arc<Evaluator>,
    schema: SchemaRef,
}

impl Filter {
    /// A filter by `predicate` (of type boolean) over batches of `schema`.
    pub fn new(predicate: Evaluator, schema: SchemaRef) -> Self {
        Filter { predicate: Arc::new(predicate), schema }
    }
}

impl Operator for Filter {
    fn name(&self) -> &'static str {
        "Filter"
    }

    fn describe(&self) -> String {
        self.predicate.describe()
    }

    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn open(&self, _context: &Arc<QueryContext>) -> Result<Box<dyn Work>> {
        Ok(Box::new(FilterWork { predicate: self.predicate.clone() }))
    }
}

struct FilterWork {
    predicate: Arc<Evaluator>,
}

impl Work for FilterWork {
    fn push(&mut self, batch: RecordBatch, out: &mut Emit) -> Result<Flow> {
        if batch.num_rows() == 0 {
            return Ok(Flow::More);
        }
        match self.predicate.predicate(&batch)? {
            Selection::None => Ok(Flow::More),
            selection => out(selection.apply(batch)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, AsArray, Int64Array};
    use arrow::datatypes::Int64Type;
    use arrow::record_batch::{RecordBatch, RecordBatchOptions};
    use datafusion_expr::{col, lit};
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::Filter;
    use crate::ops::testing::{context, evaluator, run};

    fn batch(numbers: Vec<Option<i64>>) -> RecordBatch {
        RecordBatch::try_from_iter_with_nullable([("n", Arc::new(Int64Array::from(numbers)) as ArrayRef, true)])
            .expect("a batch")
    }

    proptest! {
        #[test]
        fn filter_keeps_the_rows_that_are_true(batches in vec(vec(proptest::option::of(0..9i64), 0..20), 0..5)) {
            let inputs: Vec<_> = batches.iter().cloned().map(batch).collect();
            let schema = batch(Vec::new()).schema();
            let filter = Filter::new(evaluator(&col("n").lt(lit(4i64)), &schema), schema);
            let output = run(&filter, &context(1 << 20, 8, 1), inputs).expect("filters");
            prop_assert!(output.iter().all(|batch| batch.num_rows() > 0));
            let kept: Vec<i64> =
                output.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec()).collect();
            let expected: Vec<i64> = batches.into_iter().flatten().flatten().filter(|&number| number < 4).collect();
            prop_assert_eq!(kept, expected);
        }
    }

    #[test]
    fn a_batch_that_passes_whole_is_not_copied() {
        let input = batch(vec![Some(1), Some(2)]);
        let filter = Filter::new(evaluator(&col("n").gt(lit(0i64)), &input.schema()), input.schema());
        let output = run(&filter, &context(1 << 20, 8, 1), vec![input.clone()]).expect("filters");
        assert!(Arc::ptr_eq(output[0].column(0), input.column(0)));
    }

    #[test]
    fn rows_without_columns_are_counted() {
        let schema = Arc::new(arrow::datatypes::Schema::empty());
        let options = RecordBatchOptions::new().with_row_count(Some(3));
        let input = RecordBatch::try_new_with_options(schema.clone(), Vec::new(), &options).expect("a batch");
        let filter = Filter::new(evaluator(&lit(true), &schema), schema);
        let output = run(&filter, &context(1 << 20, 8, 1), vec![input]).expect("filters");
        assert_eq!(output[0].num_rows(), 3);
    }
}
