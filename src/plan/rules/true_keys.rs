//! What is unique, as it is.
//!
//! A node of a plan says which of its columns determine the others, and rules leave out joins, DISTINCT, keys of groups and keys of orders
//! by it. But that is derived wrongly where groups are made of what was joined with other groups: of `GROUP BY a, b` it is said
//! that `a` alone determines a row, because it did so before the join; and the rows of a list are said to be as unique as the
//! list was. So the rules that read it get a plan in which it was derived anew ([`WithTrueKeys`]).

use std::sync::Arc;

use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_common::{Dependency, FunctionalDependence, FunctionalDependencies, Result};
use datafusion_expr::logical_plan::Aggregate;
use datafusion_expr::{Expr, LogicalPlan};
use datafusion_optimizer::optimizer::ApplyOrder;
use datafusion_optimizer::{OptimizerConfig, OptimizerRule};

/// A rule of the optimizer that trusts in what nodes say of their keys.
#[derive(Debug)]
pub(super) struct WithTrueKeys(pub(super) Arc<dyn OptimizerRule + Send + Sync>);

/// Names of the rules that do.
pub(super) const TRUSTING: [&str; 4] =
    ["eliminate_join", "replace_distinct_aggregate", "optimize_projections", "eliminate_duplicated_expr"];

impl OptimizerRule for WithTrueKeys {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        // A rule that comes node by node asks at these two only.
        let asks = self.apply_order().is_none() || matches!(plan, LogicalPlan::Distinct(_) | LogicalPlan::Sort(_));
        self.0.rewrite(if asks { with_true_keys(plan)? } else { plan }, config)
    }
}

/// `plan` with keys of which each row is the only one.
fn with_true_keys(plan: LogicalPlan) -> Result<LogicalPlan> {
    let rewritten = plan.transform_up(|node| {
        if node.schema().functional_dependencies().is_empty() {
            return Ok(Transformed::no(node));
        }
        Ok(Transformed::yes(match node {
            LogicalPlan::Aggregate(aggregate) => LogicalPlan::Aggregate(by_all_keys(aggregate)?),
            LogicalPlan::Unnest(mut unnest) => {
                let schema = unnest.schema.as_ref().clone();
                unnest.schema = Arc::new(schema.with_functional_dependencies(FunctionalDependencies::empty())?);
                LogicalPlan::Unnest(unnest)
            }
            other => other.recompute_schema()?,
        }))
    })?;
    Ok(rewritten.data)
}

/// A row of groups is determined by all keys together.
fn by_all_keys(mut aggregate: Aggregate) -> Result<Aggregate> {
    let keys = aggregate.group_expr.len();
    let sets = aggregate.group_expr.iter().any(|key| matches!(key, Expr::GroupingSet(_)));
    let schema = aggregate.schema.as_ref().clone();
    let keys = if sets || keys == 0 {
        FunctionalDependencies::empty()
    } else {
        let columns = schema.fields().len();
        let nullable = schema.fields().iter().take(keys).any(|field| field.is_nullable());
        let determined = FunctionalDependence::new((0..keys).collect(), (0..columns).collect(), nullable);
        FunctionalDependencies::new(vec![determined.with_mode(Dependency::Single)])
    };
    aggregate.schema = Arc::new(schema.with_functional_dependencies(keys)?);
    Ok(aggregate)
}
