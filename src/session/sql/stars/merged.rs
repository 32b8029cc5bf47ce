//! Columns that joins with USING make one of two, where the planner would take the left side's for them.
//!
//! That is right for inner and left joins. In a FROM clause with a FULL, RIGHT, NATURAL or ASOF join that merges columns all of
//! its joins get ON in place of USING; the name alone, and a star, then stand for the value of both columns: the right one
//! of RIGHT, the first that is not NULL of FULL, else the left one.
//!
//! A subquery may name a merged column, too, where its own tables have none of that name: it stands for the value there as well.

use std::ops::ControlFlow;

use datafusion_sql::sqlparser::ast::{
    BinaryOperator, Distinct, Expr, GroupByExpr, Ident, Join, JoinConstraint, JoinOperator, ObjectName, OrderBy,
    OrderByKind, Query, Select, SelectItem, SetExpr, Spanned, TableFactor, TableWithJoins, VisitMut, VisitorMut,
};

use super::super::calls::call_of;
use super::super::joins::{Kind, constraint, constraint_of};
use super::super::parse::span_of;
use super::super::scoped::replace_names;
use super::{Scope, Stars, Tables, everything};
use crate::error::{Code, Error, Result};

/// A table's name and that of its column.
type Column = (Option<String>, String);

/// A column that stands for several.
pub(super) struct Merged {
    pub(super) name: String,
    pub(super) value: Expr,
    columns: Vec<Column>,
}

impl Merged {
    /// Whether it stands for this column, too.
    pub(super) fn holds(&self, table: Option<&str>, column: &str) -> bool {
        self.columns.iter().any(|(own, name)| own.as_deref() == table && name == column)
    }
}

/// Puts ON for USING where it is needed, and returns what that merged.
///
/// # Errors
/// `UNKNOWN_COLUMN` for a name in USING that is not one column of each side, `INVALID_QUERY` for NATURAL without a common one.
pub(super) fn spell_out(select: &mut Select, stars: &Stars<'_>, scope: &Scope) -> Result<Vec<Merged>> {
    let mut merged = Vec::new();
    let by_subqueries = named_in_subqueries(select);
    let is_named = |table: &TableWithJoins| {
        let mut names = table.joins.iter().flat_map(using_names);
        names.any(|name| by_subqueries.iter().any(|other| other.eq_ignore_ascii_case(&name)))
    };
    for table in select.from.iter_mut().filter(|table| needs(table) || is_named(table)) {
        merged.extend(joined(table, stars, scope)?.merged);
    }
    Ok(merged)
}

/// The columns that a join's USING names.
fn using_names(join: &Join) -> Vec<String> {
    match constraint(&join.join_operator) {
        Some((JoinConstraint::Using(names), _)) => names.iter().filter_map(only_part).map(|name| name.value).collect(),
        _ => Vec::new(),
    }
}

/// The plain names in the subqueries of the select's expressions.
fn named_in_subqueries(select: &Select) -> Vec<String> {
    let mut within = Within { depth: 0, found: Vec::new() };
    let mut expressions = select.clone();
    expressions.from.clear();
    let _: ControlFlow<()> = VisitMut::visit(&mut expressions, &mut within);
    within.found
}

struct Within {
    depth: usize,
    found: Vec<String>,
}

impl VisitorMut for Within {
    type Break = ();

    fn pre_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let (Expr::Identifier(name), true) = (&*expr, self.depth > 0) {
            self.found.push(name.value.clone());
        }
        ControlFlow::Continue(())
    }
}

/// Puts the values of merged columns into the subqueries of the select's expressions, where no table within has the column.
fn put_into_subqueries(node: &mut impl VisitMut, merged: &[Merged], stars: &Stars<'_>, scope: &Scope) {
    let _: ControlFlow<()> = VisitMut::visit(node, &mut Subqueries { merged, stars, scope, hidden: Vec::new() });
}

struct Subqueries<'a> {
    merged: &'a [Merged],
    stars: &'a Stars<'a>,
    scope: &'a Scope,
    /// The names that the selects around have, the innermost last.
    hidden: Vec<Vec<String>>,
}

impl VisitorMut for Subqueries<'_> {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let tables = Tables::new(self.stars, select.from.clone(), self.scope);
        let has = |column: &&Merged| match tables.schema() {
            Ok(schema) => schema.fields().iter().any(|field| *field.name() == column.name),
            // Tables that are not known here may have any column.
            Err(_) => true,
        };
        self.hidden.push(self.merged.iter().filter(has).map(|column| column.name.clone()).collect());
        let mut value = |name: &Ident| {
            let is_hidden = self.hidden.iter().flatten().any(|hidden| *hidden == name.value);
            if is_hidden { None } else { value_of(name, self.merged) }
        };
        for item in &mut select.projection {
            if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
                replace_names(expr, &mut value);
            }
        }
        for condition in [&mut select.selection, &mut select.having, &mut select.qualify].into_iter().flatten() {
            replace_names(condition, &mut value);
        }
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, _select: &mut Select) -> ControlFlow<()> {
        self.hidden.pop();
        ControlFlow::Continue(())
    }
}

