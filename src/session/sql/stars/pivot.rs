//! PIVOT and UNPIVOT, as the queries that they are.
//!
//! `t PIVOT (sum(a) FOR b IN ('x', 'y'))` is `SELECT …, sum(a) FILTER (WHERE b = 'x') AS x, … FROM t GROUP BY …`, by all columns that it
//! does not name otherwise; values that are not written down are looked up in the table when the query is planned.
//! UNPIVOT is in [`unpivot`](super::unpivot).
//!
//! # Known limitation
//! A query with PIVOT that is kept (a view) looks its values up each time it is planned.

use std::collections::HashSet;
use std::ops::ControlFlow;

use arrow::array::Array;
use datafusion_sql::sqlparser::ast::{
    BinaryOperator, Expr, ExprWithAlias, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Ident,
    NullInclusion, PivotValueSource, Query, Select, SelectItem, SetExpr, TableAlias, TableFactor, TableWithJoins,
    Value, Visit, VisitMut, Visitor, VisitorMut,
};
use datafusion_sql::sqlparser::dialect::GenericDialect;
use datafusion_sql::sqlparser::parser::Parser;

use super::super::groups::is_aggregate;
use super::super::macros::plain_name;
use super::pivot_tokens::{AS, BY, ON, USING};
use super::unpivot::unpivoted;
use super::{Scope, Stars, Tables};
use crate::batch::text::TextColumn;
use crate::error::{Code, Error, Result};

/// More columns than this are a mistake.
const MOST_COLUMNS: usize = 10_000;

/// Puts queries for the PIVOT and UNPIVOT of a FROM clause.
pub(super) fn spell_out(select: &mut Select, stars: &Stars<'_>, scope: &Scope) -> Result<()> {
    for table in &mut select.from {
        spell_factor(&mut table.relation, stars, scope)?;
        table.joins.iter_mut().try_for_each(|join| spell_factor(&mut join.relation, stars, scope))?;
    }
    Ok(())
}

fn spell_factor(factor: &mut TableFactor, stars: &Stars<'_>, scope: &Scope) -> Result<()> {
    match factor {
        TableFactor::NestedJoin { table_with_joins, .. } => {
            spell_factor(&mut table_with_joins.relation, stars, scope)?;
            return table_with_joins
                .joins
                .iter_mut()
                .try_for_each(|join| spell_factor(&mut join.relation, stars, scope));
        }
        TableFactor::Pivot { table, .. } | TableFactor::Unpivot { table, .. } => spell_factor(table, stars, scope)?,
        _ => return Ok(()),
    }
    let (query, alias) = match factor {
        TableFactor::Pivot { default_on_null: Some(_), .. } => {
            return Err(Error::not_supported("DEFAULT ON NULL of PIVOT").hint("write coalesce(…) around its columns"));
        }
        TableFactor::Pivot { table, aggregate_functions, value_column, value_source, alias, .. } => {
            let pivot = Pivot::read(value_column, value_source)?;
            let tables = tables_of(table, stars, scope);
            (pivot.query(table, aggregate_functions, &tables)?, alias.take())
        }
        TableFactor::Unpivot { table, value, name, columns, null_inclusion, alias } => {
            let tables = tables_of(table, stars, scope);
            let keeps_nulls = *null_inclusion == Some(NullInclusion::IncludeNulls);
            (unpivoted(table, value, name, columns, keeps_nulls, &tables)?, alias.take())
        }
        _ => return Ok(()),
    };
    let alias = alias.unwrap_or_else(|| TableAlias {
        explicit: true,
        name: Ident::with_quote('"', "pivot"),
        columns: Vec::new(),
        at: None,
    });
    *factor = TableFactor::Derived { lateral: false, subquery: Box::new(query), alias: Some(alias), sample: None };
    Ok(())
}

fn tables_of<'a>(table: &TableFactor, stars: &'a Stars<'a>, scope: &'a Scope) -> Tables<'a> {
    Tables::new(stars, vec![TableWithJoins { relation: table.clone(), joins: Vec::new() }], scope)
}

/// What is pivoted on, and the groups where they are named.
struct Pivot {
    on: Vec<On>,
    by: Option<Vec<Expr>>,
}

/// Columns that are pivoted on together, and the values that are written down.
struct On {
    columns: Vec<Expr>,
    values: Option<Vec<ExprWithAlias>>,
}

