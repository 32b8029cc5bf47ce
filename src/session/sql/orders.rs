//! `SELECT f(t.a) AS a … ORDER BY t.a`: the order is by the table's column, though the output has one of that name.
//!
//! The planner puts a column that only ORDER BY names beside those of the select list and then finds two of one name. Where
//! that would happen, the keys get names of their own in a subquery and the order stays outside.
//!
//! # Known limitation
//! Not beside `*`, DISTINCT or ORDER BY ALL.

use std::ops::ControlFlow;

use datafusion_sql::sqlparser::ast::{
    Expr, Ident, OrderByKind, Query, SelectItem, SetExpr, Statement, TableFactor, Value, Visit, VisitMut, Visitor,
    VisitorMut,
};
use datafusion_sql::sqlparser::dialect::GenericDialect;
use datafusion_sql::sqlparser::parser::Parser;

/// Rewrites every such query of the statement; after every column has got its name.
pub(super) fn spell_out(statement: &mut Statement) {
    let _: ControlFlow<()> = VisitMut::visit(statement, &mut Orders);
}

struct Orders;

impl VisitorMut for Orders {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if let Some(outer) = ordered_outside(query) {
            *query.body = outer;
        }
        ControlFlow::Continue(())
    }
}

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

/// Gives the keys of ORDER BY their names and returns the select around the query's own.
fn ordered_outside(query: &mut Query) -> Option<SetExpr> {
    let order = query.order_by.as_mut()?;
    let OrderByKind::Expressions(keys) = &mut order.kind else { return None };
    let SetExpr::Select(select) = query.body.as_mut() else { return None };
    if select.distinct.is_some() {
        return None;
    }
    let names = output_names(&select.projection)?;
    let mut hidden = Hidden { items: &select.projection, found: false };
    keys.iter().for_each(|key| {
        let _: ControlFlow<()> = Visit::visit(&key.expr, &mut hidden);
    });
    if !hidden.found {
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
    let inner = query.body.clone();
    let mut statements = Parser::parse_sql(&GenericDialect {}, "SELECT 1 FROM (SELECT 1) AS rows").ok()?;
    let Some(Statement::Query(mut outer)) = statements.pop() else { return None };
    let SetExpr::Select(select) = outer.body.as_mut() else { return None };
    let TableFactor::Derived { subquery, .. } = &mut select.from.first_mut()?.relation else { return None };
    *subquery.body = *inner;
    select.projection = names.into_iter().map(|name| SelectItem::UnnamedExpr(Expr::Identifier(name))).collect();
    Some(*outer.body)
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
