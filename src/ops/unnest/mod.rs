//! Unnest: a row becomes as many rows as its lists have items; a struct becomes its fields.
//!
//! Several lists of one level stand side by side, the shorter ones padded with NULL. A list of depth n is opened n
//! times: first the deepest, level by level, so that what is still closed comes with each row of the level above.
//!
//! Invariant: no batch that comes out has more rows than the query's batch size, however long one list is, and fewer where
//! lists are repeated beside the items. What is not asked for is not repeated.

mod lists;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, UInt32Array};
use arrow::compute::{is_null, nullif, take};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use crate::error::{Error, Result};
use crate::memory::Reservation;
use crate::ops::{Emit, Flow, Operator, Work};
use crate::store::QueryContext;
use lists::{Lists, Range};

/// What is repeated beside the items of a batch is at most so much, unless it is one row: less under a small limit, shared by
/// the workers.
const REPEATED_BYTES: usize = 16 << 20;
const LIMIT_SHARE: usize = 16;

/// A column of the output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutputColumn {
    /// The input's column, repeated.
    Input(usize),
    /// The items of the list of that number.
    List(usize),
    /// A field of the struct in an input column.
    Field { column: usize, field: usize },
}

/// A list to open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListColumn {
    /// The input's column.
    pub column: usize,
    /// How many times it is opened, at least once.
    pub depth: usize,
}

/// What becomes of rows without items.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NoItems {
    /// A NULL instead of a list gives one row.
    pub keep_nulls: bool,
    /// An empty list gives one row.
    pub keep_empty: bool,
}

/// Opens lists and structs.
#[derive(Debug)]
pub struct Unnest {
    plan: Arc<Plan>,
}

#[derive(Debug)]
struct Plan {
    lists: Vec<ListColumn>,
    outputs: Vec<OutputColumn>,
    no_items: NoItems,
    schema: SchemaRef,
}

impl Unnest {
    /// Opens `lists`; `schema` is that of the `outputs`.
    pub fn new(lists: Vec<ListColumn>, outputs: Vec<OutputColumn>, no_items: NoItems, schema: SchemaRef) -> Self {
        Unnest { plan: Arc::new(Plan { lists, outputs, no_items, schema }) }
    }
}

impl Operator for Unnest {
    fn name(&self) -> &'static str {
        "Unnest"
    }

    fn describe(&self) -> String {
        let opened = self.plan.outputs.iter().zip(self.plan.schema.fields());
        let opened = opened.filter(|(output, _)| !matches!(output, OutputColumn::Input(_)));
        opened.map(|(_, field)| field.name().as_str()).collect::<Vec<_>>().join(", ")
    }

    fn schema(&self) -> SchemaRef {
        self.plan.schema.clone()
    }

    fn open(&self, context: &Arc<QueryContext>) -> Result<Box<dyn Work>> {
        let reservation = context.budget.reservation("rows repeated for the items of lists");
        Ok(Box::new(UnnestWork { plan: self.plan.clone(), context: context.clone(), reservation }))
    }
}

struct UnnestWork {
    plan: Arc<Plan>,
    context: Arc<QueryContext>,
    /// What is repeated beside the items of a batch.
    reservation: Reservation,
}

/// Rows on their way down the levels.
struct Rows {
    count: usize,
    /// The input's columns that the output has, or a field of.
    columns: Vec<Option<ArrayRef>>,
    /// What is left of each list: the input's column, and from its level on its items.
    lists: Vec<ArrayRef>,
}

impl Work for UnnestWork {
    fn push(&mut self, batch: RecordBatch, out: &mut Emit) -> Result<Flow> {
        if batch.num_rows() == 0 {
            return Ok(Flow::More);
        }
        let list = |list: &ListColumn| batch.columns().get(list.column).cloned().ok_or_else(no_column);
        let lists = self.plan.lists.iter().map(list).collect::<Result<Vec<_>>>()?;
        let level = self.plan.lists.iter().map(|list| list.depth).max().unwrap_or(0);
        let columns =
            batch.columns().iter().enumerate().map(|(index, column)| self.keeps(index).then(|| column.clone()));
        self.descend(level, Rows { count: batch.num_rows(), columns: columns.collect(), lists }, out)
    }
}

fn no_column() -> Error {
    Error::internal("a column to unnest that the input does not have")
}

impl UnnestWork {
    /// Whether the output has the input's column, or a field of it.
    fn keeps(&self, index: usize) -> bool {
        self.plan.outputs.iter().any(|output| match output {
            OutputColumn::Input(column) | OutputColumn::Field { column, .. } => *column == index,
            OutputColumn::List(_) => false,
        })
    }

