//! Windows and limits of a correlated plan: both hold for the rows of one outer row, hence per key.

use std::sync::Arc;

use datafusion_expr::expr::{Sort, WindowFunction, WindowFunctionParams};
use datafusion_expr::logical_plan::{FetchType, Limit, SkipType, Window};
use datafusion_expr::utils::conjunction;
use datafusion_expr::{Expr, LogicalPlan, LogicalPlanBuilder, WindowFunctionDefinition, lit};

use super::build::{self, Names, bare};
use super::correlated::Correlated;
use super::outer::Outer;
use super::predicate;
use super::pull::pull;
use crate::error::{Error, Result};
use crate::expr::functions;

/// Windows of the rows with equal keys.
pub(super) fn pull_window(window: &Window, outer: &Outer, names: &mut Names) -> Result<Correlated> {
    let mut input = pull(&window.input, outer, names)?;
    input.settle(outer, names)?;
    let bound = input.bind(outer.columns_of(&window.window_expr), outer, names)?;
    let mut calls = Vec::with_capacity(window.window_expr.len());
    for call in &window.window_expr {
        let call = outer.substitute(call.clone(), |column| bound.get(column).cloned())?;
        calls.push(partitioned(call, &input)?);
    }
    let width = input.plan.schema().fields().len();
    let windowed = LogicalPlan::Window(Window::try_new(calls, Arc::new(input.plan))?);
    // A call is named after its partitions, so that it has a new name now.
    let first = window.input.schema().fields().len();
    let mut exprs = Vec::new();
    for (index, column) in windowed.schema().columns().into_iter().enumerate() {
        let expr = Expr::Column(column);
        exprs.push(match index.checked_sub(width) {
            Some(call) => build::named_as(expr, &window.schema, first + call),
            None => expr,
        });
    }
    input.plan = build::project(windowed, exprs)?;
    Ok(input)
}

/// `call` over the rows with equal keys.
fn partitioned(call: Expr, input: &Correlated) -> Result<Expr> {
    match call {
        Expr::WindowFunction(mut function) => {
            function.params.partition_by.extend(input.keys.iter().map(|key| key.inner.clone()));
            Ok(Expr::WindowFunction(function))
        }
        Expr::Alias(mut alias) => {
            *alias.expr = partitioned(*alias.expr, input)?;
            Ok(Expr::Alias(alias))
        }
        other => Err(Error::not_supported(format!("the window expression {other} in a correlated subquery"))),
    }
}

/// A LIMIT whose rows a subquery counts: the rows numbered, and compared with it.
pub(super) fn limit(limit: &Limit, names: &mut Names) -> Result<LogicalPlan> {
    if let Some((above, lower)) = beside_its_order(limit) {
        return Ok(above.with_new_exprs(above.expressions(), vec![self::limit(&lower, names)?])?);
    }
    let (order_by, source) = match limit.input.as_ref() {
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => (sort.expr.clone(), sort.input.as_ref()),
        other => (Vec::new(), other),
    };
    let mut rows = Correlated::independent(source.clone());
    let number = numbered(&mut rows, order_by, names)?;
    let mut plan = rows.plan;
    let kept = predicate::value(&mut plan, Bounds::of(limit)?.condition(&number), names)?;
    let filtered = build::filter(plan, vec![kept])?;
    let sorted = LogicalPlanBuilder::from(filtered).sort(vec![number.sort(true, false)])?.build()?;
    build::only_columns_of(sorted, source.schema())
}

/// The rows of each key counted, and those within the limit kept.
pub(super) fn pull_limit(limit: &Limit, outer: &Outer, names: &mut Names) -> Result<Correlated> {
    if let Some((above, lower)) = beside_its_order(limit) {
        return pull(&above.with_new_exprs(above.expressions(), vec![LogicalPlan::Limit(lower)])?, outer, names);
    }
    let (order, source) = match limit.input.as_ref() {
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => (sort.expr.clone(), sort.input.as_ref()),
        other => (Vec::new(), other),
    };
    let mut input = pull(source, outer, names)?;
    let bounds = Bounds::of(limit)?;
    if bounds.keep_one_row() && (input.on_empty.is_some() || input.single && input.residual.is_empty()) {
        return Ok(input);
    }
    input.settle(outer, names)?;
    let mut needed = outer.columns_of(order.iter().map(|key| &key.expr));
    needed.extend(outer.columns_of(bounds.exprs()));
    let bound = input.bind(needed, outer, names)?;
    let mut order_by = Vec::with_capacity(order.len());
    for key in order {
        let expr = outer.substitute(key.expr, |column| bound.get(column).cloned())?;
        order_by.push(Sort { expr, ..key });
    }
    let number = numbered(&mut input, order_by, names)?;
    let kept = bounds.condition(&number);
    let kept = outer.substitute(kept, |column| bound.get(column).cloned())?;
    input.plan = build::filter(input.plan, vec![kept])?;
    input.single |= bounds.fetches_one();
    Ok(input)
}

