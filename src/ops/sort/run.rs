//! A run: sorted rows in the store, in pieces.

use std::collections::VecDeque;

use arrow::record_batch::RecordBatch;

use crate::error::Result;
use crate::store::{Handle, QueryContext, Store, UseOrder};

/// Sorted wide batches in the store.
#[derive(Debug, Default)]
pub struct Run {
    pub(super) pieces: VecDeque<Handle>,
    rows: usize,
}

impl Run {
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes of all pieces when they are in memory.
    pub(super) fn bytes(&self) -> usize {
        self.pieces.iter().map(Handle::bytes).sum()
    }

    /// Bytes of the largest piece when it is in memory.
    pub(super) fn largest_piece(&self) -> usize {
        self.pieces.iter().map(Handle::bytes).max().unwrap_or(0)
    }

    /// Adds the next piece. The later a piece stands in its run, the later it is needed and the earlier it may go to
    /// disk.
    pub(super) fn put(&mut self, store: &Store, piece: RecordBatch) -> Result<()> {
        let order = UseOrder(u32::try_from(self.pieces.len()).unwrap_or(u32::MAX));
        self.rows += piece.num_rows();
        self.pieces.push_back(store.put(piece, order)?);
        Ok(())
    }
}

/// How many rows make a piece of `bytes` when `rows` rows weigh `weight` bytes; at most `batch_size`.
pub(super) fn piece_rows(bytes: usize, weight: usize, rows: usize, batch_size: usize) -> usize {
    let per_row = weight / rows.max(1);
    (bytes / per_row.max(1)).clamp(1, batch_size.max(1))
}

/// Bytes that a piece aims at: so small that a merge of many runs fits into the memory limit, and not so small that
/// handling pieces costs more than handling rows.
pub(super) fn piece_bytes(context: &QueryContext) -> usize {
    let limit = context.budget.limit();
    (limit / 256).clamp(16 * 1024, 4 * 1024 * 1024).min(limit / 8 / context.threads.max(1)).max(1024)
}
