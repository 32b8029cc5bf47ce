//! Output batches: probe columns and build columns side by side.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, UInt32Array, new_null_array};
use arrow::compute::take;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use super::gather::RowList;
use super::spec::{OutputColumn, Spec};
use super::table::Table;
use crate::error::{Error, Result};

/// Which probe rows stand in an output batch.
#[derive(Clone, Copy)]
pub(super) enum ProbeRows<'a> {
    /// All of the batch's, in order.
    All(&'a [ArrayRef]),
    /// These.
    Some(&'a [ArrayRef], &'a UInt32Array),
    /// NULLs.
    None,
}

/// Which build rows stand in an output batch.
#[derive(Clone, Copy)]
pub(super) enum BuildRows<'a> {
    /// Rows of a table; 0 is NULLs.
    Table(&'a Table, RowList<'a>),
    /// All of these stored columns, in order.
    Stored(&'a [ArrayRef]),
    /// NULLs.
    None,
}

/// One output batch of `rows` rows.
pub(super) fn assemble(
    spec: &Spec,
    rows: usize,
    probe: ProbeRows,
    build: BuildRows,
    mark: Option<&BooleanArray>,
) -> Result<RecordBatch> {
    assemble_columns(&spec.output, &spec.schema, rows, probe, build, mark)
}

/// As `assemble`, of any columns.
pub(super) fn assemble_columns(
    columns: &[OutputColumn],
    schema: &SchemaRef,
    rows: usize,
    probe: ProbeRows,
    build: BuildRows,
    mark: Option<&BooleanArray>,
) -> Result<RecordBatch> {
    let columns = columns.iter().map(|column| match column {
        OutputColumn::Probe(index, data_type) => match probe {
            ProbeRows::All(columns) => Ok(columns[*index].clone()),
            ProbeRows::Some(columns, chosen) => Ok(take(&columns[*index], chosen, None)?),
            ProbeRows::None => Ok(new_null_array(data_type, rows)),
        },
        OutputColumn::Build(index, data_type) => match build {
            BuildRows::Table(table, list) => table.gather(*index, list, data_type),
            BuildRows::Stored(columns) => super::spec::in_type(&columns[*index], data_type),
            BuildRows::None => Ok(new_null_array(data_type, rows)),
        },
        OutputColumn::Mark => match mark {
            Some(mark) => Ok(Arc::new(mark.clone()) as ArrayRef),
            None => Err(Error::internal("a mark join without marks")),
        },
    });
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns.collect::<Result<_>>()?, &options)?)
}
