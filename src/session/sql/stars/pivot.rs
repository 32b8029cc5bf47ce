//! PIVOT and UNPIVOT, as the queries that they are.
//!
//! `t PIVOT (sum(a) FOR b IN ('x', 'y'))` is `SELECT …, sum(a) FILTER (WHERE b = 'x') AS x, … FROM t GROUP BY …`, by all columns that it
//! does not name otherwise; values that are not written down are looked up in the table when the query is planned.
//! `t UNPIVOT (v FOR n IN (a, b))` is `SELECT …, unnest(['a', 'b']) AS n, unnest([a, b]) AS v FROM t`.
//!
//! # Known limitation
//! A query with PIVOT that is kept (a view) looks its values up each time it is planned.

use std::collections::HashSet;
use std::ops::ControlFlow;

use arrow::array::Array;
use datafusion_sql::sqlparser::ast::{
    Array as ListLiteral, BinaryOperator, Expr, ExprWithAlias, Function, FunctionArg, FunctionArgExpr,
    FunctionArguments, GroupByExpr, Ident, NullInclusion, PivotValueSource, Query, Select, SelectItem, SetExpr,
    TableAlias, TableFactor, TableWithJoins, Value, Visit, Visitor,
};
use datafusion_sql::sqlparser::dialect::GenericDialect;
use datafusion_sql::sqlparser::parser::Parser;

use super::super::calls::call_of;
use super::super::macros::plain_name;
use super::pivot_tokens::{BY, ON};
use super::{Scope, Stars, Tables, columns};
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
    on: Vec<(Expr, Option<Vec<ExprWithAlias>>)>,
    by: Option<Vec<Expr>>,
}

/// A value, and what its column is called.
type Named = (Expr, String);

