//! Markdown tables, all rows.
//!
//! Invariant: rows are written as they come; columns are therefore not padded to a common width.

use std::io::Write;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;

use super::ResultWriter;
use super::layout::{Side, cells, one_line, sides};
use crate::error::Result;

/// Writes `| a | b |` lines under a header.
pub struct MarkdownWriter<W> {
    out: W,
}

impl<W: Write> MarkdownWriter<W> {
    pub fn new(out: W) -> Self {
        MarkdownWriter { out }
    }

    fn write_row(&mut self, cells: impl IntoIterator<Item = String>) -> Result<()> {
        let mut line = String::from("|");
        for cell in cells {
            line.push(' ');
            line.push_str(&cell.replace('|', "\\|"));
            line.push_str(" |");
        }
        line.push('\n');
        Ok(self.out.write_all(line.as_bytes())?)
    }
}

impl<W: Write> ResultWriter for MarkdownWriter<W> {
    fn begin(&mut self, schema: &SchemaRef) -> Result<()> {
        if schema.fields().is_empty() {
            return Ok(());
        }
        self.write_row(schema.fields().iter().map(|field| one_line(field.name().clone())))?;
        let rule = |side: &Side| if *side == Side::Right { "--:" } else { "---" };
        self.write_row(sides(schema).iter().map(|side| rule(side).to_owned()))
    }

    fn batch(&mut self, batch: &RecordBatch) -> Result<()> {
        for row in 0..batch.num_rows() {
            for cells in cells(batch, row, row + 1)? {
                self.write_row(cells)?;
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        Ok(self.out.flush()?)
    }

    fn abandon(&mut self) {}
}
