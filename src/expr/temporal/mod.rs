//! Comparisons of dates, times and intervals as SQL means them.
//!
//! [`own_comparisons`] runs over an analysed plan: dates that were made times in order to be compared with a constant stay
//! dates ([`dates`]), and intervals are compared by a number ([`intervals`]).

mod dates;
mod intervals;

use datafusion_common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion_expr::expr_rewriter::NamePreserver;
use datafusion_expr::{Expr, LogicalPlan};

use crate::error::Result;
use crate::expr::fold::input_schema;

/// `plan`, analysed, with such comparisons put in other words, in subqueries too.
///
/// # Errors
/// None but a defect.
pub fn own_comparisons(plan: LogicalPlan) -> Result<LogicalPlan> {
    let rewritten = plan.transform_up_with_subqueries(|plan| {
        let schema = input_schema(&plan)?;
        let mut may_change = false;
        plan.apply_expressions(|expr| {
            may_change |= expr.exists(|expr| Ok(may_compare(expr)))?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        if !may_change {
            return intervals::order(plan, &schema);
        }
        let names = NamePreserver::new(&plan);
        let rewritten = plan.map_expressions(|expr| {
            let name = names.save(&expr);
            let rewritten = expr.transform_up(|expr| {
                dates::narrow(expr, &schema)?.transform_data(|expr| intervals::compare(expr, &schema))
            })?;
            Ok(if rewritten.transformed { rewritten.update_data(|expr| name.restore(expr)) } else { rewritten })
        })?;
        rewritten.transform_data(|plan| intervals::order(plan, &schema))
    })?;
    Ok(rewritten.data)
}

fn may_compare(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::BinaryExpr(_) | Expr::Between(_) | Expr::InList(_) | Expr::AggregateFunction(_) | Expr::WindowFunction(_)
    )
}
