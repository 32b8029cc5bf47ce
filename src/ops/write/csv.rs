//! CSV: fields are quoted only when they must be.
//!
//! Invariant: what is written reads back as the same text, and NULL as NULL, unless there is no quote. So a field is quoted when it holds the
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
    delimiter: String,
    quote: Option<(char, char)>,
    null: String,
}

/// Bytes of a delimiter at most.
const LONGEST_DELIMITER: usize = 4;

impl Style {
    /// # Errors
    /// `INVALID_SETTING` for signs that cannot be told from each other when they are read.
    fn new(options: &WriteOptions) -> Result<Self> {
        let bad = |message: &str| Err(Error::new(Code::InvalidSetting, message));
        let WriteOptions { delimiter, quote, escape, null, .. } = options;
        if delimiter.len() > LONGEST_DELIMITER {
            return bad("a delimiter has at most four bytes");
        }
        let has = |text: &str, byte: Option<u8>| byte.is_some_and(|byte| text.contains(char::from(byte)));
        if [*quote, *escape].into_iter().flatten().any(|byte| !byte.is_ascii())
            || has(delimiter, *quote)
            || has(delimiter, *escape)
        {
            return bad("quote and escape must be ASCII characters that are not in the delimiter");
        }
        if !null.is_empty() && (!delimiter.is_empty() && null.contains(delimiter.as_str()) || has(null, *quote)) {
            return bad("the text of NULL must hold neither the delimiter nor the quote");
        }
        let quote = quote.map(|quote| (char::from(quote), char::from(escape.unwrap_or(quote))));
        Ok(Style { delimiter: delimiter.clone(), quote, null: null.clone() })
    }
}

impl CsvRows {
    pub(super) fn new(options: &WriteOptions, schema: &Schema) -> Result<Self> {
        let style = Style::new(options)?;
        let forces =
            |name: &String| options.force_quote.iter().any(|forced| forced == "*" || forced.eq_ignore_ascii_case(name));
        let known = |forced: &&String| {
            *forced != "*" && !schema.fields().iter().any(|field| field.name().eq_ignore_ascii_case(forced))
        };
        if let Some(unknown) = options.force_quote.iter().find(known) {
            return Err(Error::new(Code::UnknownColumn, format!("there is no column named \"{unknown}\" to quote")));
        }
        let forced: Vec<bool> = schema.fields().iter().map(|field| forces(field.name())).collect();
        let mut head = String::new();
        if options.header {
            for (index, field) in schema.fields().iter().enumerate() {
                style.separate(index, &mut head);
                style.field(field.name(), forces(field.name()), &mut head);
            }
            head.push('\n');
        }
        Ok(CsvRows { style, forced, head })
    }

    pub(super) fn head(&self) -> &str {
        &self.head
    }

    /// Appends a row, without an end of line; `value` is for one value's text.
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
        Ok(())
    }
}

impl Style {
    fn separate(&self, index: usize, out: &mut String) {
        if index > 0 {
            out.push_str(&self.delimiter);
        }
    }

    fn field(&self, text: &str, forced: bool, out: &mut String) {
        let Some((quote, escape)) = self.quote.filter(|(quote, _)| forced || self.must_quote(text, *quote)) else {
            out.push_str(text);
            return;
        };
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

    fn must_quote(&self, text: &str, quote: char) -> bool {
        let has_delimiter = || match self.delimiter.as_bytes() {
            [] => false,
            [byte] => text.as_bytes().contains(byte),
            _ => text.contains(&self.delimiter),
        };
        let special = |byte: u8| char::from(byte) == quote || byte == b'\n' || byte == b'\r';
        let has_blank = text.starts_with([' ', '\t']) || text.ends_with([' ', '\t']);
        text == self.null || has_blank || text.bytes().any(special) || has_delimiter()
    }
}
