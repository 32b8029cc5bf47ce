//! Outer references: which columns of the outer rows a subquery names, and putting other expressions in their place.
//!
//! Invariant: an outer reference belongs to the nearest enclosing plan that has its column. Subqueries are taken apart
//! from the inside outwards, so whatever names the plan at hand is its own, and the rest belongs further out.

use std::collections::{HashMap, HashSet};

use datafusion_common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion_common::{Column, Result as PlanResult};
use datafusion_expr::{Expr, LogicalPlan};

use crate::error::Result;

/// The rows for which a subquery is evaluated.
pub(super) struct Outer<'a> {
    /// Gives one row for every evaluation.
    pub plan: &'a LogicalPlan,
    columns: HashSet<Column>,
}

impl<'a> Outer<'a> {
    pub(super) fn new(plan: &'a LogicalPlan) -> Self {
        Outer { plan, columns: plan.schema().columns().into_iter().collect() }
    }

    /// The column of these rows that `expr` itself names.
    pub(super) fn column<'e>(&self, expr: &'e Expr) -> Option<&'e Column> {
        match expr {
            Expr::OuterReferenceColumn(_, column) if self.columns.contains(column) => Some(column),
            _ => None,
        }
    }

    /// Whether any part of `expr` names these rows.
    pub(super) fn is_in(&self, expr: &Expr) -> bool {
        let mut found = false;
        // The closure cannot fail.
        let _ = expr.apply(|part| {
            found = found || self.column(part).is_some();
            Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        });
        found
    }

    /// Whether any expression of `plan` names these rows.
    pub(super) fn is_in_plan(&self, plan: &LogicalPlan) -> Result<bool> {
        let mut found = false;
        plan.apply(|node| {
            node.apply_expressions(|expr| {
                found = found || self.is_in(expr);
                Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
            })?;
            Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })?;
        Ok(found)
    }

    /// The columns of these rows that `exprs` name, each once, in the order of their first use.
    pub(super) fn columns_of<'e>(&self, exprs: impl IntoIterator<Item = &'e Expr>) -> Vec<Column> {
        let mut columns = Vec::new();
        for expr in exprs {
            let _ = expr.apply(|part| {
                if let Some(column) = self.column(part)
                    && !columns.contains(column)
                {
                    columns.push(column.clone());
                }
                Ok(TreeNodeRecursion::Continue)
            });
        }
        columns
    }

    /// `expr` above a join with the outer rows: its outer references are plain columns.
    pub(super) fn resolve(&self, expr: Expr) -> Result<Expr> {
        self.substitute(expr, |column| Some(Expr::Column(column.clone())))
    }

    /// `expr` with other expressions for its outer references, where `replacement` has one.
    pub(super) fn substitute(&self, expr: Expr, replacement: impl Fn(&Column) -> Option<Expr>) -> Result<Expr> {
        let substituted = expr.transform(|part| {
            Ok(match self.column(&part).and_then(&replacement) {
                Some(other) => Transformed::yes(other),
                None => Transformed::no(part),
            })
        })?;
        Ok(substituted.data)
    }

    /// The expression by which a subquery names `column`.
    pub(super) fn reference(&self, column: &Column) -> Result<Expr> {
        let index = self.plan.schema().index_of_column(column)?;
        let field = self.plan.schema().field(index).clone();
        Ok(Expr::OuterReferenceColumn(field, column.clone()))
    }

    /// Whether `column` may be NULL.
    pub(super) fn is_nullable(&self, column: &Column) -> Result<bool> {
        let index = self.plan.schema().index_of_column(column)?;
        Ok(self.plan.schema().field(index).is_nullable())
    }
}

/// `expr` with columns replaced by name.
pub(super) fn replace_columns(expr: Expr, replacement: &HashMap<Column, Expr>) -> Result<Expr> {
    let replaced = expr.transform(|part| {
        Ok(match &part {
            Expr::Column(column) => match replacement.get(column) {
                Some(other) => Transformed::yes(other.clone()),
                None => Transformed::no(part),
            },
            _ => Transformed::no(part),
        })
    })?;
    Ok(replaced.data)
}

/// The columns that `exprs` read, each once, in the order of their first use.
pub(super) fn columns_of<'e>(exprs: impl IntoIterator<Item = &'e Expr>) -> Vec<Column> {
    let mut columns: Vec<Column> = Vec::new();
    for expr in exprs {
        let _ = expr.apply(|part| {
            if let Expr::Column(column) = part
                && !columns.contains(column)
            {
                columns.push(column.clone());
            }
            Ok(TreeNodeRecursion::Continue)
        });
    }
    columns
}

/// Whether any node of `plan` names a row outside of it, of whichever level.
pub(super) fn has_outer_references(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply(|node| {
        node.apply_expressions(|expr| {
            found = found || expr.exists(|part| Ok(matches!(part, Expr::OuterReferenceColumn(..))))?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

/// The first outer reference of `plan`: one that no plan around it has.
pub(super) fn first_outer_reference(plan: &LogicalPlan) -> Result<Option<Column>> {
    let mut found: Option<Column> = None;
    plan.apply(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                if let (None, Expr::OuterReferenceColumn(_, column)) = (&found, part) {
                    found = Some(column.clone());
                }
                PlanResult::Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(found)
}
