//! The logical rules: the optimizer's own that fit this engine, and ours.
//!
//! `push_down_filter`, `extract_equijoin_predicate` and `eliminate_cross_join` are wrapped ([`columnless`], [`null_safe`], [`cross_join`]), and
//! the rules that ask for keys get a plan that knows them ([`true_keys`]). Left out of the optimizer's list: extracting and pushing down leaf
//! expressions (`get_field`), which pays only where a scan reads single fields of a struct (until the scans do, it only adds
//! projections), the rules that decorrelate subqueries, in place of which [`unnest()`] runs before all others (between [`distinct_on()`] and [`lengths()`]), and the
//! rewriting of a single DISTINCT argument: lowering does it for any number of them, beside any other call.

mod columnless;
mod cross_join;
mod distinct_on;
mod folded;
mod implied;
mod in_list;
mod lengths;
mod null_safe;
mod set_keys;
mod true_keys;
mod unnest;

pub(super) mod join_order;

use std::sync::Arc;

use datafusion_optimizer::{Optimizer, OptimizerRule};

use columnless::PushDownFilterWithColumns;
use cross_join::EliminateCrossJoinOfOneEquality;
pub(super) use distinct_on::distinct_on;
pub(crate) use folded::folded;
pub(super) use in_list::constant_lists;
pub(super) use lengths::lengths;
pub(super) use null_safe::null_safe_keys;
pub(super) use set_keys::set_keys;
use true_keys::{TRUSTING, WithTrueKeys};
pub(crate) use unnest::unnest;

/// Rules of the optimizer's default list that are not used.
const LEFT_OUT: [&str; 7] = [
    "extract_leaf_expressions",
    "push_down_leaf_projections",
    "rewrite_set_comparison",
    "decorrelate_predicate_subquery",
    "scalar_subquery_to_join",
    "decorrelate_lateral_join",
    "single_distinct_aggregation_to_group_by",
];

/// Rules that run again after joins have a new order: filters sink, projections drop what is not needed any more.
const AFTER_JOIN_ORDER: [&str; 2] = ["push_down_filter", "optimize_projections"];

/// The rules in the order in which they run.
pub(super) fn all() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let rules = Optimizer::new().rules.into_iter().filter(|rule| !LEFT_OUT.contains(&rule.name()));
    rules.map(mended).collect()
}

/// The rule, or what stands for it where it would change an answer.
fn mended(rule: Arc<dyn OptimizerRule + Send + Sync>) -> Arc<dyn OptimizerRule + Send + Sync> {
    match rule.name() {
        "push_down_filter" => Arc::new(PushDownFilterWithColumns::default()),
        "extract_equijoin_predicate" => Arc::new(null_safe::ExtractKeys::default()),
        "eliminate_cross_join" => Arc::new(EliminateCrossJoinOfOneEquality::default()),
        name if TRUSTING.contains(&name) => Arc::new(WithTrueKeys(rule)),
        _ => rule,
    }
}

/// The rules that tidy up after joins have a new order.
pub(super) fn after_join_order() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    all().into_iter().filter(|rule| AFTER_JOIN_ORDER.contains(&rule.name())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_that_is_left_out_exists() {
        let names: Vec<String> = Optimizer::new().rules.iter().map(|rule| rule.name().to_string()).collect();
        for rule in LEFT_OUT {
            assert!(names.iter().any(|name| name == rule), "{rule} is not one of {names:?}");
        }
        for rule in TRUSTING {
            assert!(names.iter().any(|name| name == rule), "{rule} is not one of {names:?}");
        }
        assert_eq!(all().len(), names.len() - LEFT_OUT.len());
        assert_eq!(after_join_order().len(), AFTER_JOIN_ORDER.len());
    }
}
