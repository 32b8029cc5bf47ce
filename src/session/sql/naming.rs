//! What the columns of a query are called.
//!
//! An expression without an alias is called as it is written; a name that a select list holds twice gets a number; the
//! result's columns carry their aliases exactly as written, though names match without regard to case.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion_expr::LogicalPlan;
use datafusion_sql::sqlparser::ast::{
    Expr, Ident, OrderByExpr, OrderByKind, Query, Select, SelectFlavor, SelectItem, SetExpr, Statement, TableAlias,
    TableFactor, Value, VisitMut, VisitorMut, WildcardAdditionalOptions,
};

use super::stars::has_columns;
use crate::error::Result;
use crate::session::relation::with_column_names;

/// Gives every select list its names, and `FROM t` its `SELECT *`.
pub(crate) fn name_columns(statement: &mut Statement) {
    let _: ControlFlow<()> = statement.visit(&mut Names);
}

struct Names;

impl VisitorMut for Names {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        order_by_position(query);
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        if select.flavor == SelectFlavor::FromFirstNoSelect && select.projection.is_empty() {
            select.projection.push(SelectItem::Wildcard(WildcardAdditionalOptions::default()));
        }
        select.flavor = SelectFlavor::Standard;
        name_subqueries(select);
        let relations = relation_names(select);
        let mut taken = HashSet::new();
        for item in &select.projection {
            if let SelectItem::ExprWithAlias { alias, .. } = item {
                taken.insert(alias.value.to_lowercase());
            }
        }
        for item in &mut select.projection {
            name_item(item, &relations, &mut taken);
        }
        ControlFlow::Continue(())
    }
}

/// Names the subqueries of a FROM clause that stand beside other relations, which may have columns of the same names.
fn name_subqueries(select: &mut Select) {
    let is_alone = matches!(select.from.as_slice(), [only] if only.joins.is_empty());
    if is_alone {
        return;
    }
    let mut taken = relation_names(select);
    let mut number = 1_usize;
    let factors = select.from.iter_mut().flat_map(|from| {
        std::iter::once(&mut from.relation).chain(from.joins.iter_mut().map(|join| &mut join.relation))
    });
    for factor in factors {
        name_subquery(factor, &mut number, &mut taken);
    }
}

fn name_subquery(factor: &mut TableFactor, number: &mut usize, taken: &mut HashSet<String>) {
    match factor {
        TableFactor::NestedJoin { table_with_joins, alias: None } => {
            name_subquery(&mut table_with_joins.relation, number, taken);
            table_with_joins.joins.iter_mut().for_each(|join| name_subquery(&mut join.relation, number, taken));
        }
        TableFactor::Derived { alias: alias @ None, .. } => {
            let mut name = "unnamed_subquery".to_string();
            while !taken.insert(name.clone()) {
                *number += 1;
                name = format!("unnamed_subquery{number}");
            }
            let name = Ident::with_quote('"', name);
            *alias = Some(TableAlias { explicit: true, name, columns: Vec::new(), at: None });
        }
        _ => {}
    }
}

/// `ORDER BY ALL` by position where the select list says how many columns there are: the planner takes it for columns only.
fn order_by_position(query: &mut Query) {
    let SetExpr::Select(select) = query.body.as_ref() else { return };
    let counted = select
        .projection
        .iter()
        .all(|item| matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. }));
    let Some(order) = query.order_by.as_mut().filter(|_| counted) else { return };
    let OrderByKind::All(options) = order.kind.clone() else { return };
    let by_position = |position: usize| OrderByExpr {
        expr: Expr::value(Value::Number(position.to_string(), false)),
        options,
        with_fill: None,
    };
    order.kind = OrderByKind::Expressions((1..=select.projection.len()).map(by_position).collect());
}

/// Aliases an expression that has no name of its own, or one that is taken.
fn name_item(item: &mut SelectItem, relations: &HashSet<String>, taken: &mut HashSet<String>) {
    let SelectItem::UnnamedExpr(expr) = item else { return };
    if has_columns(expr) {
        return;
    }
    let (name, named) = match &*expr {
        Expr::Identifier(name) => (name.value.clone(), true),
        Expr::CompoundIdentifier(parts) => {
            let column = matches!(parts.as_slice(), [table, _] if relations.contains(&table.value.to_lowercase()));
            (parts.last().map_or_else(|| expr.to_string(), |name| name.value.clone()), column)
        }
        other => (other.to_string(), false),
    };
    let free = free_name(&name, taken);
    if named && free == name {
        return;
    }
    let alias = Ident::with_quote('"', free);
    *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
}

pub(super) fn free_name(name: &str, taken: &mut HashSet<String>) -> String {
    let mut candidate = name.to_string();
    let mut number = 1_usize;
    while !taken.insert(candidate.to_lowercase()) {
        candidate = format!("{name}_{number}");
        number += 1;
    }
    candidate
}

/// The names by which a select's columns can be qualified, in lower case.
pub(super) fn relation_names(select: &Select) -> HashSet<String> {
    let factors = select
        .from
        .iter()
        .flat_map(|from| std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation)));
    let mut names = HashSet::new();
    factors.for_each(|factor| add_relation_names(factor, &mut names));
    names
}

