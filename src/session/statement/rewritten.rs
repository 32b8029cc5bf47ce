//! The rows of a table with some of them changed or left out.
//!
//! Invariant: batches without a changed row are shared with the old table, and the order of the rows stays. One batch of the table
//! is in hand at a time.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::compute::{filter_record_batch, interleave};
use arrow::datatypes::{Int64Type, SchemaRef};
use arrow::record_batch::RecordBatch;

use crate::error::{Code, Error, Result};
use crate::session::rows::check_nulls;
use crate::session::stream::ResultStream;
use crate::store::{Handle, Store, StoredRows, StoredRowsBuilder};

/// What became of a table's rows.
pub(super) struct Rewritten {
    pub rows: StoredRows,
    /// How many were met.
    pub count: u64,
    /// The rows that were met: as they are now, or as they were when they are gone. Kept where they are asked for.
    pub met: StoredRows,
}

/// Makes the rows of a table without those that were met, or with others in their place.
pub(super) struct Rewriter<'a> {
    /// The table's, with the names and constraints that hold now.
    pub schema: SchemaRef,
    pub store: &'a Store,
    /// Whether rows that are met go; else the query has the columns of the new ones.
    pub deletes: bool,
    /// Whether the rows that were met are asked for.
    pub keeps_met: bool,
    /// Whether a row that is met several times is an error.
    pub once: bool,
}

impl Rewriter<'_> {
    /// `met`: the number of every row that is met, in order, in the first column. A number may come several times; the first counts.
    pub(super) fn run(&self, rows: &StoredRows, met: ResultStream) -> Result<Rewritten> {
        let mut met = Met { stream: met, batch: None, at: 0 };
        let mut handles = Vec::with_capacity(rows.handles().len());
        let mut kept = StoredRowsBuilder::new(self.schema.clone(), self.store.clone());
        let mut count = 0_u64;
        let mut base = 0_i64;
        for handle in rows.handles() {
            let end = base + i64::try_from(handle.rows()).unwrap_or(i64::MAX);
            match met.number()? {
                Some(number) if number < end => {
                    let (batch, mask) = self.batch(handle, &mut met, base, end)?;
                    count += mask.true_count() as u64;
                    if self.keeps_met {
                        kept.push(filter_record_batch(&batch, &mask)?)?;
                    }
                    self.keep(batch, &mask, &mut handles)?;
                }
                _ => handles.push(handle.clone()),
            }
            base = end;
        }
        if let Some(number) = met.number()? {
            return Err(Error::internal(format!("a change of row {number} of {base}")));
        }
        let rows = StoredRows::new(self.schema.clone(), handles, self.store.clone());
        Ok(Rewritten { rows, count, met: kept.finish() })
    }

    /// A batch of the table with its new rows, and which of its rows were met.
    fn batch(&self, handle: &Handle, met: &mut Met, base: i64, end: i64) -> Result<(RecordBatch, BooleanArray)> {
        let old = self.store.get(handle)?;
        let mut sources: Vec<RecordBatch> = Vec::new();
        let mut picks: Vec<(usize, usize)> = (0..old.num_rows()).map(|row| (0, row)).collect();
        let mut is_met = vec![false; old.num_rows()];
        while let Some(number) = met.number()?.filter(|number| *number < end) {
            let row = usize::try_from(number - base).unwrap_or(usize::MAX);
            let (batch, place) = met.take()?;
            let (Some(is_met), Some(pick)) = (is_met.get_mut(row), picks.get_mut(row)) else {
                return Err(Error::internal(format!("row {number} comes behind row {base}")));
            };
            let again = std::mem::replace(is_met, true);
            if again && self.once {
                let error =
                    Error::new(Code::InvalidData, "a row of the table is matched by several rows of the source");
                return Err(error.hint("let USING have one row for each: SELECT DISTINCT ON (key) …"));
            }
            if again || self.deletes {
                continue;
            }
            if !sources.last().is_some_and(|last| Arc::ptr_eq(last.column(0), batch.column(0))) {
                sources.push(batch);
            }
            *pick = (sources.len(), place);
        }
        let column = |index: usize| -> Result<ArrayRef> {
            if self.deletes {
                return Ok(old.column(index).clone());
            }
            let new = sources.iter().map(|source| source.column(index + 1).as_ref());
            let arrays: Vec<&dyn Array> = std::iter::once(old.column(index).as_ref()).chain(new).collect();
            Ok(interleave(&arrays, &picks)?)
        };
        let columns = (0..self.schema.fields().len()).map(column).collect::<Result<Vec<_>>>()?;
        if !self.deletes {
            check_nulls(&columns, &self.schema)?;
        }
        Ok((RecordBatch::try_new(self.schema.clone(), columns)?, BooleanArray::from(is_met)))
    }

    fn keep(&self, batch: RecordBatch, met: &BooleanArray, handles: &mut Vec<Arc<Handle>>) -> Result<()> {
        let batch = match self.deletes {
            true => filter_record_batch(&batch, &arrow::compute::not(met)?)?,
            false => batch,
        };
        let mut builder = StoredRowsBuilder::new(self.schema.clone(), self.store.clone());
        builder.push(batch)?;
        handles.extend(builder.finish().handles().iter().cloned());
        Ok(())
    }
}

/// The rows of the query, one after another.
struct Met {
    stream: ResultStream,
    batch: Option<RecordBatch>,
    /// The next row of the batch.
    at: usize,
}

impl Met {
    /// The number of the next row.
    fn number(&mut self) -> Result<Option<i64>> {
        loop {
            if let Some(batch) = &self.batch
                && self.at < batch.num_rows()
            {
                let numbers = batch.column(0).as_primitive_opt::<Int64Type>();
                let numbers = numbers.ok_or_else(|| Error::internal("the numbers of rows are not BIGINT"))?;
                return Ok(Some(numbers.value(self.at)));
            }
            match self.stream.next() {
                Some(batch) => (self.batch, self.at) = (Some(batch?), 0),
                None => return Ok(None),
            }
        }
    }

    /// The next row: its batch, and where it is in it.
    fn take(&mut self) -> Result<(RecordBatch, usize)> {
        let batch = self.batch.clone().ok_or_else(|| Error::internal("there is no next row"))?;
        self.at += 1;
        Ok((batch, self.at - 1))
    }
}
