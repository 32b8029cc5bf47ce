//! How many records there are, where no field is wanted: from masks of the separators and quotes.
//!
//! Every record is looked at as closely as if it were read: that it has all its fields, and that its quotes stand where
//! they belong. [`Faultless`] looks at a whole stretch and gathers the faults, so that nothing branches on what the
//! bytes are; only a stretch that has one is gone through record by record with [`Count`].

use crate::scan::csv::dialect::Dialect;
use crate::scan::csv::quotes::Before;
use crate::scan::csv::tokenize::Bounds;
use crate::scan::masks::BLOCK;

/// Records that were counted.
#[derive(Default)]
pub struct Count {
    pub records: usize,
    /// Where the next one starts.
    pub next: usize,
    /// Delimiters that were seen of it.
    before: usize,
}

impl Count {
    /// From the record that starts at `next` on.
    pub fn from(next: usize) -> Self {
        Count { next, ..Count::default() }
    }

    /// Counts on over a block at `base`; false where no record is to be counted any more.
    #[inline(always)]
    pub fn each(
        &mut self,
        mut delimiters: u64,
        mut newlines: u64,
        base: usize,
        columns: usize,
        bounds: Bounds,
    ) -> bool {
        while newlines != 0 {
            let below = newlines ^ newlines.wrapping_sub(1);
            let in_record = self.before + (delimiters & below).count_ones() as usize;
            let goes_on = self.records < bounds.max_rows && self.next < bounds.stop;
            if in_record + 1 != columns || !goes_on {
                return false;
            }
            (self.records, self.before) = (self.records + 1, 0);
            self.next = base + newlines.trailing_zeros() as usize + 1;
            delimiters &= !below;
            newlines &= newlines - 1;
        }
        self.before += delimiters.count_ones() as usize;
        true
    }
}

/// Counts stretches that have no fault.
#[derive(Debug, Clone, Copy)]
pub struct Faultless {
    columns: usize,
    has_quotes: bool,
    may_double: bool,
    #[cfg(target_arch = "x86_64")]
    is_wide: bool,
}

impl Faultless {
    /// For records of `columns` fields. `None` where an escape is more than a second quote.
    pub fn new(dialect: &Dialect, columns: usize) -> Option<Self> {
        let may_double = dialect.escape == dialect.quote;
        if dialect.escape.is_some() && !may_double || u32::try_from(columns).is_err() {
            return None;
        }
        #[cfg(target_arch = "x86_64")]
        let is_wide = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512vpopcntdq")
            && is_x86_feature_detected!("avx512vbmi2");
        Some(Faultless {
            columns,
            has_quotes: dialect.quote.is_some(),
            may_double,
            #[cfg(target_arch = "x86_64")]
            is_wide,
        })
    }

    /// The records that end in a stretch of delimiters, newlines and quotes, which begins with one, and where the next
    /// one starts; `None` where there is a fault, or none ends.
    #[inline(always)]
    pub fn count(self, blocks: &[[u64; 3]], parity_of: impl Fn(u64) -> u64) -> Option<(usize, usize)> {
        #[cfg(target_arch = "x86_64")]
        if self.is_wide {
            // SAFETY: the machine was asked whether it has these instructions.
            return unsafe { self.count_wide(blocks) };
        }
        self.count_narrow(blocks, parity_of)
    }

    /// A block at a time.
    #[inline(always)]
    fn count_narrow(self, blocks: &[[u64; 3]], parity_of: impl Fn(u64) -> u64) -> Option<(usize, usize)> {
        let quotes_count = if self.has_quotes { u64::MAX } else { 0 };
        let (mut before, mut misplaced, mut is_doubled) = (Before::default(), 0, false);
        // Of the record that goes on from one block to the next.
        let (mut separators_before, mut is_miscounted) = (0, false);
        let (mut records, mut last) = (0, (0, 0));
        for (index, &[delimiters, newlines, quotes]) in blocks.iter().enumerate() {
            let passed = before.pass([delimiters, newlines, quotes & quotes_count], &parity_of);
            misplaced |= passed.misplaced | passed.text_behind;
            is_doubled |= passed.doubled;
            let (newlines, separators) = (passed.newlines, passed.delimiters | passed.newlines);
            // Up to the first newline; without one these are all bits.
            let first = newlines ^ newlines.wrapping_sub(1);
            // Wraps behind a record of another length, which is a fault noted already.
            let in_first = usize::wrapping_add(separators_before, (separators & first).count_ones() as usize);
            is_miscounted |= (newlines != 0) & (in_first != self.columns);
            let (mut counted, mut others) = (first, newlines & newlines.wrapping_sub(1));
            while others != 0 {
                let up_to = others ^ (others - 1);
                is_miscounted |= (separators & up_to & !counted).count_ones() as usize != self.columns;
                (counted, others) = (up_to, others & (others - 1));
            }
            let ended = newlines.count_ones() as usize;
            records += ended;
            separators_before = separators_before.wrapping_add(separators.count_ones() as usize);
            separators_before = separators_before.wrapping_sub(ended * self.columns);
            last = if newlines == 0 { last } else { (index, newlines) };
        }
        if misplaced != 0 || is_miscounted || is_doubled && !self.may_double {
            return None;
        }
        let (index, newlines) = last;
        (newlines != 0).then(|| (records, end_of_last(index, newlines)))
    }

