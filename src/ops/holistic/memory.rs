//! A partition in memory: its rows, group by group.
//!
//! Invariant: what is loaded is counted by the store, everything else is reserved first. A partition that would take more than a
//! worker's share of the memory is not loaded, or given back.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::UInt64Type;
use arrow::record_batch::RecordBatch;

use super::chunk::Chunk;
use super::layout::Layout;
use super::source::Partition;
use crate::batch::hash::hash_rows;
use crate::error::{Code, Error, Result};
use crate::memory::Reservation;
use crate::ops::aggregate::{Interned, new_index};
use crate::store::{Loaded, QueryContext};

/// Per cent of the memory for the partitions of all workers together.
const SHARE_PERCENT: usize = 70;
/// So many rows are evaluated at once, unless one group has more.
const CHUNK_ROWS: usize = 32 * 1024;
/// What a row costs beyond its columns: its group, and its place among the rows of the group.
const BYTES_PER_ROW: usize = size_of::<u32>() + size_of::<Place>();
/// What a row of a chunk costs beyond that: where it is gathered from, and in what order it is read.
const BYTES_PER_CHUNK_ROW: usize = 32;

/// A row of the loaded batches.
type Place = (u32, u32);

/// Groups that are computed a few at a time.
pub(super) struct MemoryGroups {
    layout: Arc<Layout>,
    context: Arc<QueryContext>,
    batches: Vec<Loaded>,
    keys: Vec<ArrayRef>,
    /// The rows, group by group, within a group in the order in which they came.
    rows: Vec<Place>,
    /// Group `g` has the rows `starts[g] .. starts[g + 1]`.
    starts: Vec<usize>,
    next_group: usize,
    _reservation: Reservation,
}

impl MemoryGroups {
    /// Brings a partition into memory; `None` where it is too large.
    pub(super) fn load(
        layout: &Arc<Layout>,
        context: &Arc<QueryContext>,
        partition: &Partition,
    ) -> Result<Option<Self>> {
        let own_share = || context.budget.effective_limit() / 100 * SHARE_PERCENT / context.threads.max(1);
        let share = layout.share.unwrap_or_else(own_share);
        let (rows, bytes) = (partition.rows(), partition.bytes());
        let needed = rows * BYTES_PER_ROW;
        let mut reservation = context.budget.reservation("HolisticAggregate");
        if bytes + needed > share || !reservation.try_grow(needed) {
            return Ok(None);
        }
        let Some(batches) = load_all(context, partition)? else { return Ok(None) };
        let Some((numbers, keys, groups)) = number_groups(layout, &batches, rows, &mut reservation)? else {
            return Ok(None);
        };
        let starts = starts_of(&numbers, groups);
        // What is gathered of a chunk, and what is made of that.
        let largest =
            starts.windows(2).map(|bounds| bounds[1] - bounds[0]).max().unwrap_or(0).max(CHUNK_ROWS.min(rows));
        let chunk = (3 * (bytes / rows.max(1) + 1) + BYTES_PER_CHUNK_ROW) * largest;
        if bytes + needed + chunk > share || !reservation.try_grow(chunk) {
            return Ok(None);
        }
        let rows = placed(layout, &batches, &numbers, &starts)?;
        let (layout, context) = (layout.clone(), context.clone());
        Ok(Some(MemoryGroups {
            layout,
            context,
            batches,
            keys,
            rows,
            starts,
            next_group: 0,
            _reservation: reservation,
        }))
    }

    /// The next few groups.
    pub(super) fn next(&mut self) -> Result<Option<RecordBatch>> {
        let groups = self.next_groups();
        if groups.is_empty() {
            return Ok(None);
        }
        let bounds = &self.starts[groups.start..=groups.end];
        let (first, last) = (self.starts[groups.start], self.starts[groups.end]);
        let starts = bounds.iter().map(|start| start - first).collect();
        let batches = self.batches.iter().map(|loaded| &**loaded).collect();
        let mut chunk = Chunk::new(&self.layout, batches, &self.rows[first..last], starts);
        let mut columns: Vec<ArrayRef> = self.keys.iter().map(|key| key.slice(groups.start, groups.len())).collect();
        for slot in &self.layout.calls {
            self.context.cancel.check()?;
            columns.push(chunk.evaluate(slot)?);
        }
        self.next_group = groups.end;
        Ok(Some(self.layout.output_batch(columns, groups.len())?))
    }

