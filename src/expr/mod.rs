//! (stub until the real one is merged)

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray};
use arrow::datatypes::{DataType, Schema};
use arrow::record_batch::RecordBatch;
use datafusion_common::DFSchema;
use datafusion_expr::Expr;
use datafusion_expr::execution_props::ExecutionProps;
use datafusion_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion_physical_expr::expressions::Column;
use datafusion_physical_expr::{PhysicalExpr, create_physical_expr};

use crate::error::Result;

/// (stub)
#[derive(Debug, Clone)]
pub struct Evaluator {
    inner: Arc<dyn PhysicalExpr>,
    schema: Schema,
}

impl Evaluator {
    pub fn compile(expr: &Expr, schema: &DFSchema) -> Result<Self> {
        let props = ExecutionProps::new();
        let inner = create_physical_expr(expr, schema, &props, &PhysicalPlanningContext::default())?;
        Ok(Evaluator { inner, schema: schema.as_arrow().clone() })
    }

    pub fn evaluate(&self, batch: &RecordBatch) -> Result<ArrayRef> {
        Ok(self.inner.evaluate(batch)?.into_array(batch.num_rows())?)
    }

    pub fn predicate(&self, batch: &RecordBatch) -> Result<BooleanArray> {
        Ok(self.evaluate(batch)?.as_boolean().clone())
    }

    pub fn column(&self) -> Option<usize> {
        let any: &dyn std::any::Any = self.inner.as_ref();
        any.downcast_ref::<Column>().map(Column::index)
    }

    pub fn data_type(&self) -> DataType {
        self.inner.data_type(&self.schema).unwrap_or(DataType::Null)
    }

    pub fn nullable(&self) -> bool {
        self.inner.nullable(&self.schema).unwrap_or(true)
    }

    pub fn describe(&self) -> String {
        self.inner.to_string()
    }
}
