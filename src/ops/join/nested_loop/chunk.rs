//! Some probe batches against the whole build side, as an iterator over output batches.
//!
//! One pass over the build side serves all batches of the chunk, so a build side on disk is read once for each chunk
//! and not once for each batch. Being an iterator, it stops wherever a full output batch is there and goes on when the
//! next is asked for, so that it may stand in an operator as well as in a source.

use std::sync::Arc;

use arrow::array::{BooleanArray, UInt32Array};
use arrow::compute::{filter_record_batch, take_arrays};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use super::NestedLoop;
use super::bits::Bits;
use super::build::Block;
use super::pair::{Sides, Step, Steps};
use super::shape::{Gives, Kept, Shape};
use crate::error::{Error, Result};
use crate::expr::Selection;
use crate::store::QueryContext;

/// Pairs in one step where there is nothing to compute and no column to give.
const PAIRS_WITHOUT_COLUMNS: usize = 1 << 17;

/// Probe batches that are joined.
pub(super) struct Chunk {
    join: Arc<NestedLoop>,
    context: Arc<QueryContext>,
    probes: Vec<Probe>,
    /// The block at which it stands, and the batch within the chunk.
    block: Option<Block>,
    next_block: usize,
    current: usize,
    steps: Option<Steps>,
    /// Rows of the current batch and of the current block that are pairs of the output.
    probe_rows: Vec<u32>,
    build_rows: Vec<u32>,
    /// How many batches have given their rows without a partner.
    finished: usize,
}

/// One probe batch on its way.
struct Probe {
    batch: RecordBatch,
    /// The rows of which it is still open what becomes of them, and their numbers; `None` for all.
    open: Option<(RecordBatch, Vec<u32>)>,
    matched: Bits,
    unknown: Bits,
}

impl Probe {
    fn new(batch: RecordBatch, shape: Shape) -> Self {
        let matched = Bits::new(if shape.marks_probe() { batch.num_rows() } else { 0 });
        let unknown = Bits::new(if shape.is_null_aware() { batch.num_rows() } else { 0 });
        Probe { batch, open: None, matched, unknown }
    }

    fn rows(&self) -> &RecordBatch {
        self.open.as_ref().map_or(&self.batch, |(rows, _)| rows)
    }

    /// The number in the batch of row `row` of `rows`.
    #[inline]
    fn number(&self, row: usize) -> usize {
        match &self.open {
            Some((_, numbers)) => numbers.get(row).map_or(row, |&number| number as usize),
            None => row,
        }
    }

    /// Leaves out the rows whose fate is known, once that is worth a copy.
    fn narrow(&mut self, gives: Gives) -> Result<()> {
        let Gives::ProbeRows { kept, .. } = gives else { return Ok(()) };
        let decided = |row: usize| self.matched.get(row) || (kept == Kept::Anti && self.unknown.get(row));
        let open: Vec<u32> = (0u32..)
            .zip(0..self.rows().num_rows())
            .filter(|&(_, row)| !decided(self.number(row)))
            .map(|(row, _)| row)
            .collect();
        if open.len() * 2 > self.rows().num_rows() {
            return Ok(());
        }
        let numbers: Vec<u32> = open.iter().map(|&row| self.number(row as usize) as u32).collect();
        let columns = take_arrays(self.rows().columns(), &UInt32Array::from(open), None)?;
        let options = RecordBatchOptions::new().with_row_count(Some(numbers.len()));
        let rows = RecordBatch::try_new_with_options(self.rows().schema(), columns, &options)?;
        self.open = Some((rows, numbers));
        Ok(())
    }
}

impl Chunk {
    pub(super) fn new(join: Arc<NestedLoop>, context: Arc<QueryContext>, batches: Vec<RecordBatch>) -> Self {
        let shape = join.output.shape;
        Chunk {
            join,
            context,
            probes: batches.into_iter().map(|batch| Probe::new(batch, shape)).collect(),
            block: None,
            next_block: 0,
            current: 0,
            steps: None,
            probe_rows: Vec::new(),
            build_rows: Vec::new(),
            finished: 0,
        }
    }

