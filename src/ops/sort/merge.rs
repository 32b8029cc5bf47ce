//! Merging sorted runs through a tree of losers.
//!
//! Each run shows its head; an inner node of the tree keeps the loser of the match played there, so that replacing the
//! winner costs one match a level. (Knuth, The Art of Computer Programming, volume 3, 5.4.1.)
//!
//! A match is mostly decided by two numbers, not by keys: each head carries where its key first differs from that of the
//! row it last lost to, or which came before it in its run, and the word there. Both players of a match have theirs
//! against the same row, so the one that agrees with it longer, or has the smaller word at the same place, comes first.
//! (Conner, "Offset value coding", 1977; Do and Graefe, "Robust and efficient sorting with offset-value coding", 2023.)
//!
//! Invariant: one piece of each run is in memory, plus a few that are used up but whose rows wait in the output piece
//! that is being made; when these become too many the output piece is cut short.

use std::cmp::{Ordering, Reverse};
use std::collections::VecDeque;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;

use crate::error::Result;
use crate::memory::Reservation;
use crate::ops::sort::gather::gather;
use crate::ops::sort::keys::{Key, KeyWords, OrderedKeys, SortKeys};
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
    code: OffsetValue,
    /// `None` once the run is used up.
    keys: Option<OrderedKeys>,
}

/// How a key differs from an earlier one: in which word first, and what it has there. The smaller one is of the smaller
/// key, when both are against the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct OffsetValue(Reverse<usize>, u64);

impl OffsetValue {
    /// Against no key at all.
    fn first(key: KeyWords<'_>) -> Self {
        OffsetValue(Reverse(0), key.word(0))
    }

    /// Against `earlier`, with which `key` agrees before word `from`.
    fn against(key: KeyWords<'_>, earlier: KeyWords<'_>, from: usize) -> Self {
        match key.first_difference(&earlier, from) {
            Some(place) => OffsetValue(Reverse(place), key.word(place)),
            None => OffsetValue(Reverse(key.count()), 0),
        }
    }

    /// Of a run without rows: behind all others.
    const USED_UP: Self = OffsetValue(Reverse(0), u64::MAX);
}

impl Head {
    fn new(run: Run) -> Self {
        Head { pieces: run.pieces.into(), slot: 0, row: 0, end: 0, code: OffsetValue::USED_UP, keys: None }
    }

    /// Which of two heads comes first, and, where the codes do not tell, the code of the later one against the earlier.
    fn play(&self, other: &Head) -> (Ordering, Option<OffsetValue>) {
        let order = self.code.cmp(&other.code);
        if order.is_ne() {
            return (order, None);
        }
        let (keys, others) = match (&self.keys, &other.keys) {
            (Some(keys), Some(others)) => (keys, others),
            (Some(_), None) => return (Ordering::Less, None),
            (None, Some(_)) => return (Ordering::Greater, None),
            (None, None) => return (Ordering::Equal, None),
        };
        let (left, right) = (keys.words(self.row), others.words(other.row));
        match left.first_difference(&right, self.code.0.0 + 1) {
            Some(place) => {
                let (left, right) = (left.word(place), right.word(place));
                (left.cmp(&right), Some(OffsetValue(Reverse(place), left.max(right))))
            }
            None => {
                let order = keys.sequence(self.row).cmp(&others.sequence(other.row));
                (order, Some(OffsetValue(Reverse(left.count()), 0)))
            }
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
        let heads = runs.into_iter().map(Head::new).collect();
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
        match &head.keys {
            Some(keys) if head.row < head.end => {
                head.code = OffsetValue::against(keys.words(head.row), keys.words(head.row - 1), 0);
            }
            Some(_) => self.load(winner)?,
            None => {}
        }
        let mut contender = winner;
        let mut node = (winner + self.heads.len()) / 2;
        while node > 0 {
            let loser = self.tree[node];
            if self.loses(contender, loser) {
                self.tree[node] = contender;
                contender = loser;
            }
            node /= 2;
        }
        self.tree[0] = contender;
        Ok(())
    }

    /// Whether head `player` comes behind head `opponent`.
    fn loses(&mut self, player: usize, opponent: usize) -> bool {
        let (order, code) = self.heads[opponent].play(&self.heads[player]);
        let loser = if order.is_lt() { player } else { opponent };
        if let Some(code) = code {
            self.heads[loser].code = code;
        }
        loser == player
    }

    /// Plays all matches. The runs are the leaves `count .. 2 * count` of a tree whose root is node 1.
    fn play_all(&mut self) -> Vec<usize> {
        let count = self.heads.len();
        let mut winners: Vec<usize> = (0..2 * count).map(|node| node.saturating_sub(count)).collect();
        let mut tree = vec![0; count];
        for node in (1..count).rev() {
            let (left, right) = (winners[2 * node], winners[2 * node + 1]);
            (winners[node], tree[node]) = if self.loses(left, right) { (right, left) } else { (left, right) };
        }
        if let Some(root) = tree.first_mut() {
            *root = winners.get(1).copied().unwrap_or(0);
        }
        tree
    }

    /// Loads the next piece of a run that has rows within the range, if there is one.
    fn load(&mut self, index: usize) -> Result<()> {
        let head = &mut self.heads[index];
        let mut last = None;
        if let Some(keys) = head.keys.take() {
            last = head.row.checked_sub(1).map(|row| keys.key(row));
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
            head.code = match &last {
                Some(last) => OffsetValue::against(keys.words(first), last.words(), 0),
                None => OffsetValue::first(keys.words(first)),
            };
            (head.slot, head.row, head.end, head.keys) = (self.loaded.len(), first, end, Some(keys));
            self.loaded.push(piece);
            return Ok(());
        }
        head.code = OffsetValue::USED_UP;
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
