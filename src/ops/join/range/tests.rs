//! Range joins against nested loops with the same condition.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, StringViewArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use datafusion_common::JoinType;
use datafusion_expr::{Expr, col, lit};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::ops::Operator;
use crate::ops::join::nested_loop::{BuildRows, BuildSlot, NestedLoopBuild, NestedLoopProbe, Shape, SideColumn};
use crate::ops::testing::{collect, context, evaluator, held, read, run_lanes, splits};
use crate::store::QueryContext;

type Row = (Option<u8>, Option<u8>);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Integer,
    Float,
    Text,
}

fn column(kind: Kind, seeds: impl Iterator<Item = Option<u8>>) -> ArrayRef {
    const FLOATS: [f64; 7] = [0.0, -0.0, 1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.5];
    match kind {
        Kind::Integer => Arc::new(Int64Array::from_iter(seeds.map(|seed| seed.map(|seed| i64::from(seed) - 20)))),
        Kind::Float => {
            Arc::new(Float64Array::from_iter(seeds.map(|seed| seed.map(|seed| FLOATS[usize::from(seed) % 7]))))
        }
        Kind::Text => {
            Arc::new(StringViewArray::from_iter(seeds.map(|seed| {
                seed.map(|seed| format!("{}{}", "a long beginning of ".repeat(usize::from(seed % 2)), seed))
            })))
        }
    }
}

/// Two key columns of a side and the number of the row.
fn side(name: &str, kind: Kind, rows: &[Row]) -> RecordBatch {
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows.len() as i64));
    let columns = [
        ("number", numbers),
        ("x", column(kind, rows.iter().map(|row| row.0))),
        ("y", column(Kind::Integer, rows.iter().map(|row| row.1))),
    ];
    let columns = columns.map(|(column, values)| (format!("{name}_{column}"), values, true));
    RecordBatch::try_from_iter_with_nullable(columns).expect("columns of one length")
}

fn compared(left: Expr, right: Expr, comparison: Comparison) -> Expr {
    match comparison {
        Comparison::Less => left.lt(right),
        Comparison::LessOrEqual => left.lt_eq(right),
        Comparison::Greater => left.gt(right),
        Comparison::GreaterOrEqual => left.gt_eq(right),
    }
}

fn output_schema(join_type: JoinType, left: &RecordBatch, right: &RecordBatch) -> SchemaRef {
    use JoinType::*;
    let fields = |batch: &RecordBatch| batch.schema().fields().iter().map(|field| field.as_ref().clone()).collect();
    let mut all: Vec<Field> = match join_type {
        RightSemi | RightAnti | RightMark => fields(right),
        _ => fields(left),
    };
    match join_type {
        Inner | Left | Right | Full => all.extend::<Vec<Field>>(fields(right)),
        LeftMark | RightMark => all.push(Field::new("mark", DataType::Boolean, true)),
        _ => {}
    }
    Arc::new(Schema::new(all))
}

fn condition(expr: &Expr, probe: &RecordBatch, build: &RecordBatch) -> Condition {
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    for (of_probe, batch) in [(true, probe), (false, build)] {
        for (index, field) in batch.schema().fields().iter().enumerate() {
            fields.push(field.as_ref().clone());
            columns.push(SideColumn { of_probe, index });
        }
    }
    let schema = Arc::new(Schema::new(fields));
    Condition::new(evaluator(expr, &schema), schema, columns)
}

fn keyed(batch: &RecordBatch, second: bool) -> (KeyedSide, Evaluator) {
    // The first key as a column of its own, behind the side's columns.
    let mut fields = batch.schema().fields().to_vec();
    fields.push(Arc::new(Field::new("key", batch.column(1).data_type().clone(), true)));
    let schema = Arc::new(Schema::new(fields));
    let computed = evaluator(&col(batch.schema().field(1).name()), &batch.schema());
    let key = evaluator(&col("key"), &schema);
    (KeyedSide::new(schema, vec![computed], 3, second.then_some(2)), key)
}

fn rows(batches: &[RecordBatch]) -> Vec<String> {
    let text = pretty_format_batches(batches).expect("text").to_string();
    let mut rows: Vec<String> = text.lines().skip(3).map(str::to_owned).filter(|line| !line.starts_with('+')).collect();
    rows.sort();
    rows
}

