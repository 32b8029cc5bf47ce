//! Plan nodes with subqueries in their expressions.
//!
//! Each joins its input with what the subqueries need, then does what it did over the wider input, and gives back the
//! columns that it had.

use std::sync::Arc;

use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_common::{DFSchema, DataFusionError, JoinType};
use datafusion_expr::expr::{Exists, InSubquery, SetComparison};
use datafusion_expr::logical_plan::{Aggregate, Filter, Join, Projection, Sort, Subquery, Union, Window};
use datafusion_expr::utils::split_conjunction;
use datafusion_expr::{Expr, LogicalPlan};

use super::build::{self, Names};
use super::outer::Outer;
use super::{lateral, predicate, pull, ranked};
use crate::error::{Error, Result};

/// `plan` and everything below it without subqueries.
pub(super) fn rewrite(plan: &LogicalPlan, names: &mut Names) -> Result<LogicalPlan> {
    let mut changed = false;
    let plan = plan.clone().map_children(|child| {
        let rewritten = rewrite(&child, names)?;
        changed |= rewritten.schema() != child.schema();
        Ok(Transformed::yes(rewritten))
    })?;
    // A scalar subquery may be NULL where its column may not, which only shows when it is a join.
    let plan = match plan.data {
        LogicalPlan::Union(union) if changed => LogicalPlan::Union(with_nulls_of_inputs(union)?),
        plan if changed => plan.recompute_schema()?,
        plan => plan,
    };
    let plan = match plan {
        // What it names of the rows beside it is found where it is joined with them.
        LogicalPlan::Subquery(subquery) => return Ok(subquery.subquery.as_ref().clone()),
        LogicalPlan::Join(join) => lateral::join(join, names)?,
        other => other,
    };
    if !plan_has_subquery(&plan) {
        return Ok(plan);
    }
    let plan = rewrite_inside(plan, names)?;
    match &plan {
        LogicalPlan::Filter(filter) => rewrite_filter(filter, names),
        LogicalPlan::Projection(projection) => rewrite_projection(projection, names),
        LogicalPlan::Aggregate(aggregate) => rewrite_aggregate(aggregate, names),
        LogicalPlan::Sort(sort) => rewrite_sort(sort, names),
        LogicalPlan::Window(window) => rewrite_window(window, names),
        LogicalPlan::Join(join) => rewrite_join(join, names),
        LogicalPlan::Limit(limit) => ranked::limit(limit, names),
        LogicalPlan::Values(values) => rewrite(&pull::values_as_union(values)?, names),
        other => Err(Error::not_supported(format!("a subquery in the plan node {}", other.display()))),
    }
}

/// The union with columns that may be NULL where those of an input may.
fn with_nulls_of_inputs(union: Union) -> Result<Union> {
    let nullable = |index: usize| union.inputs.iter().any(|input| input.schema().field(index).is_nullable());
    let fields = union.schema.iter().enumerate().map(|(index, (qualifier, field))| {
        let field = field.as_ref().clone();
        let nullable = field.is_nullable() || nullable(index);
        (qualifier.cloned(), Arc::new(field.with_nullable(nullable)))
    });
    let schema = DFSchema::new_with_metadata(fields.collect(), union.schema.metadata().clone())?;
    Ok(Union { schema: Arc::new(schema), inputs: union.inputs })
}

/// Whether `expr` holds a subquery.
pub(super) fn has_subquery(expr: &Expr) -> bool {
    let is_subquery = |part: &Expr| {
        matches!(part, Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_))
    };
    expr.exists(|part| Ok(is_subquery(part))).unwrap_or(false)
}

fn plan_has_subquery(plan: &LogicalPlan) -> bool {
    plan.expressions().iter().any(has_subquery)
}

/// The subqueries' own plans without subqueries.
fn rewrite_inside(plan: LogicalPlan, names: &mut Names) -> Result<LogicalPlan> {
    let rewritten = plan.map_expressions(|expr| {
        expr.transform_up(|part| {
            let mut inner = |subquery: Subquery| -> Result<Subquery, DataFusionError> {
                let plan = rewrite(&subquery.subquery, names)?;
                Ok(Subquery { subquery: Arc::new(plan), ..subquery })
            };
            Ok(match part {
                Expr::ScalarSubquery(subquery) => Transformed::yes(Expr::ScalarSubquery(inner(subquery)?)),
                Expr::Exists(Exists { subquery, negated }) => {
                    Transformed::yes(Expr::Exists(Exists { subquery: inner(subquery)?, negated }))
                }
                Expr::InSubquery(node) => {
                    let subquery = inner(node.subquery)?;
                    Transformed::yes(Expr::InSubquery(InSubquery { subquery, ..node }))
                }
                Expr::SetComparison(node) => {
                    let subquery = inner(node.subquery)?;
                    Transformed::yes(Expr::SetComparison(SetComparison { subquery, ..node }))
                }
                other => Transformed::no(other),
            })
        })
    })?;
    Ok(rewritten.data)
}

