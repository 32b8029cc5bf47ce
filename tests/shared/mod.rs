//! What several test programs share.

use arrow::record_batch::RecordBatch;
use floe::session::format::{is_null, write_value};

/// The rows of an answer on one line: rows joined by a bar, columns by a comma.
pub fn answer_text(batches: impl Iterator<Item = floe::Result<RecordBatch>>) -> floe::Result<String> {
    let mut rows = Vec::new();
    for batch in batches {
        let batch = batch?;
        for row in 0..batch.num_rows() {
            let mut cells = Vec::new();
            for column in batch.columns() {
                let mut cell = String::new();
                if is_null(column, row) {
                    cell.push_str("NULL");
                } else {
                    write_value(&mut cell, column, row)?;
                }
                cells.push(cell);
            }
            rows.push(cells.join(", "));
        }
    }
    Ok(rows.join(" | ").replace('\n', "\\n").replace('\t', "\\t"))
}
