//! The machine protocol (`json-compact`): exactly one line of JSON for each statement, an answer or an error.
//!
//! Invariant: nothing is printed before the statement has succeeded, since a line is either an answer or an error. The
//! rows of an answer wait in memory up to [`RESIDENT_BYTES`] and in an unlinked temporary file beyond that.

use std::io::{self, Seek, SeekFrom, Write};

use arrow::array::Array;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::RecordBatch;
use tempfile::SpooledTempFile;

use super::ResultWriter;
use super::json::{write_json_float, write_string, write_text_value};
use crate::batch::value::{dictionary_entry, float_at, integer_at, is_null, write_value};
use crate::error::{Error, Result};
use crate::expr::types::sql_type_name;

/// Bytes of an answer that wait in memory.
const RESIDENT_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of text gathered before they are written to the waiting place.
const WRITE_BYTES: usize = 64 * 1024;
/// The integers that every JSON reader keeps exactly: up to 2^53 in size.
const EXACT_INTEGER: u128 = 1 << 53;

/// Writes `{"columns":[…],"rows":[…],"row_count":n}` and a newline for each result.
pub struct ProtocolWriter<W> {
    out: W,
    waiting: SpooledTempFile,
    text: String,
    rows: u64,
}

impl<W: Write> ProtocolWriter<W> {
    pub fn new(out: W) -> Self {
        ProtocolWriter { out, waiting: SpooledTempFile::new(RESIDENT_BYTES), text: String::new(), rows: 0 }
    }

    fn keep_text(&mut self) -> Result<()> {
        self.waiting.write_all(self.text.as_bytes())?;
        self.text.clear();
        Ok(())
    }
}

impl<W: Write> ResultWriter for ProtocolWriter<W> {
    fn begin(&mut self, schema: &SchemaRef) -> Result<()> {
        self.abandon();
        self.text.push_str("{\"columns\":[");
        for (index, field) in schema.fields().iter().enumerate() {
            self.text.push_str(if index > 0 { ",{\"name\":" } else { "{\"name\":" });
            write_string(&mut self.text, field.name());
            self.text.push_str(",\"type\":");
            write_string(&mut self.text, &sql_type_name(field.data_type()));
            self.text.push('}');
        }
        self.text.push_str("],\"rows\":[");
        Ok(())
    }

    fn batch(&mut self, batch: &RecordBatch) -> Result<()> {
        for row in 0..batch.num_rows() {
            self.text.push_str(if self.rows > 0 { ",[" } else { "[" });
            self.rows += 1;
            for (index, column) in batch.columns().iter().enumerate() {
                if index > 0 {
                    self.text.push(',');
                }
                write_machine(&mut self.text, column, row)?;
            }
            self.text.push(']');
            if self.text.len() >= WRITE_BYTES {
                self.keep_text()?;
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        self.text.push_str(&format!("],\"row_count\":{}}}\n", self.rows));
        self.keep_text()?;
        self.waiting.seek(SeekFrom::Start(0))?;
        io::copy(&mut self.waiting, &mut self.out)?;
        self.out.flush()?;
        self.abandon();
        Ok(())
    }

    fn abandon(&mut self) {
        self.waiting = SpooledTempFile::new(RESIDENT_BYTES);
        self.text.clear();
        self.rows = 0;
    }
}

/// Writes `{"error":{"code":…,"message":…}}` and a newline: the protocol's answer to a statement that failed.
///
/// # Errors
/// `IO_ERROR` when the output does not take it.
pub fn write_error(out: &mut dyn Write, error: &Error) -> Result<()> {
    let mut message = error.full_message();
    if let Some(hint) = error.hint_text() {
        message.push_str("\nhint: ");
        message.push_str(hint);
    }
    let mut text = String::from("{\"error\":{\"code\":");
    write_string(&mut text, error.code().as_str());
    text.push_str(",\"message\":");
    write_string(&mut text, &message);
    text.push_str("}}\n");
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Numbers that JSON readers keep exactly and booleans as themselves, everything else as the string of its SQL text.
fn write_machine(out: &mut String, array: &dyn Array, row: usize) -> Result<()> {
    if is_null(array, row) {
        out.push_str("null");
        return Ok(());
    }
    if let Some(value) = integer_at(array, row) {
        let exact = value.unsigned_abs() <= EXACT_INTEGER;
        return if exact { write_value(out, array, row) } else { write_text_value(out, array, row) };
    }
    if let Some(value) = float_at(array, row) {
        return write_json_float(out, array, row, value);
    }
    match array.data_type() {
        DataType::Boolean => write_value(out, array, row),
        DataType::Dictionary(_, _) => match dictionary_entry(array, row) {
            Some((values, key)) => write_machine(out, values.as_ref(), key),
            None => Ok(()),
        },
        _ => write_text_value(out, array, row),
    }
}
