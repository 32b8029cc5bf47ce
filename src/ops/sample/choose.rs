//! Which rows of one split are in a sample.

use std::collections::VecDeque;

use arrow::array::BooleanArray;
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;

use super::{Method, SampleSpec, numbered};
use crate::batch::hash::fold;
use crate::error::Result;

/// Rows of a block: of these one in so many is taken whole ([`Method::Blocks`]).
const BLOCK_ROWS: u64 = 2048;
/// Rows of a run of which a share is taken exactly ([`Method::Share`]).
const SHARE_ROWS: usize = 10_000;

/// Goes through one split.
pub(super) struct Chooser {
    spec: SampleSpec,
    schema: SchemaRef,
    split: u64,
    /// The number of the next row.
    next: u64,
    /// Of [`Method::Share`]: batches whose run is not at its end, and the numbers of their rows.
    waiting: Vec<RecordBatch>,
    numbers: Vec<u64>,
}

impl Chooser {
    pub(super) fn new(spec: SampleSpec, schema: SchemaRef, split: usize) -> Self {
        Chooser { spec, schema, split: split as u64, next: 0, waiting: Vec::new(), numbers: Vec::new() }
    }

    pub(super) fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// Takes the next batch of the split; puts what is chosen so far into `chosen`.
    pub(super) fn push(&mut self, batch: RecordBatch, chosen: &mut VecDeque<RecordBatch>) -> Result<()> {
        let rows = self.next..self.next + batch.num_rows() as u64;
        self.next = rows.end;
        let number = |row: u64| random(self.spec.seed, self.split, row);
        match self.spec.method {
            Method::Numbered => {
                let numbers = rows.map(number).collect();
                chosen.push_back(numbered(&batch, &self.schema, numbers)?);
            }
            Method::Rows(share) => keep(&batch, rows.map(|row| is_below(number(row), share)), chosen)?,
            Method::Blocks(share) => {
                let block = |row: u64| !(row / BLOCK_ROWS);
                keep(&batch, rows.map(|row| is_below(number(block(row)), share)), chosen)?;
            }
            Method::Share(share) => {
                let numbers: Vec<u64> = rows.map(number).collect();
                self.push_to_run(batch, &numbers, share, chosen)?;
            }
        }
        Ok(())
    }

    /// The split is at its end.
    pub(super) fn end(&mut self, chosen: &mut VecDeque<RecordBatch>) -> Result<()> {
        match self.spec.method {
            Method::Share(share) => self.end_run(share, chosen),
            _ => Ok(()),
        }
    }

    fn push_to_run(
        &mut self,
        batch: RecordBatch,
        numbers: &[u64],
        share: f64,
        chosen: &mut VecDeque<RecordBatch>,
    ) -> Result<()> {
        let mut from = 0;
        while from < batch.num_rows() {
            let count = (SHARE_ROWS - self.numbers.len()).min(batch.num_rows() - from);
            self.waiting.push(batch.slice(from, count));
            self.numbers.extend(numbers.iter().skip(from).take(count));
            from += count;
            if self.numbers.len() == SHARE_ROWS {
                self.end_run(share, chosen)?;
            }
        }
        Ok(())
    }

    /// Of the rows that wait, takes those with the least numbers.
    fn end_run(&mut self, share: f64, chosen: &mut VecDeque<RecordBatch>) -> Result<()> {
        let numbers = std::mem::take(&mut self.numbers);
        let count = (numbers.len() as f64 * share).round() as usize;
        let mut order: Vec<(u64, usize)> = numbers.into_iter().zip(0..).collect();
        if count > 0 && count < order.len() {
            order.select_nth_unstable(count - 1);
        }
        let mut stays = vec![false; order.len()];
        for &(_, row) in order.iter().take(count) {
            if let Some(stays) = stays.get_mut(row) {
                *stays = true;
            }
        }
        let mut stays = stays.into_iter();
        for batch in std::mem::take(&mut self.waiting) {
            let rows = stays.by_ref().take(batch.num_rows()).collect::<Vec<_>>();
            keep(&batch, rows.into_iter(), chosen)?;
        }
        Ok(())
    }
}

/// Puts the rows that stay into `chosen`.
fn keep(batch: &RecordBatch, stays: impl Iterator<Item = bool>, chosen: &mut VecDeque<RecordBatch>) -> Result<()> {
    let stays = BooleanArray::from_iter(stays.map(Some));
    let batch = filter_record_batch(batch, &stays)?;
    if batch.num_rows() > 0 {
        chosen.push_back(batch);
    }
    Ok(())
}

/// A number for a row that nothing but these three decide.
fn random(seed: u64, split: u64, row: u64) -> u64 {
    let mixed = fold(fold(seed ^ 0x9E37_79B9_7F4A_7C15, split.wrapping_add(1)), row.wrapping_add(1));
    // One more round, so that every bit depends on every other.
    let mixed = (mixed ^ (mixed >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    mixed ^ (mixed >> 32)
}

/// Whether the number is among the least `share` of all.
fn is_below(number: u64, share: f64) -> bool {
    (number >> 11) as f64 / ((1_u64 << 53) as f64) < share
}
