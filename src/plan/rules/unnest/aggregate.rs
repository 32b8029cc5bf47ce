//! Aggregates of a correlated plan: the keys join the GROUP BY.
//!
//! An aggregate without GROUP BY has a row even over nothing, but no group of the keys stands for nothing: what its
//! columns are then goes along as `on_empty` (0 for counts, NULL for most others).

use std::collections::HashMap;
use std::sync::Arc;

use chrono::Utc;
use datafusion_common::{Column, DFSchema};
use datafusion_expr::expr::GroupingSet;
use datafusion_expr::logical_plan::Aggregate;
use datafusion_expr::simplify::SimplifyContext;
use datafusion_expr::utils::enumerate_grouping_sets;
use datafusion_expr::{Expr, ExprSchemable, LogicalPlan, lit};
use datafusion_optimizer::simplify_expressions::ExprSimplifier;

use super::build::{self, Names, bare};
use super::correlated::Correlated;
use super::outer::Outer;
use crate::error::Result;

pub(super) fn pull(node: &Aggregate, outer: &Outer, names: &mut Names) -> Result<Correlated> {
    let mut input = super::pull::pull(&node.input, outer, names)?;
    input.settle(outer, names)?;
    let exprs = node.group_expr.iter().chain(&node.aggr_expr);
    let bound = input.bind(outer.columns_of(exprs), outer, names)?;
    let substitute = |expr: &Expr| outer.substitute(expr.clone(), |column| bound.get(column).cloned());
    let mut groups = node.group_expr.iter().map(substitute).collect::<Result<Vec<_>>>()?;
    let calls = node.aggr_expr.iter().map(substitute).collect::<Result<Vec<_>>>()?;
    let on_empty = if groups.is_empty() { Some(defaults(node)?) } else { None };

    let key_names = add_keys(&mut groups, &input, names)?;
    let aggregated = LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(input.plan), groups, calls)?);
    let columns = aggregated.schema().columns();
    // Groups, then keys, then calls; with grouping sets their number stands between.
    let mut output = Vec::with_capacity(columns.len());
    let mut carried = Vec::new();
    for (index, column) in columns.into_iter().enumerate() {
        let is_key = column.relation.is_none() && key_names.contains(&column.name);
        let expr = Expr::Column(column);
        if is_key {
            carried.push(expr);
        } else {
            let original = index - carried.len();
            output.push(build::named_as(expr, &node.schema, original));
        }
    }
    output.extend(carried);
    input.plan = build::project(aggregated, output)?;
    for (key, name) in input.keys.iter_mut().zip(&key_names) {
        key.inner = bare(name);
    }
    input.single = on_empty.is_some();
    input.on_empty = on_empty;
    Ok(input)
}

/// Adds the keys to the groups, to each of them where there are several sets; gives their names.
fn add_keys(groups: &mut Vec<Expr>, input: &Correlated, names: &mut Names) -> Result<Vec<String>> {
    let mut key_names = Vec::with_capacity(input.keys.len());
    let mut keys = Vec::with_capacity(input.keys.len());
    for key in &input.keys {
        let name = names.copy_of(&key.inner);
        keys.push(key.inner.clone().alias(&name));
        key_names.push(name);
    }
    if groups.iter().any(|group| matches!(group, Expr::GroupingSet(_))) {
        let sets = enumerate_grouping_sets(std::mem::take(groups))?;
        let mut with_keys = Vec::new();
        for set in sets {
            if let Expr::GroupingSet(set) = set {
                with_keys.extend(sets_of(&set, &keys)?);
            }
        }
        groups.push(Expr::GroupingSet(GroupingSet::GroupingSets(with_keys)));
    } else {
        groups.extend(keys);
    }
    Ok(key_names)
}

fn sets_of(set: &GroupingSet, keys: &[Expr]) -> Result<Vec<Vec<Expr>>> {
    let sets: Vec<Vec<Expr>> = match set {
        GroupingSet::GroupingSets(sets) => sets.clone(),
        GroupingSet::Rollup(exprs) => (0..=exprs.len()).rev().map(|length| exprs[..length].to_vec()).collect(),
        GroupingSet::Cube(exprs) => (0..1_usize << exprs.len().min(16))
            .map(|bits| {
                exprs.iter().enumerate().filter(|(index, _)| bits & (1 << index) == 0).map(|(_, e)| e.clone()).collect()
            })
            .collect(),
    };
    Ok(sets.into_iter().map(|set| set.into_iter().chain(keys.iter().cloned()).collect()).collect())
}

/// What the calls are over no rows.
fn defaults(node: &Aggregate) -> Result<HashMap<Column, Expr>> {
    let mut defaults = HashMap::new();
    let columns = node.schema.columns();
    for (call, column) in node.aggr_expr.iter().zip(columns) {
        let data_type = call.get_type(node.input.schema())?;
        let value = match call.clone().unalias() {
            Expr::AggregateFunction(function) => function.func.default_value(&data_type)?,
            _ => datafusion_common::ScalarValue::try_from(&data_type)?,
        };
        defaults.insert(column, lit(value));
    }
    Ok(defaults)
}

/// A constant expression as its value, where it has one.
pub(super) fn folded(expr: Expr) -> Result<Expr> {
    let context = SimplifyContext::builder()
        .with_schema(Arc::new(DFSchema::empty()))
        .with_query_execution_start_time(Some(Utc::now()))
        .build();
    Ok(ExprSimplifier::new(context).simplify(expr.clone()).unwrap_or(expr))
}
