//! Forms of GROUP BY, HAVING and ORDER BY that the planner does not know, in others that it knows.
//!
//! * `ROLLUP ((a, b), c)` and `CUBE ((a, b), c)` become GROUPING SETS, as do `ROLLUP (…)` and `CUBE (…)` inside of these.
//! * `GROUP BY ()`, and HAVING without GROUP BY: all rows are one group, also where nothing is counted.
//! * `GROUP BY ALL`: constants are no keys, so that without others all rows are one group.
//! * `ROLLUP (1, 2)`: positions within sets are the expressions of the select list.
//! * `SELECT 3 AS z … GROUP BY z`: the planner would take the constant for a position.
//! * `(SELECT DISTINCT ON …) ORDER BY …`: the planner would take the order for that of the query in parentheses.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion_sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, CastKind, DataType, Distinct, Expr, FunctionArg, FunctionArgExpr, FunctionArguments,
    GroupByExpr, Query, Select, SelectItem, SetExpr, Statement, TableFactor, UnaryOperator, Value, Visit, VisitMut,
    Visitor, VisitorMut,
};
use datafusion_sql::sqlparser::dialect::GenericDialect;
use datafusion_sql::sqlparser::parser::Parser;

use super::calls::parameters;
use super::stars::is_columns;
use crate::expr::{functions, macros};

/// CUBE over n elements has 2^n sets.
const MOST_CUBE_ELEMENTS: usize = 12;

/// Rewrites every query of the statement.
pub(super) fn spell_out(statement: &mut Statement) {
    let _: ControlFlow<()> = VisitMut::visit(statement, &mut Groups);
}

struct Groups;

impl VisitorMut for Groups {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if query.order_by.is_some()
            && let SetExpr::Query(inner) = query.body.as_ref()
            && is_distinct_on(&inner.body)
            && let Some(select) = select_from(inner)
        {
            *query.body = select;
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        if matches!(select.group_by, GroupByExpr::All(_)) && !select.projection.iter().any(has_key) {
            select.group_by = GroupByExpr::Expressions(Vec::new(), Vec::new());
        }
        let mut whole = false;
        if let GroupByExpr::Expressions(groups, _) = &mut select.group_by {
            let before = groups.len();
            groups.retain(|group| !matches!(group, Expr::Tuple(exprs) if exprs.is_empty()));
            whole = groups.is_empty() && (before > 0 || select.having.is_some());
            groups.iter_mut().for_each(|group| put_positions(group, &select.projection));
            groups.iter_mut().for_each(spell_sets);
        }
        if whole && let Some(always) = parsed("count(*) >= 0") {
            select.having = Some(match select.having.take() {
                Some(having) => Expr::BinaryOp {
                    left: Box::new(Expr::Nested(Box::new(having))),
                    op: BinaryOperator::And,
                    right: Box::new(always),
                },
                None => always,
            });
        }
        hide_constants(select);
        ControlFlow::Continue(())
    }
}

/// Names the keys of GROUP BY ALL, where that can be done; for those who need to know them or add to the select list.
pub(super) fn name_all_keys(select: &mut Select) {
    if !matches!(select.group_by, GroupByExpr::All(_)) {
        return;
    }
    let mut keys = Vec::new();
    for item in &select.projection {
        let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = item else { return };
        let mut calls = Calls::default();
        let _: ControlFlow<()> = Visit::visit(expr, &mut calls);
        if calls.windows {
            return;
        }
        if !calls.aggregates && has_key(item) {
            keys.push(expr.clone());
        }
    }
    select.group_by = GroupByExpr::Expressions(keys, Vec::new());
}

/// What kinds of calls an expression has.
#[derive(Default)]
struct Calls {
    aggregates: bool,
    windows: bool,
}

impl Visitor for Calls {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        self.aggregates |= is_aggregate(expr);
        self.windows |= matches!(expr, Expr::Function(call) if call.over.is_some());
        ControlFlow::Continue(())
    }
}

fn parsed(expr: &str) -> Option<Expr> {
    Parser::new(&GenericDialect {}).try_with_sql(expr).ok()?.parse_expr().ok()
}

fn is_distinct_on(body: &SetExpr) -> bool {
    match body {
        SetExpr::Select(select) => matches!(select.distinct, Some(Distinct::On(_))),
        SetExpr::Query(query) => is_distinct_on(&query.body),
        _ => false,
    }
}

