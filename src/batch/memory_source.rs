//! A few batches in memory as a source: VALUES, a single row, an answer that is known already.
//!
//! Only for relations that are small by their nature; what grows with the data lies in the store.

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;

use crate::batch::{Source, Split, Statistics};
use crate::error::Result;

/// Batches held in memory, one split.
#[derive(Debug, Clone)]
pub struct MemorySource {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
}

impl MemorySource {
    /// A source of `batches`, all of `schema`.
    pub fn new(schema: SchemaRef, batches: Vec<RecordBatch>) -> Self {
        MemorySource { schema, batches }
    }
}

impl Source for MemorySource {
    fn describe(&self) -> String {
        format!("values ({} rows)", self.batches.iter().map(RecordBatch::num_rows).sum::<usize>())
    }

    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn split_count(&self) -> usize {
        1
    }

    fn open(&self, _index: usize) -> Result<Box<dyn Split>> {
        Ok(Box::new(MemorySplit(self.batches.clone().into_iter())))
    }

    fn statistics(&self) -> Statistics {
        let rows = self.batches.iter().map(|batch| batch.num_rows() as u64).sum();
        Statistics { rows: Some(rows), bytes: None }
    }
}

struct MemorySplit(std::vec::IntoIter<RecordBatch>);

impl Split for MemorySplit {
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        Ok(self.0.next())
    }
}
