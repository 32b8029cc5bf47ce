//! `SELECT (SELECT sum(t.a)) FROM t`: an aggregate of nothing but columns of the query around it belongs, in SQL, to that query. The
//! planner would make it one of the subquery, of one row each: refused, so that it is never a wrong answer.

use datafusion_common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion_expr::{Expr, LogicalPlan};

use crate::error::{Error, Result};

/// # Errors
/// `NOT_SUPPORTED` where a subquery within an expression has such an aggregate.
pub(super) fn refuse(plan: &LogicalPlan) -> Result<()> {
    let mut found = None;
    plan.apply_with_subqueries(|plan| {
        plan.apply_expressions(|expr| {
            expr.apply(|expr| {
                let subquery = match expr {
                    Expr::ScalarSubquery(subquery) => subquery,
                    Expr::Exists(exists) => &exists.subquery,
                    Expr::InSubquery(within) => &within.subquery,
                    _ => return Ok(TreeNodeRecursion::Continue),
                };
                found = found.take().or(outer_aggregate(&subquery.subquery)?);
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    match found {
        None => Ok(()),
        Some(aggregate) => {
            let what = format!("{aggregate}, which aggregates rows of the query around its subquery,");
            Err(Error::not_supported(what)
                .hint("calculate it in a subquery of FROM: FROM (SELECT sum(a) AS total FROM t)"))
        }
    }
}

/// The first aggregate of the subquery that has columns of the query around it, and none of its own.
fn outer_aggregate(plan: &LogicalPlan) -> datafusion_common::Result<Option<String>> {
    let mut found = None;
    plan.apply(|plan| {
        let LogicalPlan::Aggregate(aggregate) = plan else { return Ok(TreeNodeRecursion::Continue) };
        for expr in &aggregate.aggr_expr {
            let (mut own, mut outer) = (false, false);
            expr.apply(|expr| {
                own |= matches!(expr, Expr::Column(_));
                outer |= matches!(expr, Expr::OuterReferenceColumn(..));
                Ok(TreeNodeRecursion::Continue)
            })?;
            if outer && !own {
                found.get_or_insert_with(|| {
                    expr.to_string().replace("outer_ref(", "(").replace("((", "(").replace("))", ")")
                });
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}
