//! `SELECT *, a FROM t` and `SELECT a AS x, b AS x`: a name that a select list has twice gets a number the second time.
//!
//! Stars are written out where one of their columns is among these. Columns of different tables that have one name alone
//! are left to the planner, which knows them apart.

use std::collections::{HashMap, HashSet};

use datafusion_sql::sqlparser::ast::{Expr, Ident, Select, SelectItem, SelectItemQualifiedWildcardKind};

use super::super::naming::free_name;
use super::Tables;
use super::columns::{chosen_by_star, star_item};
use crate::error::Result;

/// Gives the names their numbers.
pub(super) fn spell_out(select: &mut Select, tables: &Tables<'_>) -> Result<()> {
    if select.projection.len() < 2 {
        return Ok(());
    }
    // Relations that cannot be planned alone: the planner knows better.
    let Ok(mut items) = written_out(&select.projection, tables) else { return Ok(()) };
    let mut places: HashMap<String, Vec<Option<String>>> = HashMap::new();
    for item in &items {
        if let Some((table, name)) = name_of(item) {
            places.entry(name.to_lowercase()).or_default().push(table);
        }
    }
    let clash = |tables: &Vec<Option<String>>| {
        let mut seen = HashSet::new();
        tables.len() > 1 && tables.iter().any(|table| table.is_none() || !seen.insert(table))
    };
    places.retain(|_, tables| clash(tables));
    if places.is_empty() {
        return Ok(());
    }
    let mut taken: HashSet<String> = items.iter().filter_map(name_of).map(|(_, name)| name.to_lowercase()).collect();
    let mut met = HashSet::new();
    for item in &mut items {
        let Some((_, name)) = name_of(item) else { continue };
        if !places.contains_key(&name.to_lowercase()) || met.insert(name.to_lowercase()) {
            continue;
        }
        if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
            let alias = Ident::with_quote('"', free_name(&name, &mut taken));
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
        }
    }
    select.projection = items;
    Ok(())
}

/// The items with the columns of every star.
fn written_out(items: &[SelectItem], tables: &Tables<'_>) -> Result<Vec<SelectItem>> {
    let mut out = Vec::with_capacity(items.len());
    for item in items {
        match item {
            SelectItem::Wildcard(options) => out.extend(chosen_by_star(None, options, tables)?.iter().map(star_item)),
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options) => {
                let table = name.0.last().and_then(|part| part.as_ident()).map(|part| part.value.as_str());
                out.extend(chosen_by_star(table, options, tables)?.iter().map(star_item));
            }
            other => out.push(other.clone()),
        }
    }
    Ok(out)
}

/// What an item is called, and the table whose column it is.
fn name_of(item: &SelectItem) -> Option<(Option<String>, String)> {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => Some((None, alias.value.clone())),
        SelectItem::UnnamedExpr(Expr::Identifier(name)) => Some((None, name.value.clone())),
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(names)) => match names.as_slice() {
            [.., table, name] => Some((Some(table.value.clone()), name.value.clone())),
            _ => None,
        },
        _ => None,
    }
}
