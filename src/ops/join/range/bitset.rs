//! A set of row numbers in which the next one from anywhere is found in a few steps however empty the set is.
//!
//! Above the bits stand levels of summaries, one bit for each word of 64 of the level below: four levels for 16 million
//! rows.

/// Numbers below a fixed bound.
#[derive(Debug)]
pub(super) struct BitSet {
    /// The numbers themselves, then the summaries, the last of one word.
    levels: Vec<Vec<u64>>,
}

impl BitSet {
    /// An empty set of numbers below `bound`.
    pub(super) fn new(bound: usize) -> Self {
        let mut levels = Vec::new();
        let mut bits = bound.max(1);
        loop {
            let words = bits.div_ceil(64);
            levels.push(vec![0; words]);
            if words == 1 {
                return BitSet { levels };
            }
            bits = words;
        }
    }

    /// Puts `number` (below the bound) into the set.
    #[inline]
    pub(super) fn insert(&mut self, number: usize) {
        let mut number = number;
        for level in &mut self.levels {
            let word = &mut level[number / 64];
            let was_empty = *word == 0;
            *word |= 1 << (number % 64);
            // The summaries above know of a word that was not empty.
            if !was_empty {
                return;
            }
            number /= 64;
        }
    }

    /// Takes `number` (below the bound) out of the set.
    #[inline]
    pub(super) fn remove(&mut self, number: usize) {
        let mut number = number;
        for level in &mut self.levels {
            let word = &mut level[number / 64];
            *word &= !(1 << (number % 64));
            if *word != 0 {
                return;
            }
            number /= 64;
        }
    }

    /// The least number of the set that is at least `from`.
    #[inline]
    pub(super) fn next(&self, from: usize) -> Option<usize> {
        let mut from = from;
        for (height, level) in self.levels.iter().enumerate() {
            let index = from / 64;
            let rest = level.get(index)? & (u64::MAX << (from % 64));
            if rest != 0 {
                return Some(self.descend(height, index * 64 + rest.trailing_zeros() as usize));
            }
            from = index + 1;
        }
        None
    }

    /// The least number below bit `bit` of the summary of `height`.
    #[inline]
    fn descend(&self, height: usize, bit: usize) -> usize {
        let below = self.levels.iter().take(height).rev();
        below.fold(bit, |bit, level| bit * 64 + level[bit].trailing_zeros() as usize)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::BitSet;

    proptest! {
        #[test]
        fn it_agrees_with_an_ordered_set(
            bound in prop_oneof![Just(1usize), Just(64), Just(65), Just(5000), Just(300_000)],
            steps in proptest::collection::vec((any::<bool>(), any::<u32>()), 0..200),
        ) {
            let (mut bits, mut set) = (BitSet::new(bound), BTreeSet::new());
            for (insert, number) in steps {
                let number = number as usize % bound;
                if insert {
                    bits.insert(number);
                    set.insert(number);
                } else {
                    bits.remove(number);
                    set.remove(&number);
                }
                for from in [0, number, number + 1, bound / 2] {
                    prop_assert_eq!(bits.next(from), set.range(from..).next().copied());
                }
            }
        }
    }
}
