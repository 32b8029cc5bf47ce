//! The rows of a query into the store.

use arrow::array::ArrayRef;
use arrow::datatypes::SchemaRef;

use super::stream::{ResultStream, with_schema};
use crate::error::{Code, Error, Result};
use crate::store::{Store, StoredRows, StoredRowsBuilder};

/// Runs `stream` to its end and puts its rows into the store, as rows of `schema`.
///
/// # Errors
/// Those of the stream; `INVALID_DATA` for a NULL in a column that must not have one.
pub(crate) fn store_rows(stream: ResultStream, schema: &SchemaRef, store: &Store) -> Result<StoredRows> {
    let mut rows = StoredRowsBuilder::new(schema.clone(), store.clone());
    for batch in stream {
        let batch = batch?;
        check_nulls(batch.columns(), schema)?;
        rows.push(with_schema(batch, schema)?)?;
    }
    Ok(rows.finish())
}

/// # Errors
/// `INVALID_DATA` for a NULL in a column that must not have one.
pub(crate) fn check_nulls(columns: &[ArrayRef], schema: &SchemaRef) -> Result<()> {
    for (column, field) in columns.iter().zip(schema.fields()) {
        if !field.is_nullable() && column.logical_null_count() > 0 {
            return Err(Error::new(Code::InvalidData, format!("column \"{}\" must not be NULL", field.name())));
        }
    }
    Ok(())
}
