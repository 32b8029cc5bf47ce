//! The aggregates of the fluent API whose SQL namesakes are floe's own.

use datafusion_expr::Expr;

use crate::expr::functions;

/// The sum of a number, in a type wide enough for it.
pub fn sum(expr: Expr) -> Expr {
    call("sum", expr, datafusion_functions_aggregate::expr_fn::sum)
}

/// The mean of a number.
pub fn avg(expr: Expr) -> Expr {
    call("avg", expr, datafusion_functions_aggregate::expr_fn::avg)
}

/// The registered function of that name, so that it is the same as SQL's.
fn call(name: &str, expr: Expr, library: fn(Expr) -> Expr) -> Expr {
    match functions().aggregate.get(name) {
        Some(function) => function.call(vec![expr]),
        None => library(expr),
    }
}
