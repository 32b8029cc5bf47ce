//! What several test programs share.

mod cell;

use arrow::record_batch::RecordBatch;

use self::cell::cell_text;

/// The rows of an answer on one line: rows joined by a bar, columns by a comma.
pub fn answer_text(batches: impl Iterator<Item = floe::Result<RecordBatch>>) -> floe::Result<String> {
    let mut rows = Vec::new();
    for batch in batches {
        let batch = batch?;
        for row in 0..batch.num_rows() {
            let cells = batch.columns().iter().map(|column| cell_text(column, row));
            rows.push(cells.collect::<floe::Result<Vec<_>>>()?.join(", "));
        }
    }
    Ok(rows.join(" | ").replace('\n', "\\n").replace('\t', "\\t"))
}
