//! Limit: `LIMIT n OFFSET k` without an order, the same rows whatever the number of threads.
//!
//! Invariant: the answer is the rows `k .. k + n` of the splits laid end to end. So split `s` can contribute only if the
//! splits before it hold fewer than `k + n` rows; rows kept only grow, hence as soon as the rows kept of splits `..= s`
//! reach `k + n`, nothing of any later split matters, finished or not. No split has to be known as finished.
//!
//! Each split keeps the rows that may still count, in the store; `combine` orders them by split and cuts the edges.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use parking_lot::Mutex;

use crate::batch::SourceRef;
use crate::error::Result;
use crate::ops::{Flow, Sink, SinkWork};
use crate::store::{Handle, QueryContext, Store, StoredRows, UseOrder};

/// Keeps `fetch` rows after the first `skip`. One value serves one run of one query.
#[derive(Debug)]
pub struct Limit {
    skip: usize,
    fetch: Option<usize>,
    schema: SchemaRef,
    // Shared by all lanes, since a split is over only when its elder siblings hold enough; locked once per batch.
    progress: Arc<Mutex<Progress>>,
}

impl Limit {
    /// `LIMIT fetch OFFSET skip` over batches of `schema`; without `fetch` only the first `skip` rows are left out.
    pub fn new(skip: usize, fetch: Option<usize>, schema: SchemaRef) -> Self {
        let wanted = match fetch {
            Some(0) => 0,
            Some(fetch) => fetch.saturating_add(skip),
            None => usize::MAX,
        };
        let progress = Arc::new(Mutex::new(Progress { wanted, kept: BTreeMap::new() }));
        Limit { skip, fetch, schema, progress }
    }
}

impl Sink for Limit {
    type Work = LimitWork;
    type Part = Vec<Kept>;

    fn name(&self) -> &'static str {
        "Limit"
    }

    fn describe(&self) -> String {
        match (self.fetch, self.skip) {
            (Some(fetch), 0) => format!("{fetch}"),
            (Some(fetch), skip) => format!("{fetch} offset {skip}"),
            (None, skip) => format!("offset {skip}"),
        }
    }

    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn open(&self, context: &Arc<QueryContext>) -> Result<LimitWork> {
        Ok(LimitWork { progress: self.progress.clone(), store: context.store.clone(), kept: Vec::new() })
    }

    fn wants(&self, split: usize) -> bool {
        self.progress.lock().room(split) > 0
    }

    fn combine(&self, context: &Arc<QueryContext>, parts: Vec<Vec<Kept>>) -> Result<SourceRef> {
        let mut kept: Vec<Kept> = parts.into_iter().flatten().collect();
        // Stable: the pieces of one split come from one lane, in their order.
        kept.sort_by_key(|piece| piece.split);
        let handles = cut(&context.store, kept, self.skip, self.fetch.unwrap_or(usize::MAX))?;
        Ok(Arc::new(StoredRows::new(self.schema.clone(), handles, context.store.clone())))
    }
}

/// How many rows each split has kept so far.
#[derive(Debug)]
struct Progress {
    wanted: usize,
    kept: BTreeMap<usize, usize>,
}

impl Progress {
    /// How many more rows of `split` may count.
    fn room(&self, split: usize) -> usize {
        let before: usize =
            self.kept.range(..=split).map(|(_, rows)| rows).fold(0, |sum, rows| sum.saturating_add(*rows));
        self.wanted.saturating_sub(before)
    }

    /// Records that `split` keeps up to `rows` more: how many it may, and whether it should go on.
    fn admit(&mut self, split: usize, rows: usize) -> (usize, Flow) {
        if self.wanted == usize::MAX {
            return (rows, Flow::More);
        }
        let room = self.room(split);
        let admitted = room.min(rows);
        if admitted > 0 {
            *self.kept.entry(split).or_default() += admitted;
            self.forget_useless();
        }
        (admitted, if admitted == room { Flow::Done } else { Flow::More })
    }

    /// Forgets the splits behind the last that matters, so that the map stays as long as the answer, not the input.
    fn forget_useless(&mut self) {
        let mut sum = 0usize;
        let last = self.kept.iter().find_map(|(&split, &rows)| {
            sum = sum.saturating_add(rows);
            (sum >= self.wanted).then_some(split)
        });
        if let Some(last) = last {
            self.kept.split_off(&(last + 1));
        }
    }
}

/// Rows of one split in the store.
#[derive(Debug)]
pub struct Kept {
    split: usize,
    rows: Handle,
}

