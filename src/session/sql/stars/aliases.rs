//! `SELECT a + 1 AS x, x * 2 AS y FROM t WHERE x > 2`: an alias that names no column of the tables stands for its expression,
//! in WHERE and in what follows it in the select list.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion_expr::Volatility;
use datafusion_sql::sqlparser::ast::{Expr, Ident, Query, Select, SelectItem, Visit, VisitMut, Visitor, VisitorMut};

use super::super::calls::parameters;
use super::super::macros::plain_name;
use super::super::parse::span_of;
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
    let mut aliases = Aliases { known, chosen: None, scopes: Vec::new(), queries: 0, met: Vec::new() };
    let _: ControlFlow<()> = VisitMut::visit(expr, &mut aliases);
    if aliases.met.is_empty() {
        return Ok(());
    }
    // Columns of an outer query, or tables that cannot be planned alone: the planner knows better.
    let Ok(schema) = tables.schema() else { return Ok(()) };
    let mut chosen = Vec::new();
    for name in aliases.met {
        let is_column = schema.fields().iter().any(|field| *field.name() == name.value);
        let is_table = schema.iter().any(|(qualifier, _)| qualifier.is_some_and(|table| table.table() == name.value));
        if is_column || is_table {
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
    if !chosen.is_empty() {
        let mut aliases = Aliases { known, chosen: Some(chosen), scopes: Vec::new(), queries: 0, met: Vec::new() };
        let _: ControlFlow<()> = VisitMut::visit(expr, &mut aliases);
    }
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

/// Finds the aliases in an expression, or replaces those that are chosen; not in subqueries, whose names are their own.
struct Aliases<'a> {
    known: &'a HashMap<String, Expr>,
    chosen: Option<Vec<String>>,
    /// Parameters of the lambdas around.
    scopes: Vec<Vec<String>>,
    queries: usize,
    met: Vec<Ident>,
}

impl VisitorMut for Aliases<'_> {
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
        if let Expr::Lambda(lambda) = expr {
            self.scopes.push(parameters(lambda));
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Lambda(_) => drop(self.scopes.pop()),
            Expr::Identifier(name) if self.queries == 0 => {
                if self.scopes.iter().flatten().any(|parameter| *parameter == name.value) {
                    return ControlFlow::Continue(());
                }
                let Some(meaning) = self.known.get(&name.value) else { return ControlFlow::Continue(()) };
                match &self.chosen {
                    None => self.met.push(name.clone()),
                    Some(chosen) if chosen.contains(&name.value) => *expr = Expr::Nested(Box::new(meaning.clone())),
                    Some(_) => {}
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
