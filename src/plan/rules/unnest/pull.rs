//! Pulling the conditions of a correlated plan up through its nodes, one function per node.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion_common::{Column, DFSchema};
use datafusion_expr::logical_plan::{
    Distinct, EmptyRelation, Extension, Filter, Projection, Sort, SubqueryAlias, Union, Unnest, Values,
};
use datafusion_expr::utils::split_conjunction;
use datafusion_expr::{Expr, ExprSchemable, LogicalPlan};

use super::super::folded::folded;
use super::build::{self, Names};
use super::correlated::{Correlated, Key};
use super::outer::{Outer, replace_columns};
use super::{aggregate, joins, ranked};
use crate::error::{Error, Result};
use crate::plan::set_operation::Repeat;

/// `plan` without its references to the outer rows.
pub(super) fn pull(plan: &LogicalPlan, outer: &Outer, names: &mut Names) -> Result<Correlated> {
    if !outer.is_in_plan(plan)? {
        return Ok(Correlated::independent(plan.clone()));
    }
    match plan {
        LogicalPlan::Filter(filter) => pull_filter(filter, outer, names),
        LogicalPlan::Projection(projection) => pull_projection(projection, outer, names),
        LogicalPlan::SubqueryAlias(alias) => pull_alias(alias, outer, names),
        LogicalPlan::Subquery(subquery) => pull(&subquery.subquery, outer, names),
        LogicalPlan::Aggregate(node) => aggregate::pull(node, outer, names),
        LogicalPlan::Distinct(Distinct::All(input)) => pull_distinct(input, outer, names),
        LogicalPlan::Sort(sort) => pull_sort(sort, outer, names),
        LogicalPlan::Limit(limit) => ranked::pull_limit(limit, outer, names),
        LogicalPlan::Window(window) => ranked::pull_window(window, outer, names),
        LogicalPlan::Join(join) => joins::pull(join, outer, names),
        LogicalPlan::Union(union) => pull_union(union, outer, names),
        LogicalPlan::Values(values) => pull(&values_as_union(values)?, outer, names),
        LogicalPlan::Unnest(unnest) => pull_unnest(unnest, outer, names),
        LogicalPlan::Extension(Extension { node }) => match node.as_any().downcast_ref::<Repeat>() {
            Some(repeat) => pull_repeat(repeat, outer, names),
            None => Err(cannot_pull(plan)),
        },
        other => Err(cannot_pull(other)),
    }
}

fn cannot_pull(plan: &LogicalPlan) -> Error {
    Error::not_supported(format!("a correlated subquery over the plan node {}", plan.display()))
}

fn pull_filter(filter: &Filter, outer: &Outer, names: &mut Names) -> Result<Correlated> {
    let mut input = pull(&filter.input, outer, names)?;
    input.fill(outer, names)?;
    let (correlated, own): (Vec<&Expr>, Vec<&Expr>) =
        split_conjunction(&filter.predicate).into_iter().partition(|part| outer.is_in(part));
    input.plan = build::filter(input.plan, own.into_iter().cloned().collect())?;
    for condition in correlated {
        input.add_condition(condition.clone(), outer)?;
    }
    Ok(input)
}

fn pull_projection(projection: &Projection, outer: &Outer, names: &mut Names) -> Result<Correlated> {
    let mut input = pull(&projection.input, outer, names)?;
    let schema = &projection.schema;
    if !outer.columns_of(&projection.expr).is_empty() {
        input.fill(outer, names)?;
    }
    let on_empty = match &input.on_empty {
        Some(before) => Some(projected_defaults(&projection.expr, schema, before)?),
        None => None,
    };
    let bound = input.bind(outer.columns_of(&projection.expr), outer, names)?;
    let mut exprs = Vec::with_capacity(projection.expr.len());
    for (index, expr) in projection.expr.iter().enumerate() {
        let expr = outer.substitute(expr.clone(), |column| bound.get(column).cloned())?;
        exprs.push(build::named_as(expr, schema, index));
    }
    input.carry(&mut exprs, names)?;
    input.plan = build::project(input.plan, exprs)?;
    input.on_empty = on_empty;
    Ok(input)
}

