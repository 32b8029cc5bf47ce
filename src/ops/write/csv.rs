//! CSV: fields are quoted only when they must be.
//!
//! Invariant: what is written reads back as the same text, and NULL as NULL. So a field is quoted when it holds the
//! delimiter, the quote or an end of line, when it begins or ends with a blank, and when it is text that would be taken
//! for NULL (with the default, an empty string).

use arrow::datatypes::Schema;

use crate::batch::text::TextColumn;
use crate::error::{Code, Error, Result};
use crate::ops::write::WriteOptions;

/// Rows as CSV.
#[derive(Debug)]
pub(super) struct CsvRows {
    style: Style,
    /// By column: whether its fields are quoted always.
    forced: Vec<bool>,
    /// The first line, or nothing.
    head: String,
}

#[derive(Debug)]
struct Style {
    delimiter: u8,
    quote: u8,
    escape: u8,
    null: String,
}

impl CsvRows {
    pub(super) fn new(options: &WriteOptions, schema: &Schema) -> Result<Self> {
        if !options.delimiter.is_ascii() || !options.quote.is_ascii() || options.delimiter == options.quote {
            return Err(Error::new(Code::InvalidSetting, "delimiter and quote must be two different ASCII characters"));
        }
        let escape = options.escape.unwrap_or(options.quote);
        if !escape.is_ascii() || escape == options.delimiter {
            return Err(Error::new(
                Code::InvalidSetting,
                "escape must be an ASCII character that is not the delimiter",
            ));
        }
        let forces =
            |name: &String| options.force_quote.iter().any(|forced| forced == "*" || forced.eq_ignore_ascii_case(name));
        let known = |forced: &&String| {
            *forced != "*" && !schema.fields().iter().any(|field| field.name().eq_ignore_ascii_case(forced))
        };
        if let Some(unknown) = options.force_quote.iter().find(known) {
            return Err(Error::new(Code::UnknownColumn, format!("there is no column named \"{unknown}\" to quote")));
        }
        let forced = schema.fields().iter().map(|field| forces(field.name())).collect();
        let style = Style { delimiter: options.delimiter, quote: options.quote, escape, null: options.null.clone() };
        let mut head = String::new();
        if options.header {
            for (index, field) in schema.fields().iter().enumerate() {
                style.separate(index, &mut head);
                style.field(field.name(), false, &mut head);
            }
            head.push('\n');
        }
        Ok(CsvRows { style, forced, head })
    }

    pub(super) fn head(&self) -> &str {
        &self.head
    }

    /// Appends a row; `value` is for one value's text.
    pub(super) fn row(&self, columns: &[TextColumn], row: usize, value: &mut String, out: &mut String) -> Result<()> {
        for (index, column) in columns.iter().enumerate() {
            self.style.separate(index, out);
            let forced = self.forced.get(index).copied().unwrap_or(false);
            if column.is_null(row) {
                out.push_str(&self.style.null);
            } else if let Some(text) = column.as_str(row) {
                self.style.field(text, forced, out);
            } else {
                value.clear();
                column.write_text(row, value)?;
                self.style.field(value, forced, out);
            }
        }
        out.push('\n');
        Ok(())
    }
}

impl Style {
    fn separate(&self, index: usize, out: &mut String) {
        if index > 0 {
            out.push(char::from(self.delimiter));
        }
    }

    fn field(&self, text: &str, forced: bool, out: &mut String) {
        if !forced && !self.must_quote(text) {
            out.push_str(text);
            return;
        }
        let (quote, escape) = (char::from(self.quote), char::from(self.escape));
        out.push(quote);
        for part in text.split_inclusive([quote, escape]) {
            match part.strip_suffix([quote, escape]) {
                Some(before) => {
                    out.push_str(before);
                    out.push(escape);
                    out.push_str(&part[before.len()..]);
                }
                None => out.push_str(part),
            }
        }
        out.push(quote);
    }

    fn must_quote(&self, text: &str) -> bool {
        let special = |byte: u8| byte == self.delimiter || byte == self.quote || byte == b'\n' || byte == b'\r';
        text == self.null || text.starts_with([' ', '\t']) || text.ends_with([' ', '\t']) || text.bytes().any(special)
    }
}