    /// Eight blocks at a time, each in a lane of the registers; what a lane needs of those before it comes by running
    /// sums over the lanes.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512vpopcntdq,avx512vbmi2")]
    fn count_wide(self, blocks: &[[u64; 3]]) -> Option<(usize, usize)> {
        use std::arch::x86_64::*;

        // Of three-valued logic: a ^ b ^ c, a & !(b | c), a | b | c, a | (b & c).
        const ODD: i32 = 0x96;
        const BUT_NEITHER: i32 = 0x10;
        const ANY: i32 = 0xfe;
        const OR_BOTH: i32 = 0xf8;

        let zero = _mm512_setzero_si512();
        let ones = _mm512_set1_epi64(-1);
        let last_lane = _mm512_set1_epi64(7);
        let columns = _mm512_set1_epi64(self.columns.cast_signed() as i64);
        let quotes_count = if self.has_quotes { ones } else { zero };
        let doubles_fail = if self.may_double { zero } else { ones };

        let (mut inside, mut closing_before, mut faults) = (zero, zero, zero);
        let mut separators_before = _mm512_set1_epi64(i64::MIN);
        // Separators of the record that goes on, and where each lane last had a newline.
        let (mut carried, mut records) = (zero, zero);
        let (mut last_group, mut last_newlines) = (zero, zero);
        for (group, lanes) in blocks.chunks(LANES).enumerate() {
            let [delimiters, newlines, quotes] = spread(lanes);
            let quotes = _mm512_and_si512(quotes, quotes_count);
            // The parity of the quotes up to each bit, first within its lane.
            let mut parity = _mm512_xor_si512(quotes, _mm512_slli_epi64::<1>(quotes));
            parity = _mm512_xor_si512(parity, _mm512_slli_epi64::<2>(parity));
            parity = _mm512_xor_si512(parity, _mm512_slli_epi64::<4>(parity));
            parity = _mm512_xor_si512(parity, _mm512_slli_epi64::<8>(parity));
            parity = _mm512_xor_si512(parity, _mm512_slli_epi64::<16>(parity));
            parity = _mm512_xor_si512(parity, _mm512_slli_epi64::<32>(parity));
            let mut lane_parity = _mm512_srai_epi64::<63>(parity);
            lane_parity = _mm512_xor_si512(lane_parity, _mm512_alignr_epi64::<7>(lane_parity, zero));
            lane_parity = _mm512_xor_si512(lane_parity, _mm512_alignr_epi64::<6>(lane_parity, zero));
            lane_parity = _mm512_xor_si512(lane_parity, _mm512_alignr_epi64::<4>(lane_parity, zero));
            parity = _mm512_ternarylogic_epi64::<ODD>(parity, _mm512_alignr_epi64::<7>(lane_parity, zero), inside);
            inside = _mm512_xor_si512(inside, _mm512_permutexvar_epi64(last_lane, lane_parity));

            let (opening, closing) = (_mm512_and_si512(quotes, parity), _mm512_andnot_si512(parity, quotes));
            let newlines = _mm512_andnot_si512(parity, newlines);
            let separators = _mm512_or_si512(_mm512_andnot_si512(parity, delimiters), newlines);
            let lane_before = _mm512_alignr_epi64::<7>(separators, separators_before);
            let behind_separator = _mm512_shldi_epi64::<1>(separators, lane_before);
            let lane_before = _mm512_alignr_epi64::<7>(closing, closing_before);
            let behind_close = _mm512_shldi_epi64::<1>(closing, lane_before);
            (separators_before, closing_before) = (separators, closing);
            let misplaced = _mm512_ternarylogic_epi64::<BUT_NEITHER>(opening, behind_separator, behind_close);
            let text_behind = _mm512_ternarylogic_epi64::<BUT_NEITHER>(behind_close, separators, opening);
            faults = _mm512_ternarylogic_epi64::<ANY>(faults, misplaced, text_behind);
            let doubled = _mm512_and_si512(opening, behind_close);
            faults = _mm512_ternarylogic_epi64::<OR_BOTH>(faults, doubled, doubles_fail);

            // Separators up to each lane, less those that the records which ended before should have had.
            let ended = _mm512_popcnt_epi64(newlines);
            records = _mm512_add_epi64(records, ended);
            let over = _mm512_sub_epi64(_mm512_popcnt_epi64(separators), _mm512_mul_epu32(ended, columns));
            let mut running = _mm512_add_epi64(over, _mm512_alignr_epi64::<7>(over, zero));
            running = _mm512_add_epi64(running, _mm512_alignr_epi64::<6>(running, zero));
            running = _mm512_add_epi64(running, _mm512_alignr_epi64::<4>(running, zero));
            let before_lane = _mm512_add_epi64(_mm512_sub_epi64(running, over), carried);
            carried = _mm512_add_epi64(carried, _mm512_permutexvar_epi64(last_lane, running));

            let mut ending = _mm512_test_epi64_mask(newlines, newlines);
            last_newlines = _mm512_mask_mov_epi64(last_newlines, ending, newlines);
            last_group = _mm512_mask_set1_epi64(last_group, ending, group.cast_signed() as i64);
            let (mut others, mut wanted) = (newlines, columns);
            while ending != 0 {
                let below = _mm512_add_epi64(others, ones);
                let up_to = _mm512_and_si512(separators, _mm512_xor_si512(others, below));
                let found = _mm512_add_epi64(before_lane, _mm512_popcnt_epi64(up_to));
                faults = _mm512_or_si512(faults, _mm512_maskz_xor_epi64(ending, found, wanted));
                wanted = _mm512_add_epi64(wanted, columns);
                others = _mm512_and_si512(others, below);
                ending = _mm512_test_epi64_mask(others, others);
            }
        }
        if _mm512_test_epi64_mask(faults, faults) != 0 {
            return None;
        }
        let (groups, newlines) = (lanes_of(last_group), lanes_of(last_newlines));
        let ends = groups.iter().zip(newlines).enumerate().filter(|(_, (_, newlines))| *newlines != 0);
        let end = ends.map(|(lane, (&group, newlines))| end_of_last(group as usize * LANES + lane, newlines)).max()?;
        Some((_mm512_reduce_add_epi64(records).cast_unsigned() as usize, end))
    }
}

