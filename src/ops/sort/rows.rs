//! Sorted rows, read piece by piece, wherever they are: one buffer, or runs in the store.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;

use super::buffer::Sorted;
use super::keys::SortKeys;
use super::merge::{KeyRange, MAX_WAITING, Merge};
use super::run::{Run, piece_bytes, piece_rows};
use crate::error::Result;
use crate::memory::Reservation;
use crate::store::QueryContext;

/// No merge reads more runs at once than this: beyond, a longer tree costs more than another pass saves.
const MAX_FAN_IN: usize = 256;

/// Wide batches in the order of their keys.
pub(in crate::ops) struct SortedRows {
    rows: Rows,
    piece_rows: usize,
}

enum Rows {
    /// With what the buffer has reserved.
    InMemory(Box<Sorted>, Reservation),
    Merged(Box<Merge>),
}

impl SortedRows {
    pub(super) fn in_memory(sorted: Sorted, reservation: Reservation, piece_rows: usize) -> Self {
        SortedRows { rows: Rows::InMemory(Box::new(sorted), reservation), piece_rows }
    }

    /// Merges `runs`, some of them into longer ones first where they are too many.
    pub(in crate::ops) fn merged(keys: &Arc<SortKeys>, context: &Arc<QueryContext>, runs: Vec<Run>) -> Result<Self> {
        let runs = merge_down(keys, usize::MAX, context, runs)?;
        let weight = runs.iter().map(Run::bytes).sum();
        let rows = runs.iter().map(Run::rows).sum();
        let piece_rows = piece_rows(piece_bytes(context), weight, rows, context.batch_size);
        let merge =
            Merge::new(keys.clone(), context.clone(), keys.wide().clone(), runs, KeyRange::default(), 0, usize::MAX)?;
        Ok(SortedRows { rows: Rows::Merged(Box::new(merge)), piece_rows })
    }

    /// The next piece.
    pub(in crate::ops) fn next(&mut self) -> Result<Option<RecordBatch>> {
        match &mut self.rows {
            Rows::Merged(merge) => merge.next(self.piece_rows),
            Rows::InMemory(sorted, reservation) => {
                let piece = sorted.next(self.piece_rows)?;
                if piece.is_none() {
                    sorted.forget();
                    reservation.shrink(reservation.bytes());
                }
                Ok(piece)
            }
        }
    }
}

/// Merges the shortest runs into longer ones until no more are left than can be merged at once.
pub(super) fn merge_down(
    keys: &Arc<SortKeys>,
    keep: usize,
    context: &Arc<QueryContext>,
    mut runs: Vec<Run>,
) -> Result<Vec<Run>> {
    runs.retain(|run| run.rows() > 0);
    loop {
        let fan_in = fan_in(context, &runs);
        if runs.len() <= fan_in {
            return Ok(runs);
        }
        // Just enough of the shortest that the last merge is a full one.
        runs.sort_by_key(|run| std::cmp::Reverse(run.rows()));
        let merged = fan_in.min(runs.len() - fan_in + 1);
        let shortest = runs.split_off(runs.len() - merged);
        runs.push(merge_into_one(keys, keep, context, shortest)?);
    }
}

fn merge_into_one(keys: &Arc<SortKeys>, keep: usize, context: &Arc<QueryContext>, runs: Vec<Run>) -> Result<Run> {
    let rows = runs.iter().map(Run::rows).sum();
    let weight = runs.iter().map(Run::bytes).sum();
    let rows = piece_rows(piece_bytes(context), weight, rows, context.batch_size);
    let mut merge = Merge::new(keys.clone(), context.clone(), keys.wide().clone(), runs, KeyRange::default(), 0, keep)?;
    let mut merged = Run::default();
    while let Some(piece) = merge.next(rows)? {
        merged.put(&context.store, keys, piece)?;
    }
    Ok(merged)
}

/// How many of `runs` every worker can merge at once when half of the memory is for their pieces and keys.
fn fan_in(context: &QueryContext, runs: &[Run]) -> usize {
    let piece = runs.iter().map(Run::largest_piece).max().unwrap_or(0).max(1);
    // A piece and its keys, which take about as much.
    let pieces = context.budget.effective_limit() / context.threads.max(1) / 2 / piece.saturating_mul(2);
    pieces.saturating_sub(MAX_WAITING).clamp(2, MAX_FAN_IN)
}
