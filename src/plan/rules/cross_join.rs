//! Puts join conditions of a WHERE into the joins as the optimizer does, but not where NULL equals NULL.
//!
//! The optimizer takes a tree of inner joins apart and gives all of its keys the NULL equality of the topmost join, so
//! that `a IS NOT DISTINCT FROM b` below `c = d` would lose its NULLs. A plan with such a join is left as it is; the
//! [order of joins](super::join_order) puts conditions into joins anyway.

use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_common::{JoinType, NullEquality, Result};
use datafusion_expr::LogicalPlan;
use datafusion_optimizer::eliminate_cross_join::EliminateCrossJoin;
use datafusion_optimizer::optimizer::ApplyOrder;
use datafusion_optimizer::{OptimizerConfig, OptimizerRule};

#[derive(Debug, Default)]
pub(super) struct EliminateCrossJoinOfOneEquality(EliminateCrossJoin);

impl OptimizerRule for EliminateCrossJoinOfOneEquality {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let nulls_equal = |node: &LogicalPlan| {
            Ok(matches!(node, LogicalPlan::Join(join)
                if join.join_type == JoinType::Inner && join.null_equality == NullEquality::NullEqualsNull))
        };
        if plan.exists(nulls_equal)? { Ok(Transformed::no(plan)) } else { self.0.rewrite(plan, config) }
    }
}
