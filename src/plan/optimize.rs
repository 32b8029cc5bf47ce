//! Logical plan to optimised logical plan: analysis (types, grouping), arithmetic made safe, and the rewrites.
//!
//! Invariant: the optimised plan has the schema of the analysed one. Data is read only as samples, for estimates.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use datafusion_common::DataFusionError;
use datafusion_common::config::ConfigOptions;
use datafusion_expr::{InvariantLevel, LogicalPlan};
use datafusion_optimizer::{Analyzer, Optimizer, OptimizerContext};

use super::rules;
use super::shared::{inline_single_uses, optimize_shared};
use super::statistics::Estimator;
use crate::error::{Error, Result};
use crate::expr::{check_casts, coercion, fold_checked, own_casts, own_comparisons, own_numbers};
use crate::store::QueryContext;

/// The plan with its types made to agree; the schema of the result is known from here on.
///
/// # Errors
/// `INVALID_QUERY` and the like: types without a common type, wrong arguments, a column outside of GROUP BY.
pub fn analyze(plan: LogicalPlan) -> Result<LogicalPlan, DataFusionError> {
    let options = options();
    let mut plan = own_numbers(coercion::coerce(rules::set_keys(plan)?)?)?;
    plan.check_invariants(InvariantLevel::Always)?;
    // Not `execute_and_check`: it refuses most correlated subqueries.
    for rule in Analyzer::new().rules {
        plan = rule.analyze(plan, &options).map_err(|error| error.context(rule.name()))?;
    }
    plan.check_invariants(InvariantLevel::Always)?;
    check_casts(&plan)?;
    Ok(plan)
}

/// The plan that does the same with less work. Takes any plan, analysed or not; `start` is what `now()` is. Samples of the
/// tables that it joins are read under `query`.
///
/// # Errors
/// As [`analyze`]; constant expressions may also fail here with the errors they would have at run time.
pub fn optimize(plan: LogicalPlan, start: DateTime<Utc>, query: &Arc<QueryContext>) -> Result<LogicalPlan> {
    let analysed = analyze(plan).map_err(without_pass)?;
    let plan = optimize_analysed(inline_single_uses(analysed).map_err(without_pass)?, start, query)?;
    optimize_shared(plan, &|plan| optimize_analysed(plan, start, query))
}

fn optimize_analysed(analysed: LogicalPlan, start: DateTime<Utc>, query: &Arc<QueryContext>) -> Result<LogicalPlan> {
    // Before the optimizer sees the plan: it folds constants, and its own arithmetic wraps around.
    let analysed = rules::distinct_on(own_casts(own_comparisons(analysed)?)?).map_err(without_pass)?;
    let checked = rules::constant_lists(rules::unnest(fold_checked(analysed)?)?).map_err(without_pass)?;
    let checked = rules::lengths(checked).map_err(without_pass)?;
    let context = OptimizerContext::new_with_config_options(options()).with_query_execution_start_time(start);
    let optimizer = Optimizer::with_rules(rules::all());
    let optimised = optimizer.optimize(checked, &context, |_, _| {}).map_err(without_pass)?;
    let optimised = rules::null_safe_keys(optimised).map_err(without_pass)?;
    let estimator = Estimator::new(&optimised, query.clone());
    let ordered = rules::join_order::reorder(optimised, &estimator).map_err(without_pass)?;
    if !ordered.transformed {
        return Ok(ordered.data);
    }
    let optimizer = Optimizer::with_rules(rules::after_join_order());
    optimizer.optimize(ordered.data, &context, |_, _| {}).map_err(without_pass)
}

fn options() -> Arc<ConfigOptions> {
    let mut options = ConfigOptions::default();
    options.optimizer.skip_failed_rules = false;
    Arc::new(options)
}

/// An error as ours, without the names of the optimizer's passes, which tell a user nothing.
fn without_pass(error: DataFusionError) -> Error {
    match error {
        DataFusionError::Context(_, inner) => without_pass(*inner),
        other => Error::from(other),
    }
}

#[cfg(test)]
mod tests {
    use datafusion_expr::{LogicalPlanBuilder, col, lit};

    use super::*;

    #[test]
    fn types_agree_after_analysis_and_constants_are_folded() {
        let plan = LogicalPlanBuilder::values(vec![vec![lit(1_i32)], vec![lit(2_i32)]])
            .and_then(|builder| builder.filter(col("column1").gt(lit(1_i64)).and(lit(true))))
            .and_then(|builder| builder.build())
            .unwrap();
        let optimised = optimize(plan, Utc::now(), &crate::ops::testing::context(1 << 20, 1024, 1))
            .unwrap()
            .display_indent()
            .to_string();
        assert!(optimised.contains("Filter") && !optimised.contains("true"), "{optimised}");
    }

    #[test]
    fn an_error_does_not_name_the_pass_it_came_from() {
        let plan = LogicalPlanBuilder::values(vec![vec![lit(1_i32)]])
            .and_then(|builder| {
                builder.filter(col("column1").eq(datafusion_functions_nested::expr_fn::make_array(vec![lit("a")])))
            })
            .and_then(|builder| builder.build())
            .unwrap();
        let error = optimize(plan, Utc::now(), &crate::ops::testing::context(1 << 20, 1024, 1)).unwrap_err();
        assert!(!error.to_string().contains("type_coercion"), "{error}");
    }
}
