//! `TRY(expression)`: NULL where the expression fails.
//!
//! The function alone does nothing: when it is called, its argument has a value. The compiled tree has a node in its
//! place that evaluates the argument itself, and row by row where a batch holds one that fails.
//!
//! Invariant: only what a value does wrong is caught, not what the machine or the engine does.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::compute::concat;
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use datafusion_common::{Result as DataFusionResult, internal_err};
use datafusion_expr::scalar_doc_sections::DOC_SECTION_CONDITIONAL;
use datafusion_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr_common::physical_expr::is_volatile;

use crate::error::{Code, Error};
use crate::expr::{describe_physical, from_library};

/// The function that stands for the node in logical plans.
pub(super) fn try_function() -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::new_from_impl(Try { signature: Signature::any(1, Volatility::Immutable) }))
}

/// Whether `function` is that function.
pub(super) fn is_try(function: &ScalarUDF) -> bool {
    function.inner().is::<Try>()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Try {
    signature: Signature,
}

impl ScalarUDFImpl for Try {
    fn name(&self) -> &str {
        "try"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn documentation(&self) -> Option<&Documentation> {
        static DOCUMENTATION: LazyLock<Documentation> = LazyLock::new(|| {
            Documentation::builder(DOC_SECTION_CONDITIONAL, "NULL where the expression fails", "try(expression)")
                .build()
        });
        Some(&DOCUMENTATION)
    }

    fn return_type(&self, types: &[DataType]) -> DataFusionResult<DataType> {
        match types {
            [value] => Ok(value.clone()),
            _ => internal_err!("try takes one argument"),
        }
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> DataFusionResult<FieldRef> {
        match arguments.arg_fields {
            [value] => Ok(Arc::new(value.as_ref().clone().with_nullable(true))),
            _ => internal_err!("try takes one argument"),
        }
    }

    /// No part of the argument may be computed outside of the call.
    fn short_circuits(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        match <[ColumnarValue; 1]>::try_from(arguments.args) {
            Ok([value]) => Ok(value),
            Err(_) => internal_err!("try takes one argument"),
        }
    }
}

/// The node.
#[derive(Debug, Eq)]
pub(super) struct Attempt {
    value: Arc<dyn PhysicalExpr>,
}

impl PartialEq for Attempt {
    fn eq(&self, other: &Self) -> bool {
        self.value.as_ref() == other.value.as_ref()
    }
}

impl Hash for Attempt {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.value.hash(state);
    }
}

impl Attempt {
    /// # Errors
    /// `INVALID_QUERY` for a value that is another one each time.
    pub(super) fn new(value: Arc<dyn PhysicalExpr>) -> DataFusionResult<Self> {
        if is_volatile(&value) {
            return Err(
                Error::new(Code::InvalidQuery, "TRY takes no function that gives another value each time").into()
            );
        }
        Ok(Attempt { value })
    }

    fn values(&self, batch: &RecordBatch) -> DataFusionResult<ArrayRef> {
        let rows = batch.num_rows();
        let error = match self.value.evaluate(batch).and_then(|value| value.into_array(rows)) {
            Ok(values) => return Ok(values),
            Err(error) => from_library(error),
        };
        if rows == 0 || !is_of_value(error.code()) {
            return Err(error.into());
        }
        if rows == 1 {
            return Ok(new_null_array(&self.value.data_type(&batch.schema())?, 1));
        }
        let middle = rows / 2;
        let first = self.values(&batch.slice(0, middle))?;
        let second = self.values(&batch.slice(middle, rows - middle))?;
        Ok(concat(&[first.as_ref(), second.as_ref()])?)
    }
}

/// Whether a value may be the cause of such an error.
fn is_of_value(code: Code) -> bool {
    !matches!(
        code,
        Code::OutOfMemory | Code::SpillFailed | Code::Cancelled | Code::Io | Code::Internal | Code::FileNotFound
    )
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_sql(f)
    }
}

impl PhysicalExpr for Attempt {
    fn evaluate(&self, batch: &RecordBatch) -> DataFusionResult<ColumnarValue> {
        self.values(batch).map(ColumnarValue::Array)
    }

    fn return_field(&self, input_schema: &Schema) -> DataFusionResult<FieldRef> {
        Ok(Arc::new(Field::new(self.to_string(), self.value.data_type(input_schema)?, true)))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.value]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> DataFusionResult<Arc<dyn PhysicalExpr>> {
        match <[_; 1]>::try_from(children) {
            Ok([value]) => Ok(Arc::new(Attempt { value })),
            Err(children) => internal_err!("TRY with {} arguments", children.len()),
        }
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "try({})", describe_physical(self.value.as_ref()))
    }
}
