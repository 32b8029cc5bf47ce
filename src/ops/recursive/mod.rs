//! What UNION in a recursive query needs: the rows of a round that no round has had before.
//!
//! The sink spreads a round's rows over a few partitions; the source that comes of it compares each partition with the
//! same partition of all rows [`Seen`] so far, and gives the new ones. What was seen lives as long as the recursion; how
//! it is kept under a small budget is told in `seen`.
//!
//! Invariant: over all rounds together every row comes out once.

mod seen;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::compute::cast;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use parking_lot::Mutex;

use crate::batch::hash::hash_rows;
use crate::batch::{Source, SourceRef, Split};
use crate::error::{Error, Result};
use crate::ops::aggregate::{table_key, table_type};
use crate::ops::partition::{PartitionWriter, Partitions, Radix};
use crate::ops::{Flow, Sink, SinkWork};
use crate::store::{Handle, QueryContext};
use seen::SeenPartition;

/// Partitions of all rows.
const PARTITIONS: usize = 16;

/// The rows of all rounds so far.
pub struct Seen {
    schema: SchemaRef,
    /// Types in which rows are compared.
    key_types: Vec<DataType>,
    radix: Radix,
    /// One split of a round works on a partition at a time, so nobody ever waits for these locks.
    partitions: Vec<Mutex<SeenPartition>>,
}

impl Seen {
    /// Nothing has been seen of rows of `schema`.
    pub fn new(schema: SchemaRef) -> Self {
        let key_types = schema.fields().iter().map(|field| table_type(field.data_type())).collect();
        let radix = Radix::first(PARTITIONS);
        let partitions = (0..radix.count()).map(|_| Mutex::new(SeenPartition::new(radix))).collect();
        Seen { schema, key_types, radix, partitions }
    }

    /// The columns of a batch as they are compared.
    fn keys(&self, columns: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
        columns.iter().zip(&self.key_types).map(|(column, key)| table_key(column.clone(), key)).collect()
    }

    /// A batch from the store in its own types.
    fn restored(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let columns = batch.columns().iter().zip(self.schema.fields());
        let columns = columns.map(|(column, field)| match column.data_type() == field.data_type() {
            true => Ok(column.clone()),
            false => Ok(cast(column, field.data_type())?),
        });
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), columns.collect::<Result<_>>()?, &options)?)
    }
}

/// Gives the rows of one round that are new.
pub struct Unseen {
    seen: Arc<Seen>,
}

impl Unseen {
    /// New compared with `seen`, which learns them.
    pub fn new(seen: Arc<Seen>) -> Self {
        Unseen { seen }
    }
}

impl Sink for Unseen {
    type Work = UnseenWork;
    type Part = Partitions;

    fn name(&self) -> &'static str {
        "Unseen"
    }

    fn describe(&self) -> String {
        "rows of no round before".to_string()
    }

    fn schema(&self) -> SchemaRef {
        self.seen.schema.clone()
    }

    fn open(&self, context: &Arc<QueryContext>) -> Result<UnseenWork> {
        let writer = PartitionWriter::new(context, &self.seen.schema, self.seen.radix, 0)?;
        Ok(UnseenWork { seen: self.seen.clone(), writer, hashes: Vec::new() })
    }

    fn combine(&self, context: &Arc<QueryContext>, parts: Vec<Partitions>) -> Result<SourceRef> {
        let mut all = Partitions::default();
        parts.into_iter().for_each(|part| all.append(part));
        let batches = all.handles.into_iter().enumerate().filter(|(_, handles)| !handles.is_empty());
        let batches = batches.map(|(partition, handles)| (partition, Mutex::new(handles))).collect();
        Ok(Arc::new(UnseenSource { seen: self.seen.clone(), context: context.clone(), batches }))
    }
}

/// One lane's rows on their way to the partitions.
pub struct UnseenWork {
    seen: Arc<Seen>,
    writer: PartitionWriter,
    hashes: Vec<u64>,
}

impl SinkWork for UnseenWork {
    type Part = Partitions;

    fn push(&mut self, _split: usize, batch: RecordBatch) -> Result<Flow> {
        let keys = self.seen.keys(batch.columns())?;
        hash_rows(&keys, batch.num_rows(), &mut self.hashes)?;
        self.writer.push(batch.columns(), &self.hashes)?;
        Ok(Flow::More)
    }

    fn finish(self) -> Result<Partitions> {
        self.writer.finish()
    }
}

/// The rows of one round by partition; each split gives the new ones of its partition.
struct UnseenSource {
    seen: Arc<Seen>,
    context: Arc<QueryContext>,
    /// Partition number and batches; taken once by the split that reads them.
    batches: Vec<(usize, Mutex<Vec<Handle>>)>,
}

impl Source for UnseenSource {
    fn describe(&self) -> String {
        "new rows".to_string()
    }

    fn schema(&self) -> SchemaRef {
        self.seen.schema.clone()
    }

    fn split_count(&self) -> usize {
        self.batches.len()
    }

    fn open(&self, index: usize) -> Result<Box<dyn Split>> {
        let (partition, batches) =
            self.batches.get(index).ok_or_else(|| Error::internal(format!("new rows have no split {index}")))?;
        let batches = std::mem::take(&mut *batches.lock());
        let (seen, context) = (self.seen.clone(), self.context.clone());
        Ok(Box::new(UnseenSplit { seen, context, partition: *partition, batches, new: VecDeque::new() }))
    }
}

struct UnseenSplit {
    seen: Arc<Seen>,
    context: Arc<QueryContext>,
    partition: usize,
    /// Empty once they have been compared.
    batches: Vec<Handle>,
    /// New rows that are not handed out yet.
    new: VecDeque<Handle>,
}

impl Split for UnseenSplit {
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        let batches = std::mem::take(&mut self.batches);
        if !batches.is_empty() {
            let Some(partition) = self.seen.partitions.get(self.partition) else {
                return Err(Error::internal("a partition of rows that nobody has seen"));
            };
            partition.lock().learn(&self.seen, &self.context, batches, &mut self.new)?;
        }
        match self.new.pop_front() {
            Some(handle) => Ok(Some(self.context.store.take(handle)?.into_batch())),
            None => Ok(None),
        }
    }
}
