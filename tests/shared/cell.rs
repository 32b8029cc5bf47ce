//! The text of one value of an answer.

use arrow::array::ArrayRef;
use floe::session::format::{is_null, write_value};

/// The value of `column` in `row`; `NULL` for none.
pub fn cell_text(column: &ArrayRef, row: usize) -> floe::Result<String> {
    let mut text = String::new();
    if is_null(column, row) {
        text.push_str("NULL");
    } else {
        write_value(&mut text, column, row)?;
    }
    Ok(text)
}
