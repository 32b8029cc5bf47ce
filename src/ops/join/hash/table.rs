//! The build side in memory: its rows in chunks, an index over their keys, and which rows were matched.
//!
//! Chunks are loaded and indexed by any thread, each once; after that the table is only read, but for the bits that
//! say which rows were matched. Rows stay in the batches that hold them, pinned in the store.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use arrow::array::{ArrayRef, BinaryArray};
use arrow::compute::concat_batches;
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use parking_lot::Mutex;

use super::gather::{ChunkedColumn, RowList};
use super::index::{Chains, DirectIndex, Duplicates, HashIndex, KeyIndex, WordKeys, hash_slot_bytes};
use super::index_sparse::SparseIndex;
use super::keys::{KeyForm, Keys, WordBounds};
use super::spec::{IndexKind, Spec};
use super::zeroed::zeroed_u64;
use crate::error::{Error, Result};
use crate::memory::Reservation;
use crate::store::{Handle, Loaded, QueryContext};

/// Rows that a chunk has at most when small batches are gathered in it.
pub(super) const CHUNK_ROWS: usize = 1 << 13;
/// Row numbers plus one are 32 bits wide.
const MOST_NUMBERS: usize = u32::MAX as usize;
/// Keys address slots where there are at most so many for each row, or few slots at all; bits, where there are at most
/// so many.
const SLOTS_PER_ROW: usize = 2;
const FEW_SLOTS: usize = 1 << 12;
const BITS_PER_ROW: usize = 64;
const FEW_BITS: usize = 1 << 16;

/// How the rows of a table will be found.
#[derive(Debug, Clone, Copy)]
enum IndexPlan {
    Direct { first: u64, range: usize },
    Sparse { first: u64, range: usize },
    Hash,
}

/// What is known of a table before it is made.
pub(super) struct TablePlan {
    /// The handles of each chunk's rows, in the build side's stored form; one, or several small ones.
    chunks: Vec<Vec<Handle>>,
    rows: usize,
    shift: u32,
    index: IndexPlan,
    /// Bytes beyond the handles' own.
    bytes: usize,
    chain_bytes: usize,
}

impl TablePlan {
    /// A table over the rows of `handles`; `bounds` of its keys where they are known integers. The handles
    /// again where there are more rows than it can number.
    pub(super) fn new(
        spec: &Spec,
        handles: Vec<Handle>,
        bounds: Option<WordBounds>,
    ) -> std::result::Result<Self, Vec<Handle>> {
        let rows: usize = handles.iter().map(Handle::rows).sum();
        let chunks = into_chunks(handles);
        let most = chunks.iter().map(|chunk| chunk_rows(chunk)).max().unwrap_or(0);
        let shift = most.max(1).next_power_of_two().trailing_zeros();
        let capacity = chunks.len() << shift;
        if capacity >= MOST_NUMBERS {
            return Err(chunks.into_iter().flatten().collect());
        }
        let index = plan_index(spec, rows, bounds);
        let copied: usize = chunks.iter().filter(|chunk| chunk.len() > 1).flatten().map(Handle::bytes).sum();
        let index_bytes = match index {
            IndexPlan::Direct { range, .. } => DirectIndex::bytes(range),
            IndexPlan::Sparse { range, .. } => SparseIndex::bytes(range, rows),
            IndexPlan::Hash => hash_slot_bytes(rows) + rows * Keys::bytes_per_row(&spec.form),
        };
        let chain_bytes = if spec.drops_duplicates() { 0 } else { Chains::bytes(capacity) };
        let matched = if spec.shape.tracks_build() { capacity / 8 + 8 } else { 0 };
        let bytes = copied + index_bytes + chain_bytes + matched + chunks.len() * 256;
        Ok(TablePlan { chunks, rows, shift, index, bytes, chain_bytes })
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes that the table takes beyond its handles'.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The handles again, where there was no room.
    pub(super) fn into_handles(self) -> Vec<Handle> {
        self.chunks.into_iter().flatten().collect()
    }
}

fn chunk_rows(chunk: &[Handle]) -> usize {
    chunk.iter().map(Handle::rows).sum()
}

/// Small batches share a chunk.
fn into_chunks(handles: Vec<Handle>) -> Vec<Vec<Handle>> {
    let mut chunks: Vec<Vec<Handle>> = Vec::new();
    let mut rows = usize::MAX;
    for handle in handles {
        let more = handle.rows();
        match chunks.last_mut() {
            Some(chunk) if rows.saturating_add(more) <= CHUNK_ROWS => {
                rows += more;
                chunk.push(handle);
            }
            _ => {
                rows = more;
                chunks.push(vec![handle]);
            }
        }
    }
    chunks
}

fn plan_index(spec: &Spec, rows: usize, bounds: Option<WordBounds>) -> IndexPlan {
    let (KeyForm::Integer, Some(bounds)) = (&spec.form, bounds) else { return IndexPlan::Hash };
    let first = bounds.least;
    let Ok(range) = usize::try_from(bounds.greatest.wrapping_sub(first)) else { return IndexPlan::Hash };
    let is_within = |per_row: usize, few: usize| range < rows.saturating_mul(per_row).max(few);
    let by_range = if is_within(SLOTS_PER_ROW, FEW_SLOTS) {
        IndexKind::Direct
    } else if is_within(BITS_PER_ROW, FEW_BITS) {
        IndexKind::Sparse
    } else {
        IndexKind::Hash
    };
    match spec.knobs.index.filter(|_| by_range != IndexKind::Hash).unwrap_or(by_range) {
        IndexKind::Direct => IndexPlan::Direct { first, range: range + 1 },
        IndexKind::Sparse => IndexPlan::Sparse { first, range: range + 1 },
        IndexKind::Hash => IndexPlan::Hash,
    }
}

/// A table being made.
pub(super) struct TableBuilder {
    spec: Arc<Spec>,
    context: Arc<QueryContext>,
    /// Taken by whoever loads the chunk. A lock because several threads take chunks, each a different one.
    handles: Vec<Mutex<Vec<Handle>>>,
    chunks: Vec<OnceLock<Chunk>>,
    rows: usize,
    shift: u32,
    index: Box<dyn KeyIndex>,
    chains: Chains,
    chain_bytes: usize,
}

struct Chunk {
    batch: RecordBatch,
    /// Counts the batch in the budget; a copied one is counted by the table.
    _pin: Option<Loaded>,
}

impl TableBuilder {
    /// The caller has reserved the plan's bytes.
    pub(super) fn new(spec: Arc<Spec>, context: Arc<QueryContext>, plan: TablePlan) -> Result<Self> {
        let duplicates = if spec.drops_duplicates() { Duplicates::Drop } else { Duplicates::Chain };
        let index = new_index(&spec.form, &plan, duplicates)?;
        let mut chunks = Vec::new();
        chunks.resize_with(plan.chunks.len(), OnceLock::new);
        Ok(TableBuilder {
            spec,
            context,
            chains: Chains::new(plan.chunks.len() << plan.shift),
            handles: plan.chunks.into_iter().map(Mutex::new).collect(),
            chunks,
            rows: plan.rows,
            shift: plan.shift,
            index,
            chain_bytes: plan.chain_bytes,
        })
    }

