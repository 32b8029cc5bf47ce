//! Sort, out of core: `ORDER BY`, with or without a limit.
//!
//! * `keys`: key expressions → bytes in the order of the rows; ties are broken by where a row stood in the input.
//! * `lane`: each lane gathers rows in a reserved buffer and writes it as a sorted `run` into the store when full
//!   (`buffer`, `entries`).
//! * `merge`: the runs are merged while they are read, as many at once as memory allows; if there are more, some are
//!   merged into longer runs first (`rows`).
//! * `source`: the last merge, cut into ranges of keys of about as many rows, each a split.
//!
//! Invariant: the output is the one total order of the input's rows, whatever the threads, batches and budget.
//!
//! # Known limitation
//! With a limit the last merge is one split, hence the work of one worker. The output can be read once only. Keys that
//! are floats inside lists or structs order by their bits: `-0.0` before `0.0`.

mod buffer;
mod entries;
mod gather;
mod keys;
mod lane;
mod merge;
mod rows;
mod run;
mod source;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow::datatypes::SchemaRef;

use crate::batch::{SourceRef, Threshold};
use crate::error::Result;
use crate::ops::Sink;
use crate::store::QueryContext;

pub use keys::SortKey;
pub(in crate::ops) use keys::{SortKeys, normalised, sequence};
pub use lane::SortWork;
pub(in crate::ops) use rows::SortedRows;
pub use run::Run;

use rows::merge_down;
use run::{piece_bytes, piece_rows};
use source::MergeSource;

/// A batch of the output weighs at most as much as so many pieces of runs.
const OUTPUT_PIECES: usize = 4;

/// Orders rows by keys; gives `fetch` of them after the first `skip`.
#[derive(Debug)]
pub struct Sort {
    keys: Arc<SortKeys>,
    skip: usize,
    fetch: Option<usize>,
    /// Where scans are told what is still wanted.
    threshold: Option<Arc<Threshold>>,
}

impl Sort {
    /// A sort of batches of `schema` by `keys` (at least one).
    ///
    /// # Errors
    /// `NOT_SUPPORTED` for a key of a type that has no order.
    pub fn new(keys: Vec<SortKey>, schema: SchemaRef, skip: usize, fetch: Option<usize>) -> Result<Self> {
        Ok(Sort { keys: Arc::new(SortKeys::try_new(keys, schema)?), skip, fetch, threshold: None })
    }

    /// The same, telling `threshold` the first key of the worst row that is still wanted.
    #[must_use]
    pub fn telling(self, threshold: Option<Arc<Threshold>>) -> Self {
        Sort { threshold, ..self }
    }

    /// How many rows of the order are looked at.
    fn keep(&self) -> usize {
        match self.fetch {
            Some(0) => 0,
            Some(fetch) => fetch.saturating_add(self.skip),
            None => usize::MAX,
        }
    }
}

impl Sink for Sort {
    type Work = SortWork;
    type Part = Vec<Run>;

    fn name(&self) -> &'static str {
        "Sort"
    }

    fn describe(&self) -> String {
        let mut text = self.keys.describe();
        if let Some(fetch) = self.fetch {
            text.push_str(&format!(" limit {fetch}"));
        }
        if self.skip > 0 {
            text.push_str(&format!(" offset {}", self.skip));
        }
        text
    }

    fn schema(&self) -> SchemaRef {
        self.keys.output().clone()
    }

    fn open(&self, context: &Arc<QueryContext>) -> Result<SortWork> {
        Ok(SortWork::open(self.keys.clone(), self.keep(), context)?.telling(self.threshold.clone()))
    }

    fn wants(&self, _split: usize) -> bool {
        self.keep() > 0
    }

    fn keeps_rows(&self) -> bool {
        true
    }

    fn combine(&self, context: &Arc<QueryContext>, parts: Vec<Vec<Run>>) -> Result<SourceRef> {
        let runs = merge_down(&self.keys, self.keep(), context, parts.into_iter().flatten().collect())?;
        let weight = runs.iter().map(Run::bytes).sum();
        let total = runs.iter().map(Run::rows).sum();
        // The output is a copy of rows that are loaded: it must stay small beside them.
        let batch_rows = piece_rows(OUTPUT_PIECES * piece_bytes(context), weight, total, context.batch_size);
        MergeSource::source(self.keys.clone(), context.clone(), runs, (self.skip, self.fetch), batch_rows)
    }
}