/// What the output columns are where the input has no row.
fn projected_defaults(
    exprs: &[Expr],
    schema: &DFSchema,
    before: &HashMap<Column, Expr>,
) -> Result<HashMap<Column, Expr>> {
    let mut defaults = HashMap::new();
    for (expr, column) in exprs.iter().zip(schema.columns()) {
        let default = replace_columns(expr.clone().unalias(), before)?;
        defaults.insert(column, folded(default)?);
    }
    Ok(defaults)
}

fn pull_alias(alias: &SubqueryAlias, outer: &Outer, names: &mut Names) -> Result<Correlated> {
    let mut input = pull(&alias.input, outer, names)?;
    input.narrow(alias.input.schema(), names)?;
    let before = input.plan.schema().columns();
    input.plan = LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(Arc::new(input.plan), alias.alias.clone())?);
    let renamed: HashMap<Column, Expr> =
        before.into_iter().zip(input.plan.schema().columns().into_iter().map(Expr::Column)).collect();
    for key in &mut input.keys {
        key.inner = replace_columns(key.inner.clone(), &renamed)?;
    }
    for condition in &mut input.residual {
        *condition = replace_columns(condition.clone(), &renamed)?;
    }
    if let Some(defaults) = input.on_empty.take() {
        let rename = |(column, default)| match renamed.get(&column) {
            Some(Expr::Column(column)) => (column.clone(), default),
            _ => (column, default),
        };
        input.on_empty = Some(defaults.into_iter().map(rename).collect());
    }
    Ok(input)
}

/// Rows that are distinct together with their keys.
fn pull_distinct(input: &LogicalPlan, outer: &Outer, names: &mut Names) -> Result<Correlated> {
    let schema = input.schema();
    let mut input = pull(input, outer, names)?;
    if !input.residual.is_empty() {
        input.settle(outer, names)?;
    }
    input.narrow(schema, names)?;
    input.plan = LogicalPlan::Distinct(Distinct::All(Arc::new(input.plan)));
    Ok(input)
}

fn pull_sort(sort: &Sort, outer: &Outer, names: &mut Names) -> Result<Correlated> {
    let mut input = pull(&sort.input, outer, names)?;
    let bound = input.bind(outer.columns_of(sort.expr.iter().map(|key| &key.expr)), outer, names)?;
    let mut expr = sort.expr.clone();
    for key in &mut expr {
        key.expr = outer.substitute(key.expr.clone(), |column| bound.get(column).cloned())?;
    }
    input.plan = LogicalPlan::Sort(Sort { expr, input: Arc::new(input.plan), fetch: sort.fetch });
    Ok(input)
}

/// Every input with its keys behind its columns. All have to depend on the outer row by the same equalities.
fn pull_union(union: &Union, outer: &Outer, names: &mut Names) -> Result<Correlated> {
    let mut inputs = union.inputs.iter().map(|input| pull(input, outer, names)).collect::<Result<Vec<Correlated>>>()?;
    let mut common = same_keys(&inputs);
    if common.is_none() {
        let mut needed = Vec::new();
        for column in inputs.iter().flat_map(|input| input.outer_columns(outer)) {
            if !needed.contains(&column) {
                needed.push(column);
            }
        }
        for input in &mut inputs {
            input.join_domain(needed.clone(), outer, names)?;
        }
        common = same_keys(&inputs);
    }
    let Some(common) = common else {
        return Err(Error::internal("the inputs of a correlated union have different keys"));
    };
    let key_names: Vec<String> = common.iter().map(|key| names.copy_of(&key.inner)).collect();
    let mut plans = Vec::with_capacity(inputs.len());
    for (input, original) in inputs.into_iter().zip(&union.inputs) {
        let mut exprs = build::columns(original.schema());
        exprs.extend(input.keys.iter().zip(&key_names).map(|(key, name)| key.inner.clone().alias(name)));
        plans.push(Arc::new(build::project(input.plan, exprs)?));
    }
    let united = LogicalPlan::Union(Union::try_new(plans)?);
    let mut exprs = Vec::new();
    for (index, column) in united.schema().columns().into_iter().enumerate() {
        let width = union.schema.fields().len();
        let expr = Expr::Column(column);
        match key_names.get(index.wrapping_sub(width)) {
            Some(name) if index >= width => exprs.push(expr.alias(name)),
            _ => exprs.push(build::named_as(expr, &union.schema, index)),
        }
    }
    let keys = common.into_iter().zip(&key_names).map(|(key, name)| Key { inner: build::bare(name), ..key }).collect();
    Ok(Correlated { plan: build::project(united, exprs)?, keys, residual: Vec::new(), single: false, on_empty: None })
}

