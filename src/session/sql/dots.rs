//! `list[1].field`: a field behind a subscript, which the planner knows only as `list[1]['field']`.

use std::ops::ControlFlow;

use datafusion_sql::sqlparser::ast::{AccessExpr, Expr, Statement, Subscript, Value, VisitMut, VisitorMut};

/// Writes every field behind a subscript as a subscript.
pub(super) fn spell_out(statement: &mut Statement) {
    let _: ControlFlow<()> = VisitMut::visit(statement, &mut Dots);
}

struct Dots;

impl VisitorMut for Dots {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let Expr::CompoundFieldAccess { access_chain, .. } = expr else { return ControlFlow::Continue(()) };
        // Dots before the first subscript are names of tables and columns.
        let subscripted = access_chain.iter().position(|access| matches!(access, AccessExpr::Subscript(_)));
        for access in access_chain.iter_mut().skip(subscripted.unwrap_or(usize::MAX)) {
            if let AccessExpr::Dot(Expr::Identifier(name)) = access {
                let name = Value::SingleQuotedString(name.value.clone());
                *access = AccessExpr::Subscript(Subscript::Index { index: Expr::Value(name.into()) });
            }
        }
        ControlFlow::Continue(())
    }
}
