//! A cast that shows in the name of its column.
//!
//! The planner leaves casts out of names. This call of one cast has the target type in its name, and is nothing else than
//! its argument: the optimizer replaces it by that.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion_common::{Result as DataFusionResult, internal_err};
use datafusion_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// The name of the function: one that nobody writes.
pub const NAMED_CAST: &str = "#cast";

/// The function.
pub(super) fn named_cast() -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::new_from_impl(NamedCast { signature: Signature::any(1, Volatility::Immutable) }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct NamedCast {
    signature: Signature,
}

impl ScalarUDFImpl for NamedCast {
    fn name(&self) -> &str {
        NAMED_CAST
    }

    fn schema_name(&self, arguments: &[Expr]) -> DataFusionResult<String> {
        match arguments {
            [Expr::Cast(cast)] => Ok(format!("CAST({} AS {})", cast.expr.schema_name(), cast.field.data_type())),
            [Expr::TryCast(cast)] => Ok(format!("TRY_CAST({} AS {})", cast.expr.schema_name(), cast.field.data_type())),
            [other] => Ok(other.schema_name().to_string()),
            _ => internal_err!("{NAMED_CAST} takes one argument"),
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> DataFusionResult<DataType> {
        match types {
            [value] => Ok(value.clone()),
            _ => internal_err!("{NAMED_CAST} takes one argument"),
        }
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> DataFusionResult<FieldRef> {
        match arguments.arg_fields {
            [value] => Ok(value.clone()),
            _ => internal_err!("{NAMED_CAST} takes one argument"),
        }
    }

    fn simplify(&self, arguments: Vec<Expr>, _context: &SimplifyContext) -> DataFusionResult<ExprSimplifyResult> {
        match <[Expr; 1]>::try_from(arguments) {
            Ok([value]) => Ok(ExprSimplifyResult::Simplified(value)),
            Err(arguments) => Ok(ExprSimplifyResult::Original(arguments)),
        }
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        match <[ColumnarValue; 1]>::try_from(arguments.args) {
            Ok([value]) => Ok(value),
            Err(_) => internal_err!("{NAMED_CAST} takes one argument"),
        }
    }
}
