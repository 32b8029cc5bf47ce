//! EXPLAIN: the optimised logical plan and the pipelines that run it.

use std::fmt::Write;

use datafusion_expr::LogicalPlan;

use super::physical::{Branch, Input, PhysicalPlan};

/// The text of EXPLAIN, lines separated by `\n`.
pub fn explain(logical: &LogicalPlan, physical: &PhysicalPlan) -> String {
    let mut text = String::from("logical plan\n");
    for line in logical.display_indent().to_string().lines() {
        line_to(&mut text, 1, line);
    }
    text.push_str("pipelines\n");
    for (index, pipeline) in physical.pipelines.iter().enumerate() {
        line_to(&mut text, 1, &format!("pipeline {index}"));
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
