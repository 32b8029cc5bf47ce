//! Numbers as they are written.
//!
//! With a point they are decimals of exactly their digits (`0.10` is a DECIMAL(3,2)), with an exponent or more than 38 digits
//! doubles, and so are integers beyond UHUGEINT. Other integers have their types when they are planned ([`written`](super::written)).

use std::ops::ControlFlow;

use datafusion_sql::sqlparser::ast::{
    BinaryOperator, CastKind, DataType, ExactNumberInfo, Expr, Function, Interval, NamedWindowDefinition,
    NamedWindowExpr, Query, Select, SetExpr, Statement, Value, ValueWithSpan, VisitMut, VisitorMut, WindowFrameBound,
    WindowSpec, WindowType,
};

/// How many digits a DECIMAL has.
const DIGITS: usize = 38;

/// Puts casts around the numbers that the planner would take for others.
pub(super) fn spell_out(statement: &mut Statement) {
    let _: ControlFlow<()> = VisitMut::visit(statement, &mut Numbers);
}

struct Numbers;

impl VisitorMut for Numbers {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if let SetExpr::Values(values) = query.body.as_mut() {
            let count = values.rows.iter().map(|row| row.content.len()).min().unwrap_or(0);
            for index in 0..count {
                let mut column: Vec<&mut Expr> =
                    values.rows.iter_mut().filter_map(|row| row.content.get_mut(index)).collect();
                if column.iter().any(|value| is_double(value)) {
                    column.iter_mut().filter(|value| is_fraction(value)).for_each(|value| make_double(value));
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Interval(interval) => make_text(&mut interval.value),
            Expr::Function(Function { over: Some(WindowType::WindowSpec(window)), .. }) => make_texts(window),
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        for NamedWindowDefinition(_, window) in &mut select.named_window {
            if let NamedWindowExpr::WindowSpec(window) = window {
                make_texts(window);
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Value(ValueWithSpan { value: Value::Number(digits, _), .. }) = expr
            && let Some(number) = number(&digits.replace('_', ""))
        {
            *expr = number;
        }
        ControlFlow::Continue(())
    }
}

/// The fractions in the bounds of a frame as texts, which the planner takes as intervals without a unit.
fn make_texts(window: &mut WindowSpec) {
    let Some(frame) = &mut window.window_frame else { return };
    for bound in std::iter::once(&mut frame.start_bound).chain(&mut frame.end_bound) {
        if let WindowFrameBound::Preceding(Some(offset)) | WindowFrameBound::Following(Some(offset)) = bound
            && is_fraction(offset)
        {
            make_text(offset);
            let value = std::mem::replace(offset, Box::new(Expr::value(Value::Null)));
            **offset = Expr::Interval(Interval {
                value,
                leading_field: None,
                leading_precision: None,
                last_field: None,
                fractional_seconds_precision: None,
            });
        }
    }
}

/// A number as a text: the planner reads the numbers of intervals and frames itself.
fn make_text(number: &mut Expr) {
    if let Expr::Value(ValueWithSpan { value, .. }) = number
        && let Value::Number(digits, _) = value
    {
        *value = Value::SingleQuotedString(std::mem::take(digits));
    }
}

/// Whether a value of VALUES is clearly a DOUBLE.
fn is_double(value: &Expr) -> bool {
    match value {
        Expr::Value(ValueWithSpan { value: Value::Number(digits, _), .. }) => digits.contains(['e', 'E']),
        Expr::Cast { data_type, .. } => matches!(data_type, DataType::Double(_) | DataType::DoublePrecision),
        Expr::UnaryOp { expr, .. } | Expr::Nested(expr) => is_double(expr),
        Expr::BinaryOp { op: BinaryOperator::Divide, .. } => true,
        Expr::BinaryOp { left, right, .. } => is_double(left) || is_double(right),
        _ => false,
    }
}

/// Whether it is a number that would be a DECIMAL.
fn is_fraction(value: &Expr) -> bool {
    match value {
        Expr::Value(ValueWithSpan { value: Value::Number(digits, _), .. }) => digits.contains('.') && !is_double(value),
        Expr::UnaryOp { expr, .. } | Expr::Nested(expr) => is_fraction(expr),
        _ => false,
    }
}

/// The planner finds no DOUBLE for a column of decimals and doubles.
fn make_double(value: &mut Expr) {
    let number = std::mem::replace(value, Expr::value(Value::Null));
    *value = cast(number, DataType::Double(ExactNumberInfo::None));
}

/// The number with its type; `None` where the planner knows it.
fn number(written: &str) -> Option<Expr> {
    let (whole, fraction) = written.split_once('.').unwrap_or((written, ""));
    if written.contains(['e', 'E']) {
        return Some(cast(text(written), DataType::Double(ExactNumberInfo::None)));
    }
    if !written.contains('.') {
        let is_large = written.bytes().all(|digit| digit.is_ascii_digit()) && written.parse::<u128>().is_err();
        return is_large.then(|| cast(text(written), DataType::Double(ExactNumberInfo::None)));
    }
    let digits = whole.len() + fraction.len();
    if digits > DIGITS {
        return Some(cast(text(written), DataType::Double(ExactNumberInfo::None)));
    }
    // The planner does not count the noughts in front, and without a digit behind the point it sees an integer.
    let counted = whole.trim_start_matches('0').len() + fraction.len();
    if counted == digits && !whole.is_empty() && !fraction.is_empty() {
        return None;
    }
    let value = if fraction.is_empty() { text(whole) } else { Expr::value(Value::Number(written.to_string(), false)) };
    let info = ExactNumberInfo::PrecisionAndScale(u64::try_from(digits).ok()?, i64::try_from(fraction.len()).ok()?);
    Some(cast(value, DataType::Decimal(info)))
}

fn text(digits: &str) -> Expr {
    Expr::value(Value::SingleQuotedString(digits.to_string()))
}

fn cast(value: Expr, data_type: DataType) -> Expr {
    Expr::Cast { kind: CastKind::Cast, expr: Box::new(value), data_type, array: false, format: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::sql::parse;

    fn spelled(sql: &str) -> String {
        let mut statement = parse::statement(&parse::tokens(sql).unwrap()).unwrap();
        spell_out(&mut statement);
        statement.to_string()
    }

    #[test]
    fn numbers_are_of_their_digits() {
        assert_eq!(spelled("select 1, 10.50"), "SELECT 1, 10.50");
        assert_eq!(
            spelled("select 0.05, 1., 1e3"),
            "SELECT CAST(0.05 AS DECIMAL(3,2)), CAST('1' AS DECIMAL(1,0)), CAST('1e3' AS DOUBLE)"
        );
        let large = "4".repeat(39);
        assert_eq!(spelled(&format!("select {large}")), format!("SELECT CAST('{large}' AS DOUBLE)"));
        assert_eq!(spelled("select interval 0.5 day"), "SELECT INTERVAL '0.5' day");
    }
}