    pub(super) fn chunk_count(&self) -> usize {
        self.chunks.len()
    }

    /// Loads chunk `number` and adds its keys; gives them, canonical. Called once for each chunk.
    pub(super) fn insert(&self, number: usize) -> Result<Vec<ArrayRef>> {
        self.context.cancel.check()?;
        let missing = || Error::internal("a chunk of a join table that does not exist");
        let handles = std::mem::take(&mut *self.handles.get(number).ok_or_else(missing)?.lock());
        let chunk = self.load(handles)?;
        let place = self.chunks.get(number).ok_or_else(missing)?;
        place.set(chunk).map_err(|_| missing())?;
        let batch = &place.get().ok_or_else(missing)?.batch;
        let columns = self.spec.build.keys(batch.columns())?;
        let rows = batch.num_rows();
        let keys = self.spec.form.keys(&columns, rows)?;
        let mut hashes = Vec::new();
        if self.index.needs_hashes() {
            self.spec.hash(&columns, rows, &mut hashes)?;
        }
        self.index.insert(number, number << self.shift, keys, &hashes, &self.chains)?;
        Ok(columns)
    }

    /// All chunks are in. Whether each has to be placed.
    pub(super) fn seal(&self) -> Result<bool> {
        self.index.seal()
    }

    /// Where `seal` asks for it, once for each chunk.
    pub(super) fn place(&self, number: usize) -> Result<()> {
        self.context.cancel.check()?;
        let chunk = self.chunks.get(number).and_then(OnceLock::get);
        let chunk = chunk.ok_or_else(|| Error::internal("a chunk of a join table that was not filled"))?;
        let columns = self.spec.build.keys(chunk.batch.columns())?;
        let keys = self.spec.form.keys(&columns, chunk.batch.num_rows())?;
        self.index.place(number << self.shift, keys, &self.chains)
    }

