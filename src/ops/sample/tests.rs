//! Samples: how large, how alike, and how independent of batches and lanes.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array};
use arrow::datatypes::Int64Type;
use arrow::record_batch::RecordBatch;
use proptest::prelude::*;

use super::{Chosen, Method, Sample, SampleSpec};
use crate::batch::SourceRef;
use crate::ops::DynSink;
use crate::ops::keep::Keep;
use crate::ops::testing::{context, drive, read};
use crate::store::{QueryContext, StoredRowsBuilder};

fn numbers(rows: i64) -> RecordBatch {
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
    RecordBatch::try_from_iter([("n", column)]).expect("a batch")
}

fn values(batches: &[RecordBatch]) -> Vec<i64> {
    batches.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec()).collect()
}

fn pieces(rows: i64, step: usize) -> Vec<RecordBatch> {
    let whole = numbers(rows);
    (0..whole.num_rows()).step_by(step).map(|from| whole.slice(from, step.min(whole.num_rows() - from))).collect()
}

fn source(context: &QueryContext, rows: i64, step: usize) -> SourceRef {
    let mut builder = StoredRowsBuilder::new(numbers(0).schema(), context.store.clone());
    pieces(rows, step).into_iter().for_each(|piece| builder.push(piece).expect("puts"));
    Arc::new(builder.finish())
}

fn sampled(method: Method, seed: u64, rows: i64, step: usize) -> Vec<i64> {
    let context = context(64 << 20, 1000, 1);
    let chosen: SourceRef = Arc::new(Chosen::new(SampleSpec { method, seed }, source(&context, rows, step)));
    values(&read(&chosen).expect("reads"))
}

#[test]
fn a_sample_has_about_as_many_rows_as_asked() {
    let count = sampled(Method::Rows(0.1), 7, 100_000, 1000).len();
    assert!((9_500..10_500).contains(&count), "{count}");
    assert_eq!(sampled(Method::Rows(0.0), 7, 10_000, 1000).len(), 0);
    assert_eq!(sampled(Method::Rows(1.0), 7, 10_000, 1000).len(), 10_000);
    let blocks = sampled(Method::Blocks(0.5), 7, 100_000, 1000);
    assert!((20_000..80_000).contains(&blocks.len()), "{}", blocks.len());
    assert!(blocks.iter().all(|row| blocks.binary_search(&(row / 2048 * 2048)).is_ok()));
}

#[test]
fn a_share_is_exact() {
    for rows in [0, 1, 10, 999, 10_000, 30_010] {
        assert_eq!(sampled(Method::Share(0.2), 3, rows, 700).len() as i64, (rows + 2) / 5, "{rows}");
    }
}

#[test]
fn another_seed_gives_another_sample_and_neighbours_are_independent() {
    let samples: Vec<Vec<i64>> = (0..20).map(|seed| sampled(Method::Rows(0.5), seed, 2000, 100)).collect();
    for (index, sample) in samples.iter().enumerate() {
        assert!(samples.iter().skip(index + 1).all(|other| other != sample));
        let pairs = sample.windows(2).filter(|pair| pair[1] == pair[0] + 1).count();
        assert!((400..600).contains(&pairs), "{pairs}");
    }
}

proptest! {
    #[test]
    fn a_seed_fixes_the_sample_whatever_batches_and_lanes(
        seed: u64,
        step in 1..700usize,
        lanes in 1..4usize,
        kind in 0..4usize,
    ) {
        let method = [Method::Rows(0.3), Method::Blocks(0.5), Method::Share(0.25), Method::Numbered][kind];
        let spec = SampleSpec { method, seed };
        let schema = numbers(0).schema();
        let sample = |step: usize, lanes: usize| {
            let inner: Arc<dyn DynSink> = Arc::new(Keep::new(spec.schema(&schema), "sample"));
            let input = [pieces(5000, step), pieces(3000, step)].to_vec();
            let output = drive(&Sample::new(spec, &schema, inner), &context(64 << 20, 100, lanes), lanes, input, &[]);
            values(&output.expect("samples"))
        };
        prop_assert_eq!(sample(step, lanes), sample(1000, 1));
        prop_assert_eq!(sampled(method, seed, 5000, step), sampled(method, seed, 5000, 999));
    }
}
