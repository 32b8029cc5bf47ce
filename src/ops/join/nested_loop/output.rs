//! The batches that a join gives, put together from both sides' columns.

use arrow::array::{ArrayRef, BooleanArray, RecordBatchOptions, UInt32Array, new_null_array};
use arrow::compute::{filter_record_batch, take};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use std::sync::Arc;

use super::shape::{Kept, Shape};
use crate::error::Result;

/// The schema of a join's output and the order of its columns.
#[derive(Debug)]
pub(in crate::ops::join) struct Output {
    pub(in crate::ops::join) shape: Shape,
    pub(in crate::ops::join) schema: SchemaRef,
    pub(in crate::ops::join) probe: SchemaRef,
    pub(in crate::ops::join) build: SchemaRef,
}

impl Output {
    fn batch(&self, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?)
    }

    /// Pairs of these columns.
    pub(in crate::ops::join) fn pairs(
        &self,
        probe: Vec<ArrayRef>,
        build: Vec<ArrayRef>,
        rows: usize,
    ) -> Result<RecordBatch> {
        let (mut left, right) = if self.shape.probe_is_left { (probe, build) } else { (build, probe) };
        left.extend(right);
        self.batch(left, rows)
    }

    /// The pairs of these rows of a probe batch and of a build batch, which may have columns behind their own.
    pub(in crate::ops::join) fn taken(
        &self,
        probe: (&RecordBatch, &UInt32Array),
        build: (&RecordBatch, &UInt32Array),
    ) -> Result<RecordBatch> {
        let probe_columns = taken_columns(probe.0, probe.1, &self.probe)?;
        let build_columns = taken_columns(build.0, build.1, &self.build)?;
        self.pairs(probe_columns, build_columns, probe.1.len())
    }

    /// Rows of the probe side without a partner.
    pub(in crate::ops::join) fn probe_alone(&self, rows: RecordBatch) -> Result<RecordBatch> {
        let nulls = nulls(&self.build, rows.num_rows());
        self.pairs(rows.columns().to_vec(), nulls, rows.num_rows())
    }

    /// Rows of the build side without a partner.
    pub(in crate::ops::join) fn build_alone(&self, rows: RecordBatch) -> Result<RecordBatch> {
        let nulls = nulls(&self.probe, rows.num_rows());
        self.pairs(nulls, rows.columns().to_vec(), rows.num_rows())
    }

    /// The rows of `batch` that a semi, anti or mark join gives when those of `matched` have a partner, and of those of
    /// `unknown` it cannot be said.
    pub(in crate::ops::join) fn kept(
        &self,
        kept: Kept,
        batch: &RecordBatch,
        matched: &BooleanArray,
        unknown: Option<&BooleanArray>,
    ) -> Result<RecordBatch> {
        let rows = match (kept, unknown) {
            (Kept::Semi, _) => filter_record_batch(batch, matched)?,
            (Kept::Anti, None) => filter_record_batch(batch, &arrow::compute::not(matched)?)?,
            (Kept::Anti, Some(unknown)) => {
                let out = BooleanArray::new(&!matched.values() & &!unknown.values(), None);
                filter_record_batch(batch, &out)?
            }
            (Kept::Mark, _) => {
                let known = unknown.map(|unknown| &!unknown.values() | matched.values());
                let mark = BooleanArray::new(matched.values().clone(), known.map(Into::into));
                let mut columns = batch.columns().to_vec();
                columns.push(Arc::new(mark));
                return self.batch(columns, batch.num_rows());
            }
        };
        self.batch(rows.columns().to_vec(), rows.num_rows())
    }
}

/// The columns of `schema`, behind which a batch may have others.
fn taken_columns(batch: &RecordBatch, rows: &UInt32Array, schema: &SchemaRef) -> Result<Vec<ArrayRef>> {
    batch.columns().iter().take(schema.fields().len()).map(|column| Ok(take(column, rows, None)?)).collect()
}

fn nulls(schema: &SchemaRef, rows: usize) -> Vec<ArrayRef> {
    schema.fields().iter().map(|field| new_null_array(field.data_type(), rows)).collect()
}