    fn load(&self, mut handles: Vec<Handle>) -> Result<Chunk> {
        if handles.len() == 1
            && let Some(handle) = handles.pop()
        {
            let loaded = self.context.store.take(handle)?;
            return Ok(Chunk { batch: RecordBatch::clone(&loaded), _pin: Some(loaded) });
        }
        let pieces = handles.into_iter().map(|handle| self.context.store.take(handle)).collect::<Result<Vec<_>>>()?;
        let batch = concat_batches(&self.spec.build.stored, pieces.iter().map(|piece| &**piece))?;
        Ok(Chunk { batch, _pin: None })
    }
}

fn new_index(form: &KeyForm, plan: &TablePlan, duplicates: Duplicates) -> Result<Box<dyn KeyIndex>> {
    match plan.index {
        IndexPlan::Direct { first, range } => return Ok(Box::new(DirectIndex::new(first, range, duplicates))),
        IndexPlan::Sparse { first, range } => return Ok(Box::new(SparseIndex::new(first, range, duplicates))),
        IndexPlan::Hash => {}
    }
    let (rows, chunks, shift) = (plan.rows, plan.chunks.len(), plan.shift);
    Ok(match form {
        KeyForm::Integer | KeyForm::Packed(_, 1) => {
            Box::new(HashIndex::<WordKeys<1>>::new(rows, chunks, shift, duplicates))
        }
        KeyForm::Packed(_, 2) => Box::new(HashIndex::<WordKeys<2>>::new(rows, chunks, shift, duplicates)),
        KeyForm::Packed(_, 3) => Box::new(HashIndex::<WordKeys<3>>::new(rows, chunks, shift, duplicates)),
        KeyForm::Packed(_, 4) => Box::new(HashIndex::<WordKeys<4>>::new(rows, chunks, shift, duplicates)),
        KeyForm::Packed(..) => return Err(Error::internal("a join key of too many words")),
        KeyForm::Text | KeyForm::Rows(_) => Box::new(HashIndex::<BinaryArray>::new(rows, chunks, shift, duplicates)),
    })
}

/// Build rows with an index over their keys.
pub(super) struct Table {
    core: Arc<TableBuilder>,
    batches: Vec<RecordBatch>,
    columns: Vec<ChunkedColumn>,
    /// A bit for each row number, where the join asks for it.
    matched: Vec<AtomicU64>,
    _reservation: Reservation,
}

impl Table {
    /// The table whose chunks are all in; `reservation` holds its bytes.
    pub(super) fn new(core: Arc<TableBuilder>, mut reservation: Reservation) -> Result<Table> {
        let batches: Vec<RecordBatch> =
            core.chunks.iter().filter_map(|chunk| chunk.get().map(|chunk| chunk.batch.clone())).collect();
        if batches.len() != core.chunks.len() {
            return Err(Error::internal("a join table without some of its chunks"));
        }
        if core.chains.is_unique() {
            reservation.shrink(core.chain_bytes);
        }
        let fields = core.spec.build.stored.fields().iter().enumerate();
        let columns = fields.map(|(index, field)| {
            let arrays: Vec<ArrayRef> = batches.iter().map(|batch| batch.column(index).clone()).collect();
            ChunkedColumn::new(field.data_type(), &arrays, core.shift)
        });
        let columns = columns.collect();
        let numbers = if core.spec.shape.tracks_build() { batches.len() << core.shift } else { 0 };
        Ok(Table { columns, batches, matched: zeroed_u64(numbers.div_ceil(64)), core, _reservation: reservation })
    }

    pub(super) fn rows(&self) -> usize {
        self.core.rows
    }

    pub(super) fn index(&self) -> &dyn KeyIndex {
        self.core.index.as_ref()
    }

    pub(super) fn chains(&self) -> &Chains {
        &self.core.chains
    }

    pub(super) fn chunk_count(&self) -> usize {
        self.batches.len()
    }

    /// The numbers (plus one) of the rows of a chunk.
    pub(super) fn chunk_rows(&self, chunk: usize) -> Range<u32> {
        let first = (chunk << self.core.shift) as u32 + 1;
        first..first + self.batches[chunk].num_rows() as u32
    }

    /// Says that row `row` (plus one) was matched; whether it was before.
    #[inline]
    pub(super) fn mark(&self, row: u32) -> bool {
        let number = row as usize - 1;
        let (word, bit) = (&self.matched[number / 64], 1u64 << (number % 64));
        // Most rows are matched more than once, and reading is cheaper than writing.
        word.load(Ordering::Relaxed) & bit != 0 || word.fetch_or(bit, Ordering::Relaxed) & bit != 0
    }

    /// Whether row `row` (plus one) was matched.
    #[inline]
    pub(super) fn is_marked(&self, row: u32) -> bool {
        let number = row as usize - 1;
        self.matched[number / 64].load(Ordering::Relaxed) >> (number % 64) & 1 == 1
    }

    pub(super) fn gather(&self, column: usize, list: RowList, target: &DataType) -> Result<ArrayRef> {
        self.columns[column].gather(list, target)
    }
}
