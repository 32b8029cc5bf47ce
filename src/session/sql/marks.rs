//! Marks in a syntax tree for what the planner cannot be told otherwise.
//!
//! A marked relation is a subquery with an alias that nobody can write (its quote is not one of the dialect's). The planner asks
//! [`relation_planner`](super::relation_planner) first how a relation is planned, and that one reads the mark:
//!
//! * the query of a CTE becomes `SELECT * FROM (query) AS mark`: its rows are computed once for all who name it;
//! * `a INTERSECT b` and `a EXCEPT b` become `SELECT * FROM (a UNION ALL b) AS mark`;
//! * the right side of an ASOF join becomes `(b) AS mark`;
//! * `a POSITIONAL JOIN b` becomes `(a CROSS JOIN b) AS mark`;
//! * a recursive CTE moves into a query of its own, so that it is shared like any other;
//! * a table with TABLESAMPLE, and the tables of a query with USING SAMPLE, become a join in parentheses of that alias;
//! * `range(…)` and `generate_series(…)` in FROM become UNNEST, which may name columns of the tables before it.

use std::ops::ControlFlow;

use datafusion_sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion_sql::sqlparser::ast::{
    Cte, Expr, FunctionArg, FunctionArgExpr, Ident, Join, JoinConstraint, JoinOperator, ObjectName, ObjectNamePart,
    Query, Select, SetExpr, SetOperator, SetQuantifier, Spanned, Statement, TableAlias, TableFactor, TableSampleKind,
    TableWithJoins, Visit, VisitMut, Visitor, VisitorMut, With,
};
use datafusion_sql::sqlparser::dialect::GenericDialect;
use datafusion_sql::sqlparser::parser::Parser;

use super::asof;
use super::calls::call_of;
use super::hints::{Hints, Materialized};
use super::parse::span_of;
use super::positional;
use super::stars;
use super::table_function;
use crate::error::{Code, Error, Result};
use crate::plan::{SampleClause, SampleMethod, SampleSize, SetOperation};

/// The quote of a mark: the dialect has no such quote, so no text can have it.
const QUOTE: char = '[';

/// No list has more levels than this.
const MOST_LEVELS: usize = 100;

/// What a marked relation is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Mark {
    /// The query of the CTE of that name.
    Shared { name: String, always: bool },
    /// The two sides of a set operation, as a UNION ALL.
    SetOperation { operation: SetOperation, all: bool },
    /// The right side of an ASOF join.
    Asof,
    /// The two sides of a positional join, as a cross join.
    Positional,
    /// Relations of which a sample is taken.
    Sample(SampleClause),
    /// A subquery without a mark that has been looked at.
    Seen,
}

impl Mark {
    /// The mark that an alias is.
    pub(super) fn of(alias: &TableAlias) -> Option<Mark> {
        if alias.name.quote_style != Some(QUOTE) {
            return None;
        }
        let mut words = alias.name.value.splitn(3, ' ');
        Some(match (words.next()?, words.next()?, words.next()?) {
            ("asof", _, _) => Mark::Asof,
            ("positional", _, _) => Mark::Positional,
            ("shared", always, name) => Mark::Shared { name: name.to_string(), always: always == "always" },
            ("intersect", all, _) => Mark::SetOperation { operation: SetOperation::Intersect, all: all == "all" },
            ("except", all, _) => Mark::SetOperation { operation: SetOperation::Except, all: all == "all" },
            ("sample", size, rest) => Mark::Sample(clause_of(size, rest)?),
            ("seen", _, _) => Mark::Seen,
            _ => return None,
        })
    }

