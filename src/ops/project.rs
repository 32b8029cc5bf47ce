//! Project: computes columns from columns.
//!
//! Invariant: one row out for each row in, in the same order. A plain column reference shares the input's buffers, and
//! a projection to no columns at all keeps the number of rows.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::RecordBatch;

use crate::error::{Error, Result};
use crate::expr::Evaluator;
use crate::ops::{Emit, Flow, Operator, Work};
use crate::store::QueryContext;

/// Computes one column for each of its expressions.
#[derive(Debug)]
pub struct Project {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    evaluators: Vec<Evaluator>,
    schema: SchemaRef,
}

impl Project {
    /// A projection whose column `i` is `evaluators[i]`, named and typed by field `i` of `schema`.
    pub fn new(evaluators: Vec<Evaluator>, schema: SchemaRef) -> Self {
        Project { shared: Arc::new(Shared { evaluators, schema }) }
    }
}

impl Operator for Project {
    fn name(&self) -> &'static str {
        "Project"
    }

    fn describe(&self) -> String {
        self.shared.evaluators.iter().map(Evaluator::describe).collect::<Vec<_>>().join(", ")
    }

    fn schema(&self) -> SchemaRef {
        self.shared.schema.clone()
    }

    fn open(&self, _context: &Arc<QueryContext>) -> Result<Box<dyn Work>> {
        Ok(Box::new(ProjectWork { shared: self.shared.clone() }))
    }
}

struct ProjectWork {
    shared: Arc<Shared>,
}

impl Work for ProjectWork {
    fn push(&mut self, batch: RecordBatch, out: &mut Emit) -> Result<Flow> {
        let evaluators = &self.shared.evaluators;
        let fields = self.shared.schema.fields();
        let columns = evaluators.iter().zip(fields).map(|(one, field)| column(one, &batch, field.data_type()));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        out(RecordBatch::try_new_with_options(self.shared.schema.clone(), columns, &options)?)
    }
}

/// The value of `evaluator` as `data_type`. The two types differ where the optimizer folded an argument on which a
/// function's type depends (`round(decimal, 1)`): the plan promised the wider one.
fn column(evaluator: &Evaluator, batch: &RecordBatch, data_type: &DataType) -> Result<ArrayRef> {
    let value = match evaluator.column() {
        Some(index) => {
            let missing = || Error::internal(format!("Project: no column {index} in the input"));
            batch.columns().get(index).cloned().ok_or_else(missing)?
        }
        None => evaluator.evaluate(batch)?,
    };
    if value.data_type() == data_type { Ok(value) } else { Ok(cast(&value, data_type)?) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{AsArray, Int64Array};
    use arrow::datatypes::{DataType, Field, Int64Type, Schema};
    use arrow::record_batch::RecordBatch;
    use datafusion_expr::{col, lit};

    use super::Project;
    use crate::ops::testing::{context, evaluator, run};

    fn numbers() -> RecordBatch {
        RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(vec![1, 2, 3])) as _)]).expect("a batch")
    }

    #[test]
    fn columns_are_shared_and_expressions_computed() {
        let input = numbers();
        let fields = ["m", "k"].map(|name| Field::new(name, DataType::Int64, true));
        let expressions = [col("n"), col("n") + lit(1i64)];
        let evaluators = expressions.iter().map(|one| evaluator(one, &input.schema())).collect();
        let project = Project::new(evaluators, Arc::new(Schema::new(fields.to_vec())));
        let output = run(&project, &context(1 << 20, 8, 1), vec![input.clone()]).expect("projects");
        assert!(Arc::ptr_eq(output[0].column(0), input.column(0)));
        assert_eq!(output[0].column(1).as_primitive::<Int64Type>().values(), &[2, 3, 4]);
        assert_eq!(output[0].schema().field(0).name(), "m");
    }

    #[test]
    fn no_columns_keep_the_rows() {
        let project = Project::new(Vec::new(), Arc::new(Schema::empty()));
        let output = run(&project, &context(1 << 20, 8, 1), vec![numbers()]).expect("projects");
        assert_eq!((output[0].num_rows(), output[0].num_columns()), (3, 0));
    }
}
