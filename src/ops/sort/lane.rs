//! One lane of a sort: gathers batches into a reserved buffer, and writes it to the store as a sorted run when it is
//! full.
//!
//! With a limit of `keep` rows the lane remembers the greatest row that can still be among them, drops everything
//! greater on arrival, and cuts its buffer down now and then instead of writing it: a top-n is a sort that forgets.
//!
//! Invariant: the buffer and what sorting adds to it are reserved before they are made. A lane asks for no more than its
//! share of the memory, so that the first lane does not starve the others.

use std::sync::Arc;

use arrow::array::BooleanArray;
use arrow::compute::filter_record_batch;
use arrow::record_batch::RecordBatch;

use crate::batch::Threshold;
use crate::error::Result;
use crate::memory::Reservation;
use crate::ops::sort::buffer::{BYTES_PER_ROW, SortBuffer, Sorted};
use crate::ops::sort::keys::{OrderedKeys, SortKeys, sequence};
use crate::ops::sort::rows::SortedRows;
use crate::ops::sort::run::{Run, piece_bytes, piece_rows};
use crate::ops::{Flow, SinkWork};
use crate::store::{QueryContext, batch_bytes, compact};

/// A run has no more rows than this: sorting them takes about a quarter of a second, in which nothing can cancel it.
const MAX_RUN_ROWS: usize = 4 << 20;

/// Per cent of the memory for all lanes together; the rest is for scans, the store's writing and other queries.
const LANES_PERCENT: usize = 60;

/// One lane's state of a sort.
pub struct SortWork {
    keys: Arc<SortKeys>,
    context: Arc<QueryContext>,
    /// How many rows of the order are wanted at all.
    keep: usize,
    buffer: SortBuffer,
    reservation: Reservation,
    /// Bytes of the reservation that wait for the copy of a piece.
    headroom: usize,
    /// No row greater than this can be among the wanted ones.
    threshold: Option<OrderedKeys>,
    /// Where scans are told of it.
    told: Option<Arc<Threshold>>,
    runs: Vec<Run>,
    split: usize,
    next_row: u64,
}

impl SortWork {
    pub(in crate::ops) fn open(keys: Arc<SortKeys>, keep: usize, context: &Arc<QueryContext>) -> Result<Self> {
        let mut reservation = context.budget.reservation("Sort");
        let headroom = piece_bytes(context);
        reservation.grow(headroom)?;
        Ok(SortWork {
            buffer: SortBuffer::new(keys.clone(), context.batch_size),
            keys,
            context: context.clone(),
            keep,
            reservation,
            headroom,
            threshold: None,
            told: None,
            runs: Vec::new(),
            split: 0,
            next_row: 0,
        })
    }

    pub(super) fn telling(self, told: Option<Arc<Threshold>>) -> Self {
        SortWork { told, ..self }
    }

