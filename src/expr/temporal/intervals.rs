//! Intervals compared: 30 days are a month, 24 hours a day. Arrow compares months first and only then days.
//!
//! Comparisons, orders, and keys of groups and joins are those of a number that an interval stands for; min and max are
//! the first interval by it. A group that has several intervals of one number shows the least as Arrow orders them.
//!
//! # Known limitation
//! Within lists and structs, and in RANGE frames, intervals are compared as Arrow does.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion_common::tree_node::Transformed;
use datafusion_common::{Column, DFSchema, Result as DataFusionResult, internal_err};
use datafusion_expr::expr::{AggregateFunction, InList, Sort as SortExpr, WindowFunction};
use datafusion_expr::logical_plan::{Aggregate, Distinct, Join, Projection, Sort};
use datafusion_expr::{
    Between, BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator, WindowFrameBound, WindowFrameUnits,
    WindowFunctionDefinition,
};

use crate::expr::functions;

fn is_interval(expr: &Expr, schema: &DFSchema) -> bool {
    matches!(expr.get_type(schema), Ok(DataType::Interval(_)))
}

fn compares(operator: Operator) -> bool {
    use Operator as Op;
    matches!(
        operator,
        Op::Eq | Op::NotEq | Op::Lt | Op::LtEq | Op::Gt | Op::GtEq | Op::IsDistinctFrom | Op::IsNotDistinctFrom
    )
}

/// The number by which an interval is compared.
fn key(interval: Expr) -> DataFusionResult<Expr> {
    match functions().scalar.get("#interval_key") {
        Some(function) => Ok(function.call(vec![interval])),
        None => internal_err!("intervals have no keys"),
    }
}

/// The first of the intervals by their numbers; of those of one number, and without one, by Arrow's order.
fn first(interval: Expr, by: Expr, ascending: bool, filter: Option<Box<Expr>>) -> DataFusionResult<Expr> {
    let Some(function) = functions().aggregate.get("first_value") else {
        return internal_err!("there is no function first_value");
    };
    let order = vec![SortExpr::new(by, ascending, false), SortExpr::new(interval.clone(), true, false)];
    let call = AggregateFunction::new_udf(function.clone(), vec![interval], false, filter, order, None);
    Ok(Expr::AggregateFunction(call))
}

/// The expression with numbers for the intervals that it compares.
pub(super) fn compare(expr: Expr, schema: &DFSchema) -> DataFusionResult<Transformed<Expr>> {
    let keyed = |expr: Box<Expr>| key(*expr).map(Box::new);
    Ok(Transformed::yes(match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right })
            if compares(op) && (is_interval(&left, schema) || is_interval(&right, schema)) =>
        {
            Expr::BinaryExpr(BinaryExpr { left: keyed(left)?, op, right: keyed(right)? })
        }
        Expr::Between(Between { expr, negated, low, high }) if is_interval(&expr, schema) => {
            Expr::Between(Between { expr: keyed(expr)?, negated, low: keyed(low)?, high: keyed(high)? })
        }
        Expr::InList(InList { expr, list, negated }) if is_interval(&expr, schema) => {
            let list = list.into_iter().map(key).collect::<DataFusionResult<Vec<_>>>()?;
            Expr::InList(InList { expr: keyed(expr)?, list, negated })
        }
        Expr::AggregateFunction(mut call) => {
            let is_extreme = matches!(call.func.name(), "min" | "max");
            if let ([interval], true) = (call.params.args.as_slice(), is_extreme)
                && is_interval(interval, schema)
            {
                let by = key(interval.clone())?;
                return Ok(Transformed::yes(first(
                    interval.clone(),
                    by,
                    call.func.name() == "min",
                    call.params.filter,
                )?));
            }
            let mut ordered = keys(&mut call.params.order_by, schema)?;
            if call.params.distinct && call.func.name() == "count" {
                for argument in call.params.args.iter_mut().filter(|argument| is_interval(argument, schema)) {
                    *argument = key(argument.clone())?;
                    ordered = true;
                }
            }
            let call = Expr::AggregateFunction(call);
            return Ok(if ordered { Transformed::yes(call) } else { Transformed::no(call) });
        }
        Expr::WindowFunction(mut window) => {
            let changed = window_keys(&mut window, schema)?;
            let window = Expr::WindowFunction(window);
            return Ok(if changed { Transformed::yes(window) } else { Transformed::no(window) });
        }
        other => return Ok(Transformed::no(other)),
    }))
}

/// Puts numbers for intervals by which rows are ordered; whether there are some.
fn keys(order: &mut [SortExpr], schema: &DFSchema) -> DataFusionResult<bool> {
    let mut found = false;
    for sort in order.iter_mut().filter(|sort| is_interval(&sort.expr, schema)) {
        sort.expr = key(sort.expr.clone())?;
        found = true;
    }
    Ok(found)
}

