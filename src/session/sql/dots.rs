//! `list[1].field` and `(value).field`: a field behind a subscript or parentheses, which the planner knows only as
//! `list[1]['field']`; and `list[2:]`, which it
//! knows only with both bounds: an open one is NULL.

use std::ops::ControlFlow;

use datafusion_sql::sqlparser::ast::{AccessExpr, Expr, Statement, Subscript, Value, VisitMut, VisitorMut};

/// Writes every field behind a subscript or parentheses as a subscript, and every bound of a slice.
pub(super) fn spell_out(statement: &mut Statement) {
    let _: ControlFlow<()> = VisitMut::visit(statement, &mut Dots);
}

struct Dots;

impl VisitorMut for Dots {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let Expr::CompoundFieldAccess { root, access_chain } = expr else { return ControlFlow::Continue(()) };
        // Dots between a name and the first subscript are names of tables and columns.
        let is_name = matches!(root.as_ref(), Expr::Identifier(_) | Expr::CompoundIdentifier(_));
        let subscripted = access_chain.iter().position(|access| matches!(access, AccessExpr::Subscript(_)));
        let first = if is_name { subscripted.unwrap_or(usize::MAX) } else { 0 };
        for access in access_chain.iter_mut().skip(first) {
            match access {
                AccessExpr::Dot(Expr::Identifier(name)) => {
                    let name = Value::SingleQuotedString(name.value.clone());
                    *access = AccessExpr::Subscript(Subscript::Index { index: Expr::Value(name.into()) });
                }
                AccessExpr::Subscript(Subscript::Slice { lower_bound, upper_bound, .. }) => {
                    for bound in [lower_bound, upper_bound] {
                        bound.get_or_insert_with(|| Expr::value(Value::Null));
                    }
                }
                _ => {}
            }
        }
        ControlFlow::Continue(())
    }
}
