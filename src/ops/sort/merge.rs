//! Merging sorted runs through a tree of losers.
//!
//! Each run shows its head; an inner node of the tree keeps the loser of the match played there, so that replacing the
//! winner costs one comparison a level. (Knuth, The Art of Computer Programming, volume 3, 5.4.1.)
//!
//! Invariant: one piece of each run is in memory, plus a few that are used up but whose rows wait in the output piece
//! that is being made; when these become too many the output piece is cut short.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;

use crate::error::Result;
use crate::memory::Reservation;
use crate::ops::sort::gather::gather;
use crate::ops::sort::keys::{Key, OrderedKeys, SortKeys};
use crate::ops::sort::run::{Piece, Run};
use crate::store::{Handle, Loaded, QueryContext};

/// Pieces that are used up but wait for the output piece to be made.
pub(super) const MAX_WAITING: usize = 8;

/// How many rows are skipped between two looks at the cancel token.
const SKIPPED_PER_CHECK: usize = 65_536;

/// The next row of one run.
struct Head {
    pieces: VecDeque<Piece>,
    /// The run's current piece in `Merge::loaded`.
    slot: usize,
    row: usize,
    /// The first row of the piece that is not merged.
    end: usize,
    /// `None` once the run is used up.
    keys: Option<OrderedKeys>,
}

impl Head {
    fn compare(&self, other: &Head) -> Ordering {
        match (&self.keys, &other.keys) {
            (Some(keys), Some(others)) => keys.compare(self.row, others, other.row),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        }
    }
}

/// The rows of an order that one merge gives.
#[derive(Debug, Clone, Default)]
pub(super) struct KeyRange {
    /// Its first row, unless it begins with the first of all.
    pub(super) low: Option<Arc<Key>>,
    /// The row behind its last, unless it ends with the last of all.
    pub(super) high: Option<Arc<Key>>,
}

/// A merge in progress.
pub(super) struct Merge {
    keys: Arc<SortKeys>,
    context: Arc<QueryContext>,
    /// The output's columns: the first ones of the wide batches.
    schema: SchemaRef,
    heads: Vec<Head>,
    /// Losers of the inner nodes; node 0 holds the winner of all.
    tree: Vec<usize>,
    loaded: Vec<Loaded>,
    /// Rows of the output piece that is being made: slot and row.
    picks: Vec<(usize, usize)>,
    /// Rows still to leave out, and then still to give.
    skip: usize,
    fetch: usize,
    range: KeyRange,
    /// For the keys of the heads' pieces.
    reservation: Reservation,
}

impl Merge {
    /// A merge of the rows of `runs` within `range` that leaves out the first `skip` rows and ends after `fetch` more.
    pub(super) fn new(
        keys: Arc<SortKeys>,
        context: Arc<QueryContext>,
        schema: SchemaRef,
        runs: Vec<Run>,
        range: KeyRange,
        skip: usize,
        fetch: usize,
    ) -> Result<Self> {
        let reservation = context.budget.reservation("Sort (merge)");
        let head = |run: Run| Head { pieces: run.pieces.into(), slot: 0, row: 0, end: 0, keys: None };
        let heads = runs.into_iter().map(head).collect();
        let (tree, loaded, picks) = (Vec::new(), Vec::new(), Vec::new());
        let mut merge = Merge { keys, context, schema, heads, tree, loaded, picks, skip, fetch, range, reservation };
        for head in 0..merge.heads.len() {
            merge.load(head)?;
        }
        merge.tree = merge.play_all();
        Ok(merge)
    }

    /// The next piece of at most `rows` rows.
    pub(super) fn next(&mut self, rows: usize) -> Result<Option<RecordBatch>> {
        self.context.cancel.check()?;
        self.skip_rows()?;
        let wanted = rows.max(1).min(self.fetch);
        while self.picks.len() < wanted && self.loaded.len() < self.heads.len() + MAX_WAITING {
            let Some(winner) = self.winner() else { break };
            let head = &self.heads[winner];
            self.picks.push((head.slot, head.row));
            self.advance(winner)?;
        }
        if self.picks.is_empty() {
            self.loaded.clear();
            return Ok(None);
        }
        let batches: Vec<&RecordBatch> = self.loaded.iter().map(|loaded| &**loaded).collect();
        let piece = gather(&batches, &self.picks, &self.schema)?;
        self.fetch -= self.picks.len();
        self.picks.clear();
        self.drop_used_up();
        Ok(Some(piece))
    }

