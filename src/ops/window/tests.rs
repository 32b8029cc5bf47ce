//! Window functions against a row-by-row oracle: for each row the partition is sorted anew, its frame is picked by
//! definition, and the function is computed from nothing.

use std::cmp::Ordering;

use arrow::array::{Array, AsArray, Int32Array, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use arrow::record_batch::RecordBatch;
use arrow::util::display::array_value_to_string;
use datafusion_common::{DFSchema, ScalarValue};
use datafusion_expr::expr::{NullTreatment, WindowFunction};
use datafusion_expr::{
    Expr, WindowFrame, WindowFrameBound, WindowFrameUnits, WindowFunctionDefinition, cast, col, lit,
};
use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;

use super::*;
use crate::expr::{Compiler, Exclusion, WindowCall, functions};
use crate::ops::sort::SortKey;
use crate::ops::testing::relation::cuts;
use crate::ops::testing::{context, drive, evaluator, held, splits, strains, whole};

/// A row: partition, order, value, text.
type Row = (Option<i64>, Option<i32>, Option<i64>, Option<String>);

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let text = weighted(0.8, (0..30u8).prop_map(|seed| "x".repeat(usize::from(seed))));
    vec((weighted(0.9, 0..4i64), weighted(0.9, -6..6i32), weighted(0.8, -50..50i64), text), 0..120)
}

