//! The verbs: each takes a frame and gives another.

use datafusion_common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion_common::{Column, DFSchemaRef};
use datafusion_expr::expr::Sort;
use datafusion_expr::utils::{find_aggregate_exprs, find_window_exprs};
use datafusion_expr::{Expr, LogicalPlanBuilder};

use super::names::{resolve, resolve_named, written_name};
use super::{DataFrame, col};
use crate::error::{Code, Error, Result};

/// What can be used where columns are selected: an expression, or the name of a column.
pub trait IntoExpr {
    /// The expression.
    fn into_expr(self) -> Expr;
}

impl IntoExpr for Expr {
    fn into_expr(self) -> Expr {
        self
    }
}

impl IntoExpr for &str {
    fn into_expr(self) -> Expr {
        col(self)
    }
}

impl IntoExpr for String {
    fn into_expr(self) -> Expr {
        col(self)
    }
}

impl DataFrame {
    /// The rows for which `predicate` is true.
    ///
    /// # Errors
    /// `UNKNOWN_COLUMN`; `INVALID_QUERY` when it is not a condition.
    pub fn filter(&self, predicate: Expr) -> Result<DataFrame> {
        let predicate = resolve(predicate, self.plan.schema())?;
        no_aggregates(std::slice::from_ref(&predicate), "filter")?;
        self.with(self.builder().filter(predicate)?.build()?)
    }

    /// These columns and expressions, in this order.
    ///
    /// # Errors
    /// `UNKNOWN_COLUMN`; `INVALID_QUERY` for types that do not fit, for two columns of one name, or for aggregates.
    pub fn select<E: IntoExpr>(&self, exprs: impl IntoIterator<Item = E>) -> Result<DataFrame> {
        let schema = self.plan.schema();
        let exprs: Vec<Expr> =
            exprs.into_iter().map(|expr| resolve_named(expr.into_expr(), schema)).collect::<Result<_>>()?;
        no_aggregates(&exprs, "select")?;
        self.with(self.builder().project(exprs)?.build()?)
    }

    /// All columns and these; one of the same name takes the place of the old one.
    ///
    /// # Errors
    /// As [`select`](DataFrame::select).
    pub fn with_columns(&self, exprs: impl IntoIterator<Item = Expr>) -> Result<DataFrame> {
        let schema = self.plan.schema();
        let mut columns: Vec<(String, Expr)> =
            schema.columns().into_iter().map(|column| (column.name.clone(), Expr::Column(column))).collect();
        for expr in exprs {
            let expr = resolve_named(expr, schema)?;
            let name = expr.schema_name().to_string();
            let name = if let Expr::Column(column) = &expr { column.name.clone() } else { name };
            match columns.iter_mut().find(|(old, _)| old.to_lowercase() == name.to_lowercase()) {
                Some(old) => *old = (name, expr),
                None => columns.push((name, expr)),
            }
        }
        let exprs: Vec<Expr> = columns.into_iter().map(|(_, expr)| expr).collect();
        no_aggregates(&exprs, "with_columns")?;
        self.with(self.builder().project(exprs)?.build()?)
    }

    /// Groups the rows by these keys; none: all rows are one group.
    ///
    /// # Errors
    /// `UNKNOWN_COLUMN`.
    pub fn group_by<E: IntoExpr>(&self, keys: impl IntoIterator<Item = E>) -> Result<GroupedFrame> {
        let schema = self.plan.schema();
        let keys = keys.into_iter().map(|key| Output::new(key.into_expr(), schema)).collect::<Result<Vec<_>>>()?;
        Ok(GroupedFrame { frame: self.clone(), keys })
    }

    /// The rows in the order of these keys: `col("x").sort(ascending, nulls_first)`.
    ///
    /// # Errors
    /// `UNKNOWN_COLUMN`.
    pub fn sort(&self, keys: impl IntoIterator<Item = Sort>) -> Result<DataFrame> {
        let schema = self.plan.schema();
        let keys: Vec<Sort> = keys
            .into_iter()
            .map(|key| Ok(Sort { expr: resolve(key.expr, schema)?, asc: key.asc, nulls_first: key.nulls_first }))
            .collect::<Result<_>>()?;
        self.with(self.builder().sort(keys)?.build()?)
    }

    /// At most `fetch` rows behind the first `skip`.
    ///
    /// # Errors
    /// None that a caller can cause.
    pub fn limit(&self, skip: usize, fetch: Option<usize>) -> Result<DataFrame> {
        self.with(self.builder().limit(skip, fetch)?.build()?)
    }

