//! Keep: rows that several pipelines read, or the same one again and again, wait in the store.
//!
//! Invariant: the rows stand in the order of the splits, whatever lane brought them. Small batches of one split are put
//! together, so that what is read often is read in batches of a good size.

use std::sync::Arc;

use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;

use crate::batch::SourceRef;
use crate::error::Result;
use crate::ops::{Flow, Sink, SinkWork};
use crate::store::{Handle, QueryContext, StoredRows, UseOrder};

/// Keeps all rows, as [`StoredRows`].
#[derive(Debug)]
pub struct Keep {
    schema: SchemaRef,
    label: String,
}

impl Keep {
    /// Keeps batches of `schema`; `label` says what they are, for EXPLAIN.
    pub fn new(schema: SchemaRef, label: impl Into<String>) -> Self {
        Keep { schema, label: label.into() }
    }
}

/// The batches of one split that a lane kept.
pub struct KeptSplit {
    split: usize,
    handles: Vec<Arc<Handle>>,
}

impl Sink for Keep {
    type Work = KeepWork;
    type Part = Vec<KeptSplit>;

    fn name(&self) -> &'static str {
        "Keep"
    }

    fn describe(&self) -> String {
        self.label.clone()
    }

    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn open(&self, context: &Arc<QueryContext>) -> Result<KeepWork> {
        let (context, schema) = (context.clone(), self.schema.clone());
        Ok(KeepWork { context, schema, kept: Vec::new(), waiting: Vec::new(), waiting_rows: 0 })
    }

    fn keeps_rows(&self) -> bool {
        true
    }

    fn combine(&self, context: &Arc<QueryContext>, parts: Vec<Vec<KeptSplit>>) -> Result<SourceRef> {
        let mut kept: Vec<KeptSplit> = parts.into_iter().flatten().collect();
        kept.sort_by_key(|kept| kept.split);
        let handles = kept.into_iter().flat_map(|kept| kept.handles).collect();
        Ok(Arc::new(StoredRows::new(self.schema.clone(), handles, context.store.clone())))
    }
}

/// One lane's kept rows.
pub struct KeepWork {
    context: Arc<QueryContext>,
    schema: SchemaRef,
    kept: Vec<KeptSplit>,
    /// Small batches of the last split that are not in the store yet: together less than a batch.
    waiting: Vec<RecordBatch>,
    waiting_rows: usize,
}

impl KeepWork {
    fn put_waiting(&mut self) -> Result<()> {
        let batch = match self.waiting.as_slice() {
            [] => return Ok(()),
            [batch] => batch.clone(),
            batches => concat_batches(&self.schema, batches)?,
        };
        self.waiting.clear();
        self.waiting_rows = 0;
        if let Some(kept) = self.kept.last_mut() {
            let order = UseOrder(u32::try_from(kept.split).unwrap_or(u32::MAX));
            kept.handles.push(Arc::new(self.context.store.put(batch, order)?));
        }
        Ok(())
    }
}

impl SinkWork for KeepWork {
    type Part = Vec<KeptSplit>;

    fn push(&mut self, split: usize, batch: RecordBatch) -> Result<Flow> {
        if batch.num_rows() == 0 {
            return Ok(Flow::More);
        }
        if self.kept.last().is_none_or(|kept| kept.split != split) {
            self.put_waiting()?;
            self.kept.push(KeptSplit { split, handles: Vec::new() });
        }
        let full = self.context.batch_size;
        if self.waiting_rows + batch.num_rows() > full {
            self.put_waiting()?;
        }
        self.waiting_rows += batch.num_rows();
        self.waiting.push(batch);
        if self.waiting_rows >= full / 2 {
            self.put_waiting()?;
        }
        Ok(Flow::More)
    }

    fn finish(mut self) -> Result<Vec<KeptSplit>> {
        self.put_waiting()?;
        Ok(self.kept)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::Keep;
    use crate::ops::testing::relation::{cuts, relations};
    use crate::ops::testing::{collect, context, held, read, splits, whole};

    proptest! {
        #[test]
        fn rows_come_back_in_the_order_of_the_splits_as_often_as_asked(
            relation in relations(200),
            cuts in cuts(),
            schedule in vec(0..8usize, 0..8),
            lanes in 1..4usize,
            batch_size in 1..50usize,
        ) {
            let (context, batch) = (context(1 << 20, batch_size, lanes), relation.batch);
            let keep = Keep::new(batch.schema(), "rows");
            let source = collect(&keep, &context, lanes, splits(&batch, &cuts), &schedule).expect("keeps");
            for _ in 0..2 {
                let output = read(&source).expect("reads");
                prop_assert_eq!(format!("{:?}", whole(&batch.schema(), &output)), format!("{batch:?}"));
            }
            drop(source);
            prop_assert_eq!(held(&context), 0);
        }
    }
}
