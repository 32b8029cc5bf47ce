//! `<`, `<=`, `>` and `>=` of lists, structs and maps: a NULL within them is greater than any value, as in ORDER BY. The library
//! takes it for less.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, make_comparator};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion_common::{DFSchema, Result as DataFusionResult, ScalarValue, internal_err};
use datafusion_expr::{ColumnarValue, Expr, ExprSchemable, Operator};
use datafusion_physical_expr::PhysicalExpr;

use crate::batch::logical::is_enum;
use crate::expr::describe_physical;
use crate::expr::evaluator::Evaluator;

/// Such a comparison.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct NestedOrder {
    operator: Operator,
    sides: [Arc<dyn PhysicalExpr>; 2],
}

/// The value of such a comparison of constants, which the library would fold in its own way; `None` for anything else.
pub(super) fn constant(expr: &Expr, schema: &DFSchema) -> Option<Expr> {
    let Expr::BinaryExpr(binary) = expr else { return None };
    let data_type = binary.left.get_type(schema).ok()?;
    if !is_order(binary.op, &data_type) || expr.any_column_refs() || expr.is_volatile() {
        return None;
    }
    let one_row = RecordBatchOptions::new().with_row_count(Some(1));
    let row = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &one_row).ok()?;
    // What fails does so again when the query runs.
    let value = Evaluator::compile(expr, &DFSchema::empty()).and_then(|compiled| compiled.evaluate(&row)).ok()?;
    Some(Expr::Literal(ScalarValue::try_from_array(&value, 0).ok()?, None))
}

/// Whether values of the type, which are nested, are ordered by the operator.
fn is_order(operator: Operator, data_type: &DataType) -> bool {
    let is_order = matches!(operator, Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq);
    is_order && data_type.is_nested() && !is_enum(data_type)
}

impl NestedOrder {
    /// The comparison; `None` for values that are not nested and for other operators.
    pub(super) fn of(operator: Operator, sides: [Arc<dyn PhysicalExpr>; 2], data_type: &DataType) -> Option<Self> {
        is_order(operator, data_type).then_some(NestedOrder { operator, sides })
    }

    fn holds(&self, order: Ordering) -> bool {
        match self.operator {
            Operator::Lt => order.is_lt(),
            Operator::LtEq => order.is_le(),
            Operator::Gt => order.is_gt(),
            _ => order.is_ge(),
        }
    }
}

impl fmt::Display for NestedOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_sql(f)
    }
}

impl PhysicalExpr for NestedOrder {
    fn evaluate(&self, batch: &RecordBatch) -> DataFusionResult<ColumnarValue> {
        let [left, right] = &self.sides;
        let side = |side: &Arc<dyn PhysicalExpr>| -> DataFusionResult<ArrayRef> {
            side.evaluate(batch)?.into_array(batch.num_rows())
        };
        let (left, right) = (side(left)?, side(right)?);
        let compare = make_comparator(&left, &right, SortOptions { descending: false, nulls_first: false })?;
        let values = BooleanBuffer::collect_bool(batch.num_rows(), |row| self.holds(compare(row, row)));
        let nulls = NullBuffer::union(left.nulls(), right.nulls());
        Ok(ColumnarValue::Array(Arc::new(BooleanArray::new(values, nulls))))
    }

    fn return_field(&self, schema: &Schema) -> DataFusionResult<FieldRef> {
        let [left, right] = &self.sides;
        let nullable = left.nullable(schema)? || right.nullable(schema)?;
        Ok(Arc::new(Field::new(self.to_string(), DataType::Boolean, nullable)))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        self.sides.iter().collect()
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> DataFusionResult<Arc<dyn PhysicalExpr>> {
        match children.try_into() {
            Ok(sides) => Ok(Arc::new(NestedOrder { operator: self.operator, sides })),
            Err(_) => internal_err!("a comparison has two sides"),
        }
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [left, right] = &self.sides;
        write!(f, "{} {} {}", describe_physical(left.as_ref()), self.operator, describe_physical(right.as_ref()))
    }
}
