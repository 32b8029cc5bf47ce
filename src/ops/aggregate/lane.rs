//! Phase one: one lane's table, and its partitions once the table did not hold everything.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::record_batch::RecordBatch;

use super::layout::Layout;
use super::table::{Rows, Table, Taken};
use crate::batch::hash::hash_rows;
use crate::error::{Error, Result};
use crate::memory::Reservation;
use crate::ops::partition::{PartitionWriter, Partitions, Radix};
use crate::ops::{Flow, SinkWork};
use crate::store::QueryContext;

/// One lane of phase one.
pub struct AggregateLane {
    layout: Arc<Layout>,
    context: Arc<QueryContext>,
    table: Table,
    /// The first phase did not reduce: rows are only spread.
    passes_through: bool,
    /// Rows taken since the table was last empty.
    rows_in_table: usize,
    groups_in_lane: usize,
    /// Bytes up to which a table that reduces well may grow.
    most_bytes: usize,
    raw: Option<PartitionWriter>,
    partial: Option<PartitionWriter>,
    hashes: Vec<u64>,
    /// Put aside for the first writer, which is needed when the memory is full; not where nothing is ever spread.
    headroom: Option<Reservation>,
}

/// What a lane leaves.
pub struct AggregatePart {
    /// Groups that were never spread; `None` also for a lane that saw no rows.
    pub(super) table: Option<Table>,
    pub(super) raw: Partitions,
    pub(super) partial: Partitions,
    /// What chose the partitions; `None` when nothing was spread.
    pub(super) radix: Option<Radix>,
}

impl AggregatePart {
    /// Whether the lane saw no rows.
    pub(super) fn is_empty(&self) -> bool {
        self.table.is_none() && self.raw.rows() == 0 && self.partial.rows() == 0
    }
}

/// Below this many rows for each group, aggregating before spreading costs more than it saves.
const WORTHWHILE_REDUCTION: usize = 2;

impl AggregateLane {
    pub(super) fn new(layout: Arc<Layout>, context: Arc<QueryContext>, groups_in_lane: usize) -> Result<Self> {
        let table = Table::new(&layout, context.budget.reservation("HashAggregate"), true)?;
        let most_bytes = context.budget.limit() / 8 / context.threads.max(1);
        let partitions = layout.radix(&context).count();
        let headroom = (!layout.keys.is_empty()).then(|| layout.headroom(&context, partitions));
        Ok(AggregateLane {
            layout,
            context,
            table,
            passes_through: false,
            rows_in_table: 0,
            groups_in_lane,
            most_bytes,
            raw: None,
            partial: None,
            hashes: Vec::new(),
            headroom,
        })
    }

    /// The table is full: spread it, and decide whether to go on with one.
    fn spread_table(&mut self) -> Result<()> {
        let reduces = self.rows_in_table >= self.table.len().saturating_mul(WORTHWHILE_REDUCTION);
        self.passes_through = !reduces;
        self.rows_in_table = 0;
        let (keys, mut states) = self.table.drain_partial()?;
        let rows = keys.first().map_or(0, |key| key.len());
        let mut hashes = Vec::new();
        hash_rows(&keys, rows, &mut hashes)?;
        let mut columns = keys;
        columns.append(&mut states);
        let radix = self.layout.radix(&self.context);
        self.headroom = None;
        let writer = open_writer(&mut self.partial, &self.context, &self.layout.partial, radix)?;
        push_in_pieces(writer, &columns, &hashes, self.context.batch_size)?;
        drop(columns);
        self.table.give_back();
        Ok(())
    }

    fn spread_raw(&mut self, keys: Vec<ArrayRef>, inputs: &[ArrayRef]) -> Result<()> {
        let mut columns = keys;
        columns.extend_from_slice(inputs);
        let radix = self.layout.radix(&self.context);
        self.headroom = None;
        let writer = open_writer(&mut self.raw, &self.context, &self.layout.raw, radix)?;
        writer.push(&columns, &self.hashes)
    }

