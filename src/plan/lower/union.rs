//! UNION ALL: the branches of all inputs feed one pipeline.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
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
            let input = conformed(self, branches, input.schema(), union.schema.inner())?;
            all.branches.extend(input.branches);
            all.after.extend(input.after);
        }
        Ok(all)
    }
}

/// The columns of `schema` under the names and types of `output`, by position.
pub(super) fn conformed(
    lowering: &Lowering,
    branches: Branches,
    schema: &DFSchema,
    output: &SchemaRef,
) -> Result<Branches> {
    let columns = schema.columns().into_iter().zip(output.fields()).map(|(column, field)| {
        let column = Expr::Column(column);
        Ok(match schema_type(schema, &column)? == *field.data_type() {
            true => column,
            false => datafusion_expr::cast(column, field.data_type().clone()),
        })
    });
    let columns = columns.collect::<Result<Vec<Expr>>>()?;
    let evaluators = columns.iter().map(|column| lowering.compile(column, schema)).collect::<Result<Vec<_>>>()?;
    Ok(with_operator(branches, Arc::new(ops::project::Project::new(evaluators, output.clone()))))
}

fn schema_type(schema: &DFSchema, column: &Expr) -> Result<arrow::datatypes::DataType> {
    use datafusion_expr::ExprSchemable;
    Ok(column.get_type(schema)?)
}
