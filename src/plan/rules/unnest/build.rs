//! Plan nodes made in one call each.

use std::sync::Arc;

use datafusion_common::{Column, DFSchema, NullEquality};
use datafusion_expr::logical_plan::{Filter, Join, JoinConstraint, Projection};
use datafusion_expr::utils::conjunction;
use datafusion_expr::{Expr, JoinType, LogicalPlan, lit};

use crate::error::Result;

/// Names for columns that the statement does not have: `#` keeps them apart from what a user is likely to write.
#[derive(Debug, Default)]
pub(super) struct Names {
    used: usize,
}

impl Names {
    /// A name that no other column has.
    pub(super) fn next(&mut self, stem: &str) -> String {
        self.used += 1;
        format!("{stem}#{}", self.used)
    }

    /// A name for a copy of `expr`.
    pub(super) fn copy_of(&mut self, expr: &Expr) -> String {
        match expr {
            Expr::Column(column) => {
                let stem = column.name.split('#').next().unwrap_or_default();
                let plain = !stem.is_empty() && stem.chars().all(|c| c.is_alphanumeric() || c == '_');
                if plain { self.next(stem) } else { self.next("value") }
            }
            _ => self.next("value"),
        }
    }
}

pub(super) fn filter(input: LogicalPlan, predicates: Vec<Expr>) -> Result<LogicalPlan> {
    Ok(match conjunction(predicates) {
        Some(predicate) => LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(input))?),
        None => input,
    })
}

pub(super) fn project(input: LogicalPlan, exprs: Vec<Expr>) -> Result<LogicalPlan> {
    Ok(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(input))?))
}

/// Only the columns of `schema`, in its order.
pub(super) fn only_columns_of(input: LogicalPlan, schema: &DFSchema) -> Result<LogicalPlan> {
    if input.schema().fields().len() == schema.fields().len() {
        return Ok(input);
    }
    project(input, columns(schema))
}

/// Every column of `schema` as an expression.
pub(super) fn columns(schema: &DFSchema) -> Vec<Expr> {
    schema.columns().into_iter().map(Expr::Column).collect()
}

/// A join on all of `conditions`; none joins every pair.
pub(super) fn join(
    left: LogicalPlan,
    right: LogicalPlan,
    join_type: JoinType,
    conditions: Vec<Expr>,
) -> Result<LogicalPlan> {
    let filter = match (conjunction(conditions), join_type) {
        (None, JoinType::Inner) => None,
        (condition, _) => Some(condition.unwrap_or_else(|| lit(true))),
    };
    joined(left, right, join_type, filter, false)
}

/// The join of `left NOT IN right`: a NULL among the right values leaves nothing.
pub(super) fn null_aware_anti_join(left: LogicalPlan, right: LogicalPlan, condition: Expr) -> Result<LogicalPlan> {
    joined(left, right, JoinType::LeftAnti, Some(condition), true)
}

fn joined(
    left: LogicalPlan,
    right: LogicalPlan,
    join_type: JoinType,
    filter: Option<Expr>,
    null_aware: bool,
) -> Result<LogicalPlan> {
    Ok(LogicalPlan::Join(Join::try_new(
        Arc::new(left),
        Arc::new(right),
        Vec::new(),
        filter,
        join_type,
        JoinConstraint::On,
        NullEquality::NullEqualsNothing,
        null_aware,
    )?))
}

/// `expr` under the name of the field at `index` of `schema`.
pub(super) fn named_as(expr: Expr, schema: &DFSchema, index: usize) -> Expr {
    let (qualifier, field) = schema.qualified_field(index);
    if let Expr::Column(column) = &expr
        && column.relation.as_ref() == qualifier
        && column.name == *field.name()
    {
        return expr;
    }
    expr.alias_qualified(qualifier.cloned(), field.name())
}

/// A column without qualifier.
pub(super) fn bare(name: &str) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}
