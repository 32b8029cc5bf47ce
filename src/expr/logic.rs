//! AND and OR whose right side can raise an error.
//!
//! `b <> 0 AND a / b > 1` must not depend on which rows share a batch: the right side is evaluated for exactly those
//! rows that the left side does not decide. (The library's node decides batch by batch, by how many rows are left.)

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray};
use arrow::buffer::BooleanBuffer;
use arrow::compute::kernels::boolean::{and_kleene, or_kleene};
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use arrow::record_batch::RecordBatch;
use datafusion_common::{Result as DataFusionResult, internal_err};
use datafusion_expr::{ColumnarValue, Operator};
use datafusion_physical_expr::PhysicalExpr;

use crate::expr::describe_physical;

/// `left AND right` or `left OR right`, where `right` can fail and `left` guards it.
#[derive(Debug, Clone, Eq)]
pub(crate) struct GuardedLogic {
    /// `And` or `Or`.
    operator: Operator,
    /// Left and right.
    sides: [Arc<dyn PhysicalExpr>; 2],
}

impl PartialEq for GuardedLogic {
    fn eq(&self, other: &Self) -> bool {
        self.operator == other.operator && self.sides == other.sides
    }
}

impl Hash for GuardedLogic {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.operator.hash(state);
        self.sides.hash(state);
    }
}

impl GuardedLogic {
    pub(crate) fn new(operator: Operator, left: Arc<dyn PhysicalExpr>, right: Arc<dyn PhysicalExpr>) -> Self {
        GuardedLogic { operator, sides: [left, right] }
    }

    /// Both sides, when the operator is AND.
    pub(crate) fn conjuncts(&self) -> Option<&[Arc<dyn PhysicalExpr>; 2]> {
        (self.operator == Operator::And).then_some(&self.sides)
    }

    /// The rows that the left side leaves open: not FALSE for AND, not TRUE for OR.
    fn undecided(&self, left: &BooleanArray) -> BooleanArray {
        let deciding = match self.operator {
            Operator::And => !left.values(),
            _ => left.values().clone(),
        };
        let decided = match left.nulls() {
            Some(nulls) => &deciding & nulls.inner(),
            None => deciding,
        };
        BooleanArray::new(!&decided as BooleanBuffer, None)
    }
}

impl fmt::Display for GuardedLogic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_sql(f)
    }
}

impl PhysicalExpr for GuardedLogic {
    fn evaluate(&self, batch: &RecordBatch) -> DataFusionResult<ColumnarValue> {
        let [left, right] = &self.sides;
        let left = left.evaluate(batch)?.into_array(batch.num_rows())?;
        let Some(left) = left.as_boolean_opt() else { return internal_err!("{self}: the left side is no condition") };
        let undecided = self.undecided(left);
        if !undecided.has_true() {
            return Ok(ColumnarValue::Array(Arc::new(left.clone())));
        }
        let right = right.evaluate_selection(batch, &undecided)?.into_array(batch.num_rows())?;
        let Some(right) = right.as_boolean_opt() else {
            return internal_err!("{self}: the right side is no condition");
        };
        let result = match self.operator {
            Operator::And => and_kleene(left, right)?,
            _ => or_kleene(left, right)?,
        };
        Ok(ColumnarValue::Array(Arc::new(result)))
    }

    fn return_field(&self, input_schema: &Schema) -> DataFusionResult<FieldRef> {
        let nullable = self.sides[0].nullable(input_schema)? || self.sides[1].nullable(input_schema)?;
        Ok(Arc::new(Field::new(self.to_string(), DataType::Boolean, nullable)))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        self.sides.iter().collect()
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> DataFusionResult<Arc<dyn PhysicalExpr>> {
        match <[_; 2]>::try_from(children) {
            Ok(sides) => Ok(Arc::new(GuardedLogic { operator: self.operator, sides })),
            Err(children) => internal_err!("{} with {} sides", self.operator, children.len()),
        }
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [left, right] = &self.sides;
        write!(f, "({} {} {})", describe_physical(left.as_ref()), self.operator, describe_physical(right.as_ref()))
    }
}