fn batch(rows: &[Row]) -> RecordBatch {
    let columns: [(&str, Arc<dyn Array>); 5] = [
        ("k", Arc::new(Int64Array::from_iter(rows.iter().map(|row| row.0)))),
        ("o", Arc::new(Int32Array::from_iter(rows.iter().map(|row| row.1)))),
        ("v", Arc::new(Int64Array::from_iter(rows.iter().map(|row| row.2)))),
        ("s", Arc::new(StringArray::from_iter(rows.iter().map(|row| row.3.as_deref())))),
        ("row", Arc::new(Int64Array::from_iter_values(0..rows.len() as i64))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).expect("a batch")
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    Unbounded,
    Preceding(u8),
    CurrentRow,
    Following(u8),
}

fn ends() -> impl Strategy<Value = End> {
    prop_oneof![
        2 => Just(End::Unbounded),
        1 => Just(End::CurrentRow),
        2 => (0..5u8).prop_map(End::Preceding),
        2 => (0..5u8).prop_map(End::Following),
    ]
}

#[derive(Debug, Clone, Copy)]
struct TestFrame {
    units: WindowFrameUnits,
    start: End,
    end: End,
    exclusion: Exclusion,
}

fn frames() -> impl Strategy<Value = TestFrame> {
    let units =
        prop_oneof![Just(WindowFrameUnits::Rows), Just(WindowFrameUnits::Range), Just(WindowFrameUnits::Groups)];
    let exclusions = prop_oneof![
        6 => Just(Exclusion::NoOthers),
        1 => Just(Exclusion::CurrentRow),
        1 => Just(Exclusion::Group),
        1 => Just(Exclusion::Ties),
    ];
    (units, ends(), ends(), exclusions).prop_map(|(units, start, end, exclusion)| {
        let backwards = matches!(
            (start, end),
            (End::CurrentRow | End::Following(_), End::Preceding(_)) | (End::Following(_), End::CurrentRow)
        );
        TestFrame { units, start, end: if backwards { End::Unbounded } else { end }, exclusion }
    })
}

impl TestFrame {
    fn logical(&self) -> WindowFrame {
        let offset = |rows: u8| match self.units {
            WindowFrameUnits::Range => ScalarValue::Int32(Some(i32::from(rows))),
            _ => ScalarValue::UInt64(Some(u64::from(rows))),
        };
        let bound = |end: End, unbounded: WindowFrameBound| match end {
            End::Unbounded => unbounded,
            End::Preceding(rows) => WindowFrameBound::Preceding(offset(rows)),
            End::CurrentRow => WindowFrameBound::CurrentRow,
            End::Following(rows) => WindowFrameBound::Following(offset(rows)),
        };
        let nothing = ScalarValue::UInt64(None);
        WindowFrame::new_bounds(
            self.units,
            bound(self.start, WindowFrameBound::Preceding(nothing.clone())),
            bound(self.end, WindowFrameBound::Following(nothing)),
        )
    }
}

/// Name, arguments behind the value, whether NULLs are ignored, filter.
#[derive(Debug, Clone)]
struct TestCall {
    name: &'static str,
    number: i64,
    ignore_nulls: bool,
    filtered: bool,
    text: bool,
    frame: TestFrame,
}

const NAMES: [&str; 21] = [
    "row_number",
    "rank",
    "dense_rank",
    "percent_rank",
    "cume_dist",
    "ntile",
    "lag",
    "lead",
    "first_value",
    "last_value",
    "nth_value",
    "sum",
    "count",
    "min",
    "max",
    "avg",
    "array_agg",
    "median",
    "string_agg",
    "bit_or",
    "count distinct",
];

fn calls() -> impl Strategy<Value = TestCall> {
    (0..NAMES.len(), 0..5i64, any::<bool>(), any::<bool>(), any::<bool>(), frames()).prop_map(
        |(name, number, ignore_nulls, filtered, text, frame)| {
            let name = NAMES[name];
            let ignore_nulls =
                ignore_nulls && matches!(name, "lag" | "lead" | "first_value" | "last_value" | "nth_value");
            let is_aggregate = !ignore_nulls && !functions().window.contains_key(name);
            let text = text
                && matches!(
                    name,
                    "lag" | "lead" | "first_value" | "last_value" | "nth_value" | "min" | "max" | "count"
                );
            TestCall { name, number, ignore_nulls, filtered: filtered && is_aggregate, text, frame }
        },
    )
}

impl TestCall {
    fn logical(&self) -> WindowFunction {
        let name = self.name.trim_end_matches(" distinct");
        let definition = match functions().window.get(name) {
            Some(function) => WindowFunctionDefinition::WindowUDF(function.clone()),
            None => WindowFunctionDefinition::AggregateUDF(functions().aggregate[name].clone()),
        };
        let value = if self.text || name == "string_agg" { col("s") } else { col("v") };
        let arguments = match name {
            "row_number" | "rank" | "dense_rank" | "percent_rank" | "cume_dist" => vec![],
            "ntile" => vec![lit(self.number + 1)],
            "lag" | "lead" => vec![value, lit(self.number)],
            "nth_value" => vec![value, lit(self.number + 1)],
            "string_agg" => vec![value, lit("-")],
            "median" => vec![cast(value, DataType::Float64)],
            _ => vec![value],
        };
        let mut function = WindowFunction::new(definition, arguments);
        function.params.window_frame = self.frame.logical();
        function.params.null_treatment = self.ignore_nulls.then_some(NullTreatment::IgnoreNulls);
        function.params.filter = self.filtered.then(|| Box::new(col("v").gt(lit(0i64))));
        function.params.partition_by = vec![lit(self.frame.exclusion.mark())];
        function.params.distinct = self.name.ends_with("distinct");
        function
    }
}

/// How the rows are ordered.
#[derive(Debug, Clone, Copy)]
struct TestOrder {
    partitioned: bool,
    descending: bool,
    nulls_first: bool,
}

impl TestOrder {
    fn compare(&self, left: &Row, right: &Row) -> Ordering {
        match (left.1, right.1) {
            (None, None) => Ordering::Equal,
            (None, _) => {
                if self.nulls_first {
                    Ordering::Less
                } else {
                    Ordering::Greater
                }
            }
            (_, None) => {
                if self.nulls_first {
                    Ordering::Greater
                } else {
                    Ordering::Less
                }
            }
            (Some(left), Some(right)) => {
                if self.descending {
                    right.cmp(&left)
                } else {
                    left.cmp(&right)
                }
            }
        }
    }
}

/// The rows of `row`'s partition in order, and its place among them.
fn partition(rows: &[Row], order: TestOrder, row: usize) -> (Vec<usize>, usize) {
    let mut own: Vec<usize> =
        (0..rows.len()).filter(|&other| !order.partitioned || rows[other].0 == rows[row].0).collect();
    own.sort_by(|&left, &right| order.compare(&rows[left], &rows[right]));
    let place = own.iter().position(|&other| other == row).expect("itself");
    (own, place)
}

/// The places in the partition that are in the frame of place `at`.
fn frame(rows: &[Row], order: TestOrder, own: &[usize], at: usize, frame: TestFrame) -> Vec<usize> {
    let peers = |left: usize, right: usize| order.compare(&rows[own[left]], &rows[own[right]]).is_eq();
    let group = |place: usize| (1..=place).filter(|&other| !peers(other - 1, other)).count() as i64;
    // How far `other` is behind `at`, in the frame's units; `None` where a RANGE offset has no meaning.
    let distance = |other: usize| match frame.units {
        WindowFrameUnits::Rows => Some(other as i64 - at as i64),
        WindowFrameUnits::Groups => Some(group(other) - group(at)),
        WindowFrameUnits::Range => match (rows[own[other]].1, rows[own[at]].1) {
            (Some(other), Some(at)) => Some(i64::from(if order.descending { at - other } else { other - at })),
            _ => None,
        },
    };
    let is_before = |other: usize| order.compare(&rows[own[other]], &rows[own[at]]).is_lt();
    let inside = |other: usize, end: End, is_end: bool| match end {
        End::Unbounded => true,
        End::CurrentRow if frame.units == WindowFrameUnits::Rows => {
            if is_end {
                other <= at
            } else {
                other >= at
            }
        }
        End::CurrentRow => peers(other, at) || is_before(other) == is_end,
        End::Preceding(_) | End::Following(_) => {
            let offset = match end {
                End::Preceding(offset) => -i64::from(offset),
                End::Following(offset) => i64::from(offset),
                _ => 0,
            };
            match distance(other) {
                Some(distance) => {
                    if is_end {
                        distance <= offset
                    } else {
                        distance >= offset
                    }
                }
                None => peers(other, at) || is_before(other) == is_end,
            }
        }
    };
    let stays = |other: usize| match frame.exclusion {
        Exclusion::NoOthers => true,
        Exclusion::CurrentRow => other != at,
        Exclusion::Group => !peers(other, at),
        Exclusion::Ties => other == at || !peers(other, at),
    };
    (0..own.len())
        .filter(|&other| inside(other, frame.start, false) && inside(other, frame.end, true) && stays(other))
        .collect()
}

fn text_of(row: &Row, text: bool) -> Option<String> {
    if text { row.3.clone() } else { row.2.map(|value| value.to_string()) }
}

fn expected(rows: &[Row], order: TestOrder, call: &TestCall, row: usize) -> Option<String> {
    let (own, at) = partition(rows, order, row);
    let compare = |left: usize, right: usize| order.compare(&rows[own[left]], &rows[own[right]]);
    let before = (0..own.len()).filter(|&other| compare(other, at).is_lt()).count();
    let through = (0..own.len()).filter(|&other| compare(other, at).is_le()).count();
    let value = |place: usize| text_of(&rows[own[place]], call.text);
    let frame = frame(rows, order, &own, at, call.frame);
    match call.name {
        "row_number" => return Some((at + 1).to_string()),
        "rank" => return Some((before + 1).to_string()),
        "dense_rank" => {
            return Some((1 + (1..=at).filter(|&place| compare(place - 1, place).is_lt()).count()).to_string());
        }
        "percent_rank" if own.len() == 1 => return Some("0.0".to_owned()),
        "percent_rank" => return Some(format!("{:?}", before as f64 / (own.len() - 1) as f64)),
        "cume_dist" => return Some(format!("{:?}", through as f64 / own.len() as f64)),
        "ntile" => {
            let buckets = (call.number + 1) as usize;
            let sizes = (0..buckets).map(|bucket| own.len() / buckets + usize::from(bucket < own.len() % buckets));
            let ends: Vec<usize> = sizes
                .scan(0, |end, size| {
                    *end += size;
                    Some(*end)
                })
                .collect();
            return ends.iter().position(|&end| at < end).map(|bucket| (bucket + 1).to_string());
        }
        "lag" | "lead" if call.number == 0 => return value(at),
        "lag" | "lead" => {
            let mut others: Vec<usize> =
                if call.name == "lag" { (0..at).rev().collect() } else { (at + 1..own.len()).collect() };
            others.retain(|&place| !call.ignore_nulls || value(place).is_some());
            return others.get(call.number as usize - 1).and_then(|&place| value(place));
        }
        "first_value" | "last_value" | "nth_value" => {
            let seen: Vec<usize> =
                frame.into_iter().filter(|&place| !call.ignore_nulls || value(place).is_some()).collect();
            let place = match call.name {
                "first_value" => seen.first(),
                "last_value" => seen.last(),
                _ => seen.get(call.number as usize),
            };
            return place.and_then(|&place| value(place));
        }
        _ => {}
    }
    let inside: Vec<&Row> = frame.iter().map(|&place| &rows[own[place]]).collect();
    let inside: Vec<&Row> =
        inside.into_iter().filter(|row| !call.filtered || row.2.is_some_and(|value| value > 0)).collect();
    aggregate(call, &inside)
}

fn aggregate(call: &TestCall, inside: &[&Row]) -> Option<String> {
    let mut numbers: Vec<i64> = inside.iter().filter_map(|row| row.2).collect();
    let mut texts: Vec<String> = inside.iter().filter_map(|row| text_of(row, call.text)).collect();
    let sum = numbers.iter().sum::<i64>();
    match call.name {
        "count" => Some(texts.len().to_string()),
        "count distinct" => {
            numbers.sort_unstable();
            numbers.dedup();
            Some(numbers.len().to_string())
        }
        "min" if call.text => texts.into_iter().min(),
        "max" if call.text => texts.into_iter().max(),
        "array_agg" if inside.is_empty() => None,
        "array_agg" => {
            let values: Vec<String> =
                inside.iter().map(|row| row.2.map_or(String::new(), |value| value.to_string())).collect();
            Some(format!("[{}]", values.join(", ")))
        }
        "string_agg" => {
            texts = inside.iter().filter_map(|row| row.3.clone()).collect();
            (!texts.is_empty()).then(|| texts.join("-"))
        }
        _ if numbers.is_empty() => None,
        "sum" => Some(sum.to_string()),
        "avg" => Some(format!("{:?}", sum as f64 / numbers.len() as f64)),
        "min" => numbers.iter().min().map(ToString::to_string),
        "max" => numbers.iter().max().map(ToString::to_string),
        "bit_or" => numbers.iter().copied().reduce(|left, right| left | right).map(|bits| bits.to_string()),
        "median" => {
            numbers.sort_unstable();
            let middle = numbers.len() / 2;
            let median = if numbers.len() % 2 == 1 {
                numbers[middle] as f64
            } else {
                (numbers[middle - 1] + numbers[middle]) as f64 / 2.0
            };
            Some(format!("{median:?}"))
        }
        other => panic!("{other} has no oracle"),
    }
}

fn window(calls: &[TestCall], order: TestOrder, schema: &SchemaRef) -> Window {
    let logical = DFSchema::try_from(schema.as_ref().clone()).expect("a schema");
    let key = |name: &str, descending, nulls_first| SortKey {
        evaluator: evaluator(&col(name), schema),
        descending,
        nulls_first,
    };
    let partition = usize::from(order.partitioned);
    let mut keys = Vec::new();
    if order.partitioned {
        keys.push(key("k", false, true));
    }
    keys.push(key("o", order.descending, order.nulls_first));
    let mut fields: Vec<Arc<Field>> = schema.fields().iter().cloned().collect();
    let mut columns: Vec<WindowColumn> = (0..fields.len()).map(WindowColumn::Carried).collect();
    let mut slots = Vec::new();
    for (index, call) in calls.iter().enumerate() {
        let function = call.logical();
        let field = Expr::from(function.clone());
        let (_, field) = datafusion_expr::ExprSchemable::to_field(&field, &logical).expect("a field");
        let field = Arc::new(field.as_ref().clone().with_name(format!("f{index}")));
        let call = WindowCall::compile(&function, &logical, &Compiler::starting_now()).expect("compiles");
        slots.push(WindowSlot { call, partition, order: 1 });
        fields.push(field);
        columns.push(WindowColumn::Function(index));
    }
    let order =
        WindowOrder { input: schema.clone(), carried: (0..schema.fields().len()).collect(), keys, shared: partition };
    Window::new(order, slots, columns, Arc::new(Schema::new(fields))).expect("a window")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_function_agrees_with_its_definition(
        rows in rows(),
        calls in vec(calls(), 1..5),
        (partitioned, descending, nulls_first) in any::<(bool, bool, bool)>(),
        cuts in cuts(),
        schedule in vec(0..10usize, 0..10),
        lanes in 1..4usize,
        batch_size in prop_oneof![Just(1usize), Just(7), Just(8192)],
        (limit, few_rows) in (prop_oneof![Just(512usize << 10), Just(1 << 20), Just(1 << 30)], 0..150usize),
        strain in strains(),
    ) {
        let order = TestOrder { partitioned, descending, nulls_first };
        let batch = batch(&rows);
        let context = context(strain.limit(limit), batch_size, lanes);
        let window = window(&calls, order, &batch.schema()).with_few_rows(few_rows);
        let splits = splits(&batch, &cuts);
        let output = strain.during(|| drive(&window, &context, lanes, splits, &schedule)).expect("runs");
        let output = whole(&Sink::schema(&window), &output);
        prop_assert_eq!(output.num_rows(), rows.len());
        let numbers = output.column(4).as_primitive::<Int64Type>().clone();
        for (place, row) in numbers.values().iter().enumerate() {
            for (index, call) in calls.iter().enumerate() {
                let column = output.column(5 + index);
                let actual = column.is_valid(place).then(|| array_value_to_string(column, place).expect("text"));
                prop_assert_eq!(actual, expected(&rows, order, call, *row as usize), "{:?} of row {}", call, row);
            }
        }
        drop(output);
        prop_assert_eq!(held(&context), 0);
    }
}
