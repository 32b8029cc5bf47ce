//! The rows of a table with some of them changed or left out.
//!
//! Invariant: batches without a changed row are shared with the old table, and the order of the rows stays. One batch of the table
//! is in hand at a time.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, StringViewArray};
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

/// What becomes of the rows that are met.
pub(super) enum Fate {
    /// They go.
    Goes,
    /// They get what stands in the query's columns behind the number.
    Changes,
    /// As the column behind the number says: it goes, or gets what stands in those behind that. The schema is that of the rows met:
    /// the table's and a text that says what became of them.
    OwnColumn(SchemaRef),
}

/// Makes the rows of a table without those that were met, or with others in their place.
pub(super) struct Rewriter<'a> {
    /// The table's, with the names and constraints that hold now.
    pub schema: SchemaRef,
    pub store: &'a Store,
    pub fate: Fate,
    /// Whether the rows that were met are asked for.
    pub keeps_met: bool,
    /// Whether a row that is met several times is an error.
    pub once: bool,
}

/// What becomes of the rows of a batch.
struct Changed {
    batch: RecordBatch,
    met: BooleanArray,
    goes: BooleanArray,
}

impl Rewriter<'_> {
    /// The same rows, of which none was met.
    pub(super) fn untouched(&self, rows: &StoredRows) -> Rewritten {
        let met = StoredRowsBuilder::new(self.met_schema(), self.store.clone()).finish();
        Rewritten { rows: rows.clone(), count: 0, met }
    }

    fn met_schema(&self) -> SchemaRef {
        match &self.fate {
            Fate::OwnColumn(schema) => schema.clone(),
            _ => self.schema.clone(),
        }
    }

    /// `met`: the number of every row that is met, in order, in the first column. A number may come several times; the first counts.
    pub(super) fn run(&self, rows: &StoredRows, met: ResultStream) -> Result<Rewritten> {
        let mut met = Met { stream: met, batch: None, at: 0 };
        let mut handles = Vec::with_capacity(rows.handles().len());
        let mut kept = StoredRowsBuilder::new(self.met_schema(), self.store.clone());
        let mut count = 0_u64;
        let mut base = 0_i64;
        for handle in rows.handles() {
            let end = base + i64::try_from(handle.rows()).unwrap_or(i64::MAX);
            match met.number()? {
                Some(number) if number < end => {
                    let changed = self.batch(handle, &mut met, base, end)?;
                    count += changed.met.true_count() as u64;
                    if self.keeps_met {
                        kept.push(filter_record_batch(&self.answered(&changed)?, &changed.met)?)?;
                    }
                    self.keep(changed, &mut handles)?;
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

    /// A batch of the table with its new rows, and which of its rows were met and go.
    fn batch(&self, handle: &Handle, met: &mut Met, base: i64, end: i64) -> Result<Changed> {
        let old = self.store.get(handle)?;
        let mut sources: Vec<RecordBatch> = Vec::new();
        let mut picks: Vec<(usize, usize)> = (0..old.num_rows()).map(|row| (0, row)).collect();
        let (mut is_met, mut goes) = (vec![false; old.num_rows()], vec![false; old.num_rows()]);
        while let Some(number) = met.number()?.filter(|number| *number < end) {
            let row = usize::try_from(number - base).unwrap_or(usize::MAX);
            let (batch, place) = met.take()?;
            let (Some(is_met), Some(goes), Some(pick)) = (is_met.get_mut(row), goes.get_mut(row), picks.get_mut(row))
            else {
                return Err(Error::internal(format!("row {number} comes behind row {base}")));
            };
            let again = std::mem::replace(is_met, true);
            if again && self.once {
                let error =
                    Error::new(Code::InvalidData, "a row of the table is matched by several rows of the source");
                return Err(error.hint("let USING have one row for each: SELECT DISTINCT ON (key) …"));
            }
            *goes = self.goes(&batch, place);
            if again || *goes {
                continue;
            }
            if !sources.last().is_some_and(|last| Arc::ptr_eq(last.column(0), batch.column(0))) {
                sources.push(batch);
            }
            *pick = (sources.len(), place);
        }
        let column = |index: usize| -> Result<ArrayRef> {
            if sources.is_empty() {
                return Ok(old.column(index).clone());
            }
            let leading = if matches!(self.fate, Fate::OwnColumn(_)) { 2 } else { 1 };
            let new = sources.iter().map(|source| source.column(index + leading).as_ref());
            let arrays: Vec<&dyn Array> = std::iter::once(old.column(index).as_ref()).chain(new).collect();
            Ok(interleave(&arrays, &picks)?)
        };
        let columns = (0..self.schema.fields().len()).map(column).collect::<Result<Vec<_>>>()?;
        if !sources.is_empty() {
            check_nulls(&columns, &self.schema)?;
        }
        let batch = RecordBatch::try_new(self.schema.clone(), columns)?;
        Ok(Changed { batch, met: BooleanArray::from(is_met), goes: BooleanArray::from(goes) })
    }

    /// Whether the row of the table that a row of the query names goes.
    fn goes(&self, met: &RecordBatch, row: usize) -> bool {
        match self.fate {
            Fate::Goes => true,
            Fate::Changes => false,
            Fate::OwnColumn(_) => met.column(1).as_boolean_opt().is_some_and(|goes| goes.value(row)),
        }
    }

    /// The rows as RETURNING sees them.
    fn answered(&self, changed: &Changed) -> Result<RecordBatch> {
        let Fate::OwnColumn(schema) = &self.fate else { return Ok(changed.batch.clone()) };
        let action = changed.goes.values().iter().map(|goes| if goes { "DELETE" } else { "UPDATE" });
        let mut columns = changed.batch.columns().to_vec();
        columns.push(Arc::new(StringViewArray::from_iter_values(action)));
        Ok(RecordBatch::try_new(schema.clone(), columns)?)
    }

    fn keep(&self, changed: Changed, handles: &mut Vec<Arc<Handle>>) -> Result<()> {
        let batch = match changed.goes.true_count() {
            0 => changed.batch,
            _ => filter_record_batch(&changed.batch, &arrow::compute::not(&changed.goes)?)?,
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
