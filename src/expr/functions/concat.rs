//! `concat`, which puts lists together where it is given lists, and the texts of all other values.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion_common::Result as PlanResult;
use datafusion_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion_expr::type_coercion::functions::fields_with_udf;
use datafusion_expr::{ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature};

use super::library;
use super::wrapped::as_wrapped;
use crate::error::{Code, Error};
use crate::expr::types::sql_type_name;

/// The function, for lists too if it is the library's `concat`.
pub(super) fn concat(function: Arc<ScalarUDF>) -> Arc<ScalarUDF> {
    if function.name() != "concat" {
        return function;
    }
    let Some(lists) = library::scalars().into_iter().find(|known| known.name() == "list_concat") else {
        return function;
    };
    let signature = Signature::user_defined(function.signature().volatility);
    Arc::new(ScalarUDF::new_from_impl(Concat { texts: function, lists, signature }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Concat {
    texts: Arc<ScalarUDF>,
    lists: Arc<ScalarUDF>,
    signature: Signature,
}

impl Concat {
    /// The function for values of these types.
    fn of(&self, types: &[DataType]) -> PlanResult<&Arc<ScalarUDF>> {
        let Some(list) = types.iter().find(|data_type| data_type.is_list()) else { return Ok(&self.texts) };
        match types.iter().find(|data_type| !data_type.is_list() && !data_type.is_null()) {
            None => Ok(&self.lists),
            Some(other) => {
                let message =
                    format!("concat takes lists or texts, not {} and {}", sql_type_name(list), sql_type_name(other));
                Err(Error::new(Code::InvalidQuery, message).hint("CAST(… AS VARCHAR) makes a text of any value").into())
            }
        }
    }
}

impl ScalarUDFImpl for Concat {
    as_wrapped!(texts);

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> PlanResult<DataType> {
        self.of(types)?.return_type(types)
    }

    fn coerce_types(&self, types: &[DataType]) -> PlanResult<Vec<DataType>> {
        let field = |data_type: &DataType| -> FieldRef { Arc::new(Field::new("argument", data_type.clone(), true)) };
        let fields: Vec<FieldRef> = types.iter().map(field).collect();
        let fields = fields_with_udf(&fields, self.of(types)?.as_ref())?;
        Ok(fields.iter().map(|field| field.data_type().clone()).collect())
    }

    fn simplify(&self, arguments: Vec<Expr>, context: &SimplifyContext) -> PlanResult<ExprSimplifyResult> {
        let types = arguments.iter().map(|argument| context.get_data_type(argument)).collect::<PlanResult<Vec<_>>>()?;
        self.of(&types)?.simplify(arguments, context)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> PlanResult<ColumnarValue> {
        let types: Vec<DataType> = arguments.args.iter().map(ColumnarValue::data_type).collect();
        self.of(&types)?.invoke_with_args(arguments)
    }
}
