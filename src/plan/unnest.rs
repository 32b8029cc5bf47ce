//! UNNEST and number series in FROM.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::datatypes::DataType;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion_common::{Column, DFSchema, Result as PlanResult, ScalarValue};
use datafusion_expr::{Distinct, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, ScalarUDF, cast, lit};

use super::table::SeriesTable;
use crate::batch::Series;
use crate::error::{Code, Error, Result};
use crate::expr::{Compiler, functions};

/// The items of `lists`, side by side in columns called `names`; with `ordinality` a last column of that name counts
/// the rows from 1. The lists may name columns of a query around.
///
/// # Errors
/// `INVALID_QUERY` for what is no list.
pub fn unnest_lists(lists: Vec<Expr>, names: &[String], ordinality: Option<&str>) -> PlanResult<LogicalPlan> {
    // Names that no other column has: the rows may come to stand beside those of any table.
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let hidden = |index: usize| format!("unnest {number}.{index}");
    let mut exprs = lists.into_iter().map(list_of).collect::<PlanResult<Vec<_>>>()?;
    if ordinality.is_some() {
        exprs.push(positions(&exprs)?);
    }
    let columns: Vec<Column> = (0..exprs.len()).map(|index| Column::from_name(hidden(index))).collect();
    let exprs = exprs.into_iter().enumerate().map(|(index, expr)| expr.alias(hidden(index)));
    let options = datafusion_common::UnnestOptions::new().with_preserve_nulls(false);
    let opened = LogicalPlanBuilder::empty(true).project(exprs)?;
    let opened = opened.unnest_columns_with_options(columns.clone(), options)?;
    let names = names.iter().map(String::as_str).chain(ordinality);
    opened.project(columns.into_iter().zip(names).map(|(column, name)| Expr::Column(column).alias(name)))?.build()
}

/// The expression as a list; NULL is a list of that.
fn list_of(expr: Expr) -> PlanResult<Expr> {
    match expr.get_type(&DFSchema::empty())? {
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(_, _) => Ok(expr),
        DataType::ListView(_) | DataType::LargeListView(_) => Ok(expr),
        DataType::Null => Ok(cast(expr, DataType::new_list(DataType::Int32, true))),
        other => {
            Err(Error::new(Code::InvalidQuery, format!("UNNEST in FROM takes a list, not a value of type {other}"))
                .into())
        }
    }
}

fn function(name: &str) -> PlanResult<Arc<ScalarUDF>> {
    let function = functions().scalar.get(name).cloned();
    function.ok_or_else(|| Error::internal(format!("there is no function {name}")).into())
}

/// The list of the numbers from 1 to the length of the longest list.
fn positions(lists: &[Expr]) -> PlanResult<Expr> {
    let length = function("array_length")?;
    let lengths = lists.iter().map(|list| cast(length.call(vec![list.clone()]), DataType::Int64));
    let longest = match lengths.collect::<Vec<_>>() {
        one if one.len() == 1 => one.into_iter().next().unwrap_or_else(|| lit(0_i64)),
        several => function("greatest")?.call(several),
    };
    Ok(function("range")?.call(vec![lit(1_i64), longest + lit(1_i64)]))
}

/// The scan of `range(…)` or `generate_series(…)`, which has its last number, as a table of one column `name`. `None`
/// where the arguments are no constant integers: then the function makes a list.
///
/// # Errors
/// `INVALID_QUERY` for a step of zero or a wrong number of arguments.
pub fn series_scan(arguments: &[Expr], inclusive: bool, name: &str) -> PlanResult<Option<LogicalPlan>> {
    let Some(values) = constants(arguments)? else { return Ok(None) };
    let (start, stop, step) = match values.as_slice() {
        [stop] => (Some(0), *stop, Some(1)),
        [start, stop] => (*start, *stop, Some(1)),
        [start, stop, step] => (*start, *stop, *step),
        _ => return Err(Error::new(Code::InvalidQuery, format!("{name} takes one to three numbers")).into()),
    };
    let series = match (start, stop, step) {
        (_, _, Some(0)) => {
            return Err(Error::new(Code::InvalidQuery, format!("the step of {name} cannot be 0")).into());
        }
        (Some(start), Some(stop), Some(step)) => Series::new(start, stop, step, inclusive),
        _ => Series::empty(),
    };
    let table = SeriesTable::new(series, name);
    Ok(Some(LogicalPlanBuilder::scan(name, Arc::new(table), None)?.build()?))
}

/// The arguments as integers; `None` when one is no constant, or of another type.
fn constants(arguments: &[Expr]) -> PlanResult<Option<Vec<Option<i64>>>> {
    let none = DFSchema::empty();
    let mut values = Vec::with_capacity(arguments.len());
    for argument in arguments {
        let constant = argument.column_refs().is_empty() && !argument.contains_outer() && !argument.is_volatile();
        if !constant || super::shared::has_subquery(argument) {
            return Ok(None);
        }
        let data_type = argument.get_type(&none)?;
        if !data_type.is_integer() && data_type != DataType::Null {
            return Ok(None);
        }
        let value = constant_value(argument, &none)?.cast_to(&DataType::Int64)?;
        let ScalarValue::Int64(value) = value else { return Ok(None) };
        values.push(value);
    }
    Ok(Some(values))
}

fn constant_value(expr: &Expr, none: &DFSchema) -> Result<ScalarValue> {
    let row = LogicalPlanBuilder::empty(true).project(vec![expr.clone().alias("value")])?.build()?;
    let LogicalPlan::Projection(projection) = super::analyze(row)? else {
        return Err(Error::internal("a projection that is none"));
    };
    let expr = projection.expr.into_iter().next().ok_or_else(|| Error::internal("a projection of nothing"))?;
    let value = Compiler::starting_now().compile(&expr, none)?;
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    let row = RecordBatch::try_new_with_options(none.inner().clone(), Vec::new(), &options)?;
    Ok(ScalarValue::try_from_array(&value.evaluate(&row)?, 0)?)
}

/// The names of a plan's columns, with those that a struct became called as its fields: `a` for `unnest(s).a`. `None`
/// where there is no such column.
pub fn struct_field_names(plan: &LogicalPlan) -> Option<Vec<String>> {
    match plan {
        LogicalPlan::Sort(node) => struct_field_names(&node.input),
        LogicalPlan::Limit(node) => struct_field_names(&node.input),
        LogicalPlan::Filter(node) => struct_field_names(&node.input),
        LogicalPlan::Distinct(Distinct::All(input)) => struct_field_names(input),
        LogicalPlan::Projection(node) => {
            let LogicalPlan::Unnest(unnest) = node.input.as_ref() else { return None };
            let field = |expr: &Expr| {
                let Expr::Column(column) = expr.clone().unalias() else { return None };
                let index = unnest.schema.maybe_index_of_column(&column)?;
                let input = *unnest.dependency_indices.get(index)?;
                let prefix = format!("{}.", unnest.input.schema().fields().get(input)?.name());
                let is_struct = unnest.struct_type_columns.contains(&input);
                column.name.strip_prefix(&prefix).filter(|_| is_struct).map(str::to_string)
            };
            let fields: Vec<Option<String>> = node.expr.iter().map(field).collect();
            if fields.iter().all(Option::is_none) {
                return None;
            }
            let names = fields.into_iter().zip(node.schema.fields());
            Some(names.map(|(field, old)| field.unwrap_or_else(|| old.name().clone())).collect())
        }
        _ => None,
    }
}
