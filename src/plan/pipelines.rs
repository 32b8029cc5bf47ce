//! A physical plan as lines of text, for EXPLAIN.

use super::explain::one_line;
use super::physical::{Branch, Input, PhysicalPlan, Pipeline, PlanNode};

/// A line of EXPLAIN about pipelines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipelineLine {
    pub text: String,
    /// What it is about, where that is something that runs.
    pub node: Option<PlanNode>,
}

/// The pipelines of `plan`: for each a heading, then its branches from the source on, then its sink.
pub fn pipeline_lines(plan: &PhysicalPlan) -> Vec<PipelineLine> {
    let mut lines = Vec::new();
    for (index, pipeline) in plan.pipelines.iter().enumerate() {
        lines.push(line(1, format!("pipeline {index}{}", after(pipeline)), None));
        for (branch, plan) in pipeline.branches.iter().enumerate() {
            branch_lines(&mut lines, index, branch, plan);
        }
        let sink = pipeline.sink.as_ref().map(|sink| with_detail(sink.name(), &sink.describe()));
        let node = PlanNode::Sink { pipeline: index };
        lines.push(line(2, sink.unwrap_or_else(|| "Result".to_string()), Some(node)));
    }
    lines
}

fn branch_lines(lines: &mut Vec<PipelineLine>, pipeline: usize, branch: usize, plan: &Branch) {
    let source = match &plan.input {
        Input::Source(source) => with_detail("Scan", &source.describe()),
        Input::Pipeline(index) => format!("output of pipeline {index}"),
        Input::Rounds(rounds) => {
            format!("rounds of {}, the first from pipeline {}", rounds.term.name(), rounds.first)
        }
    };
    lines.push(line(2, source, Some(PlanNode::Source { pipeline, branch })));
    for (position, operator) in plan.operators.iter().enumerate() {
        let text = with_detail(operator.name(), &operator.describe());
        lines.push(line(2, text, Some(PlanNode::Operator { pipeline, branch, position })));
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

fn with_detail(name: &str, detail: &str) -> String {
    if detail.is_empty() { name.to_string() } else { format!("{name}: {detail}") }
}

fn line(depth: usize, text: String, node: Option<PlanNode>) -> PipelineLine {
    PipelineLine { text: format!("{:indent$}{}", "", one_line(&text), indent = depth * 2), node }
}
