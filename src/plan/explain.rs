//! EXPLAIN: the optimised logical plan with the rows that are expected of each node, and the pipelines that run it.

use std::fmt::Write;
use std::sync::Arc;

use datafusion_expr::LogicalPlan;

use super::physical::{Branch, Input, PhysicalPlan, Pipeline};
use super::statistics::Estimator;
use crate::store::QueryContext;

/// The text of EXPLAIN, lines separated by `\n`.
pub fn explain(logical: &LogicalPlan, physical: &PhysicalPlan, context: &Arc<QueryContext>) -> String {
    let mut text = String::from("logical plan\n");
    node_to(&mut text, 1, logical, &Estimator::new(logical, context.clone()));
    text.push_str("pipelines\n");
    for (index, pipeline) in physical.pipelines.iter().enumerate() {
        line_to(&mut text, 1, &format!("pipeline {index}{}", after(pipeline)));
        for branch in &pipeline.branches {
            branch_to(&mut text, branch);
        }
        match &pipeline.sink {
            Some(sink) => line_to(&mut text, 2, &with_detail(sink.name(), &sink.describe())),
            None => line_to(&mut text, 2, "Result"),
        }
    }
    text.truncate(text.trim_end().len());
    text
}

/// A node, what is below it, and how many rows each is expected to give.
fn node_to(text: &mut String, depth: usize, plan: &LogicalPlan, estimator: &Estimator) {
    let rows = estimator.estimate(plan).shown_rows();
    let plural = if rows == 1 { "row" } else { "rows" };
    for (index, line) in plan.display().to_string().lines().enumerate() {
        let estimate = if index == 0 { format!("  (about {rows} {plural})") } else { String::new() };
        line_to(text, depth, &format!("{line}{estimate}"));
    }
    for input in plan.inputs() {
        node_to(text, depth + 1, input, estimator);
    }
}

/// The pipelines that must have finished before this one starts, beyond those that it reads.
fn after(pipeline: &Pipeline) -> String {
    let mut after = pipeline.after.clone();
    after.sort_unstable();
    after.dedup();
    let after: Vec<String> = after.iter().map(ToString::to_string).collect();
    if after.is_empty() { String::new() } else { format!(" (after {})", after.join(", ")) }
}

fn branch_to(text: &mut String, branch: &Branch) {
    match &branch.input {
        Input::Source(source) => line_to(text, 2, &with_detail("Scan", &source.describe())),
        Input::Pipeline(index) => line_to(text, 2, &format!("output of pipeline {index}")),
    }
    for operator in &branch.operators {
        line_to(text, 2, &with_detail(operator.name(), &operator.describe()));
    }
}

fn with_detail(name: &str, detail: &str) -> String {
    if detail.is_empty() { name.to_string() } else { format!("{name}: {detail}") }
}

fn line_to(text: &mut String, depth: usize, line: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{:indent$}{line}", "", indent = depth * 2);
}
