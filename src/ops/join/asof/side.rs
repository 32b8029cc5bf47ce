//! One side of an ASOF join: its columns, its keys, and the value by which the nearest row is found.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatchOptions, UInt64Array};
use arrow::buffer::NullBuffer;
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Float32Type, Float64Type, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;

use crate::batch::hash::{canonical_f32, canonical_f64};
use crate::error::{Error, Result};
use crate::expr::Evaluator;

/// Bits of a sequence that number the rows of one split.
const ROW_BITS: u32 = 36;

/// A side, and what is computed from its rows.
///
/// A *wide* batch has the side's columns, then the keys, the value, and the sequence: where the row stood in the input.
#[derive(Debug)]
pub struct AsofSide {
    schema: SchemaRef,
    wide: SchemaRef,
    /// The keys, and last the value.
    computed: Vec<Evaluator>,
}

impl AsofSide {
    /// A side of batches of `schema` with these keys and that value.
    pub fn new(schema: SchemaRef, keys: Vec<Evaluator>, value: Evaluator) -> Self {
        let mut computed = keys;
        computed.push(value);
        let types = schema.fields().iter().map(|field| field.data_type().clone());
        let types = types.chain(computed.iter().map(|one| one.data_type().clone())).chain([DataType::UInt64]);
        // Names of columns may be there twice.
        let field = |(index, data_type)| Field::new(format!("c{index}"), data_type, true);
        let wide = Arc::new(Schema::new(types.enumerate().map(field).collect::<Vec<_>>()));
        AsofSide { schema, wide, computed }
    }

    /// The schema of wide batches; its columns have names of their own.
    pub fn wide(&self) -> &SchemaRef {
        &self.wide
    }

    /// The columns of wide batches by which they are sorted: keys, value, sequence.
    pub fn sort_columns(&self) -> std::ops::Range<usize> {
        self.schema.fields().len()..self.wide.fields().len()
    }

    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The wide form of `batch`, whose rows are numbered from `first` on.
    pub(super) fn widen(&self, batch: &RecordBatch, first: u64) -> Result<RecordBatch> {
        let mut columns = batch.columns().to_vec();
        for one in &self.computed {
            columns.push(canonical(one.evaluate(batch)?));
        }
        columns.push(Arc::new(UInt64Array::from_iter_values(first..first + batch.num_rows() as u64)));
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(self.wide.clone(), columns, &options)?)
    }

    /// The keys of a wide batch.
    pub(super) fn keys<'a>(&self, wide: &'a RecordBatch) -> &'a [ArrayRef] {
        let from = self.schema.fields().len();
        wide.columns().get(from..from + self.computed.len() - 1).unwrap_or_default()
    }

    /// The value of a wide batch.
    pub(super) fn value<'a>(&self, wide: &'a RecordBatch) -> Result<&'a ArrayRef> {
        let index = self.schema.fields().len() + self.computed.len() - 1;
        wide.columns().get(index).ok_or_else(|| Error::internal("an ASOF join's batch without its value"))
    }

    /// Which rows of a wide batch have all keys and a value; `None` for all.
    pub(super) fn complete(&self, wide: &RecordBatch) -> Result<Option<NullBuffer>> {
        let nulls = self.keys(wide).iter().chain([self.value(wide)?]).map(|column| column.logical_nulls());
        Ok(nulls.fold(None, |all, one| NullBuffer::union(all.as_ref(), one.as_ref())))
    }

    /// The rows of a wide batch that have all keys and a value.
    pub(super) fn only_complete(&self, wide: RecordBatch) -> Result<RecordBatch> {
        match self.complete(&wide)? {
            Some(complete) if complete.null_count() > 0 => {
                Ok(filter_record_batch(&wide, &BooleanArray::new(complete.into_inner(), None))?)
            }
            _ => Ok(wide),
        }
    }

    /// A wide batch without what was computed.
    pub(super) fn narrow(&self, wide: &RecordBatch) -> Result<RecordBatch> {
        let columns = wide.columns().iter().take(self.schema.fields().len()).cloned().collect();
        let options = RecordBatchOptions::new().with_row_count(Some(wide.num_rows()));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?)
    }
}

/// Where row `row` of split `split` stands in the input.
pub(super) fn sequence(split: usize, row: u64) -> u64 {
    (split as u64) << ROW_BITS | row & ((1 << ROW_BITS) - 1)
}

/// Zero and NaN have several bit patterns that are one value in SQL: they get one.
fn canonical(column: ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Float64 => Arc::new(column.as_primitive::<Float64Type>().unary::<_, Float64Type>(canonical_f64)),
        DataType::Float32 => Arc::new(column.as_primitive::<Float32Type>().unary::<_, Float32Type>(canonical_f32)),
        _ => column,
    }
}
