//! JSON lines: one object a line, every column in it, NULL as `null`.

use std::io::Write;

use arrow::datatypes::Schema;
use arrow::record_batch::RecordBatch;

use crate::batch::text::{JsonStyle, TextColumn, write_json_string};
use crate::error::Result;

/// Text that is gathered before it goes to the file.
const CHUNK: usize = 64 * 1024;

/// Writes batches as JSON lines.
pub(super) struct JsonWriter<W> {
    out: W,
    /// For each column what stands before its value: brace or comma, the quoted name, a colon.
    leads: Vec<String>,
    chunk: String,
}

impl<W: Write> JsonWriter<W> {
    pub(super) fn new(out: W, schema: &Schema) -> Self {
        let lead = |(index, name): (usize, &str)| {
            let mut lead = String::from(if index == 0 { "" } else { "," });
            write_json_string(name, &mut lead);
            lead.push(':');
            lead
        };
        let leads = schema.fields().iter().map(|field| field.name().as_str()).enumerate().map(lead).collect();
        JsonWriter { out, leads, chunk: String::with_capacity(2 * CHUNK) }
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let columns = batch.columns().iter().map(|column| TextColumn::new(column.as_ref()));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        for row in 0..batch.num_rows() {
            self.chunk.push('{');
            for (lead, column) in self.leads.iter().zip(&columns) {
                self.chunk.push_str(lead);
                column.write_json(row, JsonStyle::Lines, &mut self.chunk)?;
            }
            self.chunk.push_str("}\n");
            if self.chunk.len() >= CHUNK {
                self.write_chunk()?;
            }
        }
        Ok(())
    }

    fn write_chunk(&mut self) -> Result<()> {
        self.out.write_all(self.chunk.as_bytes())?;
        self.chunk.clear();
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<W> {
        self.write_chunk()?;
        Ok(self.out)
    }
}
