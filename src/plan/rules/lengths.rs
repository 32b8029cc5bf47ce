//! Lengths of what is only gathered to be measured: `length(string_agg(x, s))`, `array_length(array_agg(x))`.
//!
//! The length of a text of pieces is the sum of the pieces' lengths and of the separators between them, and a list is as long
//! as the rows that went into it. Both are exact, need no order, and have a state of fixed size, so that the length of a text
//! larger than the memory is no problem. The gathering itself goes when nothing else asks for it (the optimizer prunes
//! what nobody reads).
//!
//! # Known limitation
//! Not with DISTINCT inside the call. The measured column must come from the aggregation as it is, through projections
//! and aliases.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion_common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion_common::{Column, Result, ScalarValue};
use datafusion_expr::expr::{AggregateFunction, AggregateFunctionParams, NullTreatment, ScalarFunction};
use datafusion_expr::expr_rewriter::NamePreserver;
use datafusion_expr::logical_plan::{Aggregate, Projection, SubqueryAlias};
use datafusion_expr::{Expr, ExprSchemable, LogicalPlan, ScalarUDF, cast, lit, when};

use crate::expr::functions;

/// The plan with lengths of gathered values counted instead.
pub(in crate::plan) fn lengths(plan: LogicalPlan) -> Result<LogicalPlan> {
    plan.transform_up_with_subqueries(|node| {
        if !matches!(node, LogicalPlan::Projection(_) | LogicalPlan::Aggregate(_)) {
            return Ok(Transformed::no(node));
        }
        let wanted = measured(&node)?;
        let mut input = node.inputs().into_iter().next().cloned();
        let mut replaced: Vec<(Expr, Expr)> = Vec::new();
        for expr in wanted {
            let Some(plan) = &input else { break };
            let Some(length) = Length::of(&expr) else { continue };
            if let Some((plan, column)) = supplied(plan, &length)? {
                replaced.push((expr, Expr::Column(column)));
                input = Some(plan);
            }
        }
        match input {
            Some(input) if !replaced.is_empty() => Ok(Transformed::yes(with_columns(&node, input, &replaced)?)),
            _ => Ok(Transformed::no(node)),
        }
    })
    .data()
}

/// What is measured.
#[derive(Debug, Clone)]
struct Length {
    column: Column,
    of: Measure,
    /// What measures.
    function: Arc<ScalarUDF>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Measure {
    /// Characters of a text, values of a list.
    Natural,
    Characters,
    Bytes,
    Values,
}

impl Length {
    fn of(expr: &Expr) -> Option<Self> {
        let Expr::ScalarFunction(ScalarFunction { func, args }) = expr else { return None };
        let of = match func.name() {
            "length" => Measure::Natural,
            "character_length" => Measure::Characters,
            "octet_length" | "strlen" => Measure::Bytes,
            "array_length" | "cardinality" => Measure::Values,
            _ => return None,
        };
        match args.as_slice() {
            // A text is as long in any layout of texts, but not what was no text before.
            [Expr::Cast(cast)] if cast.field.data_type().is_string() && of != Measure::Values => {
                let of = if of == Measure::Natural { Measure::Characters } else { of };
                match cast.expr.as_ref() {
                    Expr::Column(column) => Some(Length { column: column.clone(), of, function: func.clone() }),
                    _ => None,
                }
            }
            [Expr::Column(column)] => Some(Length { column: column.clone(), of, function: func.clone() }),
            _ => None,
        }
    }
}

/// The lengths of columns that a node computes, each once.
fn measured(node: &LogicalPlan) -> Result<Vec<Expr>> {
    let mut found: Vec<Expr> = Vec::new();
    for expr in node.expressions() {
        expr.apply(|part| {
            if Length::of(part).is_some() && !found.contains(part) {
                found.push(part.clone());
            }
            Ok(datafusion_common::tree_node::TreeNodeRecursion::Continue)
        })?;
    }
    Ok(found)
}

/// The node over another input, with columns of it in place of expressions.
fn with_columns(node: &LogicalPlan, input: LogicalPlan, replaced: &[(Expr, Expr)]) -> Result<LogicalPlan> {
    let names = NamePreserver::new(node);
    let replace = |expr: Expr| {
        let name = names.save(&expr);
        let expr = expr.transform_up(|part| {
            let column = replaced.iter().find(|(length, _)| *length == part);
            Ok(column.map_or(Transformed::no(part), |(_, column)| Transformed::yes(column.clone())))
        })?;
        Ok(name.restore(expr.data))
    };
    let exprs = node.expressions().into_iter().map(replace).collect::<Result<Vec<_>>>()?;
    node.with_new_exprs(exprs, vec![input])
}

/// The plan with the length as a further column; `None` where it does not come from an aggregation.
fn supplied(plan: &LogicalPlan, length: &Length) -> Result<Option<(LogicalPlan, Column)>> {
    match plan {
        LogicalPlan::SubqueryAlias(alias) => {
            let Some(inner) = beneath(plan, &alias.input, &length.column) else { return Ok(None) };
            let Some((input, _)) = supplied(&alias.input, &Length { column: inner, ..length.clone() })? else {
                return Ok(None);
            };
            let plan = LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(Arc::new(input), alias.alias.clone())?);
            Ok(with_last_column(plan))
        }
        LogicalPlan::Projection(projection) => {
            let Some(index) = plan.schema().maybe_index_of_column(&length.column) else { return Ok(None) };
            let Some(Expr::Column(inner)) = projection.expr.get(index).map(without_alias) else { return Ok(None) };
            let length = Length { column: inner.clone(), ..length.clone() };
            let Some((input, column)) = supplied(&projection.input, &length)? else { return Ok(None) };
            let exprs = projection.expr.iter().cloned().chain([Expr::Column(column)]).collect();
            Ok(with_last_column(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(input))?)))
        }
        LogicalPlan::Aggregate(aggregate) => counted(plan, aggregate, length),
        _ => Ok(None),
    }
}

