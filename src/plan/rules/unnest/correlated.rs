//! A subquery on its way out of correlation.
//!
//! [`Correlated`] stands for a plan whose rows depend on an outer row: a plan that does not, and conditions between its
//! columns and the outer row that are still to be applied. Where an operator cannot let a condition pass, the plan is
//! joined with the *domain*, the distinct values that the outer rows have in the columns it names; from there on the
//! only conditions are that those columns are the outer row's. After T. Neumann and A. Kemper, "Unnesting Arbitrary
//! Queries" (BTW 2015) and T. Neumann, "Improving Unnesting of Complex Queries" (BTW 2025).
//!
//! Invariant: the rows for an outer row are those of `plan` that meet all conditions (and one row of `on_empty` where
//! there are none and it is given); every column of the original plan is still there under its name.
//!
//! # Known limitation
//! The outer plan is planned a second time for its domain.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion_common::{Column, DFSchema};
use datafusion_expr::{Distinct, Expr, ExprSchemable, JoinType, LogicalPlan, Operator, lit, when};

use super::build::{self, Names, bare};
use super::outer::{Outer, columns_of, replace_columns};
use crate::error::Result;

/// An equality between the subquery and the outer row.
#[derive(Debug, Clone)]
pub(super) struct Key {
    /// Over the subquery's columns.
    pub inner: Expr,
    /// Over the outer row.
    pub outer: Expr,
    /// Whether two NULLs are equal.
    pub null_safe: bool,
    /// Whether `inner` is a column of the domain: the very values of the outer rows.
    pub exact: bool,
}

