//! One lane of the build side: its rows go to the store, as they come or, once there are too many, by partition.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::compute::{concat_batches, filter, filter_record_batch};
use arrow::record_batch::RecordBatch;

use super::keys::{KeyForm, WordBounds, valid_keys};
use super::probe::SideFacts;
use super::share::JoinShare;
use super::spec::Spec;
use super::table::CHUNK_ROWS;
use crate::error::{Error, Result};
use crate::ops::partition::{PartitionWriter, Partitions, Radix};
use crate::ops::{Flow, SinkWork};
use crate::store::{Handle, QueryContext, UseOrder, batch_bytes};

/// Small batches are gathered up to so many bytes.
const GATHERED_BYTES: usize = 1 << 20;

/// What all lanes of one build side share.
#[derive(Debug)]
pub(super) struct BuildProgress {
    /// Bytes put into the store so far.
    bytes: AtomicUsize,
    rows: AtomicUsize,
    /// The build side does not fit: its rows go by partition.
    partitioned: AtomicBool,
    /// How rows are spread, the same for every lane: the limit may change under a query.
    radix: OnceLock<Radix>,
    pub(super) share: Arc<JoinShare>,
}

impl BuildProgress {
    pub(super) fn new(share: Arc<JoinShare>, partitioned: bool) -> Self {
        BuildProgress {
            bytes: AtomicUsize::new(0),
            rows: AtomicUsize::new(0),
            partitioned: AtomicBool::new(partitioned),
            radix: OnceLock::new(),
            share,
        }
    }

    /// How rows are spread, where they are.
    pub(super) fn radix(&self, context: &QueryContext) -> Radix {
        let by_limit = || match context.budget.limit() >> 20 {
            0..=127 => Radix::first(32),
            128..=511 => Radix::first(64),
            _ => Radix::first(128),
        };
        *self.radix.get_or_init(by_limit)
    }

    fn is_partitioned(&self) -> bool {
        self.partitioned.load(Ordering::Relaxed)
    }

    /// Bytes that the table may take.
    pub(super) fn allowance(&self, spec: &Spec, context: &QueryContext) -> usize {
        spec.knobs.allowance.unwrap_or_else(|| self.share.allowance(&context.budget))
    }

    fn add(&self, handle: &Handle, spec: &Spec, context: &QueryContext) {
        let bytes = self.bytes.fetch_add(handle.bytes(), Ordering::Relaxed) + handle.bytes();
        let rows = self.rows.fetch_add(handle.rows(), Ordering::Relaxed) + handle.rows();
        // The index over the rows counts, too.
        if bytes + rows * 16 > self.allowance(spec, context) {
            self.partitioned.store(true, Ordering::Relaxed);
        }
    }
}

/// One lane of the build side.
pub struct BuildLane {
    spec: Arc<Spec>,
    context: Arc<QueryContext>,
    progress: Arc<BuildProgress>,
    radix: Radix,
    /// Small batches, not in the store yet.
    gathered: Vec<RecordBatch>,
    gathered_rows: usize,
    gathered_bytes: usize,
    kept: Vec<Handle>,
    loners: Vec<Handle>,
    writer: Option<PartitionWriter>,
    facts: SideFacts,
    /// Of each key that is an integer, where they are of use.
    bounds: Vec<Option<WordBounds>>,
    hashes: Vec<u64>,
}

/// What a lane leaves.
pub struct BuildPart {
    pub(super) kept: Vec<Handle>,
    /// Rows with a NULL key that may still come out.
    pub(super) loners: Vec<Handle>,
    pub(super) partitions: Partitions,
    pub(super) facts: SideFacts,
    /// Of each key that is an integer.
    pub(super) bounds: Vec<Option<WordBounds>>,
}

impl BuildLane {
    pub(super) fn new(spec: Arc<Spec>, context: Arc<QueryContext>, progress: Arc<BuildProgress>) -> Self {
        BuildLane {
            radix: progress.radix(&context),
            spec,
            context,
            progress,
            gathered: Vec::new(),
            gathered_rows: 0,
            gathered_bytes: 0,
            kept: Vec::new(),
            loners: Vec::new(),
            writer: None,
            facts: SideFacts::default(),
            bounds: Vec::new(),
            hashes: Vec::new(),
        }
    }

    /// Sets the rows with a NULL key apart: they match nothing. Gives the others.
    fn part_loners(&mut self, columns: Vec<ArrayRef>, keys: Vec<ArrayRef>) -> Result<(Vec<ArrayRef>, Vec<ArrayRef>)> {
        let valid = if self.spec.null_equal { None } else { valid_keys(&keys) };
        let Some(valid) = valid else { return Ok((columns, keys)) };
        self.facts.null = true;
        if self.spec.shape.keeps_unmatched_build() {
            let batch = self.spec.build.to_stored(&columns)?;
            let null = BooleanArray::new(!valid.inner(), None);
            let batch = filter_record_batch(&batch, &null)?;
            self.loners.push(self.context.store.put(batch, UseOrder(u32::MAX))?);
        }
        let valid = BooleanArray::new(valid.inner().clone(), None);
        let keep = |columns: Vec<ArrayRef>| -> Result<Vec<ArrayRef>> {
            columns.iter().map(|column| Ok(filter(column, &valid)?)).collect()
        };
        Ok((keep(columns)?, keep(keys)?))
    }