fn add_relation_names(factor: &TableFactor, names: &mut HashSet<String>) {
    let alias = match factor {
        TableFactor::Table { name, alias: None, .. } => {
            let last = name.0.last().and_then(|part| part.as_ident());
            names.extend(last.map(|name| name.value.to_lowercase()));
            return;
        }
        TableFactor::NestedJoin { table_with_joins, alias: None } => {
            add_relation_names(&table_with_joins.relation, names);
            table_with_joins.joins.iter().for_each(|join| add_relation_names(&join.relation, names));
            return;
        }
        TableFactor::Table { alias, .. }
        | TableFactor::Derived { alias, .. }
        | TableFactor::UNNEST { alias, .. }
        | TableFactor::Function { alias, .. }
        | TableFactor::NestedJoin { alias, .. } => alias,
        _ => return,
    };
    names.extend(alias.iter().map(|alias| alias.name.value.to_lowercase()));
}

/// The aliases of a query's result as they are written: by position from the front up to the first `*`, and from the
/// back down to the last.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Labels {
    front: Vec<Option<String>>,
    back: Vec<Option<String>>,
}

impl Labels {
    /// The labels of the query that a statement holds; none for a statement without one.
    pub(crate) fn of(statement: &Statement) -> Self {
        query_of(statement)
            .and_then(first_select)
            .map(|select| Labels::of_items(&select.projection))
            .unwrap_or_default()
    }

    fn of_items(items: &[SelectItem]) -> Self {
        let label = |item: &SelectItem| match item {
            SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.clone()),
            _ => None,
        };
        let is_wildcard = |item: &&SelectItem| match item {
            SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => true,
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => has_columns(expr),
            _ => false,
        };
        let front: Vec<_> = items.iter().take_while(|item| !is_wildcard(item)).map(label).collect();
        if front.len() == items.len() {
            return Labels { front, back: Vec::new() };
        }
        let back = items.iter().rev().take_while(|item| !is_wildcard(item)).map(label).collect();
        Labels { front, back }
    }

    /// The plan with its columns called as written.
    pub(crate) fn apply(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        let fields = plan.schema().fields().clone();
        let count = fields.len();
        if self.front.len() + self.back.len() > count {
            return Ok(plan);
        }
        let names: Vec<&str> = fields
            .iter()
            .enumerate()
            .map(|(index, field)| {
                let front = self.front.get(index);
                let written = front.or_else(|| self.back.get(count - 1 - index)).and_then(Option::as_deref);
                // Only the spelling is taken over: the planner has the last word on the name.
                written.filter(|written| written.to_lowercase() == field.name().to_lowercase()).unwrap_or(field.name())
            })
            .collect();
        with_column_names(plan.clone(), names.iter().copied())
    }
}

/// The query inside a statement.
fn query_of(statement: &Statement) -> Option<&Query> {
    match statement {
        Statement::Query(query) => Some(query),
        Statement::CreateTable(create) => create.query.as_deref(),
        Statement::CreateView(create) => Some(&create.query),
        Statement::Explain { statement, .. } => query_of(statement),
        _ => None,
    }
}

/// The select that gives a query its column names.
fn first_select(query: &Query) -> Option<&Select> {
    let mut body = query.body.as_ref();
    loop {
        match body {
            SetExpr::Select(select) => return Some(select),
            SetExpr::Query(query) => body = query.body.as_ref(),
            SetExpr::SetOperation { left, .. } => body = left.as_ref(),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::sql::parse;

    fn parsed(sql: &str) -> Statement {
        parse::tokens(sql).and_then(|tokens| parse::statement(&tokens)).unwrap()
    }

    fn named(sql: &str) -> String {
        let mut statement = parsed(sql);
        name_columns(&mut statement);
        statement.to_string()
    }

    #[test]
    fn expressions_are_called_as_they_are_written() {
        assert_eq!(named("select a+1, count(*) from t"), "SELECT a + 1 AS \"a + 1\", count(*) AS \"count(*)\" FROM t");
        assert_eq!(named("select a, t.a, t.* from t"), "SELECT a, t.a AS \"a_1\", t.* FROM t");
    }

    #[test]
    fn a_field_of_a_struct_is_called_by_its_last_name() {
        assert_eq!(named("select s.b, t.s.c from t"), "SELECT s.b AS \"b\", t.s.c AS \"c\" FROM t");
        assert_eq!(named("select x.b from t as x"), "SELECT x.b FROM t AS x");
    }

    #[test]
    fn a_name_twice_gets_a_number() {
        assert_eq!(named("select 1, 1, a as \"1\""), "SELECT 1 AS \"1_1\", 1 AS \"1_2\", a AS \"1\"");
    }

    #[test]
    fn from_first_selects_everything() {
        assert_eq!(named("from t"), "SELECT * FROM t");
        assert_eq!(named("from t select a"), "SELECT a FROM t");
    }

    #[test]
    fn order_by_all_is_by_position() {
        assert_eq!(named("select a, b from t order by all desc"), "SELECT a, b FROM t ORDER BY 1 DESC, 2 DESC");
    }

    #[test]
    fn labels_are_taken_from_both_ends() {
        let labels = Labels::of(&parsed("select a as Foo, b, *, c as Bar from t union all select 1, 2, 3"));
        assert_eq!(labels.front, [Some("Foo".to_string()), None]);
        assert_eq!(labels.back, [Some("Bar".to_string())]);
    }
}