    fn next_groups(&self) -> Range<usize> {
        let first = self.next_group;
        let count = self.starts.len() - 1;
        let mut end = first;
        while end < count
            && end - first < self.context.batch_size.max(1)
            && (end == first || self.starts[end + 1] - self.starts[first] <= CHUNK_ROWS)
        {
            end += 1;
        }
        first..end
    }
}

/// All batches of the partition; `None` when there is no room for them.
fn load_all(context: &QueryContext, partition: &Partition) -> Result<Option<Vec<Loaded>>> {
    context.store.prefetch(&partition.handles);
    let mut batches = Vec::with_capacity(partition.handles.len());
    for handle in &partition.handles {
        context.cancel.check()?;
        match context.store.get(handle) {
            Ok(batch) => batches.push(batch),
            Err(error) if error.code() == Code::OutOfMemory => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    Ok(Some(batches))
}

/// The group of every row, batch after batch; the groups' keys; how many there are. `None` where the keys find no room.
fn number_groups(
    layout: &Layout,
    batches: &[Loaded],
    rows: usize,
    reservation: &mut Reservation,
) -> Result<Option<Numbered>> {
    if layout.keys.is_empty() {
        return Ok(Some((vec![0; rows], Vec::new(), 1)));
    }
    let before = reservation.bytes();
    'form: for packed in [true, false] {
        let mut index = new_index(layout.key_types(), packed)?;
        let mut numbers = Vec::with_capacity(rows);
        let (mut groups, mut hashes) = (Vec::new(), Vec::new());
        for batch in batches {
            let keys = layout.stored_keys(batch)?;
            hash_rows(&keys, batch.num_rows(), &mut hashes)?;
            let wanted = before + index.bytes() + index.growth(hashes.len());
            if wanted > reservation.bytes() && !reservation.try_grow(wanted - reservation.bytes()) {
                return Ok(None);
            }
            if index.intern(&keys, &hashes, &mut groups)? == Interned::Unfit {
                continue 'form;
            }
            for &group in &groups {
                numbers
                    .push(u32::try_from(group).map_err(|_| Error::internal("a partition of more than 2^32 groups"))?);
            }
        }
        let (groups, keys) = (index.len(), index.drain()?);
        drop(index);
        let key_bytes: usize = keys.iter().map(|key| key.get_array_memory_size()).sum();
        reservation.try_resize(before + key_bytes);
        return Ok(Some((numbers, keys, groups)));
    }
    Err(Error::internal("a group key that no index can hold"))
}

/// The group of each row, the groups' keys, how many there are.
type Numbered = (Vec<u32>, Vec<ArrayRef>, usize);

fn starts_of(numbers: &[u32], groups: usize) -> Vec<usize> {
    let mut starts = vec![0; groups + 1];
    numbers.iter().for_each(|&group| starts[group as usize + 1] += 1);
    for group in 0..groups {
        starts[group + 1] += starts[group];
    }
    starts
}

/// The rows, group by group, and in the order of their sequences where they have any.
fn placed(layout: &Layout, batches: &[Loaded], numbers: &[u32], starts: &[usize]) -> Result<Vec<Place>> {
    let mut next = starts.to_vec();
    let mut rows: Vec<Place> = vec![(0, 0); numbers.len()];
    let mut numbers = numbers.iter();
    for (batch, loaded) in (0_u32..).zip(batches) {
        for (row, &group) in (0..loaded.num_rows() as u32).zip(numbers.by_ref()) {
            let place = &mut next[group as usize];
            rows[*place] = (batch, row);
            *place += 1;
        }
    }
    if layout.sequenced {
        let column = layout.sequence_column()?;
        let sequences: Vec<_> =
            batches.iter().map(|batch| batch.column(column).as_primitive::<UInt64Type>().values()).collect();
        let sequence = |place: &Place| sequences[place.0 as usize][place.1 as usize];
        for bounds in starts.windows(2) {
            let group = &mut rows[bounds[0]..bounds[1]];
            if !group.is_sorted_by_key(sequence) {
                group.sort_unstable_by_key(sequence);
            }
        }
    }
    Ok(rows)
}
