//! The boxed table for people: names, types, the first and the last rows, how many there are.
//!
//! Invariant: holds the first half and the last half of the rows it shows, never the result. Cells are cut, and columns
//! in the middle left out, only where the output has a width.

use std::collections::VecDeque;
use std::io::Write;

use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;

use super::layout::{Side, cells, cut, one_line, pad, sides, width};
use super::{Limits, ResultWriter};
use crate::error::Result;
use crate::expr::types::sql_type_name;

/// Screen columns that a cell takes at most where the output has a width.
const CELL_WIDTH: usize = 60;
const ELLIPSIS: &str = "…";

/// Gathers the rows to show and draws the box at the end.
pub struct TableWriter<W> {
    out: W,
    limits: Limits,
    schema: SchemaRef,
    first: Vec<Vec<String>>,
    /// The newest batches, cut so that they hold the last `rows` rows after `first` and little more.
    last: VecDeque<RecordBatch>,
    last_rows: usize,
    rows: usize,
}

impl<W: Write> TableWriter<W> {
    pub fn new(out: W, limits: Limits) -> Self {
        let schema = SchemaRef::new(Schema::empty());
        TableWriter { out, limits, schema, first: Vec::new(), last: VecDeque::new(), last_rows: 0, rows: 0 }
    }

    fn first_limit(&self) -> usize {
        self.limits.rows.div_ceil(2)
    }

    /// Rows kept after the first ones: enough to show them all when the result is just as long as the limit.
    fn last_limit(&self) -> usize {
        self.limits.rows - self.first_limit()
    }

    fn keep_last(&mut self, batch: RecordBatch) {
        self.last_rows += batch.num_rows();
        self.last.push_back(batch);
        while let Some(oldest) = self.last.front() {
            if self.last_rows - oldest.num_rows() < self.last_limit() {
                break;
            }
            self.last_rows -= oldest.num_rows();
            self.last.pop_front();
        }
    }

    fn last_cells(&self) -> Result<Vec<Vec<String>>> {
        let mut skip = self.last_rows.saturating_sub(self.last_limit());
        let mut rows = Vec::new();
        for batch in &self.last {
            rows.extend(cells(batch, skip.min(batch.num_rows()), batch.num_rows())?);
            skip = skip.saturating_sub(batch.num_rows());
        }
        Ok(rows)
    }

    fn footer(&self, shown: usize, hidden_columns: usize) -> String {
        let plural = if self.rows == 1 { "row" } else { "rows" };
        let mut text = format!("{} {plural}", self.rows);
        if shown < self.rows {
            text.push_str(&format!(" ({shown} shown)"));
        }
        if hidden_columns > 0 {
            let columns = self.schema.fields().len();
            text.push_str(&format!(", {columns} columns ({} shown)", columns - hidden_columns));
        }
        text
    }
}

impl<W: Write> ResultWriter for TableWriter<W> {
    fn begin(&mut self, schema: &SchemaRef) -> Result<()> {
        self.abandon();
        self.schema = schema.clone();
        Ok(())
    }

    fn batch(&mut self, batch: &RecordBatch) -> Result<()> {
        self.rows += batch.num_rows();
        let first = (self.first_limit() - self.first.len()).min(batch.num_rows());
        self.first.extend(cells(batch, 0, first)?);
        if first < batch.num_rows() && self.last_limit() > 0 {
            self.keep_last(batch.slice(first, batch.num_rows() - first));
        }
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        if !self.schema.fields().is_empty() {
            let last = self.last_cells()?;
            let shown = self.first.len() + last.len();
            let elided_after = (shown < self.rows).then_some(self.first.len());
            let mut rows = std::mem::take(&mut self.first);
            rows.extend(last);
            let mut grid = Grid::new(&self.schema, rows, self.limits.width);
            let hidden_columns = grid.hide_columns(self.limits.width);
            let mut text = grid.draw(elided_after);
            text.push_str(&self.footer(shown, hidden_columns));
            text.push('\n');
            self.out.write_all(text.as_bytes())?;
        }
        self.abandon();
        Ok(self.out.flush()?)
    }

