//! `OVER w`, `OVER (w ORDER BY a)` and `WINDOW w2 AS (w ORDER BY a)`: named windows, written out where they are named.
//!
//! Bounds of frames that are constants of several parts become their values.
//!
//! A window is known in its own SELECT and in the ORDER BY behind it, not in subqueries. Who extends one adds what it does not
//! have: neither a second PARTITION BY or ORDER BY, nor anything to a frame.

use std::ops::ControlFlow;

use datafusion_sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, Ident, NamedWindowDefinition, NamedWindowExpr, Query, Select, Spanned, Statement,
    Value, VisitMut, VisitorMut, WindowFrameBound, WindowSpec, WindowType,
};

use super::parse::span_of;
use super::scoped::names_in;
use crate::error::{Code, Error, Result};

/// Writes them out; after the columns have got their names.
///
/// # Errors
/// `INVALID_QUERY` for names that are unknown or defined twice, and for clauses that a window has already.
pub(super) fn spell_out(statement: &mut Statement) -> Result<()> {
    match VisitMut::visit(statement, &mut Windows { scopes: Vec::new() }) {
        ControlFlow::Break(error) => Err(*error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

type Known = Vec<(Ident, WindowSpec)>;

struct Windows {
    /// The windows of the SELECT that is being visited, and of those around it.
    scopes: Vec<Known>,
}

impl VisitorMut for Windows {
    type Break = Box<Error>;

    fn pre_visit_query(&mut self, _query: &mut Query) -> ControlFlow<Box<Error>> {
        self.scopes.push(Known::new());
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<Box<Error>> {
        self.scopes.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Box<Error>> {
        match defined(std::mem::take(&mut select.named_window)) {
            Ok(known) => {
                if let Some(scope) = self.scopes.last_mut() {
                    *scope = known;
                }
                ControlFlow::Continue(())
            }
            Err(error) => ControlFlow::Break(Box::new(error)),
        }
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Box<Error>> {
        let Expr::Function(Function { over: Some(window), .. }) = expr else { return ControlFlow::Continue(()) };
        let known = self.scopes.last().map(Known::as_slice).unwrap_or_default();
        let complete = match window {
            WindowType::NamedWindow(name) => found(name, known).cloned(),
            WindowType::WindowSpec(spec) => completed(spec.clone(), known),
        };
        match complete.and_then(with_constants) {
            Ok(spec) => *window = WindowType::WindowSpec(spec),
            Err(error) => return ControlFlow::Break(Box::new(error)),
        }
        ControlFlow::Continue(())
    }
}

/// The windows of a WINDOW clause; each may extend those before it.
fn defined(definitions: Vec<NamedWindowDefinition>) -> Result<Known> {
    let mut known = Known::new();
    for NamedWindowDefinition(name, window) in definitions {
        if found(&name, &known).is_ok() {
            let message = format!("the window \"{}\" is defined twice", name.value);
            return Err(Error::new(Code::InvalidQuery, message).span(span_of(name.span)));
        }
        let spec = match window {
            NamedWindowExpr::NamedWindow(other) => found(&other, &known)?.clone(),
            NamedWindowExpr::WindowSpec(spec) => completed(spec, &known)?,
        };
        known.push((name, spec));
    }
    Ok(known)
}

fn found<'a>(name: &Ident, known: &'a [(Ident, WindowSpec)]) -> Result<&'a WindowSpec> {
    let found = known.iter().find(|(other, _)| other.value == name.value);
    found.map(|(_, spec)| spec).ok_or_else(|| {
        Error::new(Code::InvalidQuery, format!("there is no window named \"{}\"", name.value))
            .span(span_of(name.span))
            .hint("WINDOW name AS (PARTITION BY … ORDER BY …) defines one, behind HAVING and before QUALIFY")
    })
}

/// The window with the values of the constants that its frame's bounds are.
///
/// # Errors
/// `NOT_SUPPORTED` for a bound that differs from row to row.
fn with_constants(mut spec: WindowSpec) -> Result<WindowSpec> {
    let Some(frame) = &mut spec.window_frame else { return Ok(spec) };
    for bound in std::iter::once(&mut frame.start_bound).chain(&mut frame.end_bound) {
        let (WindowFrameBound::Preceding(Some(offset)) | WindowFrameBound::Following(Some(offset))) = bound else {
            continue;
        };
        if let Some(number) = whole(offset) {
            **offset = Expr::value(Value::Number(number.to_string(), false));
        } else if !names_in(offset).is_empty() || matches!(offset.as_ref(), Expr::CompoundIdentifier(_)) {
            let error = Error::not_supported("a frame's bound that differs from row to row");
            return Err(error
                .span(span_of(offset.span()))
                .hint("write a constant: ROWS BETWEEN 2 PRECEDING AND CURRENT ROW"));
        }
    }
    Ok(spec)
}

/// The value of a constant whole number of several parts, that is not negative.
fn whole(expr: &Expr) -> Option<i64> {
    fn value(expr: &Expr) -> Option<i64> {
        match expr {
            Expr::Value(value) => match &value.value {
                Value::Number(digits, _) => digits.replace('_', "").parse().ok(),
                _ => None,
            },
            Expr::Nested(inner) => value(inner),
            Expr::BinaryOp { left, op, right } => {
                let (left, right) = (value(left)?, value(right)?);
                match op {
                    BinaryOperator::Plus => left.checked_add(right),
                    BinaryOperator::Minus => left.checked_sub(right),
                    BinaryOperator::Multiply => left.checked_mul(right),
                    _ => None,
                }
            }
            _ => None,
        }
    }
    value(expr).filter(|number| *number >= 0)
}

/// The window with what it takes from the one that it extends.
fn completed(mut spec: WindowSpec, known: &[(Ident, WindowSpec)]) -> Result<WindowSpec> {
    let Some(name) = spec.window_name.take() else { return Ok(spec) };
    let base = found(&name, known)?;
    let twice = |clause: &str| {
        let message = format!("the window \"{}\" has {clause} already, which cannot be changed", name.value);
        Err(Error::new(Code::InvalidQuery, message).span(span_of(name.span)))
    };
    if base.window_frame.is_some() {
        return twice("a frame");
    }
    match (spec.partition_by.is_empty(), base.partition_by.is_empty()) {
        (false, false) => return twice("PARTITION BY"),
        (true, _) => spec.partition_by.clone_from(&base.partition_by),
        _ => {}
    }
    match (spec.order_by.is_empty(), base.order_by.is_empty()) {
        (false, false) => return twice("ORDER BY"),
        (true, _) => spec.order_by.clone_from(&base.order_by),
        _ => {}
    }
    Ok(spec)
}
