//! What a join gives after all probing: build rows by whether they matched, and the partitions that were not in memory.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use parking_lot::Mutex;

use super::build::BuildState;
use super::gather::RowList;
use super::output::{BuildRows, ProbeRows, assemble};
use super::pairwise::{PairwiseSplit, PartitionPair};
use super::probe::{SideFacts, marks};
use super::spec::{Keep, Shape, SideLayout, Spec};
use super::table::Table;
use crate::batch::{Source, Split};
use crate::error::{Error, Result};
use crate::ops::partition::PartitionWriter;
use crate::store::{Handle, QueryContext};

/// Chunks of the table whose rows are one split.
const CHUNKS_PER_SPLIT: usize = 16;
/// Rows that go to a partition writer at once.
const ROWS_AT_ONCE: usize = 1 << 13;

/// The rest of a join.
pub(super) struct JoinRest {
    spec: Arc<Spec>,
    context: Arc<QueryContext>,
    state: Arc<BuildState>,
    probe: SideFacts,
    /// Each taken once, by the task that reads it.
    pieces: Vec<Mutex<Option<Piece>>>,
}

enum Piece {
    Chunks(Range<usize>),
    Loners(Vec<Handle>),
    Pair(PartitionPair),
}

impl JoinRest {
    /// `away` are the probe rows by partition; `probe` is known of all of them.
    pub(super) fn new(
        spec: Arc<Spec>,
        context: Arc<QueryContext>,
        state: Arc<BuildState>,
        probe: SideFacts,
        away: Vec<Vec<Handle>>,
    ) -> Self {
        let mut pieces = Vec::new();
        if spec.shape.tracks_build() {
            let chunks = state.table.chunk_count();
            let starts = (0..chunks).step_by(CHUNKS_PER_SPLIT);
            pieces.extend(starts.map(|start| Piece::Chunks(start..chunks.min(start + CHUNKS_PER_SPLIT))));
        }
        let loners = std::mem::take(&mut *state.loners.lock());
        if !loners.is_empty() {
            pieces.push(Piece::Loners(loners));
        }
        let builds = std::mem::take(&mut *state.away.lock());
        let mut probes = away.into_iter();
        for (partition, build) in builds.into_iter().enumerate() {
            let probe = probes.next().unwrap_or_default();
            if partition >= state.resident && !(build.is_empty() && probe.is_empty()) {
                pieces.push(Piece::Pair(PartitionPair::new(build, probe, state.radix)));
            }
        }
        JoinRest {
            spec,
            context,
            state,
            probe,
            pieces: pieces.into_iter().map(|piece| Mutex::new(Some(piece))).collect(),
        }
    }
}

impl Source for JoinRest {
    fn describe(&self) -> String {
        "the rest of a join".to_owned()
    }

    fn schema(&self) -> SchemaRef {
        self.spec.schema.clone()
    }

    fn split_count(&self) -> usize {
        self.pieces.len()
    }

    fn open(&self, index: usize) -> Result<Box<dyn Split>> {
        let piece = self.pieces.get(index).and_then(|piece| piece.lock().take());
        let piece = piece.ok_or_else(|| Error::internal(format!("piece {index} of a join was read twice")))?;
        let (spec, context) = (self.spec.clone(), self.context.clone());
        Ok(match piece {
            Piece::Chunks(chunks) => Box::new(ChunksSplit {
                state: self.state.clone(),
                rows: BuildRowsCursor::new(spec, context, self.probe, chunks),
            }),
            Piece::Loners(loners) => Box::new(LonersSplit {
                spec,
                context,
                probe: self.probe,
                waiting: loners.into(),
                ready: VecDeque::new(),
            }),
            Piece::Pair(pair) => Box::new(PairwiseSplit::new(spec, context, self.state.facts, self.probe, pair)),
        })
    }
}

struct ChunksSplit {
    state: Arc<BuildState>,
    rows: BuildRowsCursor,
}

impl Split for ChunksSplit {
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        self.rows.next(&self.state.table)
    }
}

/// Goes through rows of a table that come out by whether they matched.
pub(super) struct BuildRowsCursor {
    spec: Arc<Spec>,
    context: Arc<QueryContext>,
    probe: SideFacts,
    chunks: Range<usize>,
    current: Range<u32>,
    rows: Vec<u32>,
}

