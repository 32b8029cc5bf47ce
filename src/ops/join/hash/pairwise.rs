//! A partition that was not in memory while the probe side streamed: its build rows with its probe rows.
//!
//! Where the build rows do not fit either, both sides are cut again. Where that does not help
//! (one key has too many rows), the build rows come block by block, and each block sees all probe rows; which of them
//! matched is remembered between the blocks.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::buffer::BooleanBuffer;
use arrow::record_batch::RecordBatch;

use super::probe::{Pass, ProbeBatch, Prober, SideFacts};
use super::rest::{BuildRowsCursor, spread_into};
use super::spec::{Shape, Spec};
use super::table::{Table, TableBuilder, TablePlan};
use crate::batch::Split;
use crate::error::{Error, Result};
use crate::memory::Reservation;
use crate::ops::partition::{PartitionWriter, Radix};
use crate::store::{Handle, QueryContext};

/// A partition that does not fit is cut into so many.
const CUT_AGAIN: usize = 8;
/// Probe batches read ahead.
const READ_AHEAD: usize = 4;

/// Both sides' rows of one partition.
pub(super) struct PartitionPair {
    build: Vec<Handle>,
    probe: Vec<Handle>,
    /// The last cut that its rows went through.
    radix: Radix,
    /// Cutting it again would not help.
    is_stuck: bool,
}

impl PartitionPair {
    pub(super) fn new(build: Vec<Handle>, probe: Vec<Handle>, radix: Radix) -> Self {
        PartitionPair { build, probe, radix, is_stuck: false }
    }
}

/// Joins one partition.
pub(super) struct PairwiseSplit {
    spec: Arc<Spec>,
    context: Arc<QueryContext>,
    build: SideFacts,
    probe: SideFacts,
    /// Still to do; one that does not fit leaves several.
    waiting: Vec<PartitionPair>,
    current: Option<Block>,
}

/// Some build rows in memory, and the probe rows that they have not seen yet.
struct Block {
    table: Table,
    prober: Prober,
    unmatched: BuildRowsCursor,
    probe: ProbeRowsOf,
    /// Build rows of the same partition that come after these.
    later: VecDeque<Handle>,
}

/// The probe rows of a partition.
enum ProbeRowsOf {
    /// Seen once.
    Once(VecDeque<Handle>),
    /// Seen by each block of build rows.
    Often {
        handles: Vec<Handle>,
        next: usize,
        matched: Vec<Option<BooleanBuffer>>,
        remembers: bool,
        _held: Reservation,
    },
}

impl PairwiseSplit {
    /// `build` and `probe` are known of the whole sides.
    pub(super) fn new(
        spec: Arc<Spec>,
        context: Arc<QueryContext>,
        build: SideFacts,
        probe: SideFacts,
        pair: PartitionPair,
    ) -> Self {
        PairwiseSplit { spec, context, build, probe, waiting: vec![pair], current: None }
    }

    /// Bytes that one partition's table may take: tables are made by all workers at once.
    fn allowance(&self) -> usize {
        let by_limit = self.context.budget.effective_limit() / 2 / self.context.threads.max(1);
        self.spec.knobs.allowance.unwrap_or(by_limit)
    }

    fn start(&mut self, pair: PartitionPair) -> Result<()> {
        let PartitionPair { build, probe, radix, is_stuck } = pair;
        let cut = radix.again(CUT_AGAIN).filter(|_| !is_stuck && build.len() > 1);
        let nothing = build.is_empty() && !self.spec.shape.keeps_unmatched_probe()
            || probe.is_empty() && !self.spec.shape.keeps_unmatched_build();
        if nothing {
            return Ok(());
        }
        self.context.store.prefetch(&build);
        match self.table(build, false)? {
            Ok(table) => {
                let probe = ProbeRowsOf::Once(probe.into());
                self.current = Some(self.block(table, probe, VecDeque::new()));
            }
            Err(build) => match cut {
                Some(radix) => self.cut(build, probe, radix)?,
                None => {
                    let probe = self.often(probe)?;
                    self.current = self.next_block(build.into(), probe)?;
                }
            },
        }
        Ok(())
    }

    /// A table over `handles`; the handles again where there is no room, unless it must be.
    fn table(&self, handles: Vec<Handle>, must: bool) -> Result<std::result::Result<Table, Vec<Handle>>> {
        let held: usize = handles.iter().map(Handle::bytes).sum();
        let plan = match TablePlan::new(&self.spec, handles, None) {
            Ok(plan) => plan,
            Err(handles) => return Ok(Err(handles)),
        };
        let mut reservation = self.context.budget.reservation("HashJoin");
        if must {
            reservation.grow(plan.bytes())?;
        } else if held + plan.bytes() > self.allowance() || !reservation.try_grow(held + plan.bytes()) {
            return Ok(Err(plan.into_handles()));
        } else {
            // The store counts the batches themselves when they are loaded.
            reservation.shrink(held);
        }
        let builder = TableBuilder::new(self.spec.clone(), self.context.clone(), plan)?;
        for chunk in 0..builder.chunk_count() {
            builder.insert(chunk)?;
        }
        if builder.seal()? {
            (0..builder.chunk_count()).try_for_each(|chunk| builder.place(chunk))?;
        }
        Ok(Ok(Table::new(Arc::new(builder), reservation)?))
    }

