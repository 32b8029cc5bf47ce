//! Where batches come from: the one trait behind files, stored tables and the output of a finished pipeline.
//!
//! Invariant: splits are disjoint and together complete; their order is the order of the rows (split `i` stands before
//! split `i + 1`), which is what makes answers independent of the number of threads.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;

use crate::error::Result;

/// A source shared between the pipelines that read it.
pub type SourceRef = Arc<dyn Source>;

/// What is known of a source before it is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Number of rows, when known (exactly or estimated).
    pub rows: Option<u64>,
    /// Bytes in memory or on disk, when known.
    pub bytes: Option<u64>,
}

/// A relation cut into splits that can be read independently of one another.
pub trait Source: Send + Sync {
    /// One short line for EXPLAIN, e.g. `parquet lineitem.parquet (3 columns)`.
    fn describe(&self) -> String;

    /// The schema of every batch that any split gives.
    fn schema(&self) -> SchemaRef;

    /// How many splits there are; fixed for the life of the source.
    fn split_count(&self) -> usize;

    /// Starts reading split `index` (`0..split_count()`). Called once per split, on any worker.
    fn open(&self, index: usize) -> Result<Box<dyn Split>>;

    /// What is known before reading.
    fn statistics(&self) -> Statistics {
        Statistics::default()
    }
}

/// One split being read. A split may be moved to another worker between two batches, never shared.
pub trait Split: Send {
    /// The next batch, or `None` after the last. Batches may be empty. Checks for cancellation itself when one call
    /// can take longer than about 50 ms.
    fn next(&mut self) -> Result<Option<RecordBatch>>;
}
