//! Every registered aggregate: one pass, many batches, merged states and converted states give the same.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int32Array, Int64Array, PrimitiveArray, RecordBatch,
    StringArray, UInt64Array,
};
use arrow::datatypes::Decimal128Type;
use arrow::util::display::array_value_to_string;
use datafusion_expr::{EmitTo, GroupsAccumulator, LogicalPlan};

use super::AggregateCall;
use crate::error::{Code, Result};
use crate::expr::tests::harness::analysed;
use crate::expr::{Compiler, functions};

/// Calls over the columns of [`rows`], at least one for every aggregate that there is.
const CALLS: [&str; 79] = [
    "sum(i)",
    "sum(b)",
    "sum(u)",
    "sum(d)",
    "sum(f)",
    "sum(DISTINCT i)",
    "sum(DISTINCT d)",
    "sum(DISTINCT f)",
    "sum(b) FILTER (WHERE i > 3)",
    "sum(f) FILTER (WHERE i > 3)",
    "avg(i)",
    "avg(b)",
    "avg(u)",
    "avg(d)",
    "avg(CAST(d AS DECIMAL(38,2)))",
    "avg(f)",
    "avg(DISTINCT i)",
    "avg(DISTINCT d)",
    "avg(DISTINCT f)",
    "avg(b) FILTER (WHERE i > 3)",
    "count(*)",
    "count(i)",
    "count(s)",
    "count(i, s)",
    "count(DISTINCT i)",
    "count(DISTINCT s)",
    "count(DISTINCT f)",
    "count(*) FILTER (WHERE i > 3)",
    "min(i)",
    "max(b)",
    "min(d)",
    "max(f)",
    "min(s)",
    "max(s) FILTER (WHERE i > 3)",
    "max(i > 3)",
    "median(i)",
    "median(f)",
    "var_samp(f)",
    "var_pop(f)",
    "stddev(f)",
    "skewness(f)",
    "kurtosis(f)",
    "kurtosis_pop(f)",
    "product(f)",
    "stddev_pop(i)",
    "corr(f, i)",
    "covar_samp(f, i)",
    "covar_pop(f, i)",
    "regr_slope(f, i)",
    "regr_intercept(f, i)",
    "regr_count(f, i)",
    "regr_r2(f, i)",
    "regr_avgx(f, i)",
    "regr_avgy(f, i)",
    "regr_sxx(f, i)",
    "regr_syy(f, i)",
    "regr_sxy(f, i)",
    "approx_distinct(s)",
    "approx_median(f)",
    "approx_percentile_cont(0.5) WITHIN GROUP (ORDER BY f)",
    "approx_percentile_cont_with_weight(i, 0.5) WITHIN GROUP (ORDER BY f)",
    "percentile_cont(0.3) WITHIN GROUP (ORDER BY f)",
    "string_agg(s, ',')",
    "string_agg(s, ',' ORDER BY b)",
    "array_agg(s)",
    "array_agg(s ORDER BY b DESC)",
    "array_agg(DISTINCT s ORDER BY s)",
    "first_value(s ORDER BY b)",
    "last_value(s ORDER BY b)",
    "nth_value(s, 2)",
    "mode(s)",
    "quantile_disc(i, 0.3)",
    "any_value(g)",
    "bit_and(i)",
    "bit_or(i)",
    "bit_xor(i)",
    "bool_and(i > 2)",
    "bool_or(i > 6)",
    "first_value(i)",
];

/// Rows of groups 0 to 4 in column `g`, of which group 4 has nothing but NULLs; `b` is never twice the same.
fn rows(count: usize) -> RecordBatch {
    let mut state = 42_u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as i64
    };
    let groups: Vec<_> = (0..count).map(|row| if row < 5 { row as i64 } else { random() % 5 }).collect();
    let mut numbers = |modulus: i64| -> Vec<Option<i64>> {
        groups.iter().map(|group| (*group != 4 && random() % 4 != 0).then(|| random() % modulus)).collect()
    };
    let i: Int32Array = numbers(9).into_iter().map(|value| value.map(|value| value as i32)).collect();
    let u: UInt64Array = numbers(1 << 30).into_iter().map(|value| value.map(i64::cast_unsigned)).collect();
    let f: Float64Array = numbers(1000).into_iter().map(|value| value.map(|value| value as f64 / 7.0)).collect();
    let d = numbers(100_000).into_iter().map(|value| value.map(|value| i128::from(value) - 50_000));
    let d: PrimitiveArray<Decimal128Type> = d.collect();
    let s: StringArray = numbers(50).into_iter().map(|value| value.map(|value| format!("s{value}"))).collect();
    let b: Int64Array = (0..count as i64).map(|row| Some((row * 7919) % 10_007 - 5000)).collect();
    RecordBatch::try_from_iter_with_nullable([
        ("g", Arc::new(Int64Array::from(groups)) as ArrayRef, false),
        ("i", Arc::new(i) as ArrayRef, true),
        ("b", Arc::new(b) as ArrayRef, false),
        ("u", Arc::new(u) as ArrayRef, true),
        ("d", Arc::new(d.with_precision_and_scale(15, 2).unwrap()) as ArrayRef, true),
        ("f", Arc::new(f) as ArrayRef, true),
        ("s", Arc::new(s) as ArrayRef, true),
    ])
    .unwrap()
}