    /// How many rows come out at a time where these are repeated, and the bytes of that.
    fn most(&self, rows: &Rows, opened: &[Option<Lists>]) -> (usize, usize) {
        let closed = rows.lists.iter().zip(opened).filter(|(_, opened)| opened.is_none()).map(|(list, _)| list);
        // Texts are repeated by reference.
        let nested = rows.columns.iter().flatten().chain(closed).filter(|column| column.data_type().is_nested());
        let bytes: usize = nested.map(|column| column.to_data().get_slice_memory_size().unwrap_or(0)).sum();
        let of_row = bytes / rows.count.max(1);
        let share = REPEATED_BYTES.min(self.context.budget.limit() / LIMIT_SHARE / self.context.threads.max(1));
        let most = self.context.batch_size.min(share / of_row.max(1)).max(1);
        (most, most.saturating_mul(of_row))
    }

    /// Opens the lists of this depth and more; their items go one level down.
    fn descend(&mut self, level: usize, rows: Rows, out: &mut Emit) -> Result<Flow> {
        if level == 0 {
            return out(self.finished(rows)?);
        }
        let open = |list: &ListColumn| list.depth >= level;
        let opened = self.plan.lists.iter().zip(&rows.lists).map(|(list, array)| match open(list) {
            true => Lists::of(array).map(Some),
            false => Ok(None),
        });
        let opened = opened.collect::<Result<Vec<Option<Lists>>>>()?;
        let (most, bytes) = self.most(&rows, &opened);
        self.reservation.grow(bytes)?;
        let flow = self.each(level, &rows, &opened, most, out);
        self.reservation.shrink(bytes);
        flow
    }

    /// Passes the opened rows on, at most so many at a time.
    fn each(
        &mut self,
        level: usize,
        rows: &Rows,
        opened: &[Option<Lists>],
        most: usize,
        out: &mut Emit,
    ) -> Result<Flow> {
        let (mut ranges, mut total) = (Vec::new(), 0);
        for row in 0..rows.count {
            let length = opened.iter().flatten().map(|lists| lists.length(row, self.plan.no_items)).max();
            let (mut from, length) = (0, length.unwrap_or(0));
            while from < length {
                let count = (length - from).min(most - total);
                ranges.push(Range { row, from, count });
                (from, total) = (from + count, total + count);
                if total == most {
                    self.context.cancel.check()?;
                    let below = opened_rows(rows, opened, &ranges, total)?;
                    if self.descend(level - 1, below, out)? == Flow::Done {
                        return Ok(Flow::Done);
                    }
                    ranges.clear();
                    total = 0;
                }
            }
        }
        match total {
            0 => Ok(Flow::More),
            _ => self.descend(level - 1, opened_rows(rows, opened, &ranges, total)?, out),
        }
    }

    fn finished(&self, rows: Rows) -> Result<RecordBatch> {
        let columns = self.plan.outputs.iter().map(|output| match *output {
            OutputColumn::Input(column) => rows.columns.get(column).cloned().flatten().ok_or_else(no_column),
            OutputColumn::List(list) => rows.lists.get(list).cloned().ok_or_else(no_column),
            OutputColumn::Field { column, field } => {
                field_of(rows.columns.get(column).and_then(Option::as_ref).ok_or_else(no_column)?, field)
            }
        });
        let options = RecordBatchOptions::new().with_row_count(Some(rows.count));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        Ok(RecordBatch::try_new_with_options(self.plan.schema.clone(), columns, &options)?)
    }
}

/// The rows that `ranges` say, `total` of them: opened lists give items, everything else is repeated.
fn opened_rows(rows: &Rows, opened: &[Option<Lists>], ranges: &[Range], total: usize) -> Result<Rows> {
    let mut indices: Vec<u32> = Vec::with_capacity(total);
    for range in ranges {
        let row = u32::try_from(range.row).map_err(|_| Error::internal("a batch of more than 2^32 rows"))?;
        indices.extend(std::iter::repeat_n(row, range.count));
    }
    let indices = UInt32Array::from(indices);
    let repeated = |column: &Option<ArrayRef>| column.as_ref().map(|column| take(column, &indices, None)).transpose();
    let columns = rows.columns.iter().map(repeated).collect::<std::result::Result<_, _>>()?;
    let lists = rows.lists.iter().zip(opened).map(|(list, opened)| match opened {
        Some(lists) => lists.items(ranges, total),
        None => Ok(take(list, &indices, None)?),
    });
    Ok(Rows { count: total, columns, lists: lists.collect::<Result<_>>()? })
}

/// A field of a struct; NULL where the struct is.
fn field_of(column: &ArrayRef, field: usize) -> Result<ArrayRef> {
    let values = column.as_struct_opt().and_then(|values| values.columns().get(field)).ok_or_else(no_column)?;
    match column.null_count() {
        0 => Ok(values.clone()),
        _ if values.data_type() == &DataType::Null => Ok(values.clone()),
        _ => Ok(nullif(values, &is_null(column)?)?),
    }
}