    fn skip_rows(&mut self) -> Result<()> {
        while self.skip > 0 {
            let Some(winner) = self.winner() else { break };
            self.skip -= 1;
            self.advance(winner)?;
            if self.skip.is_multiple_of(SKIPPED_PER_CHECK) {
                self.context.cancel.check()?;
            }
            if self.loaded.len() > self.heads.len() {
                self.drop_used_up();
            }
        }
        Ok(())
    }

    /// The run whose head comes next.
    fn winner(&self) -> Option<usize> {
        let winner = *self.tree.first()?;
        self.heads[winner].keys.is_some().then_some(winner)
    }

    /// Moves the winner's head on and plays its matches again.
    fn advance(&mut self, winner: usize) -> Result<()> {
        let head = &mut self.heads[winner];
        head.row += 1;
        if head.keys.is_some() && head.row >= head.end {
            self.load(winner)?;
        }
        let mut contender = winner;
        let mut node = (winner + self.heads.len()) / 2;
        while node > 0 {
            let loser = self.tree[node];
            if self.heads[loser].compare(&self.heads[contender]).is_lt() {
                self.tree[node] = contender;
                contender = loser;
            }
            node /= 2;
        }
        self.tree[0] = contender;
        Ok(())
    }

    /// Plays all matches. The runs are the leaves `count .. 2 * count` of a tree whose root is node 1.
    fn play_all(&self) -> Vec<usize> {
        let count = self.heads.len();
        let mut winners: Vec<usize> = (0..2 * count).map(|node| node.saturating_sub(count)).collect();
        let mut tree = vec![0; count];
        for node in (1..count).rev() {
            let (left, right) = (winners[2 * node], winners[2 * node + 1]);
            let right_wins = self.heads[right].compare(&self.heads[left]).is_lt();
            (winners[node], tree[node]) = if right_wins { (right, left) } else { (left, right) };
        }
        if let Some(root) = tree.first_mut() {
            *root = winners.get(1).copied().unwrap_or(0);
        }
        tree
    }

    /// Loads the next piece of a run that has rows within the range, if there is one.
    fn load(&mut self, index: usize) -> Result<()> {
        let head = &mut self.heads[index];
        if let Some(keys) = head.keys.take() {
            self.reservation.shrink(keys.bytes());
        }
        while let Some(Piece { handle, .. }) = head.pieces.pop_front() {
            let piece = take(&self.context, handle)?;
            self.context.store.prefetch(head.pieces.front().map(|piece| &*piece.handle));
            let keys = self.keys.ordered(&piece)?;
            let first = self.range.low.as_ref().map_or(0, |low| keys.rows_before(low));
            let end = self.range.high.as_ref().map_or(keys.len(), |high| keys.rows_before(high));
            if first >= end {
                continue;
            }
            self.reservation.grow(keys.bytes())?;
            (head.slot, head.row, head.end, head.keys) = (self.loaded.len(), first, end, Some(keys));
            self.loaded.push(piece);
            return Ok(());
        }
        Ok(())
    }

    /// Forgets the pieces that no head stands in.
    fn drop_used_up(&mut self) {
        if self.loaded.len() <= self.heads.iter().filter(|head| head.keys.is_some()).count() {
            return;
        }
        let mut old: Vec<Option<Loaded>> = std::mem::take(&mut self.loaded).into_iter().map(Some).collect();
        for head in self.heads.iter_mut().filter(|head| head.keys.is_some()) {
            if let Some(piece) = old.get_mut(head.slot).and_then(Option::take) {
                head.slot = self.loaded.len();
                self.loaded.push(piece);
            }
        }
    }
}

/// The piece, which leaves the store with its last user.
fn take(context: &QueryContext, handle: Arc<Handle>) -> Result<Loaded> {
    match Arc::try_unwrap(handle) {
        Ok(handle) => context.store.take(handle),
        Err(shared) => context.store.get(&shared),
    }
}