/// `SELECT * FROM (query)`.
fn select_from(query: &Query) -> Option<SetExpr> {
    let mut statements = Parser::parse_sql(&GenericDialect {}, "SELECT * FROM (SELECT 1) AS rows").ok()?;
    let Some(Statement::Query(mut outer)) = statements.pop() else { return None };
    let SetExpr::Select(select) = outer.body.as_mut() else { return None };
    let TableFactor::Derived { subquery, .. } = &mut select.from.first_mut()?.relation else { return None };
    **subquery = query.clone();
    Some(*outer.body)
}

/// Puts the expressions of the select list for the positions within sets.
fn put_positions(group: &mut Expr, items: &[SelectItem]) {
    let put = |expr: &mut Expr| {
        let Expr::Value(value) = &*expr else { return };
        let Value::Number(digits, _) = &value.value else { return };
        let item = digits.parse::<usize>().ok().and_then(|position| items.get(position.checked_sub(1)?));
        if let Some(SelectItem::UnnamedExpr(found) | SelectItem::ExprWithAlias { expr: found, .. }) = item {
            *expr = found.clone();
        }
    };
    match group {
        Expr::Rollup(sets) | Expr::Cube(sets) | Expr::GroupingSets(sets) => sets.iter_mut().flatten().for_each(put),
        _ => {}
    }
}

fn spell_sets(group: &mut Expr) {
    let is_plain = |elements: &[Vec<Expr>]| elements.iter().all(|element| element.len() == 1);
    let sets = match group {
        Expr::Rollup(elements) if !is_plain(elements) => rollup(elements),
        Expr::Cube(elements) if !is_plain(elements) && elements.len() <= MOST_CUBE_ELEMENTS => cube(elements),
        Expr::GroupingSets(sets) => sets.iter().flat_map(|set| nested_sets(set)).collect(),
        _ => return,
    };
    *group = Expr::GroupingSets(sets);
}

fn rollup(elements: &[Vec<Expr>]) -> Vec<Vec<Expr>> {
    (0..=elements.len()).rev().map(|length| together(elements.iter().take(length))).collect()
}

fn cube(elements: &[Vec<Expr>]) -> Vec<Vec<Expr>> {
    let subset = |subset: usize| elements.iter().enumerate().filter(move |(index, _)| subset >> index & 1 == 0);
    (0..1_usize << elements.len()).map(|number| together(subset(number).map(|(_, element)| element))).collect()
}

/// One set of all these elements, each expression once.
fn together<'a>(elements: impl Iterator<Item = &'a Vec<Expr>>) -> Vec<Expr> {
    let mut set: Vec<Expr> = Vec::new();
    for expr in elements.flatten() {
        if !set.contains(expr) {
            set.push(expr.clone());
        }
    }
    set
}

/// The sets that an element of GROUPING SETS stands for: `ROLLUP (…)` is read as a call there.
fn nested_sets(set: &[Expr]) -> Vec<Vec<Expr>> {
    let whole = || vec![set.to_vec()];
    let [Expr::Function(function)] = set else { return whole() };
    let FunctionArguments::List(list) = &function.args else { return whole() };
    let element = |argument: &FunctionArg| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Tuple(exprs))) => Some(exprs.clone()),
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Nested(expr))) => Some(vec![expr.as_ref().clone()]),
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(vec![expr.clone()]),
        _ => None,
    };
    let Some(elements) = list.args.iter().map(element).collect::<Option<Vec<_>>>() else { return whole() };
    match function.name.to_string().to_lowercase().as_str() {
        "rollup" => rollup(&elements),
        "cube" if elements.len() <= MOST_CUBE_ELEMENTS => cube(&elements),
        _ => whole(),
    }
}

/// Whether an item names a column outside of aggregates.
fn has_key(item: &SelectItem) -> bool {
    let is_star = !matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. });
    let mut keys = Keys { found: is_star, ..Keys::default() };
    let _: ControlFlow<()> = Visit::visit(item, &mut keys);
    keys.found
}

#[derive(Default)]
struct Keys {
    /// How many aggregates are around the expression.
    aggregates: usize,
    /// Names of fields that come next, in `(struct).field`.
    fields: Vec<Expr>,
    /// The parameters of the lambdas around the expression.
    scopes: Vec<Vec<String>>,
    found: bool,
}

pub(super) fn is_aggregate(expr: &Expr) -> bool {
    let Expr::Function(call) = expr else { return false };
    let name = call.name.to_string().to_lowercase();
    call.over.is_none()
        && (functions().aggregate.contains_key(&name)
            || macros().iter().any(|known| known.is_aggregate && known.name == name))
}

