//! Stored rows with their numbers, so that a query can say which rows of a table it changes.
//!
//! Invariant: row `i` of the rows, from 0, has the number `i`, whichever split it is read from.

use std::sync::Arc;

use arrow::array::Int64Array;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;

use super::StoredRows;
use crate::batch::{Source, Split, Statistics};
use crate::error::{Error, Result};

/// Rows with one more column in front: their numbers.
pub struct NumberedRows {
    rows: StoredRows,
    schema: SchemaRef,
    /// The number of the first row of each split.
    starts: Vec<usize>,
}

impl NumberedRows {
    /// `rows` with their numbers in a BIGINT called `name`.
    pub fn new(rows: StoredRows, name: &str) -> Self {
        let mut fields = vec![Arc::new(Field::new(name, DataType::Int64, false))];
        fields.extend(rows.schema().fields().iter().cloned());
        let starts = rows.split_starts();
        NumberedRows { rows, schema: Arc::new(Schema::new(fields)), starts }
    }
}

impl Source for NumberedRows {
    fn describe(&self) -> String {
        format!("numbered {}", self.rows.describe())
    }

    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn split_count(&self) -> usize {
        self.rows.split_count()
    }

    fn open(&self, index: usize) -> Result<Box<dyn Split>> {
        let next = *self.starts.get(index).ok_or_else(|| Error::internal(format!("no split {index} of rows")))?;
        Ok(Box::new(NumberedSplit { inner: self.rows.open(index)?, schema: self.schema.clone(), next }))
    }

    fn statistics(&self) -> Statistics {
        self.rows.statistics()
    }
}

struct NumberedSplit {
    inner: Box<dyn Split>,
    schema: SchemaRef,
    /// The number of the next row.
    next: usize,
}

impl Split for NumberedSplit {
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        let Some(batch) = self.inner.next()? else { return Ok(None) };
        let end = self.next + batch.num_rows();
        let number = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let numbers = Int64Array::from_iter_values((self.next..end).map(number));
        self.next = end;
        let (_, columns, _) = batch.into_parts();
        let columns = std::iter::once(Arc::new(numbers) as _).chain(columns).collect();
        Ok(Some(RecordBatch::try_new(self.schema.clone(), columns)?))
    }
}
