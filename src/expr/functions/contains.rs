//! `list_contains`, which is the library's but for lists with NULLs: of constants the library makes `value IN (…)`, which is
//! NULL where the value is not found among NULLs. It is false. And the value may be a number of another kind.

use std::sync::Arc;

use arrow::array::Array;
use arrow::datatypes::{DataType, Field};
use datafusion_common::{Result as DataFusionResult, ScalarValue, plan_err};
use datafusion_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion_expr::{
    ColumnarValue, Documentation, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_expr_common::type_coercion::binary::type_union_resolution;
use datafusion_functions_nested::array_has::array_has_udf;

use crate::expr::types::sql_type_name;

/// The function.
pub(super) fn contains() -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::new_from_impl(Contains {
        library: array_has_udf(),
        signature: Signature::user_defined(Volatility::Immutable),
    }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Contains {
    library: Arc<ScalarUDF>,
    signature: Signature,
}

/// Whether the list is a constant without NULLs that has values: `NULL IN ()` is false.
fn is_plain(list: &Expr) -> bool {
    match list {
        Expr::Literal(ScalarValue::List(lists), _) => !lists.values().is_empty() && lists.values().null_count() == 0,
        _ => false,
    }
}

impl ScalarUDFImpl for Contains {
    fn name(&self) -> &str {
        self.library.name()
    }

    fn aliases(&self) -> &[String] {
        self.library.aliases()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> DataFusionResult<Vec<DataType>> {
        let [list, value] = types else { return plan_err!("list_contains takes a list and a value") };
        let item = match list {
            DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => item.data_type(),
            DataType::Null => return Ok(vec![list.clone(), value.clone()]),
            other => return plan_err!("list_contains takes a list, not {}", sql_type_name(other)),
        };
        let pair = [item.clone(), value.clone()];
        let common = match pair.iter().all(DataType::is_numeric) && pair.iter().any(DataType::is_floating) {
            true => Some(DataType::Float64),
            false => type_union_resolution(&pair),
        };
        let Some(common) = common else {
            return plan_err!("{} holds no {}", sql_type_name(list), sql_type_name(value));
        };
        Ok(vec![DataType::List(Arc::new(Field::new_list_field(common.clone(), true))), common])
    }

    fn return_type(&self, types: &[DataType]) -> DataFusionResult<DataType> {
        self.library.return_type(types)
    }

    fn simplify(&self, arguments: Vec<Expr>, context: &SimplifyContext) -> DataFusionResult<ExprSimplifyResult> {
        match arguments.first() {
            Some(list) if is_plain(list) => self.library.simplify(arguments, context),
            _ => Ok(ExprSimplifyResult::Original(arguments)),
        }
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        self.library.invoke_with_args(arguments)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.library.documentation()
    }
}
