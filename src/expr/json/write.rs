//! Values written as JSON.

use std::sync::Arc;

use arrow::array::{ArrayRef, LargeStringBuilder};

use crate::batch::logical::write_compact;
use crate::batch::text::{JsonStyle, TextColumn};
use crate::error::Result;

/// JSON for every row that `write` says to have some.
pub(in crate::expr) fn texts(
    rows: usize,
    mut write: impl FnMut(usize, &mut String) -> Result<bool>,
) -> Result<ArrayRef> {
    let mut texts = LargeStringBuilder::with_capacity(rows, 0);
    let mut text = String::new();
    for row in 0..rows {
        text.clear();
        if write(row, &mut text)? {
            texts.append_value(&text);
        } else {
            texts.append_null();
        }
    }
    Ok(Arc::new(texts.finish()))
}

/// Every value as JSON; NULL stays NULL.
pub(in crate::expr) fn written(values: &ArrayRef) -> Result<ArrayRef> {
    let reader = TextColumn::new(values.as_ref())?;
    texts(values.len(), |row, out| {
        let is_there = !reader.is_null(row);
        if is_there {
            write_value(&reader, row, out)?;
        }
        Ok(is_there)
    })
}

/// Adds a value without spaces between its parts, NULL as `null`.
pub(in crate::expr) fn write_value(reader: &TextColumn, row: usize, out: &mut String) -> Result<()> {
    let mut spaced = String::new();
    reader.write_json(row, JsonStyle::Lines, &mut spaced)?;
    write_compact(&spaced, out);
    Ok(())
}
