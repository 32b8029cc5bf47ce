//! `SELECT -a AS a … ORDER BY a + 0` (or `ORDER BY t.a`): the order is by the table's column, though the output has one of that
//! name.
//!
//! The planner puts a column that only ORDER BY names beside those of the select list and then finds two of one name. Where
//! that would happen, the keys get names of their own in a subquery and the order stays outside.
//!
//! # Known limitation
//! Not beside `*`, DISTINCT or ORDER BY ALL, nor with GROUP BY ALL where windows are in the select list.

use std::ops::ControlFlow;

use datafusion_sql::sqlparser::ast::{
    Expr, GroupByExpr, Ident, OrderBy, OrderByKind, Select, SelectItem, SetExpr, Statement, TableFactor,
    TableWithJoins, Value, Visit, Visitor,
};
use datafusion_sql::sqlparser::dialect::GenericDialect;
use datafusion_sql::sqlparser::parser::Parser;

use super::groups::name_all_keys;
use super::scoped::names_in;
use crate::error::{Error, Result};

/// The names of a select list that consists of nothing but named columns.
fn output_names(items: &[SelectItem]) -> Option<Vec<Ident>> {
    let name = |item: &SelectItem| match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(alias.clone()),
        SelectItem::UnnamedExpr(Expr::Identifier(name)) => Some(name.clone()),
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(names)) => names.last().cloned(),
        _ => None,
    };
    items.iter().map(name).collect()
}

/// Makes columns of the keys of ORDER BY where one of them names a column that the output hides; returns the names of the
/// columns that the query has without them.
pub(super) fn name_keys(
    select: &mut Select,
    order: &mut OrderBy,
    is_column: &dyn Fn(&str) -> bool,
) -> Option<Vec<Ident>> {
    let OrderByKind::Expressions(keys) = &mut order.kind else { return None };
    if select.distinct.is_some() {
        return None;
    }
    let names = output_names(&select.projection)?;
    if !keys.iter().any(|key| hides(&select.projection, &key.expr, is_column)) {
        return None;
    }
    name_all_keys(select);
    if matches!(select.group_by, GroupByExpr::All(_)) {
        return None;
    }
    for (number, key) in keys.iter_mut().enumerate() {
        let is_output = match &key.expr {
            Expr::Value(value) => matches!(value.value, Value::Number(..)),
            Expr::Identifier(name) => names.iter().any(|own| own.value == name.value),
            _ => false,
        };
        if !is_output {
            let alias = Ident::with_quote('"', format!("#key {number}"));
            let expr = std::mem::replace(&mut key.expr, Expr::Identifier(alias.clone()));
            select.projection.push(SelectItem::ExprWithAlias { expr, alias });
        }
    }
    Some(names)
}

/// Puts `SELECT names FROM (body)` in the place of a query's body.
///
/// # Errors
/// `INTERNAL` where the parser does not read its template.
pub(super) fn put_around(body: &mut SetExpr, names: Vec<Ident>) -> Result<()> {
    let mut outer = around(names).ok_or_else(|| Error::internal("a query around another that cannot be read"))?;
    if let SetExpr::Select(select) = &mut outer
        && let Some(TableWithJoins { relation: TableFactor::Derived { subquery, .. }, .. }) = select.from.first_mut()
    {
        std::mem::swap(subquery.body.as_mut(), body);
    }
    *body = outer;
    Ok(())
}

fn around(names: Vec<Ident>) -> Option<SetExpr> {
    let mut statements = Parser::parse_sql(&GenericDialect {}, "SELECT 1 FROM (SELECT 1) AS rows").ok()?;
    let Some(Statement::Query(mut outer)) = statements.pop() else { return None };
    let SetExpr::Select(select) = outer.body.as_mut() else { return None };
    select.projection = names.into_iter().map(|name| SelectItem::UnnamedExpr(Expr::Identifier(name))).collect();
    Some(*outer.body)
}

/// Whether a key names a table's column that an alias of the select list hides: with its table, or within an expression,
/// where a name is a column first.
fn hides(items: &[SelectItem], key: &Expr, is_column: &dyn Fn(&str) -> bool) -> bool {
    let mut hidden = Hidden { items, found: false };
    let _: ControlFlow<()> = Visit::visit(key, &mut hidden);
    let is_name = matches!(key, Expr::Identifier(_));
    hidden.found
        || !is_name
            && names_in(key).iter().any(|name| {
                let own = |item: &SelectItem| match item {
                    SelectItem::ExprWithAlias { alias, expr } => {
                        alias.value == name.value && !matches!(expr, Expr::Identifier(own) if own.value == name.value)
                    }
                    _ => false,
                };
                items.iter().any(own) && is_column(&name.value)
            })
}

/// Whether a key names a table's column that an alias of the select list hides.
struct Hidden<'a> {
    items: &'a [SelectItem],
    found: bool,
}

impl Visitor for Hidden<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        let Expr::CompoundIdentifier(names) = expr else { return ControlFlow::Continue(()) };
        let Some(last) = names.last() else { return ControlFlow::Continue(()) };
        self.found |= self.items.iter().any(|item| match item {
            SelectItem::ExprWithAlias { alias, expr: own } => alias.value == last.value && own != expr,
            _ => false,
        });
        ControlFlow::Continue(())
    }
}