/// Blocks that a register holds.
#[cfg(target_arch = "x86_64")]
const LANES: usize = 8;

/// The three masks of at most eight blocks, each in a register of its own; of blocks that are missing they are empty.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx512f")]
fn spread(blocks: &[[u64; 3]]) -> [std::arch::x86_64::__m512i; 3] {
    use std::arch::x86_64::*;

    let mut padded = [[0; 3]; LANES];
    let blocks = blocks.as_array::<LANES>().unwrap_or_else(|| {
        padded[..blocks.len()].copy_from_slice(blocks);
        &padded
    });
    let words: &[[u64; LANES]] = blocks.as_flattened().as_chunks().0;
    // SAFETY: each part of the array has the eight words that are loaded.
    let [low, middle, high] = [0, 1, 2].map(|part| unsafe { _mm512_loadu_si512(words[part].as_ptr().cast()) });
    // Of the first sixteen words, and then of those and the last eight.
    let first = _mm512_permutex2var_epi64(low, _mm512_setr_epi64(0, 3, 6, 9, 12, 15, 0, 0), middle);
    let second = _mm512_permutex2var_epi64(low, _mm512_setr_epi64(1, 4, 7, 10, 13, 0, 0, 0), middle);
    let third = _mm512_permutex2var_epi64(low, _mm512_setr_epi64(2, 5, 8, 11, 14, 0, 0, 0), middle);
    [
        _mm512_permutex2var_epi64(first, _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 10, 13), high),
        _mm512_permutex2var_epi64(second, _mm512_setr_epi64(0, 1, 2, 3, 4, 8, 11, 14), high),
        _mm512_permutex2var_epi64(third, _mm512_setr_epi64(0, 1, 2, 3, 4, 9, 12, 15), high),
    ]
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn lanes_of(register: std::arch::x86_64::__m512i) -> [u64; LANES] {
    let mut lanes = [0; LANES];
    // SAFETY: the array has the eight words that are stored.
    unsafe { std::arch::x86_64::_mm512_storeu_si512(lanes.as_mut_ptr().cast(), register) };
    lanes
}

/// The byte behind the last newline of a block.
fn end_of_last(index: usize, newlines: u64) -> usize {
    index * BLOCK + (u64::BITS - newlines.leading_zeros()) as usize
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::scan::masks::{Finder, running_parity};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn registers_of_all_widths_count_the_same(
            columns in 1..6usize,
            records in vec(vec("[a-c]{0,40}|\"[a-c,\n]{0,90}\"|\"a\"\"b\"", 1..6), 0..200),
            flaw in prop_oneof![4 => Just(None), 1 => (0..4_000usize, prop::sample::select(b",\n\"x".to_vec())).prop_map(Some)],
            (has_quotes, may_double) in prop_oneof![3 => Just((true, true)), 1 => Just((true, false)), 1 => Just((false, false))],
        ) {
            prop_assume!(is_x86_feature_detected!("avx512vpopcntdq") && is_x86_feature_detected!("avx512vbmi2"));
            let fields = |record: &Vec<String>| record.iter().cycle().take(columns).cloned().collect::<Vec<_>>().join(",");
            let mut data: Vec<u8> = records.iter().flat_map(|record| (fields(record) + "\n").into_bytes()).collect();
            if let Some((at, byte)) = flaw && let Some(place) = data.get_mut(at) {
                *place = byte;
            }
            let mut blocks = Vec::new();
            Finder::new([b',', b'\n', b'"']).find(&data, &mut blocks);
            let counter = Faultless { columns, has_quotes, may_double, is_wide: true };
            // SAFETY: the machine was asked whether it has these instructions.
            let wide = unsafe { counter.count_wide(&blocks) };
            prop_assert_eq!(wide, counter.count_narrow(&blocks, running_parity));
        }
    }
}
