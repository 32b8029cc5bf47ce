//! Scalar subqueries: an outer join that adds their one column.
//!
//! Where a subquery may have several rows for an outer row they are counted per key, and `single_row` raises the error
//! where the value is used: not before the join, because keys that no outer row has may well have several rows.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion_common::{Column, JoinType};
use datafusion_expr::logical_plan::Aggregate;
use datafusion_expr::{Expr, ExprSchemable, LogicalPlan, lit, when};

use super::super::folded::folded;
use super::build::{self, Names, bare};
use super::correlated::{Correlated, or_default, with_match};
use super::outer::{Outer, columns_of, replace_columns};
use super::pull::pull;
use crate::error::{Error, Result};
use crate::expr::{functions, single_row};

/// Adds to `input` what `subquery` needs; gives its value.
pub(super) fn attach(input: &mut LogicalPlan, subquery: &LogicalPlan, names: &mut Names) -> Result<Expr> {
    let (source, value) = peeled(subquery)?;
    let left = std::mem::take(input);
    let outer = Outer::new(&left);
    let (joined, value) = if is_empty_row(source) {
        let value = outer.resolve(value)?;
        (left.clone(), value)
    } else if outer.is_in_plan(source)? {
        attach_correlated(&outer, source, value, names)?
    } else {
        attach_constant(&outer, source, value, names)?
    };
    *input = joined;
    Ok(value)
}

/// Whether the subquery has exactly one row for every outer row.
pub(super) fn is_one_row(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(node) => is_one_row(&node.input),
        LogicalPlan::SubqueryAlias(node) => is_one_row(&node.input),
        LogicalPlan::Aggregate(node) => node.group_expr.is_empty(),
        other => is_empty_row(other),
    }
}

fn is_empty_row(plan: &LogicalPlan) -> bool {
    matches!(plan, LogicalPlan::EmptyRelation(empty) if empty.produce_one_row)
}

/// The plan below the projections on top, and the subquery's value over its columns.
fn peeled(subquery: &LogicalPlan) -> Result<(&LogicalPlan, Expr)> {
    let columns = subquery.schema().columns();
    let [output] = columns.as_slice() else {
        return Err(Error::internal("a scalar subquery without a single column"));
    };
    let mut plan = subquery;
    let mut value = Expr::Column(output.clone());
    loop {
        let (input, replacement): (&LogicalPlan, HashMap<Column, Expr>) = match plan {
            LogicalPlan::Projection(node) if !node.expr.iter().any(Expr::is_volatile) => {
                let exprs = node.expr.iter().cloned().map(Expr::unalias);
                (&node.input, node.schema.columns().into_iter().zip(exprs).collect())
            }
            LogicalPlan::SubqueryAlias(node) => {
                let inner = node.input.schema().columns().into_iter().map(Expr::Column);
                (&node.input, node.schema.columns().into_iter().zip(inner).collect())
            }
            LogicalPlan::Sort(node) if node.fetch.is_none() => (&node.input, HashMap::new()),
            _ => return Ok((plan, value)),
        };
        value = replace_columns(value, &replacement)?;
        plan = input;
    }
}

/// A subquery that is the same for every row.
fn attach_constant(outer: &Outer, source: &LogicalPlan, value: Expr, names: &mut Names) -> Result<(LogicalPlan, Expr)> {
    let mut value = value;
    let mut plan = source.clone();
    let mut always = is_one_row(source);
    let single = plan.max_rows().is_some_and(|rows| rows <= 1);
    if !single && !always {
        let (counted, count, columns) = one_of(plan, &[], &value, names)?;
        value = single_row(replace_columns(value, &columns)?, count);
        (plan, always) = (counted, true);
    }
    if !outer.is_in(&value) {
        let name = names.copy_of(&value);
        plan = build::project(plan, vec![value.alias(&name)])?;
        let join_type = if always { JoinType::Inner } else { JoinType::Left };
        return Ok((build::join(outer.plan.clone(), plan, join_type, Vec::new())?, bare(&name)));
    }
    let mut pulled = Correlated::independent(plan);
    pulled.single = true;
    join_value(outer, pulled, value, None, !always, names)
}