/// The keys that all of `inputs` have, in the order of the first, if they are all that they have. NULL equals NULL in
/// the result where it does in one of them, so that the others must not have NULLs (columns of the domain have not).
fn same_keys(inputs: &[Correlated]) -> Option<Vec<Key>> {
    let first = inputs.first()?;
    let mut keys = first.keys.clone();
    for (position, common) in keys.iter_mut().enumerate() {
        let data_type = common.inner.get_type(first.plan.schema()).ok()?;
        let same = inputs.iter().map(|input| {
            let key = input.keys.get(position)?;
            let same = key.outer == common.outer && key.inner.get_type(input.plan.schema()).ok()? == data_type;
            same.then_some(key)
        });
        let same = same.collect::<Option<Vec<&Key>>>()?;
        common.null_safe = same.iter().any(|key| key.null_safe);
        common.exact = same.iter().all(|key| key.exact);
        if common.null_safe && !same.iter().all(|key| key.null_safe || key.exact) {
            return None;
        }
    }
    let settled =
        |input: &Correlated| input.residual.is_empty() && input.on_empty.is_none() && input.keys.len() == keys.len();
    inputs.iter().all(settled).then_some(keys)
}

/// Rows whose values name the outer row, as a union of rows.
pub(super) fn values_as_union(values: &Values) -> Result<LogicalPlan> {
    let mut rows = Vec::with_capacity(values.values.len());
    for row in &values.values {
        let one =
            LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: true, schema: Arc::new(DFSchema::empty()) });
        let exprs = row
            .iter()
            .enumerate()
            .map(|(index, value)| {
                let wanted = values.schema.field(index).data_type();
                let value = if value.get_type(one.schema())? == *wanted {
                    value.clone()
                } else {
                    datafusion_expr::cast(value.clone(), wanted.clone())
                };
                Ok(build::named_as(value, &values.schema, index))
            })
            .collect::<Result<Vec<_>>>()?;
        rows.push(Arc::new(build::project(one, exprs)?));
    }
    match <[Arc<LogicalPlan>; 1]>::try_from(rows) {
        Ok([only]) => Ok(only.as_ref().clone()),
        Err(rows) => Ok(LogicalPlan::Union(Union { inputs: rows, schema: values.schema.clone() })),
    }
}

/// The other columns, keys among them, repeat for every element.
fn pull_unnest(unnest: &Unnest, outer: &Outer, names: &mut Names) -> Result<Correlated> {
    let mut input = pull(&unnest.input, outer, names)?;
    input.fill(outer, names)?;
    input.single = false;
    let rebuilt = Unnest::try_new(Arc::new(input.plan), unnest.exec_columns.clone(), unnest.options.clone())?;
    input.plan = LogicalPlan::Unnest(rebuilt);
    Ok(input)
}

/// The copies of a row have its keys.
fn pull_repeat(repeat: &Repeat, outer: &Outer, names: &mut Names) -> Result<Correlated> {
    let mut input = pull(&repeat.input, outer, names)?;
    input.fill(outer, names)?;
    input.single = false;
    input.plan = Repeat::plan(input.plan, repeat.times.clone())?;
    Ok(input)
}
