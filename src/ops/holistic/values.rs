//! The values of one group that is too large to be counted on: in memory while they are few, then in the store.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::compute::concat;
use arrow::datatypes::{Field, Schema};
use arrow::record_batch::RecordBatch;

use crate::error::{Error, Result};
use crate::store::{Handle, QueryContext, UseOrder};

/// Bytes that may wait in memory.
const FEW_BYTES: usize = 256 * 1024;

/// Values of one group, in order.
pub(super) struct GroupValues {
    context: Arc<QueryContext>,
    stored: Vec<Handle>,
    /// How many values there are up to the end of each stored batch.
    ends: Vec<usize>,
    stored_bytes: usize,
    waiting: Vec<ArrayRef>,
    rows: usize,
    /// The stored batch that was looked at last, and its number.
    seen: Option<(usize, ArrayRef)>,
}

impl GroupValues {
    pub(super) fn new(context: &Arc<QueryContext>) -> Self {
        GroupValues {
            context: context.clone(),
            stored: Vec::new(),
            ends: Vec::new(),
            stored_bytes: 0,
            waiting: Vec::new(),
            rows: 0,
            seen: None,
        }
    }

    /// Everything, leaving none.
    pub(super) fn take(&mut self) -> GroupValues {
        let empty = GroupValues::new(&self.context);
        std::mem::replace(self, empty)
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn is_stored(&self) -> bool {
        !self.stored.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        self.stored_bytes + waiting_bytes(&self.waiting)
    }

    pub(super) fn push(&mut self, values: ArrayRef) {
        self.rows += values.len();
        self.waiting.push(values);
    }

    /// Copies what waits out of the batches that it came from; stores it when it is much.
    pub(super) fn settle(&mut self) -> Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let parts: Vec<&dyn Array> = self.waiting.iter().map(AsRef::as_ref).collect();
        let whole = concat(&parts)?;
        let bytes = whole.get_array_memory_size();
        self.waiting.clear();
        if bytes < FEW_BYTES {
            self.waiting.push(whole);
            return Ok(());
        }
        let schema = Arc::new(Schema::new(vec![Field::new("v", whole.data_type().clone(), true)]));
        let order = UseOrder(u32::try_from(self.stored.len()).unwrap_or(u32::MAX));
        let handle = self.context.store.put(RecordBatch::try_new(schema, vec![whole])?, order)?;
        self.stored_bytes += handle.bytes();
        self.stored.push(handle);
        self.ends.push(self.rows);
        Ok(())
    }

    /// Value number `row`, as a column of one row.
    pub(super) fn at(&mut self, row: usize) -> Result<ArrayRef> {
        let number = self.ends.partition_point(|&end| end <= row);
        let start = number.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        let missing = || Error::internal("a value behind the last of its group");
        if let Some(handle) = self.stored.get(number) {
            let seen = match &self.seen {
                Some((seen, values)) if *seen == number => values.clone(),
                _ => {
                    let values = column(&*self.context.store.get(handle)?)?;
                    self.seen.insert((number, values)).1.clone()
                }
            };
            return Ok(seen.slice(row - start, 1));
        }
        let mut row = row - start;
        for part in &self.waiting {
            if row < part.len() {
                return Ok(part.slice(row, 1));
            }
            row -= part.len();
        }
        Err(missing())
    }

    /// Shows every part, in order.
    pub(super) fn for_each(self, mut show: impl FnMut(&ArrayRef) -> Result<()>) -> Result<()> {
        for handle in self.stored {
            self.context.cancel.check()?;
            show(&column(&*self.context.store.take(handle)?)?)?;
        }
        self.waiting.iter().try_for_each(show)
    }

    /// All values in one column.
    pub(super) fn all(self) -> Result<ArrayRef> {
        let mut parts = Vec::new();
        self.for_each(|part| {
            parts.push(part.clone());
            Ok(())
        })?;
        let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
        Ok(concat(&parts)?)
    }
}

fn waiting_bytes(waiting: &[ArrayRef]) -> usize {
    waiting
        .iter()
        .map(|part| part.to_data().get_slice_memory_size().unwrap_or_else(|_| part.get_array_memory_size()))
        .sum()
}

fn column(batch: &RecordBatch) -> Result<ArrayRef> {
    batch.columns().first().cloned().ok_or_else(|| Error::internal("stored values without their column"))
}
