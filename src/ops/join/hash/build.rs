//! The end of the build side: what stays in memory is decided, and the table is filled by all workers.
//!
//! Three pipelines. The first collects the rows; its `combine` decides which of them become the table: all where they
//! fit, else as many partitions as do. Its output is one split for some chunks of the table each, and reading a split
//! fills them. The second pipeline does only that; its output is of the same kind where the index wants a second look
//! at every chunk. The third one's `combine` hands the table to the probe side.

use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use parking_lot::Mutex;

use super::filters::FilterBuilder;
use super::keys::WordBounds;
use super::lane::{BuildLane, BuildPart, BuildProgress};
use super::probe::SideFacts;
use super::share::JoinShare;
use super::spec::Spec;
use super::table::{Table, TableBuilder, TablePlan};
use crate::batch::{MemorySource, Source, SourceRef, Split};
use crate::error::{Error, Result};
use crate::memory::Reservation;
use crate::ops::partition::{PartitionWriter, Partitions, Radix};
use crate::ops::{Flow, Sink, SinkWork};
use crate::store::{Handle, QueryContext};

/// Chunks of a table that one task fills.
const CHUNKS_PER_SPLIT: usize = 8;

/// What the build side leaves for the probe side.
pub(super) struct BuildState {
    /// Rows in memory: all, or those of the first `resident` partitions.
    pub(super) table: Table,
    pub(super) resident: usize,
    /// What chose the partitions.
    pub(super) radix: Radix,
    /// The build rows of the partitions that are not in the table. Taken by the one that joins them, after all probing.
    pub(super) away: Mutex<Vec<Vec<Handle>>>,
    /// Rows with a NULL key that may still come out; taken as `away`.
    pub(super) loners: Mutex<Vec<Handle>>,
    pub(super) facts: SideFacts,
    share: Arc<JoinShare>,
    pinned: usize,
}

impl Drop for BuildState {
    fn drop(&mut self) {
        self.share.unpin(self.pinned);
    }
}

/// The way from the build side to the probe side. A lock, not a cell, because the last reader takes the state out, so
/// that its memory is free as soon as this join is done.
pub(super) type Slot = Arc<Mutex<Option<Arc<BuildState>>>>;

/// A table being filled, and what goes on with it.
struct Filling {
    builder: Arc<TableBuilder>,
    filters: Arc<FilterBuilder>,
    /// Holds the table's bytes.
    reservation: Reservation,
    resident: usize,
    radix: Radix,
    away: Vec<Vec<Handle>>,
    loners: Vec<Handle>,
    facts: SideFacts,
    pinned: usize,
}

/// From the first pipeline's end to the second's. A lock because the sinks are shared; each side takes it once.
type FillingSlot = Arc<Mutex<Option<Filling>>>;

/// The sink of the build side's rows.
pub struct BuildSink {
    spec: Arc<Spec>,
    progress: Arc<BuildProgress>,
    filling: FillingSlot,
}

/// The sink of the pipeline that fills the table; no rows reach it.
pub struct FillSink {
    spec: Arc<Spec>,
    filling: FillingSlot,
}

/// The sink of the pipeline that takes the second look; no rows reach it.
pub struct TableSink {
    spec: Arc<Spec>,
    progress: Arc<BuildProgress>,
    filling: FillingSlot,
    slot: Slot,
}

/// The sinks of a build side, in the order of their pipelines.
pub(super) fn sinks(spec: Arc<Spec>, share: Arc<JoinShare>, slot: Slot) -> (BuildSink, FillSink, TableSink) {
    share.announce();
    let progress = Arc::new(BuildProgress::new(share, spec.knobs.partitioned));
    let filling = FillingSlot::default();
    let build = BuildSink { spec: spec.clone(), progress: progress.clone(), filling: filling.clone() };
    let fill = FillSink { spec: spec.clone(), filling: filling.clone() };
    (build, fill, TableSink { spec, progress, filling, slot })
}

impl Sink for BuildSink {
    type Work = BuildLane;
    type Part = BuildPart;

    fn name(&self) -> &'static str {
        "HashJoinBuild"
    }

    fn describe(&self) -> String {
        self.spec.description.clone()
    }

    fn schema(&self) -> SchemaRef {
        no_columns()
    }

    fn open(&self, context: &Arc<QueryContext>) -> Result<BuildLane> {
        Ok(BuildLane::new(self.spec.clone(), context.clone(), self.progress.clone()))
    }

    fn combine(&self, context: &Arc<QueryContext>, parts: Vec<BuildPart>) -> Result<SourceRef> {
        let mut collected = Collected::default();
        parts.into_iter().for_each(|part| collected.add(part));
        let filling = collected.decide(&self.spec, context, &self.progress)?;
        let chunks = filling.builder.chunk_count();
        let source = FillingSource { builder: filling.builder.clone(), filters: Some(filling.filters.clone()), chunks };
        *self.filling.lock() = Some(filling);
        Ok(Arc::new(source))
    }
}

