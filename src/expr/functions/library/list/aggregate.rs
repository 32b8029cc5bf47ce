//! Aggregates over the values of each list: `list_sum(list)`, which is what `list_aggregate(list, 'sum')` becomes.
//!
//! The aggregate is the same as over rows: one group for each list that has values.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt32Array, new_empty_array};
use arrow::compute::{concat, take, take_arrays};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion_common::{DFSchema, Result as DataFusionResult, ScalarValue};
use datafusion_expr::type_coercion::functions::fields_with_udf;
use datafusion_expr::{EmitTo, Expr, ExprSchemable, cast, col, lit};

use super::Lists;
use crate::error::{Code, Error};
use crate::expr::aggregate::AggregateCall;
use crate::expr::compiler::Compiler;
use crate::expr::functions::functions as registry;
use crate::expr::functions::library::function::{Arguments, Bound, Function, Overload, function, item_type};
use crate::expr::functions::library::typed::list_type;

/// The function, and the aggregate that it calls.
const CALLS: [(&str, &str, &str); 23] = [
    ("list_sum", "sum", "The sum of the values"),
    ("list_avg", "avg", "The mean of the values"),
    ("list_min", "min", "The least value"),
    ("list_max array_max", "max", "The greatest value"),
    ("list_count", "count", "How many values are not NULL"),
    ("list_any_value", "any_value", "The first value that is not NULL"),
    ("list_median", "median", "The median of the values"),
    ("list_mode", "mode", "The most frequent value"),
    ("list_bit_and", "bit_and", "The bits that all values have"),
    ("list_bit_or", "bit_or", "The bits that any value has"),
    ("list_bit_xor", "bit_xor", "The bits that an odd number of values has"),
    ("list_bool_and", "bool_and", "Whether all values are true"),
    ("list_bool_or", "bool_or", "Whether any value is true"),
    ("list_stddev_samp", "stddev_samp", "The standard deviation of a sample"),
    ("list_stddev_pop", "stddev_pop", "The standard deviation"),
    ("list_stddev", "stddev", "The standard deviation of a sample"),
    ("list_variance", "variance", "The variance of a sample"),
    ("list_mean", "avg", "The mean of the values"),
    ("list_var_samp", "var_samp", "The variance of a sample"),
    ("list_var_pop", "var_pop", "The variance"),
    ("list_approx_count_distinct", "approx_distinct", "About how many different values there are"),
    ("list_first", "first_value", "The first value"),
    ("list_last", "last_value", "The last value"),
];

/// The same for aggregates that take a constant behind the values.
const CALLS_WITH_CONSTANT: [(&str, &str, &str); 2] = [
    ("list_quantile_cont", "quantile_cont", "The quantile of the values, or several, between them where need be"),
    ("list_quantile_disc list_quantile", "quantile_disc", "The quantile of the values, or several"),
];

/// The functions of this file.
pub(super) fn functions() -> Vec<Function> {
    let with_constant = CALLS_WITH_CONSTANT.iter().map(|(names, aggregate, what)| {
        let aggregate = *aggregate;
        let bind = move |types: &[DataType]| {
            let [list, constant] = types else { return None };
            let item = item_type(list)?;
            let field = |data_type: &DataType| Arc::new(Field::new("value", data_type.clone(), true));
            let function = registry().aggregate.get(aggregate)?;
            let wanted = fields_with_udf(&[field(item), field(constant)], function.as_ref()).ok()?;
            let constant = wanted.get(1)?.data_type().clone();
            let unknown = lit(ScalarValue::try_from(&constant).ok()?);
            let result = call(aggregate, item, vec![unknown]).and_then(|(call, schema)| call.get_type(&schema)).ok()?;
            Some(Bound { arguments: vec![list_type(item.clone()), constant], result })
        };
        let run = move |arguments: &Arguments| run(aggregate, arguments);
        function(names, "list, constant", what, [Overload::generic(bind, run)])
    });
    let plain = CALLS.iter().map(|(names, aggregate, what)| {
        let aggregate = *aggregate;
        let bind = move |types: &[DataType]| {
            let [list] = types else { return None };
            let item = if list.is_null() { &DataType::Null } else { item_type(list)? };
            let result = call(aggregate, item, Vec::new()).and_then(|(call, schema)| call.get_type(&schema)).ok()?;
            // The library counts in UBIGINTs.
            let result = if aggregate == "approx_distinct" { DataType::Int64 } else { result };
            Some(Bound { arguments: vec![list_type(item.clone())], result })
        };
        function(names, "list", what, [Overload::generic(bind, move |arguments| run(aggregate, arguments))])
    });
    plain.chain(with_constant).collect()
}

