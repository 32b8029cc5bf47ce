//! What a condition over an aggregate says of the group keys alone.
//!
//! `(year = 2001 AND sum(x) > 0) OR year = 2002` cannot be asked below the aggregate, but `year = 2001 OR year = 2002`
//! follows from it and can. The readers of one shared table ask such questions together. (Galindo-Legaria and Joshi,
//! "Orthogonal optimization of subqueries and aggregation", 2001, move what can be moved whole; the rest follows here.)

use std::collections::HashSet;

use datafusion_common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion_common::{Column, Result};
use datafusion_expr::utils::{conjunction, split_conjunction};
use datafusion_expr::{Aggregate, Expr, Filter, LogicalPlan, Operator, and, or};

/// The filter with what its conditions imply of the keys of the aggregate below it; `None` where that is nothing new.
///
/// # Errors
/// Those of making the filter.
pub(super) fn with_implied(filter: &Filter) -> Result<Option<Filter>> {
    let LogicalPlan::Aggregate(aggregate) = filter.input.as_ref() else { return Ok(None) };
    let keys = key_columns(aggregate);
    let conditions = split_conjunction(&filter.predicate);
    let mut implied = Vec::new();
    for condition in &conditions {
        let is_known = |found: &Expr| conditions.contains(&found) || implied.contains(found);
        if let Some(found) = of_keys(condition, &keys).filter(|found| !is_known(found))
            && !is_asked_below(&aggregate.input, &found)?
        {
            implied.push(found);
        }
    }
    if implied.is_empty() {
        return Ok(None);
    }
    let all = conditions.into_iter().cloned().chain(implied);
    conjunction(all).map(|predicate| Filter::try_new(predicate, filter.input.clone())).transpose()
}

/// The keys that are columns: an expression's column above the aggregate is no column of those below it.
fn key_columns(aggregate: &Aggregate) -> HashSet<&Column> {
    aggregate.group_expr.iter().filter_map(|expr| expr.try_as_col()).collect()
}

/// The strongest condition on `keys` alone that follows from `condition` by leaving parts of ANDs out.
fn of_keys(condition: &Expr, keys: &HashSet<&Column>) -> Option<Expr> {
    match condition {
        Expr::BinaryExpr(binary) if binary.op == Operator::Or => {
            Some(or(of_keys(&binary.left, keys)?, of_keys(&binary.right, keys)?))
        }
        Expr::BinaryExpr(binary) if binary.op == Operator::And => {
            match (of_keys(&binary.left, keys), of_keys(&binary.right, keys)) {
                (Some(left), Some(right)) => Some(and(left, right)),
                (left, right) => left.or(right),
            }
        }
        _ => {
            let columns = condition.column_refs();
            let is_of_keys = !columns.is_empty() && columns.iter().all(|column| keys.contains(column));
            (is_of_keys && !condition.is_volatile()).then(|| condition.clone())
        }
    }
}

/// Whether an earlier pass brought the condition down already.
fn is_asked_below(plan: &LogicalPlan, condition: &Expr) -> Result<bool> {
    let mut is_asked = false;
    plan.apply(|node| {
        is_asked |= match node {
            LogicalPlan::Filter(filter) => split_conjunction(&filter.predicate).contains(&condition),
            LogicalPlan::TableScan(scan) => scan.filters.contains(condition),
            _ => false,
        };
        Ok(if is_asked { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(is_asked)
}
