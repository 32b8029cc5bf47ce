//! LATERAL: the right side of a join that names rows of the left.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_common::{Column, JoinType};
use datafusion_expr::logical_plan::{Join, Unnest};
use datafusion_expr::utils::split_conjunction;
use datafusion_expr::{Expr, LogicalPlan, lit, when};

use super::super::folded::folded;
use super::build::{self, Names};
use super::correlated::{Correlated, or_default, with_match};
use super::outer::{Outer, replace_columns};
use super::pull::pull;
use crate::error::{Error, Result};

/// `join` without references from its right to its left side.
pub(super) fn join(join: Join, names: &mut Names) -> Result<LogicalPlan> {
    let outer = Outer::new(&join.left);
    if !outer.is_in_plan(&join.right)? {
        return Ok(LogicalPlan::Join(join));
    }
    if !matches!(join.join_type, JoinType::Inner | JoinType::Left) {
        return Err(Error::not_supported(format!("LATERAL in a {} join", join.join_type)));
    }
    let lateral = Lateral::of(&join)?;
    lateral.joined(&outer, names)
}

/// The right side below the projections that name the left.
struct Lateral<'a> {
    join: &'a Join,
    source: &'a LogicalPlan,
    /// The right side's columns over those of `source`.
    outputs: Vec<Expr>,
}

impl<'a> Lateral<'a> {
    fn of(join: &'a Join) -> Result<Self> {
        let mut source = join.right.as_ref();
        let mut outputs: Vec<Expr> = build::columns(source.schema());
        loop {
            let (input, replacement): (&LogicalPlan, HashMap<Column, Expr>) = match source {
                LogicalPlan::Projection(node) if !node.expr.iter().any(Expr::is_volatile) => {
                    let exprs = node.expr.iter().cloned().map(Expr::unalias);
                    (&node.input, node.schema.columns().into_iter().zip(exprs).collect())
                }
                LogicalPlan::SubqueryAlias(node) => {
                    let inner = node.input.schema().columns().into_iter().map(Expr::Column);
                    (&node.input, node.schema.columns().into_iter().zip(inner).collect())
                }
                _ => return Ok(Lateral { join, source, outputs }),
            };
            for output in &mut outputs {
                *output = replace_columns(output.clone(), &replacement)?;
            }
            source = input;
        }
    }

    fn joined(&self, outer: &Outer, names: &mut Names) -> Result<LogicalPlan> {
        if let Some(plan) = self.over_elements(outer)? {
            return Ok(plan);
        }
        let mut pulled = pull(self.source, outer, names)?;
        let condition = self.condition(outer)?;
        if pulled.on_empty.is_some() && self.keeps_all() && !condition.is_empty() {
            pulled.fill(outer, names)?;
        }
        match pulled.on_empty.take() {
            Some(defaults) => self.always(outer, pulled, &defaults, names),
            None => {
                for part in condition {
                    pulled.add_condition(part, outer)?;
                }
                self.matching(outer, pulled, names)
            }
        }
    }

    fn keeps_all(&self) -> bool {
        self.join.join_type == JoinType::Left
    }

    /// The ON condition as one of the right side: over its columns and the outer row.
    fn condition(&self, outer: &Outer) -> Result<Vec<Expr>> {
        let columns = self.join.right.schema().columns();
        let outputs: HashMap<Column, Expr> = columns.into_iter().zip(self.outputs.iter().cloned()).collect();
        let replaced = |part: Expr| -> Result<Expr> {
            let replaced = part.transform(|part| {
                Ok(match &part {
                    Expr::Column(column) => Transformed::yes(match outputs.get(column) {
                        Some(output) => output.clone(),
                        None => outer.reference(column)?,
                    }),
                    _ => Transformed::no(part),
                })
            })?;
            Ok(replaced.data)
        };
        self.written().into_iter().map(replaced).collect()
    }

    /// The ON condition over the columns of the join.
    fn written(&self) -> Vec<Expr> {
        let keys = self.join.on.iter().map(|(left, right)| left.clone().eq(right.clone()));
        let rest = self.join.filter.iter().flat_map(split_conjunction).cloned();
        keys.chain(rest).filter(|part| *part != lit(true)).collect()
    }