fn with_rest(
    probe: &dyn Operator,
    nested: &Arc<NestedLoop>,
    context: &Arc<QueryContext>,
    batches: Vec<RecordBatch>,
    lanes: usize,
) -> Vec<RecordBatch> {
    let mut output = run_lanes(probe, context, lanes, batches).expect("joins");
    if nested.output.shape.marks_build() {
        output.extend(read(&BuildRows::new(nested.clone()).rest(context, Vec::new()).expect("rest")).expect("reads"));
    }
    output
}

const TYPES: [JoinType; 10] = [
    JoinType::Inner,
    JoinType::Left,
    JoinType::Right,
    JoinType::Full,
    JoinType::LeftSemi,
    JoinType::RightSemi,
    JoinType::LeftAnti,
    JoinType::RightAnti,
    JoinType::LeftMark,
    JoinType::RightMark,
];

const COMPARISONS: [Comparison; 4] =
    [Comparison::Less, Comparison::LessOrEqual, Comparison::Greater, Comparison::GreaterOrEqual];

fn sides(rows: usize) -> impl Strategy<Value = Vec<Row>> {
    let cell = || proptest::option::weighted(0.9, 0..40u8);
    vec((cell(), cell()), 0..=rows)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn range_joins_agree_with_nested_loops(
        left_rows in sides(150),
        right_rows in sides(150),
        kind in proptest::sample::select(vec![Kind::Integer, Kind::Float, Kind::Text]),
        join_type in proptest::sample::select(TYPES.to_vec()),
        first in proptest::sample::select(COMPARISONS.to_vec()),
        second in proptest::option::of(proptest::sample::select(COMPARISONS.to_vec())),
        (has_residual, probe_is_left) in any::<(bool, bool)>(),
        batch_size in prop_oneof![Just(7usize), Just(50), Just(8192)],
        limit in prop_oneof![Just(64usize << 10), Just(128 << 10), Just(512 << 10), Just(1 << 30)],
        lanes in 1..4usize,
        cut in 1..90usize,
    ) {
        let (left, right) = (side("left", kind, &left_rows), side("right", kind, &right_rows));
        let (probe, build) = if probe_is_left { (&left, &right) } else { (&right, &left) };
        let of = |name: &str, probe: bool| col(format!("{}_{name}", if probe == probe_is_left { "left" } else { "right" }));
        let residual = has_residual.then(|| (of("number", true) + of("number", false)).not_eq(of("y", true) + lit(3i64)));
        let mut expr = compared(of("x", true), of("x", false), first);
        if let Some(second) = second {
            expr = expr.and(compared(of("y", true), of("y", false), second));
        }
        if let Some(residual) = &residual {
            expr = expr.and(residual.clone());
        }
        let shape = Shape::new(join_type, probe_is_left, false).expect("a shape");
        let schema = output_schema(join_type, &left, &right);
        let nested = |slot: BuildSlot| Arc::new(NestedLoop::new(shape, probe.schema(), build.schema(), schema.clone(), Some(condition(&expr, probe, build)), slot));
        let cuts = |batch: &RecordBatch| splits(batch, &vec![vec![cut]; batch.num_rows() / cut]);
        let batches: Vec<RecordBatch> = cuts(probe).into_iter().flatten().collect();

        let roomy = context(1 << 30, 8192, 1);
        let slot = BuildSlot::default();
        collect(&NestedLoopBuild::new(build.schema(), slot.clone(), shape.marks_build()), &roomy, 1, vec![vec![build.clone()]], &[]).expect("builds");
        let oracle = nested(slot);
        let expected = with_rest(&NestedLoopProbe::new(oracle.clone()), &oracle, &roomy, vec![probe.clone()], 1);

        let context = context(limit, batch_size, lanes);
        let nested = nested(BuildSlot::default());
        let ((probe_side, probe_key), (build_side, build_key)) = (keyed(probe, second.is_some()), keyed(build, second.is_some()));
        let residual = residual.map(|residual| condition(&residual, probe, build));
        let join = Arc::new(RangeJoin::new(nested.clone(), (probe_side, build_side), (probe_key, build_key), (first, second), residual).expect("a join"));
        let sink = RangeBuild::new(join.clone());
        collect(&sink, &context, lanes, cuts(build), &[]).expect("builds");
        let output = with_rest(&RangeProbe::new(join.clone()), &nested, &context, batches, lanes);
        prop_assert!(output.iter().all(|batch| batch.num_rows() > 0));
        prop_assert_eq!(rows(&output), rows(&expected));
        drop((output, join, nested, sink));
        prop_assert_eq!(held(&context), 0);
    }
}
