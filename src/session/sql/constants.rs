//! Constant expressions in the calls of table functions, as values of options.

use datafusion_common::ScalarValue;
use datafusion_sql::sqlparser::ast::{Expr, Spanned};

use super::Prepared;
use super::parse::span_of;
use super::relations::Tables;
use crate::error::{Code, Error, Result};
use crate::scan::OptionValue;

/// The value of `expr`, computed as a query without tables.
///
/// # Errors
/// Those of the expression, and `INVALID_QUERY` for NULL and for values that no option takes; all at its place.
pub(super) fn constant(expr: &Expr, tables: &dyn Tables) -> Result<OptionValue> {
    let refused = |error: Error| {
        Error::new(error.code(), format!("{expr} is no constant: {}", error.message())).span(span_of(expr.span()))
    };
    let value = computed(expr, tables).map_err(refused)?;
    option_value(&value).ok_or_else(|| {
        Error::new(Code::InvalidQuery, format!("{expr} is {value}, which no option takes")).span(span_of(expr.span()))
    })
}

fn computed(expr: &Expr, tables: &dyn Tables) -> Result<ScalarValue> {
    let plan = Prepared::new(&format!("SELECT {expr}"), tables)?.query_plan()?;
    let rows = tables.rows(&plan)?;
    let first = rows.iter().find(|batch| batch.num_rows() > 0).and_then(|batch| batch.columns().first());
    Ok(first.map(|column| ScalarValue::try_from_array(column, 0)).transpose()?.unwrap_or(ScalarValue::Null))
}

fn option_value(value: &ScalarValue) -> Option<OptionValue> {
    if value.is_null() {
        return None;
    }
    let item = |array: &arrow::array::ArrayRef, index: usize| {
        ScalarValue::try_from_array(array, index).ok().as_ref().and_then(option_value)
    };
    match value {
        ScalarValue::Boolean(Some(value)) => Some(OptionValue::Bool(*value)),
        ScalarValue::List(list) => {
            let items = list.value(0);
            (0..items.len()).map(|index| item(&items, index)).collect::<Option<_>>().map(OptionValue::List)
        }
        ScalarValue::Struct(fields) => {
            let field = |(name, values): (&String, _)| Some((name.clone(), item(values, 0)?));
            let names: Vec<String> = fields.fields().iter().map(|field| field.name().clone()).collect();
            names.iter().zip(fields.columns()).map(field).collect::<Option<_>>().map(OptionValue::Struct)
        }
        other => {
            let text = other.try_as_str().flatten().map(str::to_string);
            let number = || match other.cast_to(&arrow::datatypes::DataType::Int64).ok()? {
                ScalarValue::Int64(number) if other.data_type().is_integer() => number.map(OptionValue::Int),
                _ => None,
            };
            let shown = || other.data_type().is_numeric().then(|| OptionValue::Text(other.to_string()));
            text.map(OptionValue::Text).or_else(number).or_else(shown)
        }
    }
}