/// The projection or alias that stands between a LIMIT and the ORDER BY whose first rows it wants (which may be by columns
/// that are no output), and the LIMIT below it.
fn beside_its_order(limit: &Limit) -> Option<(&LogicalPlan, Limit)> {
    let leads_to_order = |plan: &LogicalPlan| {
        let mut plan = plan;
        loop {
            match plan {
                LogicalPlan::Projection(projection) => plan = &projection.input,
                LogicalPlan::SubqueryAlias(alias) => plan = &alias.input,
                LogicalPlan::Sort(sort) => return sort.fetch.is_none(),
                _ => return false,
            }
        }
    };
    let above = limit.input.as_ref();
    let input = match above {
        LogicalPlan::Projection(projection) => &projection.input,
        LogicalPlan::SubqueryAlias(alias) => &alias.input,
        _ => return None,
    };
    leads_to_order(input).then(|| (above, Limit { input: input.clone(), ..limit.clone() }))
}

/// Adds the number of each row among those with the same keys, from 1; gives its column.
fn numbered(input: &mut Correlated, order_by: Vec<Sort>, names: &mut Names) -> Result<Expr> {
    let function = functions().window.get("row_number").cloned();
    let function = function.ok_or_else(|| Error::internal("there is no function row_number"))?;
    let fun = WindowFunctionDefinition::WindowUDF(function);
    let mut call = WindowFunction::new(fun, Vec::new());
    call.params = WindowFunctionParams {
        partition_by: input.keys.iter().map(|key| key.inner.clone()).collect(),
        order_by,
        ..call.params
    };
    let plan = std::mem::take(&mut input.plan);
    let mut exprs = build::columns(plan.schema());
    let width = exprs.len();
    let windowed = LogicalPlan::Window(Window::try_new(vec![Expr::from(call)], Arc::new(plan))?);
    let name = names.next("row_number");
    if let Some(column) = windowed.schema().columns().into_iter().nth(width) {
        exprs.push(Expr::Column(column).alias(&name));
    }
    input.plan = build::project(windowed, exprs)?;
    Ok(bare(&name))
}

/// How many rows a LIMIT skips and keeps.
struct Bounds {
    skip: Option<Expr>,
    fetch: Option<Expr>,
    /// How many rows are skipped, and the number of the last that is kept, where both are literals.
    literal: Option<(i64, Option<i64>)>,
    skips_none: bool,
    /// Where it is a literal.
    fetched: Option<usize>,
    fetches_all: bool,
}

impl Bounds {
    fn of(limit: &Limit) -> Result<Self> {
        let skip = match limit.get_skip_type()? {
            SkipType::Literal(rows) => Ok(rows),
            SkipType::UnsupportedExpr => Err(limit.skip.as_deref().cloned()),
        };
        let fetch = match limit.get_fetch_type()? {
            FetchType::Literal(rows) => Ok(rows),
            FetchType::UnsupportedExpr => Err(limit.fetch.as_deref().cloned()),
        };
        let number = |rows: usize| i64::try_from(rows).unwrap_or(i64::MAX);
        let literal = match (&skip, &fetch) {
            (Ok(skip), Ok(fetch)) => {
                Some((number(*skip), fetch.map(|fetch| number(*skip).saturating_add(number(fetch)))))
            }
            _ => None,
        };
        let expr = |rows: usize| lit(number(rows));
        Ok(Bounds {
            literal,
            skips_none: skip == Ok(0),
            fetched: fetch.as_ref().ok().copied().flatten(),
            fetches_all: fetch == Ok(None),
            skip: skip.map_or_else(|skip| skip, |rows| (rows > 0).then(|| expr(rows))),
            fetch: fetch.map_or_else(|fetch| fetch, |rows| rows.map(expr)),
        })
    }

    fn exprs(&self) -> impl Iterator<Item = &Expr> {
        self.skip.iter().chain(&self.fetch)
    }

    /// Whether a single row passes.
    fn keep_one_row(&self) -> bool {
        self.skips_none && (self.fetches_all || self.fetched.is_some_and(|rows| rows >= 1))
    }

    fn fetches_one(&self) -> bool {
        self.fetched.is_some_and(|rows| rows <= 1)
    }

    /// Whether the row with this number is kept.
    fn condition(&self, number: &Expr) -> Expr {
        if let Some((first, last)) = self.literal {
            let above = (first > 0).then(|| number.clone().gt(lit(first)));
            let below = last.map(|last| number.clone().lt_eq(lit(last)));
            return conjunction(above.into_iter().chain(below)).unwrap_or_else(|| lit(true));
        }
        let above = self.skip.clone().map(|skip| or_unknown(number.clone().gt(skip)));
        let below = self.fetch.clone().map(|fetch| match self.skip.clone() {
            Some(skip) => or_unknown((number.clone() - skip).lt_eq(fetch)),
            None => or_unknown(number.clone().lt_eq(fetch)),
        });
        conjunction(above.into_iter().chain(below)).unwrap_or_else(|| lit(true))
    }
}

/// LIMIT NULL keeps, and OFFSET NULL skips nothing.
fn or_unknown(condition: Expr) -> Expr {
    Expr::IsNotFalse(Box::new(condition))
}