    /// Each row once.
    ///
    /// # Errors
    /// `INVALID_QUERY` when a column cannot be compared.
    pub fn distinct(&self) -> Result<DataFrame> {
        self.with(self.builder().distinct()?.build()?)
    }

    /// The rows of both, columns by position; none is left out.
    ///
    /// # Errors
    /// `INVALID_QUERY` when the columns do not fit.
    pub fn union(&self, other: &DataFrame) -> Result<DataFrame> {
        let (left, right) = (self.plan.schema().fields().len(), other.plan.schema().fields().len());
        if left != right {
            let message = format!("a frame of {left} columns and one of {right} have no union");
            return Err(Error::new(Code::InvalidQuery, message));
        }
        self.with(self.builder().union(other.plan.clone())?.build()?)
    }

    /// The same rows under a table name, for `col("name.column")`.
    ///
    /// # Errors
    /// None that a caller can cause.
    pub fn alias(&self, name: &str) -> Result<DataFrame> {
        self.with(self.builder().alias(name)?.build()?)
    }

    pub(super) fn builder(&self) -> LogicalPlanBuilder {
        LogicalPlanBuilder::from(self.plan.clone())
    }
}

fn no_aggregates(exprs: &[Expr], verb: &str) -> Result<()> {
    if let Some(aggregate) = find_aggregate_exprs(exprs).first() {
        let message = format!("{verb} cannot hold the aggregate {}", aggregate.schema_name());
        return Err(Error::new(Code::InvalidQuery, message).hint("aggregates go into group_by([…])?.agg([…])"));
    }
    if let Some(window) = find_window_exprs(exprs).first() {
        return Err(Error::not_supported(format_args!("the window function {}", window.schema_name())));
    }
    Ok(())
}

/// An expression without its alias, and the name of its column.
struct Output {
    expr: Expr,
    /// `None`: the name of the column that it is.
    name: Option<String>,
}

impl Output {
    fn new(expr: Expr, schema: &DFSchemaRef) -> Result<Self> {
        let name = match &expr {
            Expr::Alias(alias) => Some(alias.name.clone()),
            other => written_name(other),
        };
        Ok(Output { expr: resolve(expr.unalias(), schema)?, name })
    }
}

/// A frame whose rows are grouped; [`agg`](GroupedFrame::agg) makes a frame of it again.
#[must_use]
pub struct GroupedFrame {
    frame: DataFrame,
    keys: Vec<Output>,
}

impl GroupedFrame {
    /// One row a group: its keys, and these expressions of aggregates.
    ///
    /// # Errors
    /// `UNKNOWN_COLUMN`; `INVALID_QUERY` for a column outside of an aggregate that is not a key.
    pub fn agg(self, exprs: impl IntoIterator<Item = Expr>) -> Result<DataFrame> {
        let schema = self.frame.plan.schema().clone();
        let outputs = exprs.into_iter().map(|expr| Output::new(expr, &schema)).collect::<Result<Vec<_>>>()?;
        let keys: Vec<Expr> = self.keys.iter().map(|key| key.expr.clone()).collect();
        let mut calls = Vec::new();
        for call in find_aggregate_exprs(outputs.iter().map(|output| &output.expr)) {
            if !calls.contains(&call) {
                calls.push(call);
            }
        }
        let aggregated = self.frame.builder().aggregate(keys.clone(), calls.clone())?.build()?;
        let made: Vec<Expr> = keys.into_iter().chain(calls).collect();
        let columns = aggregated.schema().columns();
        let projected = self
            .keys
            .into_iter()
            .chain(outputs)
            .map(|output| {
                let expr = over_aggregate(output.expr, &made, &columns)?;
                Ok(match output.name {
                    Some(name) => expr.alias(name),
                    None => expr,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        self.frame.with(LogicalPlanBuilder::from(aggregated).project(projected)?.build()?)
    }
}

/// The expression with what the aggregation has made in place of the expressions that made it.
fn over_aggregate(expr: Expr, made: &[Expr], columns: &[Column]) -> Result<Expr> {
    let rewritten = expr.transform_down(|expr| match made.iter().position(|made| *made == expr) {
        Some(index) => match columns.get(index) {
            Some(column) => Ok(Transformed::new(Expr::Column(column.clone()), true, TreeNodeRecursion::Jump)),
            None => Ok(Transformed::no(expr)),
        },
        None => match expr {
            Expr::Column(column) => {
                let message =
                    format!("column \"{}\" is neither a key of group_by nor inside an aggregate", column.name);
                Err(Error::new(Code::InvalidQuery, message).into())
            }
            other => Ok(Transformed::no(other)),
        },
    })?;
    Ok(rewritten.data)
}