impl Pivot {
    fn read(columns: &[Expr], values: &PivotValueSource) -> Result<Self> {
        let marked = |name: &str| columns.iter().find_map(|column| arguments_of(column, name));
        if let Some(on) = marked(ON) {
            let read = |expr: Expr| match expr {
                Expr::InList { expr, list, negated: false } => {
                    (*expr, Some(list.into_iter().map(|expr| ExprWithAlias { expr, alias: None }).collect()))
                }
                Expr::Nested(expr) => (*expr, None),
                other => (other, None),
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
        Ok(Pivot { on: vec![(column.clone(), values)], by: None })
    }

    fn query(&self, table: &TableFactor, aggregates: &[ExprWithAlias], tables: &Tables<'_>) -> Result<Query> {
        let mut places: Vec<(Option<Expr>, String)> = vec![(None, String::new())];
        for (on, values) in &self.on {
            let values = match values {
                Some(values) => values.iter().map(written).collect::<Vec<_>>(),
                None => looked_up(on, tables)?,
            };
            let equal = |value: &Expr| Expr::BinaryOp {
                left: Box::new(Expr::Nested(Box::new(on.clone()))),
                op: BinaryOperator::Eq,
                right: Box::new(value.clone()),
            };
            let with = |(condition, name): &(Option<Expr>, String), (value, text): &Named| match condition {
                None => (Some(equal(value)), text.clone()),
                Some(condition) => (Some(both(condition.clone(), equal(value))), format!("{name}_{text}")),
            };
            places = places.iter().flat_map(|place| values.iter().map(move |value| with(place, value))).collect();
            if places.len().saturating_mul(aggregates.len().max(1)) > MOST_COLUMNS {
                let message = format!("PIVOT would make more than {MOST_COLUMNS} columns");
                return Err(Error::new(Code::InvalidQuery, message).hint("name the values: ON column IN ('a', 'b')"));
            }
        }
        let groups = match &self.by {
            Some(by) => by.clone(),
            None => self.other_columns(aggregates, tables)?,
        };
        let mut taken = HashSet::new();
        let mut items: Vec<SelectItem> = groups.iter().cloned().map(SelectItem::UnnamedExpr).collect();
        for (condition, name) in &places {
            for aggregate in aggregates {
                let has_name = aggregate.alias.is_some() || aggregates.len() > 1;
                let alias =
                    aggregate.alias.as_ref().map_or_else(|| aggregate.expr.to_string(), |alias| alias.value.clone());
                let name = if has_name { format!("{name}_{alias}") } else { name.clone() };
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
        for expr in self.on.iter().map(|(on, _)| on).chain(aggregates.iter().map(|aggregate| &aggregate.expr)) {
            let _: ControlFlow<()> = Visit::visit(expr, &mut named);
        }
        let schema = tables.schema()?;
        let others = schema.fields().iter().filter(|field| !named.0.contains(field.name()));
        Ok(others.map(|field| Expr::Identifier(Ident::with_quote('"', field.name()))).collect())
    }
}

fn both(left: Expr, right: Expr) -> Expr {
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
struct Names(HashSet<String>);

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

/// A value that the query writes down.
fn written(value: &ExprWithAlias) -> Named {
    let name = match (&value.alias, &value.expr) {
        (Some(alias), _) => alias.value.clone(),
        (None, Expr::Value(literal)) => match &literal.value {
            Value::SingleQuotedString(text) => text.clone(),
            other => other.to_string(),
        },
        (None, other) => other.to_string(),
    };
    (value.expr.clone(), name)
}

/// The values that the table has, in their order.
fn looked_up(on: &Expr, tables: &Tables<'_>) -> Result<Vec<Named>> {
    let mut query = parsed("SELECT DISTINCT 1 AS value ORDER BY value")?;
    let everything = tables.everything()?;
    if let (SetExpr::Select(select), SetExpr::Select(all)) = (query.body.as_mut(), *everything.body) {
        select.from = all.from;
        select.projection =
            vec![SelectItem::ExprWithAlias { expr: on.clone(), alias: Ident::with_quote('"', "value") }];
    }
    query.with = everything.with;
    let plan = (tables.stars.learn)(query)?;
    let kind = crate::expr::types::sql_type_name(plan.schema().field(0).data_type());
    let mut values = Vec::new();
    for batch in (tables.stars.run)(&plan)? {
        let column = TextColumn::new(batch.column(0).as_ref())?;
        for row in (0..batch.num_rows()).filter(|&row| !batch.column(0).is_null(row)) {
            let mut text = String::new();
            column.write_text(row, &mut text)?;
            let value = Expr::value(Value::SingleQuotedString(text.clone()));
            values.push((cast(value, &kind)?, text));
        }
        if values.len() > MOST_COLUMNS {
            return Err(Error::new(Code::InvalidQuery, format!("PIVOT ON {on} has more than {MOST_COLUMNS} values"))
                .hint("name some: ON column IN ('a', 'b')"));
        }
    }
    Ok(values)
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

/// An aggregate over the rows of one place.
fn filtered(aggregate: &Expr, condition: Option<Expr>) -> Result<Expr> {
    let Expr::Function(call) = aggregate else {
        return Err(Error::new(Code::InvalidQuery, format!("PIVOT needs aggregates, not {aggregate}")));
    };
    let filter = match (call.filter.clone(), condition) {
        (Some(own), Some(condition)) => Some(Box::new(both(Expr::Nested(own), condition))),
        (own, condition) => own.or_else(|| condition.map(Box::new)),
    };
    Ok(Expr::Function(Function { filter, ..call.clone() }))
}

/// `SELECT * FROM table`.
fn select_from(table: &TableFactor) -> Result<Query> {
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

/// The query of an UNPIVOT.
fn unpivoted(
    table: &TableFactor,
    value: &Expr,
    name: &Ident,
    written: &[ExprWithAlias],
    keeps_nulls: bool,
    tables: &Tables<'_>,
) -> Result<Query> {
    let Expr::Identifier(value) = value else {
        return Err(Error::not_supported("UNPIVOT into several columns of values"));
    };
    let mut turned: Vec<Named> = Vec::new();
    for column in written {
        match &column.expr {
            expr if columns::has_columns(expr) => {
                let several = columns::repeated(expr, tables)?;
                turned.extend(several.into_iter().map(|(expr, column)| (expr, column.shown().to_string())));
            }
            expr => {
                let last = match expr {
                    Expr::CompoundIdentifier(names) => names.last().map(|name| name.value.clone()),
                    Expr::Identifier(name) => Some(name.value.clone()),
                    _ => None,
                };
                let alias = column.alias.as_ref().map(|alias| alias.value.clone());
                turned.push((expr.clone(), alias.or(last).unwrap_or_else(|| expr.to_string())));
            }
        }
    }
    let mut named = Names::default();
    turned.iter().for_each(|(expr, _)| {
        let _: ControlFlow<()> = Visit::visit(expr, &mut named);
    });
    let schema = tables.schema()?;
    let others = schema.fields().iter().filter(|field| !named.0.contains(field.name()));
    let others: Vec<SelectItem> =
        others.map(|field| SelectItem::UnnamedExpr(Expr::Identifier(Ident::with_quote('"', field.name())))).collect();
    let list = |elem: Vec<Expr>| call_of("unnest", vec![Expr::Array(ListLiteral { elem, named: false })]);
    let text = |(_, text): &Named| Expr::value(Value::SingleQuotedString(text.clone()));
    let names = list(turned.iter().map(text).collect());
    let values = list(turned.iter().map(|(expr, _)| expr.clone()).collect());
    let mut query = select_from(table)?;
    if let SetExpr::Select(select) = query.body.as_mut() {
        select.projection = others;
        select.projection.push(SelectItem::ExprWithAlias { expr: names, alias: name.clone() });
        select.projection.push(SelectItem::ExprWithAlias { expr: values, alias: value.clone() });
    }
    if keeps_nulls {
        return Ok(query);
    }
    let alias = TableAlias { explicit: true, name: Ident::with_quote('"', "pivot"), columns: Vec::new(), at: None };
    let all = TableFactor::Derived { lateral: false, subquery: Box::new(query), alias: Some(alias), sample: None };
    let mut query = select_from(&all)?;
    if let SetExpr::Select(select) = query.body.as_mut() {
        select.selection = Some(Expr::IsNotNull(Box::new(Expr::Identifier(value.clone()))));
    }
    Ok(query)
}
