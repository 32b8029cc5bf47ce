//! `json_transform(json, structure)`: JSON as values of SQL types, which the structure says: `{"a": "INTEGER", "b": ["DATE"]}`.
//!
//! What does not fit is NULL, or an error in the strict functions.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion_common::{Result as DataFusionResult, ScalarValue, internal_err, plan_err};
use datafusion_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use serde_json::Value;

use crate::error::{Code, Error, Result};
use crate::expr::json::{Demand, Part, parse, read};
use crate::expr::types::sql_type_from_name;

/// The functions of this file.
pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    let function = |name: &'static str, alias: &str, strict| {
        let (aliases, signature) = (vec![alias.to_string()], Signature::any(2, Volatility::Immutable));
        Arc::new(ScalarUDF::new_from_impl(Transform { name, aliases, strict, signature }))
    };
    vec![function("json_transform", "from_json", false), function("json_transform_strict", "from_json_strict", true)]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Transform {
    name: &'static str,
    aliases: Vec<String>,
    strict: bool,
    signature: Signature,
}

impl ScalarUDFImpl for Transform {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> DataFusionResult<DataType> {
        internal_err!("{} has a type by its arguments", self.name)
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> DataFusionResult<FieldRef> {
        let structure =
            arguments.scalar_arguments.get(1).copied().flatten().and_then(ScalarValue::try_as_str).flatten();
        match structure {
            Some(structure) => Ok(Arc::new(Field::new("", type_of(&parse(structure)?)?, true))),
            None => plan_err!("the structure of {} is a constant text", self.name),
        }
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let Some(texts) = arguments.args.first() else { return internal_err!("two arguments are expected") };
        let texts = arrow::compute::cast(&texts.to_array(arguments.number_rows)?, &DataType::Utf8View)?;
        let parts = texts.as_string_view().iter().map(|text| text.map(Part::of).transpose());
        let parts = parts.collect::<Result<Vec<_>>>()?;
        let demand = if self.strict { Demand::Values } else { Demand::Nothing };
        Ok(ColumnarValue::Array(read(&parts, arguments.return_field.data_type(), demand)?))
    }
}

/// The type that a structure names.
fn type_of(structure: &Value) -> Result<DataType> {
    match structure {
        Value::String(name) => sql_type_from_name(name),
        Value::Array(items) => match items.as_slice() {
            [item] => Ok(DataType::List(Arc::new(Field::new_list_field(type_of(item)?, true)))),
            _ => Err(Error::new(Code::InvalidQuery, "a structure's array has one type")),
        },
        Value::Object(fields) => {
            let field = |(name, structure): (&String, &Value)| Ok(Field::new(name, type_of(structure)?, true));
            Ok(DataType::Struct(fields.iter().map(field).collect::<Result<Fields>>()?))
        }
        other => Err(Error::new(Code::InvalidQuery, format!("{other} is no type of a structure"))),
    }
}
