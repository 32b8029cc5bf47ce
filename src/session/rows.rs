//! Rows as sources: small results that the session itself makes, and the parts of a table one after another.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;

use super::stream::{ResultStream, with_schema};
use crate::batch::{Source, SourceRef, Split, Statistics};
use crate::error::{Code, Error, Result};
use crate::store::{Handle, Store, UseOrder};

/// One batch that the session made: SHOW, DESCRIBE, EXPLAIN.
pub(crate) struct Answer(pub RecordBatch);

impl Source for Answer {
    fn describe(&self) -> String {
        format!("{} rows of the session", self.0.num_rows())
    }

    fn schema(&self) -> SchemaRef {
        self.0.schema()
    }

    fn split_count(&self) -> usize {
        1
    }

    fn open(&self, _index: usize) -> Result<Box<dyn Split>> {
        Ok(Box::new(Once(Some(self.0.clone()))))
    }

    fn statistics(&self) -> Statistics {
        Statistics { rows: Some(self.0.num_rows() as u64), bytes: None }
    }
}

struct Once(Option<RecordBatch>);

impl Split for Once {
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        Ok(self.0.take())
    }
}

/// The parts of a table, one per statement that added rows, in that order.
pub(crate) struct Parts {
    schema: SchemaRef,
    parts: Vec<SourceRef>,
}

impl Parts {
    pub(crate) fn new(schema: SchemaRef, parts: Vec<SourceRef>) -> Self {
        Parts { schema, parts }
    }
}

impl Source for Parts {
    fn describe(&self) -> String {
        format!("table ({} splits)", self.split_count())
    }

    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn split_count(&self) -> usize {
        self.parts.iter().map(|part| part.split_count()).sum()
    }

    fn open(&self, index: usize) -> Result<Box<dyn Split>> {
        let mut index = index;
        for part in &self.parts {
            match index.checked_sub(part.split_count()) {
                Some(rest) => index = rest,
                None => return part.open(index),
            }
        }
        Err(Error::internal(format!("split {index} behind the end of a table")))
    }

    fn statistics(&self) -> Statistics {
        let sum = |value: fn(&Statistics) -> Option<u64>| {
            self.parts.iter().map(|part| value(&part.statistics())).sum::<Option<u64>>()
        };
        Statistics { rows: sum(|statistics| statistics.rows), bytes: sum(|statistics| statistics.bytes) }
    }
}

/// Rows in the store.
struct Stored {
    schema: SchemaRef,
    store: Store,
    handles: Vec<Arc<Handle>>,
}

/// Runs `stream` to its end and puts its rows into the store, as rows of `schema`.
///
/// # Errors
/// Those of the stream; `INVALID_DATA` for a NULL in a column that must not have one.
pub(crate) fn store_rows(stream: ResultStream, schema: &SchemaRef, store: &Store) -> Result<SourceRef> {
    let mut handles = Vec::new();
    for batch in stream {
        let batch = batch?;
        check_nulls(&batch, schema)?;
        let batch = with_schema(batch, schema)?;
        if batch.num_rows() > 0 {
            handles.push(Arc::new(store.put(batch, UseOrder::default())?));
        }
    }
    Ok(Arc::new(Stored { schema: schema.clone(), store: store.clone(), handles }))
}

fn check_nulls(batch: &RecordBatch, schema: &SchemaRef) -> Result<()> {
    for (column, field) in batch.columns().iter().zip(schema.fields()) {
        if !field.is_nullable() && column.logical_null_count() > 0 {
            return Err(Error::new(Code::InvalidData, format!("column \"{}\" must not be NULL", field.name())));
        }
    }
    Ok(())
}

impl Source for Stored {
    fn describe(&self) -> String {
        format!("{} stored batches", self.handles.len())
    }

    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn split_count(&self) -> usize {
        self.handles.len()
    }

    fn open(&self, index: usize) -> Result<Box<dyn Split>> {
        let handle = self.handles.get(index).ok_or_else(|| Error::internal("a split behind the end"))?;
        Ok(Box::new(Once(Some(self.store.get(handle)?.into_batch()))))
    }

    fn statistics(&self) -> Statistics {
        Statistics {
            rows: Some(self.handles.iter().map(|handle| handle.rows() as u64).sum()),
            bytes: Some(self.handles.iter().map(|handle| handle.bytes() as u64).sum()),
        }
    }
}