fn with_last_column(plan: LogicalPlan) -> Option<(LogicalPlan, Column)> {
    let column = plan.schema().columns().pop()?;
    Some((plan, column))
}

/// The column of the same place in the input.
fn beneath(plan: &LogicalPlan, input: &LogicalPlan, column: &Column) -> Option<Column> {
    let index = plan.schema().maybe_index_of_column(column)?;
    input.schema().columns().into_iter().nth(index)
}

fn without_alias(mut expr: &Expr) -> &Expr {
    while let Expr::Alias(alias) = expr {
        expr = &alias.expr;
    }
    expr
}

/// The aggregation with calls that count what the length is made of.
fn counted(plan: &LogicalPlan, aggregate: &Aggregate, length: &Length) -> Result<Option<(LogicalPlan, Column)>> {
    let columns = plan.schema().columns();
    let first_call = columns.len() - aggregate.aggr_expr.len();
    let Some(index) = plan.schema().maybe_index_of_column(&length.column) else { return Ok(None) };
    let Some(call) = index.checked_sub(first_call).and_then(|call| aggregate.aggr_expr.get(call)) else {
        return Ok(None);
    };
    let Expr::AggregateFunction(AggregateFunction { func, params }) = without_alias(call) else { return Ok(None) };
    let Some(argument) = params.args.first().filter(|argument| !params.distinct && !argument.is_volatile()) else {
        return Ok(None);
    };
    let number = columns.len();
    let name = |part: &str| format!("{part} {number}");
    let call = |name: &str, argument: Expr| {
        let function = functions().aggregate.get(name)?.clone();
        let args = vec![argument];
        let filter = params.filter.clone();
        let params =
            AggregateFunctionParams { args, distinct: false, filter, order_by: Vec::new(), null_treatment: None };
        Some(Expr::AggregateFunction(AggregateFunction { func: function, params }))
    };
    let (calls, value) = match (func.name(), length.of) {
        ("array_agg", Measure::Values | Measure::Natural) => {
            let skips = params.null_treatment == Some(NullTreatment::IgnoreNulls);
            let Some(count) = call("count", if skips { argument.clone() } else { lit(1_i64) }) else { return Ok(None) };
            let rows = Expr::Column(Column::from_name(name("count")));
            let some = when(rows.clone().gt(lit(0_i64)), cast(rows, DataType::UInt64)).end()?;
            (vec![count.alias(name("count"))], some)
        }
        ("string_agg", Measure::Characters | Measure::Bytes | Measure::Natural) => {
            let Some(separator) = separator(params.args.get(1)) else { return Ok(None) };
            let (function, each) = match length.of {
                Measure::Bytes => ("octet_length", separator.len()),
                _ => ("character_length", separator.chars().count()),
            };
            let Some(function) = functions().scalar.get(function) else { return Ok(None) };
            let Ok(each) = i64::try_from(each) else { return Ok(None) };
            let size = cast(function.call(vec![argument.clone()]), DataType::Int64);
            let (Some(sum), Some(count)) = (call("sum", size), call("count", argument.clone())) else {
                return Ok(None);
            };
            // No pieces: the sum is NULL, hence so is the length.
            let sum_column = cast(Expr::Column(Column::from_name(name("sum"))), DataType::Int64);
            let between = Expr::Column(Column::from_name(name("count"))) - lit(1_i64);
            (vec![sum.alias(name("sum")), count.alias(name("count"))], sum_column + between * lit(each))
        }
        _ => return Ok(None),
    };
    let calls = aggregate.aggr_expr.iter().cloned().chain(calls).collect();
    let grown =
        LogicalPlan::Aggregate(Aggregate::try_new(aggregate.input.clone(), aggregate.group_expr.clone(), calls)?);
    // The type that the length of the column has.
    let wanted = length.function.return_type(&[plan.schema().field(index).data_type().clone()])?;
    let value = if value.get_type(grown.schema())? == wanted { value } else { cast(value, wanted) };
    let exprs = columns.into_iter().map(Expr::Column).chain([value.alias(name("length"))]).collect();
    Ok(with_last_column(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(grown))?)))
}

/// The constant between the pieces: a comma where there is none, nothing where it is NULL.
fn separator(argument: Option<&Expr>) -> Option<String> {
    match argument {
        None => Some(",".to_string()),
        Some(Expr::Literal(value, _)) if value.is_null() => Some(String::new()),
        Some(Expr::Literal(value, _)) => match value {
            ScalarValue::Utf8(Some(text)) | ScalarValue::LargeUtf8(Some(text)) | ScalarValue::Utf8View(Some(text)) => {
                Some(text.clone())
            }
            _ => None,
        },
        Some(_) => None,
    }
}
