//! Casts under names of their own.
//!
//! The planner calls `max(CAST(d AS TIMESTAMP))` as it calls `max(d)` and then refuses the two beside each other. Where a query
//! is refused, it is planned once more with its casts inside of a call that says so in its name ([`named_cast`]) and that
//! the optimizer takes away.
//!
//! [`named_cast`]: crate::expr::NAMED_CAST

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion_common::tree_node::TreeNodeRecursion;
use datafusion_expr::utils::grouping_set_to_exprlist;
use datafusion_expr::{Expr as LogicalExpr, LogicalPlan};
use datafusion_sql::sqlparser::ast::{Expr, Query, VisitMut, VisitorMut};

use super::calls::call_of;
use crate::expr::NAMED_CAST;

/// Gives every cast of the query a name; `false` where there is none.
pub(super) fn name(query: &mut Query) -> bool {
    let mut casts = Casts { found: false };
    let _: ControlFlow<()> = VisitMut::visit(query, &mut casts);
    casts.found
}

/// Whether an aggregate of `plan` has keys or calls that differ, but not in their names: the optimizer would stumble.
pub(super) fn hide_names(plan: &LogicalPlan) -> bool {
    let mut found = false;
    let walked = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Aggregate(aggregate) = node {
            let keys = grouping_set_to_exprlist(&aggregate.group_expr)?;
            let mut names: HashMap<String, &LogicalExpr> = HashMap::new();
            for expr in keys.into_iter().chain(&aggregate.aggr_expr) {
                let known = names.insert(expr.schema_name().to_string(), expr);
                found |= known.is_some_and(|known| known != expr);
            }
        }
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    walked.is_ok() && found
}

struct Casts {
    found: bool,
}

impl VisitorMut for Casts {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if matches!(expr, Expr::Cast { .. }) {
            self.found = true;
            *expr = call_of(NAMED_CAST, vec![expr.clone()]);
        }
        ControlFlow::Continue(())
    }
}
