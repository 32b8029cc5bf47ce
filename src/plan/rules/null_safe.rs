//! Equalities in which NULL equals NULL, as keys of joins.
//!
//! A join compares all its keys in one way. The optimizer makes `IS NOT DISTINCT FROM` a key of a join without others and then
//! adds keys from filters above it, which would let their NULLs be equal, too. So it is kept from these conditions
//! ([`ExtractKeys`]), and they become keys when it has finished ([`null_safe_keys`]), together with the others: `a = b` is
//! `a IS NOT DISTINCT FROM b` and `a IS NOT NULL`.

use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_common::{DFSchema, NullEquality, Result};
use datafusion_expr::logical_plan::Join;
use datafusion_expr::utils::{can_hash, conjunction, split_conjunction_owned};
use datafusion_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator};
use datafusion_optimizer::extract_equijoin_predicate::ExtractEquijoinPredicate;
use datafusion_optimizer::optimizer::ApplyOrder;
use datafusion_optimizer::{OptimizerConfig, OptimizerRule};

/// The optimizer's extraction of keys, for those that are not null-safe.
#[derive(Debug, Default)]
pub(super) struct ExtractKeys(ExtractEquijoinPredicate);

impl OptimizerRule for ExtractKeys {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Join(mut join) = plan else { return Ok(Transformed::no(plan)) };
        if join.null_equality == NullEquality::NullEqualsNull && !join.on.is_empty() {
            return Ok(Transformed::no(LogicalPlan::Join(join)));
        }
        let (kept, offered): (Vec<Expr>, Vec<Expr>) =
            join.filter.take().into_iter().flat_map(split_conjunction_owned).partition(is_null_safe);
        join.filter = conjunction(offered);
        let extracted = self.0.rewrite(LogicalPlan::Join(join), config)?;
        extracted.map_data(|plan| match plan {
            LogicalPlan::Join(mut join) => {
                join.filter = conjunction(join.filter.take().into_iter().chain(kept));
                Ok(LogicalPlan::Join(join))
            }
            other => Ok(other),
        })
    }
}

fn is_null_safe(condition: &Expr) -> bool {
    matches!(condition, Expr::BinaryExpr(BinaryExpr { op: Operator::IsNotDistinctFrom, .. }))
}

/// `plan`, optimised, with null-safe equalities of a join's two sides as its keys.
pub(in crate::plan) fn null_safe_keys(plan: LogicalPlan) -> Result<LogicalPlan> {
    let rewritten = plan.transform_up(|node| match node {
        LogicalPlan::Join(join) if !join.null_aware => with_keys(join),
        other => Ok(Transformed::no(other)),
    })?;
    Ok(rewritten.data)
}

fn with_keys(mut join: Join) -> Result<Transformed<LogicalPlan>> {
    let mut keys = Vec::new();
    let mut rest = Vec::new();
    for condition in join.filter.iter().cloned().flat_map(split_conjunction_owned) {
        match key(&condition, join.left.schema(), join.right.schema())? {
            Some(pair) => keys.push(pair),
            None => rest.push(condition),
        }
    }
    if keys.is_empty() {
        return Ok(Transformed::no(LogicalPlan::Join(join)));
    }
    if join.null_equality == NullEquality::NullEqualsNothing {
        for (left, right) in &join.on {
            if left.nullable(join.left.schema())? && right.nullable(join.right.schema())? {
                rest.push(left.clone().is_not_null());
            }
        }
    }
    join.on.extend(keys);
    join.null_equality = NullEquality::NullEqualsNull;
    join.filter = conjunction(rest);
    Ok(Transformed::yes(LogicalPlan::Join(join)))
}

/// The two sides of a null-safe equality, that of `left` first.
fn key(condition: &Expr, left: &DFSchema, right: &DFSchema) -> Result<Option<(Expr, Expr)>> {
    let Expr::BinaryExpr(binary) = condition else { return Ok(None) };
    if binary.op != Operator::IsNotDistinctFrom {
        return Ok(None);
    }
    let of = |expr: &Expr, schema: &DFSchema| {
        let columns = expr.column_refs();
        !columns.is_empty() && columns.into_iter().all(|column| schema.has_column(column))
    };
    let (one, two) = (binary.left.as_ref(), binary.right.as_ref());
    let (one, two) = if of(one, left) && of(two, right) {
        (one, two)
    } else if of(two, left) && of(one, right) {
        (two, one)
    } else {
        return Ok(None);
    };
    let (first, second) = (one.get_type(left)?, two.get_type(right)?);
    Ok((first == second && can_hash(&first)).then(|| (one.clone(), two.clone())))
}
