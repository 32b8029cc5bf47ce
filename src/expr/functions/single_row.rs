//! The value of a scalar subquery, or an error where it has more than one row.
//!
//! Invariant: it is called volatile, so that no pass of the optimizer moves it below the join that says which rows matter.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, AsArray, BooleanArray};
use arrow::compute::nullif;
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion_common::{DataFusionError, Result as DataFusionResult, ScalarValue, internal_err};
use datafusion_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::error::{Code, Error};

/// `value`, of a subquery with `count` rows; NULL of one without rows, whatever `value` makes of that.
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
        match &count {
            ColumnarValue::Scalar(ScalarValue::Int64(Some(1))) => Ok(value),
            ColumnarValue::Scalar(ScalarValue::Int64(Some(2..))) => Err(several_rows()),
            ColumnarValue::Scalar(_) => Ok(ColumnarValue::Scalar(ScalarValue::try_from(value.data_type())?)),
            ColumnarValue::Array(counts) => {
                let Some(counts) = counts.as_primitive_opt::<Int64Type>() else {
                    return internal_err!("single_row takes a BIGINT");
                };
                let (mut several, mut all) = (false, counts.null_count() == 0);
                for count in counts.iter().flatten() {
                    several |= count > 1;
                    all &= count == 1;
                }
                match (several, all) {
                    (true, _) => Err(several_rows()),
                    (false, true) => Ok(value),
                    (false, false) => {
                        let missing: BooleanArray = counts.iter().map(|count| Some(count != Some(1))).collect();
                        Ok(ColumnarValue::Array(nullif(&value.into_array(counts.len())?, &missing)?))
                    }
                }
            }
        }
    }
}

fn several_rows() -> DataFusionError {
    Error::new(Code::InvalidQuery, "more than one row returned by a subquery used as an expression")
        .hint("aggregate it, or add LIMIT 1")
        .into()
}
