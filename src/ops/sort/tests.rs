//! Sort and top-n against a stable sort of the rows one by one.

use std::cmp::Ordering;

use arrow::array::{Int64Array, StringArray, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::record_batch::RecordBatch;
use datafusion_expr::{col, lit};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::error::Code;
use crate::ops::testing::relation::{Relation, cuts, relations};
use crate::ops::testing::{collect, context, drive, evaluator, held, read, splits, whole};
use crate::ops::top_n::TopN;

#[derive(Debug, Clone, Copy)]
struct Order {
    column: usize,
    descending: bool,
    nulls_first: bool,
}

fn orders() -> impl Strategy<Value = Vec<Order>> {
    let order = (0..4usize, any::<bool>(), any::<bool>());
    vec(order.prop_map(|(column, descending, nulls_first)| Order { column, descending, nulls_first }), 1..4)
}

fn sort_keys(relation: &Relation, orders: &[Order]) -> Vec<SortKey> {
    let key = |order: &Order| {
        let column = col(format!("c{}", order.column % relation.cells.len()));
        let evaluator = evaluator(&column, &relation.batch.schema());
        SortKey { evaluator, descending: order.descending, nulls_first: order.nulls_first }
    };
    orders.iter().map(key).collect()
}

fn compare(relation: &Relation, orders: &[Order], left: usize, right: usize) -> Ordering {
    for order in orders {
        let cells = &relation.cells[order.column % relation.cells.len()];
        let ordering = match (&cells[left], &cells[right]) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) if order.nulls_first => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) if order.nulls_first => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(left), Some(right)) if order.descending => right.compare(left),
            (Some(left), Some(right)) => left.compare(right),
        };
        if ordering.is_ne() {
            return ordering;
        }
    }
    Ordering::Equal
}

fn expected(relation: &Relation, orders: &[Order], skip: usize, fetch: Option<usize>) -> RecordBatch {
    let mut rows: Vec<usize> = (0..relation.batch.num_rows()).collect();
    rows.sort_by(|&left, &right| compare(relation, orders, left, right));
    let rows = rows.into_iter().skip(skip).take(fetch.unwrap_or(usize::MAX));
    let rows = UInt32Array::from_iter_values(rows.map(|row| u32::try_from(row).expect("a small relation")));
    take_record_batch(&relation.batch, &rows).expect("rows of the relation")
}