/// Puts the values of merged columns where their names stand alone, but for those in ORDER BY that name the output.
pub(super) fn put(
    select: &mut Select,
    order: Option<&mut OrderBy>,
    merged: &[Merged],
    stars: &Stars<'_>,
    scope: &Scope,
) {
    if merged.is_empty() {
        return;
    }
    put_into_subqueries(&mut select.projection, merged, stars, scope);
    for condition in [&mut select.selection, &mut select.having, &mut select.qualify].into_iter().flatten() {
        put_into_subqueries(condition, merged, stars, scope);
    }
    let mut value = |name: &Ident| value_of(name, merged);
    let mut outputs = Vec::new();
    for item in &mut select.projection {
        let plain = match &*item {
            SelectItem::UnnamedExpr(Expr::Identifier(name)) => Some(name.clone()),
            _ => None,
        };
        if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item
            && replace_names(expr, &mut value)
            && let Some(alias) = plain
        {
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
        }
        outputs.extend(output_name(item));
    }
    if let GroupByExpr::Expressions(groups, _) = &mut select.group_by {
        replace_names(groups, &mut value);
    }
    for condition in [&mut select.selection, &mut select.having, &mut select.qualify].into_iter().flatten() {
        replace_names(condition, &mut value);
    }
    if let Some(Distinct::On(keys)) = &mut select.distinct {
        replace_names(keys, &mut value);
    }
    if let Some(OrderBy { kind: OrderByKind::Expressions(keys), .. }) = order {
        for key in keys {
            let is_output = matches!(&key.expr, Expr::Identifier(name) if outputs.contains(&name.value));
            if !is_output {
                replace_names(&mut key.expr, &mut value);
            }
        }
    }
}

fn output_name(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.clone()),
        SelectItem::UnnamedExpr(Expr::Identifier(name)) => Some(name.value.clone()),
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(names)) => names.last().map(|name| name.value.clone()),
        _ => None,
    }
}

fn value_of(name: &Ident, merged: &[Merged]) -> Option<Expr> {
    merged.iter().find(|column| column.name == name.value).map(|column| column.value.clone())
}

/// Whether the planner would give a merged column the wrong value.
fn needs(table: &TableWithJoins) -> bool {
    let relations = std::iter::once(&table.relation).chain(table.joins.iter().map(|join| &join.relation));
    let inside = |relation: &TableFactor| matches!(relation, TableFactor::NestedJoin { table_with_joins, .. } if needs(table_with_joins));
    let by_join = |join: &Join| match constraint(&join.join_operator) {
        Some((JoinConstraint::Natural, _)) => true,
        Some((JoinConstraint::Using(_), kind)) => join.global || matches!(kind, Kind::Right | Kind::Full),
        _ => false,
    };
    relations.into_iter().any(inside) || table.joins.iter().any(by_join)
}

fn set_constraint(operator: &mut JoinOperator, new: JoinConstraint) {
    if let Some(old) = constraint_of(operator) {
        *old = new;
    }
}

/// What a part of a FROM clause has.
#[derive(Default)]
struct Side {
    columns: Vec<Column>,
    merged: Vec<Merged>,
    /// Why the columns of a relation are not known: it may name relations before it, or be wrong.
    unknown: Option<Error>,
}

fn joined(table: &mut TableWithJoins, stars: &Stars<'_>, scope: &Scope) -> Result<Side> {
    let mut side = side_of(&mut table.relation, stars, scope)?;
    for join in &mut table.joins {
        let right = side_of(&mut join.relation, stars, scope)?;
        side = side.join(right, join)?;
    }
    Ok(side)
}

fn side_of(factor: &mut TableFactor, stars: &Stars<'_>, scope: &Scope) -> Result<Side> {
    match factor {
        TableFactor::NestedJoin { table_with_joins, alias: None } => return joined(table_with_joins, stars, scope),
        TableFactor::NestedJoin { table_with_joins, alias } if needs(table_with_joins) => {
            let mut query = everything()?;
            if let SetExpr::Select(select) = query.body.as_mut() {
                select.from = vec![table_with_joins.as_ref().clone()];
            }
            stars.query(&mut query, scope)?;
            let (alias, subquery) = (alias.take(), Box::new(query));
            *factor = TableFactor::Derived { lateral: false, subquery, alias, sample: None };
        }
        _ => {}
    }
    let tables = Tables::new(stars, vec![TableWithJoins { relation: factor.clone(), joins: Vec::new() }], scope);
    Ok(match tables.schema() {
        Ok(schema) => {
            let column = |(table, name): (Option<&datafusion_common::TableReference>, &String)| {
                (table.map(|table| table.table().to_string()), name.clone())
            };
            let columns = schema.iter().map(|(table, field)| column((table, field.name()))).collect();
            Side { columns, ..Side::default() }
        }
        Err(error) => Side { unknown: Some(error), ..Side::default() },
    })
}