    fn block(&self, table: Table, probe: ProbeRowsOf, later: VecDeque<Handle>) -> Block {
        let prober = Prober::new(self.spec.clone(), self.context.clone(), self.build);
        let chunks = 0..table.chunk_count();
        let unmatched = BuildRowsCursor::new(self.spec.clone(), self.context.clone(), self.probe, chunks);
        Block { table, prober, unmatched, probe, later }
    }

    /// As many of `handles` as fit, at least one, as a table over which `probe` passes again.
    fn next_block(&self, mut handles: VecDeque<Handle>, probe: ProbeRowsOf) -> Result<Option<Block>> {
        let mut block = Vec::new();
        let mut bytes = 0;
        while let Some(handle) = handles.pop_front() {
            bytes += 2 * handle.bytes() + handle.rows() * 40;
            block.push(handle);
            if bytes > self.allowance() / 2 {
                break;
            }
        }
        match self.table(block, true)? {
            Ok(table) => Ok(Some(self.block(table, probe, handles))),
            Err(_) => Err(Error::internal("a block of build rows that is too large")),
        }
    }

    fn often(&self, handles: Vec<Handle>) -> Result<ProbeRowsOf> {
        let remembers = !matches!(self.spec.shape, Shape::Build(_) | Shape::Pairs { probe_outer: false, .. });
        let mut held = self.context.budget.reservation("HashJoin");
        if remembers {
            held.grow(handles.iter().map(|handle| handle.rows() / 8 + 64).sum())?;
        }
        let matched = vec![None; handles.len()];
        Ok(ProbeRowsOf::Often { handles, next: 0, matched, remembers, _held: held })
    }

    /// Cuts a partition into those of `radix`.
    fn cut(&mut self, build: Vec<Handle>, probe: Vec<Handle>, radix: Radix) -> Result<()> {
        let rows: usize = build.iter().map(Handle::rows).sum();
        let cut = |layout: &super::spec::SideLayout, handles: Vec<Handle>| {
            let mut writer = PartitionWriter::new(&self.context, &layout.stored, radix, 0)?;
            spread_into(&mut writer, &self.spec, layout, &self.context, handles)?;
            writer.finish()
        };
        let builds = cut(&self.spec.build, build)?.handles;
        let probes = cut(&self.spec.probe, probe)?.handles;
        for (build, probe) in builds.into_iter().zip(probes).rev() {
            let is_stuck = build.iter().map(Handle::rows).sum::<usize>() > rows / 4 * 3;
            self.waiting.push(PartitionPair { build, probe, radix, is_stuck });
        }
        Ok(())
    }

    /// The next output of the current block; `None` when it is through with its probe rows.
    fn advance(&mut self) -> Result<Option<RecordBatch>> {
        let Some(block) = &mut self.current else { return Ok(None) };
        loop {
            if let Some(batch) = block.prober.next(&block.table)? {
                return Ok(Some(batch));
            }
            block.probe.remember(&mut block.prober);
            self.context.cancel.check()?;
            match block.probe.next(&self.spec, &self.context, !block.later.is_empty())? {
                Some((batch, pass)) => block.prober.begin(&block.table, batch, None, pass)?,
                None => return block.unmatched.next(&block.table),
            }
        }
    }
}

impl ProbeRowsOf {
    /// The next batch for this block; `more` blocks follow.
    fn next(&mut self, spec: &Spec, context: &QueryContext, more: bool) -> Result<Option<(ProbeBatch, Pass)>> {
        let (batch, pass) = match self {
            ProbeRowsOf::Once(handles) => {
                let Some(handle) = handles.pop_front() else { return Ok(None) };
                context.store.prefetch(handles.iter().take(READ_AHEAD));
                (context.store.take(handle)?, Pass::default())
            }
            ProbeRowsOf::Often { handles, next, matched, .. } => {
                let Some(handle) = handles.get(*next) else { return Ok(None) };
                context.store.prefetch(handles.iter().skip(*next + 1).take(READ_AHEAD));
                let before = matched.get_mut(*next).and_then(Option::take);
                let before = before.map_or(Vec::new(), |bits| bits.iter().collect());
                *next += 1;
                (context.store.get(handle)?, Pass { matched: before, more })
            }
        };
        let columns = spec.probe.restore(&batch)?;
        Ok(Some((ProbeBatch::new(spec, columns, batch.num_rows())?, pass)))
    }

    /// Keeps what the prober found out about the batch it was given last.
    fn remember(&mut self, prober: &mut Prober) {
        if let ProbeRowsOf::Often { next, matched, remembers: true, .. } = self
            && let Some(place) = next.checked_sub(1).and_then(|last| matched.get_mut(last))
        {
            let bits = prober.take_matched();
            if !bits.is_empty() {
                *place = Some(BooleanBuffer::collect_bool(bits.len(), |row| bits[row]));
            }
        }
    }

    /// From the first batch again.
    fn rewind(&mut self) {
        if let ProbeRowsOf::Often { next, .. } = self {
            *next = 0;
        }
    }
}

impl Split for PairwiseSplit {
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            self.context.cancel.check()?;
            if let Some(batch) = self.advance()? {
                return Ok(Some(batch));
            }
            if let Some(Block { mut probe, later, table, .. }) = self.current.take()
                && !later.is_empty()
            {
                drop(table);
                probe.rewind();
                self.current = self.next_block(later, probe)?;
                continue;
            }
            let Some(pair) = self.waiting.pop() else { return Ok(None) };
            self.start(pair)?;
        }
    }
}
