//! Holistic aggregation against a row-by-row reference, over lanes × budgets × batch sizes × partitions × collisions ×
//! group sizes.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, StringViewArray};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion_common::DFSchema;
use datafusion_expr::expr::{AggregateFunction, AggregateFunctionParams, Sort};
use datafusion_expr::{Expr, ExprSchemable, col, lit};
use proptest::prelude::*;

use super::HolisticAggregate;
use crate::expr::{AggregateCall, Compiler, first_row, functions};
use crate::ops::testing::{self, Strain, strains};

#[derive(Debug, Clone)]
struct Row {
    key: Option<i64>,
    value: Option<f64>,
    text: Option<String>,
}

fn relation(rows: &[Row]) -> RecordBatch {
    let keys: ArrayRef = Arc::new(Int64Array::from_iter(rows.iter().map(|row| row.key)));
    let values: ArrayRef = Arc::new(Float64Array::from_iter(rows.iter().map(|row| row.value)));
    let texts: ArrayRef = Arc::new(StringViewArray::from_iter(rows.iter().map(|row| row.text.as_deref())));
    RecordBatch::try_from_iter_with_nullable([("k", keys, true), ("v", values, true), ("t", texts, true)]).unwrap()
}

fn call(name: &str, arguments: Vec<Expr>, distinct: bool, filter: Option<Expr>, order_by: Vec<Sort>) -> Expr {
    let func = functions().aggregate[name].clone();
    let filter = filter.map(Box::new);
    let params = AggregateFunctionParams { args: arguments, distinct, filter, order_by, null_treatment: None };
    Expr::AggregateFunction(AggregateFunction { func, params })
}

/// What a call gives over a group's rows, as text.
type Reference = fn(&[&Row]) -> String;

/// Calls of every kind with what a reference makes of a group's rows, which come in the order of the input.
fn calls() -> Vec<(Expr, Reference)> {
    let plain = |name, arguments| call(name, arguments, false, None, Vec::new());
    let descending = vec![Sort::new(col("v"), false, false)];
    vec![
        (plain("median", vec![col("v")]), |rows| quantile(values(rows), 0.5)),
        (plain("quantile_cont", vec![col("v"), lit(0.3)]), |rows| quantile(values(rows), 0.3)),
        (plain("mode", vec![col("t")]), mode),
        (plain("array_agg", vec![col("v")]), |rows| list(rows.iter().map(|row| text(row.value)).collect())),
        (call("array_agg", vec![col("t")], false, None, descending), |rows| {
            let mut rows = rows.to_vec();
            rows.sort_by(|left, right| match (left.value, right.value) {
                (Some(left), Some(right)) => right.total_cmp(&left),
                (left, right) => left.is_none().cmp(&right.is_none()),
            });
            list(rows.iter().map(|row| row.text.clone().unwrap_or("NULL".to_string())).collect())
        }),
        (plain("string_agg", vec![col("t"), lit("; ")]), |rows| {
            let texts: Vec<String> = rows.iter().filter_map(|row| row.text.clone()).collect();
            if texts.is_empty() { "NULL".to_string() } else { texts.join("; ") }
        }),
        (call("array_agg", vec![col("v")], true, None, Vec::new()), |rows| {
            let mut all: Vec<Option<f64>> = rows.iter().map(|row| row.value).collect();
            all.sort_by_key(|value| (value.is_none(), value.unwrap_or(0.0) as i64));
            all.dedup();
            list(all.into_iter().map(text).collect())
        }),
        (call("count", vec![col("v")], true, Some(col("v").gt(lit(2.0))), Vec::new()), |rows| {
            let mut values: Vec<i64> =
                values(rows).iter().map(|value| *value as i64).filter(|&value| value > 2).collect();
            values.sort_unstable();
            values.dedup();
            values.len().to_string()
        }),
        (plain("sum", vec![col("v")]), |rows| {
            let values = values(rows);
            if values.is_empty() { "NULL".to_string() } else { text(Some(values.iter().sum())) }
        }),
        // A call with a state of fixed size over a type that waits in another one.
        (plain("max", vec![col("t")]), |rows| {
            rows.iter().filter_map(|row| row.text.clone()).max().unwrap_or("NULL".to_string())
        }),
        (plain("nth_value", vec![col("v"), lit(2_i64)]), |rows| {
            rows.get(1).map_or("NULL".to_string(), |row| text(row.value))
        }),
        (call("median", vec![col("v")], false, Some(col("v").lt(lit(3.0))), Vec::new()), |rows| {
            quantile(values(rows).into_iter().filter(|value| *value < 3.0).collect(), 0.5)
        }),
    ]
}

