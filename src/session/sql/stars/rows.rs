//! `SELECT t FROM t`: a table's name that no column has is the row as a struct.

use std::collections::HashSet;

use datafusion_sql::sqlparser::ast::{DictionaryField, Expr, Ident, Select, SelectItem, TableFactor, TableWithJoins};

use super::super::scoped::replace_names;
use super::Tables;
use crate::error::Result;

/// Puts structs where names of tables stand, in the select list and in WHERE.
pub(super) fn spell_out(select: &mut Select, tables: &Tables<'_>) -> Result<()> {
    let mut names = HashSet::new();
    select.from.iter().for_each(|from| add_names(from, &mut names));
    let rows = Rows { names, tables };
    let mut row = |name: &Ident| rows.row(name);
    for item in &mut select.projection {
        let alias = match item {
            SelectItem::UnnamedExpr(Expr::Identifier(name)) => Some(name.clone()),
            _ => None,
        };
        if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
            let met = replace_names(expr, &mut row);
            if let (Some(alias), true) = (alias, met) {
                *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
            }
        }
    }
    if let Some(condition) = &mut select.selection {
        replace_names(condition, &mut row);
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
}

impl Rows<'_> {
    /// The row of the table of that name, if no column has the name.
    fn row(&self, name: &Ident) -> Option<Expr> {
        if !self.names.contains(&name.value) {
            return None;
        }
        let schema = self.tables.schema().ok()?;
        if self.tables.has_column(&name.value) {
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