/// The aggregate over a column called `value`, its argument cast as the aggregate wants it, and over constants.
fn call(aggregate: &str, item: &DataType, constants: Vec<Expr>) -> DataFusionResult<(Expr, DFSchema)> {
    let function = registry().aggregate.get(aggregate).cloned();
    let Some(function) = function else { return datafusion_common::internal_err!("there is no {aggregate}") };
    let schema = Schema::new(vec![Field::new("value", item.clone(), true)]);
    let schema = DFSchema::try_from(schema)?;
    let mut fields = vec![Arc::new(Field::new("value", item.clone(), true))];
    for constant in &constants {
        fields.push(Arc::new(Field::new("constant", constant.get_type(&schema)?, true)));
    }
    let wanted = fields_with_udf(&fields, function.as_ref())?;
    let argument = match wanted.first() {
        Some(wanted) if wanted.data_type() != item => cast(col("value"), wanted.data_type().clone()),
        _ => col("value"),
    };
    Ok((function.call([vec![argument], constants].concat()), schema))
}

fn run(aggregate: &str, arguments: &Arguments) -> DataFusionResult<ArrayRef> {
    let lists = Lists::of(arguments, 0)?;
    let item = lists.values().data_type().clone();
    let constants = arguments.columns.iter().skip(1).map(|column| match column.constant {
        true => Ok(lit(ScalarValue::try_from_array(&column.array, 0)?)),
        false => {
            let message = format!("what stands behind the values of {aggregate} is the same for all lists");
            Err(Error::new(Code::NotSupported, message).into())
        }
    });
    let (expr, schema) = call(aggregate, &item, constants.collect::<DataFusionResult<_>>()?)?;
    let call = AggregateCall::compile(&expr, &schema, &Compiler::starting_now())?;
    // Groups are lists with values, in order; `places` says where a row finds its result, behind them the one of no rows.
    let (mut rows, mut groups, mut places, mut count) = (Vec::new(), Vec::new(), Vec::new(), 0_u32);
    for row in 0..arguments.rows {
        let range = lists.range(row);
        let is_filled = range.as_ref().is_some_and(|range| !range.is_empty());
        places.push(range.map(|_| is_filled.then_some(count)));
        for index in lists.range(row).into_iter().flatten() {
            rows.push(u32::try_from(index).unwrap_or(u32::MAX));
            groups.push(count as usize);
        }
        count += u32::from(is_filled);
    }
    let values = take(lists.values(), &UInt32Array::from(rows), None)?;
    let batch = RecordBatch::try_new(Arc::new(schema.as_arrow().clone()), vec![values])?;
    let columns = call.arguments().iter().map(|argument| argument.evaluate(&batch)).collect::<Result<Vec<_>, _>>()?;
    let mut accumulator = call.accumulator()?;
    let results = if count == 0 {
        new_empty_array(&arguments.result)
    } else {
        accumulator.update_batch(&columns, &groups, None, count as usize)?;
        accumulator.evaluate(EmitTo::All)?
    };
    let empty = call.empty_value()?.to_array()?;
    let results = arrow::compute::cast(&results, &arguments.result)?;
    let results = concat(&[results.as_ref(), arrow::compute::cast(&empty, &arguments.result)?.as_ref()])?;
    let places = UInt32Array::from_iter(places.into_iter().map(|place| place.map(|group| group.unwrap_or(count))));
    let taken = take_arrays(&[results], &places, None)?;
    Ok(taken.into_iter().next().unwrap_or_else(|| new_empty_array(&arguments.result)))
}
