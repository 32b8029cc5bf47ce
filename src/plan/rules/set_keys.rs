//! Keys of GROUPING SETS that are expressions, computed below the aggregation.
//!
//! Passes that rewrite an expression keep its name by an alias, which the keys of sets cannot have; a column of that name
//! needs none.

use std::sync::Arc;

use datafusion_common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion_common::{Column, Result};
use datafusion_expr::logical_plan::Aggregate;
use datafusion_expr::utils::grouping_set_to_exprlist;
use datafusion_expr::{Expr, LogicalPlan, LogicalPlanBuilder};

/// The plan with nothing but columns as keys of sets.
pub(in crate::plan) fn set_keys(plan: LogicalPlan) -> Result<LogicalPlan> {
    plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Aggregate(aggregate) if has_expressions(&aggregate)? => {
            Ok(Transformed::yes(LogicalPlan::Aggregate(over_columns(aggregate)?)))
        }
        other => Ok(Transformed::no(other)),
    })
    .data()
}

fn is_key(expr: &Expr) -> bool {
    !matches!(expr, Expr::Column(_) | Expr::OuterReferenceColumn(..) | Expr::Literal(..))
}

fn has_expressions(aggregate: &Aggregate) -> Result<bool> {
    Ok(matches!(aggregate.group_expr.as_slice(), [Expr::GroupingSet(_)])
        && grouping_set_to_exprlist(&aggregate.group_expr)?.into_iter().any(is_key))
}

fn over_columns(aggregate: Aggregate) -> Result<Aggregate> {
    let keys: Vec<Expr> =
        grouping_set_to_exprlist(&aggregate.group_expr)?.into_iter().filter(|key| is_key(key)).cloned().collect();
    let computed = keys.iter().map(|key| key.clone().alias(key.schema_name().to_string()));
    let all = aggregate.input.schema().columns().into_iter().map(Expr::Column).chain(computed);
    let input = LogicalPlanBuilder::from(aggregate.input.as_ref().clone()).project(all)?.build()?;
    let put = |expr: Expr| {
        expr.transform_down(|expr| match keys.contains(&expr) {
            true => Ok(Transformed::yes(Expr::Column(Column::from_name(expr.schema_name().to_string())))),
            false => Ok(Transformed::no(expr)),
        })
        .data()
    };
    let groups = aggregate.group_expr.iter().cloned().map(put).collect::<Result<Vec<_>>>()?;
    // GROUPING is asked about the keys, every other call about rows.
    let call = |call: Expr| match &call {
        Expr::AggregateFunction(function) if function.func.name() == "grouping" => put(call),
        _ => Ok(call),
    };
    let calls = aggregate.aggr_expr.into_iter().map(call).collect::<Result<Vec<_>>>()?;
    Aggregate::try_new(Arc::new(input), groups, calls)
}
