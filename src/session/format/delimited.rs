//! Comma- and tab-separated values as RFC 4180 has them: quotes where a field needs them, doubled inside.
//!
//! Invariant: NULL and the empty string stay apart (nothing, and `""`). Rows are written as they come.

use std::io::Write;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;

use super::ResultWriter;
use crate::batch::value::{is_null, write_value};
use crate::error::Result;

/// Bytes of text gathered before they are written.
const WRITE_BYTES: usize = 64 * 1024;

/// Writes a header line, then a line for each row.
pub struct DelimitedWriter<W> {
    out: W,
    delimiter: u8,
    /// Text not written yet.
    text: String,
    /// One field, before it is known whether it needs quotes.
    field: String,
}

impl<W: Write> DelimitedWriter<W> {
    pub fn new(out: W, delimiter: u8) -> Self {
        DelimitedWriter { out, delimiter, text: String::new(), field: String::new() }
    }

    fn push_field(&mut self) {
        let special = |byte| byte == self.delimiter || matches!(byte, b'"' | b'\n' | b'\r');
        if self.field.is_empty() || self.field.bytes().any(special) {
            self.text.push('"');
            self.text.push_str(&self.field.replace('"', "\"\""));
            self.text.push('"');
        } else {
            self.text.push_str(&self.field);
        }
        self.field.clear();
    }

    fn write_text(&mut self) -> Result<()> {
        self.out.write_all(self.text.as_bytes())?;
        self.text.clear();
        Ok(())
    }
}

impl<W: Write> ResultWriter for DelimitedWriter<W> {
    fn begin(&mut self, schema: &SchemaRef) -> Result<()> {
        for (index, field) in schema.fields().iter().enumerate() {
            if index > 0 {
                self.text.push(char::from(self.delimiter));
            }
            self.field.push_str(field.name());
            self.push_field();
        }
        if !schema.fields().is_empty() {
            self.text.push('\n');
        }
        self.write_text()
    }

    fn batch(&mut self, batch: &RecordBatch) -> Result<()> {
        for row in 0..batch.num_rows() {
            for (index, column) in batch.columns().iter().enumerate() {
                if index > 0 {
                    self.text.push(char::from(self.delimiter));
                }
                if !is_null(column, row) {
                    write_value(&mut self.field, column, row)?;
                    self.push_field();
                }
            }
            self.text.push('\n');
            if self.text.len() >= WRITE_BYTES {
                self.write_text()?;
            }
        }
        self.write_text()
    }

    fn end(&mut self) -> Result<()> {
        Ok(self.out.flush()?)
    }

    fn abandon(&mut self) {
        self.text.clear();
        self.field.clear();
    }
}
