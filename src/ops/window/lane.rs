//! One lane of a window operator: brings rows to where they will be sorted.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::record_batch::RecordBatch;

use super::layout::Layout;
use crate::batch::hash::hash_rows;
use crate::error::Result;
use crate::ops::partition::{PartitionWriter, Partitions};
use crate::ops::sort::{Run, SortWork, sequence};
use crate::ops::{Flow, SinkWork};
use crate::store::{Handle, QueryContext, UseOrder, compact};

/// Few rows (`Layout::few_rows`) are not spread if they take no more than this part of the memory.
const FEW_SHARE: usize = 64;

/// One lane's state of a window operator.
pub struct WindowWork {
    layout: Arc<Layout>,
    context: Arc<QueryContext>,
    rows: Gathering,
    split: usize,
    next_row: u64,
    hashes: Vec<u64>,
}

enum Gathering {
    /// Rows that may turn out to be all there are, and their bytes.
    Few(Vec<Handle>, usize, usize),
    Partitions(Box<PartitionWriter>),
    Sort(Box<SortWork>),
    AsTheyCame(Vec<(u64, Handle)>),
}

/// What a lane leaves.
pub enum WindowPart {
    Few(Vec<Handle>),
    Partitions(Partitions),
    Runs(Vec<Run>),
    /// Batches with the sequence of their first rows.
    AsTheyCame(Vec<(u64, Handle)>),
}

impl WindowWork {
    pub(super) fn open(layout: Arc<Layout>, context: &Arc<QueryContext>) -> Result<Self> {
        let rows = match layout.sort() {
            None => Gathering::AsTheyCame(Vec::new()),
            Some(_) if layout.is_partitioned() => Gathering::Few(Vec::new(), 0, 0),
            Some(keys) => Gathering::Sort(Box::new(SortWork::open(keys.clone(), usize::MAX, context)?)),
        };
        Ok(WindowWork { layout, context: context.clone(), rows, split: 0, next_row: 0, hashes: Vec::new() })
    }

    /// The sequence of the first of `rows` rows that arrive next in `split`.
    fn sequence(&mut self, split: usize, rows: usize) -> Result<u64> {
        if split != self.split {
            self.split = split;
            self.next_row = 0;
        }
        let first = sequence(split, self.next_row)?;
        self.next_row += rows as u64;
        sequence(split, self.next_row)?;
        Ok(first)
    }

    fn put(&self, columns: Vec<ArrayRef>, rows: usize) -> Result<Handle> {
        let batch = compact(self.layout.stored_batch(columns, rows)?);
        self.context.store.put(batch, UseOrder::default())
    }

    /// Opens the partitions for what has been gathered and all that follows.
    fn spread_few(&mut self) -> Result<()> {
        let Gathering::Few(handles, _, _) = &mut self.rows else { return Ok(()) };
        let handles = std::mem::take(handles);
        let mut writer = writer(&self.layout, &self.context)?;
        push_handles(&self.layout, &self.context, &mut writer, handles)?;
        self.rows = Gathering::Partitions(Box::new(writer));
        Ok(())
    }
}

fn writer(layout: &Layout, context: &Arc<QueryContext>) -> Result<PartitionWriter> {
    PartitionWriter::new(context, layout.stored(), layout.radix(context), 0)
}

/// Spreads stored rows over partitions.
pub(super) fn spread(layout: &Layout, context: &Arc<QueryContext>, handles: Vec<Handle>) -> Result<Partitions> {
    if handles.is_empty() {
        return Ok(Partitions::default());
    }
    let mut writer = writer(layout, context)?;
    push_handles(layout, context, &mut writer, handles)?;
    writer.finish()
}

fn push_handles(
    layout: &Layout,
    context: &QueryContext,
    writer: &mut PartitionWriter,
    handles: Vec<Handle>,
) -> Result<()> {
    let mut hashes = Vec::new();
    for handle in handles {
        let batch = context.store.take(handle)?;
        push(layout, context, writer, batch.columns(), &mut hashes)?;
    }
    Ok(())
}

/// Pushes widened columns, in pieces, so that no partition's buffer outgrows its share.
fn push(
    layout: &Layout,
    context: &QueryContext,
    writer: &mut PartitionWriter,
    columns: &[ArrayRef],
    hashes: &mut Vec<u64>,
) -> Result<()> {
    let rows = columns.last().map_or(0, |column| column.len());
    hash_rows(&layout.shared_keys(columns), rows, hashes)?;
    let size = context.batch_size.max(1024);
    for (piece, hashes) in hashes.chunks(size).enumerate() {
        let slice = |column: &ArrayRef| column.slice(piece * size, hashes.len());
        writer.push(&columns.iter().map(slice).collect::<Vec<_>>(), hashes)?;
    }
    Ok(())
}

impl SinkWork for WindowWork {
    type Part = WindowPart;

    fn push(&mut self, split: usize, batch: RecordBatch) -> Result<Flow> {
        let rows = batch.num_rows();
        if rows == 0 {
            return Ok(Flow::More);
        }
        self.context.cancel.check()?;
        let first = self.sequence(split, rows)?;
        let columns = self.layout.widen(&batch, first)?;
        drop(batch);
        match &mut self.rows {
            Gathering::Partitions(writer) => push(&self.layout, &self.context, writer, &columns, &mut self.hashes)?,
            Gathering::Sort(sort) => sort.push_wide(self.layout.stored_batch(columns, rows)?)?,
            Gathering::AsTheyCame(_) => {
                let handle = self.put(columns, rows)?;
                if let Gathering::AsTheyCame(handles) = &mut self.rows {
                    handles.push((first, handle));
                }
            }
            Gathering::Few(..) => {
                let handle = self.put(columns, rows)?;
                let most_bytes = self.context.budget.limit() / FEW_SHARE;
                if let Gathering::Few(handles, gathered, bytes) = &mut self.rows {
                    (*gathered, *bytes) = (*gathered + rows, *bytes + handle.bytes());
                    handles.push(handle);
                    if *gathered > self.layout.few_rows || *bytes > most_bytes {
                        self.spread_few()?;
                    }
                }
            }
        }
        Ok(Flow::More)
    }

    fn finish(self) -> Result<WindowPart> {
        Ok(match self.rows {
            Gathering::Few(handles, _, _) => WindowPart::Few(handles),
            Gathering::Partitions(writer) => WindowPart::Partitions(writer.finish()?),
            Gathering::Sort(sort) => WindowPart::Runs(sort.finish()?),
            Gathering::AsTheyCame(handles) => WindowPart::AsTheyCame(handles),
        })
    }
}
