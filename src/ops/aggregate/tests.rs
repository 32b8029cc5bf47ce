//! Hash aggregation against a row-by-row reference, over lanes × budgets × batch sizes × table sizes × partitions ×
//! collisions.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int16Array, Int64Array, ListArray,
    StringArray, StringViewArray,
};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion_common::DFSchema;
use datafusion_expr::{Expr, ExprSchemable, col};
use proptest::prelude::*;

use super::HashAggregate;
use crate::expr::{AggregateCall, Compiler, functions};
use crate::ops::testing::{self, Strain, strains};

/// A small generator of its own, so that a failing case is reproduced by its seed alone.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    fn maybe<T>(&mut self, value: T) -> Option<T> {
        (self.below(8) > 0).then_some(value)
    }
}

fn column(kind: usize, rows: usize, distinct: u64, random: &mut Random) -> ArrayRef {
    let values: Vec<Option<u64>> = (0..rows)
        .map(|_| {
            let value = random.below(distinct);
            random.maybe(value)
        })
        .collect();
    let short = |value: u64| format!("k{value}");
    let long = |value: u64| format!("a key of more than twelve bytes, number {value}");
    let texts = |text: &dyn Fn(u64) -> String| values.iter().map(|value| value.map(text)).collect::<Vec<_>>();
    match kind {
        0 => Arc::new(Int64Array::from_iter(values.iter().map(|value| value.map(|value| value as i64 - 3)))),
        1 => Arc::new(StringViewArray::from_iter(texts(&short))),
        2 => Arc::new(StringArray::from_iter(texts(&long))),
        3 => Arc::new(Float64Array::from_iter(values.iter().map(|value| {
            value.map(|value| match value {
                0 => 0.0,
                1 => -0.0,
                2 => f64::NAN,
                other => other as f64 / 4.0,
            })
        }))),
        4 => Arc::new(BooleanArray::from_iter(values.iter().map(|value| value.map(|value| value % 2 == 0)))),
        5 => Arc::new(Date32Array::from_iter(values.iter().map(|value| value.map(|value| value as i32)))),
        6 => Arc::new(Int16Array::from_iter(values.iter().map(|value| value.map(|value| value as i16)))),
        7 => {
            let lists = values.iter().map(|value| value.map(|value| vec![Some(value as i64), None]));
            Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists))
        }
        8 => {
            let decimals = values.iter().map(|value| value.map(|value| i128::from(value) << 70));
            Arc::new(Decimal128Array::from_iter(decimals).with_precision_and_scale(38, 2).unwrap())
        }
        _ => {
            // Mostly short, now and then long: the packed form must give way in the middle.
            let mixed = |value: u64| if value % 7 == 6 { long(value) } else { short(value) };
            Arc::new(StringViewArray::from_iter(texts(&mixed)))
        }
    }
}

fn aggregate(name: &str, arguments: Vec<Expr>, distinct: bool, filter: Option<Expr>) -> Expr {
    use datafusion_expr::expr::{AggregateFunction, AggregateFunctionParams};
    let func = functions().aggregate[name].clone();
    let params = AggregateFunctionParams {
        args: arguments,
        distinct,
        filter: filter.map(Box::new),
        order_by: Vec::new(),
        null_treatment: None,
    };
    Expr::AggregateFunction(AggregateFunction { func, params })
}

/// `count(*)`, `sum(v)`, `max(v)`, `sum(v) filter (where v > 0)` by the keys.
fn calls() -> Vec<Expr> {
    let filter = Some(col("v").gt(datafusion_expr::lit(0_i64)));
    vec![
        aggregate("count", vec![datafusion_expr::lit(1_i64)], false, None),
        aggregate("sum", vec![col("v")], false, None),
        aggregate("max", vec![col("v")], false, None),
        aggregate("sum", vec![col("v")], false, filter),
    ]
}

fn sink(schema: &SchemaRef, keys: usize, calls: &[Expr], groups_in_lane: usize) -> HashAggregate {
    let schema = DFSchema::try_from(schema.as_ref().clone()).unwrap();
    let compiler = Compiler::starting_now();
    let keys: Vec<Expr> = (0..keys).map(|key| col(format!("k{key}"))).collect();
    let evaluators = compiler.compile_all(&keys, &schema).unwrap();
    let compiled = calls.iter().map(|call| AggregateCall::compile(call, &schema, &compiler).unwrap()).collect();
    let fields = keys.iter().chain(calls).enumerate().map(|(index, expr)| {
        let (_, field) = expr.to_field(&schema).unwrap();
        Field::new(format!("c{index}"), field.data_type().clone(), true)
    });
    let output = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    HashAggregate::new(evaluators, compiled, output).unwrap().with_groups_in_lane(groups_in_lane)
}