impl On {
    fn new(column: Expr, values: Option<Vec<ExprWithAlias>>) -> Self {
        On { columns: elements(column), values }
    }

    fn is_together(&self) -> bool {
        self.columns.len() > 1
    }
}

/// The values of a row in parentheses, or the only one.
pub(super) fn elements(expr: Expr) -> Vec<Expr> {
    match expr {
        Expr::Tuple(exprs) => exprs,
        Expr::Nested(expr) => vec![*expr],
        other => vec![other],
    }
}

/// Values, one for each column, and what their column is called.
pub(super) type Named = (Vec<Expr>, String);

impl Pivot {
    fn read(columns: &[Expr], values: &PivotValueSource) -> Result<Self> {
        let marked = |name: &str| columns.iter().find_map(|column| arguments_of(column, name));
        if let Some(on) = marked(ON) {
            let read = |expr: Expr| match expr {
                Expr::InList { expr, list, negated: false } => {
                    On::new(*expr, Some(list.into_iter().map(with_alias).collect()))
                }
                other => On::new(other, None),
            };
            return Ok(Pivot { on: on.into_iter().map(read).collect(), by: marked(BY) });
        }
        let [column] = columns else {
            return Err(Error::not_supported("PIVOT … FOR several columns").hint("write PIVOT t ON a, b USING sum(c)"));
        };
        let values = match values {
            PivotValueSource::List(values) => Some(values.clone()),
            PivotValueSource::Any(order) if order.is_empty() => None,
            _ => return Err(Error::not_supported("PIVOT … IN of a subquery").hint("write PIVOT t ON b USING sum(a)")),
        };
        Ok(Pivot { on: vec![On::new(column.clone(), values)], by: None })
    }

    fn query(&self, table: &TableFactor, aggregates: &[ExprWithAlias], tables: &Tables<'_>) -> Result<Query> {
        let bare = |aggregate: &ExprWithAlias| {
            let inner = arguments_of(&aggregate.expr, USING).and_then(|mut arguments| arguments.pop());
            ExprWithAlias { expr: inner.unwrap_or_else(|| aggregate.expr.clone()), alias: aggregate.alias.clone() }
        };
        let aggregates: Vec<ExprWithAlias> = aggregates.iter().map(bare).collect();
        let mut places: Vec<(Option<Expr>, String)> = vec![(None, String::new())];
        for on in &self.on {
            let values = match &on.values {
                Some(values) => values.iter().map(|value| written(value, on)).collect::<Result<Vec<_>>>()?,
                None => looked_up(on, tables)?,
            };
            let equal = |(column, value): (&Expr, &Expr)| Expr::BinaryOp {
                left: Box::new(Expr::Nested(Box::new(column.clone()))),
                op: BinaryOperator::Eq,
                right: Box::new(value.clone()),
            };
            let with = |(condition, name): &(Option<Expr>, String), (values, text): &Named| {
                let here = on.columns.iter().zip(values).map(equal);
                let name = if condition.is_some() { format!("{name}_{text}") } else { text.clone() };
                (condition.iter().cloned().chain(here).reduce(both), name)
            };
            let count = places.len().saturating_mul(values.len()).saturating_mul(aggregates.len().max(1));
            if count > MOST_COLUMNS {
                let message = format!("PIVOT would make more than {MOST_COLUMNS} columns");
                return Err(Error::new(Code::InvalidQuery, message).hint("name the values: ON column IN ('a', 'b')"));
            }
            places = places.iter().flat_map(|place| values.iter().map(move |value| with(place, value))).collect();
        }
        let groups = match &self.by {
            Some(by) => by.clone(),
            None if self.on.is_empty() => Vec::new(),
            None => self.other_columns(&aggregates, tables)?,
        };
        let mut taken = HashSet::new();
        let mut items: Vec<SelectItem> = groups.iter().cloned().map(SelectItem::UnnamedExpr).collect();
        for (condition, name) in &places {
            for aggregate in &aggregates {
                let has_name = aggregate.alias.is_some() || aggregates.len() > 1;
                let alias =
                    aggregate.alias.as_ref().map_or_else(|| aggregate.expr.to_string(), |alias| alias.value.clone());
                let name = match (condition, has_name) {
                    (None, _) => alias,
                    (Some(_), true) => format!("{name}_{alias}"),
                    (Some(_), false) => name.clone(),
                };
                let alias = Ident::with_quote('"', super::super::naming::free_name(&name, &mut taken));
                items.push(SelectItem::ExprWithAlias { expr: filtered(&aggregate.expr, condition.clone())?, alias });
            }
        }
        let mut query = select_from(table)?;
        if let SetExpr::Select(select) = query.body.as_mut() {
            select.projection = items;
            select.group_by = GroupByExpr::Expressions(groups, Vec::new());
        }
        Ok(query)
    }

