//! `SELECT DISTINCT ON (b) a, b FROM t ORDER BY a DESC`: the row of each key that the order puts first, where the order does not
//! begin with the keys, which is all that the planner knows. Such rows are those with `row_number() OVER (PARTITION BY b ORDER BY a
//! DESC) = 1`.
//!
//! # Known limitation
//! Not with ORDER BY ALL over `*`, nor with positions behind one.

use std::ops::ControlFlow;

use datafusion_sql::sqlparser::ast::{
    BinaryOperator, Distinct, Expr, OrderByExpr, OrderByKind, Query, SelectItem, SetExpr, Statement, Value,
    ValueWithSpan, VisitMut, VisitorMut, WindowType,
};
use datafusion_sql::sqlparser::dialect::GenericDialect;
use datafusion_sql::sqlparser::parser::Parser;

/// Rewrites every such query of the statement; after every column has got its name.
pub(super) fn spell_out(statement: &mut Statement) {
    let _: ControlFlow<()> = VisitMut::visit(statement, &mut Firsts);
}

struct Firsts;

impl VisitorMut for Firsts {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let _ = numbered(query);
        ControlFlow::Continue(())
    }
}

/// Puts a condition in place of DISTINCT ON; `None` where the planner knows what is written.
fn numbered(query: &mut Query) -> Option<()> {
    let OrderByKind::Expressions(keys) = &query.order_by.as_ref()?.kind else { return None };
    let SetExpr::Select(select) = query.body.as_mut() else { return None };
    let Some(Distinct::On(on)) = &select.distinct else { return None };
    let meant = |expr: &Expr| meaning(expr, &select.projection);
    let on = on.iter().map(meant).collect::<Option<Vec<Expr>>>()?;
    let order = |key: &OrderByExpr| Some(OrderByExpr { expr: meant(&key.expr)?, ..key.clone() });
    let keys = keys.iter().map(order).collect::<Option<Vec<OrderByExpr>>>()?;
    let begins_with_keys = keys.len() >= on.len() && keys.iter().take(on.len()).all(|key| on.contains(&key.expr));
    if begins_with_keys {
        return None;
    }
    let text = "row_number() OVER (PARTITION BY 1 ORDER BY 1) = 1";
    let mut is_first = Parser::new(&GenericDialect {}).try_with_sql(text).ok()?.parse_expr().ok()?;
    let Expr::BinaryOp { left, .. } = &mut is_first else { return None };
    let Expr::Function(call) = left.as_mut() else { return None };
    let Some(WindowType::WindowSpec(window)) = &mut call.over else { return None };
    (window.partition_by, window.order_by) = (on, keys);
    select.distinct = None;
    select.qualify = Some(match select.qualify.take() {
        Some(before) => Expr::BinaryOp {
            left: Box::new(Expr::Nested(Box::new(before))),
            op: BinaryOperator::And,
            right: Box::new(is_first),
        },
        None => is_first,
    });
    Some(())
}

/// The expression that a position or an alias of the select list stands for.
fn meaning(expr: &Expr, items: &[SelectItem]) -> Option<Expr> {
    let value = |item: &SelectItem| match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr.clone()),
        _ => None,
    };
    match expr {
        Expr::Value(ValueWithSpan { value: Value::Number(place, _), .. }) => {
            let place = place.parse::<usize>().ok()?.checked_sub(1)?;
            items.iter().take(place + 1).map(value).collect::<Option<Vec<_>>>()?.into_iter().nth(place)
        }
        Expr::Identifier(name) => {
            let aliased = items.iter().find_map(|item| match item {
                SelectItem::ExprWithAlias { expr, alias } if alias.value == name.value => Some(expr.clone()),
                _ => None,
            });
            Some(aliased.unwrap_or_else(|| expr.clone()))
        }
        _ => Some(expr.clone()),
    }
}
