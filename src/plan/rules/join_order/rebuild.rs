//! From a tree of relations back to a plan: every class gives one key to each join that it spans, every predicate is
//! applied where all its relations are there for the first time.

use std::sync::Arc;

use datafusion_common::{DataFusionError, JoinType, NullEquality, Result};
use datafusion_expr::logical_plan::{Filter, Join, Projection};
use datafusion_expr::utils::conjunction;
use datafusion_expr::{Expr, JoinConstraint, LogicalPlan};

use super::graph::{Attached, JoinGraph, Set};
use super::search::Tree;

/// The plan of `tree`, with the columns of the graph.
pub(super) fn rebuild(graph: &JoinGraph, tree: &Tree) -> Result<LogicalPlan> {
    let joined = of_tree(graph, tree)?;
    let constant = graph.predicates.iter().filter(|predicate| predicate.about == 0);
    let joined = with_filter(joined, constant.map(|predicate| predicate.expr.clone()).collect())?;
    let exprs = graph.output.iter().map(|output| match &output.expr {
        Expr::Column(column) if column.relation == output.qualifier && column.name == *output.field.name() => {
            output.expr.clone()
        }
        expr => expr.clone().alias_qualified(output.qualifier.clone(), output.field.name()),
    });
    let projection = Projection::try_new_with_schema(exprs.collect(), Arc::new(joined), graph.schema.clone())?;
    Ok(LogicalPlan::Projection(projection))
}

fn of_tree(graph: &JoinGraph, tree: &Tree) -> Result<LogicalPlan> {
    match tree {
        Tree::Relation(index) => {
            let relation = graph.relations.get(*index);
            let relation = relation.ok_or_else(|| DataFusionError::Internal(format!("no relation {index}")))?;
            Ok(relation.plan.clone())
        }
        Tree::Join(left, right) => {
            let (left_plan, right_plan) = (Arc::new(of_tree(graph, left)?), Arc::new(of_tree(graph, right)?));
            let (left_set, right_set) = (left.set(), right.set());
            let attached = match right.as_ref() {
                Tree::Relation(index) => graph.relations.get(*index).and_then(|relation| relation.attached.as_ref()),
                Tree::Join(..) => None,
            };
            match attached {
                Some(attached) => attach(graph, attached, (left_plan, left_set), (right_plan, right_set)),
                None => inner(graph, (left_plan, left_set), (right_plan, right_set)),
            }
        }
    }
}

/// The predicates whose relations are in `left` and `right` together, but in neither alone.
fn completed(graph: &JoinGraph, left: Set, right: Set) -> impl Iterator<Item = &super::graph::Predicate> {
    graph.predicates.iter().filter(move |predicate| {
        let about = predicate.about;
        about & !(left | right) == 0 && about & !left != 0 && about & !right != 0
    })
}

fn inner(
    graph: &JoinGraph,
    (left, left_set): (Arc<LogicalPlan>, Set),
    (right, right_set): (Arc<LogicalPlan>, Set),
) -> Result<LogicalPlan> {
    let mut on = Vec::new();
    for class in &graph.classes {
        if let (Some(of_left), Some(of_right)) = (class.column_in(left_set), class.column_in(right_set)) {
            on.push((Expr::Column(of_left.clone()), Expr::Column(of_right.clone())));
        }
    }
    let mut rest = Vec::new();
    for predicate in completed(graph, left_set, right_set) {
        match &predicate.sides {
            Some([(one, one_set), (other, other_set)]) if one_set & !left_set == 0 && other_set & !right_set == 0 => {
                on.push((one.clone(), other.clone()));
            }
            Some([(one, one_set), (other, other_set)]) if one_set & !right_set == 0 && other_set & !left_set == 0 => {
                on.push((other.clone(), one.clone()));
            }
            _ => rest.push(predicate.expr.clone()),
        }
    }
    let (filter, equality) = (conjunction(rest), NullEquality::NullEqualsNothing);
    let join = Join::try_new(left, right, on, filter, JoinType::Inner, JoinConstraint::On, equality, false)?;
    Ok(LogicalPlan::Join(join))
}

fn attach(
    graph: &JoinGraph,
    attached: &Attached,
    (left, left_set): (Arc<LogicalPlan>, Set),
    (right, right_set): (Arc<LogicalPlan>, Set),
) -> Result<LogicalPlan> {
    let (on, filter) = (attached.on.clone(), attached.filter.clone());
    let (equality, null_aware) = (attached.null_equality, attached.null_aware);
    let join = Join::try_new(left, right, on, filter, attached.join_type, JoinConstraint::On, equality, null_aware)?;
    // A condition on a relation that brings NULLs holds for the rows of the join, not for those of the relation.
    let own = graph.predicates.iter().filter(|predicate| predicate.about == right_set);
    let predicates = completed(graph, left_set, right_set).chain(own);
    with_filter(LogicalPlan::Join(join), predicates.map(|predicate| predicate.expr.clone()).collect())
}

fn with_filter(plan: LogicalPlan, conjuncts: Vec<Expr>) -> Result<LogicalPlan> {
    match conjunction(conjuncts) {
        Some(predicate) => Ok(LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(plan))?)),
        None => Ok(plan),
    }
}