    /// The next batch of the output.
    pub(super) fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            self.context.cancel.check()?;
            let Some(steps) = &mut self.steps else {
                if self.begin_pair()? {
                    continue;
                }
                return self.finish();
            };
            let output = match steps.next() {
                Some(step) => self.step(&step)?,
                None => {
                    self.steps = None;
                    let rest = self.flush()?;
                    self.current += 1;
                    rest
                }
            };
            if output.is_some() {
                return Ok(output);
            }
        }
    }

    /// Goes to the next batch and block that have pairs. False when there are none left.
    fn begin_pair(&mut self) -> Result<bool> {
        let join = self.join.clone();
        let build = join.slot.get()?;
        let gives = join.output.shape.gives;
        loop {
            let Some(block) = &self.block else {
                if self.next_block >= build.block_count() || !self.is_open(gives)? {
                    return Ok(false);
                }
                self.block = Some(build.block(self.next_block)?);
                (self.next_block, self.current) = (self.next_block + 1, 0);
                continue;
            };
            let Some(probe) = self.probes.get_mut(self.current) else {
                self.block = None;
                continue;
            };
            if join.condition.is_none() && !join.output.shape.gives_pairs() {
                // Everything is everything's partner.
                probe.matched.set_all();
                if let Some(marks) = &build.marks {
                    marks.set_range(block.first..block.first + block.num_rows());
                }
            } else if probe.rows().num_rows() > 0 {
                let pairs = match join.output.schema.fields().is_empty() && join.condition.is_none() {
                    true => PAIRS_WITHOUT_COLUMNS.max(self.context.batch_size),
                    false => self.context.batch_size,
                };
                self.steps = Some(Steps::new(probe.rows().num_rows(), block.num_rows(), pairs));
                return Ok(true);
            }
            self.current += 1;
        }
    }

    /// Whether further blocks can change anything.
    fn is_open(&mut self, gives: Gives) -> Result<bool> {
        let mut open = !matches!(gives, Gives::ProbeRows { .. });
        for probe in &mut self.probes {
            probe.narrow(gives)?;
            open |= probe.rows().num_rows() > 0;
        }
        Ok(open)
    }

    /// Evaluates one step; gives a batch when there is enough for one.
    fn step(&mut self, step: &Step) -> Result<Option<RecordBatch>> {
        let Chunk { join, probes, block, current, .. } = self;
        let (Some(probe), Some(block)) = (probes.get_mut(*current), block.as_ref()) else {
            return Err(Error::internal("a step of a nested loop join without its batches"));
        };
        let build = join.slot.get()?;
        let sides = Sides { probe: probe.rows(), block, build };
        let selected = match &join.condition {
            None => Selection::All,
            Some(condition) => {
                let truth = step.truth(condition, join.output.shape.is_null_aware(), &sides)?;
                if let Some(unknown) = truth.unknown {
                    unknown.set_indices().for_each(|pair| {
                        let row = probe.number(step.rows(pair).0);
                        probe.unknown.set(row);
                    });
                }
                truth.selected
            }
        };
        if selected == Selection::None {
            return Ok(None);
        }
        let shape = join.output.shape;
        if shape.marks_probe() || shape.marks_build() {
            each_pair(step, &selected, |probe_row, build_row| {
                if shape.marks_probe() {
                    let row = probe.number(probe_row);
                    probe.matched.set(row);
                }
                if let Some(marks) = &build.marks {
                    marks.set(block.first + build_row);
                }
            });
        }
        if !shape.gives_pairs() {
            return Ok(None);
        }
        let count = selected.count(step.pairs());
        let is_dense = count * 4 >= step.pairs() && count * 2 >= self.context.batch_size;
        if join.condition.is_none() || is_dense || build.rows() == 1 {
            let sides = Sides { probe: probe.rows(), block, build };
            return Ok(Some(dense(join, step, &selected, &sides)?));
        }
        each_pair(step, &selected, |probe_row, build_row| {
            // Rows of batches, which have fewer than 2^32.
            self.probe_rows.push(probe_row as u32);
            self.build_rows.push(build_row as u32);
        });
        if self.probe_rows.len() >= self.context.batch_size { self.flush() } else { Ok(None) }
    }

    /// The pairs that have been found and not given yet.
    fn flush(&mut self) -> Result<Option<RecordBatch>> {
        if self.probe_rows.is_empty() {
            return Ok(None);
        }
        let (Some(probe), Some(block)) = (self.probes.get(self.current), &self.block) else {
            return Err(Error::internal("pairs of a nested loop join without their batches"));
        };
        let probe_rows = UInt32Array::from(std::mem::take(&mut self.probe_rows));
        let build_rows = UInt32Array::from(std::mem::take(&mut self.build_rows));
        Ok(Some(self.join.output.taken((probe.rows(), &probe_rows), (block, &build_rows))?))
    }

    /// All pairs have been seen: the next batch of probe rows that come out by themselves.
    fn finish(&mut self) -> Result<Option<RecordBatch>> {
        let output = &self.join.output;
        while let Some(probe) = self.probes.get(self.finished) {
            self.finished += 1;
            let matched = BooleanArray::new(probe.matched.to_buffer(), None);
            let batch = match output.shape.gives {
                Gives::Pairs { probe_outer: true, .. } => {
                    let alone = filter_record_batch(&probe.batch, &arrow::compute::not(&matched)?)?;
                    output.probe_alone(alone)?
                }
                Gives::ProbeRows { kept, null_aware } => {
                    let unknown = null_aware.then(|| BooleanArray::new(probe.unknown.to_buffer(), None));
                    output.kept(kept, &probe.batch, &matched, unknown.as_ref())?
                }
                Gives::Pairs { .. } | Gives::BuildRows { .. } => return Ok(None),
            };
            if batch.num_rows() > 0 {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }
}

/// Calls `each` with the rows (of the probe batch, of the block) of every selected pair.
fn each_pair(step: &Step, selected: &Selection, mut each: impl FnMut(usize, usize)) {
    let mut pair = |pair: usize| {
        let (probe, build) = step.rows(pair);
        each(probe, build);
    };
    match selected {
        Selection::All => (0..step.pairs()).for_each(pair),
        Selection::None => {}
        Selection::Some(mask) => mask.values().set_indices().for_each(&mut pair),
    }
}

/// The selected pairs of a step of which many are selected.
fn dense(join: &NestedLoop, step: &Step, selected: &Selection, sides: &Sides) -> Result<RecordBatch> {
    let pairs = join.output.pairs(sides.columns(step, true)?, sides.columns(step, false)?, step.pairs())?;
    selected.apply(pairs)
}
