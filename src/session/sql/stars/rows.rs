//! `SELECT t FROM t`: a table's name that no column has is the row as a struct.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion_sql::sqlparser::ast::{
    AccessExpr, DictionaryField, Expr, Ident, Query, Select, SelectItem, TableFactor, TableWithJoins, VisitMut,
    VisitorMut,
};
use datafusion_sql::sqlparser::tokenizer::Location;

use super::Tables;
use crate::error::Result;

/// Puts structs where names of tables stand, in the select list and in WHERE.
pub(super) fn spell_out(select: &mut Select, tables: &Tables<'_>) -> Result<()> {
    let mut names = HashSet::new();
    select.from.iter().for_each(|from| add_names(from, &mut names));
    let mut rows = Rows { names, tables, queries: 0, parts: HashSet::new(), met: false };
    for item in &mut select.projection {
        let alias = match item {
            SelectItem::UnnamedExpr(Expr::Identifier(name)) => Some(name.clone()),
            _ => None,
        };
        if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
            let _: ControlFlow<()> = VisitMut::visit(expr, &mut rows);
            if let (Some(alias), true) = (alias, std::mem::take(&mut rows.met)) {
                *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
            }
        }
    }
    if let Some(condition) = &mut select.selection {
        let _: ControlFlow<()> = VisitMut::visit(condition, &mut rows);
    }
    Ok(())
}

/// The names of the tables of a FROM clause.
fn add_names(from: &TableWithJoins, names: &mut HashSet<String>) {
    for factor in std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation)) {
        match factor {
            TableFactor::Table { name, alias: None, .. } => {
                names.extend(name.0.last().and_then(|part| part.as_ident()).map(|name| name.value.clone()));
            }
            TableFactor::NestedJoin { table_with_joins, alias: None } => add_names(table_with_joins, names),
            TableFactor::Table { alias, .. }
            | TableFactor::Derived { alias, .. }
            | TableFactor::UNNEST { alias, .. }
            | TableFactor::NestedJoin { alias, .. } => names.extend(alias.iter().map(|alias| alias.name.value.clone())),
            _ => {}
        }
    }
}

struct Rows<'a> {
    names: HashSet<String>,
    tables: &'a Tables<'a>,
    queries: usize,
    /// Where names stand that are followed by a dot or follow one: they are parts of a longer name.
    parts: HashSet<Location>,
    /// Whether a struct was put.
    met: bool,
}

impl Rows<'_> {
    /// The row of the table of that name, if no column has the name.
    fn row(&self, name: &Ident) -> Option<Expr> {
        if !self.names.contains(&name.value) {
            return None;
        }
        let schema = self.tables.schema().ok()?;
        if schema.fields().iter().any(|field| *field.name() == name.value) {
            return None;
        }
        let of_table = schema.iter().filter(|(table, _)| table.is_some_and(|table| table.table() == name.value));
        let fields = of_table.map(|(_, field)| DictionaryField {
            key: Ident::with_quote('\'', field.name()),
            value: Box::new(Expr::CompoundIdentifier(vec![
                Ident::with_quote('"', &name.value),
                Ident::with_quote('"', field.name()),
            ])),
        });
        let fields: Vec<DictionaryField> = fields.collect();
        (!fields.is_empty()).then_some(Expr::Dictionary(fields))
    }
}

impl VisitorMut for Rows<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.queries += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.queries -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::CompoundFieldAccess { root, access_chain } = expr {
            let dotted = access_chain.iter().filter_map(|access| match access {
                AccessExpr::Dot(name) => Some(name),
                AccessExpr::Subscript(_) => None,
            });
            let root = matches!(access_chain.first(), Some(AccessExpr::Dot(_))).then_some(root.as_ref());
            for part in root.into_iter().chain(dotted) {
                if let Expr::Identifier(name) = part {
                    self.parts.insert(name.span.start);
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if self.queries == 0
            && let Expr::Identifier(name) = expr
            && !self.parts.contains(&name.span.start)
            && let Some(row) = self.row(name)
        {
            *expr = row;
            self.met = true;
        }
        ControlFlow::Continue(())
    }
}