fn rewrite_filter(filter: &Filter, names: &mut Names) -> Result<LogicalPlan> {
    let (asking, plain): (Vec<&Expr>, Vec<&Expr>) =
        split_conjunction(&filter.predicate).into_iter().partition(|part| has_subquery(part));
    let input = build::filter(filter.input.as_ref().clone(), plain.into_iter().cloned().collect())?;
    let filtered = predicate::keep(input, asking.into_iter().cloned().collect(), names)?;
    build::only_columns_of(filtered, filter.input.schema())
}

fn rewrite_projection(projection: &Projection, names: &mut Names) -> Result<LogicalPlan> {
    let mut input = projection.input.as_ref().clone();
    let mut exprs = Vec::with_capacity(projection.expr.len());
    for (index, expr) in projection.expr.iter().enumerate() {
        let expr = predicate::value(&mut input, expr.clone(), names)?;
        exprs.push(build::named_as(expr, &projection.schema, index));
    }
    build::project(input, exprs)
}

fn values(input: &mut LogicalPlan, exprs: &[Expr], names: &mut Names) -> Result<Vec<Expr>> {
    exprs.iter().map(|expr| predicate::value(input, expr.clone(), names)).collect()
}

fn rewrite_aggregate(aggregate: &Aggregate, names: &mut Names) -> Result<LogicalPlan> {
    let mut input = aggregate.input.as_ref().clone();
    let groups = values(&mut input, &aggregate.group_expr, names)?;
    let calls = values(&mut input, &aggregate.aggr_expr, names)?;
    let aggregated = LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(input), groups, calls)?);
    let exprs = aggregated
        .schema()
        .columns()
        .into_iter()
        .enumerate()
        .map(|(index, column)| build::named_as(Expr::Column(column), &aggregate.schema, index))
        .collect();
    build::project(aggregated, exprs)
}

fn rewrite_sort(sort: &Sort, names: &mut Names) -> Result<LogicalPlan> {
    let mut input = sort.input.as_ref().clone();
    let schema = input.schema().clone();
    let mut expr = sort.expr.clone();
    for key in &mut expr {
        key.expr = predicate::value(&mut input, key.expr.clone(), names)?;
    }
    let sorted = LogicalPlan::Sort(Sort { expr, input: Arc::new(input), fetch: sort.fetch });
    build::only_columns_of(sorted, &schema)
}

fn rewrite_window(window: &Window, names: &mut Names) -> Result<LogicalPlan> {
    let mut input = window.input.as_ref().clone();
    let first = input.schema().fields().len();
    let mut exprs = build::columns(input.schema());
    let calls = values(&mut input, &window.window_expr, names)?;
    let width = input.schema().fields().len();
    let windowed = LogicalPlan::Window(Window::try_new(calls, Arc::new(input))?);
    for (index, column) in windowed.schema().columns().into_iter().skip(width).enumerate() {
        exprs.push(build::named_as(Expr::Column(column), &window.schema, first + index));
    }
    build::project(windowed, exprs)
}

/// Subqueries in ON. Those of an inner join are a filter above it; those of the others have to depend on one side only.
fn rewrite_join(join: &Join, names: &mut Names) -> Result<LogicalPlan> {
    let (asking, plain): (Vec<Expr>, Vec<Expr>) =
        join.filter.iter().flat_map(split_conjunction).cloned().partition(has_subquery);
    if join.join_type == JoinType::Inner
        && !join.on.iter().any(|(left, right)| has_subquery(left) || has_subquery(right))
    {
        let filter = datafusion_expr::utils::conjunction(plain);
        let inner = LogicalPlan::Join(Join { filter, ..join.clone() });
        let kept = predicate::keep(inner, asking, names)?;
        return build::only_columns_of(kept, &join.schema);
    }
    let mut left = join.left.as_ref().clone();
    let mut right = join.right.as_ref().clone();
    let mut condition = plain;
    for part in asking {
        condition.push(one_sided(part, &mut left, &mut right, names)?);
    }
    let rebuilt = Join::try_new(
        Arc::new(left),
        Arc::new(right),
        join.on.clone(),
        datafusion_expr::utils::conjunction(condition),
        join.join_type,
        join.join_constraint,
        join.null_equality,
        join.null_aware,
    )?;
    build::only_columns_of(LogicalPlan::Join(rebuilt), &join.schema)
}

/// `part` of a join's condition with its subqueries computed on the side that they depend on.
fn one_sided(part: Expr, left: &mut LogicalPlan, right: &mut LogicalPlan, names: &mut Names) -> Result<Expr> {
    let depends_on = |side: &LogicalPlan| -> Result<bool> {
        let outer = Outer::new(side);
        let mut found = false;
        for subquery in predicate::subqueries_of(&part) {
            found |= outer.is_in_plan(&subquery)?;
        }
        for tested in predicate::tested_of(&part) {
            found |= tested.column_refs().into_iter().any(|column| side.schema().has_column(column));
        }
        Ok(found)
    };
    match (depends_on(left)?, depends_on(right)?) {
        (true, true) => Err(Error::not_supported("a subquery in ON of an outer join that names both sides")),
        (true, false) => predicate::value(left, part, names),
        (false, _) => predicate::value(right, part, names),
    }
}
