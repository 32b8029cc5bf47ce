//! Top-n: `ORDER BY … LIMIT n OFFSET k` for an `n + k` that fits into memory easily.
//!
//! It is a [`Sort`] that knows how many rows are wanted: a lane drops on arrival what cannot be among them and cuts its
//! buffer down instead of writing it. Should even `n + k` rows not fit, the lanes write runs as any sort does, so the
//! limit is one of speed only.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;

use crate::batch::{SourceRef, Threshold};
use crate::error::Result;
use crate::ops::Sink;
use crate::ops::sort::{Run, Sort, SortKey, SortWork};
use crate::store::QueryContext;

/// The first `fetch` rows of an order, after `skip` of them.
#[derive(Debug)]
pub struct TopN(Sort);

impl TopN {
    /// The rows `skip .. skip + fetch` of batches of `schema` in the order of `keys` (at least one).
    ///
    /// # Errors
    /// `NOT_SUPPORTED` for a key of a type that has no order.
    pub fn new(keys: Vec<SortKey>, schema: SchemaRef, skip: usize, fetch: usize) -> Result<Self> {
        Ok(TopN(Sort::new(keys, schema, skip, Some(fetch))?))
    }

    /// The same, telling `threshold` what is still wanted, as it gets to know it.
    #[must_use]
    pub fn telling(self, threshold: Option<Arc<Threshold>>) -> Self {
        TopN(self.0.telling(threshold))
    }
}

impl Sink for TopN {
    type Work = SortWork;
    type Part = Vec<Run>;

    fn name(&self) -> &'static str {
        "TopN"
    }

    fn describe(&self) -> String {
        self.0.describe()
    }

    fn schema(&self) -> SchemaRef {
        self.0.schema()
    }

    fn open(&self, context: &Arc<QueryContext>) -> Result<SortWork> {
        self.0.open(context)
    }

    fn wants(&self, split: usize) -> bool {
        self.0.wants(split)
    }

    fn combine(&self, context: &Arc<QueryContext>, parts: Vec<Vec<Run>>) -> Result<SourceRef> {
        self.0.combine(context, parts)
    }
}