    /// The alias that is the mark.
    pub(super) fn alias(&self) -> TableAlias {
        let value = match self {
            Mark::Asof => "asof right side".to_string(),
            Mark::Positional => "positional both sides".to_string(),
            Mark::Shared { name, always } => format!("shared {} {name}", if *always { "always" } else { "often" }),
            Mark::SetOperation { operation, all } => {
                let operation = match operation {
                    SetOperation::Intersect => "intersect",
                    SetOperation::Except => "except",
                };
                format!("{operation} {} sides", if *all { "all" } else { "distinct" })
            }
            Mark::Sample(SampleClause { method, size, seed }) => {
                let seed = seed.map_or_else(|| "none".to_string(), |seed| seed.to_string());
                match size {
                    SampleSize::Percent(percent) => format!("sample {percent}% {method:?} {seed}"),
                    SampleSize::Rows(rows) => format!("sample {rows} {method:?} {seed}"),
                }
            }
            Mark::Seen => "seen it all".to_string(),
        };
        TableAlias { explicit: true, name: Ident::with_quote(QUOTE, value), columns: Vec::new(), at: None }
    }
}

/// What [`Mark::alias`] wrote.
fn clause_of(size: &str, rest: &str) -> Option<SampleClause> {
    let (method, seed) = rest.split_once(' ')?;
    let methods = [SampleMethod::Bernoulli, SampleMethod::System, SampleMethod::Reservoir];
    let method = methods.into_iter().find(|known| format!("{known:?}") == method)?;
    let size = match size.strip_suffix('%') {
        Some(percent) => SampleSize::Percent(percent.parse().ok()?),
        None => SampleSize::Rows(size.parse().ok()?),
    };
    Some(SampleClause { method, size, seed: seed.parse().ok() })
}

