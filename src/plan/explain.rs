//! EXPLAIN: the optimised logical plan with the rows that are expected of each node, and the pipelines that run it.

use std::fmt::Write;
use std::sync::Arc;

use datafusion_expr::LogicalPlan;

use super::physical::PhysicalPlan;
use super::pipelines::pipeline_lines;
use super::statistics::Estimator;
use crate::store::QueryContext;

/// The text of EXPLAIN, lines separated by `\n`.
pub fn explain(logical: &LogicalPlan, physical: &PhysicalPlan, context: &Arc<QueryContext>) -> String {
    let mut text = String::from("logical plan\n");
    node_to(&mut text, 1, logical, &Estimator::new(logical, context.clone()));
    text.push_str("pipelines\n");
    for line in pipeline_lines(physical) {
        line_to(&mut text, 0, &line.text);
    }
    text.truncate(text.trim_end().len());
    text
}

/// A node, what is below it, and how many rows each is expected to give.
fn node_to(text: &mut String, depth: usize, plan: &LogicalPlan, estimator: &Estimator) {
    let rows = estimator.estimate(plan).shown_rows();
    let plural = if rows == 1 { "row" } else { "rows" };
    line_to(text, depth, &format!("{}  (about {rows} {plural})", one_line(&plan.display().to_string())));
    for input in plan.inputs() {
        node_to(text, depth + 1, input, estimator);
    }
}

/// The text of a node in one line, whatever stands in its names and constants.
pub(super) fn one_line(text: &str) -> String {
    text.replace('\n', "\\n")
}

fn line_to(text: &mut String, depth: usize, line: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{:indent$}{line}", "", indent = depth * 2);
}
