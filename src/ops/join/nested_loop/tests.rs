//! Nested loop joins against two loops over the rows.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, StringViewArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion_common::JoinType;
use datafusion_expr::{Expr, col, lit};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::ops::Operator;
use crate::ops::testing::{collect, context, evaluator, held, read, splits};

type Row = (Option<i64>, i64);

/// A batch of a nullable number and the number of the row, as text too.
fn batch(side: &str, keys: &[Option<i64>]) -> RecordBatch {
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..keys.len() as i64));
    let texts: ArrayRef =
        Arc::new(StringViewArray::from_iter_values((0..keys.len()).map(|row| format!("the text of row {row}"))));
    let key: ArrayRef = Arc::new(Int64Array::from(keys.to_vec()));
    let columns = [("key", key, true), ("number", numbers, true), ("text", texts, true)];
    let columns = columns.map(|(name, column, nullable)| (format!("{side}_{name}"), column, nullable));
    RecordBatch::try_from_iter_with_nullable(columns).expect("columns of one length")
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Test {
    None,
    Less,
    Equal,
    Never,
}

impl Test {
    fn expr(self) -> Option<Expr> {
        match self {
            Test::None => None,
            Test::Less => Some(col("left_key").lt(col("right_key"))),
            Test::Equal => Some(col("left_key").eq(col("right_key"))),
            Test::Never => Some(col("left_key").gt(col("right_key") + lit(1000i64))),
        }
    }