fn compiled(call: &str, batch: &RecordBatch) -> Result<AggregateCall> {
    let mut plan = analysed(&format!("SELECT {call} FROM t GROUP BY g"), batch)?;
    loop {
        match plan {
            LogicalPlan::Projection(projection) => plan = projection.input.as_ref().clone(),
            LogicalPlan::Aggregate(aggregate) => {
                let [expr] = aggregate.aggr_expr.as_slice() else { panic!("{call} is not one aggregate") };
                return AggregateCall::compile(expr, aggregate.input.schema(), &Compiler::starting_now());
            }
            other => panic!("unexpected {}", other.display()),
        }
    }
}

/// Arguments, groups and filter of a batch.
fn inputs(call: &AggregateCall, batch: &RecordBatch) -> (Vec<ArrayRef>, Vec<usize>, Option<BooleanArray>) {
    let arguments = call.arguments().iter().map(|argument| argument.evaluate(batch).unwrap()).collect();
    let groups = batch.column(0).as_primitive::<arrow::datatypes::Int64Type>();
    let groups = groups.values().iter().map(|group| *group as usize).collect();
    let filter = call.filter().map(|filter| filter.evaluate(batch).unwrap().as_boolean().clone());
    (arguments, groups, filter)
}

fn update(accumulator: &mut dyn GroupsAccumulator, call: &AggregateCall, batch: &RecordBatch) {
    let (arguments, groups, filter) = inputs(call, batch);
    accumulator.update_batch(&arguments, &groups, filter.as_ref(), 5).unwrap();
}

fn texts(array: &dyn Array) -> Vec<String> {
    (0..array.len()).map(|row| array_value_to_string(array, row).unwrap()).collect()
}

/// Equal, or the same number but for the last digits (a fifth off for what is called approximate).
fn assert_same(call: &str, way: &str, left: &[String], right: &[String]) {
    let tolerance = if call.starts_with("approx") { 0.2 } else { 1e-9 };
    assert_eq!(left.len(), right.len());
    for (left, right) in left.iter().zip(right) {
        let close = match (left.parse::<f64>(), right.parse::<f64>()) {
            (Ok(left), Ok(right)) => (left - right).abs() <= tolerance * left.abs().max(right.abs()).max(1e-3),
            _ => false,
        };
        assert!(left == right || close, "{call}, {way}: {left} and {right}");
    }
}

#[test]
fn every_aggregate_is_tested() {
    let tested: BTreeSet<&str> = CALLS.iter().filter_map(|call| call.split('(').next()).collect();
    for function in functions().aggregate.values() {
        let names: Vec<_> =
            std::iter::once(function.name()).chain(function.aliases().iter().map(String::as_str)).collect();
        // GROUPING is gone before a plan is lowered; what nobody writes stands for window functions.
        let other = function.name() == "grouping" || function.name().starts_with('#');
        assert!(other || names.iter().any(|name| tested.contains(name)), "{names:?}");
    }
}

