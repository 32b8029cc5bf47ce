//! The values of constant expressions.

use std::sync::Arc;

use chrono::Utc;
use datafusion_common::DFSchema;
use datafusion_expr::Expr;
use datafusion_expr::simplify::SimplifyContext;
use datafusion_optimizer::simplify_expressions::ExprSimplifier;

use crate::error::Result;

/// A constant expression as its value, where it has one.
pub(crate) fn folded(expr: Expr) -> Result<Expr> {
    let context = SimplifyContext::builder()
        .with_schema(Arc::new(DFSchema::empty()))
        .with_query_execution_start_time(Some(Utc::now()))
        .build();
    Ok(ExprSimplifier::new(context).simplify(expr.clone()).unwrap_or(expr))
}
