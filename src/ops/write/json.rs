//! JSON: an object for each row, every column in it, NULL as `null`.

use arrow::datatypes::Schema;

use crate::batch::text::{JsonStyle, TextColumn, write_json_string};
use crate::error::Result;

/// Rows as JSON objects.
#[derive(Debug)]
pub(super) struct JsonRows {
    /// For each column what stands before its value: comma, the quoted name, a colon.
    leads: Vec<String>,
}

impl JsonRows {
    pub(super) fn new(schema: &Schema) -> Self {
        let lead = |(index, name): (usize, &str)| {
            let mut lead = String::from(if index == 0 { "" } else { "," });
            write_json_string(name, &mut lead);
            lead.push(':');
            lead
        };
        JsonRows { leads: schema.fields().iter().map(|field| field.name().as_str()).enumerate().map(lead).collect() }
    }

    /// Appends a row, without an end of line.
    pub(super) fn row(&self, columns: &[TextColumn], row: usize, out: &mut String) -> Result<()> {
        out.push('{');
        for (lead, column) in self.leads.iter().zip(columns) {
            out.push_str(lead);
            column.write_json(row, JsonStyle::Lines, out)?;
        }
        out.push('}');
        Ok(())
    }
}
