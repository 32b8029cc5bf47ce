//! What tables for people have in common: cells as single lines, their width on the screen, alignment.
//!
//! Invariant: a cell never holds a line break or a control character, so a row is one line.

use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::RecordBatch;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::batch::value::{is_null, write_value};
use crate::error::Result;

/// On which side of a column its values stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Left,
    Right,
}

/// Numbers stand to the right, everything else to the left.
pub fn sides(schema: &SchemaRef) -> Vec<Side> {
    let side = |data_type: &DataType| if data_type.is_numeric() { Side::Right } else { Side::Left };
    schema.fields().iter().map(|field| side(field.data_type())).collect()
}

/// The cells of the rows `from..to` of a batch.
pub fn cells(batch: &RecordBatch, from: usize, to: usize) -> Result<Vec<Vec<String>>> {
    let mut rows = Vec::with_capacity(to.saturating_sub(from));
    for row in from..to {
        let mut cells = Vec::with_capacity(batch.num_columns());
        for column in batch.columns() {
            let mut text = String::new();
            if is_null(column, row) {
                text.push_str("NULL");
            } else {
                write_value(&mut text, column, row)?;
            }
            cells.push(one_line(text));
        }
        rows.push(cells);
    }
    Ok(rows)
}

/// Line breaks, tabs and other control characters as escapes.
pub fn one_line(text: String) -> String {
    if !text.chars().any(char::is_control) {
        return text;
    }
    let escape = |character: char| match character.is_control() {
        true => character.escape_default().to_string(),
        false => character.to_string(),
    };
    text.chars().map(escape).collect()
}

/// How many screen columns a text takes.
pub fn width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// The text cut to at most `limit` screen columns, with an ellipsis where it was cut.
pub fn cut(text: &str, limit: usize) -> String {
    if width(text) <= limit {
        return text.to_owned();
    }
    let mut shown = String::new();
    let mut used = 0;
    for character in text.chars() {
        let wide = character.width().unwrap_or(0);
        if used + wide + 1 > limit {
            break;
        }
        shown.push(character);
        used += wide;
    }
    shown.push('…');
    shown
}

/// Appends the text with spaces up to `target` screen columns.
pub fn pad(out: &mut String, text: &str, target: usize, side: Side) {
    let spaces = target.saturating_sub(width(text));
    if side == Side::Right {
        out.extend(std::iter::repeat_n(' ', spaces));
    }
    out.push_str(text);
    if side == Side::Left {
        out.extend(std::iter::repeat_n(' ', spaces));
    }
}
