//! Columns with structure (lists, structs, maps, dictionaries, unions …): Arrow IPC of the one column.

use std::io::Cursor;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{Field, Schema};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use arrow::record_batch::RecordBatch;

use super::bytes::{Reader, Writer};
use super::damaged;
use crate::error::{Error, Result};

pub(super) fn encode(column: &ArrayRef, field: &Field, writer: &mut Writer) -> Result<()> {
    let ipc = to_ipc(column, field).map_err(|error| Error::from(error).context("writing a batch to disk"))?;
    writer.section(&ipc);
    Ok(())
}

fn to_ipc(column: &ArrayRef, field: &Field) -> Result<Vec<u8>, arrow::error::ArrowError> {
    let schema = Arc::new(Schema::new(vec![field.clone()]));
    let batch = RecordBatch::try_new(schema.clone(), vec![column.clone()])?;
    let mut ipc = StreamWriter::try_new(Vec::new(), &schema)?;
    ipc.write(&batch)?;
    ipc.into_inner()
}

pub(super) fn decode(reader: &mut Reader) -> Result<ArrayRef> {
    let section = reader.section()?;
    let describe = |error: arrow::error::ArrowError| damaged(&error.to_string());
    let mut batches = StreamReader::try_new(Cursor::new(section), None).map_err(describe)?;
    let batch = batches.next().ok_or_else(|| damaged("a nested column is missing"))?.map_err(describe)?;
    batch.columns().first().cloned().ok_or_else(|| damaged("a nested column is missing"))
}