/// All lanes' rows.
#[derive(Default)]
struct Collected {
    kept: Vec<Handle>,
    partitions: Partitions,
    loners: Vec<Handle>,
    facts: SideFacts,
    /// Of each key that is an integer.
    bounds: Vec<Option<WordBounds>>,
}

impl Collected {
    fn add(&mut self, part: BuildPart) {
        self.kept.extend(part.kept);
        self.partitions.append(part.partitions);
        self.loners.extend(part.loners);
        self.facts.any |= part.facts.any;
        self.facts.null |= part.facts.null;
        self.bounds.resize(part.bounds.len(), None);
        for (mine, theirs) in self.bounds.iter_mut().zip(part.bounds) {
            *mine = match (*mine, theirs) {
                (Some(mine), Some(theirs)) => Some(mine.union(theirs)),
                (mine, theirs) => mine.or(theirs),
            };
        }
    }

    /// Chooses what is in memory and reserves for it.
    fn decide(mut self, spec: &Arc<Spec>, context: &Arc<QueryContext>, progress: &BuildProgress) -> Result<Filling> {
        let radix = progress.radix(context);
        let share = &progress.share;
        let allowance = progress.allowance(spec, context);
        if self.partitions.handles.is_empty() {
            let held: usize = self.kept.iter().map(Handle::bytes).sum();
            match reserve(
                spec,
                context,
                std::mem::take(&mut self.kept),
                self.bounds.first().copied().flatten(),
                allowance,
            )? {
                Ok(reserved) => return self.filling(spec, context, reserved, 1, Radix::WHOLE, Vec::new(), held, share),
                Err(handles) => self.partitions = spread(spec, context, handles, radix)?,
            }
        } else if !self.kept.is_empty() {
            self.partitions.append(spread(spec, context, std::mem::take(&mut self.kept), radix)?);
        }
        let mut away = std::mem::take(&mut self.partitions.handles);
        let mut resident = fitting(&away, allowance);
        loop {
            let held: usize = away.iter().take(resident).flatten().map(Handle::bytes).sum();
            let sizes: Vec<usize> = away.iter().take(resident).map(Vec::len).collect();
            let handles: Vec<Handle> = away.iter_mut().take(resident).flat_map(std::mem::take).collect();
            match reserve(spec, context, handles, self.bounds.first().copied().flatten(), allowance.max(1))? {
                Ok(reserved) => return self.filling(spec, context, reserved, resident, radix, away, held, share),
                Err(handles) => {
                    let mut handles = handles.into_iter();
                    for (partition, size) in away.iter_mut().zip(sizes) {
                        partition.extend(handles.by_ref().take(size));
                    }
                    resident /= 2;
                }
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one value, all named like its fields")]
    fn filling(
        self,
        spec: &Arc<Spec>,
        context: &Arc<QueryContext>,
        reserved: Reserved,
        resident: usize,
        radix: Radix,
        away: Vec<Vec<Handle>>,
        held: usize,
        share: &JoinShare,
    ) -> Result<Filling> {
        let pinned = held + reserved.plan.bytes();
        share.pin(pinned);
        let is_whole = away.is_empty();
        let rows = reserved.plan.rows();
        let rows = rows + away.iter().flatten().map(Handle::rows).sum::<usize>();
        let filters = Arc::new(FilterBuilder::new(spec, context, is_whole, rows, &self.bounds)?);
        let builder = Arc::new(TableBuilder::new(spec.clone(), context.clone(), reserved.plan)?);
        let Collected { loners, facts, .. } = self;
        let reservation = reserved.reservation;
        Ok(Filling { builder, filters, reservation, resident, radix, away, loners, facts, pinned })
    }
}

/// A table with room for it.
struct Reserved {
    plan: TablePlan,
    reservation: Reservation,
}

/// Room for a table over `handles`; gives them back where it would take more than `allowance` or there is none.
fn reserve(
    spec: &Spec,
    context: &QueryContext,
    handles: Vec<Handle>,
    bounds: Option<WordBounds>,
    allowance: usize,
) -> Result<std::result::Result<Reserved, Vec<Handle>>> {
    let held: usize = handles.iter().map(Handle::bytes).sum();
    let is_empty = handles.is_empty();
    let plan = TablePlan::new(spec, handles, bounds);
    let plan = match plan {
        Ok(plan) => plan,
        Err(handles) => return Ok(Err(handles)),
    };
    let mut reservation = context.budget.reservation("HashJoin");
    if is_empty {
        reservation.grow(plan.bytes())?;
    } else if held + plan.bytes() > allowance || !reservation.try_grow(plan.bytes()) {
        return Ok(Err(plan.into_handles()));
    }
    Ok(Ok(Reserved { plan, reservation }))
}

/// How many partitions, from the first on, fit into `allowance` with their index.
fn fitting(partitions: &[Vec<Handle>], allowance: usize) -> usize {
    let mut left = allowance;
    let fits = |partition: &&Vec<Handle>| {
        let bytes: usize = partition.iter().map(|handle| handle.bytes() + handle.rows() * 24).sum();
        left = left.saturating_sub(bytes);
        left > 0
    };
    partitions.iter().take_while(fits).count()
}

fn spread(spec: &Spec, context: &Arc<QueryContext>, handles: Vec<Handle>, radix: Radix) -> Result<Partitions> {
    let mut writer = PartitionWriter::new(context, &spec.build.stored, radix, 0)?;
    super::rest::spread_into(&mut writer, spec, &spec.build, context, handles)?;
    writer.finish()
}

/// The chunks of a table, as splits that give no rows: reading one fills its chunks, or looks at them again.
struct FillingSource {
    builder: Arc<TableBuilder>,
    /// `None` for the second look.
    filters: Option<Arc<FilterBuilder>>,
    chunks: usize,
}

impl Source for FillingSource {
    fn describe(&self) -> String {
        "chunks of a join table".to_owned()
    }

    fn schema(&self) -> SchemaRef {
        no_columns()
    }

    fn split_count(&self) -> usize {
        self.chunks.div_ceil(CHUNKS_PER_SPLIT)
    }

    fn open(&self, index: usize) -> Result<Box<dyn Split>> {
        let first = index * CHUNKS_PER_SPLIT;
        let chunks = first..self.chunks.min(first + CHUNKS_PER_SPLIT);
        Ok(Box::new(FillingSplit { builder: self.builder.clone(), filters: self.filters.clone(), chunks }))
    }
}

struct FillingSplit {
    builder: Arc<TableBuilder>,
    filters: Option<Arc<FilterBuilder>>,
    chunks: Range<usize>,
}

impl Split for FillingSplit {
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        for chunk in self.chunks.by_ref() {
            match &self.filters {
                Some(filters) => filters.add(&self.builder.insert(chunk)?)?,
                None => self.builder.place(chunk)?,
            }
        }
        Ok(None)
    }
}

impl Sink for FillSink {
    type Work = NoRows;
    type Part = ();

    fn name(&self) -> &'static str {
        "HashJoinFill"
    }

    fn describe(&self) -> String {
        self.spec.description.clone()
    }

    fn schema(&self) -> SchemaRef {
        no_columns()
    }

    fn open(&self, _context: &Arc<QueryContext>) -> Result<NoRows> {
        Ok(NoRows)
    }

    fn combine(&self, _context: &Arc<QueryContext>, _parts: Vec<()>) -> Result<SourceRef> {
        let filling = self.filling.lock();
        let filling = filling.as_ref().ok_or_else(|| Error::internal("a join table that nobody began"))?;
        let builder = filling.builder.clone();
        let chunks = if builder.seal()? { builder.chunk_count() } else { 0 };
        Ok(Arc::new(FillingSource { builder, filters: None, chunks }))
    }
}

impl Sink for TableSink {
    type Work = NoRows;
    type Part = ();