    /// The table's columns that are named nowhere else.
    fn other_columns(&self, aggregates: &[ExprWithAlias], tables: &Tables<'_>) -> Result<Vec<Expr>> {
        let mut named = Names::default();
        for expr in self.on.iter().flat_map(|on| &on.columns).chain(aggregates.iter().map(|aggregate| &aggregate.expr))
        {
            let _: ControlFlow<()> = Visit::visit(expr, &mut named);
        }
        let schema = tables.schema()?;
        let others = schema.fields().iter().filter(|field| !named.0.contains(field.name()));
        Ok(others.map(|field| Expr::Identifier(Ident::with_quote('"', field.name()))).collect())
    }
}

pub(super) fn both(left: Expr, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op: BinaryOperator::And, right: Box::new(right) }
}

/// The arguments of a call of `name`.
fn arguments_of(expr: &Expr, name: &str) -> Option<Vec<Expr>> {
    let Expr::Function(call) = expr else { return None };
    if plain_name(&call.name)? != name {
        return None;
    }
    let FunctionArguments::List(list) = &call.args else { return None };
    let argument = |argument: &FunctionArg| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    };
    list.args.iter().map(argument).collect()
}

/// The plain names in expressions.
#[derive(Default)]
pub(super) struct Names(pub(super) HashSet<String>);

