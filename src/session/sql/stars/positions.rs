//! `#2`, the second column of FROM; in ORDER BY that of the output. Where a select list has it, it is one of the forms of COLUMNS.

use std::ops::ControlFlow;

use datafusion_sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, OrderBy, OrderByKind, Select, Spanned, VisitMut,
    VisitorMut,
};

use super::super::macros::plain_name;
use super::super::parse::span_of;
use super::Tables;
use super::columns::{Chosen, all, chosen};
use super::tokens::POSITION;
use crate::error::{Code, Error, Result};

/// Puts columns for `#2` in GROUP BY, HAVING and QUALIFY.
///
/// # Errors
/// `UNKNOWN_COLUMN` where there are not as many.
pub(super) fn put_positions(select: &mut Select, tables: &Tables<'_>) -> Result<()> {
    let mut positions = Positions { tables };
    let mut visited = VisitMut::visit(&mut select.group_by, &mut positions);
    for condition in [&mut select.having, &mut select.qualify].into_iter().flatten() {
        if visited.is_continue() {
            visited = VisitMut::visit(condition, &mut positions);
        }
    }
    match visited {
        ControlFlow::Break(error) => Err(*error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Positions<'a> {
    tables: &'a Tables<'a>,
}

impl VisitorMut for Positions<'_> {
    type Break = Box<Error>;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Box<Error>> {
        let Expr::Function(call) = expr else { return ControlFlow::Continue(()) };
        if plain_name(&call.name).is_none_or(|name| name != POSITION) {
            return ControlFlow::Continue(());
        }
        match chosen(call, self.tables) {
            Ok(columns) => columns.first().into_iter().for_each(|column| *expr = column.expr()),
            Err(error) => return ControlFlow::Break(Box::new(error)),
        }
        ControlFlow::Continue(())
    }
}

/// Puts `2` for `#2` among the keys of ORDER BY, where it is a column of the output.
pub(super) fn order_by_positions(order: &mut OrderBy) {
    let OrderByKind::Expressions(keys) = &mut order.kind else { return };
    for key in keys {
        if let Expr::Function(call) = &key.expr
            && plain_name(&call.name).is_some_and(|name| name == POSITION)
            && let FunctionArguments::List(list) = &call.args
            && let [FunctionArg::Unnamed(FunctionArgExpr::Expr(number))] = list.args.as_slice()
        {
            key.expr = number.clone();
        }
    }
}

/// The column of FROM at the place that `#2` names.
pub(super) fn at_position(call: &Function, number: &str, tables: &Tables<'_>) -> Result<Vec<Chosen>> {
    let columns = all(tables)?;
    let count = columns.len();
    let place = number.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
    match place.and_then(|place| columns.into_iter().nth(place)) {
        Some(column) => Ok(vec![column]),
        None => {
            let message = format!("there is no column #{number}: the tables of FROM have {count}");
            Err(Error::new(Code::UnknownColumn, message).span(span_of(call.name.span())))
        }
    }
}