fn text(value: Option<f64>) -> String {
    value.map_or("NULL".to_string(), |value| format!("{value:?}"))
}

fn list(items: Vec<String>) -> String {
    if items.is_empty() { "NULL".to_string() } else { format!("[{}]", items.join(", ")) }
}

fn values(rows: &[&Row]) -> Vec<f64> {
    rows.iter().filter_map(|row| row.value).collect()
}

fn quantile(mut values: Vec<f64>, fraction: f64) -> String {
    values.sort_by(f64::total_cmp);
    if values.is_empty() {
        return "NULL".to_string();
    }
    let rank = fraction * (values.len() - 1) as f64;
    let (low, high, weight) = (values[rank.floor() as usize], values[rank.ceil() as usize], rank - rank.floor());
    text(Some(if weight == 0.0 { low } else { low * (1.0 - weight) + high * weight }))
}

fn mode(rows: &[&Row]) -> String {
    let texts: Vec<&String> = rows.iter().filter_map(|row| row.text.as_ref()).collect();
    let mut counts: BTreeMap<&String, usize> = BTreeMap::new();
    texts.iter().for_each(|text| *counts.entry(*text).or_default() += 1);
    let most = counts.values().copied().max().unwrap_or(0);
    texts.iter().find(|text| counts[**text] == most).map_or("NULL".to_string(), |text| (*text).clone())
}

fn sink(schema: &SchemaRef, keys: &[Expr], calls: &[Expr]) -> HolisticAggregate {
    let schema = DFSchema::try_from(schema.as_ref().clone()).unwrap();
    let compiler = Compiler::starting_now();
    let evaluators = compiler.compile_all(keys, &schema).unwrap();
    let compiled = calls.iter().map(|call| AggregateCall::compile(call, &schema, &compiler).unwrap()).collect();
    let fields = keys.iter().chain(calls).enumerate().map(|(index, expr)| {
        let (_, field) = expr.to_field(&schema).unwrap();
        Field::new(format!("c{index}"), field.data_type().clone(), true)
    });
    let output = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    HolisticAggregate::new(evaluators, compiled, output)
}

fn texts(batch: &RecordBatch) -> Vec<Vec<String>> {
    let options = FormatOptions::default().with_null("NULL");
    let formatters: Vec<_> =
        batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
    (0..batch.num_rows()).map(|row| formatters.iter().map(|one| one.value(row).to_string()).collect()).collect()
}

fn reference(rows: &[Row], keyed: bool) -> Vec<Vec<String>> {
    let mut groups: BTreeMap<Option<i64>, Vec<&Row>> = BTreeMap::new();
    if !keyed {
        groups.insert(None, Vec::new());
    }
    rows.iter().for_each(|row| groups.entry(row.key.filter(|_| keyed)).or_default().push(row));
    let all = groups.into_iter().map(|(key, rows)| {
        let key = keyed.then(|| key.map_or("NULL".to_string(), |key| key.to_string()));
        key.into_iter().chain(calls().iter().map(|(_, value)| value(&rows))).collect::<Vec<_>>()
    });
    let mut all: Vec<_> = all.collect();
    all.sort();
    all
}

#[derive(Debug, Clone)]
struct Case {
    rows: Vec<Row>,
    keyed: bool,
    strain: Strain,
    batch_size: usize,
    lanes: usize,
    limit: usize,
    share: Option<usize>,
}

fn run(case: &Case) -> Vec<Vec<String>> {
    run_calls(case, &calls().into_iter().map(|(call, _)| call).collect::<Vec<_>>())
}

fn run_calls(case: &Case, calls: &[Expr]) -> Vec<Vec<String>> {
    let batch = relation(&case.rows);
    let context = testing::context(case.limit, case.batch_size, case.lanes);
    let keys = if case.keyed { vec![col("k")] } else { Vec::new() };
    let sink = sink(&batch.schema(), &keys, calls);
    let sink = case.share.into_iter().fold(sink, HolisticAggregate::with_share);
    let cut = vec![case.batch_size; case.rows.len().div_ceil(case.batch_size)];
    let cuts: Vec<Vec<usize>> = cut.chunks(3).map(<[usize]>::to_vec).collect();
    let splits = testing::splits(&batch, &cuts);
    let batches = case.strain.during(|| testing::drive(&sink, &context, case.lanes, splits, &[2, 0])).unwrap();
    let mut rows: Vec<Vec<String>> = batches.iter().flat_map(texts).collect();
    rows.sort();
    drop(batches);
    assert_eq!(testing::held(&context), 0, "everything reserved is given back");
    rows
}