fn input(kinds: &[usize], rows: usize, distinct: u64, random: &mut Random) -> RecordBatch {
    let mut columns: Vec<ArrayRef> = kinds.iter().map(|&kind| column(kind, rows, distinct, random)).collect();
    columns.push(column(0, rows, 1000, random));
    let names = (0..kinds.len()).map(|key| format!("k{key}")).chain(["v".to_string()]);
    let fields: Vec<Field> =
        names.zip(&columns).map(|(name, column)| Field::new(name, column.data_type().clone(), true)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

/// Every row as texts; equal floats read the same.
fn texts(batch: &RecordBatch) -> Vec<Vec<String>> {
    let options = FormatOptions::default().with_null("NULL");
    let formatters: Vec<_> =
        batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
    let text = |row: usize, formatter: &ArrayFormatter| match formatter.value(row).to_string().as_str() {
        "-0.0" => "0.0".to_string(),
        other => other.to_string(),
    };
    (0..batch.num_rows()).map(|row| formatters.iter().map(|formatter| text(row, formatter)).collect()).collect()
}

/// Groups and their values, one row at a time.
fn reference(batch: &RecordBatch, keys: usize) -> Vec<Vec<String>> {
    let mut groups: BTreeMap<Vec<String>, Vec<Option<i64>>> = BTreeMap::new();
    let values = batch.column(keys).as_any().downcast_ref::<Int64Array>().unwrap();
    for (row, mut text) in texts(batch).into_iter().enumerate() {
        text.truncate(keys);
        groups.entry(text).or_default().push(values.is_valid(row).then(|| values.value(row)));
    }
    if keys == 0 && groups.is_empty() {
        groups.insert(Vec::new(), Vec::new());
    }
    let rows = groups.into_iter().map(|(mut key, values)| {
        let known: Vec<i64> = values.iter().flatten().copied().collect();
        let sum = |values: Vec<i64>| match values.is_empty() {
            true => "NULL".to_string(),
            false => values.iter().sum::<i64>().to_string(),
        };
        key.push(values.len().to_string());
        key.push(sum(known.clone()));
        key.push(known.iter().max().map_or("NULL".to_string(), i64::to_string));
        key.push(sum(known.into_iter().filter(|&value| value > 0).collect()));
        key
    });
    rows.collect()
}

#[derive(Debug, Clone)]
struct Case {
    seed: u64,
    kinds: Vec<usize>,
    rows: usize,
    distinct: u64,
    batch_size: usize,
    lanes: usize,
    limit: usize,
    groups_in_lane: usize,
    strain: Strain,
}

fn case() -> impl Strategy<Value = Case> {
    let kinds = prop::collection::vec(0usize..10, 0..4);
    let sizes = (0usize..3000, 1u64..5000, prop::sample::select(vec![1usize, 7, 128, 8192]));
    let surroundings =
        (1usize..4, prop::sample::select(vec![8usize << 20, 1 << 30]), prop::sample::select(vec![1usize, 50, 1 << 16]));
    (1u64..u64::MAX, kinds, sizes, surroundings, strains()).prop_map(|(seed, kinds, sizes, surroundings, strain)| {
        Case {
            seed,
            kinds,
            rows: sizes.0,
            distinct: sizes.1,
            batch_size: sizes.2,
            lanes: surroundings.0,
            limit: strain.limit(surroundings.1),
            groups_in_lane: surroundings.2,
            strain,
        }
    })
}

fn run(case: &Case) -> (Vec<Vec<String>>, Vec<Vec<String>>) {
    case.strain.during(|| run_strained(case))
}

fn run_strained(case: &Case) -> (Vec<Vec<String>>, Vec<Vec<String>>) {
    let mut random = Random(case.seed);
    let batch = input(&case.kinds, case.rows, case.distinct, &mut random);
    let context = testing::context(case.limit, case.batch_size, case.lanes);
    let sink = sink(&batch.schema(), case.kinds.len(), &calls(), case.groups_in_lane);
    let cut = vec![case.batch_size; case.rows.div_ceil(case.batch_size).min(4000)];
    let cuts: Vec<Vec<usize>> = cut.chunks(3).map(<[usize]>::to_vec).collect();
    let splits = testing::splits(&batch, &cuts);
    let batches = testing::drive(&sink, &context, case.lanes, splits, &[]).unwrap();
    assert!(batches.iter().all(|batch| batch.num_rows() <= case.batch_size.max(1)));
    let mut rows: Vec<Vec<String>> = batches.iter().flat_map(texts).collect();
    rows.sort();
    assert_eq!(testing::held(&context), 0, "everything reserved is given back");
    let mut expected = reference(&batch, case.kinds.len());
    expected.sort();
    (rows, expected)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn groups_are_those_of_the_reference(case in case()) {
        let (rows, expected) = run(&case);
        prop_assert_eq!(rows, expected);
    }
}

#[test]
fn no_rows_give_one_group_without_keys_and_none_with_keys() {
    let case = |kinds: Vec<usize>| Case {
        seed: 1,
        kinds,
        rows: 0,
        distinct: 1,
        batch_size: 10,
        lanes: 2,
        limit: 1 << 30,
        groups_in_lane: 10,
        strain: Strain::NONE,
    };
    assert_eq!(run(&case(vec![])).0, vec![vec!["0", "NULL", "NULL", "NULL"]]);
    assert!(run(&case(vec![0])).0.is_empty());
}

#[test]
fn partitions_that_do_not_fit_are_cut_again() {
    // A million groups of some 100 bytes each under 8 MiB: each of the 16 first partitions is larger than what is free.
    let case = Case {
        seed: 77,
        kinds: vec![0, 2],
        rows: 200_000,
        distinct: 1 << 40,
        batch_size: 1024,
        lanes: 2,
        limit: 8 << 20,
        groups_in_lane: 1000,
        strain: Strain::NONE,
    };
    let (rows, expected) = run(&case);
    assert_eq!(rows.len(), expected.len());
    assert!(rows == expected);
}

#[test]
fn describes_keys_and_calls() {
    use crate::ops::Sink;
    let schema =
        Arc::new(Schema::new(vec![Field::new("k0", DataType::Int64, true), Field::new("v", DataType::Int64, true)]));
    let text = sink(&schema, 1, &calls()[1..2], 10).describe();
    assert_eq!(text, "by k0: sum(v)");
}
