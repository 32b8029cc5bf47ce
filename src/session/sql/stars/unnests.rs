//! `unnest(x, recursive := true)` and `unnest(x, max_depth := 2)` as the columns that they stand for.
//!
//! Each level of lists is one of depth, and so is a struct in the last of them, whose fields become columns; structs within
//! it are opened in the same way, lists within it are not.

use arrow::datatypes::DataType;
use datafusion_sql::sqlparser::ast::{
    AccessExpr, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, Select, SelectItem, Spanned, Subscript,
    Value,
};

use super::super::calls::call_of;
use super::super::macros::plain_name;
use super::super::parse::span_of;
use super::Tables;
use crate::batch::logical::is_enum;
use crate::error::{Code, Error, Result};

/// Puts columns in the places of such calls that are items of the select list.
///
/// # Errors
/// `INVALID_QUERY` for other named arguments.
pub(super) fn spell_out(select: &mut Select, tables: &Tables<'_>) -> Result<()> {
    let mut items = Vec::with_capacity(select.projection.len());
    for item in std::mem::take(&mut select.projection) {
        let called = match &item {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => opened(expr)?,
            _ => None,
        };
        // A query around, or tables that cannot be planned alone, may give the columns.
        let known = called.and_then(|(value, depth)| {
            let mut types = tables.types_of(std::slice::from_ref(&value)).ok()?;
            Some((value, depth, types.pop()?))
        });
        match (known, item) {
            (Some((value, depth, kind)), SelectItem::ExprWithAlias { alias, .. }) => {
                columns(value, depth, &kind, &alias, &mut items);
            }
            (_, item) => items.push(item),
        }
    }
    select.projection = items;
    Ok(())
}

/// The argument of a call with options, and the depth that they say.
pub(in crate::session::sql) fn opened(expr: &Expr) -> Result<Option<(Expr, usize)>> {
    let Expr::Function(call) = expr else { return Ok(None) };
    let FunctionArguments::List(list) = &call.args else { return Ok(None) };
    if plain_name(&call.name).as_deref() != Some("unnest") {
        return Ok(None);
    }
    let [FunctionArg::Unnamed(FunctionArgExpr::Expr(value)), options @ ..] = list.args.as_slice() else {
        return Ok(None);
    };
    let mut depth = 1;
    for option in options {
        let FunctionArg::Named { name, arg: FunctionArgExpr::Expr(wanted), .. } = option else {
            return Err(Error::new(Code::InvalidQuery, "unnest takes one list").span(span_of(call.name.span())));
        };
        let text = wanted.to_string().to_lowercase();
        depth = match (name.value.to_lowercase().as_str(), text.as_str()) {
            ("recursive", "true") => usize::MAX,
            ("recursive", "false") => depth,
            ("max_depth", number) if number.parse::<usize>().is_ok_and(|depth| depth > 0) => {
                number.parse().unwrap_or(depth)
            }
            _ => {
                let error = Error::new(Code::InvalidQuery, format!("unnest does not take {option}"));
                return Err(error.span(span_of(name.span)).hint("it takes recursive := true or max_depth := number"));
            }
        };
    }
    Ok((!options.is_empty()).then(|| (value.clone(), depth)))
}

/// The columns of a value of this type.
fn columns(mut value: Expr, mut depth: usize, mut kind: &DataType, alias: &Ident, items: &mut Vec<SelectItem>) {
    let mut lists = 0_usize;
    while let (DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _), 1..) = (kind, depth)
    {
        value = call_of("unnest", vec![value]);
        (kind, depth, lists) = (item.data_type(), depth - 1, lists + 1);
    }
    match kind {
        DataType::Struct(_) if depth > 0 && !is_enum(kind) => fields(&value, depth, kind, items),
        // The planner says what is wrong with values that are no lists.
        _ if lists == 0 => {
            let expr = call_of("unnest", vec![value]);
            items.push(SelectItem::ExprWithAlias { expr, alias: alias.clone() });
        }
        _ => items.push(SelectItem::ExprWithAlias { expr: value, alias: alias.clone() }),
    }
}

fn fields(value: &Expr, depth: usize, kind: &DataType, items: &mut Vec<SelectItem>) {
    let DataType::Struct(fields_of) = kind else { return };
    for field in fields_of {
        let index = Expr::value(Value::SingleQuotedString(field.name().clone()));
        let access = AccessExpr::Subscript(Subscript::Index { index });
        let expr = Expr::CompoundFieldAccess { root: Box::new(value.clone()), access_chain: vec![access] };
        let is_struct = matches!(field.data_type(), DataType::Struct(_)) && !is_enum(field.data_type());
        if is_struct && depth > 1 {
            fields(&expr, depth - 1, field.data_type(), items);
        } else {
            items.push(SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('"', field.name()) });
        }
    }
}