fn row(keys: i64, values: i64, texts: u32) -> impl Strategy<Value = Row> {
    use proptest::option::weighted;
    let key = weighted(0.9, prop_oneof![Just(0), 0..keys]);
    let value = weighted(0.9, 0..values);
    (key, value, weighted(0.9, 0..texts)).prop_map(|(key, value, text)| Row {
        key,
        value: value.map(|value| value as f64),
        text: text.map(|text| format!("a text that no view can hold, number {text}")),
    })
}

fn case() -> impl Strategy<Value = Case> {
    let rows = (1..40_i64, 1..20_i64, 1..50_u32)
        .prop_flat_map(|(keys, values, texts)| prop::collection::vec(row(keys, values, texts), 0..600));
    let limits = prop::sample::select(vec![1usize << 30, 16 << 20]);
    let shares = prop::sample::select(vec![None, Some(0), Some(3_000), Some(30_000)]);
    let surroundings = (prop::sample::select(vec![1usize, 7, 100]), 1usize..4, limits, shares);
    (rows, any::<bool>(), strains(), surroundings).prop_map(|(rows, keyed, strain, surroundings)| {
        let (batch_size, lanes, limit, share) = surroundings;
        Case { rows, keyed, strain, batch_size, lanes, limit: strain.limit(limit), share }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn groups_are_those_of_the_reference(case in case()) {
        prop_assert_eq!(run(&case), reference(&case.rows, case.keyed));
    }

    /// What DISTINCT ON asks for; lanes leave out rows that cannot be the first ones.
    #[test]
    fn first_rows_of_groups_are_those_of_the_reference(case in case(), ordered: bool) {
        let order = if ordered { vec![Sort::new(col("v"), false, false)] } else { Vec::new() };
        let first = |column: &str| {
            let order_by = order.clone();
            let params = AggregateFunctionParams { args: vec![col(column)], distinct: false, filter: None, order_by, null_treatment: None };
            Expr::AggregateFunction(AggregateFunction { func: first_row(), params })
        };
        let mut groups: BTreeMap<Option<i64>, &Row> = BTreeMap::new();
        for row in &case.rows {
            let first = groups.entry(row.key.filter(|_| case.keyed)).or_insert(row);
            // The largest value; of NULLs the first, and no value at all comes last.
            if ordered && row.value.is_some_and(|value| first.value.is_none_or(|first| value > first)) {
                *first = row;
            }
        }
        let cells = |(key, row): (Option<i64>, &Row)| {
            let key = case.keyed.then(|| key.map_or("NULL".to_string(), |key| key.to_string()));
            let values = [row.text.clone().unwrap_or("NULL".to_string()), text(row.value)];
            key.into_iter().chain(values).collect::<Vec<String>>()
        };
        let mut expected: Vec<Vec<String>> = groups.into_iter().map(cells).collect();
        if expected.is_empty() && !case.keyed {
            expected.push(vec!["NULL".to_string(); 2]);
        }
        expected.sort();
        prop_assert_eq!(run_calls(&case, &[first("t"), first("v")]), expected);
    }
}

fn cut_into(partitions: usize) -> Strain {
    Strain { partitions: Some(partitions), ..Strain::NONE }
}

/// `count` rows, of which `share` in ten are of one group.
fn skewed(count: usize, share: usize, groups: usize) -> Vec<Row> {
    let row = |index: usize| Row {
        key: Some(if index % 10 < share { 0 } else { (index % groups) as i64 }),
        value: (index % 11 != 3).then_some(((index * 7919) % 1013) as f64),
        text: Some(format!("{:034}", (index * 31) % 50_021)),
    };
    (0..count).map(row).collect()
}

#[test]
fn one_group_larger_than_the_memory_is_read_in_order() {
    // Lists and texts must fit, so the limit is a few times what the group's texts take, and a fraction of what all calls gather.
    let rows = skewed(60_000, 9, 100);
    for keyed in [true, false] {
        let case = Case {
            rows: rows.clone(),
            keyed,
            strain: cut_into(16),
            batch_size: 512,
            lanes: 2,
            limit: 24 << 20,
            share: None,
        };
        let (found, expected) = (run(&case), reference(&rows, keyed));
        assert_eq!(found.len(), expected.len());
        assert!(found == expected, "{keyed}");
    }
}

#[test]
fn partitions_that_do_not_fit_are_cut_again() {
    let rows = skewed(60_000, 0, 3_000);
    let case = Case {
        rows: rows.clone(),
        keyed: true,
        strain: cut_into(2),
        batch_size: 512,
        lanes: 2,
        limit: 8 << 20,
        share: None,
    };
    let (found, expected) = (run(&case), reference(&rows, true));
    assert!(found == expected);
}