/// Column by column as text, since NaN is not equal to itself.
fn assert_same(actual: &RecordBatch, expected: &RecordBatch) {
    assert_eq!(format!("{actual:?}"), format!("{expected:?}"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn sort_agrees_with_a_stable_sort_of_the_rows(
        relation in relations(300),
        orders in orders(),
        cuts in cuts(),
        schedule in vec(0..10usize, 0..10),
        lanes in 1..4usize,
        batch_size in prop_oneof![Just(1usize), Just(7), Just(8192)],
        limit in prop_oneof![Just(256usize << 10), Just(1 << 20), Just(1 << 30)],
        skip in prop_oneof![Just(0usize), 0..400usize],
        fetch in proptest::option::of(0..400usize),
    ) {
        let context = context(limit, batch_size, lanes);
        let sort = Sort::new(sort_keys(&relation, &orders), relation.batch.schema(), skip, fetch).expect("a sort");
        let output = drive(&sort, &context, lanes, splits(&relation.batch, &cuts), &schedule).expect("sorts");
        assert_same(&whole(&relation.batch.schema(), &output), &expected(&relation, &orders, skip, fetch));
        prop_assert!(output.iter().all(|batch| batch.num_rows() <= batch_size));
        prop_assert_eq!(held(&context), 0);
    }

    #[test]
    fn long_texts_with_much_in_common_are_sorted(
        texts in vec((0..40usize, prop_oneof![Just(""), Just("\0"), Just("\0\0b"), Just("a"), Just("\u{ff}")]), 1..400),
        descending in any::<bool>(),
        lanes in 1..4usize,
        batch_size in prop_oneof![Just(1usize), Just(7), Just(8192)],
        limit in prop_oneof![Just(256usize << 10), Just(1 << 30)],
        cuts in cuts(),
    ) {
        let texts: Vec<String> = texts.iter().map(|(same, end)| format!("{}{end}", "a".repeat(same / 8 * 8))).collect();
        let order = Int64Array::from_iter_values(0..texts.len() as i64);
        let columns = [("n", Arc::new(order) as _), ("t", Arc::new(StringArray::from(texts.clone())) as _)];
        let batch = RecordBatch::try_from_iter(columns).expect("a batch");
        let keys = vec![SortKey { evaluator: evaluator(&col("t"), &batch.schema()), descending, nulls_first: false }];
        let context = context(limit, batch_size, lanes);
        let sort = Sort::new(keys, batch.schema(), 0, None).expect("a sort");
        let output = drive(&sort, &context, lanes, splits(&batch, &cuts), &[]).expect("sorts");
        let mut expected: Vec<i64> = (0..texts.len() as i64).collect();
        expected.sort_by(|left, right| {
            let order = texts[*left as usize].cmp(&texts[*right as usize]);
            if descending { order.reverse() } else { order }
        });
        let actual = numbers(&output);
        prop_assert_eq!(actual, expected);
    }

    #[test]
    fn top_n_agrees_with_a_stable_sort_of_the_rows(
        relation in relations(300),
        orders in orders(),
        cuts in cuts(),
        schedule in vec(0..10usize, 0..10),
        lanes in 1..4usize,
        batch_size in prop_oneof![Just(1usize), Just(7), Just(8192)],
        limit in prop_oneof![Just(256usize << 10), Just(1 << 20), Just(1 << 30)],
        skip in 0..10usize,
        fetch in 0..20usize,
    ) {
        let context = context(limit, batch_size, lanes);
        let top = TopN::new(sort_keys(&relation, &orders), relation.batch.schema(), skip, fetch).expect("a top-n");
        let output = drive(&top, &context, lanes, splits(&relation.batch, &cuts), &schedule).expect("finds the top");
        assert_same(&whole(&relation.batch.schema(), &output), &expected(&relation, &orders, skip, Some(fetch)));
        prop_assert_eq!(held(&context), 0);
    }
}

/// Numbers `0 .. rows` shuffled, with a text that makes them heavy.
fn heavy(rows: i64) -> RecordBatch {
    let numbers = (0..rows).map(|row| row * 7_919 % rows);
    let texts = StringArray::from_iter_values(numbers.clone().map(|number| format!("{number:0>100}")));
    let numbers = Int64Array::from_iter_values(numbers);
    RecordBatch::try_from_iter([("n", Arc::new(numbers) as _), ("t", Arc::new(texts) as _)]).expect("a batch")
}

fn by(batch: &RecordBatch, expression: datafusion_expr::Expr) -> Vec<SortKey> {
    let evaluator = evaluator(&expression, &batch.schema());
    vec![SortKey { evaluator, descending: true, nulls_first: false }]
}

fn cut(batch: &RecordBatch, rows: usize) -> Vec<Vec<RecordBatch>> {
    (0..batch.num_rows()).step_by(rows).map(|from| vec![copy(batch, from, rows)]).collect()
}

/// A copy, so that a part does not weigh as much as the whole.
fn copy(batch: &RecordBatch, from: usize, rows: usize) -> RecordBatch {
    let rows = rows.min(batch.num_rows() - from);
    arrow::compute::concat_batches(&batch.schema(), [&batch.slice(from, rows)]).expect("a copy")
}

fn numbers(batches: &[RecordBatch]) -> Vec<i64> {
    use arrow::array::AsArray;
    use arrow::datatypes::Int64Type;
    batches.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec()).collect()
}

#[test]
fn an_input_many_times_the_memory_is_sorted_over_several_passes() {
    let batch = heavy(100_003);
    let limit = 1 << 20;
    assert!(batch.get_array_memory_size() > 10 * limit);
    let context = context(limit, 1_000, 2);
    for expression in [col("n"), col("t"), col("n") + lit(1i64)] {
        let sort = Sort::new(by(&batch, expression), batch.schema(), 0, None).expect("a sort");
        let output = drive(&sort, &context, 2, cut(&batch, 500), &[]).expect("sorts");
        assert_eq!(numbers(&output), (0..100_003).rev().collect::<Vec<_>>());
        assert!(context.store.metrics().spilled_batches > 0);
        assert_eq!(held(&context), 0);
    }
}

#[test]
fn a_top_n_larger_than_the_memory_falls_back_to_runs() {
    let batch = heavy(50_021);
    let context = context(1 << 20, 1_000, 2);
    let top = TopN::new(by(&batch, col("n")), batch.schema(), 10, 30_000).expect("a top-n");
    let output = drive(&top, &context, 2, cut(&batch, 500), &[]).expect("finds the top");
    assert_eq!(numbers(&output), (20_011..50_011).rev().collect::<Vec<_>>());
}

#[test]
fn a_top_n_keeps_little() {
    let batch = heavy(50_021);
    let context = context(1 << 20, 100, 1);
    let top = TopN::new(by(&batch, col("n")), batch.schema(), 0, 5).expect("a top-n");
    let mut work = top.open(&context).expect("a lane");
    for (split, batches) in cut(&batch, 500).into_iter().enumerate() {
        for batch in batches {
            crate::ops::SinkWork::push(&mut work, split, batch).expect("takes it");
            assert!(context.budget.used() < 512 << 10);
        }
    }
    let part = crate::ops::SinkWork::finish(work).expect("finishes");
    assert_eq!(part.iter().map(Run::rows).sum::<usize>(), 5);
    let source = top.combine(&context, vec![part]).expect("a source");
    assert_eq!(numbers(&read(&source).expect("reads")), [50_020, 50_019, 50_018, 50_017, 50_016]);
}

#[test]
fn a_row_larger_than_the_memory_is_a_clear_error() {
    let batch = RecordBatch::try_from_iter([("t", Arc::new(StringArray::from(vec!["x".repeat(2 << 20)])) as _)])
        .expect("a batch");
    let context = context(1 << 20, 100, 1);
    let sort = Sort::new(by(&batch, col("t")), batch.schema(), 0, None).expect("a sort");
    let error = drive(&sort, &context, 1, vec![vec![batch.clone()]], &[]).expect_err("no room");
    assert_eq!(error.code(), Code::OutOfMemory);
    assert_eq!(held(&context), 0);
}

#[test]
fn an_empty_input_gives_an_empty_source() {
    let batch = heavy(1).slice(0, 0);
    let context = context(1 << 20, 100, 1);
    let sort = Sort::new(by(&batch, col("n")), batch.schema(), 0, None).expect("a sort");
    let source = collect(&sort, &context, 3, Vec::new(), &[]).expect("a source");
    assert_eq!(read(&source).expect("reads"), []);
    let source = sort.combine(&context, Vec::new()).expect("a source");
    assert_eq!(read(&source).expect("reads"), []);
    assert!(source.open(0).is_err(), "a second reading");
}

#[test]
fn a_cancelled_sort_stops() {
    let batch = heavy(10_007);
    let context = context(1 << 20, 100, 1);
    let sort = Sort::new(by(&batch, col("n")), batch.schema(), 9_000, None).expect("a sort");
    let source = collect(&sort, &context, 1, cut(&batch, 500), &[]).expect("a source");
    let mut split = source.open(0).expect("a split");
    assert!(split.next().expect("a batch").is_some());
    context.cancel.cancel();
    assert_eq!(split.next().expect_err("cancelled").code(), Code::Cancelled);
}
