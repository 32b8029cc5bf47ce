//! Lists behind IN that hold more than constants, as equalities.
//!
//! The optimizer intersects the lists of `a IN (…) AND a IN (…)` by their text, which is right for constants only: `a IN (1, b)
//! AND a IN (1, c)` became `a IN (1)`.

use datafusion_common::Result;
use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_expr::expr::InList;
use datafusion_expr::expr_rewriter::NamePreserver;
use datafusion_expr::utils::{conjunction, disjunction};
use datafusion_expr::{Expr, LogicalPlan};

/// `plan` with only constants in lists.
pub(in crate::plan) fn constant_lists(plan: LogicalPlan) -> Result<LogicalPlan> {
    let rewritten = plan.transform_up(|node| {
        if !node.expressions().iter().any(|expr| expr.exists(|part| Ok(is_mixed(part))).unwrap_or(false)) {
            return Ok(Transformed::no(node));
        }
        let names = NamePreserver::new(&node);
        node.map_expressions(|expr| {
            let name = names.save(&expr);
            let split =
                expr.transform_up(|part| Ok(if is_mixed(&part) { split(part) } else { Transformed::no(part) }))?;
            Ok(split.update_data(|expr| name.restore(expr)))
        })
    })?;
    Ok(rewritten.data)
}

fn is_mixed(expr: &Expr) -> bool {
    matches!(expr, Expr::InList(list) if !list.expr.is_volatile() && !list.list.iter().all(is_constant))
}

fn is_constant(expr: &Expr) -> bool {
    expr.column_refs().is_empty() && !expr.is_volatile()
}

fn split(expr: Expr) -> Transformed<Expr> {
    let Expr::InList(InList { expr, list, negated }) = expr else { return Transformed::no(expr) };
    let (constants, others): (Vec<Expr>, Vec<Expr>) = list.into_iter().partition(is_constant);
    let listed = (!constants.is_empty()).then(|| Expr::InList(InList { expr: expr.clone(), list: constants, negated }));
    let compared = others.into_iter().map(|other| match negated {
        true => expr.as_ref().clone().not_eq(other),
        false => expr.as_ref().clone().eq(other),
    });
    let parts = listed.into_iter().chain(compared);
    let joined = if negated { conjunction(parts) } else { disjunction(parts) };
    Transformed::yes(joined.unwrap_or_else(|| datafusion_expr::lit(negated)))
}
