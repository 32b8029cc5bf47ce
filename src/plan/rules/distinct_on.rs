//! DISTINCT ON as an aggregation: the first row of each group in the order of the query.
//!
//! `SELECT DISTINCT ON (k) a, b FROM t ORDER BY k, o` becomes an aggregation by `k` of the first `a` and the first `b` in
//! the order of `o`, sorted by `k`. All calls have the same order, so the row is found once. Where the order says
//! nothing, the row that came first in the input is taken.

use std::sync::Arc;

use datafusion_common::tree_node::{Transformed, TransformedResult};
use datafusion_common::{Column, Result};
use datafusion_expr::expr::{AggregateFunction, Sort as SortKey};
use datafusion_expr::logical_plan::{Aggregate, DistinctOn, Projection, Sort};
use datafusion_expr::{Distinct, Expr, LogicalPlan};

use crate::expr::first_row;

/// The plan without DISTINCT ON.
pub(in crate::plan) fn distinct_on(plan: LogicalPlan) -> Result<LogicalPlan> {
    plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Distinct(Distinct::On(distinct)) => Ok(Transformed::yes(first_rows(distinct)?)),
        other => Ok(Transformed::no(other)),
    })
    .data()
}

fn first_rows(distinct: DistinctOn) -> Result<LogicalPlan> {
    let DistinctOn { on_expr, select_expr, sort_expr, input, schema } = distinct;
    let mut keys: Vec<Expr> = Vec::new();
    let mut key_of = Vec::with_capacity(on_expr.len());
    for key in &on_expr {
        let known = keys.iter().position(|known| known == key);
        key_of.push(known.unwrap_or(keys.len()));
        if known.is_none() {
            keys.push(key.clone());
        }
    }
    let sort_expr = sort_expr.unwrap_or_default();
    let order: Vec<SortKey> = sort_expr.iter().skip(on_expr.len()).cloned().collect();
    let first = |(index, selected): (usize, Expr)| {
        let selected = selected.unalias_nested().data;
        let call = AggregateFunction::new_udf(first_row(), vec![selected], false, None, order.clone(), None);
        Expr::AggregateFunction(call).alias(format!("first {index}"))
    };
    let calls = select_expr.into_iter().enumerate().map(first).collect();
    let groups = LogicalPlan::Aggregate(Aggregate::try_new(input, keys, calls)?);
    let columns: Vec<Column> = groups.schema().columns();
    let key_column = |index: &usize| columns.get(*index).cloned().map(Expr::Column);
    let by = key_of
        .iter()
        .zip(&sort_expr)
        .filter_map(|(index, key)| Some(SortKey { expr: key_column(index)?, ..key.clone() }));
    let by: Vec<SortKey> = by.collect();
    let firsts: Vec<Column> = columns.iter().skip(columns.len() - schema.fields().len()).cloned().collect();
    let groups =
        if by.is_empty() { groups } else { LogicalPlan::Sort(Sort { expr: by, input: Arc::new(groups), fetch: None }) };
    let named = firsts.into_iter().zip(schema.iter());
    let named = named
        .map(|(column, (qualifier, field))| Expr::Column(column).alias_qualified(qualifier.cloned(), field.name()));
    Ok(LogicalPlan::Projection(Projection::try_new(named.collect(), Arc::new(groups))?))
}