    fn name(&self) -> &'static str {
        "HashJoinTable"
    }

    fn describe(&self) -> String {
        self.spec.description.clone()
    }

    fn schema(&self) -> SchemaRef {
        no_columns()
    }

    fn open(&self, _context: &Arc<QueryContext>) -> Result<NoRows> {
        Ok(NoRows)
    }

    fn combine(&self, _context: &Arc<QueryContext>, _parts: Vec<()>) -> Result<SourceRef> {
        let filling = self.filling.lock().take();
        let filling = filling.ok_or_else(|| Error::internal("a join table that nobody began"))?;
        filling.filters.publish();
        *self.slot.lock() = Some(Arc::new(BuildState {
            table: Table::new(filling.builder, filling.reservation)?,
            resident: filling.resident,
            radix: filling.radix,
            away: Mutex::new(filling.away),
            loners: Mutex::new(filling.loners),
            facts: filling.facts,
            share: self.progress.share.clone(),
            pinned: filling.pinned,
        }));
        Ok(Arc::new(MemorySource::new(no_columns(), Vec::new())))
    }
}

/// A lane that gets no rows.
pub struct NoRows;

impl SinkWork for NoRows {
    type Part = ();

    fn push(&mut self, _split: usize, _batch: RecordBatch) -> Result<Flow> {
        Ok(Flow::More)
    }

    fn finish(self) -> Result<()> {
        Ok(())
    }
}

fn no_columns() -> SchemaRef {
    Arc::new(arrow::datatypes::Schema::empty())
}
