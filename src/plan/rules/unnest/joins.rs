//! Joins of a correlated plan.
//!
//! Conditions of an inner join's inputs pass it. Of an outer join (and semi, anti and mark joins, which are alike in
//! this) only those of the side whose rows are kept do; those of the other side say which rows match, and belong to
//! the join's own condition, in which the outer row must then be bound to columns of the kept side.

use datafusion_common::{Column, JoinType, NullEquality};
use datafusion_expr::logical_plan::Join;
use datafusion_expr::utils::split_conjunction;
use datafusion_expr::{Expr, ExprSchemable, Operator, binary_expr};

use super::build::{self, Names};
use super::correlated::{Correlated, Key};
use super::outer::Outer;
use super::pull;
use crate::error::{Error, Result};
use crate::expr::functions;

pub(super) fn pull(join: &Join, outer: &Outer, names: &mut Names) -> Result<Correlated> {
    match join.join_type {
        JoinType::Inner => pull_inner(join, outer, names),
        JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => {
            pull_outer(join, Side::Left, outer, names)
        }
        JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => {
            pull_outer(join, Side::Right, outer, names)
        }
        JoinType::Full => pull_full(join, outer, names),
    }
}

/// The side whose rows are kept.
#[derive(Clone, Copy, PartialEq)]
enum Side {
    Left,
    Right,
}

/// Every part of the join's condition.
fn conditions(join: &Join) -> Vec<Expr> {
    let operator = match join.null_equality {
        NullEquality::NullEqualsNothing => Operator::Eq,
        NullEquality::NullEqualsNull => Operator::IsNotDistinctFrom,
    };
    let keys = join.on.iter().map(|(left, right)| binary_expr(left.clone(), operator, right.clone()));
    keys.chain(join.filter.iter().flat_map(split_conjunction).cloned()).collect()
}

fn pull_inner(join: &Join, outer: &Outer, names: &mut Names) -> Result<Correlated> {
    let mut left = pull::pull(&join.left, outer, names)?;
    let mut right = pull::pull(&join.right, outer, names)?;
    left.fill(outer, names)?;
    right.fill(outer, names)?;
    let (correlated, mut own): (Vec<Expr>, Vec<Expr>) =
        conditions(join).into_iter().partition(|condition| outer.is_in(condition));
    let (keys, implied) = merged_keys(&left, &right);
    own.extend(implied);
    let mut residual = left.residual;
    residual.extend(right.residual);
    let single = left.single && right.single;
    let plan = build::join(left.plan, right.plan, JoinType::Inner, own)?;
    let mut pulled = Correlated { plan, keys, residual, single, on_empty: None };
    for condition in correlated {
        pulled.add_condition(condition, outer)?;
    }
    Ok(pulled)
}

/// The keys of both sides. Where both equal the same of the outer row they equal each other: without that, the join
/// could make every pair first.
fn merged_keys(left: &Correlated, right: &Correlated) -> (Vec<Key>, Vec<Expr>) {
    let mut keys = left.keys.clone();
    let mut implied = Vec::new();
    for key in &right.keys {
        let types =
            |other: &Key| match (other.inner.get_type(left.plan.schema()), key.inner.get_type(right.plan.schema())) {
                (Ok(one), Ok(two)) => one == two,
                _ => false,
            };
        match keys.iter_mut().find(|other| other.outer == key.outer && types(other)) {
            Some(other) => {
                other.null_safe &= key.null_safe;
                let equality = Key {
                    inner: other.inner.clone(),
                    outer: key.inner.clone(),
                    null_safe: other.null_safe,
                    exact: false,
                };
                implied.push(equality.condition());
            }
            None => keys.push(key.clone()),
        }
    }
    (keys, implied)
}

fn pull_outer(join: &Join, side: Side, outer: &Outer, names: &mut Names) -> Result<Correlated> {
    let (kept, other) = match side {
        Side::Left => (&join.left, &join.right),
        Side::Right => (&join.right, &join.left),
    };
    let mut kept = pull::pull(kept, outer, names)?;
    let mut other = pull::pull(other, outer, names)?;
    kept.fill(outer, names)?;
    other.fill(outer, names)?;
    let mut condition = conditions(join);
    let correlation = other.conditions();
    // NOT IN beside other conditions: a row for which the answer is unknown is one that matches.
    let null_aware = join.null_aware && condition.len() == 1 && correlation.is_empty();
    if join.null_aware && !null_aware {
        condition = condition.into_iter().map(|part| Expr::IsNotFalse(Box::new(part))).collect();
    }
    condition.extend(correlation);
    let needed = outer.columns_of(&condition);
    let bound = kept.bind(needed, outer, names)?;
    let condition = condition
        .into_iter()
        .map(|part| outer.substitute(part, |column| bound.get(column).cloned()))
        .collect::<Result<Vec<_>>>()?;
    let (left, right) = match side {
        Side::Left => (kept.plan, other.plan),
        Side::Right => (other.plan, kept.plan),
    };
    let multiplies = matches!(join.join_type, JoinType::Left | JoinType::Right);
    kept.plan = match (null_aware, condition.as_slice()) {
        (true, [only]) => build::null_aware_anti_join(left, right, only.clone())?,
        _ => build::join(left, right, join.join_type, condition)?,
    };
    kept.single &= !multiplies || other.single && other.keys.is_empty();
    Ok(kept)
}

/// Both sides are kept: each with the domain, of which the rows of the result have either side's.
fn pull_full(join: &Join, outer: &Outer, names: &mut Names) -> Result<Correlated> {
    let mut left = pull::pull(&join.left, outer, names)?;
    let mut right = pull::pull(&join.right, outer, names)?;
    let mut condition = conditions(join);
    let mut needed: Vec<Column> = outer.columns_of(&condition);
    needed.extend(left.outer_columns(outer));
    needed.extend(right.outer_columns(outer));
    let mut columns: Vec<Column> = Vec::new();
    for column in needed {
        if !columns.contains(&column) {
            columns.push(column);
        }
    }
    left.join_domain(columns.clone(), outer, names)?;
    right.join_domain(columns.clone(), outer, names)?;
    let bound = left.bind(columns, outer, names)?;
    for part in &mut condition {
        *part = outer.substitute(part.clone(), |column| bound.get(column).cloned())?;
    }
    for (one, two) in left.keys.iter().zip(&right.keys) {
        condition.push(binary_expr(one.inner.clone(), Operator::IsNotDistinctFrom, two.inner.clone()));
    }
    let plan = build::join(left.plan, right.plan, JoinType::Full, condition)?;
    let mut exprs = build::columns(plan.schema());
    let mut keys = Vec::new();
    for (one, two) in left.keys.into_iter().zip(right.keys) {
        let name = names.copy_of(&one.inner);
        exprs.push(first_of(one.inner, two.inner)?.alias(&name));
        let null_safe = one.null_safe || two.null_safe;
        keys.push(Key { inner: build::bare(&name), null_safe, ..two });
    }
    let plan = build::project(plan, exprs)?;
    Ok(Correlated { plan, keys, residual: Vec::new(), single: false, on_empty: None })
}

fn first_of(one: Expr, two: Expr) -> Result<Expr> {
    let coalesce = functions().scalar.get("coalesce");
    let coalesce = coalesce.ok_or_else(|| Error::internal("there is no function coalesce"))?;
    Ok(coalesce.call(vec![one, two]))
}
