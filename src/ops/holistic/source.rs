//! Phase two: one split per partition.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use parking_lot::Mutex;

use super::layout::Layout;
use super::memory::MemoryGroups;
use super::stream::StreamedGroups;
use crate::batch::hash::hash_rows;
use crate::batch::{Source, Split, Statistics};
use crate::error::{Error, Result};
use crate::ops::partition::{PartitionWriter, Partitions, Radix};
use crate::store::{Handle, QueryContext};

/// A partition that does not fit is cut into so many.
const CUT_AGAIN: usize = 16;

/// The groups of a finished aggregation.
pub(super) struct HolisticSource {
    layout: Arc<Layout>,
    context: Arc<QueryContext>,
    /// Each is taken by the split that reads it; the lock is held for that exchange only.
    partitions: Vec<Mutex<Option<Partition>>>,
}

/// The rows of one partition, in the store.
pub(super) struct Partition {
    pub(super) handles: Vec<Handle>,
    /// The last cut that its rows went through.
    radix: Radix,
    /// Cutting it further leaves most of it in one piece.
    one_group: bool,
}

impl Partition {
    pub(super) fn rows(&self) -> usize {
        self.handles.iter().map(Handle::rows).sum()
    }

    pub(super) fn bytes(&self) -> usize {
        self.handles.iter().map(Handle::bytes).sum()
    }
}

impl HolisticSource {
    pub(super) fn new(layout: Arc<Layout>, context: Arc<QueryContext>, parts: Vec<Partitions>) -> Result<Self> {
        let radix = layout.radix.get().copied().unwrap_or(Radix::WHOLE);
        if parts.iter().any(|part| part.handles.len() != radix.count()) {
            return Err(Error::internal("lanes with different numbers of partitions"));
        }
        let mut all = Partitions::default();
        parts.into_iter().for_each(|part| all.append(part));
        let one_group = layout.keys.is_empty();
        let filled = all.handles.into_iter().filter(|handles| !handles.is_empty());
        let partitions = filled.map(|handles| Mutex::new(Some(Partition { handles, radix, one_group })));
        Ok(HolisticSource { partitions: partitions.collect(), layout, context })
    }
}

impl Source for HolisticSource {
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
        let (layout, context) = (self.layout.clone(), self.context.clone());
        Ok(Box::new(HolisticSplit { layout, context, waiting: vec![partition], current: Current::Nothing }))
    }

    fn statistics(&self) -> Statistics {
        Statistics::default()
    }
}

/// One partition being aggregated.
struct HolisticSplit {
    layout: Arc<Layout>,
    context: Arc<QueryContext>,
    /// Partitions still to do; one that did not fit leaves several.
    waiting: Vec<Partition>,
    current: Current,
}

enum Current {
    Nothing,
    Memory(MemoryGroups),
    Stream(StreamedGroups),
}

impl Split for HolisticSplit {
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            self.context.cancel.check()?;
            let groups = match &mut self.current {
                Current::Nothing => None,
                Current::Memory(groups) => groups.next()?,
                Current::Stream(groups) => groups.next()?,
            };
            if groups.is_some() {
                return Ok(groups);
            }
            self.current = Current::Nothing;
            let Some(partition) = self.waiting.pop() else { return Ok(None) };
            self.begin(partition)?;
        }
    }
}

impl HolisticSplit {
    fn begin(&mut self, partition: Partition) -> Result<()> {
        if let Some(groups) = MemoryGroups::load(&self.layout, &self.context, &partition)? {
            self.current = Current::Memory(groups);
            return Ok(());
        }
        match partition.radix.again(CUT_AGAIN).filter(|_| !partition.one_group) {
            Some(radix) => self.spread_again(partition, radix)?,
            None => {
                self.current = Current::Stream(StreamedGroups::new(&self.layout, &self.context, partition.handles)?)
            }
        }
        Ok(())
    }

    /// Cuts a partition that does not fit.
    fn spread_again(&mut self, partition: Partition, radix: Radix) -> Result<()> {
        let total = partition.rows();
        let mut writer = PartitionWriter::new(&self.context, &self.layout.rows, radix, 0)?;
        let mut hashes = Vec::new();
        for handle in partition.handles {
            self.context.cancel.check()?;
            let batch = self.context.store.take(handle)?;
            hash_rows(&self.layout.stored_keys(&batch)?, batch.num_rows(), &mut hashes)?;
            writer.push(batch.columns(), &hashes)?;
        }
        let pieces = writer.finish()?.handles.into_iter().filter(|handles| !handles.is_empty());
        let pieces = pieces.map(|handles| Partition { handles, radix, one_group: false }).map(|piece| {
            let one_group = piece.rows() > total - total / 8;
            Partition { one_group, ..piece }
        });
        let mut pieces: Vec<Partition> = pieces.collect();
        pieces.reverse();
        self.waiting.append(&mut pieces);
        Ok(())
    }
}
