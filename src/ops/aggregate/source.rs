//! Phase two: one split per partition, each a table of its own.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use parking_lot::Mutex;

use super::lane::{AggregatePart, push_in_pieces};
use super::layout::Layout;
use super::table::{Rows, Table, Taken};
use crate::batch::hash::hash_rows;
use crate::batch::{Source, Split, Statistics};
use crate::error::{Error, Result};
use crate::memory::Reservation;
use crate::ops::partition::{PartitionWriter, Partitions, Radix};
use crate::store::{Handle, QueryContext};

/// A partition that got no room is cut into so many.
const CUT_AGAIN: usize = 16;

/// The groups of a finished aggregation.
pub(super) struct AggregateSource {
    layout: Arc<Layout>,
    context: Arc<QueryContext>,
    /// Each is taken by the split that reads it; the lock is held for that exchange only.
    partitions: Vec<Mutex<Option<Partition>>>,
    rows: u64,
}

/// The rows of one partition, in the store.
struct Partition {
    raw: Vec<Handle>,
    partial: Vec<Handle>,
    /// A lane's table that was never spread; only in an aggregation without partitions.
    table: Option<Table>,
    /// The last cut that its rows went through.
    radix: Radix,
    /// Some keys do not fit the packed form of a table, and there was no room for changing it.
    wide: bool,
}

impl Partition {
    /// The partitions of `radix`, without rows.
    fn all_of(radix: Radix, wide: bool) -> Vec<Partition> {
        let empty = |_| Partition { raw: Vec::new(), partial: Vec::new(), table: None, radix, wide };
        (0..radix.count()).map(empty).collect()
    }
}

impl AggregateSource {
    pub(super) fn new(layout: Arc<Layout>, context: Arc<QueryContext>, parts: Vec<AggregatePart>) -> Result<Self> {
        let spread = parts.iter().find_map(|part| part.radix);
        let mut partitions = Partition::all_of(spread.unwrap_or(Radix::WHOLE), false);
        let mut rows = 0;
        for part in parts {
            if let Some(mut table) = part.table {
                rows += table.len() as u64;
                match partitions.first_mut().filter(|_| spread.is_none()) {
                    Some(whole) if whole.table.is_none() => whole.table = Some(table),
                    _ => {
                        let radix = spread.unwrap_or(Radix::WHOLE);
                        let spread = spread_table(&layout, &context, &mut table, radix)?;
                        add(&mut partitions, Partitions::default(), spread)?;
                    }
                }
            }
            rows += (part.raw.rows() + part.partial.rows()) as u64;
            add(&mut partitions, part.raw, part.partial)?;
        }
        let partitions = partitions.into_iter().map(|partition| Mutex::new(Some(partition))).collect();
        Ok(AggregateSource { layout, context, partitions, rows })
    }
}

fn add(partitions: &mut [Partition], raw: Partitions, partial: Partitions) -> Result<()> {
    for added in [raw.handles.len(), partial.handles.len()] {
        if added != 0 && added != partitions.len() {
            return Err(Error::internal(format!("{added} partitions are added to {}", partitions.len())));
        }
    }
    for (partition, handles) in partitions.iter_mut().zip(raw.handles) {
        partition.raw.extend(handles);
    }
    for (partition, handles) in partitions.iter_mut().zip(partial.handles) {
        partition.partial.extend(handles);
    }
    Ok(())
}

/// Spreads a table's groups over the partitions of `radix`.
fn spread_table(layout: &Layout, context: &Arc<QueryContext>, table: &mut Table, radix: Radix) -> Result<Partitions> {
    let (keys, mut states) = table.drain_partial()?;
    let mut columns = keys;
    let rows = columns.first().or(states.first()).map_or(0, |column| column.len());
    let mut hashes = Vec::new();
    hash_rows(&columns, rows, &mut hashes)?;
    columns.append(&mut states);
    let mut writer = PartitionWriter::new(context, &layout.partial, radix, 0)?;
    push_in_pieces(&mut writer, &columns, &hashes, context.batch_size)?;
    drop(columns);
    table.give_back();
    writer.finish()
}

impl Source for AggregateSource {
    fn describe(&self) -> String {
        "groups".to_string()
    }

    fn schema(&self) -> SchemaRef {
        self.layout.output.clone()
    }