/// Puts the marks into `query`.
///
/// # Errors
/// `NOT_SUPPORTED` for clauses of a recursive query that would be lost.
pub(super) fn put(query: &mut Query, hints: &Hints) -> Result<()> {
    match VisitMut::visit(query, &mut Marker { hints }) {
        ControlFlow::Break(error) => Err(*error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Marker<'a> {
    hints: &'a Hints,
}

impl VisitorMut for Marker<'_> {
    type Break = Box<Error>;

    /// Behind the visit of its parts, so that what is put in is not visited again.
    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<Box<Error>> {
        let marked = set_operations(&mut query.body).and_then(|()| match &mut query.with {
            Some(with) => with.cte_tables.iter_mut().try_for_each(|cte| self.cte(cte, with.recursive)),
            None => Ok(()),
        });
        verdict(marked)
    }

    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Box<Error>> {
        if let TableFactor::NestedJoin { table_with_joins, .. } = factor {
            verdict(asof::mark(table_with_joins))?;
            positional::mark(table_with_joins);
        }
        let sample = match factor {
            TableFactor::Table { sample, .. } | TableFactor::Derived { sample, .. } => sample.take(),
            _ => None,
        };
        verdict(series(factor).and_then(|()| match sample {
            Some(TableSampleKind::BeforeTableAlias(sample) | TableSampleKind::AfterTableAlias(sample)) => {
                let clause = self.hints.of_table(&sample);
                let clause = clause.ok_or_else(|| Error::not_supported(format_args!("the sample {sample}")))?;
                sampled(factor, clause)
            }
            None => Ok(()),
        }))
    }

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<Box<Error>> {
        verdict(select.from.iter_mut().try_for_each(asof::mark))?;
        select.from.iter_mut().for_each(positional::mark);
        let Some(clause) = self.hints.of_select(select.select_token.0.span.start) else {
            return ControlFlow::Continue(());
        };
        verdict(one_relation(select).and_then(|relation| sampled(relation, clause)))
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Box<Error>> {
        verdict(nested_unnest(expr))
    }
}

fn verdict(result: Result<()>) -> ControlFlow<Box<Error>> {
    match result {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => ControlFlow::Break(Box::new(error)),
    }
}

/// `relation` in parentheses with the mark of a sample.
fn sampled(relation: &mut TableFactor, clause: SampleClause) -> Result<()> {
    let mut template = select_all()?;
    let Some(inner) = relation_of(&mut template) else { return Err(no_template("without a table")) };
    let inner = std::mem::replace(relation, inner.clone());
    let table_with_joins = Box::new(TableWithJoins { relation: inner, joins: Vec::new() });
    *relation = TableFactor::NestedJoin { table_with_joins, alias: Some(Mark::Sample(clause).alias()) };
    Ok(())
}

/// All tables of a query as one: cross joins in parentheses.
fn one_relation(select: &mut Select) -> Result<&mut TableFactor> {
    let mut tables = std::mem::take(&mut select.from).into_iter();
    let nested = |table: TableWithJoins| match table.joins.is_empty() {
        true => table.relation,
        false => TableFactor::NestedJoin { table_with_joins: Box::new(table), alias: None },
    };
    let Some(mut first) = tables.next() else {
        return Err(Error::new(Code::InvalidQuery, "USING SAMPLE needs tables to sample"));
    };
    let cross =
        |relation| Join { relation, global: false, join_operator: JoinOperator::CrossJoin(JoinConstraint::None) };
    first.joins.extend(tables.map(nested).map(cross));
    select.from.push(TableWithJoins { relation: nested(first), joins: Vec::new() });
    match select.from.first_mut() {
        Some(table) => Ok(&mut table.relation),
        None => Err(Error::internal("a table that was just put in is gone")),
    }
}

/// `range(…)` as UNNEST of its arguments; the alias of the offset, which nobody can write, says that they are no lists.
fn series(factor: &mut TableFactor) -> Result<()> {
    let (name, args, alias, with_ordinality) = match factor {
        TableFactor::Table { name, args: Some(args), alias, with_ordinality, .. } => {
            (name, &args.args, alias, *with_ordinality)
        }
        TableFactor::Function { name, args, alias, with_ordinality, .. } => (name, &*args, alias, *with_ordinality),
        _ => return Ok(()),
    };
    let function = name.to_string().to_lowercase();
    if !table_function::makes_rows(&function) {
        return Ok(());
    }
    let argument = |arg: &FunctionArg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Ok(expr.clone()),
        other => Err(Error::new(Code::InvalidQuery, format!("{function} in FROM does not take {other}"))
            .span(span_of(name.span()))),
    };
    let array_exprs = args.iter().map(argument).collect::<Result<Vec<_>>>()?;
    let with_offset_alias = (function != "unnest").then(|| Ident::new(function.as_str()));
    let alias = alias.take();
    *factor = TableFactor::UNNEST { alias, array_exprs, with_offset: false, with_offset_alias, with_ordinality };
    Ok(())
}

/// `unnest(x, max_depth := 2)` as `unnest(unnest(x))`, and `unnest(x, recursive := true)` as `unnest(flatten(x))`, where the
/// call is only a part of an item or its type is not known.
fn nested_unnest(expr: &mut Expr) -> Result<()> {
    let Some((value, depth)) = stars::opened(expr)? else { return Ok(()) };
    *expr = match depth {
        usize::MAX => call_of("unnest", vec![call_of("flatten", vec![value])]),
        depth => (0..depth.min(MOST_LEVELS)).fold(value, |inner, _| call_of("unnest", vec![inner])),
    };
    Ok(())
}

impl Marker<'_> {
    fn cte(&self, cte: &mut Cte, recursive: bool) -> Result<()> {
        let hint = self.hints.of_cte(&cte.alias.name);
        if hint == Some(Materialized::Never) {
            return Ok(());
        }
        let name = cte.alias.name.value.clone();
        if recursive && reads(&cte.query, &name) {
            let moved = moved_recursion(cte)?;
            *cte.query = moved;
        }
        let mark = Mark::Shared { name, always: hint == Some(Materialized::Always) };
        let outer = select_all()?;
        let inner = std::mem::replace(cte.query.as_mut(), outer);
        read_from(&mut cte.query, subquery(inner, &mark));
        Ok(())
    }
}

