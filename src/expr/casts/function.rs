//! The function that stands for a cast.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion_common::{Result as DataFusionResult, ScalarValue, internal_err};
use datafusion_expr::expr::ScalarFunction;
use datafusion_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::kernels::{How, cast_values};
use crate::expr::types::sql_type_name;

/// The cast of `value` as a call.
pub(super) fn call(value: Expr, to: DataType, safe: bool) -> Expr {
    let signature = Signature::any(1, Volatility::Immutable);
    let function = OwnCast { to, how: How { safe }, signature };
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(ScalarUDF::new_from_impl(function)), vec![value]))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct OwnCast {
    to: DataType,
    how: How,
    signature: Signature,
}

impl OwnCast {
    fn written(&self, arguments: &[Expr]) -> String {
        let value = arguments.first().map(Expr::to_string).unwrap_or_default();
        let name = if self.how.safe { "TRY_CAST" } else { "CAST" };
        format!("{name}({value} AS {})", sql_type_name(&self.to))
    }
}

impl ScalarUDFImpl for OwnCast {
    fn name(&self) -> &str {
        if self.how.safe { "try_cast" } else { "cast" }
    }

    fn display_name(&self, arguments: &[Expr]) -> DataFusionResult<String> {
        Ok(self.written(arguments))
    }

    fn schema_name(&self, arguments: &[Expr]) -> DataFusionResult<String> {
        Ok(self.written(arguments))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> DataFusionResult<DataType> {
        Ok(self.to.clone())
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> DataFusionResult<FieldRef> {
        let nullable = self.how.safe || arguments.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name(), self.to.clone(), nullable)))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        match arguments.args.as_slice() {
            [ColumnarValue::Array(values)] => Ok(ColumnarValue::Array(cast_values(values, &self.to, self.how)?)),
            [ColumnarValue::Scalar(value)] => {
                let values = cast_values(&value.to_array()?, &self.to, self.how)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&values, 0)?))
            }
            _ => internal_err!("a cast takes one argument"),
        }
    }
}
