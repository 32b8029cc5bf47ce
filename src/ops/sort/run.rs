//! A run: sorted rows in the store, in pieces.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;

use crate::error::Result;
use crate::ops::sort::keys::{Key, SortKeys};
use crate::store::{Handle, QueryContext, Store, UseOrder};

/// So many runs can be merged at once by every worker when half of the memory is for their pieces and keys.
const PIECES_AT_ONCE: usize = 128;

/// Sorted wide batches in the store.
#[derive(Debug, Default)]
pub struct Run {
    pub(super) pieces: Vec<Piece>,
    rows: usize,
}

/// A batch of a run.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    /// Shared by the splits of the last merge that it lies in.
    pub(super) handle: Arc<Handle>,
    /// The key of its first row.
    pub(super) first: Arc<Key>,
}

impl Run {
    /// Rows of all pieces.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes of all pieces when they are in memory.
    pub fn bytes(&self) -> usize {
        self.pieces.iter().map(|piece| piece.handle.bytes()).sum()
    }

    /// Bytes of the largest piece when it is in memory.
    pub(super) fn largest_piece(&self) -> usize {
        self.pieces.iter().map(|piece| piece.handle.bytes()).max().unwrap_or(0)
    }

    /// The pieces in order. Behind the columns that were sorted each has others that served the sort.
    pub fn into_pieces(self) -> impl Iterator<Item = Arc<Handle>> {
        self.pieces.into_iter().map(|piece| piece.handle)
    }

    /// Bytes of the keys of all pieces.
    pub(super) fn key_bytes(&self) -> usize {
        self.pieces.iter().map(|piece| piece.first.bytes()).sum()
    }

    /// Adds the next piece, which is not empty. The later a piece stands in its run, the later it is needed and the
    /// earlier it may go to disk.
    pub(super) fn put(&mut self, store: &Store, keys: &SortKeys, piece: RecordBatch) -> Result<()> {
        let order = UseOrder(u32::try_from(self.pieces.len()).unwrap_or(u32::MAX));
        self.rows += piece.num_rows();
        let first = Arc::new(keys.ordered(&piece.slice(0, 1))?.key(0));
        self.pieces.push(Piece { handle: Arc::new(store.put(piece, order)?), first });
        Ok(())
    }

    /// The pieces that may hold rows from `low` on and before `high`.
    pub(super) fn between(&self, low: Option<&Key>, high: Option<&Key>) -> Run {
        let before = |key: &Key| self.pieces.partition_point(|piece| piece.first.compare(key).is_lt());
        let end = high.map_or(self.pieces.len(), before);
        // The piece before may go on beyond `low`.
        let start = low.map_or(0, |low| before(low).saturating_sub(1)).min(end);
        let pieces = self.pieces[start..end].to_vec();
        let rows = pieces.iter().map(|piece| piece.handle.rows()).sum();
        Run { pieces, rows }
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
    // A piece and its keys, which take about as much.
    let share = context.budget.limit() / context.threads.max(1) / 2 / 2;
    (share / PIECES_AT_ONCE).clamp(16 * 1024, 4 * 1024 * 1024).min(share / 4).max(1024)
}