#[test]
fn merged_states_give_what_one_pass_gives() {
    let batch = rows(700);
    for text in CALLS {
        let call = compiled(text, &batch).unwrap_or_else(|error| panic!("{text}: {error}"));
        let mut once = call.accumulator().unwrap();
        update(once.as_mut(), &call, &batch);
        let once = once.evaluate(EmitTo::All).unwrap();
        assert_eq!(once.data_type(), call.field().data_type(), "{text}");
        assert!(call.field().is_nullable() || once.null_count() == 0, "{text}");
        let once = texts(once.as_ref());

        let mut in_batches = call.accumulator().unwrap();
        let mut merged = call.accumulator().unwrap();
        let mut converted = call.accumulator().unwrap();
        let fields = call.state_fields().unwrap();
        for (start, length) in [(0, 200), (200, 13), (213, 287), (500, 200)] {
            let slice = batch.slice(start, length);
            update(in_batches.as_mut(), &call, &slice);
            let mut part = call.accumulator().unwrap();
            update(part.as_mut(), &call, &slice);
            let state = part.state(EmitTo::All).unwrap();
            assert_eq!(state.len(), fields.len(), "{text}");
            for (column, field) in state.iter().zip(&fields) {
                assert_eq!(column.data_type(), field.data_type(), "{text}: state {field}");
            }
            merged.merge_batch(&state, &[0, 1, 2, 3, 4], 5).unwrap();
            let (arguments, groups, filter) = inputs(&call, &slice);
            let state = converted.convert_to_state(&arguments, filter.as_ref()).unwrap();
            converted.merge_batch(&state, &groups, 5).unwrap();
        }
        assert_same(text, "in batches", &once, &texts(in_batches.evaluate(EmitTo::All).unwrap().as_ref()));
        assert_same(text, "merged", &once, &texts(merged.evaluate(EmitTo::All).unwrap().as_ref()));
        assert_same(text, "converted", &once, &texts(converted.evaluate(EmitTo::All).unwrap().as_ref()));
    }
}

#[test]
fn groups_can_be_emitted_in_parts() {
    let batch = rows(300);
    for text in CALLS {
        let call = compiled(text, &batch).unwrap();
        let mut whole = call.accumulator().unwrap();
        let mut parts = call.accumulator().unwrap();
        update(whole.as_mut(), &call, &batch);
        update(parts.as_mut(), &call, &batch);
        let whole = texts(whole.evaluate(EmitTo::All).unwrap().as_ref());
        let mut emitted = texts(parts.evaluate(EmitTo::First(2)).unwrap().as_ref());
        emitted.extend(texts(parts.evaluate(EmitTo::All).unwrap().as_ref()));
        assert_same(text, "in parts", &whole, &emitted);
    }
}

#[test]
fn ordered_aggregates_sort_what_they_collect() {
    let batch = rows(300);
    let group: Vec<_> =
        (0..300).filter(|row| batch.column(0).as_primitive::<arrow::datatypes::Int64Type>().value(*row) == 1).collect();
    let key = |row: &usize| batch.column(2).as_primitive::<arrow::datatypes::Int64Type>().value(*row);
    let mut sorted = group.clone();
    sorted.sort_by_key(key);
    assert_ne!(group, sorted);
    let value = |row: &usize| array_value_to_string(batch.column(6), *row).unwrap();
    let strings: Vec<_> = sorted.iter().map(value).collect();
    let backwards: Vec<_> = strings.iter().rev().cloned().collect();
    let expected = [
        ("array_agg(s ORDER BY b)", format!("[{}]", strings.join(", "))),
        ("array_agg(s ORDER BY b DESC)", format!("[{}]", backwards.join(", "))),
        ("first_value(s ORDER BY b)", strings[0].clone()),
        ("last_value(s ORDER BY b)", backwards[0].clone()),
    ];
    for (text, expected) in expected {
        let call = compiled(text, &batch).unwrap();
        let mut merged = call.accumulator().unwrap();
        for (start, length) in [(0, 120), (120, 60), (180, 120)] {
            let mut part = call.accumulator().unwrap();
            update(part.as_mut(), &call, &batch.slice(start, length));
            let state = part.state(EmitTo::All).unwrap();
            merged.merge_batch(&state, &(0..state[0].len()).collect::<Vec<_>>(), 5).unwrap();
        }
        assert_eq!(texts(merged.evaluate(EmitTo::All).unwrap().as_ref())[1], expected, "{text}");
        let mut once = call.accumulator().unwrap();
        update(once.as_mut(), &call, &batch);
        assert_eq!(texts(once.evaluate(EmitTo::All).unwrap().as_ref())[1], expected, "{text}");
    }
}

#[test]
fn no_rows_give_zero_counts_and_nulls() {
    let batch = rows(10);
    for text in CALLS {
        let value = compiled(text, &batch).unwrap().empty_value().unwrap();
        let counts = text.starts_with("count") || text.starts_with("regr_count") || text.starts_with("approx_distinct");
        assert_eq!(value.is_null(), !counts, "{text}: {value}");
    }
    for text in ["sum(b)", "sum(f)", "avg(d)", "count(*)"] {
        let call = compiled(text, &batch).unwrap();
        let mut accumulator = call.accumulator().unwrap();
        update(accumulator.as_mut(), &call, &batch.slice(0, 0));
        let result = accumulator.evaluate(EmitTo::All).unwrap();
        assert_eq!(result.null_count(), if text == "count(*)" { 0 } else { 5 });
    }
}

