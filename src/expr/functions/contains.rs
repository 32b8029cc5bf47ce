//! `list_contains` and `list_position`, which are the library's but for lists with NULLs: of constants the library makes
//! `value IN (…)`, which is NULL where the value is not found among NULLs. It is false. And the value may be a number of another
//! kind, or a text for a label of an ENUM.

use std::sync::Arc;

use arrow::array::Array;
use arrow::datatypes::{DataType, Field};
use datafusion_common::{Result as DataFusionResult, ScalarValue, plan_err};
use datafusion_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion_expr::{ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use datafusion_expr_common::type_coercion::binary::type_union_resolution;
use datafusion_functions_nested::array_has::array_has_udf;
use datafusion_functions_nested::position::array_position_udf;

use super::wrapped::as_wrapped;
use crate::batch::logical::is_enum;
use crate::expr::coercion::agreed;
use crate::expr::functions::counting::counting;
use crate::expr::types::sql_type_name;

/// The functions.
pub(super) fn searching() -> [Arc<ScalarUDF>; 2] {
    [array_has_udf(), counting(array_position_udf())].map(|library| {
        let signature = Signature::user_defined(Volatility::Immutable);
        Arc::new(ScalarUDF::new_from_impl(Searching { library, signature }))
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Searching {
    library: Arc<ScalarUDF>,
    signature: Signature,
}

impl Searching {
    /// The types that a list and a value become where one of them is of floe's own.
    pub(super) fn own_types(&self, types: &[DataType]) -> Option<Vec<DataType>> {
        let [list, value, more @ ..] = types else { return None };
        let common = agreed(&[item_type(list)?, value])?;
        // The library finds the places of plain values only.
        let is_label = is_enum(&common) && self.library.name() == "array_position";
        let common = if is_label { DataType::Utf8View } else { common };
        let list = DataType::List(Arc::new(Field::new_list_field(common.clone(), true)));
        Some([list, common].into_iter().chain(more.iter().cloned()).collect())
    }
}

/// The type of a list's values.
fn item_type(list: &DataType) -> Option<&DataType> {
    match list {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => Some(item.data_type()),
        _ => None,
    }
}

/// Whether the list is a constant without NULLs that has values: `NULL IN ()` is false.
fn is_plain(list: &Expr) -> bool {
    match list {
        Expr::Literal(ScalarValue::List(lists), _) => !lists.values().is_empty() && lists.values().null_count() == 0,
        _ => false,
    }
}

impl ScalarUDFImpl for Searching {
    as_wrapped!(library);

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> DataFusionResult<Vec<DataType>> {
        let name = self.library.name().replace("array_has", "list_contains").replace("array_", "list_");
        let (list, value, start) = match types {
            [list, value] => (list, value, None),
            [list, value, _] if name == "list_position" => (list, value, Some(DataType::Int64)),
            _ => return plan_err!("{name} takes a list and a value"),
        };
        if list.is_null() {
            return Ok(types.to_vec());
        }
        let Some(item) = item_type(list) else {
            return plan_err!("{name} takes a list, not {}", sql_type_name(list));
        };
        let pair = [item.clone(), value.clone()];
        let common = match pair.iter().all(DataType::is_numeric) && pair.iter().any(DataType::is_floating) {
            true => Some(DataType::Float64),
            // Casts of floe's own types are put in when the plan is known.
            false if self.own_types(types).is_some() => return Ok(types.to_vec()),
            false => type_union_resolution(&pair),
        };
        let Some(common) = common else {
            return plan_err!("{} holds no {}", sql_type_name(list), sql_type_name(value));
        };
        let list = DataType::List(Arc::new(Field::new_list_field(common.clone(), true)));
        Ok([list, common].into_iter().chain(start).collect())
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
}