fn attach_correlated(
    outer: &Outer,
    source: &LogicalPlan,
    value: Expr,
    names: &mut Names,
) -> Result<(LogicalPlan, Expr)> {
    let mut pulled = pull(source, outer, names)?;
    let mut value = value;
    let mut count = None;
    if !pulled.single {
        pulled.settle(outer, names)?;
        let groups: Vec<Expr> = pulled.keys.iter().map(|key| key.inner.clone()).collect();
        let plan = std::mem::take(&mut pulled.plan);
        let (counted, rows, columns) = one_of(plan, &groups, &value, names)?;
        for (key, group) in pulled.keys.iter_mut().zip(counted.schema().columns()) {
            key.inner = Expr::Column(group);
        }
        pulled.plan = counted;
        value = replace_columns(value, &columns)?;
        count = Some(rows);
    }
    let default = match &pulled.on_empty {
        Some(defaults) => Some(folded(replace_columns(value.clone(), defaults)?)?),
        None => None,
    };
    if let Some(default) = default {
        pulled.on_empty = None;
        let (joined, value, matched) = join_matched(outer, pulled, value, names)?;
        return Ok((joined, or_default(value, &matched, outer.resolve(default)?)?));
    }
    join_value(outer, pulled, value, count, true, names)
}

/// The rows of `plan` per group: the groups, how many rows, and one value of every column that `value` reads.
fn one_of(
    plan: LogicalPlan,
    groups: &[Expr],
    value: &Expr,
    names: &mut Names,
) -> Result<(LogicalPlan, Expr, HashMap<Column, Expr>)> {
    let count = names.next("rows");
    let mut calls = vec![call("count", lit(1_i64))?.alias(&count)];
    let mut columns = HashMap::new();
    for column in columns_of([value]) {
        let expr = Expr::Column(column.clone());
        let name = names.copy_of(&expr);
        let data_type = expr.get_type(plan.schema())?;
        // Of a single row they are the same, and MIN keeps one value per group in the least space.
        let function = if data_type.is_nested() || data_type.is_null() { "first_value" } else { "min" };
        calls.push(call(function, expr)?.alias(&name));
        columns.insert(column, bare(&name));
    }
    let groups = groups.iter().map(|group| group.clone().alias(names.copy_of(group))).collect();
    let counted = LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(plan), groups, calls)?);
    Ok((counted, bare(&count), columns))
}

fn call(name: &str, argument: Expr) -> Result<Expr> {
    let function = functions().aggregate.get(name);
    let function = function.ok_or_else(|| Error::internal(format!("there is no function {name}")))?;
    Ok(function.call(vec![argument]))
}

/// Joins the outer rows with theirs of `pulled`; `value` is NULL where there is none.
fn join_value(
    outer: &Outer,
    mut pulled: Correlated,
    value: Expr,
    count: Option<Expr>,
    may_miss: bool,
    names: &mut Names,
) -> Result<(LogicalPlan, Expr)> {
    let guarded = may_miss && !matches!(value, Expr::Column(_)) && outer.is_in(&value);
    let checked = |value: Expr, count: Option<Expr>| match count {
        Some(count) => single_row(value, count),
        None => value,
    };
    if guarded {
        let value = checked(value, count);
        let (joined, value, matched) = join_matched(outer, pulled, value, names)?;
        return Ok((joined, when(matched.is_not_null(), value).end()?));
    }
    let value = pulled.reduce(std::iter::once(value).chain(count).collect(), outer, names)?;
    let conditions = pulled.join_conditions(outer)?;
    let join_type = if may_miss { JoinType::Left } else { JoinType::Inner };
    let joined = build::join(outer.plan.clone(), pulled.plan, join_type, conditions)?;
    let value = match value.as_slice() {
        [value, count] => checked(outer.resolve(value.clone())?, Some(count.clone())),
        [value] => outer.resolve(value.clone())?,
        _ => return Err(Error::internal("a scalar subquery without a value")),
    };
    Ok((joined, value))
}

/// Joins the outer rows with theirs of `pulled`; gives the value and what is NULL where there is none.
fn join_matched(
    outer: &Outer,
    mut pulled: Correlated,
    value: Expr,
    names: &mut Names,
) -> Result<(LogicalPlan, Expr, Expr)> {
    let plan = std::mem::take(&mut pulled.plan);
    let (plan, matched) = with_match(plan, names)?;
    pulled.plan = plan;
    let exprs = pulled.reduce(vec![value, matched], outer, names)?;
    let conditions = pulled.join_conditions(outer)?;
    let joined = build::join(outer.plan.clone(), pulled.plan, JoinType::Left, conditions)?;
    match <[Expr; 2]>::try_from(exprs) {
        Ok([value, matched]) => Ok((joined, outer.resolve(value)?, matched)),
        Err(_) => Err(Error::internal("a scalar subquery without a value")),
    }
}