    /// The last row of `sorted` is the worst that is wanted.
    fn set_threshold(&mut self, sorted: &RecordBatch) -> Result<()> {
        self.threshold = Some(self.last_key(sorted)?);
        if let (Some(told), Some(row)) = (&self.told, sorted.num_rows().checked_sub(1)) {
            told.publish(self.keys.first_value(sorted, row)?);
        }
        Ok(())
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

    /// The rows of `wide` that may still be wanted.
    fn admitted(&self, wide: RecordBatch) -> Result<RecordBatch> {
        let Some(threshold) = &self.threshold else { return Ok(wide) };
        let ordered = self.keys.ordered(&wide)?;
        let wanted: BooleanArray =
            (0..ordered.len()).map(|row| Some(ordered.compare(row, threshold, 0).is_lt())).collect();
        match wanted.true_count() {
            0 => Ok(wide.slice(0, 0)),
            count if count == wide.num_rows() => Ok(wide),
            _ => Ok(filter_record_batch(&wide, &wanted)?),
        }
    }

    /// Reserves room for `wide`, writing the buffer as a run when there is none.
    fn make_room(&mut self, wide: &RecordBatch) -> Result<()> {
        let needed = batch_bytes(wide) + self.key_bytes(wide);
        // Of what is left beside the memory that nobody accounts for, which counts under a small limit.
        let share = self.context.budget.effective_limit() / 100 * LANES_PERCENT / self.context.threads.max(1);
        let full = self.reservation.bytes().saturating_add(needed) > share
            || self.buffer.rows() + wide.num_rows() > MAX_RUN_ROWS;
        if !full && self.reservation.try_grow(needed) {
            return Ok(());
        }
        self.flush()?;
        self.reservation.grow(needed).map_err(|error| error.context("the rows that a sort must hold at once"))
    }

    /// An estimate of what the keys of a batch take besides the batch.
    fn key_bytes(&self, wide: &RecordBatch) -> usize {
        wide.num_rows() * BYTES_PER_ROW + self.keys.estimated_bytes(wide)
    }

    /// Writes what is buffered to the store as a sorted run.
    fn flush(&mut self) -> Result<()> {
        let (weight, rows) = (self.buffered_bytes(), self.buffer.rows());
        if rows == 0 {
            return Ok(());
        }
        let piece_rows = piece_rows(self.headroom, weight, rows, self.context.batch_size);
        let mut sorted = self.buffer.sort(self.keep)?;
        let mut run = Run::default();
        let full = sorted.rows() == self.keep;
        while let Some(piece) = sorted.next(piece_rows)? {
            self.context.cancel.check()?;
            if full && run.rows() + piece.num_rows() == self.keep {
                self.set_threshold(&piece)?;
            }
            // The piece moves from the headroom to the store's account.
            self.reservation.shrink(self.headroom);
            run.put(&self.context.store, &self.keys, piece)?;
            self.reservation.try_grow(self.headroom);
        }
        drop(sorted);
        self.runs.push(run);
        self.release_buffer();
        Ok(())
    }

    /// Cuts the buffer down to the wanted rows once it holds many more.
    fn trim(&mut self) -> Result<()> {
        let due = self.keep.saturating_mul(2).max(self.keep.saturating_add(2 * self.context.batch_size));
        if self.buffer.rows() <= due {
            return Ok(());
        }
        let sorted = self.buffer.sort(self.keep)?;
        let kept = self.copy_out(sorted)?;
        self.release_buffer();
        if let Some(last) = kept.last() {
            self.set_threshold(last)?;
        }
        for wide in kept {
            self.make_room(&wide)?;
            self.buffer.add(wide)?;
        }
        Ok(())
    }

    fn copy_out(&self, mut sorted: Sorted) -> Result<Vec<RecordBatch>> {
        let mut kept = Vec::new();
        while let Some(piece) = sorted.next(self.context.batch_size)? {
            self.context.cancel.check()?;
            kept.push(piece);
        }
        Ok(kept)
    }

    /// Takes a wide batch, which has its keys and sequences already.
    pub(in crate::ops) fn push_wide(&mut self, wide: RecordBatch) -> Result<()> {
        let wide = compact(wide);
        self.make_room(&wide)?;
        self.buffer.add(wide)
    }

    /// The rows in order: from memory where they all fitted, else merged from runs.
    pub(in crate::ops) fn into_rows(mut self) -> Result<SortedRows> {
        if !self.runs.is_empty() {
            self.flush()?;
            return SortedRows::merged(&self.keys, &self.context, self.runs);
        }
        let (weight, rows) = (self.buffered_bytes(), self.buffer.rows());
        let piece_rows = piece_rows(self.headroom, weight, rows, self.context.batch_size);
        let sorted = self.buffer.sort(self.keep)?;
        Ok(SortedRows::in_memory(sorted, self.reservation, piece_rows))
    }

    fn last_key(&self, sorted: &RecordBatch) -> Result<OrderedKeys> {
        self.keys.ordered(&sorted.slice(sorted.num_rows() - 1, 1))
    }

    fn buffered_bytes(&self) -> usize {
        self.reservation.bytes().saturating_sub(self.headroom)
    }

    fn release_buffer(&mut self) {
        self.reservation.shrink(self.buffered_bytes());
    }
}

impl SinkWork for SortWork {
    type Part = Vec<Run>;

    fn push(&mut self, split: usize, batch: RecordBatch) -> Result<Flow> {
        if self.keep == 0 {
            return Ok(Flow::Done);
        }
        self.context.cancel.check()?;
        let first = self.sequence(split, batch.num_rows())?;
        let wide = self.admitted(self.keys.widen(&batch, first)?)?;
        if wide.num_rows() == 0 {
            return Ok(Flow::More);
        }
        let wide = compact(wide);
        self.make_room(&wide)?;
        self.buffer.add(wide)?;
        self.trim()?;
        Ok(Flow::More)
    }

    fn finish(mut self) -> Result<Vec<Run>> {
        self.flush()?;
        Ok(self.runs)
    }
}