impl Visitor for Keys {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        self.aggregates += usize::from(is_aggregate(expr));
        if let Expr::Lambda(lambda) = expr {
            self.scopes.push(parameters(lambda));
        }
        let is_column = match expr {
            Expr::Identifier(name) if self.scopes.iter().flatten().any(|parameter| *parameter == name.value) => false,
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Subquery(_) => true,
            Expr::Function(call) => is_columns(call),
            _ => false,
        };
        let is_field = is_column && self.fields.pop_if(|field| field == expr).is_some();
        if let Expr::CompoundFieldAccess { access_chain, .. } = expr {
            let field = |access: &AccessExpr| match access {
                AccessExpr::Dot(field) => Some(field.clone()),
                AccessExpr::Subscript(_) => None,
            };
            self.fields.extend(access_chain.iter().rev().filter_map(field));
        }
        self.found |= is_column && !is_field && self.aggregates == 0;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        self.aggregates -= usize::from(is_aggregate(expr));
        if matches!(expr, Expr::Lambda(_)) {
            self.scopes.pop();
        }
        ControlFlow::Continue(())
    }
}

/// Makes no literals of the integers under whose aliases the select is grouped.
fn hide_constants(select: &mut Select) {
    let mut named = Named::default();
    let _: ControlFlow<()> = Visit::visit(&select.group_by, &mut named);
    for item in &mut select.projection {
        if let SelectItem::ExprWithAlias { expr, alias } = item
            && named.names.contains(&alias.value)
            && is_integer(expr)
        {
            *expr = Expr::Cast {
                kind: CastKind::Cast,
                expr: Box::new(expr.clone()),
                data_type: DataType::BigInt(None),
                array: false,
                format: None,
            };
        }
    }
}

fn is_integer(expr: &Expr) -> bool {
    match expr {
        Expr::Value(value) => matches!(&value.value, Value::Number(digits, _) if digits.parse::<i64>().is_ok()),
        Expr::UnaryOp { op: UnaryOperator::Minus | UnaryOperator::Plus, expr } => is_integer(expr),
        Expr::Nested(expr) => is_integer(expr),
        _ => false,
    }
}

/// The plain names in expressions.
#[derive(Default)]
struct Named {
    names: HashSet<String>,
}

impl Visitor for Named {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Expr::Identifier(name) = expr {
            self.names.insert(name.value.clone());
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::sql::parse;

    fn rewritten(sql: &str) -> String {
        let mut statement = parse::tokens(sql).and_then(|tokens| parse::statement(&tokens)).unwrap();
        spell_out(&mut statement);
        statement.to_string()
    }

    #[test]
    fn elements_of_several_expressions_are_sets() {
        assert_eq!(
            rewritten("select 1 from t group by rollup ((a, b), c)"),
            "SELECT 1 FROM t GROUP BY GROUPING SETS ((a, b, c), (a, b), ())"
        );
        assert_eq!(
            rewritten("select 1 from t group by cube ((a, b), (b, c))"),
            "SELECT 1 FROM t GROUP BY GROUPING SETS ((a, b, c), (b, c), (a, b), ())"
        );
        assert_eq!(
            rewritten("select 1 from t group by grouping sets (rollup (a, b), cube (c), d)"),
            "SELECT 1 FROM t GROUP BY GROUPING SETS ((a, b), (a), (), (c), (), (d))"
        );
        assert_eq!(rewritten("select 1 from t group by rollup (a, b)"), "SELECT 1 FROM t GROUP BY ROLLUP (a, b)");
    }

    #[test]
    fn positions_within_sets_are_expressions() {
        assert_eq!(
            rewritten("select a + 1, b as c, 2 from t group by rollup (1, 2)"),
            "SELECT a + 1, b AS c, 2 FROM t GROUP BY ROLLUP (a + 1, b)"
        );
    }

    #[test]
    fn all_rows_are_a_group() {
        assert_eq!(rewritten("select 1 from t group by ()"), "SELECT 1 FROM t HAVING count(*) >= 0");
        assert_eq!(rewritten("select 1 from t having a or b"), "SELECT 1 FROM t HAVING (a OR b) AND count(*) >= 0");
        assert_eq!(rewritten("select a from t group by a, ()"), "SELECT a FROM t GROUP BY a");
    }

    #[test]
    fn a_constant_is_no_position() {
        assert_eq!(
            rewritten("select 3 as z, 4 as y from t group by rollup (z)"),
            "SELECT CAST(3 AS BIGINT) AS z, 4 AS y FROM t GROUP BY ROLLUP (z)"
        );
    }

    #[test]
    fn an_order_behind_parentheses_stays_outside_of_them() {
        assert_eq!(
            rewritten("(select distinct on (a) a, b from t order by a, b) order by 2"),
            "SELECT * FROM (SELECT DISTINCT ON (a) a, b FROM t ORDER BY a, b) AS rows ORDER BY 2"
        );
    }
}