impl BuildRowsCursor {
    /// The rows of `chunks`; `probe` is known of all probe rows.
    pub(super) fn new(spec: Arc<Spec>, context: Arc<QueryContext>, probe: SideFacts, chunks: Range<usize>) -> Self {
        BuildRowsCursor { spec, context, probe, chunks, current: 0..0, rows: Vec::new() }
    }

    /// The next batch of them.
    pub(super) fn next(&mut self, table: &Table) -> Result<Option<RecordBatch>> {
        let keep = match self.spec.shape {
            Shape::Pairs { build_outer: true, .. } => Keep::Unmatched,
            Shape::Build(keep) => keep,
            _ => return Ok(None),
        };
        if keep == Keep::Unmatched && self.spec.null_aware && self.probe.null {
            return Ok(None);
        }
        self.rows.clear();
        let most = self.context.batch_size.max(1);
        while self.rows.len() < most {
            let Some(row) = self.current.next() else {
                self.context.cancel.check()?;
                let Some(chunk) = self.chunks.next() else { break };
                self.current = table.chunk_rows(chunk);
                continue;
            };
            if keep == Keep::Marked || table.is_marked(row) == (keep == Keep::Matched) {
                self.rows.push(row);
            }
        }
        if self.rows.is_empty() {
            return Ok(None);
        }
        let mark = (keep == Keep::Marked).then(|| {
            let matched = BooleanBuffer::collect_bool(self.rows.len(), |index| table.is_marked(self.rows[index]));
            marks(matched, None, self.spec.null_aware, self.probe)
        });
        let list = RowList { rows: &self.rows, optional: false };
        assemble(&self.spec, self.rows.len(), ProbeRows::None, BuildRows::Table(table, list), mark.as_ref()).map(Some)
    }
}

/// Build rows with a NULL key: they matched nothing.
struct LonersSplit {
    spec: Arc<Spec>,
    context: Arc<QueryContext>,
    probe: SideFacts,
    waiting: VecDeque<Handle>,
    ready: VecDeque<RecordBatch>,
}

impl LonersSplit {
    fn answer(&self, batch: &RecordBatch) -> Result<Option<RecordBatch>> {
        let rows = batch.num_rows();
        let mark = match self.spec.shape {
            Shape::Build(Keep::Unmatched) if self.spec.null_aware && self.probe.any => return Ok(None),
            Shape::Build(Keep::Marked) => {
                let unknown = self.spec.null_aware && self.probe.any;
                let nulls = unknown.then(|| NullBuffer::new_null(rows));
                Some(BooleanArray::new(BooleanBuffer::new_unset(rows), nulls))
            }
            _ => None,
        };
        let columns: Vec<ArrayRef> = batch.columns().to_vec();
        assemble(&self.spec, rows, ProbeRows::None, BuildRows::Stored(&columns), mark.as_ref()).map(Some)
    }
}

impl Split for LonersSplit {
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Ok(Some(batch));
            }
            self.context.cancel.check()?;
            let Some(handle) = self.waiting.pop_front() else { return Ok(None) };
            let batch = self.context.store.take(handle)?;
            if let Some(batch) = self.answer(&batch)? {
                let step = self.context.batch_size.max(1);
                let starts = (0..batch.num_rows()).step_by(step);
                self.ready = starts.map(|start| batch.slice(start, step.min(batch.num_rows() - start))).collect();
            }
        }
    }
}

/// Spreads the stored rows of one side over `writer`'s partitions.
pub(super) fn spread_into(
    writer: &mut PartitionWriter,
    spec: &Spec,
    layout: &SideLayout,
    context: &QueryContext,
    handles: impl IntoIterator<Item = Handle>,
) -> Result<()> {
    let mut hashes = Vec::new();
    for handle in handles {
        let batch = context.store.take(handle)?;
        let rows = batch.num_rows();
        spec.hash(&layout.keys(batch.columns())?, rows, &mut hashes)?;
        for start in (0..rows).step_by(ROWS_AT_ONCE) {
            let piece = batch.slice(start, ROWS_AT_ONCE.min(rows - start));
            writer.push(piece.columns(), &hashes[start..start + piece.num_rows()])?;
        }
    }
    Ok(())
}