    fn note_bounds(&mut self, keys: &[ArrayRef]) -> Result<()> {
        let is_direct = matches!(self.spec.form, KeyForm::Integer);
        self.bounds.resize(keys.len(), None);
        for ((key, bounds), filter) in keys.iter().zip(&mut self.bounds).zip(&self.spec.filters) {
            if is_direct || filter.is_some() {
                *bounds = match (*bounds, WordBounds::of(key)?) {
                    (Some(before), Some(more)) => Some(before.union(more)),
                    (before, more) => before.or(more),
                };
            }
        }
        Ok(())
    }

    fn gather(&mut self, batch: RecordBatch) -> Result<()> {
        let rows = batch.num_rows();
        let bytes = batch_bytes(&batch);
        if rows >= CHUNK_ROWS / 2 || bytes >= GATHERED_BYTES {
            return self.keep(batch);
        }
        if self.gathered_rows + rows > CHUNK_ROWS || self.gathered_bytes + bytes > GATHERED_BYTES {
            self.keep_gathered()?;
        }
        self.gathered_rows += rows;
        self.gathered_bytes += bytes;
        self.gathered.push(batch);
        Ok(())
    }

    fn keep_gathered(&mut self) -> Result<()> {
        let batches = std::mem::take(&mut self.gathered);
        (self.gathered_rows, self.gathered_bytes) = (0, 0);
        match batches.as_slice() {
            [] => Ok(()),
            [batch] => self.keep(batch.clone()),
            _ => self.keep(concat_batches(&self.spec.build.stored, &batches)?),
        }
    }

    fn keep(&mut self, batch: RecordBatch) -> Result<()> {
        for start in (0..batch.num_rows()).step_by(CHUNK_ROWS) {
            let piece = batch.slice(start, CHUNK_ROWS.min(batch.num_rows() - start));
            let handle = self.context.store.put(piece, UseOrder::default())?;
            self.progress.add(&handle, &self.spec, &self.context);
            self.kept.push(handle);
        }
        Ok(())
    }

    fn spread(&mut self, columns: &[ArrayRef], keys: &[ArrayRef]) -> Result<()> {
        let rows = columns.first().map_or(0, |column| column.len());
        self.spec.hash(keys, rows, &mut self.hashes)?;
        self.writer_mut()?;
        let Some(writer) = &mut self.writer else { return Err(Error::internal("a partition writer that is gone")) };
        for start in (0..rows).step_by(CHUNK_ROWS) {
            let length = CHUNK_ROWS.min(rows - start);
            let columns: Vec<ArrayRef> = columns.iter().map(|column| column.slice(start, length)).collect();
            writer.push(&columns, &self.hashes[start..start + length])?;
        }
        Ok(())
    }

    fn writer_mut(&mut self) -> Result<()> {
        if self.writer.is_none() {
            self.writer = Some(PartitionWriter::new(&self.context, &self.spec.build.stored, self.radix, 0)?);
        }
        Ok(())
    }

    /// Spreads over partitions what was kept so far.
    fn spread_kept(&mut self) -> Result<()> {
        self.keep_gathered()?;
        for handle in std::mem::take(&mut self.kept) {
            let batch = self.context.store.take(handle)?;
            let keys = self.spec.build.keys(batch.columns())?;
            self.spread(batch.columns(), &keys)?;
        }
        Ok(())
    }
}

impl SinkWork for BuildLane {
    type Part = BuildPart;

    fn push(&mut self, _split: usize, batch: RecordBatch) -> Result<Flow> {
        if batch.num_rows() == 0 {
            return Ok(Flow::More);
        }
        self.facts.any = true;
        let columns = self.spec.build.arrange(&batch)?;
        let keys = self.spec.build.keys(&columns)?;
        let (columns, keys) = self.part_loners(columns, keys)?;
        let rows = columns.first().map_or(0, |column| column.len());
        if rows == 0 {
            return Ok(Flow::More);
        }
        self.note_bounds(&keys)?;
        if self.progress.is_partitioned() {
            self.spread_kept()?;
            self.spread(&columns, &keys)?;
        } else {
            self.gather(self.spec.build.to_stored(&columns)?)?;
        }
        Ok(Flow::More)
    }

    fn finish(mut self) -> Result<BuildPart> {
        if self.progress.is_partitioned() {
            self.spread_kept()?;
        } else {
            self.keep_gathered()?;
        }
        let partitions = self.writer.map_or(Ok(Partitions::default()), PartitionWriter::finish)?;
        Ok(BuildPart { kept: self.kept, loners: self.loners, partitions, facts: self.facts, bounds: self.bounds })
    }
}
