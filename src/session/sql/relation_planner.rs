//! How relations are planned that the planner does not know or would plan otherwise: those with a [mark](super::marks).

use std::sync::{Arc, OnceLock};

use datafusion_common::Result as PlanResult;
use datafusion_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion_sql::sqlparser::ast::TableFactor;

use super::marks::Mark;
use crate::plan::asof::asof_right;
use crate::plan::{set_operation, share};

/// The planners of relations, in the order in which they are asked.
pub(crate) fn relation_planners() -> &'static [Arc<dyn RelationPlanner>] {
    static PLANNERS: OnceLock<Vec<Arc<dyn RelationPlanner>>> = OnceLock::new();
    PLANNERS.get_or_init(|| vec![Arc::new(Relations)])
}

#[derive(Debug)]
struct Relations;

impl RelationPlanner for Relations {
    fn plan_relation(
        &self,
        mut relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> PlanResult<RelationPlanning> {
        let Some(mark) = take_mark(&mut relation) else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let plan = context.plan(relation)?;
        let plan = match mark {
            Mark::Shared { name, always } => share(plan, &name, always)?,
            Mark::Asof => asof_right(plan),
            Mark::SetOperation { operation, all } => set_operation(plan, operation, all)?,
        };
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, None))))
    }
}

fn take_mark(relation: &mut TableFactor) -> Option<Mark> {
    let (TableFactor::Derived { alias, .. } | TableFactor::NestedJoin { alias, .. }) = relation else { return None };
    let mark = alias.as_ref().and_then(Mark::of)?;
    *alias = None;
    Some(mark)
}
