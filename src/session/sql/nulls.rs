//! `IGNORE NULLS` within the parentheses of a call, behind an argument that is a call itself: the parser takes
//! `first_value(f(x) IGNORE NULLS)` for a wish about `f`, of whose call nothing follows.

use std::ops::ControlFlow;

use datafusion_sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments, NullTreatment, Statement,
    VisitMut, VisitorMut,
};

/// Gives the words back to the call in whose parentheses they stand.
pub(super) fn spell_out(statement: &mut Statement) {
    let _: ControlFlow<()> = VisitMut::visit(statement, &mut Calls);
}

struct Calls;

impl VisitorMut for Calls {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Function(Function { args: FunctionArguments::List(list), .. }) = expr
            && list.clauses.is_empty()
            && let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))) = list.args.last_mut()
            && let Some(treatment) = taken(argument)
        {
            list.clauses.push(FunctionArgumentClause::IgnoreOrRespectNulls(treatment));
        }
        ControlFlow::Continue(())
    }
}

/// The words at the end of `expr`, out of the call before them.
fn taken(expr: &mut Expr) -> Option<NullTreatment> {
    match expr {
        Expr::Function(call) if call.over.is_none() => call.null_treatment.take(),
        Expr::BinaryOp { right, .. } => taken(right),
        Expr::UnaryOp { expr, .. } => taken(expr),
        _ => None,
    }
}