impl Visitor for Names {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(name) => drop(self.0.insert(name.value.clone())),
            Expr::CompoundIdentifier(names) => self.0.extend(names.last().map(|name| name.value.clone())),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// `"#as"(value, 'name')` as what it stands for.
fn with_alias(value: Expr) -> ExprWithAlias {
    match arguments_of(&value, AS).as_deref() {
        Some([expr, Expr::Value(name)]) => {
            let alias = name.value.clone().into_string().map(|name| Ident::with_quote('"', name));
            ExprWithAlias { expr: expr.clone(), alias }
        }
        _ => ExprWithAlias { expr: value, alias: None },
    }
}

/// A value that the query writes down, or one for each column.
fn written(value: &ExprWithAlias, on: &On) -> Result<Named> {
    let text = |value: &Expr| match value {
        Expr::Value(literal) => match &literal.value {
            Value::SingleQuotedString(text) => text.clone(),
            other => other.to_string(),
        },
        other => other.to_string(),
    };
    let values = if on.is_together() { elements(value.expr.clone()) } else { vec![value.expr.clone()] };
    if values.len() != on.columns.len() {
        let message =
            format!("PIVOT ON {} columns takes {} values, not {}", on.columns.len(), on.columns.len(), value.expr);
        return Err(Error::new(Code::InvalidQuery, message));
    }
    let name = value.alias.as_ref().map(|alias| alias.value.clone());
    let name = name.unwrap_or_else(|| named_by(values.iter().map(text).collect()));
    Ok((values, name))
}

/// What the column of some values is called.
fn named_by(mut texts: Vec<String>) -> String {
    match texts.len() {
        1 => texts.pop().unwrap_or_default(),
        _ => format!("({})", texts.join(", ")),
    }
}

/// The values that the table has, in their order.
fn looked_up(on: &On, tables: &Tables<'_>) -> Result<Vec<Named>> {
    let mut query = parsed("SELECT DISTINCT 1 AS value")?;
    let everything = tables.everything()?;
    if let (SetExpr::Select(select), SetExpr::Select(all)) = (query.body.as_mut(), *everything.body) {
        select.from = all.from;
        let named = |(number, expr): (usize, &Expr)| SelectItem::ExprWithAlias {
            expr: expr.clone(),
            alias: Ident::with_quote('"', format!("value {number}")),
        };
        select.projection = on.columns.iter().enumerate().map(named).collect();
    }
    query.order_by = parsed(&format!("SELECT 1 ORDER BY {}", positions(on.columns.len())))?.order_by;
    query.with = everything.with;
    let plan = (tables.stars.learn)(query)?;
    let kinds = plan.schema().fields().iter().map(|field| crate::expr::types::sql_type_name(field.data_type()));
    let kinds: Vec<String> = kinds.collect();
    let mut values = Vec::new();
    for batch in (tables.stars.run)(&plan)? {
        let columns = batch.columns().iter().map(|column| TextColumn::new(column.as_ref()));
        let columns = columns.collect::<std::result::Result<Vec<_>, _>>()?;
        for row in (0..batch.num_rows()).filter(|&row| !batch.columns().iter().any(|column| column.is_null(row))) {
            let (mut exprs, mut texts) = (Vec::new(), Vec::new());
            for (column, kind) in columns.iter().zip(&kinds) {
                let mut text = String::new();
                column.write_text(row, &mut text)?;
                exprs.push(cast(Expr::value(Value::SingleQuotedString(text.clone())), kind)?);
                texts.push(text);
            }
            values.push((exprs, named_by(texts)));
        }
        if values.len() > MOST_COLUMNS {
            let columns = on.columns.iter().map(Expr::to_string).collect::<Vec<_>>().join(", ");
            let message = format!("PIVOT ON {columns} has more than {MOST_COLUMNS} values");
            return Err(Error::new(Code::InvalidQuery, message).hint("name some: ON column IN ('a', 'b')"));
        }
    }
    Ok(values)
}

/// `1, 2, 3`.
fn positions(count: usize) -> String {
    (1..=count).map(|position| position.to_string()).collect::<Vec<_>>().join(", ")
}

fn cast(value: Expr, kind: &str) -> Result<Expr> {
    let parsed = Parser::new(&GenericDialect {})
        .try_with_sql(&format!("CAST(NULL AS {kind})"))
        .and_then(|mut parser| parser.parse_expr());
    match parsed {
        Ok(Expr::Cast { kind, data_type, array, format, .. }) => {
            Ok(Expr::Cast { kind, expr: Box::new(value), data_type, array, format })
        }
        _ => Err(Error::not_supported(format!("PIVOT ON values of type {kind}")).hint("cast them to VARCHAR")),
    }
}

/// An expression of aggregates, each of them over the rows of one place.
fn filtered(aggregate: &Expr, condition: Option<Expr>) -> Result<Expr> {
    let mut expr = aggregate.clone();
    let mut filters = Filters { condition, depth: 0, met: false };
    let _: ControlFlow<()> = VisitMut::visit(&mut expr, &mut filters);
    if !filters.met {
        return Err(Error::new(Code::InvalidQuery, format!("PIVOT needs aggregates, not {aggregate}")));
    }
    Ok(expr)
}

/// Puts a filter to every aggregate that is not within another.
struct Filters {
    condition: Option<Expr>,
    depth: usize,
    met: bool,
}

impl VisitorMut for Filters {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if is_aggregate(expr) {
            self.depth += 1;
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if !is_aggregate(expr) {
            return ControlFlow::Continue(());
        }
        self.depth -= 1;
        if let Expr::Function(call) = expr
            && self.depth == 0
        {
            self.met = true;
            call.filter = match (call.filter.take(), self.condition.clone()) {
                (Some(own), Some(condition)) => Some(Box::new(both(Expr::Nested(own), condition))),
                (own, condition) => own.or_else(|| condition.map(Box::new)),
            };
        }
        ControlFlow::Continue(())
    }
}

/// `SELECT * FROM table`.
pub(super) fn select_from(table: &TableFactor) -> Result<Query> {
    let mut query = parsed("SELECT *")?;
    if let SetExpr::Select(select) = query.body.as_mut() {
        select.from = vec![TableWithJoins { relation: table.clone(), joins: Vec::new() }];
    }
    Ok(query)
}

fn parsed(sql: &str) -> Result<Query> {
    let parsed = Parser::new(&GenericDialect {}).try_with_sql(sql).and_then(|mut parser| parser.parse_query());
    parsed.map(|query| *query).map_err(|_| Error::internal("a query that the parser does not read"))
}
