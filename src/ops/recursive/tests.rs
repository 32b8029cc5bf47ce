//! New rows of many rounds against a set.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, StringViewArray};
use arrow::datatypes::Int64Type;
use arrow::record_batch::RecordBatch;
use proptest::collection::vec;
use proptest::prelude::*;

use super::{Seen, Unseen};
use crate::ops::testing::{context, drive, held, splits, strains};

type Row = (Option<i64>, Option<String>);

fn batch(rows: &[Row]) -> RecordBatch {
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter(rows.iter().map(|row| row.0)));
    let texts: ArrayRef = Arc::new(StringViewArray::from_iter(rows.iter().map(|row| row.1.as_deref())));
    RecordBatch::try_from_iter_with_nullable([("n", numbers, true), ("s", texts, true)]).expect("a batch")
}

fn rows_of(batches: &[RecordBatch]) -> Vec<Row> {
    let of = |batch: &RecordBatch| {
        let numbers = batch.column(0).as_primitive::<Int64Type>().clone();
        let texts = batch.column(1).as_string_view().clone();
        numbers.iter().zip(texts.iter()).map(|(n, s)| (n, s.map(str::to_owned))).collect::<Vec<_>>()
    };
    batches.iter().flat_map(of).collect()
}

fn row(length: usize) -> impl Strategy<Value = Row> {
    (proptest::option::weighted(0.9, 0..40i64), proptest::option::weighted(0.9, 0..6usize))
        .prop_map(move |(n, s)| (n, s.map(|s| "x".repeat(s * length))))
}

proptest! {
    #[test]
    fn every_row_comes_out_once(
        rounds in vec(vec(row(1), 0..80), 1..6),
        long in vec(row(9), 0..40),
        cuts in vec(vec(0..20usize, 0..4), 0..3),
        lanes in 1..4usize,
        batch_size in 1..50usize,
        strain in strains(),
    ) {
        let context = context(strain.limit(4 << 20), batch_size, lanes);
        let seen = Arc::new(strain.during(|| Seen::new(batch(&[]).schema())));
        let mut known: HashSet<Row> = HashSet::new();
        for rows in rounds.into_iter().chain([long]) {
            let input = splits(&batch(&rows), &cuts);
            let unseen = Unseen::new(seen.clone());
            let output = strain.during(|| drive(&unseen, &context, lanes, input, &[]));
            let output = rows_of(&output.expect("compares"));
            let fresh: HashSet<Row> = rows.into_iter().filter(|row| !known.contains(row)).collect();
            prop_assert_eq!(output.len(), fresh.len());
            prop_assert_eq!(&output.into_iter().collect::<HashSet<_>>(), &fresh);
            known.extend(fresh);
        }
        drop(seen);
        prop_assert_eq!(held(&context), 0);
    }
}

/// 400,000 distinct texts are some 20 MB; the limit is 6 MB.
#[test]
fn rows_that_do_not_fit_are_cut() {
    let context = context(6 << 20, 4096, 1);
    let seen = Arc::new(Seen::new(batch(&[]).schema()));
    let mut total = 0;
    for round in 0..4_i64 {
        // Each round brings half of what the one before brought.
        let rows =
            (round * 100_000..round * 100_000 + 200_000).map(|n| (Some(n), Some(format!("a text of some length {n}"))));
        let rows: Vec<Row> = rows.collect();
        let input = rows.chunks(4096).map(|rows| vec![batch(rows)]).collect();
        let output = drive(&Unseen::new(seen.clone()), &context, 1, input, &[]).expect("compares");
        total += output.iter().map(RecordBatch::num_rows).sum::<usize>();
    }
    assert_eq!(total, 500_000);
    drop(seen);
    assert_eq!(held(&context), 0);
}
