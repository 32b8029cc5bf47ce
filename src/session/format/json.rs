//! JSON for programs that read JSON: objects a row, nested values as JSON, every number exact.
//!
//! Invariant: the text is valid JSON whatever the values are; NaN and infinities, which JSON has no numbers for, are
//! strings. An array that was abandoned is left without its closing bracket, so that no reader takes it for complete.

use std::fmt::Write as _;
use std::io::Write;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::RecordBatch;

use super::ResultWriter;
use crate::batch::logical::{JSON, is_enum, write_json_text};
use crate::batch::value::{dictionary_entry, float_at, integer_at, is_null, list_at, write_value};
use crate::error::Result;

/// Bytes of text gathered before they are written.
const WRITE_BYTES: usize = 64 * 1024;

/// Writes objects, either one a line or as the elements of one array.
pub struct JsonWriter<W> {
    out: W,
    as_array: bool,
    /// The names of the columns as JSON strings with their colons.
    keys: Vec<String>,
    rows: u64,
    text: String,
}

impl<W: Write> JsonWriter<W> {
    /// `[{…},` newline `{…}]`
    pub fn array(out: W) -> Self {
        JsonWriter { out, as_array: true, keys: Vec::new(), rows: 0, text: String::new() }
    }

    /// `{…}` newline `{…}` newline
    pub fn lines(out: W) -> Self {
        JsonWriter { as_array: false, ..JsonWriter::array(out) }
    }

    fn write_text(&mut self) -> Result<()> {
        self.out.write_all(self.text.as_bytes())?;
        self.text.clear();
        Ok(())
    }

    fn push_row(&mut self, batch: &RecordBatch, row: usize) -> Result<()> {
        if self.as_array && self.rows > 0 {
            self.text.push_str(",\n");
        }
        self.rows += 1;
        self.text.push('{');
        for (index, (key, column)) in self.keys.iter().zip(batch.columns()).enumerate() {
            if index > 0 {
                self.text.push(',');
            }
            self.text.push_str(key);
            write_json(&mut self.text, column, row)?;
        }
        self.text.push('}');
        if !self.as_array {
            self.text.push('\n');
        }
        Ok(())
    }
}

impl<W: Write> ResultWriter for JsonWriter<W> {
    fn begin(&mut self, schema: &SchemaRef) -> Result<()> {
        self.rows = 0;
        self.keys = schema.fields().iter().map(|field| key_text(field.name())).collect();
        if self.as_array && !self.keys.is_empty() {
            self.text.push('[');
        }
        self.write_text()
    }

    fn batch(&mut self, batch: &RecordBatch) -> Result<()> {
        for row in 0..batch.num_rows() {
            self.push_row(batch, row)?;
            if self.text.len() >= WRITE_BYTES {
                self.write_text()?;
            }
        }
        self.write_text()
    }

    fn end(&mut self) -> Result<()> {
        if self.as_array && !self.keys.is_empty() {
            self.out.write_all(b"]\n")?;
        }
        Ok(self.out.flush()?)
    }

    fn abandon(&mut self) {
        self.text.clear();
    }
}

fn key_text(name: &str) -> String {
    let mut text = String::new();
    write_string(&mut text, name);
    text.push(':');
    text
}

/// Appends one value as JSON: numbers as numbers, lists as arrays, structs and maps as objects, the rest as SQL text.
fn write_json(out: &mut String, array: &dyn Array, row: usize) -> Result<()> {
    if is_null(array, row) {
        out.push_str("null");
        return Ok(());
    }
    if integer_at(array, row).is_some() {
        return write_value(out, array, row);
    }
    if let Some(value) = float_at(array, row) {
        return write_json_float(out, array, row, value);
    }
    match array.data_type() {
        DataType::Boolean
        | DataType::Decimal32(_, _)
        | DataType::Decimal64(_, _)
        | DataType::Decimal128(_, _)
        | DataType::Decimal256(_, _) => write_value(out, array, row),
        data_type if is_enum(data_type) => write_text_value(out, array, row),
        data_type if *data_type == JSON => {
            let mut text = String::new();
            write_value(&mut text, array, row)?;
            write_json_text(&text, out);
            Ok(())
        }
        DataType::Struct(_) | DataType::Map(_, _) => write_object(out, array, row),
        DataType::Dictionary(_, _) => match dictionary_entry(array, row) {
            Some((values, key)) => write_json(out, values.as_ref(), key),
            None => Ok(()),
        },
        _ => match list_at(array, row) {
            Some(values) => write_array(out, values.as_ref()),
            None => write_text_value(out, array, row),
        },
    }
}

/// Appends a double as a JSON number, or as a string where JSON has none.
pub fn write_json_float(out: &mut String, array: &dyn Array, row: usize, value: f64) -> Result<()> {
    if value.is_finite() { write_value(out, array, row) } else { write_text_value(out, array, row) }
}

/// Appends the SQL text of a value as a JSON string.
pub fn write_text_value(out: &mut String, array: &dyn Array, row: usize) -> Result<()> {
    let mut text = String::new();
    write_value(&mut text, array, row)?;
    write_string(out, &text);
    Ok(())
}

fn write_array(out: &mut String, values: &dyn Array) -> Result<()> {
    out.push('[');
    for row in 0..values.len() {
        if row > 0 {
            out.push(',');
        }
        write_json(out, values, row)?;
    }
    out.push(']');
    Ok(())
}

fn write_object(out: &mut String, array: &dyn Array, row: usize) -> Result<()> {
    out.push('{');
    if let Some(map) = array.as_map_opt() {
        let entries = map.value(row);
        for entry in 0..entries.len() {
            if entry > 0 {
                out.push(',');
            }
            write_text_value(out, entries.column(0).as_ref(), entry)?;
            out.push(':');
            write_json(out, entries.column(1).as_ref(), entry)?;
        }
    } else {
        let fields = array.as_struct();
        for (index, (field, column)) in fields.fields().iter().zip(fields.columns()).enumerate() {
            if index > 0 {
                out.push(',');
            }
            out.push_str(&key_text(field.name()));
            write_json(out, column.as_ref(), row)?;
        }
    }
    out.push('}');
    Ok(())
}

/// Appends `text` as a JSON string.
pub fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control < ' ' => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}
