//! A query's result as it comes.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use super::metrics::QueryMetrics;
use super::pipeline::Value;
use super::queue::ResultQueue;
use crate::cancel::CancelToken;
use crate::error::{Error, Result};
use crate::sched::GraphHandle;
use crate::store::QueryContext;

/// What a query that nobody reads comes to.
#[derive(Debug)]
pub enum Waited {
    /// All of its rows wait.
    Ended,
    Failed(Error),
    /// It is held back until its first rows are taken.
    Full,
}

/// Arrow batches of a running query, in order. Ends after the first error. Dropping it cancels the query.
pub struct BatchStream {
    schema: SchemaRef,
    queue: Arc<ResultQueue>,
    handle: GraphHandle<Value, Error>,
    context: Arc<QueryContext>,
    metrics: Arc<QueryMetrics>,
    ended: bool,
}

impl BatchStream {
    pub(super) fn new(
        schema: SchemaRef,
        queue: Arc<ResultQueue>,
        handle: GraphHandle<Value, Error>,
        context: Arc<QueryContext>,
        metrics: Arc<QueryMetrics>,
    ) -> Self {
        BatchStream { schema, queue, handle, context, metrics, ended: false }
    }

    /// The schema of every batch.
    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// Cancels the query, from any thread, when its `cancel` is called.
    pub fn cancel_token(&self) -> CancelToken {
        self.context.cancel.clone()
    }

    /// What the query's operators have done so far; complete once the stream has ended.
    pub fn metrics(&self) -> Arc<QueryMetrics> {
        self.metrics.clone()
    }

    /// Waits until the query has ended, or more rows wait than should. Takes none of them.
    pub fn wait(&self) -> Waited {
        self.queue.wait(&self.context.cancel, || self.handle.cancel())
    }

    /// Cancels the query, and waits until none of its tasks runs any more. Not to be called from a task.
    pub fn wait_idle(&self) {
        self.handle.cancel();
        self.handle.wait_idle();
    }

    fn load(&self, handle: crate::store::Handle) -> Result<RecordBatch> {
        let batch = self.context.store.take(handle)?.into_batch();
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), batch.columns().to_vec(), &options)?)
    }
}

impl Iterator for BatchStream {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Result<RecordBatch>> {
        if self.ended {
            return None;
        }
        let item = match self.queue.next(&self.context.cancel, || self.handle.cancel()) {
            Some(Ok(handle)) => {
                let batch = self.load(handle);
                self.handle.gate_changed();
                Some(batch)
            }
            Some(Err(error)) => Some(Err(error)),
            None => None,
        };
        if !matches!(item, Some(Ok(_))) {
            self.ended = true;
        }
        item
    }
}

impl Drop for BatchStream {
    fn drop(&mut self) {
        self.handle.cancel();
        self.queue.close();
    }
}
