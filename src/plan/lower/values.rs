//! Relations written in the query: VALUES, and no rows or one.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion_common::DFSchema;
use datafusion_expr::logical_plan::{EmptyRelation, Values};

use super::{Branches, Lowering};
use crate::batch::{MemorySource, SourceRef};
use crate::error::{Error, Result};
use crate::plan::physical::Input;

impl Lowering<'_> {
    pub(super) fn empty_relation(&mut self, empty: &EmptyRelation) -> Result<Branches> {
        let schema = empty.schema.inner().clone();
        let rows = usize::from(empty.produce_one_row);
        let columns = schema.fields().iter().map(|field| arrow::array::new_null_array(field.data_type(), rows));
        let batch = batch_of(&schema, columns.collect(), rows)?;
        Ok(memory_branch(schema, batch))
    }

    pub(super) fn values(&mut self, values: &Values) -> Result<Branches> {
        let none = DFSchema::empty();
        let row = RecordBatch::try_new_with_options(
            none.inner().clone(),
            Vec::new(),
            &RecordBatchOptions::new().with_row_count(Some(1)),
        )?;
        let schema = values.schema.inner().clone();
        let columns = schema.fields().iter().enumerate().map(|(column, field)| {
            let cells = values.values.iter().map(|cells| match cells.get(column) {
                Some(cell) => {
                    let cell = self.compile(cell, &none)?.evaluate(&row)?;
                    Ok(arrow::compute::cast(&cell, field.data_type())?)
                }
                None => Err(Error::internal("a row of VALUES that is too short")),
            });
            let cells = cells.collect::<Result<Vec<ArrayRef>>>()?;
            let cells: Vec<&dyn arrow::array::Array> = cells.iter().map(AsRef::as_ref).collect();
            Ok(arrow::compute::concat(&cells)?)
        });
        let batch = batch_of(&schema, columns.collect::<Result<_>>()?, values.values.len())?;
        Ok(memory_branch(schema, batch))
    }
}

fn batch_of(schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?)
}

fn memory_branch(schema: SchemaRef, batch: RecordBatch) -> Branches {
    let source: SourceRef = Arc::new(MemorySource::new(schema, vec![batch]));
    Branches::over(Input::Source(source))
}