/// The first splits are read first, so the last ones may go to disk first.
fn use_order(split: usize) -> UseOrder {
    UseOrder(u32::try_from(split).unwrap_or(u32::MAX))
}

/// One lane of a [`Limit`].
pub struct LimitWork {
    progress: Arc<Mutex<Progress>>,
    store: Store,
    kept: Vec<Kept>,
}

impl SinkWork for LimitWork {
    type Part = Vec<Kept>;

    fn push(&mut self, split: usize, batch: RecordBatch) -> Result<Flow> {
        let (admitted, flow) = self.progress.lock().admit(split, batch.num_rows());
        if admitted > 0 {
            let rows = self.store.put(batch.slice(0, admitted), use_order(split))?;
            self.kept.push(Kept { split, rows });
        }
        Ok(flow)
    }

    fn finish(self) -> Result<Vec<Kept>> {
        Ok(self.kept)
    }
}

/// The rows `skip .. skip + fetch` of all pieces laid end to end.
fn cut(store: &Store, kept: Vec<Kept>, mut skip: usize, mut fetch: usize) -> Result<Vec<Arc<Handle>>> {
    let mut handles = Vec::new();
    for piece in kept {
        let rows = piece.rows.rows();
        let offset = skip.min(rows);
        let length = (rows - offset).min(fetch);
        skip -= offset;
        fetch -= length;
        if length == rows {
            handles.push(Arc::new(piece.rows));
        } else if length > 0 {
            let order = use_order(piece.split);
            let edge = store.take(piece.rows)?.slice(offset, length);
            handles.push(Arc::new(store.put(edge, order)?));
        }
    }
    Ok(handles)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::Int64Array;
    use arrow::record_batch::RecordBatch;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::Limit;
    use crate::ops::testing::relation::{cuts, relations};
    use crate::ops::testing::{context, drive, held, splits, whole};
    use crate::ops::{Flow, Sink, SinkWork};

    proptest! {
        #[test]
        fn limit_is_a_slice_of_the_splits_laid_end_to_end(
            relation in relations(300),
            cuts in cuts(),
            schedule in vec(0..10usize, 0..10),
            lanes in 1..4usize,
            skip in 0..200usize,
            fetch in proptest::option::of(0..200usize),
        ) {
            let (batch, context) = (&relation.batch, context(1 << 30, 7, lanes));
            let limit = Limit::new(skip, fetch, batch.schema());
            let output = drive(&limit, &context, lanes, splits(batch, &cuts), &schedule).expect("limits");
            let skip = skip.min(batch.num_rows());
            let expected = batch.slice(skip, fetch.unwrap_or(usize::MAX).min(batch.num_rows() - skip));
            prop_assert_eq!(format!("{:?}", whole(&batch.schema(), &output)), format!("{expected:?}"));
            drop(output);
            prop_assert_eq!(held(&context), 0);
        }
    }

    fn numbers(rows: i64) -> RecordBatch {
        RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from_iter_values(0..rows)) as _)]).expect("a batch")
    }

    #[test]
    fn a_split_that_holds_enough_ends_all_later_ones_but_no_earlier_one() {
        let (context, batch) = (context(1 << 20, 10, 1), numbers(10));
        let limit = Limit::new(2, Some(8), batch.schema());
        let mut work = limit.open(&context).expect("a lane");
        assert!(limit.wants(7));
        assert_eq!(work.push(5, batch.clone()).expect("takes it"), Flow::Done);
        assert!(!limit.wants(7) && !limit.wants(5) && limit.wants(4));
        assert_eq!(work.push(6, batch.clone()).expect("takes it"), Flow::Done);
        assert_eq!(work.push(4, batch.slice(0, 4)).expect("takes it"), Flow::More);
        let kept = work.finish().expect("finishes");
        assert_eq!(kept.iter().map(|piece| piece.rows.rows()).sum::<usize>(), 14);
    }

    #[test]
    fn limit_stops_mid_batch() {
        let (context, batch) = (context(1 << 20, 10, 1), numbers(10));
        let limit = Limit::new(0, Some(3), batch.schema());
        let output = drive(&limit, &context, 1, vec![vec![batch.clone(), batch.clone()]], &[]).expect("limits");
        assert_eq!(output, [batch.slice(0, 3)]);
    }

    #[test]
    fn a_limit_of_nothing_wants_nothing() {
        let (context, batch) = (context(1 << 20, 10, 1), numbers(10));
        let limit = Limit::new(5, Some(0), batch.schema());
        assert!(!limit.wants(0));
        assert_eq!(drive(&limit, &context, 1, vec![vec![batch]], &[]).expect("limits"), []);
    }
}