impl Side {
    /// Both sides behind the join, which gets ON.
    fn join(mut self, mut right: Side, join: &mut Join) -> Result<Side> {
        let place = span_of(join.relation.span());
        let Some((constraint, kind)) = constraint(&join.join_operator) else { return Ok(self.with(right)) };
        let names = match constraint {
            JoinConstraint::Using(names) => names.iter().filter_map(only_part).collect(),
            JoinConstraint::Natural => self.common(&right, place)?,
            JoinConstraint::On(condition) => {
                let mut condition = condition.clone();
                let both: Vec<Merged> = self.merged.drain(..).chain(right.merged.drain(..)).collect();
                replace_names(&mut condition, &mut |name| value_of(name, &both));
                (self.merged, right.merged) = (both, Vec::new());
                set_constraint(&mut join.join_operator, JoinConstraint::On(condition));
                return Ok(self.behind(kind, right));
            }
            JoinConstraint::None => return Ok(self.behind(kind, right)),
        };
        let mut conditions = Vec::with_capacity(names.len());
        let mut merged = Vec::with_capacity(names.len());
        for (index, name) in names.iter().enumerate() {
            let (left, left_columns) = self.take(name, "left")?;
            let (other, columns) = right.take(name, "right")?;
            let is_compared = join.global && index + 1 == names.len();
            let op = if is_compared { BinaryOperator::GtEq } else { BinaryOperator::Eq };
            conditions.push(Expr::BinaryOp { left: Box::new(left.clone()), op, right: Box::new(other.clone()) });
            let (value, columns) = match kind {
                Kind::Left => (left, [left_columns, columns].concat()),
                Kind::Right => (other, [left_columns, columns].concat()),
                Kind::Full => (call_of("coalesce", vec![left, other]), [left_columns, columns].concat()),
                Kind::LeftOnly => (left, left_columns),
                Kind::RightOnly => (other, columns),
            };
            merged.push(Merged { name: name.value.clone(), value, columns });
        }
        let both =
            |left, right| Expr::BinaryOp { left: Box::new(left), op: BinaryOperator::And, right: Box::new(right) };
        if let Some(condition) = conditions.into_iter().reduce(both) {
            set_constraint(&mut join.join_operator, JoinConstraint::On(condition));
        }
        let mut side = self.behind(kind, right);
        side.merged.extend(merged);
        Ok(side)
    }

    /// What is there behind a join without merged columns.
    fn behind(self, kind: Kind, right: Side) -> Side {
        match kind {
            Kind::LeftOnly => self,
            Kind::RightOnly => right,
            Kind::Left | Kind::Right | Kind::Full => self.with(right),
        }
    }

    fn with(mut self, right: Side) -> Side {
        self.columns.extend(right.columns);
        self.merged.extend(right.merged);
        self.unknown = self.unknown.or(right.unknown);
        self
    }

    /// The names that both sides have.
    fn common(&self, right: &Side, place: crate::error::Span) -> Result<Vec<Ident>> {
        let mut names: Vec<Ident> = Vec::new();
        for (_, name) in &self.columns {
            let is_new = !names.iter().any(|other| other.value == *name);
            if is_new && right.columns.iter().any(|(_, other)| other == name) {
                names.push(Ident::with_quote('"', name));
            }
        }
        if !names.is_empty() {
            return Ok(names);
        }
        let error = self.unknown.clone().or_else(|| right.unknown.clone());
        Err(error.unwrap_or_else(|| {
            Error::new(Code::InvalidQuery, "NATURAL JOIN of relations that have no column in common")
                .span(place)
                .hint("name what they have to agree in with ON, or write CROSS JOIN")
        }))
    }

    /// The value of the column of that name, which is merged no more, and the columns that it stands for.
    fn take(&mut self, name: &Ident, side: &str) -> Result<(Expr, Vec<Column>)> {
        if let Some(at) = self.merged.iter().position(|column| column.name == name.value) {
            let column = self.merged.swap_remove(at);
            return Ok((column.value, column.columns));
        }
        let mut found = self.columns.iter().filter(|(_, column)| *column == name.value);
        let error = match (found.next(), found.next()) {
            (Some(column), None) => {
                let quoted = |name: &String| Ident::with_quote('"', name);
                let value = match &column.0 {
                    Some(table) => Expr::CompoundIdentifier(vec![quoted(table), quoted(&column.1)]),
                    None => Expr::Identifier(quoted(&column.1)),
                };
                return Ok((value, vec![column.clone()]));
            }
            (None, _) => match &self.unknown {
                Some(error) => return Err(error.clone()),
                None => format!("there is no column named \"{}\" on the {side} side of the join", name.value),
            },
            (Some(_), Some(_)) => {
                format!("column \"{}\" is in more than one table on the {side} side of the join", name.value)
            }
        };
        Err(Error::new(Code::UnknownColumn, error).span(span_of(name.span)))
    }
}

fn only_part(name: &ObjectName) -> Option<Ident> {
    match name.0.as_slice() {
        [part] => part.as_ident().cloned(),
        _ => None,
    }
}