    fn aggregate(&mut self, keys: &[ArrayRef], inputs: &[ArrayRef]) -> Result<bool> {
        for _ in 0..3 {
            match self.table.take(keys, &self.hashes, Rows::Raw(inputs))? {
                Taken::All => {
                    self.rows_in_table += self.hashes.len();
                    return Ok(true);
                }
                Taken::NoRoom if self.layout.keys.is_empty() => self.table.insist(self.hashes.len())?,
                Taken::NoRoom if self.table.len() == 0 => return Ok(false),
                Taken::NoRoom => self.spread_table()?,
                Taken::Unfit => {
                    if self.table.len() > 0 {
                        self.spread_table()?;
                        self.passes_through = false;
                    }
                    self.table.widen()?;
                }
            }
            if self.passes_through {
                return Ok(false);
            }
        }
        Ok(false)
    }

    fn is_full(&self) -> bool {
        let groups = self.table.len();
        if self.layout.keys.is_empty() || groups < self.groups_in_lane {
            return false;
        }
        // A table that reduces well may outgrow the cache while there is memory.
        let reduces = self.rows_in_table >= groups.saturating_mul(2 * WORTHWHILE_REDUCTION);
        !reduces || self.table.bytes() > self.most_bytes
    }
}

fn open_writer<'a>(
    writer: &'a mut Option<PartitionWriter>,
    context: &Arc<QueryContext>,
    schema: &arrow::datatypes::Schema,
    radix: Radix,
) -> Result<&'a mut PartitionWriter> {
    if writer.is_none() {
        *writer = Some(PartitionWriter::new(context, schema, radix, 0)?);
    }
    writer.as_mut().ok_or_else(|| Error::internal("a partition writer that was just made is gone"))
}

/// Pushes a large batch in pieces, so that no partition's buffer outgrows its share.
pub(super) fn push_in_pieces(
    writer: &mut PartitionWriter,
    columns: &[ArrayRef],
    hashes: &[u64],
    rows: usize,
) -> Result<()> {
    for (piece, hashes) in hashes.chunks(rows.max(1)).enumerate() {
        let start = piece * rows;
        let columns: Vec<ArrayRef> = columns.iter().map(|column| column.slice(start, hashes.len())).collect();
        writer.push(&columns, hashes)?;
    }
    Ok(())
}

impl SinkWork for AggregateLane {
    type Part = AggregatePart;

    fn push(&mut self, _split: usize, batch: RecordBatch) -> Result<Flow> {
        if batch.num_rows() == 0 {
            return Ok(Flow::More);
        }
        let keys = self.layout.evaluate_keys(&batch)?;
        let inputs = self.layout.evaluate_inputs(&batch)?;
        hash_rows(&keys, batch.num_rows(), &mut self.hashes)?;
        if self.passes_through || !self.aggregate(&keys, &inputs)? {
            self.spread_raw(keys, &inputs)?;
        } else if self.is_full() {
            self.spread_table()?;
        }
        Ok(Flow::More)
    }

    fn finish(mut self) -> Result<AggregatePart> {
        // A large table is spread even if nothing was before: lanes do so side by side, and the next phase has many splits.
        let large = !self.layout.keys.is_empty() && self.table.len() >= self.groups_in_lane;
        let begun = self.raw.is_some() || self.partial.is_some();
        if (begun || large) && self.table.has_rows() && self.table.len() > 0 {
            self.spread_table()?;
        }
        let spread = begun || large;
        let finish =
            |writer: Option<PartitionWriter>| writer.map_or(Ok(Partitions::default()), PartitionWriter::finish);
        let radix = spread.then(|| self.layout.radix(&self.context));
        let table = (!spread && self.table.has_rows()).then_some(self.table);
        Ok(AggregatePart { table, raw: finish(self.raw)?, partial: finish(self.partial)?, radix })
    }
}
