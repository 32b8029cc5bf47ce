//! Results as text: one writer for each output format, fed batch by batch.
//!
//! Invariant: a writer holds at most a screenful of rows (the table, markdown and machine formats say below what they
//! hold), so printing a result of any size needs no memory to speak of. This module must not know how results are made.

mod delimited;
mod json;
mod layout;
mod markdown;
mod protocol;
mod table;

#[cfg(test)]
mod tests;

use std::io::Write;
use std::str::FromStr;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;

use crate::error::{Code, Error, Result};

pub use crate::batch::value::{is_null, write_value};
pub use protocol::write_error;

/// Rows that a table shows before it leaves out those in the middle.
pub const DEFAULT_SHOWN_ROWS: usize = 40;

/// How a result is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A box for people: names, types, the first and the last rows.
    Table,
    /// Comma-separated values with a header; NULL is empty, an empty string is quoted.
    Csv,
    /// As `Csv`, with tabs.
    Tsv,
    /// One JSON array of objects.
    Json,
    /// One JSON object a line.
    JsonLines,
    /// The machine protocol: one line of JSON a statement.
    JsonCompact,
    /// A Markdown table.
    Markdown,
}

impl Format {
    /// Every name that `from_str` knows, in the order in which help lists them.
    pub const NAMES: [&'static str; 7] = ["table", "csv", "tsv", "json", "jsonl", "json-compact", "markdown"];

    /// The format that a file's extension asks for, if it asks for one.
    pub fn of_extension(extension: &str) -> Option<Format> {
        Some(match extension.to_ascii_lowercase().as_str() {
            "csv" => Format::Csv,
            "tsv" => Format::Tsv,
            "json" => Format::Json,
            "jsonl" | "ndjson" => Format::JsonLines,
            "md" => Format::Markdown,
            _ => return None,
        })
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Ok(match name.to_ascii_lowercase().as_str() {
            "table" => Format::Table,
            "csv" => Format::Csv,
            "tsv" => Format::Tsv,
            "json" => Format::Json,
            "jsonl" => Format::JsonLines,
            "json-compact" => Format::JsonCompact,
            "markdown" => Format::Markdown,
            _ => {
                let message = format!("'{name}' is not an output format");
                let hint = format!("one of {}", Format::NAMES.join(", "));
                return Err(Error::new(Code::InvalidSetting, message).hint(hint));
            }
        })
    }
}

/// What the table format leaves out; the other formats print everything.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Rows shown at most; the first and the last half of them.
    pub rows: usize,
    /// Terminal columns at most; `None` for as many as the widest rows need.
    pub width: Option<usize>,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { rows: DEFAULT_SHOWN_ROWS, width: None }
    }
}

/// Marks the schema of an answer that only tells how many rows a statement changed.
pub(crate) const CHANGES: &str = "floe.changes";

/// Whether the answer only tells how many rows INSERT, UPDATE or DELETE changed: a program wants to know, somebody who
/// reads the output of a script does not.
pub fn only_counts_changes(schema: &SchemaRef) -> bool {
    schema.metadata().contains_key(CHANGES)
}

/// Prints one result after another to one output. For each result: `begin`, any number of `batch`, then `end`.
///
/// A statement without a result set has a schema without columns; only the machine protocol prints something for it.
pub trait ResultWriter {
    /// Starts a result with these columns.
    fn begin(&mut self, schema: &SchemaRef) -> Result<()>;

    /// Prints the next rows; the batch has the schema that `begin` was given.
    fn batch(&mut self, batch: &RecordBatch) -> Result<()>;

    /// Finishes the result and flushes the output.
    fn end(&mut self) -> Result<()>;

    /// Gives up the result begun: what is not printed yet never will be. `begin` may follow.
    fn abandon(&mut self);
}

/// Prints one whole result to `out`.
///
/// # Errors
/// The first error of the batches, and those of the output.
pub fn print<W: Write>(
    format: Format,
    limits: Limits,
    schema: &SchemaRef,
    batches: impl IntoIterator<Item = Result<RecordBatch>>,
    out: W,
) -> Result<()> {
    let mut writer = writer(format, limits, out);
    writer.begin(schema)?;
    for batch in batches {
        writer.batch(&batch?)?;
    }
    writer.end()
}

/// The writer for `format`, printing to `out`.
///
/// ```
/// use floe::session::format::{Format, Limits, writer};
/// # use std::sync::Arc;
/// # use arrow::array::{ArrayRef, Int64Array, RecordBatch};
/// let column = Arc::new(Int64Array::from(vec![Some(1), None])) as ArrayRef;
/// let batch = RecordBatch::try_from_iter_with_nullable([("a", column, true)]).unwrap();
/// let mut out = Vec::new();
/// let mut writer = writer(Format::JsonLines, Limits::default(), &mut out);
/// writer.begin(&batch.schema())?;
/// writer.batch(&batch)?;
/// writer.end()?;
/// drop(writer);
/// assert_eq!(out, b"{\"a\":1}\n{\"a\":null}\n");
/// # Ok::<(), floe::Error>(())
/// ```
pub fn writer<'a, W: Write + 'a>(format: Format, limits: Limits, out: W) -> Box<dyn ResultWriter + 'a> {
    match format {
        Format::Table => Box::new(table::TableWriter::new(out, limits)),
        Format::Csv => Box::new(delimited::DelimitedWriter::new(out, b',')),
        Format::Tsv => Box::new(delimited::DelimitedWriter::new(out, b'\t')),
        Format::Json => Box::new(json::JsonWriter::array(out)),
        Format::JsonLines => Box::new(json::JsonWriter::lines(out)),
        Format::JsonCompact => Box::new(protocol::ProtocolWriter::new(out)),
        Format::Markdown => Box::new(markdown::MarkdownWriter::new(out)),
    }
}
