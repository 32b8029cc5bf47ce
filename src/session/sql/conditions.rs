//! Values that stand where a condition does: `WHERE n`, `a AND 1`, `NOT 'true'`, `JOIN u ON 1`.
//!
//! Their types are not known yet, and the planner refuses all but BOOLEANs. So a function stands around them, which gives way to a cast, or
//! to nothing, once they are.

use std::ops::ControlFlow;

use datafusion_sql::sqlparser::ast::{
    BinaryOperator, Delete, Expr, JoinConstraint, Select, Statement, UnaryOperator, Update, Value, ValueWithSpan,
    VisitMut, VisitorMut,
};

use super::calls::call_of;
use super::joins::constraint_of;
use super::macros::plain_name;

/// Puts the function around such values.
pub(super) fn spell_out(statement: &mut Statement) {
    if let Statement::Delete(Delete { selection: Some(condition), .. })
    | Statement::Update(Update { selection: Some(condition), .. }) = statement
    {
        make(condition);
    }
    let _: ControlFlow<()> = VisitMut::visit(statement, &mut Conditions);
}

struct Conditions;

impl VisitorMut for Conditions {
    type Break = ();

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        for condition in [&mut select.selection, &mut select.having, &mut select.qualify].into_iter().flatten() {
            make(condition);
        }
        for join in select.from.iter_mut().flat_map(|table| &mut table.joins) {
            if let Some(JoinConstraint::On(condition)) = constraint_of(&mut join.join_operator) {
                make(condition);
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::BinaryOp { left, op: BinaryOperator::And | BinaryOperator::Or, right } => {
                make(left);
                make(right);
            }
            Expr::UnaryOp { op: UnaryOperator::Not, expr }
            | Expr::IsTrue(expr)
            | Expr::IsNotTrue(expr)
            | Expr::IsFalse(expr)
            | Expr::IsNotFalse(expr)
            | Expr::IsUnknown(expr)
            | Expr::IsNotUnknown(expr) => make(expr),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn make(condition: &mut Expr) {
    if !is_condition(condition) {
        let value = std::mem::replace(condition, Expr::value(Value::Null));
        *condition = call_of("#condition", vec![value]);
    }
}

/// Whether the planner will see a condition whatever the types are.
fn is_condition(expr: &Expr) -> bool {
    use BinaryOperator as B;
    match expr {
        Expr::Nested(inner) => is_condition(inner),
        Expr::BinaryOp { op, .. } => !matches!(
            op,
            B::Plus
                | B::Minus
                | B::Multiply
                | B::Divide
                | B::Modulo
                | B::BitwiseAnd
                | B::BitwiseOr
                | B::BitwiseXor
                | B::PGExp
                | B::PGBitwiseShiftLeft
                | B::PGBitwiseShiftRight
                | B::StringConcat
                | B::Arrow
                | B::LongArrow
        ),
        Expr::UnaryOp { op, .. } => *op == UnaryOperator::Not,
        Expr::Value(ValueWithSpan { value, .. }) => {
            matches!(value, Value::Boolean(_) | Value::Null | Value::Placeholder(_))
        }
        Expr::Identifier(_)
        | Expr::CompoundIdentifier(_)
        | Expr::CompoundFieldAccess { .. }
        | Expr::Cast { .. }
        | Expr::Case { .. }
        | Expr::TypedString(_)
        | Expr::Subquery(_) => false,
        // What an ASOF JOIN looks for.
        Expr::Function(call) => plain_name(&call.name).is_some_and(|name| name == "nearest"),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::sql::parse;

    #[test]
    fn values_are_told_from_conditions() {
        let spelled = |sql: &str| {
            let mut statement = parse::statement(&parse::tokens(sql).unwrap()).unwrap();
            spell_out(&mut statement);
            statement.to_string()
        };
        assert_eq!(
            spelled("select not a from t join u on 1 where b and c > 1"),
            "SELECT NOT #condition(a) FROM t JOIN u ON #condition(1) WHERE #condition(b) AND c > 1"
        );
        assert_eq!(spelled("select 1 from t where exists (select 1)"), "SELECT 1 FROM t WHERE EXISTS (SELECT 1)");
    }
}
