//! Which partition a hash belongs to, for any number of partitions, cut again as often as needed.
//!
//! A hash is read as a fraction of 2^64. Cut into `n` partitions, it belongs to the one numbered by the whole part of `n`
//! times that fraction, and what is behind the point is again a fraction, evenly spread among the rows of the partition,
//! by which it is cut further (Lemire, "Fast random integer generation in an interval", 2019). For powers of two this is
//! reading the bits of the hash from the top.

/// Rows of one partition of so many are as good as equal.
const MOST: u64 = 1 << 48;
/// The most partitions of one cut.
pub const MOST_PARTITIONS: usize = 1 << 16;

/// A cut into partitions, below those that were made before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Radix {
    /// The product of all counts before this one.
    before: u64,
    /// At least 1, at most [`MOST_PARTITIONS`].
    count: u32,
}

impl Radix {
    /// Everything in one partition.
    pub const WHOLE: Radix = Radix { before: 1, count: 1 };

    /// The first cut, into `count` partitions (at least one, at most [`MOST_PARTITIONS`]).
    pub fn first(count: usize) -> Self {
        #[cfg(test)]
        let count = crate::ops::testing::partitions().unwrap_or(count);
        Radix { before: 1, count: bounded(count) }
    }

    /// How a partition of this cut is cut again, into `count` partitions; `None` where that would not part its rows.
    pub fn again(self, count: usize) -> Option<Self> {
        let before = self.before.checked_mul(u64::from(self.count))?;
        let count = bounded(count);
        (before.checked_mul(u64::from(count))? <= MOST).then_some(Radix { before, count })
    }

    /// How many partitions there are.
    pub fn count(self) -> usize {
        self.count as usize
    }

    /// The partitions of this cut and all before it: the share of all rows that one of them has.
    pub fn total(self) -> usize {
        usize::try_from(self.before.saturating_mul(u64::from(self.count))).unwrap_or(usize::MAX)
    }

    /// The partition of a hash.
    #[inline(always)]
    pub fn of(self, hash: u64) -> usize {
        let fraction = hash.wrapping_mul(self.before);
        ((u128::from(fraction) * u128::from(self.count)) >> 64) as usize
    }
}

fn bounded(count: usize) -> u32 {
    count.clamp(1, MOST_PARTITIONS) as u32
}

#[cfg(test)]
mod tests {
    use super::Radix;
    use crate::batch::hash::fold;

    fn hashes() -> impl Iterator<Item = u64> {
        (0..20_000_u64).map(|number| fold(17, number))
    }

    #[test]
    fn powers_of_two_read_the_hash_from_the_top() {
        let first = Radix::first(16);
        let second = first.again(8).unwrap();
        for hash in hashes() {
            assert_eq!(first.of(hash), (hash >> 60) as usize);
            assert_eq!(second.of(hash), (hash >> 57 & 7) as usize);
        }
    }

    #[test]
    fn partitions_of_any_number_are_about_equal_at_every_depth() {
        for count in [1, 2, 3, 7, 17, 127, 128, 129] {
            let (first, again) = (Radix::first(count), Radix::first(17).again(count).unwrap());
            let mut sizes = vec![(0_usize, 0_usize); count];
            for hash in hashes() {
                sizes[first.of(hash)].0 += 1;
                sizes[again.of(hash)].1 += 1;
            }
            let fair = 20_000 / count;
            assert!(sizes.iter().all(|&(one, two)| one.abs_diff(fair) <= fair / 2 && two.abs_diff(fair) <= fair / 2));
        }
    }

    #[test]
    fn all_rows_of_a_partition_are_parted_by_the_next_cut() {
        let (first, again) = (Radix::first(257), Radix::first(257).again(3).unwrap());
        let mut sizes = [0_usize; 3];
        for hash in (0..1_000_000_u64).map(|number| fold(5, number)).filter(|&hash| first.of(hash) == 41) {
            sizes[again.of(hash)] += 1;
        }
        assert!(sizes.iter().all(|&size| (1000..1600).contains(&size)), "{sizes:?}");
    }

    #[test]
    fn a_partition_is_not_cut_for_ever() {
        let mut cuts = vec![Radix::first(1000)];
        while let Some(next) = cuts.last().and_then(|last| last.again(16)) {
            cuts.push(next);
        }
        assert_eq!(cuts.len(), 10);
        assert_eq!(Radix::WHOLE.of(u64::MAX), 0);
        assert_eq!(Radix::first(0).count(), 1);
    }
}
