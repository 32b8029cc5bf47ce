//! Aggregates of a correlated plan: the keys join the GROUP BY.
//!
//! An aggregate without GROUP BY has a row even over nothing, but no group of the keys stands for nothing: what its
//! columns are then goes along as `on_empty` (0 for counts, NULL for most others). A grouping set `()` is such an aggregate:
//! it is united with the other sets.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion_common::{Column, ScalarValue};
use datafusion_expr::expr::GroupingSet;
use datafusion_expr::logical_plan::{Aggregate, Union};
use datafusion_expr::utils::enumerate_grouping_sets;
use datafusion_expr::{Expr, ExprSchemable, LogicalPlan, Operator, binary_expr, cast, lit};

use super::build::{self, Names, bare};
use super::correlated::Correlated;
use super::outer::Outer;
use crate::error::{Error, Result};
use crate::expr::functions;

pub(super) fn pull(node: &Aggregate, outer: &Outer, names: &mut Names) -> Result<Correlated> {
    match without_empty_sets(node)? {
        Some(united) => super::pull::pull(&united, outer, names),
        None => pull_groups(node, outer, names),
    }
}

fn pull_groups(node: &Aggregate, outer: &Outer, names: &mut Names) -> Result<Correlated> {
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
    // Groups and then keys, or with grouping sets keys, groups and the set's number; then calls.
    let mut output = Vec::with_capacity(columns.len());
    let mut carried = Vec::new();
    for (index, column) in columns.into_iter().enumerate() {
        let is_key = column.relation.is_none() && key_names.contains(&column.name);
        let is_number = column.relation.is_none() && column.name == Aggregate::INTERNAL_GROUPING_ID;
        let expr = Expr::Column(column);
        if is_key {
            carried.push(expr);
        } else {
            let original = index - carried.len();
            let expr = if is_number { set_number(expr, node, original) } else { expr };
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
                // In front, so that the groups keep their bits in the set's number.
                with_keys.extend(sets_of(&set).into_iter().map(|set| keys.iter().cloned().chain(set).collect()));
            }
        }
        groups.push(Expr::GroupingSet(GroupingSet::GroupingSets(with_keys)));
    } else {
        groups.extend(keys);
    }
    Ok(key_names)
}

/// The number of a grouping set of more keys as that of `node`, whose keys have the lowest bits.
fn set_number(number: Expr, node: &Aggregate, index: usize) -> Expr {
    let mask = (1_u64 << index.min(63)) - 1;
    cast(binary_expr(cast(number, DataType::UInt64), Operator::BitwiseAnd, lit(mask)), number_type(node, index))
}

fn number_type(node: &Aggregate, index: usize) -> DataType {
    node.schema.fields().get(index).map_or(DataType::UInt64, |field| field.data_type().clone())
}

/// Whether one of the grouping sets is `()`, which has a row even where there are none.
pub(super) fn has_empty_set(node: &Aggregate) -> bool {
    match node.group_expr.as_slice() {
        [] => true,
        [Expr::GroupingSet(GroupingSet::GroupingSets(sets))] => sets.iter().any(Vec::is_empty),
        [Expr::GroupingSet(_)] => true,
        _ => false,
    }
}

/// The union of the aggregate by all grouping sets but `()`, and of one without GROUP BY for each `()`.
fn without_empty_sets(node: &Aggregate) -> Result<Option<LogicalPlan>> {
    let [Expr::GroupingSet(set)] = node.group_expr.as_slice() else { return Ok(None) };
    let (empty, others): (Vec<_>, Vec<_>) = sets_of(set).into_iter().partition(Vec::is_empty);
    if empty.is_empty() {
        return Ok(None);
    }
    let mut inputs = Vec::new();
    if !others.is_empty() {
        let groups = vec![Expr::GroupingSet(GroupingSet::GroupingSets(others))];
        let grouped = Aggregate::try_new(node.input.clone(), groups, node.aggr_expr.clone())?;
        let columns = grouped.schema.columns().into_iter().enumerate();
        let exprs = columns.map(|(index, column)| {
            let wanted = node.schema.field(index).data_type();
            let column = Expr::Column(column);
            // Only the type of the set's number can be another.
            let same = grouped.schema.field(index).data_type() == wanted;
            build::named_as(if same { column } else { cast(column, wanted.clone()) }, &node.schema, index)
        });
        let exprs = exprs.collect();
        inputs.push(Arc::new(build::project(LogicalPlan::Aggregate(grouped), exprs)?));
    }
    for _ in empty {
        inputs.push(Arc::new(whole(node)?));
    }
    Ok(Some(match <[Arc<LogicalPlan>; 1]>::try_from(inputs) {
        Ok([only]) => only.as_ref().clone(),
        Err(inputs) => LogicalPlan::Union(Union { inputs, schema: node.schema.clone() }),
    }))
}

/// All rows as one group, with the columns of `node`.
fn whole(node: &Aggregate) -> Result<LogicalPlan> {
    let number = node.schema.fields().len().saturating_sub(node.aggr_expr.len() + 1);
    let aggregated = Aggregate::try_new(node.input.clone(), Vec::new(), calls_or_count(node)?)?;
    let calls = aggregated.schema.columns();
    let exprs = node.schema.fields().iter().enumerate().map(|(index, field)| {
        let call = index.checked_sub(number + 1).and_then(|call| calls.get(call));
        let expr = match call {
            Some(call) => Expr::Column(call.clone()),
            None if index == number => cast(lit((1_u64 << number.min(63)) - 1), field.data_type().clone()),
            None => lit(ScalarValue::try_from(field.data_type())?),
        };
        Ok(build::named_as(expr, &node.schema, index))
    });
    let exprs = exprs.collect::<Result<_>>()?;
    build::project(LogicalPlan::Aggregate(aggregated), exprs)
}

/// An aggregate without GROUP BY must have a call.
fn calls_or_count(node: &Aggregate) -> Result<Vec<Expr>> {
    if !node.aggr_expr.is_empty() {
        return Ok(node.aggr_expr.clone());
    }
    let count = functions().aggregate.get("count").ok_or_else(|| Error::internal("there is no count"))?;
    Ok(vec![count.call(vec![lit(1_i64)])])
}

fn sets_of(set: &GroupingSet) -> Vec<Vec<Expr>> {
    match set {
        GroupingSet::GroupingSets(sets) => sets.clone(),
        GroupingSet::Rollup(exprs) => (0..=exprs.len()).rev().map(|length| exprs[..length].to_vec()).collect(),
        GroupingSet::Cube(exprs) => (0..1_usize << exprs.len().min(16))
            .map(|bits| {
                exprs.iter().enumerate().filter(|(index, _)| bits & (1 << index) == 0).map(|(_, e)| e.clone()).collect()
            })
            .collect(),
    }
}

/// What the calls are over no rows.
fn defaults(node: &Aggregate) -> Result<HashMap<Column, Expr>> {
    let mut defaults = HashMap::new();
    let columns = node.schema.columns();
    for (call, column) in node.aggr_expr.iter().zip(columns) {
        let data_type = call.get_type(node.input.schema())?;
        let value = match call.clone().unalias() {
            Expr::AggregateFunction(function) => function.func.default_value(&data_type)?,
            _ => ScalarValue::try_from(&data_type)?,
        };
        defaults.insert(column, lit(value));
    }
    Ok(defaults)
}