    fn of(self, left: Option<i64>, right: Option<i64>) -> Option<bool> {
        match self {
            Test::None => Some(true),
            Test::Less => Some(left? < right?),
            Test::Equal => Some(left? == right?),
            Test::Never => Some(left? > right? + 1000),
        }
    }
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

/// A row of the output: the numbers of the left and the right row, and the mark.
type Out = (Option<i64>, Option<i64>, Option<Option<bool>>);

fn expected(join_type: JoinType, null_aware: bool, test: Test, left: &[Row], right: &[Row]) -> Vec<Out> {
    let mut out = Vec::new();
    let one_side = |row: &Row, verdicts: Vec<Option<bool>>, is_left: bool, out: &mut Vec<Out>| {
        let some = verdicts.contains(&Some(true));
        let verdict = if !some && null_aware && verdicts.contains(&None) { None } else { Some(some) };
        let number = if is_left { (Some(row.1), None) } else { (None, Some(row.1)) };
        match join_type {
            JoinType::LeftSemi | JoinType::RightSemi if some => out.push((number.0, number.1, None)),
            JoinType::LeftAnti | JoinType::RightAnti if verdict == Some(false) => out.push((number.0, number.1, None)),
            JoinType::LeftMark | JoinType::RightMark => out.push((number.0, number.1, Some(verdict))),
            JoinType::Left | JoinType::Right | JoinType::Full if !some => out.push((number.0, number.1, None)),
            _ => {}
        }
    };
    if matches!(join_type, JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full) {
        for one in left {
            let partners = right.iter().filter(|other| test.of(one.0, other.0) == Some(true));
            out.extend(partners.map(|other| (Some(one.1), Some(other.1), None)));
        }
    }
    use JoinType::*;
    if matches!(join_type, Left | Full | LeftSemi | LeftAnti | LeftMark) {
        for one in left {
            one_side(one, right.iter().map(|other| test.of(one.0, other.0)).collect(), true, &mut out);
        }
    }
    if matches!(join_type, Right | Full | RightSemi | RightAnti | RightMark) {
        for other in right {
            one_side(other, left.iter().map(|one| test.of(one.0, other.0)).collect(), false, &mut out);
        }
    }
    out.sort();
    out
}

fn fields(batch: &RecordBatch) -> Vec<Field> {
    let nullable = |field: &Arc<Field>| field.as_ref().clone().with_nullable(true);
    batch.schema().fields().iter().map(nullable).collect()
}

fn output_schema(join_type: JoinType, left: &RecordBatch, right: &RecordBatch) -> SchemaRef {
    use JoinType::*;
    let mut all = match join_type {
        RightSemi | RightAnti | RightMark => fields(right),
        _ => fields(left),
    };
    match join_type {
        Inner | Left | Right | Full => all.extend(fields(right)),
        LeftMark | RightMark => all.push(Field::new("mark", DataType::Boolean, true)),
        _ => {}
    }
    Arc::new(Schema::new(all))
}

fn condition(test: Test, left: &RecordBatch, right: &RecordBatch, probe_is_left: bool) -> Option<Condition> {
    let expr = test.expr()?;
    let schema = Arc::new(Schema::new(vec![left.schema().field(0).clone(), right.schema().field(0).clone()]));
    let columns = [probe_is_left, !probe_is_left].map(|of_probe| SideColumn { of_probe, index: 0 });
    Some(Condition::new(evaluator(&expr, &schema), schema, columns.to_vec()))
}

/// The rows of the output, by the columns' names.
fn rows(batches: &[RecordBatch]) -> Vec<Out> {
    let mut out = Vec::new();
    for batch in batches {
        let number = |side: &str| batch.column_by_name(&format!("{side}_number"));
        let texts = |side: &str| batch.column_by_name(&format!("{side}_text"));
        let cell = |side: &str, row: usize| {
            let number = number(side)?.as_primitive::<Int64Type>();
            let number = number.is_valid(row).then(|| number.value(row));
            let text = texts(side)?.as_string_view();
            assert_eq!(
                text.is_valid(row).then(|| text.value(row).to_owned()),
                number.map(|n| format!("the text of row {n}"))
            );
            number
        };
        for row in 0..batch.num_rows() {
            let mark = batch.column_by_name("mark").map(|mark| {
                let mark = mark.as_boolean();
                mark.is_valid(row).then(|| mark.value(row))
            });
            out.push((cell("left", row), cell("right", row), mark));
        }
    }
    out.sort();
    out
}

/// As a pipeline would run the probe operator and the one behind it.
fn run_probe(
    join: &Arc<NestedLoop>,
    context: &Arc<crate::store::QueryContext>,
    batches: Vec<RecordBatch>,
    lanes: usize,
) -> Vec<RecordBatch> {
    let probe = NestedLoopProbe::new(join.clone());
    let mut output = crate::ops::testing::run_lanes(&probe, context, lanes, batches).expect("joins");
    if join.output.shape.marks_build() {
        output.extend(read(&BuildRows::new(join.clone()).rest(context, Vec::new()).expect("rest")).expect("reads"));
    }
    output
}

fn keys(rows: usize) -> impl Strategy<Value = Vec<Option<i64>>> {
    vec(proptest::option::weighted(0.9, 0..20i64), 0..=rows)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn nested_loops_agree_with_two_loops(
        left_keys in keys(60),
        right_keys in keys(60),
        join_type in proptest::sample::select(TYPES.to_vec()),
        test in proptest::sample::select(vec![Test::None, Test::Less, Test::Equal, Test::Never]),
        (null_aware, probe_is_left) in any::<(bool, bool)>(),
        batch_size in prop_oneof![Just(1usize), Just(7), Just(8192)],
        limit in prop_oneof![Just(24usize << 10), Just(1 << 30)],
        lanes in 1..4usize,
        cut in 1..70usize,
    ) {
        use JoinType::*;
        let null_aware = null_aware && matches!(join_type, LeftAnti | LeftMark | RightAnti | RightMark);
        let probe_is_left = if null_aware { matches!(join_type, LeftAnti | LeftMark) } else { probe_is_left };
        let (left, right) = (batch("left", &left_keys), batch("right", &right_keys));
        let schema = output_schema(join_type, &left, &right);
        let condition = condition(test, &left, &right, probe_is_left);
        let shape = Shape::new(join_type, probe_is_left, null_aware).expect("a shape");
        let (probe, build) = if probe_is_left { (&left, &right) } else { (&right, &left) };
        let context = context(limit, batch_size, lanes);
        let slot = BuildSlot::default();
        let sink = NestedLoopBuild::new(build.schema(), slot.clone(), shape.marks_build());
        let cuts = |batch: &RecordBatch| splits(batch, &vec![vec![cut]; batch.num_rows() / cut]);
        collect(&sink, &context, lanes, cuts(build), &[]).expect("builds");
        let join = Arc::new(NestedLoop::new(shape, probe.schema(), build.schema(), schema, condition, slot));
        let batches = cuts(probe).into_iter().flatten().collect();
        let output = run_probe(&join, &context, batches, lanes);
        prop_assert!(output.iter().all(|batch| batch.num_rows() > 0));
        let number = |keys: &[Option<i64>]| keys.iter().copied().zip(0..).collect::<Vec<Row>>();
        let expected = expected(join_type, null_aware, test, &number(&left_keys), &number(&right_keys));
        prop_assert_eq!(rows(&output), expected);
        drop((output, join, sink));
        prop_assert_eq!(held(&context), 0);
    }
}

#[test]
fn a_cross_join_with_one_row_copies_nothing_of_the_probe_side() {
    let (left, right) = (batch("left", &[Some(1); 100]), batch("right", &[Some(2)]));
    let context = context(1 << 30, 8192, 1);
    let (slot, shape) = (BuildSlot::default(), Shape::new(JoinType::Inner, true, false).expect("a shape"));
    let sink = NestedLoopBuild::new(right.schema(), slot.clone(), false);
    collect(&sink, &context, 1, vec![vec![right.clone()]], &[]).expect("builds");
    let schema = output_schema(JoinType::Inner, &left, &right);
    let join = Arc::new(NestedLoop::new(shape, left.schema(), right.schema(), schema, None, slot));
    let output = run_probe(&join, &context, vec![left.clone(), left.clone()], 1);
    assert_eq!(output.len(), 2);
    assert!(Arc::ptr_eq(output[0].column(0), left.column(0)));
    // The one row is repeated once for all batches.
    let buffer = |batch: &RecordBatch| batch.column(3).as_primitive::<Int64Type>().values().as_ptr();
    assert_eq!(buffer(&output[0]), buffer(&output[1]));
}

#[test]
fn columns_are_not_needed_to_count_pairs() {
    let none = Arc::new(Schema::empty());
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(1000));
    let side = RecordBatch::try_new_with_options(none.clone(), Vec::new(), &options).expect("a batch");
    let context = context(1 << 30, 8192, 1);
    let (slot, shape) = (BuildSlot::default(), Shape::new(JoinType::Inner, true, false).expect("a shape"));
    let sink = NestedLoopBuild::new(none.clone(), slot.clone(), false);
    collect(&sink, &context, 1, vec![vec![side.clone(); 3]], &[]).expect("builds");
    let join = Arc::new(NestedLoop::new(shape, none.clone(), none.clone(), none, None, slot));
    let output = run_probe(&join, &context, vec![side; 2], 1);
    assert_eq!(output.iter().map(RecordBatch::num_rows).sum::<usize>(), 6_000_000);
}
