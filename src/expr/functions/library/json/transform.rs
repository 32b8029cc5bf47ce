//! `json_transform(json, structure)`: JSON as values of SQL types, which the structure says: `{"a": "INTEGER", "b": ["DATE"]}`.
//!
//! What does not fit is NULL, or an error in the strict functions.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, ListArray, StringViewArray, StructArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion_common::{Result as DataFusionResult, ScalarValue, internal_err, plan_err};
use datafusion_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use serde_json::Value;

use super::{as_text, parse};
use crate::error::{Code, Error, Result};
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
        let values =
            texts.as_string_view().iter().map(|text| text.map(parse).transpose()).collect::<Result<Vec<_>>>()?;
        let values: Vec<Option<&Value>> = values.iter().map(Option::as_ref).collect();
        Ok(ColumnarValue::Array(self.built(&values, arguments.return_field.data_type())?))
    }
}

/// The type that a structure names.
fn type_of(structure: &Value) -> Result<DataType> {
    match structure {
        Value::String(name) if name.eq_ignore_ascii_case("json") => Ok(DataType::Utf8View),
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

impl Transform {
    fn built(&self, values: &[Option<&Value>], data_type: &DataType) -> Result<ArrayRef> {
        match data_type {
            DataType::Struct(fields) => self.structs(values, fields),
            DataType::List(item) => self.lists(values, item),
            other => self.scalars(values, other),
        }
    }

    /// The value unless it is null or, outside of the strict functions, of another kind.
    fn of_kind<'a, T>(
        &self,
        value: Option<&'a Value>,
        take: fn(&'a Value) -> Option<&'a T>,
        what: &str,
    ) -> Result<Option<&'a T>> {
        let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(None) };
        match take(value) {
            None if self.strict => Err(Error::new(Code::InvalidCast, format!("{value} is no {what}"))),
            found => Ok(found),
        }
    }

    fn structs(&self, values: &[Option<&Value>], fields: &Fields) -> Result<ArrayRef> {
        let objects =
            values.iter().map(|value| self.of_kind(*value, Value::as_object, "object")).collect::<Result<Vec<_>>>()?;
        let mut columns = Vec::with_capacity(fields.len());
        for field in fields {
            let mut column = Vec::with_capacity(values.len());
            for object in &objects {
                let found = object.and_then(|object| object.get(field.name()));
                if self.strict && object.is_some() && found.is_none() {
                    let message = format!("an object has no key \"{}\"", field.name());
                    return Err(Error::new(Code::InvalidCast, message));
                }
                column.push(found);
            }
            columns.push(self.built(&column, field.data_type())?);
        }
        let nulls: NullBuffer = objects.iter().map(Option::is_some).collect();
        Ok(Arc::new(StructArray::try_new_with_length(fields.clone(), columns, Some(nulls), values.len())?))
    }

    fn lists(&self, values: &[Option<&Value>], item: &FieldRef) -> Result<ArrayRef> {
        let arrays =
            values.iter().map(|value| self.of_kind(*value, Value::as_array, "array")).collect::<Result<Vec<_>>>()?;
        let items: Vec<Option<&Value>> = arrays.iter().flatten().flat_map(|array| array.iter().map(Some)).collect();
        let offsets = OffsetBuffer::from_lengths(arrays.iter().map(|array| array.map_or(0, Vec::len)));
        let nulls: NullBuffer = arrays.iter().map(Option::is_some).collect();
        let items = self.built(&items, item.data_type())?;
        Ok(Arc::new(ListArray::try_new(item.clone(), offsets, items, Some(nulls))?))
    }

    fn scalars(&self, values: &[Option<&Value>], data_type: &DataType) -> Result<ArrayRef> {
        let texts = StringViewArray::from_iter(values.iter().map(|value| value.and_then(as_text)));
        let options = CastOptions { safe: !self.strict, ..CastOptions::default() };
        Ok(cast_with_options(&texts, data_type, &options)?)
    }
}