impl Key {
    pub(super) fn condition(&self) -> Expr {
        let operator = if self.null_safe { Operator::IsNotDistinctFrom } else { Operator::Eq };
        datafusion_expr::binary_expr(self.inner.clone(), operator, self.outer.clone())
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Correlated {
    pub plan: LogicalPlan,
    pub keys: Vec<Key>,
    /// Conditions that are no keys.
    pub residual: Vec<Expr>,
    /// Whether there is at most one row for every combination of keys.
    pub single: bool,
    /// What the columns are for an outer row without a row of `plan`; expressions over the outer row. `None`: there is no
    /// row then.
    pub on_empty: Option<HashMap<Column, Expr>>,
}

impl Correlated {
    /// A plan that does not depend on the outer rows.
    pub(super) fn independent(plan: LogicalPlan) -> Self {
        let single = plan.max_rows().is_some_and(|rows| rows <= 1);
        Correlated { plan, keys: Vec::new(), residual: Vec::new(), single, on_empty: None }
    }

    /// All conditions, with outer references.
    pub(super) fn conditions(&self) -> Vec<Expr> {
        self.keys.iter().map(Key::condition).chain(self.residual.iter().cloned()).collect()
    }

    /// All conditions above a join with the outer rows.
    pub(super) fn join_conditions(&self, outer: &Outer) -> Result<Vec<Expr>> {
        self.conditions().into_iter().map(|condition| outer.resolve(condition)).collect()
    }

    /// Adds a condition, as a key where it is an equality of the two sides. Where a key already equals the same of the
    /// outer row, the two equal each other, which the plan can make use of below the join.
    pub(super) fn add_condition(&mut self, condition: Expr, outer: &Outer) -> Result<()> {
        let Some(key) = as_key(&condition, outer) else {
            self.residual.push(condition);
            return Ok(());
        };
        let schema = self.plan.schema().clone();
        let same_type = |other: &Key| match (other.inner.get_type(&schema), key.inner.get_type(&schema)) {
            (Ok(one), Ok(two)) => one == two,
            _ => false,
        };
        match self.keys.iter_mut().find(|other| other.outer == key.outer && same_type(other)) {
            Some(other) if other.inner == key.inner => other.null_safe &= key.null_safe,
            Some(other) => {
                other.null_safe &= key.null_safe;
                let equality = Key { outer: other.inner.clone(), null_safe: other.null_safe, ..key };
                self.plan = build::filter(std::mem::take(&mut self.plan), vec![equality.condition()])?;
            }
            None => self.keys.push(key),
        }
        Ok(())
    }

    /// Leaves only keys, and rows rather than `on_empty`.
    pub(super) fn settle(&mut self, outer: &Outer, names: &mut Names) -> Result<()> {
        if self.residual.is_empty() && self.on_empty.is_none() {
            return Ok(());
        }
        self.join_domain(Vec::new(), outer, names)
    }

    /// Makes rows of `on_empty`.
    pub(super) fn fill(&mut self, outer: &Outer, names: &mut Names) -> Result<()> {
        if self.on_empty.is_none() {
            return Ok(());
        }
        self.join_domain(Vec::new(), outer, names)
    }

    /// Expressions of `plan` for these columns of the outer row: keys where they say what the column is, the domain
    /// otherwise.
    pub(super) fn bind(
        &mut self,
        needed: Vec<Column>,
        outer: &Outer,
        names: &mut Names,
    ) -> Result<HashMap<Column, Expr>> {
        if needed.is_empty() {
            return Ok(HashMap::new());
        }
        if let Some(bound) = self.bound(&needed, outer)
            && self.on_empty.is_none()
        {
            return Ok(bound);
        }
        self.join_domain(needed.clone(), outer, names)?;
        self.bound(&needed, outer).ok_or_else(|| {
            crate::error::Error::internal("the domain of a subquery has not the columns it was made for")
        })
    }

    fn bound(&self, needed: &[Column], outer: &Outer) -> Option<HashMap<Column, Expr>> {
        needed
            .iter()
            .map(|column| {
                let key = self
                    .keys
                    .iter()
                    .find(|key| outer.column(&key.outer) == Some(column) && (key.exact || self.is_same(key)))?;
                Some((column.clone(), key.inner.clone()))
            })
            .collect()
    }

    /// Whether equal means the same here: not for floats, where 0.0 equals -0.0, and only within one type.
    fn is_same(&self, key: &Key) -> bool {
        let Expr::OuterReferenceColumn(field, _) = &key.outer else { return false };
        let same_type = key.inner.get_type(self.plan.schema()).is_ok_and(|inner| inner == *field.data_type());
        same_type && !field.data_type().is_floating() && !field.data_type().is_nested()
    }

    /// The columns of the outer row that the rows depend on.
    pub(super) fn outer_columns(&self, outer: &Outer) -> Vec<Column> {
        let conditions = self.conditions();
        outer.columns_of(conditions.iter().chain(self.on_empty.iter().flat_map(HashMap::values)))
    }

    /// Joins the plan with the domain of every outer column that the conditions or `needed` name.
    pub(super) fn join_domain(&mut self, needed: Vec<Column>, outer: &Outer, names: &mut Names) -> Result<()> {
        let mut columns = needed;
        for column in self.outer_columns(outer) {
            if !columns.contains(&column) {
                columns.push(column);
            }
        }
        let (domain, values) = domain(&columns, outer, names)?;
        let substitute = |expr: Expr| outer.substitute(expr, |column| values.get(column).cloned());
        let written = self.conditions();
        let always_there = self.on_empty.is_some();
        let conditions = written.iter().cloned().map(substitute).collect::<Result<Vec<_>>>()?;
        let plan = std::mem::take(&mut self.plan);
        self.plan = match self.on_empty.take() {
            Some(on_empty) => {
                let on_empty = on_empty
                    .into_iter()
                    .map(|(column, default)| Ok((column, substitute(default)?)))
                    .collect::<Result<HashMap<_, _>>>()?;
                filled(domain, plan, conditions, &on_empty, names)?
            }
            None if is_one_row(&plan) && conditions.is_empty() => domain,
            None => build::join(domain, plan, JoinType::Inner, conditions)?,
        };
        self.residual.clear();
        self.keys = columns
            .iter()
            .map(|column| {
                let inner = values.get(column).cloned().unwrap_or_else(|| Expr::Column(column.clone()));
                let rejected = !always_there && written.iter().any(|condition| rejects_null(condition, column, outer));
                let null_safe = !rejected && outer.is_nullable(column)?;
                Ok(Key { inner, outer: outer.reference(column)?, null_safe, exact: true })
            })
            .collect::<Result<_>>()?;
        Ok(())
    }

    /// Only the columns of `schema` and those that the conditions read, the latter under names of their own.
    pub(super) fn narrow(&mut self, schema: &DFSchema, names: &mut Names) -> Result<()> {
        let mut exprs = build::columns(schema);
        self.carry(&mut exprs, names)?;
        let plan = std::mem::take(&mut self.plan);
        self.plan = build::project(plan, exprs)?;
        Ok(())
    }

    /// Leaves only what the conditions and `exprs` read, under names that meet no others. Gives `exprs` over that: those
    /// without outer references are computed already.
    pub(super) fn reduce(&mut self, exprs: Vec<Expr>, outer: &Outer, names: &mut Names) -> Result<Vec<Expr>> {
        let mut output = Vec::new();
        let mut reduced = Vec::with_capacity(exprs.len());
        let mut renamed = HashMap::new();
        for expr in exprs {
            if !outer.is_in(&expr) {
                let name = names.copy_of(&expr);
                output.push(expr.alias(&name));
                reduced.push(bare(&name));
                continue;
            }
            for column in columns_of([&expr]) {
                renamed.entry(column).or_insert_with_key(|column| {
                    let source = Expr::Column(column.clone());
                    let name = names.copy_of(&source);
                    output.push(source.alias(&name));
                    bare(&name)
                });
            }
            reduced.push(replace_columns(expr, &renamed)?);
        }
        self.carry(&mut output, names)?;
        if output.is_empty() {
            output.push(lit(true).alias(names.next("row")));
        }
        self.plan = build::project(std::mem::take(&mut self.plan), output)?;
        Ok(reduced)
    }

    /// Adds to the output `exprs` what the conditions need, and makes them read that.
    pub(super) fn carry(&mut self, exprs: &mut Vec<Expr>, names: &mut Names) -> Result<()> {
        let mut carried = HashMap::new();
        for column in columns_of(self.keys.iter().map(|key| &key.inner).filter(|inner| is_column(inner)))
            .into_iter()
            .chain(columns_of(&self.residual))
        {
            let there = exprs.iter().any(|expr| matches!(expr, Expr::Column(output) if *output == column));
            if there || carried.contains_key(&column) {
                continue;
            }
            let expr = Expr::Column(column.clone());
            let name = names.copy_of(&expr);
            exprs.push(expr.alias(&name));
            carried.insert(column, bare(&name));
        }
        for key in &mut self.keys {
            if is_column(&key.inner) {
                key.inner = replace_columns(key.inner.clone(), &carried)?;
            } else {
                let name = names.copy_of(&key.inner);
                exprs.push(std::mem::replace(&mut key.inner, bare(&name)).alias(&name));
            }
        }
        for condition in &mut self.residual {
            *condition = replace_columns(condition.clone(), &carried)?;
        }
        Ok(())
    }
}

fn is_column(expr: &Expr) -> bool {
    matches!(expr, Expr::Column(_))
}

fn is_one_row(plan: &LogicalPlan) -> bool {
    matches!(plan, LogicalPlan::EmptyRelation(empty) if empty.produce_one_row)
}

/// An equality with the outer row on one side and the subquery on the other.
fn as_key(condition: &Expr, outer: &Outer) -> Option<Key> {
    let Expr::BinaryExpr(binary) = condition else { return None };
    let null_safe = match binary.op {
        Operator::Eq => false,
        Operator::IsNotDistinctFrom => true,
        _ => return None,
    };
    let only_outer = |expr: &Expr| outer.is_in(expr) && !expr.any_column_refs();
    let only_inner = |expr: &Expr| !outer.is_in(expr) && expr.any_column_refs() && !expr.is_volatile();
    let (left, right) = (binary.left.as_ref(), binary.right.as_ref());
    if only_inner(left) && only_outer(right) {
        Some(Key { inner: left.clone(), outer: right.clone(), null_safe, exact: false })
    } else if only_outer(left) && only_inner(right) {
        Some(Key { inner: right.clone(), outer: left.clone(), null_safe, exact: false })
    } else {
        None
    }
}

/// Whether `condition` compares the column itself, so that it is not true where that is NULL.
fn rejects_null(condition: &Expr, column: &Column, outer: &Outer) -> bool {
    let Expr::BinaryExpr(binary) = condition else { return false };
    let is_column = |side: &Expr| match side {
        Expr::Cast(cast) => outer.column(&cast.expr) == Some(column),
        other => outer.column(other) == Some(column),
    };
    let compares = matches!(
        binary.op,
        Operator::Eq | Operator::NotEq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq
    );
    compares && (is_column(&binary.left) || is_column(&binary.right))
}

/// The distinct values of `columns` in the outer rows, and under which names.
fn domain(columns: &[Column], outer: &Outer, names: &mut Names) -> Result<(LogicalPlan, HashMap<Column, Expr>)> {
    let mut exprs = Vec::new();
    let mut values = HashMap::new();
    for column in columns {
        let expr = Expr::Column(column.clone());
        let name = names.copy_of(&expr);
        exprs.push(expr.alias(&name));
        values.insert(column.clone(), bare(&name));
    }
    let projected = build::project(outer.plan.clone(), exprs)?;
    Ok((LogicalPlan::Distinct(Distinct::All(Arc::new(projected))), values))
}

/// `plan` with a row of `on_empty` for every row of the domain without a match.
fn filled(
    domain: LogicalPlan,
    plan: LogicalPlan,
    conditions: Vec<Expr>,
    on_empty: &HashMap<Column, Expr>,
    names: &mut Names,
) -> Result<LogicalPlan> {
    let schema = plan.schema().clone();
    let (plan, matched) = with_match(plan, names)?;
    let mut exprs = build::columns(domain.schema());
    for (index, column) in schema.columns().into_iter().enumerate() {
        let value = Expr::Column(column.clone());
        let value = match on_empty.get(&column) {
            Some(default) => or_default(value, &matched, default.clone())?,
            None => value,
        };
        exprs.push(build::named_as(value, &schema, index));
    }
    build::project(build::join(domain, plan, JoinType::Left, conditions)?, exprs)
}

/// `plan` with a column that is not NULL where an outer join found a row.
pub(super) fn with_match(plan: LogicalPlan, names: &mut Names) -> Result<(LogicalPlan, Expr)> {
    let name = names.next("matched");
    let mut exprs = build::columns(plan.schema());
    exprs.push(lit(true).alias(&name));
    Ok((build::project(plan, exprs)?, bare(&name)))
}

/// `value`, or `default` where the outer join found no row.
pub(super) fn or_default(value: Expr, matched: &Expr, default: Expr) -> Result<Expr> {
    if matches!(&default, Expr::Literal(literal, _) if literal.is_null()) {
        return Ok(value);
    }
    Ok(when(matched.clone().is_not_null(), value).otherwise(default)?)
}