    fn abandon(&mut self) {
        self.first.clear();
        self.last.clear();
        self.last_rows = 0;
        self.rows = 0;
    }
}

/// One column as it will be drawn.
struct Column {
    name: String,
    type_name: String,
    cells: Vec<String>,
    side: Side,
    width: usize,
}

/// The columns of the box.
struct Grid {
    columns: Vec<Column>,
}

impl Grid {
    fn new(schema: &SchemaRef, rows: Vec<Vec<String>>, screen: Option<usize>) -> Self {
        let limit = screen.map_or(usize::MAX, |_| CELL_WIDTH);
        let mut columns: Vec<Column> = Vec::new();
        for (field, side) in schema.fields().iter().zip(sides(schema)) {
            let name = cut(&one_line(field.name().clone()), limit);
            let type_name = cut(&sql_type_name(field.data_type()), limit);
            columns.push(Column { name, type_name, cells: Vec::with_capacity(rows.len()), side, width: 0 });
        }
        for row in rows {
            for (column, cell) in columns.iter_mut().zip(row) {
                column.cells.push(cut(&cell, limit));
            }
        }
        for column in &mut columns {
            let texts = column.cells.iter().chain([&column.name, &column.type_name]);
            column.width = texts.map(|text| width(text)).max().unwrap_or(0);
        }
        Grid { columns }
    }

    /// Takes columns out of the middle until the box fits; returns how many.
    fn hide_columns(&mut self, screen: Option<usize>) -> usize {
        let Some(screen) = screen else { return 0 };
        let rows = self.columns.first().map_or(0, |column| column.cells.len());
        let mut hidden = 0;
        let drawn = |columns: &[Column]| columns.iter().map(|column| column.width + 3).sum::<usize>() + 1;
        let room = |hidden: usize| screen.saturating_sub(if hidden > 0 { width(ELLIPSIS) + 3 } else { 0 });
        while self.columns.len() > 2 && drawn(&self.columns) > room(hidden) {
            self.columns.remove(self.columns.len() / 2);
            hidden += 1;
        }
        if hidden > 0 {
            let name = ELLIPSIS.to_owned();
            let gap =
                Column { type_name: name.clone(), cells: vec![name.clone(); rows], side: Side::Left, width: 1, name };
            self.columns.insert(self.columns.len().div_ceil(2), gap);
        }
        hidden
    }

    fn draw(&self, elided_after: Option<usize>) -> String {
        let mut out = String::new();
        self.rule(&mut out, ['┌', '┬', '┐']);
        self.line(&mut out, |column| (&column.name, column.side));
        self.line(&mut out, |column| (&column.type_name, column.side));
        self.rule(&mut out, ['├', '┼', '┤']);
        let rows = self.columns.first().map_or(0, |column| column.cells.len());
        for row in 0..rows {
            if elided_after == Some(row) {
                self.line(&mut out, |column| (ELLIPSIS, column.side));
            }
            self.line(&mut out, |column| (column.cells.get(row).map_or("", String::as_str), column.side));
        }
        if elided_after == Some(rows) {
            self.line(&mut out, |column| (ELLIPSIS, column.side));
        }
        self.rule(&mut out, ['└', '┴', '┘']);
        out
    }

    fn rule(&self, out: &mut String, [left, middle, right]: [char; 3]) {
        out.push(left);
        for (index, column) in self.columns.iter().enumerate() {
            if index > 0 {
                out.push(middle);
            }
            out.extend(std::iter::repeat_n('─', column.width + 2));
        }
        out.push(right);
        out.push('\n');
    }

    fn line<'a>(&'a self, out: &mut String, text: impl Fn(&'a Column) -> (&'a str, Side)) {
        out.push('│');
        for column in &self.columns {
            let (text, side) = text(column);
            out.push(' ');
            pad(out, text, column.width, side);
            out.push_str(" │");
        }
        out.push('\n');
    }
}
