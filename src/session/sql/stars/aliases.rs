//! `SELECT a + 1 AS x, x * 2 AS y FROM t WHERE x > 2`: an alias that names no column of the tables stands for its expression,
//! in WHERE and in what follows it in the select list.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion_expr::Volatility;
use datafusion_sql::sqlparser::ast::{Expr, Ident, Select, SelectItem, Visit, Visitor};

use super::super::macros::plain_name;
use super::super::parse::span_of;
use super::super::scoped::{names_in, replace_names};
use super::Tables;
use crate::error::{Error, Result};
use crate::expr::functions;

/// Puts expressions where their aliases stand.
pub(super) fn spell_out(select: &mut Select, tables: &Tables<'_>) -> Result<()> {
    let mut known: HashMap<String, Expr> = HashMap::new();
    for item in &mut select.projection {
        match item {
            SelectItem::UnnamedExpr(expr) => put(expr, &known, tables)?,
            SelectItem::ExprWithAlias { expr, alias } => {
                put(expr, &known, tables)?;
                let is_itself = matches!(&*expr, Expr::Identifier(name) if name.value == alias.value);
                if !is_itself {
                    known.entry(alias.value.clone()).or_insert_with(|| expr.clone());
                }
            }
            _ => {}
        }
    }
    match &mut select.selection {
        Some(condition) => put(condition, &known, tables),
        None => Ok(()),
    }
}

/// Puts expressions for the aliases in `expr` that are no columns.
fn put(expr: &mut Expr, known: &HashMap<String, Expr>, tables: &Tables<'_>) -> Result<()> {
    let met: Vec<Ident> = names_in(expr).into_iter().filter(|name| known.contains_key(&name.value)).collect();
    if met.is_empty() {
        return Ok(());
    }
    // Columns of an outer query, or tables that cannot be planned alone: the planner knows better.
    let Ok(schema) = tables.schema() else { return Ok(()) };
    let mut chosen = Vec::new();
    for name in met {
        let is_table = schema.iter().any(|(qualifier, _)| qualifier.is_some_and(|table| table.table() == name.value));
        if tables.has_column(&name.value) || is_table {
            continue;
        }
        if known.get(&name.value).is_some_and(changes) {
            let message =
                format!("using the alias \"{}\" again, whose expression has another value each time,", name.value);
            return Err(Error::not_supported(message)
                .span(span_of(name.span))
                .hint("put it into a subquery: SELECT … FROM (SELECT random() AS x)"));
        }
        chosen.push(name.value);
    }
    replace_names(expr, &mut |name| {
        let meaning = known.get(&name.value).filter(|_| chosen.contains(&name.value))?;
        Some(Expr::Nested(Box::new(meaning.clone())))
    });
    Ok(())
}

/// Whether an expression has another value each time it is computed.
fn changes(expr: &Expr) -> bool {
    struct Volatile;
    impl Visitor for Volatile {
        type Break = ();
        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            if let Expr::Function(call) = expr
                && let Some(name) = plain_name(&call.name)
                && let Some(function) = functions().scalar.get(&name)
                && function.signature().volatility == Volatility::Volatile
            {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        }
    }
    Visit::visit(expr, &mut Volatile).is_break()
}