    /// Rows of the left with their rows of the right.
    fn matching(&self, outer: &Outer, mut pulled: Correlated, names: &mut Names) -> Result<LogicalPlan> {
        let guarded = |output: &Expr| self.keeps_all() && outer.is_in(output);
        let mut exprs = self.outputs.clone();
        if self.outputs.iter().any(guarded) {
            let (plan, matched) = with_match(std::mem::take(&mut pulled.plan), names)?;
            pulled.plan = plan;
            exprs.push(matched);
        }
        let exprs = pulled.reduce(exprs, outer, names)?;
        let conditions = pulled.join_conditions(outer)?;
        let joined = build::join(outer.plan.clone(), pulled.plan, self.join.join_type, conditions)?;
        let matched = exprs.get(self.outputs.len());
        let outputs = exprs
            .iter()
            .zip(&self.outputs)
            .map(|(expr, output)| {
                let value = outer.resolve(expr.clone())?;
                Ok(match matched {
                    Some(matched) if guarded(output) => when(matched.clone().is_not_null(), value).end()?,
                    _ => value,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        self.projected(joined, outer, outputs)
    }

    /// Rows of the left, each with exactly one of the right: what is not there is its default.
    fn always(
        &self,
        outer: &Outer,
        mut pulled: Correlated,
        defaults: &HashMap<Column, Expr>,
        names: &mut Names,
    ) -> Result<LogicalPlan> {
        let (plan, matched) = with_match(std::mem::take(&mut pulled.plan), names)?;
        pulled.plan = plan;
        let exprs = pulled.reduce(self.outputs.iter().cloned().chain([matched]).collect(), outer, names)?;
        let conditions = pulled.join_conditions(outer)?;
        let joined = build::join(outer.plan.clone(), pulled.plan, JoinType::Left, conditions)?;
        let Some((matched, values)) = exprs.split_last() else {
            return Err(Error::internal("a lateral subquery without columns"));
        };
        let outputs = values
            .iter()
            .zip(&self.outputs)
            .map(|(value, output)| {
                let default = folded(outer.resolve(replace_columns(output.clone(), defaults)?)?)?;
                or_default(outer.resolve(value.clone())?, matched, default)
            })
            .collect::<Result<Vec<_>>>()?;
        build::filter(self.projected(joined, outer, outputs)?, self.written())
    }

    /// The right side is made of the left row alone: its expressions, or the elements of its lists.
    fn over_elements(&self, outer: &Outer) -> Result<Option<LogicalPlan>> {
        if self.join.join_type != JoinType::Inner {
            return Ok(None);
        }
        let plan = match self.source {
            LogicalPlan::EmptyRelation(empty) if empty.produce_one_row => outer.plan.clone(),
            LogicalPlan::Unnest(unnest) => match unnest.input.as_ref() {
                LogicalPlan::Projection(lists) if is_one_row(&lists.input) => {
                    let mut exprs = build::columns(outer.plan.schema());
                    for (index, list) in lists.expr.iter().enumerate() {
                        exprs.push(build::named_as(outer.resolve(list.clone())?, &lists.schema, index));
                    }
                    let input = build::project(outer.plan.clone(), exprs)?;
                    let options = unnest.options.clone();
                    LogicalPlan::Unnest(Unnest::try_new(Arc::new(input), unnest.exec_columns.clone(), options)?)
                }
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        let condition = self.condition(outer)?.into_iter().map(|part| outer.resolve(part)).collect::<Result<_>>()?;
        let plan = build::filter(plan, condition)?;
        let outputs = self.outputs.iter().map(|output| outer.resolve(output.clone())).collect::<Result<Vec<_>>>()?;
        Ok(Some(self.projected(plan, outer, outputs)?))
    }

    /// The columns of the join.
    fn projected(&self, plan: LogicalPlan, outer: &Outer, outputs: Vec<Expr>) -> Result<LogicalPlan> {
        let mut exprs = build::columns(outer.plan.schema());
        let first = exprs.len();
        for (index, output) in outputs.into_iter().enumerate() {
            exprs.push(build::named_as(output, &self.join.schema, first + index));
        }
        build::project(plan, exprs)
    }
}

fn is_one_row(plan: &LogicalPlan) -> bool {
    matches!(plan, LogicalPlan::EmptyRelation(empty) if empty.produce_one_row)
}
