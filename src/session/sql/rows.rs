//! What the planner cannot read of subqueries, put in other words.
//!
//! * `(a, b) IN (SELECT x, y …)` becomes `row(a, b) IN (SELECT row(x, y) …)`, which the planner takes for one column; the
//!   rule for subqueries takes the rows apart again.
//! * `[a, b]` becomes `make_array(a, b)`: the planner forgets CTEs, parameters of lambdas and the query around within brackets.
//! * A subquery in FROM may name the relations before it without LATERAL ([`make_lateral`]).

use std::ops::ControlFlow;

use datafusion_sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident, Join,
    JoinOperator, ObjectName, Query, Select, SelectItem, SetExpr, Statement, TableAlias, TableAliasColumnDef,
    TableFactor, VisitMut, VisitorMut,
};
use datafusion_sql::sqlparser::dialect::GenericDialect;
use datafusion_sql::sqlparser::parser::Parser;

use super::calls::call_of;

/// Makes single values of the rows that are looked up in subqueries, and calls of lists in brackets.
pub(super) fn make_values(query: &mut Query) {
    let _: ControlFlow<()> = VisitMut::visit(query, &mut Rows);
}

struct Rows;

impl VisitorMut for Rows {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Array(list) = expr {
            *expr = call_of("make_array", std::mem::take(&mut list.elem));
            return ControlFlow::Continue(());
        }
        let membership = match expr {
            Expr::AnyOp { left, compare_op: BinaryOperator::Eq, right, .. } => Some((left, right, false)),
            Expr::AllOp { left, compare_op: BinaryOperator::NotEq, right } => Some((left, right, true)),
            _ => None,
        };
        if let Some((left, right, negated)) = membership
            && matches!(left.as_ref(), Expr::Tuple(_))
            && let Expr::Subquery(subquery) = right.as_ref()
        {
            *expr = Expr::InSubquery { expr: left.clone(), subquery: subquery.clone(), negated };
        }
        if let Expr::InSubquery { expr: tested, subquery, .. } = expr
            && let Expr::Tuple(values) = tested.as_mut()
            && values.len() > 1
        {
            let columns: Vec<Ident> = (1..=values.len()).map(|number| Ident::new(format!("column {number}"))).collect();
            let columns: Vec<Ident> =
                columns.into_iter().map(|name| Ident { quote_style: Some('"'), ..name }).collect();
            if let Some(rows) = query_of_rows(subquery, &columns) {
                **subquery = rows;
                **tested = row(std::mem::take(values));
            }
        }
        ControlFlow::Continue(())
    }
}

/// `SELECT row(columns) FROM (query) AS rows(columns)`.
fn query_of_rows(query: &Query, columns: &[Ident]) -> Option<Query> {
    let mut statements = Parser::parse_sql(&GenericDialect {}, "SELECT 1 FROM (SELECT 1) AS rows").ok()?;
    let Some(Statement::Query(mut outer)) = statements.pop() else { return None };
    let SetExpr::Select(select) = outer.body.as_mut() else { return None };
    let values = columns.iter().cloned().map(Expr::Identifier).collect();
    select.projection = vec![SelectItem::UnnamedExpr(row(values))];
    let TableFactor::Derived { subquery, alias: Some(TableAlias { columns: names, .. }), .. } =
        &mut select.from.first_mut()?.relation
    else {
        return None;
    };
    **subquery = query.clone();
    *names = columns.iter().cloned().map(|name| TableAliasColumnDef { name, data_type: None }).collect();
    Some(*outer)
}

fn row(values: Vec<Expr>) -> Expr {
    let args = values.into_iter().map(|value| FunctionArg::Unnamed(FunctionArgExpr::Expr(value))).collect();
    let list = FunctionArgumentList { duplicate_treatment: None, args, clauses: Vec::new() };
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new("struct")]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(list),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// Lets every subquery in FROM name the relations before it; `false` where there is none.
pub(super) fn make_lateral(query: &mut Query) -> bool {
    let mut laterals = Laterals { found: false };
    let _: ControlFlow<()> = VisitMut::visit(query, &mut laterals);
    laterals.found
}

struct Laterals {
    found: bool,
}

impl VisitorMut for Laterals {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        for (index, from) in select.from.iter_mut().enumerate() {
            if index > 0 {
                self.mark(&mut from.relation);
            }
            for join in from.joins.iter_mut().filter(|join| may_be_lateral(join)) {
                self.mark(&mut join.relation);
            }
        }
        ControlFlow::Continue(())
    }
}

impl Laterals {
    fn mark(&mut self, relation: &mut TableFactor) {
        if let TableFactor::Derived { lateral, .. } = relation {
            self.found |= !*lateral;
            *lateral = true;
        }
    }
}

fn may_be_lateral(join: &Join) -> bool {
    matches!(
        join.join_operator,
        JoinOperator::Join(_)
            | JoinOperator::Inner(_)
            | JoinOperator::Left(_)
            | JoinOperator::LeftOuter(_)
            | JoinOperator::CrossJoin(_)
    )
}