#[test]
fn sums_widen_and_stop_at_38_digits() {
    let largest = 10_i128.pow(38) - 1;
    let batch = |values: Vec<i128>| {
        let count = values.len();
        let h = PrimitiveArray::<Decimal128Type>::from_iter_values(values).with_precision_and_scale(38, 0).unwrap();
        RecordBatch::try_from_iter([
            ("g", Arc::new(Int64Array::from(vec![0; count])) as ArrayRef),
            ("b", Arc::new(Int64Array::from(vec![i64::MAX; count])) as ArrayRef),
            ("h", Arc::new(h) as ArrayRef),
        ])
        .unwrap()
    };
    let run = |text: &str, batch: &RecordBatch| -> Result<String> {
        let call = compiled(text, batch)?;
        let mut accumulator = call.accumulator()?;
        let (arguments, groups, _) = inputs(&call, batch);
        accumulator.update_batch(&arguments, &groups, None, 1)?;
        Ok(texts(accumulator.evaluate(EmitTo::All)?.as_ref()).remove(0))
    };
    assert_eq!(run("sum(b)", &batch(vec![0; 3])).unwrap(), "27670116110564327421");
    assert_eq!(run("avg(b)", &batch(vec![0; 3])).unwrap(), "9.223372036854776e18");
    assert_eq!(run("sum(h)", &batch(vec![largest, -5, 5])).unwrap(), largest.to_string());
    for (text, values) in [
        ("sum(h)", vec![largest, 1]),
        ("sum(h)", vec![largest; 2]),
        ("sum(h)", vec![-largest; 600]),
        ("sum(DISTINCT h)", vec![largest, 1]),
    ] {
        let error = run(text, &batch(values)).unwrap_err();
        assert_eq!(error.code(), Code::Overflow, "{error}");
    }
}

#[test]
fn float_sums_do_not_depend_on_order() {
    let values: Vec<f64> =
        (0..5000_i32).map(|row| f64::from(row * 7919 % 5003) * 0.1 + 1e9 / f64::from(row + 1)).collect();
    let sum = |values: Vec<f64>, size: usize| {
        let rows = values.len();
        let batch = RecordBatch::try_from_iter([
            ("g", Arc::new(Int64Array::from(vec![0; rows])) as ArrayRef),
            ("f", Arc::new(Float64Array::from(values)) as ArrayRef),
        ])
        .unwrap();
        let call = compiled("sum(f)", &batch).unwrap();
        let mut accumulator = call.accumulator().unwrap();
        for start in (0..rows).step_by(size) {
            let (arguments, groups, _) = inputs(&call, &batch.slice(start, size.min(rows - start)));
            accumulator.update_batch(&arguments, &groups, None, 1).unwrap();
        }
        let result = accumulator.evaluate(EmitTo::All).unwrap();
        result.as_primitive::<arrow::datatypes::Float64Type>().value(0)
    };
    let expected = sum(values.clone(), 5000);
    let mut backwards = values.clone();
    backwards.reverse();
    for size in [1, 7, 1000, 5000] {
        assert_eq!(sum(values.clone(), size), expected);
        assert_eq!(sum(backwards.clone(), size), expected);
    }
    assert_eq!(sum(vec![f64::INFINITY, 1.0], 2), f64::INFINITY);
    assert!(sum(vec![f64::INFINITY, f64::NEG_INFINITY], 1).is_nan());
    assert!(sum(vec![f64::NAN, 1.0], 1).is_nan());
}

#[test]
fn what_a_call_tells_about_itself() {
    let batch = rows(10);
    let call = compiled("sum(b + 1) FILTER (WHERE i > 3)", &batch).unwrap();
    assert_eq!(call.field().name(), "sum(t.b + Int64(1)) FILTER (WHERE t.i > Int64(3))");
    assert!(!call.is_distinct() && !call.counts_rows());
    assert!(compiled("count(*)", &batch).unwrap().counts_rows());
    assert!(!compiled("count(i)", &batch).unwrap().counts_rows());
    let sum = compiled("sum(i)", &batch).unwrap();
    assert_eq!(sum.arguments()[0].data_type(), &arrow::datatypes::DataType::Int32);
}
