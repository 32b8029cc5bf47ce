//! `coalesce`: the library makes `CASE WHEN a IS NOT NULL THEN a ELSE b END` of it, which asks for `a` twice. That is two values
//! where `a` is random, and of calls within calls there would be 2^n.
//!
//! Invariant: what stands behind the first argument is evaluated for the rows where it is needed, unless it cannot fail.

use std::sync::Arc;

use arrow::array::Array;
use arrow::compute::kernels::zip::zip;
use arrow::compute::{cast, is_null};
use arrow::datatypes::{DataType, FieldRef};
use datafusion_common::{Result as DataFusionResult, ScalarValue};
use datafusion_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion_expr::{ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl};

use super::wrapped::{as_wrapped, called_as_wrapped};

/// The function, evaluated here where that is as good, if it is the library's `coalesce`.
pub(super) fn coalesce(function: Arc<ScalarUDF>) -> Arc<ScalarUDF> {
    if function.name() != "coalesce" {
        return function;
    }
    Arc::new(ScalarUDF::new_from_impl(Coalesce { function }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Coalesce {
    function: Arc<ScalarUDF>,
}

/// Whether nothing is lost where all arguments are evaluated for all rows.
fn evaluates_all(arguments: &[Expr]) -> bool {
    let [first, others @ ..] = arguments else { return false };
    let is_plain = |value: &Expr| matches!(value, Expr::Literal(..) | Expr::Column(_));
    let but_last = others.len().saturating_sub(1);
    !others.is_empty() && others.iter().all(is_plain)
        || first.is_volatile()
        || others.iter().take(but_last).any(Expr::is_volatile)
}

impl ScalarUDFImpl for Coalesce {
    as_wrapped!(function);
    called_as_wrapped!(function);

    fn return_type(&self, types: &[DataType]) -> DataFusionResult<DataType> {
        self.function.return_type(types)
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> DataFusionResult<FieldRef> {
        self.function.return_field_from_args(arguments)
    }

    fn simplify(&self, arguments: Vec<Expr>, context: &SimplifyContext) -> DataFusionResult<ExprSimplifyResult> {
        if evaluates_all(&arguments) {
            return Ok(ExprSimplifyResult::Original(arguments));
        }
        self.function.simplify(arguments, context)
    }

    fn short_circuits(&self) -> bool {
        self.function.short_circuits()
    }

    fn conditional_arguments<'a>(&self, arguments: &'a [Expr]) -> Option<(Vec<&'a Expr>, Vec<&'a Expr>)> {
        self.function.conditional_arguments(arguments)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let wanted = arguments.return_field.data_type();
        let mut values = arguments.args.into_iter();
        let mut first = values.next().unwrap_or(ColumnarValue::Scalar(ScalarValue::Null)).cast_to(wanted, None)?;
        for next in values {
            let found = match first {
                ColumnarValue::Scalar(value) if value.is_null() => {
                    first = next.cast_to(wanted, None)?;
                    continue;
                }
                ColumnarValue::Array(array) if array.logical_null_count() > 0 => array,
                known => return Ok(known),
            };
            let missing = is_null(&found)?;
            let array = match &next {
                ColumnarValue::Scalar(value) => zip(&missing, &value.cast_to(wanted)?.to_scalar()?, &found)?,
                ColumnarValue::Array(array) => zip(&missing, &cast(array, wanted)?, &found)?,
            };
            first = ColumnarValue::Array(array);
        }
        Ok(first)
    }
}
