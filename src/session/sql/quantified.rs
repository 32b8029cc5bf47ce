//! `a < ANY(list)` and `a < ALL(list)`: as over the rows of a subquery, so that an empty list or NULL compares with nothing,
//! and a value that is NULL leaves open what the others do not decide.

use std::ops::ControlFlow;

use datafusion_sql::sqlparser::ast::{BinaryOperator, Expr, Value, ValueWithSpan, VisitMut};
use datafusion_sql::sqlparser::dialect::GenericDialect;
use datafusion_sql::sqlparser::parser::Parser;

use super::macros::Filler;

/// Whether the comparison holds for any value of the list.
pub(super) fn any(value: Expr, operator: &BinaryOperator, list: Expr) -> Option<Expr> {
    use BinaryOperator as B;
    let holds = match operator {
        B::Eq => "list_contains(list, value)",
        B::NotEq => "array_min(list) <> value OR array_max(list) <> value",
        B::Lt => "value < array_max(list)",
        B::LtEq => "value <= array_max(list)",
        B::Gt => "value > array_min(list)",
        B::GtEq => "value >= array_min(list)",
        _ => return None,
    };
    filled(&answer(holds, true, &list), value, list)
}

/// Whether the comparison holds for all values of the list.
pub(super) fn all(value: Expr, operator: &BinaryOperator, list: Expr) -> Option<Expr> {
    use BinaryOperator as B;
    let fails = match operator {
        B::Eq => "array_min(list) <> value OR array_max(list) <> value",
        B::NotEq => "list_contains(list, value)",
        B::Lt => "value >= array_min(list)",
        B::LtEq => "value > array_min(list)",
        B::Gt => "value <= array_max(list)",
        B::GtEq => "value < array_max(list)",
        _ => return None,
    };
    filled(&answer(fails, false, &list), value, list)
}

/// What is answered where some value decides; nothing to compare with is the opposite.
fn answer(decides: &str, decided: bool, list: &Expr) -> String {
    let (decided, otherwise) = if decided { ("true", "false") } else { ("false", "true") };
    if matches!(list, Expr::Value(ValueWithSpan { value: Value::Null, .. })) {
        return otherwise.to_string();
    }
    format!(
        "CASE WHEN coalesce(len(list), 0) = 0 THEN {otherwise} WHEN {decides} THEN {decided} \
         WHEN value IS NULL OR list_count(list) < len(list) THEN NULL ELSE {otherwise} END"
    )
}

fn filled(text: &str, value: Expr, list: Expr) -> Option<Expr> {
    let mut answer = Parser::new(&GenericDialect {}).try_with_sql(text).ok()?.parse_expr().ok()?;
    let _: ControlFlow<()> = VisitMut::visit(&mut answer, &mut Filler::new(&["value", "list"], vec![value, list]));
    Some(Expr::Nested(Box::new(answer)))
}
