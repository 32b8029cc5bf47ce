//! The value of a scalar subquery, or an error where it has more than one row.
//!
//! Invariant: it is called volatile, so that no pass of the optimizer moves it below the join that says which rows matter.

use std::sync::{Arc, LazyLock};

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion_common::{DataFusionError, Result as DataFusionResult, ScalarValue, internal_err};
use datafusion_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::error::{Code, Error};

/// `value`, of a subquery with `count` rows.
pub fn single_row(value: Expr, count: Expr) -> Expr {
    static FUNCTION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
        Arc::new(ScalarUDF::new_from_impl(SingleRow { signature: Signature::any(2, Volatility::Volatile) }))
    });
    FUNCTION.call(vec![value, count])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct SingleRow {
    signature: Signature,
}

impl ScalarUDFImpl for SingleRow {
    fn name(&self) -> &str {
        "single_row"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> DataFusionResult<DataType> {
        match types {
            [value, _] => Ok(value.clone()),
            _ => internal_err!("single_row takes two arguments"),
        }
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> DataFusionResult<FieldRef> {
        let types: Vec<DataType> = arguments.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        Ok(Arc::new(Field::new(self.name(), self.return_type(&types)?, true)))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let Ok([value, count]) = <[ColumnarValue; 2]>::try_from(arguments.args) else {
            return internal_err!("single_row takes two arguments");
        };
        let several = match &count {
            ColumnarValue::Scalar(ScalarValue::Int64(count)) => count.is_some_and(|count| count > 1),
            ColumnarValue::Array(counts) => {
                let counts = counts.as_primitive_opt::<Int64Type>();
                counts.is_some_and(|counts| counts.iter().flatten().any(|count| count > 1))
            }
            ColumnarValue::Scalar(_) => false,
        };
        if several { Err(several_rows()) } else { Ok(value) }
    }
}

fn several_rows() -> DataFusionError {
    Error::new(Code::InvalidQuery, "more than one row returned by a subquery used as an expression")
        .hint("aggregate it, or add LIMIT 1")
        .into()
}
