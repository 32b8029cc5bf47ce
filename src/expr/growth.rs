//! What a row may make of itself: the bytes of values that functions make many times larger than their arguments.
//!
//! Most functions give about as much as they take. A few give as much as a number says: `repeat`, `lpad`, `range`. And a
//! constant becomes a value for every row. Their sizes are told before the values exist, so that whoever evaluates them
//! can take as many rows as there is room for.
//!
//! # Known limitation
//! Calls within lambdas and conditions of joins are not measured, nor what `replace` and `format` add.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion_common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion_common::{DFSchema, Result, ScalarValue};
use datafusion_expr::expr::ScalarFunction;
use datafusion_expr::{Expr, ExprSchemable, cast, lit};
use datafusion_functions::string::expr_fn::octet_length;

use super::functions::functions;

/// Bytes that any row may make of itself.
pub const SMALL_GROWTH: f64 = 1024.0;

/// Bytes of a character at most.
const CHARACTER: f64 = 4.0;

/// Bytes of a number in a list, and of a text in one beside its characters.
const NUMBER: f64 = 8.0;
const VIEW: f64 = 16.0;

/// Bytes that `json_each` and `json_tree` make of one byte.
const ENTRY: f64 = 100.0;

const MICROS_PER_DAY: f64 = 86_400e6;

/// For each call and constant in `expr` that may make much of little, the bytes that it makes of a row, as a DOUBLE; they may
/// come out as NULL or less than zero, which is nothing.
///
/// # Errors
/// As typing the expression does.
pub fn grown_bytes(expr: &Expr, schema: &DFSchema) -> Result<Vec<Expr>> {
    let mut found = Vec::new();
    expr.apply(|node| {
        match node {
            Expr::ScalarFunction(call) => {
                let bytes = bytes_of_call(call, schema)?.filter(|bytes| !has_lambda_variable(bytes));
                found.extend(bytes.map(attempted));
            }
            Expr::Literal(value, _) if value.size() as f64 > SMALL_GROWTH => found.push(lit(value.size() as f64)),
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

/// NULL where the size cannot be computed: it is asked of rows, too, that a CASE around the call leaves out.
fn attempted(bytes: Expr) -> Expr {
    match functions().scalar.get("try") {
        Some(function) if !bytes.is_volatile() => function.call(vec![bytes]),
        _ => bytes,
    }
}

/// The bytes that a call gives, where a number says so.
fn bytes_of_call(call: &ScalarFunction, schema: &DFSchema) -> Result<Option<Expr>> {
    Ok(match (call.name(), call.args.as_slice()) {
        ("repeat", [value, count]) => Some(bytes_of(value, schema)? * double(count)),
        ("lpad" | "rpad", [_, length, ..]) => Some(double(length) * lit(CHARACTER)),
        ("array_resize", [_, length, ..]) => Some(double(length) * lit(NUMBER)),
        ("array_repeat", [value, count]) => Some((bytes_of(value, schema)? + lit(VIEW)) * double(count)),
        // An entry of some bytes of text has eight columns.
        ("#json_each" | "#json_tree", [json, ..]) => Some(bytes_of(json, schema)? * lit(ENTRY)),
        ("equi_width_bins", [_, _, count, _]) => Some(double(count) * lit(NUMBER)),
        ("range" | "generate_series", [stop]) => Some(double(stop) * lit(NUMBER)),
        ("range" | "generate_series", [start, stop]) => Some(distance(start, stop, schema)? * lit(NUMBER)),
        ("range" | "generate_series", [start, stop, step]) => {
            let steps = distance(start, stop, schema)? / step_of(step, schema)?;
            Some(steps * lit(NUMBER))
        }
        _ => None,
    })
}

/// The bytes of a text.
fn bytes_of(value: &Expr, schema: &DFSchema) -> Result<Expr> {
    let within = grown_bytes(value, schema)?;
    if let Some(sum) = within.into_iter().reduce(|sum, bytes| sum + bytes) {
        return Ok(sum);
    }
    Ok(match value.get_type(schema)? {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => double(&octet_length(value.clone())),
        _ => lit(NUMBER),
    })
}

/// Numbers, or microseconds where these are times.
fn distance(start: &Expr, stop: &Expr, schema: &DFSchema) -> Result<Expr> {
    let number = |value: &Expr| -> Result<Expr> {
        let is_time = value.get_type(schema)?.is_temporal();
        let micros = || cast(cast(value.clone(), DataType::Timestamp(TimeUnit::Microsecond, None)), DataType::Int64);
        Ok(if is_time { double(&micros()) } else { double(value) })
    };
    Ok(number(stop)? - number(start)?)
}

/// In the unit of [`distance`].
fn step_of(step: &Expr, schema: &DFSchema) -> Result<Expr> {
    if let Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(step)), _) = step {
        let days = f64::from(step.months) * 30.0 + f64::from(step.days);
        return Ok(lit(days * MICROS_PER_DAY + step.nanoseconds as f64 / 1e3));
    }
    Ok(if step.get_type(schema)?.is_numeric() { double(step) } else { lit(MICROS_PER_DAY) })
}

fn double(value: &Expr) -> Expr {
    cast(value.clone(), DataType::Float64)
}

fn has_lambda_variable(expr: &Expr) -> bool {
    // The closure never fails.
    expr.exists(|expr| Ok(matches!(expr, Expr::LambdaVariable(_)))).unwrap_or(true)
}