    fn split_count(&self) -> usize {
        self.partitions.len()
    }

    fn open(&self, index: usize) -> Result<Box<dyn Split>> {
        let partition = self.partitions.get(index).and_then(|partition| partition.lock().take());
        let partition = partition.ok_or_else(|| Error::internal(format!("partition {index} was read twice")))?;
        Ok(Box::new(AggregateSplit {
            layout: self.layout.clone(),
            context: self.context.clone(),
            waiting: vec![partition],
            groups: VecDeque::new(),
            held: None,
            headroom: None,
            found_wide: Cell::new(false),
        }))
    }

    fn statistics(&self) -> Statistics {
        Statistics { rows: Some(self.rows), bytes: None }
    }
}

/// One partition being aggregated.
struct AggregateSplit {
    layout: Arc<Layout>,
    context: Arc<QueryContext>,
    /// Partitions still to do; one that got no room leaves several.
    waiting: Vec<Partition>,
    /// Groups to hand out.
    groups: VecDeque<RecordBatch>,
    /// Keeps the reservation of the groups being handed out.
    held: Option<Table>,
    /// Put aside for cutting the partition once the memory is full.
    headroom: Option<Reservation>,
    /// The partition has keys that its table's form cannot hold.
    found_wide: Cell<bool>,
}

impl Split for AggregateSplit {
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.groups.pop_front() {
                return Ok(Some(batch));
            }
            self.held = None;
            let Some(partition) = self.waiting.pop() else { return Ok(None) };
            self.aggregate(partition)?;
        }
    }
}

impl AggregateSplit {
    fn aggregate(&mut self, mut partition: Partition) -> Result<()> {
        self.found_wide.set(partition.wide);
        self.headroom = None;
        self.headroom = Some(self.layout.headroom(&self.context, CUT_AGAIN));
        let mut table = match partition.table.take() {
            Some(table) => table,
            None => self.new_table(!partition.wide)?,
        };
        self.context.store.prefetch(partition.raw.iter().chain(&partition.partial));
        let handles = std::mem::take(&mut partition.raw).into_iter().map(|handle| (handle, true));
        let handles = handles.chain(std::mem::take(&mut partition.partial).into_iter().map(|handle| (handle, false)));
        let mut handles = handles.collect::<VecDeque<_>>();
        let mut hashes = Vec::new();
        while let Some((handle, raw)) = handles.pop_front() {
            self.context.cancel.check()?;
            let batch = self.context.store.take(handle)?;
            let (keys, columns) = self.layout.restore(&batch, self.schema_of(raw))?;
            hash_rows(&keys, batch.num_rows(), &mut hashes)?;
            let rows = if raw { Rows::Raw(&columns) } else { Rows::Partial(&columns) };
            if !self.take(&mut table, &keys, &hashes, rows)? {
                drop(batch);
                let first = (keys, columns, raw);
                return self.spread_again(table, first, handles, partition.radix);
            }
        }
        self.emit(table)
    }

    fn schema_of(&self, raw: bool) -> &Schema {
        if raw { &self.layout.raw } else { &self.layout.partial }
    }

    fn new_table(&self, packed: bool) -> Result<Table> {
        Table::new(&self.layout, self.context.budget.reservation("HashAggregate"), packed)
    }

    /// Takes a batch, changing the table's form if it must; false when there is no room.
    fn take(&self, table: &mut Table, keys: &[ArrayRef], hashes: &[u64], rows: Rows) -> Result<bool> {
        loop {
            match table.take(keys, hashes, rows)? {
                Taken::All => return Ok(true),
                // An empty table that gets no room has no smaller form: this is the minimum.
                Taken::NoRoom if table.len() <= 1 => table.insist(hashes.len())?,
                Taken::NoRoom => return Ok(false),
                Taken::Unfit if table.reserve_twice() => self.widen(table)?,
                Taken::Unfit => {
                    self.found_wide.set(true);
                    return Ok(false);
                }
            }
        }
    }

