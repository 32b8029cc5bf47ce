//! The batches of a result as they come.

use std::sync::Arc;

use arrow::compute::cast;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use crate::cancel::CancelToken;
use crate::error::{Error, Result};
use crate::job::{BatchStream, ProgressHandle};
use crate::session::sql::with_excerpt;

/// An iterator over a running query's batches. Dropping it cancels the query.
pub struct ResultStream {
    inner: BatchStream,
    /// The schema that the logical plan promises: names and nullability may differ from those that operators use.
    schema: SchemaRef,
    /// The statement that it is of, to show where an error is.
    sql: Option<Arc<str>>,
}

impl ResultStream {
    pub(crate) fn new(inner: BatchStream, schema: SchemaRef) -> Self {
        ResultStream { inner, schema, sql: None }
    }

    /// The stream of the rows of this statement.
    pub(crate) fn of(self, sql: Option<Arc<str>>) -> Self {
        ResultStream { sql, ..self }
    }

    /// The schema of every batch.
    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// Cancels the query from elsewhere.
    pub fn cancel_token(&self) -> CancelToken {
        self.inner.cancel_token()
    }

    /// Something that tells how far the query is, from wherever, and also when the stream is used up.
    pub fn progress_handle(&self) -> ProgressHandle {
        ProgressHandle::new(self.inner.metrics())
    }
}

impl Iterator for ResultStream {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.inner.next()?.and_then(|batch| with_schema(batch, &self.schema));
        Some(batch.map_err(|error| match &self.sql {
            Some(sql) => with_excerpt(error, sql),
            None => error,
        }))
    }
}

/// The same columns under another schema, cast where a type differs.
pub(crate) fn with_schema(batch: RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    if batch.schema_ref() == schema {
        return Ok(batch);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let (_, columns, _) = batch.into_parts();
    // The optimizer narrows the type of a function that depends on an argument it folded: `round(decimal, 1)`.
    let columns = columns.into_iter().zip(schema.fields()).map(|(column, field)| {
        if column.data_type() == field.data_type() { Ok(column) } else { cast(&column, field.data_type()) }
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new_with_options(schema.clone(), columns, &options)
        .map_err(|error| Error::internal(format!("a batch does not have its plan's schema: {error}")))
}

impl std::fmt::Debug for ResultStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResultStream").field("schema", &self.schema).finish_non_exhaustive()
    }
}
