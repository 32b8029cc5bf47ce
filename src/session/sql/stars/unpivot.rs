//! UNPIVOT, as the query that it is: `t UNPIVOT (v FOR n IN (a, b))` is
//! `SELECT …, unnest(['a', 'b']) AS n, unnest([a, b]) AS v FROM t`, with one such list for each column of values.

use std::ops::ControlFlow;

use arrow::datatypes::DataType;
use datafusion_sql::sqlparser::ast::{
    Array as ListLiteral, Expr, ExprWithAlias, Ident, Query, SelectItem, SetExpr, TableAlias, TableFactor, Value,
    Visit, Visitor,
};

use super::super::calls::call_of;
use super::pivot::{Named, Names, both, elements, select_from};
use super::{Tables, columns};
use crate::batch::logical::is_enum;
use crate::error::{Code, Error, Result};

/// The query of an UNPIVOT.
pub(super) fn unpivoted(
    table: &TableFactor,
    value: &Expr,
    name: &Ident,
    written: &[ExprWithAlias],
    keeps_nulls: bool,
    tables: &Tables<'_>,
) -> Result<Query> {
    let value_names = elements(value.clone()).into_iter().map(|value| match value {
        Expr::Identifier(name) => Ok(name),
        other => Err(Error::new(Code::InvalidQuery, format!("UNPIVOT into {other}, which is no name"))),
    });
    let value_names = value_names.collect::<Result<Vec<Ident>>>()?;
    let turned = turned(written, value_names.len(), tables)?;
    let mut named = Names::default();
    turned.iter().flat_map(|(exprs, _)| exprs).for_each(|expr| {
        let _: ControlFlow<()> = Visit::visit(expr, &mut named);
    });
    let schema = tables.schema()?;
    let others = schema.fields().iter().filter(|field| !named.0.contains(field.name()));
    let others: Vec<SelectItem> =
        others.map(|field| SelectItem::UnnamedExpr(Expr::Identifier(Ident::with_quote('"', field.name())))).collect();
    let list = |elem: Vec<Expr>| call_of("unnest", vec![Expr::Array(ListLiteral { elem, named: false })]);
    let text = |(_, text): &Named| Expr::value(Value::SingleQuotedString(text.clone()));
    let names = list(turned.iter().map(text).collect());
    let mut values = Vec::with_capacity(value_names.len());
    for (number, value) in value_names.iter().enumerate() {
        let column: Vec<Expr> = turned.iter().filter_map(|(exprs, _)| exprs.get(number)).cloned().collect();
        check_types(&column, tables)?;
        values.push(SelectItem::ExprWithAlias { expr: list(column), alias: value.clone() });
    }
    let mut query = select_from(table)?;
    if let SetExpr::Select(select) = query.body.as_mut() {
        select.projection = others;
        select.projection.push(SelectItem::ExprWithAlias { expr: names, alias: name.clone() });
        select.projection.extend(values);
    }
    if keeps_nulls {
        return Ok(query);
    }
    let alias = TableAlias { explicit: true, name: Ident::with_quote('"', "pivot"), columns: Vec::new(), at: None };
    let all = TableFactor::Derived { lateral: false, subquery: Box::new(query), alias: Some(alias), sample: None };
    let mut query = select_from(&all)?;
    if let SetExpr::Select(select) = query.body.as_mut() {
        let is_there = |value: Ident| Expr::IsNotNull(Box::new(Expr::Identifier(value)));
        select.selection = value_names.into_iter().map(is_there).reduce(both);
    }
    Ok(query)
}

/// The columns that become rows, a group of `count` for each, and what their rows are called.
fn turned(written: &[ExprWithAlias], count: usize, tables: &Tables<'_>) -> Result<Vec<Named>> {
    let mut turned: Vec<Named> = Vec::new();
    for column in written {
        match &column.expr {
            expr if columns::has_columns(expr) => {
                let several = columns::repeated(expr, tables)?;
                turned.extend(several.into_iter().map(|(expr, column)| (vec![expr], column.shown().to_string())));
            }
            expr => {
                let exprs = if count > 1 { elements(expr.clone()) } else { vec![expr.clone()] };
                let alias = column.alias.as_ref().map(|alias| alias.value.clone());
                let name = alias.unwrap_or_else(|| exprs.iter().map(column_in).collect::<Vec<_>>().join("_"));
                turned.push((exprs, name));
            }
        }
    }
    if turned.iter().any(|(exprs, _)| exprs.len() != count) {
        let message = format!("UNPIVOT into {} columns takes as many for each row", count);
        return Err(
            Error::new(Code::InvalidQuery, message).hint("ON (a1, b1) AS one, (a2, b2) AS two INTO NAME n VALUE a, b")
        );
    }
    Ok(turned)
}

/// What the rows of an expression are called: as the first column in it.
fn column_in(expr: &Expr) -> String {
    struct First(Option<String>);
    impl Visitor for First {
        type Break = ();
        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            self.0 = match expr {
                Expr::Identifier(name) => Some(name.value.clone()),
                Expr::CompoundIdentifier(names) => names.last().map(|name| name.value.clone()),
                _ => return ControlFlow::Continue(()),
            };
            ControlFlow::Break(())
        }
    }
    let mut first = First(None);
    let _: ControlFlow<()> = Visit::visit(expr, &mut first);
    first.0.unwrap_or_else(|| expr.to_string())
}

/// An error for texts beside other values, which would have to be read as these.
fn check_types(exprs: &[Expr], tables: &Tables<'_>) -> Result<()> {
    let Ok(types) = tables.types_of(exprs) else { return Ok(()) };
    let known: Vec<&DataType> = types.iter().filter(|kind| !kind.is_null()).collect();
    let text = known.iter().find(|kind| kind.is_string());
    let other = known.iter().find(|kind| !kind.is_string() && !is_enum(kind));
    let (Some(text), Some(other)) = (text, other) else { return Ok(()) };
    let name = crate::expr::types::sql_type_name;
    let message = format!("UNPIVOT of columns of the types {} and {}", name(other), name(text));
    Err(Error::new(Code::InvalidQuery, message).hint("cast them to one type: UNPIVOT t ON a::VARCHAR, b"))
}