    /// Moves the groups of a packed table into one that takes any key.
    fn widen(&self, table: &mut Table) -> Result<()> {
        if !table.is_packed() {
            return Err(Error::internal("a group key that no index can hold"));
        }
        if table.len() == 0 {
            return table.widen();
        }
        let (keys, states) = table.drain_partial()?;
        table.widen()?;
        let rows = keys.first().map_or(0, |key| key.len());
        let mut hashes = Vec::new();
        hash_rows(&keys, rows, &mut hashes)?;
        table.insist(rows)?;
        match table.take(&keys, &hashes, Rows::Partial(&states))? {
            Taken::All => Ok(()),
            _ => Err(Error::internal("groups that were reserved for found no room")),
        }
    }

    fn emit(&mut self, mut table: Table) -> Result<()> {
        // Without keys a table has its group before it has rows.
        if !table.has_rows() || table.len() == 0 {
            return Ok(());
        }
        let batch = table.drain_final()?;
        let step = self.context.batch_size.max(1);
        let starts = (0..batch.num_rows()).step_by(step);
        self.groups = starts.map(|start| batch.slice(start, step.min(batch.num_rows() - start))).collect();
        self.held = Some(table);
        Ok(())
    }

    /// Aggregates a partition that cannot be cut further: its rows share their hash, so there are few groups.
    fn aggregate_whole(
        &mut self,
        mut table: Table,
        first: (Vec<ArrayRef>, Vec<ArrayRef>, bool),
        handles: VecDeque<(Handle, bool)>,
    ) -> Result<()> {
        let mut hashes = Vec::new();
        let mut insist = |keys: &[ArrayRef], columns: &[ArrayRef], raw: bool| {
            hash_rows(keys, keys.first().map_or(0, |key| key.len()), &mut hashes)?;
            table.insist(hashes.len())?;
            let rows = if raw { Rows::Raw(columns) } else { Rows::Partial(columns) };
            if self.take(&mut table, keys, &hashes, rows)? {
                return Ok(());
            }
            // The groups are few: changing their form must do.
            self.widen(&mut table)?;
            match self.take(&mut table, keys, &hashes, rows)? {
                true => Ok(()),
                false => Err(Error::internal("rows that were reserved for found no room")),
            }
        };
        insist(&first.0, &first.1, first.2)?;
        for (handle, raw) in handles {
            self.context.cancel.check()?;
            let batch = self.context.store.take(handle)?;
            let (keys, columns) = self.layout.restore(&batch, self.schema_of(raw))?;
            insist(&keys, &columns, raw)?;
        }
        self.emit(table)
    }

    /// Cuts a partition that does not fit, below `radix`.
    fn spread_again(
        &mut self,
        mut table: Table,
        first: (Vec<ArrayRef>, Vec<ArrayRef>, bool),
        handles: VecDeque<(Handle, bool)>,
        radix: Radix,
    ) -> Result<()> {
        self.headroom = None;
        let Some(radix) = radix.again(CUT_AGAIN) else {
            return self.aggregate_whole(table, first, handles);
        };
        let partial = spread_table(&self.layout, &self.context, &mut table, radix)?;
        drop(table);
        let mut partial_writer = PartitionWriter::new(&self.context, &self.layout.partial, radix, 0)?;
        let mut raw_writer = PartitionWriter::new(&self.context, &self.layout.raw, radix, 0)?;
        let mut hashes = Vec::new();
        let mut spread = |keys: Vec<ArrayRef>, columns: Vec<ArrayRef>, raw: bool| -> Result<()> {
            hash_rows(&keys, keys.first().map_or(0, |key| key.len()), &mut hashes)?;
            let columns: Vec<ArrayRef> = keys.into_iter().chain(columns).collect();
            if raw { raw_writer.push(&columns, &hashes) } else { partial_writer.push(&columns, &hashes) }
        };
        spread(first.0, first.1, first.2)?;
        for (handle, raw) in handles {
            self.context.cancel.check()?;
            let batch = self.context.store.take(handle)?;
            let schema = if raw { &self.layout.raw } else { &self.layout.partial };
            let (keys, columns) = self.layout.restore(&batch, schema)?;
            spread(keys, columns, raw)?;
        }
        let mut parts = Partition::all_of(radix, self.found_wide.get());
        add(&mut parts, raw_writer.finish()?, partial)?;
        add(&mut parts, Partitions::default(), partial_writer.finish()?)?;
        self.waiting.extend(parts.into_iter().rev());
        Ok(())
    }
}
