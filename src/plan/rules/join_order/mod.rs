//! The order of joins, from estimates.
//!
//! A tree of joins (with the projections, filters and aliases between them) is taken apart into relations and
//! predicates ([`graph`]), its size is estimated for every subset of relations ([`cardinality`]), the cheapest tree is found
//! ([`search`]) and built anew ([`rebuild`]). Outer, semi, anti and mark joins take part as relations that can be attached
//! once the relations that their condition names are there; that is right because they only filter, repeat or extend
//! the rows of their left side.
//!
//! Invariant: the plan has the same schema and the same rows as before, and the same tree comes out whatever the order in
//! which the relations were written.

mod cardinality;
mod graph;
mod rebuild;
mod search;
#[cfg(test)]
mod tests;

use datafusion_common::Result as DataFusionResult;
use datafusion_common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion_expr::LogicalPlan;

use self::cardinality::Model;
use self::graph::{JoinGraph, Through};
use crate::plan::statistics::Estimator;

/// Fewer relations have only one order; lowering picks the build side.
const LEAST_RELATIONS: usize = 3;
/// More relations than a set has bits are left as they are written.
const MOST_RELATIONS: usize = 64;

/// `plan` with its joins in a good order; `transformed` says whether any changed.
pub(in crate::plan) fn reorder(plan: LogicalPlan, estimator: &Estimator) -> DataFusionResult<Transformed<LogicalPlan>> {
    plan.transform_down(|node| {
        if !graph::leads_to_join(&node) {
            return Ok(Transformed::no(node));
        }
        match reordered(&node, estimator) {
            // What is below the relations is looked at when the walk comes there; the new joins are not.
            Some(tree) => {
                let inner = tree.map_relations(|relation| Ok(reorder(relation, estimator)?.data))?;
                Ok(Transformed::new(inner, true, TreeNodeRecursion::Jump))
            }
            None => Ok(Transformed::no(node)),
        }
    })
}

/// A tree built anew, whose relations may still be replaced.
struct Reordered {
    graph: JoinGraph,
    tree: search::Tree,
}

impl Reordered {
    fn map_relations(
        mut self,
        mut f: impl FnMut(LogicalPlan) -> DataFusionResult<LogicalPlan>,
    ) -> DataFusionResult<LogicalPlan> {
        for relation in &mut self.graph.relations {
            let plan = std::mem::take(&mut relation.plan);
            relation.plan = f(plan)?;
        }
        rebuild::rebuild(&self.graph, &self.tree)
    }
}

fn reordered(node: &LogicalPlan, estimator: &Estimator) -> Option<Reordered> {
    // Names hidden by a projection may come to light twice; then only what lies directly between joins is taken apart.
    let ways = [Through::Everything, Through::Filters];
    let graph = ways.into_iter().find_map(|through| JoinGraph::of(node, through))?;
    if graph.relations.len() < LEAST_RELATIONS || graph.relations.len() > MOST_RELATIONS {
        return None;
    }
    let graph = graph.in_canonical_order();
    let model = Model::new(&graph, estimator);
    let tree = search::best(&graph, &model)?;
    rebuild::rebuild(&graph, &tree).ok()?;
    Some(Reordered { graph, tree })
}
