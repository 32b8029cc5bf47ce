//! Checked arithmetic as a node of a compiled expression.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use datafusion_common::{DataFusionError, Result as DataFusionResult, ScalarValue};
use datafusion_expr::ColumnarValue;
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr_common::datum::apply;

use super::operator::CheckedOperator;
use super::{WIDER, kernels};
use crate::error::{Code, Error};
use crate::expr::describe_physical;
use crate::expr::types::sql_type_name;

/// `left + right` and its like over integers or decimals; the result is exact or an error.
#[derive(Debug, Clone, Eq)]
pub(crate) struct CheckedArithmetic {
    operator: CheckedOperator,
    /// One for unary minus, else two or more, from left to right.
    arguments: Vec<Arc<dyn PhysicalExpr>>,
    /// The type of every step.
    steps: Vec<DataType>,
}

impl PartialEq for CheckedArithmetic {
    fn eq(&self, other: &Self) -> bool {
        self.operator == other.operator && self.arguments == other.arguments && self.steps == other.steps
    }
}

impl Hash for CheckedArithmetic {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.operator.hash(state);
        self.arguments.hash(state);
    }
}

impl CheckedArithmetic {
    /// `steps` has a type for every operation: one less than there are arguments, or one for unary minus.
    pub(crate) fn new(operator: CheckedOperator, arguments: Vec<Arc<dyn PhysicalExpr>>, steps: Vec<DataType>) -> Self {
        CheckedArithmetic { operator, arguments, steps }
    }

    fn data_type(&self) -> DataFusionResult<&DataType> {
        self.steps.last().ok_or_else(|| Error::internal(format!("{} without a type", self.operator)).into())
    }

    /// The library's error as a sentence that names the expression and its type.
    fn explain(&self, error: DataFusionError) -> DataFusionError {
        let DataFusionError::ArrowError(arrow, _) = &error else { return error };
        let type_name = self.steps.last().map(sql_type_name).unwrap_or_default();
        let whole = if type_name.starts_with("DECIMAL") { "decimal" } else { "integer" };
        match arrow.as_ref() {
            ArrowError::ArithmeticOverflow(_) => {
                let message = format!("{whole} overflow in {} ({type_name})", describe_physical(self));
                Error::new(Code::Overflow, message).hint(WIDER).into()
            }
            ArrowError::DivideByZero => {
                let message = format!("division by zero in {}", describe_physical(self));
                Error::new(Code::DivisionByZero, message).hint("nullif(divisor, 0) gives NULL instead").into()
            }
            _ => error,
        }
    }
}

/// Applies `operator` to evaluated arguments; `steps` are the types of [`CheckedArithmetic::new`].
pub(super) fn evaluate_checked(
    operator: CheckedOperator,
    arguments: impl IntoIterator<Item = ColumnarValue>,
    steps: &[DataType],
) -> DataFusionResult<ColumnarValue> {
    let mut arguments = arguments.into_iter();
    let missing = || DataFusionError::from(Error::internal(format!("{operator} without arguments")));
    let mut value = arguments.next().ok_or_else(missing)?;
    if operator == CheckedOperator::Negate {
        return match value {
            ColumnarValue::Array(array) => Ok(ColumnarValue::Array(kernels::negate(array.as_ref())?)),
            ColumnarValue::Scalar(scalar) => {
                let negated = kernels::negate(scalar.to_array()?.as_ref())?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(negated.as_ref(), 0)?))
            }
        };
    }
    for data_type in steps {
        let right = arguments.next().ok_or_else(missing)?;
        value = apply(&value, &right, |left, right| kernels::binary(operator, left, right, data_type))?;
    }
    Ok(value)
}

impl fmt::Display for CheckedArithmetic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_sql(f)
    }
}

impl PhysicalExpr for CheckedArithmetic {
    fn evaluate(&self, batch: &RecordBatch) -> DataFusionResult<ColumnarValue> {
        let arguments =
            self.arguments.iter().map(|argument| argument.evaluate(batch)).collect::<Result<Vec<_>, _>>()?;
        evaluate_checked(self.operator, arguments, &self.steps).map_err(|error| self.explain(error))
    }

    fn return_field(&self, input_schema: &Schema) -> DataFusionResult<FieldRef> {
        let mut nullable = false;
        for argument in &self.arguments {
            nullable |= argument.nullable(input_schema)?;
        }
        Ok(Arc::new(Field::new(self.to_string(), self.data_type()?.clone(), nullable)))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        self.arguments.iter().collect()
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> DataFusionResult<Arc<dyn PhysicalExpr>> {
        Ok(Arc::new(CheckedArithmetic::new(self.operator, children, self.steps.clone())))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Parentheses around every inner operation: more than needed, never wrong.
        let inner = |argument: &Arc<dyn PhysicalExpr>| {
            let text = describe_physical(argument.as_ref());
            if argument.children().len() > 1 && !text.ends_with(')') { format!("({text})") } else { text }
        };
        match self.arguments.as_slice() {
            [only] => write!(f, "-{}", inner(only)),
            [first, others @ ..] => {
                f.write_str(&inner(first))?;
                others.iter().try_for_each(|other| write!(f, " {} {}", self.operator, inner(other)))
            }
            [] => write!(f, "{}", self.operator),
        }
    }
}
