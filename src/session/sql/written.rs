//! Integers as they are written, with the types that they have by themselves.
//!
//! The planner makes a BIGINT of every integer. So each is handed to it as a struct of one field, whose name nobody can write, and
//! [`literal`] makes the INTEGER, BIGINT, HUGEINT or UHUGEINT of it that it is; beside other values it takes the type of these
//! ([`settle`](crate::expr::settle)). A sign belongs to the number.
//!
//! Where numbers are places or counts (GROUP BY 1, ORDER BY 1, LIMIT 1, frames) they stay as they are.

use std::ops::ControlFlow;

use datafusion_expr::planner::RawDictionaryExpr;
use datafusion_expr::{Expr as LogicalExpr, lit};
use datafusion_sql::sqlparser::ast::{
    DictionaryField, Distinct, Expr, Function, GroupByExpr, Ident, LimitClause, NamedWindowDefinition, NamedWindowExpr,
    OrderByKind, Query, Select, UnaryOperator, Value, ValueWithSpan, VisitMut, VisitorMut, WindowFrameBound,
    WindowSpec, WindowType,
};

use super::calls::call_of;
use crate::expr::written_integer;

/// The name of the field that holds a number as a text.
const WRITTEN: &str = "\0integer";

/// Marks the integers of a query that is about to be planned.
pub(super) fn mark(query: &mut Query) {
    let _: ControlFlow<()> = VisitMut::visit(query, &mut Written);
}

/// The integer that the planner met as a struct; `None` where it is none.
pub(super) fn literal(fields: &RawDictionaryExpr) -> Option<LogicalExpr> {
    match (fields.keys.as_slice(), fields.values.as_slice()) {
        ([name], [LogicalExpr::Literal(digits, _)]) if *name == lit(WRITTEN) => {
            let value = written_integer(digits.try_as_str().flatten()?)?;
            Some(LogicalExpr::Literal(value, None))
        }
        _ => None,
    }
}

struct Written;

impl VisitorMut for Written {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Value(ValueWithSpan { value: Value::Number(digits, _), .. }) => {
                let digits = digits.replace('_', "");
                if written_integer(&digits).is_some() {
                    *expr = marked(digits);
                }
            }
            Expr::UnaryOp { op: UnaryOperator::Minus, expr: number } => {
                if let Some(digits) = digits_of(number) {
                    let negated = digits.strip_prefix('-').map_or_else(|| format!("-{digits}"), str::to_string);
                    if written_integer(&negated).is_some() {
                        *expr = marked(negated);
                    }
                }
            }
            // The planner looks at how the first value of a row is written.
            Expr::Tuple(values) if values.first().is_some_and(|first| digits_of(first).is_some()) => {
                *expr = call_of("struct", std::mem::take(values));
            }
            Expr::Function(Function { over: Some(WindowType::WindowSpec(window)), .. }) => unmark_frame(window),
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        if let GroupByExpr::Expressions(keys, _) = &mut select.group_by {
            keys.iter_mut().for_each(unmark);
        }
        if let Some(Distinct::On(keys)) = &mut select.distinct {
            keys.iter_mut().for_each(unmark);
        }
        for NamedWindowDefinition(_, window) in &mut select.named_window {
            if let NamedWindowExpr::WindowSpec(window) = window {
                unmark_frame(window);
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if let Some(OrderByKind::Expressions(keys)) = query.order_by.as_mut().map(|order_by| &mut order_by.kind) {
            keys.iter_mut().for_each(|key| unmark(&mut key.expr));
        }
        match &mut query.limit_clause {
            Some(LimitClause::LimitOffset { limit, offset, .. }) => {
                let offset = offset.as_mut().map(|offset| &mut offset.value);
                limit.iter_mut().chain(offset).for_each(unmark);
            }
            Some(LimitClause::OffsetCommaLimit { offset, limit }) => [offset, limit].into_iter().for_each(unmark),
            None => {}
        }
        ControlFlow::Continue(())
    }
}

fn marked(digits: String) -> Expr {
    let value = Box::new(Expr::value(Value::SingleQuotedString(digits)));
    Expr::Dictionary(vec![DictionaryField { key: Ident::new(WRITTEN), value }])
}

/// The digits of a number that is marked, with its sign.
fn digits_of(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Nested(inner) => digits_of(inner),
        Expr::Dictionary(fields) => match fields.as_slice() {
            [DictionaryField { key, value }] if key.value == WRITTEN => match value.as_ref() {
                Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(digits), .. }) => Some(digits),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

/// The number as it was.
fn unmark(expr: &mut Expr) {
    let Some(digits) = digits_of(expr) else { return };
    let number = |digits: &str| Expr::value(Value::Number(digits.to_string(), false));
    *expr = match digits.strip_prefix('-') {
        Some(digits) => Expr::UnaryOp { op: UnaryOperator::Minus, expr: Box::new(number(digits)) },
        None => number(digits),
    };
}

fn unmark_frame(window: &mut WindowSpec) {
    let Some(frame) = &mut window.window_frame else { return };
    for bound in std::iter::once(&mut frame.start_bound).chain(&mut frame.end_bound) {
        if let WindowFrameBound::Preceding(Some(offset)) | WindowFrameBound::Following(Some(offset)) = bound {
            unmark(offset);
        }
    }
}
