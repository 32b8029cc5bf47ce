//! What floe's own grouped accumulators share: rows to groups with NULLs and filters left out, and which groups have
//! seen a value.

use arrow::array::{Array, BooleanArray, BooleanBufferBuilder};
use arrow::buffer::NullBuffer;
use datafusion_expr::EmitTo;

/// The rows that count: not NULL, and the filter is true. `None` when all do.
pub(in crate::expr) fn counted(nulls: Option<&NullBuffer>, filter: Option<&BooleanArray>) -> Option<NullBuffer> {
    let nulls = nulls.filter(|nulls| nulls.null_count() > 0);
    let Some(filter) = filter else { return nulls.cloned() };
    let selected = match filter.nulls() {
        Some(nulls) => filter.values() & nulls.inner(),
        None => filter.values().clone(),
    };
    NullBuffer::union(nulls, Some(&NullBuffer::new(selected)))
}

/// Calls `step(group, value)` for every row that counts.
pub(super) fn for_each<N: Copy>(
    groups: &[usize],
    values: &[N],
    counted: Option<&NullBuffer>,
    mut step: impl FnMut(usize, N),
) {
    let Some(counted) = counted else {
        for (&group, &value) in groups.iter().zip(values) {
            step(group, value);
        }
        return;
    };
    // 64 rows at a time: mostly all of them count, or none.
    let words = counted.inner().bit_chunks();
    let chunks = groups.chunks(64).zip(values.chunks(64)).zip(words.iter_padded());
    for ((groups, values), mut word) in chunks {
        if word == u64::MAX {
            for (&group, &value) in groups.iter().zip(values) {
                step(group, value);
            }
            continue;
        }
        while word != 0 {
            let row = word.trailing_zeros() as usize;
            word &= word - 1;
            if let (Some(&group), Some(&value)) = (groups.get(row), values.get(row)) {
                step(group, value);
            }
        }
    }
}

/// Up to so many groups are few; a power of two.
pub(super) const FEW_GROUPS: usize = 32;

/// Rows that are worked on side by side when there are few groups.
pub(super) const LANES: usize = 4;

/// Whether so many rows go to so few groups that working on several in turn pays.
pub(super) fn are_few(groups: usize, rows: usize) -> bool {
    groups <= FEW_GROUPS && rows >= 16 * FEW_GROUPS
}

/// Adds one to its group's count for every row that counts.
pub(super) fn count_rows(counts: &mut [u64], groups: &[usize], counted: Option<&NullBuffer>) {
    if counted.is_some() || !are_few(counts.len(), groups.len()) {
        return for_each(groups, groups, counted, |group, _| counts[group] += 1);
    }
    let mut lanes = [[0_u64; FEW_GROUPS]; LANES];
    let (groups, last_groups) = groups.as_chunks::<LANES>();
    for groups in groups {
        for lane in 0..LANES {
            lanes[lane][groups[lane] % FEW_GROUPS] += 1;
        }
    }
    last_groups.iter().for_each(|group| lanes[0][group % FEW_GROUPS] += 1);
    for lane in lanes {
        counts.iter_mut().zip(lane).for_each(|(count, part)| *count += part);
    }
}

/// Which groups have seen a value. Costs nothing until a row is left out.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Groups known so far; without bits all of them have seen a value.
    groups: usize,
    bits: Option<BooleanBufferBuilder>,
}

impl Seen {
    /// Takes a batch's rows into account. `total` is the number of groups from now on.
    pub(super) fn note(&mut self, groups: &[usize], counted: Option<&NullBuffer>, total: usize) {
        let introduced = total.saturating_sub(self.groups);
        // Every new group stands in the batch that introduces it, unless there are fewer rows than new groups.
        if self.bits.is_none() && counted.is_none() && introduced <= groups.len() {
            self.groups = total;
            return;
        }
        let bits = self.bits.get_or_insert_with(|| {
            let mut bits = BooleanBufferBuilder::new(total);
            bits.append_n(self.groups, true);
            bits
        });
        bits.append_n(total.saturating_sub(bits.len()), false);
        self.groups = total;
        match counted {
            None => groups.iter().for_each(|&group| bits.set_bit(group, true)),
            Some(counted) => {
                counted.valid_indices().filter_map(|row| groups.get(row)).for_each(|&group| bits.set_bit(group, true))
            }
        }
    }

    /// The validity of the groups that are emitted, which are then forgotten.
    pub(super) fn take(&mut self, emit: EmitTo) -> Option<NullBuffer> {
        let count = match emit {
            EmitTo::All => self.groups,
            EmitTo::First(count) => count,
        };
        self.groups -= count.min(self.groups);
        let bits = self.bits.take()?.finish();
        let count = count.min(bits.len());
        if self.groups > 0 {
            let mut rest = BooleanBufferBuilder::new(self.groups);
            rest.append_buffer(&bits.slice(count, bits.len() - count));
            self.bits = Some(rest);
        }
        Some(NullBuffer::new(bits.slice(0, count)))
    }

    /// Bytes on the heap.
    pub(super) fn size(&self) -> usize {
        self.bits.as_ref().map_or(0, |bits| bits.capacity() / 8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_left_out_are_not_stepped_on() {
        let rows = 200;
        let groups: Vec<usize> = (0..rows).map(|row| row % 7).collect();
        let values: Vec<usize> = (0..rows).collect();
        let nulls = NullBuffer::from_iter((0..rows).map(|row| row < 64 || row % 3 == 0));
        let mut stepped = Vec::new();
        for_each(&groups, &values, Some(&nulls), |group, value| {
            assert_eq!(group, value % 7);
            stepped.push(value);
        });
        assert_eq!(stepped, (0..rows).filter(|row| nulls.is_valid(*row)).collect::<Vec<_>>());
        let sliced = nulls.slice(3, 100);
        stepped.clear();
        for_each(&groups[3..103], &values[3..103], Some(&sliced), |_, value| stepped.push(value));
        assert_eq!(stepped, (3..103).filter(|row| nulls.is_valid(*row)).collect::<Vec<_>>());
    }

    #[test]
    fn a_group_without_rows_has_seen_nothing() {
        let mut seen = Seen::default();
        seen.note(&[], None, 1);
        assert_eq!(seen.take(EmitTo::All).unwrap().null_count(), 1);
        seen.note(&[0, 1, 2], None, 3);
        seen.note(&[3, 4], Some(&NullBuffer::from(vec![false, true])), 5);
        let first = seen.take(EmitTo::First(2)).unwrap();
        assert_eq!(first.iter().collect::<Vec<_>>(), [true, true]);
        let rest = seen.take(EmitTo::All).unwrap();
        assert_eq!(rest.iter().collect::<Vec<_>>(), [true, false, true]);
        assert!(seen.take(EmitTo::All).is_none());
    }
}
