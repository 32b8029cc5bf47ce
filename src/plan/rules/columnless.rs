//! Pushes filters down as the optimizer does, but minds conditions that name no column.
//!
//! The optimizer takes them for conditions on the group keys and moves them below the aggregate. Without group keys
//! that is wrong: the aggregate of no rows is one row. So a filter that can never hold becomes an empty relation, and
//! one that is not known before the run (`random() < 0.5`) stays above aggregates and windows.

use datafusion_common::Result;
use datafusion_common::tree_node::Transformed;
use datafusion_expr::utils::{conjunction, split_conjunction};
use datafusion_expr::{EmptyRelation, Expr, Filter, LogicalPlan, lit};
use datafusion_optimizer::optimizer::ApplyOrder;
use datafusion_optimizer::push_down_filter::PushDownFilter;
use datafusion_optimizer::{OptimizerConfig, OptimizerRule};

use crate::plan::asof::push_into_asof;
use crate::plan::rules::implied::with_implied;

#[derive(Debug, Default)]
pub(super) struct PushDownFilterWithColumns(PushDownFilter);

impl OptimizerRule for PushDownFilterWithColumns {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let mut plan = merged(plan)?;
        if let LogicalPlan::Filter(filter) = &plan {
            if split_conjunction(&filter.predicate).into_iter().any(never_holds) {
                let schema = filter.input.schema().clone();
                let empty = EmptyRelation { produce_one_row: false, schema };
                return Ok(Transformed::yes(LogicalPlan::EmptyRelation(empty)));
            }
            if let Some(pushed) = push_into_asof(filter)? {
                return Ok(Transformed::yes(pushed));
            }
            if must_stay(filter) {
                return Ok(Transformed::no(plan));
            }
            if let Some(filter) = with_implied(filter)? {
                plan = LogicalPlan::Filter(filter);
            }
        }
        self.0.rewrite(plan, config)
    }
}

/// Filters that stand on each other as one: the optimizer would merge them and go on without asking here.
fn merged(plan: LogicalPlan) -> Result<LogicalPlan> {
    let LogicalPlan::Filter(mut filter) = plan else { return Ok(plan) };
    while let LogicalPlan::Filter(below) = filter.input.as_ref() {
        let mut conjuncts: Vec<Expr> = split_conjunction(&filter.predicate).into_iter().cloned().collect();
        for conjunct in split_conjunction(&below.predicate) {
            if !conjuncts.contains(conjunct) {
                conjuncts.push(conjunct.clone());
            }
        }
        let predicate = conjunction(conjuncts).unwrap_or_else(|| lit(true));
        filter = Filter::try_new(predicate, below.input.clone())?;
    }
    Ok(LogicalPlan::Filter(filter))
}

/// FALSE and NULL.
fn never_holds(condition: &Expr) -> bool {
    match condition {
        Expr::Literal(value, _) => value.is_null() || *value == datafusion_common::ScalarValue::Boolean(Some(false)),
        _ => false,
    }
}

fn must_stay(filter: &Filter) -> bool {
    let sees_all_rows = matches!(filter.input.as_ref(), LogicalPlan::Aggregate(_) | LogicalPlan::Window(_));
    let names_none = |condition: &&Expr| condition.column_refs().is_empty();
    sees_all_rows && split_conjunction(&filter.predicate).iter().any(names_none)
}