/// INTERSECT and EXCEPT within `body`, innermost first.
fn set_operations(body: &mut SetExpr) -> Result<()> {
    let SetExpr::SetOperation { op, set_quantifier, left, right } = body else { return Ok(()) };
    set_operations(left)?;
    set_operations(right)?;
    if *set_quantifier == SetQuantifier::DistinctByName {
        // The same, without a check that there are as many columns on both sides.
        *set_quantifier = SetQuantifier::ByName;
    }
    let operation = match op {
        SetOperator::Intersect => SetOperation::Intersect,
        SetOperator::Except | SetOperator::Minus => SetOperation::Except,
        SetOperator::Union => return Ok(()),
    };
    let all = match set_quantifier {
        SetQuantifier::All => true,
        SetQuantifier::Distinct | SetQuantifier::None => false,
        _ => return Err(Error::not_supported(format_args!("{op} BY NAME"))),
    };
    (*op, *set_quantifier) = (SetOperator::Union, SetQuantifier::All);
    let mut sides = select_all()?;
    std::mem::swap(sides.body.as_mut(), body);
    let mut outer = select_all()?;
    read_from(&mut outer, subquery(sides, &Mark::SetOperation { operation, all }));
    *body = *outer.body;
    Ok(())
}

/// Whether a query names a relation.
fn reads(query: &Query, name: &str) -> bool {
    struct Reads<'a>(&'a str);
    impl Visitor for Reads<'_> {
        type Break = ();
        fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
            match relation.0.as_slice() {
                [ObjectNamePart::Identifier(name)] if name.value == self.0 => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        }
    }
    Visit::visit(query, &mut Reads(name)).is_break()
}

/// The query `WITH RECURSIVE [its own CTEs,] name(columns) AS (…) SELECT * FROM name` of a recursive CTE, which loses
/// its columns to it.
fn moved_recursion(cte: &mut Cte) -> Result<Query> {
    let place = span_of(cte.alias.name.span);
    let query = cte.query.as_mut();
    if query.limit_clause.is_some() || query.fetch.is_some() || query.order_by.is_some() {
        return Err(Error::not_supported("ORDER BY, LIMIT or OFFSET in a recursive query")
            .span(place)
            .hint("put it behind the query that reads the recursive one"));
    }
    let with = query.with.take();
    let with_token = with.as_ref().map_or_else(AttachedToken::empty, |with| with.with_token.clone());
    let mut cte_tables = with.map_or_else(Vec::new, |with| with.cte_tables);
    let name = cte.alias.name.clone();
    cte_tables.push(cte.clone());
    cte.alias.columns.clear();
    let mut moved = select_all()?;
    moved.with = Some(With { with_token, recursive: true, cte_tables });
    read_from_table(&mut moved, ObjectName::from(vec![name]));
    Ok(moved)
}

/// `SELECT * FROM x`, to be given another relation.
fn select_all() -> Result<Query> {
    let mut statements = Parser::parse_sql(&GenericDialect {}, "SELECT * FROM x").map_err(no_template)?;
    match statements.pop() {
        Some(Statement::Query(query)) => Ok(*query),
        _ => Err(no_template("not a query")),
    }
}

fn no_template(why: impl std::fmt::Display) -> Error {
    Error::internal(format!("a query of the planner's own: {why}"))
}

fn relation_of(query: &mut Query) -> Option<&mut TableFactor> {
    match query.body.as_mut() {
        SetExpr::Select(select) => select.from.first_mut().map(|from| &mut from.relation),
        _ => None,
    }
}

/// Puts `relation` behind the FROM of a query made by [`select_all`].
fn read_from(query: &mut Query, relation: TableFactor) {
    if let Some(old) = relation_of(query) {
        *old = relation;
    }
}

fn read_from_table(query: &mut Query, table: ObjectName) {
    if let Some(TableFactor::Table { name, .. }) = relation_of(query) {
        *name = table;
    }
}

fn subquery(query: Query, mark: &Mark) -> TableFactor {
    TableFactor::Derived { lateral: false, subquery: Box::new(query), alias: Some(mark.alias()), sample: None }
}
