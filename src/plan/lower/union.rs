//! UNION ALL: the branches of all inputs feed one pipeline.

use std::sync::Arc;

use datafusion_common::DFSchema;
use datafusion_expr::Expr;
use datafusion_expr::logical_plan::Union;

use super::{Branches, Lowering, with_operator};
use crate::error::Result;
use crate::ops;

impl Lowering<'_> {
    pub(super) fn union(&mut self, union: &Union) -> Result<Branches> {
        let mut all = Branches { branches: Vec::new(), after: Vec::new() };
        for input in &union.inputs {
            let branches = self.node(input)?;
            // Each input's columns under the union's names and types, by position.
            let schema = input.schema();
            let columns = schema.columns().into_iter().zip(union.schema.fields()).map(|(column, field)| {
                let column = Expr::Column(column);
                Ok(match schema_type(schema, &column)? == *field.data_type() {
                    true => column,
                    false => datafusion_expr::cast(column, field.data_type().clone()),
                })
            });
            let columns = columns.collect::<Result<Vec<Expr>>>()?;
            let evaluators = columns.iter().map(|column| self.compile(column, schema)).collect::<Result<Vec<_>>>()?;
            let project = ops::project::Project::new(evaluators, union.schema.inner().clone());
            let input = with_operator(branches, Arc::new(project));
            all.branches.extend(input.branches);
            all.after.extend(input.after);
        }
        Ok(all)
    }
}

fn schema_type(schema: &DFSchema, column: &Expr) -> Result<arrow::datatypes::DataType> {
    use datafusion_expr::ExprSchemable;
    Ok(column.get_type(schema)?)
}