fn window_keys(window: &mut WindowFunction, schema: &DFSchema) -> DataFusionResult<bool> {
    let params = &mut window.params;
    let mut changed = false;
    for expr in params.partition_by.iter_mut().filter(|expr| is_interval(expr, schema)) {
        *expr = key(expr.clone())?;
        changed = true;
    }
    let frame = &params.window_frame;
    let is_offset = |bound: &WindowFrameBound| match bound {
        WindowFrameBound::Preceding(offset) | WindowFrameBound::Following(offset) => !offset.is_null(),
        WindowFrameBound::CurrentRow => false,
    };
    let by_value =
        frame.units == WindowFrameUnits::Range && (is_offset(&frame.start_bound) || is_offset(&frame.end_bound));
    if !by_value {
        changed |= keys(&mut params.order_by, schema)?;
    }
    let extreme = match &window.fun {
        WindowFunctionDefinition::AggregateUDF(function) => matches!(function.name(), "min" | "max"),
        WindowFunctionDefinition::WindowUDF(_) => false,
    };
    if extreme && params.args.first().is_some_and(|argument| is_interval(argument, schema)) {
        return Err(crate::error::Error::not_supported("min or max of intervals as a window function").into());
    }
    Ok(changed)
}

/// The node with numbers for the intervals by which it sorts, groups or joins.
pub(super) fn order(plan: LogicalPlan, schema: &DFSchema) -> DataFusionResult<Transformed<LogicalPlan>> {
    match plan {
        LogicalPlan::Sort(Sort { mut expr, input, fetch }) => {
            let changed = keys(&mut expr, schema)?;
            let sort = LogicalPlan::Sort(Sort { expr, input, fetch });
            Ok(if changed { Transformed::yes(sort) } else { Transformed::no(sort) })
        }
        LogicalPlan::Join(mut join) => {
            let changed = join_keys(&mut join)?;
            let join = LogicalPlan::Join(join);
            Ok(if changed { Transformed::yes(join) } else { Transformed::no(join) })
        }
        LogicalPlan::Aggregate(aggregate) if aggregate.group_expr.iter().any(|expr| is_interval(expr, schema)) => {
            grouped(aggregate, schema).map(Transformed::yes)
        }
        LogicalPlan::Distinct(Distinct::All(input)) => {
            let fields = input.schema().clone();
            if !fields.fields().iter().any(|field| matches!(field.data_type(), DataType::Interval(_))) {
                return Ok(Transformed::no(LogicalPlan::Distinct(Distinct::All(input))));
            }
            let columns = fields.columns().into_iter().map(Expr::Column).collect();
            grouped(Aggregate::try_new(input, columns, vec![])?, &fields).map(Transformed::yes)
        }
        other => Ok(Transformed::no(other)),
    }
}

fn join_keys(join: &mut Join) -> DataFusionResult<bool> {
    let mut changed = false;
    for (left, right) in &mut join.on {
        if is_interval(left, join.left.schema()) || is_interval(right, join.right.schema()) {
            (*left, *right) = (key(left.clone())?, key(right.clone())?);
            changed = true;
        }
    }
    Ok(changed)
}

/// Groups by numbers; a group's interval is the first of it.
fn grouped(aggregate: Aggregate, schema: &DFSchema) -> DataFusionResult<LogicalPlan> {
    if aggregate.group_expr.iter().any(|expr| matches!(expr, Expr::GroupingSet(_))) {
        return Err(crate::error::Error::not_supported("GROUPING SETS of intervals").into());
    }
    let outputs = aggregate.schema.clone();
    let (mut groups, mut calls, mut shown) = (Vec::new(), Vec::new(), Vec::new());
    let named = |expr: Expr, name: &str| expr.unalias_nested().data.alias(name);
    for (index, expr) in aggregate.group_expr.iter().enumerate() {
        let name = format!("#group {index}");
        if is_interval(expr, schema) {
            let interval = expr.clone().unalias_nested().data;
            groups.push(named(key(interval.clone())?, &name));
            let by = key(interval.clone())?;
            let name = format!("#interval {index}");
            calls.push(first(interval, by, true, None)?.alias(&name));
            shown.push(Expr::Column(Column::from_name(name)));
        } else {
            groups.push(named(expr.clone(), &name));
            shown.push(Expr::Column(Column::from_name(name)));
        }
    }
    for (index, call) in aggregate.aggr_expr.iter().enumerate() {
        let name = format!("#call {index}");
        calls.push(named(call.clone(), &name));
        shown.push(Expr::Column(Column::from_name(name)));
    }
    let grouped = LogicalPlan::Aggregate(Aggregate::try_new(aggregate.input.clone(), groups, calls)?);
    let shown = shown
        .into_iter()
        .zip(outputs.iter())
        .map(|(expr, (qualifier, field))| expr.alias_qualified(qualifier.cloned(), field.name().as_str()));
    Ok(LogicalPlan::Projection(Projection::try_new(shown.collect(), Arc::new(grouped))?))
}
