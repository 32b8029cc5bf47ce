//! Where the bits of masks are set, as a list of places.
//!
//! Invariant: the places are those of the set bits in rising order, whatever instructions found them. With AVX-512 the
//! numbers 0 to 63 are compressed by the mask itself. (Langdale and Lemire, "Parsing gigabytes of JSON per second", 2019.)

use crate::scan::masks::BLOCK;

/// Places of set bits; its memory is used again.
#[derive(Debug, Default)]
pub struct Positions {
    places: Vec<u32>,
    count: usize,
}

impl Positions {
    /// The places that were found last.
    pub fn get(&self) -> &[u32] {
        self.places.get(..self.count).unwrap_or_default()
    }

    /// Finds the places of the bits of `blocks`, of which there are at most `most`.
    #[inline(always)]
    pub fn set(&mut self, blocks: impl Iterator<Item = u64>, most: usize) {
        // A block's places are written without asking how many there are.
        self.places.resize((most + 1) * BLOCK, 0);
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vbmi2")
            && is_x86_feature_detected!("popcnt")
        {
            // SAFETY: the machine was asked whether it has these instructions.
            self.count = unsafe { compressed(blocks.take(most), &mut self.places) };
            return;
        }
        self.count = counted(blocks.take(most), &mut self.places);
    }

    /// Bytes that the places of so many blocks take.
    pub const fn bytes(most: usize) -> usize {
        (most + 1) * BLOCK * size_of::<u32>()
    }
}

/// One bit after the other; gives their number. `places` has room for all bits of all blocks and of one more.
#[inline(always)]
fn counted(blocks: impl Iterator<Item = u64>, places: &mut [u32]) -> usize {
    /// How many places are written without asking whether there are so many.
    const GROUP: usize = 8;
    let (mut count, mut base) = (0, 0);
    for mut bits in blocks {
        let found = bits.count_ones() as usize;
        let mut done = 0;
        while done < found {
            let Some(group) = places.get_mut(count + done..).and_then(<[u32]>::first_chunk_mut::<GROUP>) else { break };
            for place in group {
                *place = base + bits.trailing_zeros();
                bits &= bits.wrapping_sub(1);
            }
            done += GROUP;
        }
        count += found;
        base += BLOCK as u32;
    }
    count
}

/// The same, sixteen bits at once.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,popcnt")]
fn compressed(blocks: impl Iterator<Item = u64>, places: &mut [u32]) -> usize {
    use std::arch::x86_64::{
        _mm_loadu_si128, _mm512_add_epi32, _mm512_cvtepu8_epi32, _mm512_loadu_si512, _mm512_maskz_compress_epi8,
        _mm512_set1_epi32, _mm512_storeu_si512,
    };
    const LANES: usize = 16;
    const NUMBERS: [u8; BLOCK] = {
        let (mut numbers, mut number) = ([0; BLOCK], 0);
        while number < BLOCK {
            numbers[number] = number as u8;
            number += 1;
        }
        numbers
    };
    // SAFETY: the array has the 64 bytes that are loaded.
    let numbers = unsafe { _mm512_loadu_si512(NUMBERS.as_ptr().cast()) };
    let (mut count, mut base) = (0, 0);
    for bits in blocks {
        let found = bits.count_ones() as usize;
        let Some(room) = places.get_mut(count..).and_then(<[u32]>::first_chunk_mut::<BLOCK>) else { break };
        let mut packed = [0u8; BLOCK];
        // SAFETY: the array has the 64 bytes that are stored.
        unsafe { _mm512_storeu_si512(packed.as_mut_ptr().cast(), _mm512_maskz_compress_epi8(bits, numbers)) };
        let offset = _mm512_set1_epi32(base);
        for (lanes, out) in packed.as_chunks::<LANES>().0.iter().zip(room.as_chunks_mut::<LANES>().0) {
            // SAFETY: both arrays have the sixteen numbers that are loaded and stored.
            unsafe {
                let wide = _mm512_cvtepu8_epi32(_mm_loadu_si128(lanes.as_ptr().cast()));
                _mm512_storeu_si512(out.as_mut_ptr().cast(), _mm512_add_epi32(wide, offset));
            }
            if found <= LANES {
                break;
            }
        }
        count += found;
        base += BLOCK as i32;
    }
    count
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn all_instructions_find_the_same_places(
            blocks in prop::collection::vec(prop_oneof![any::<u64>(), Just(0), Just(u64::MAX), any::<u64>().prop_map(|bits| bits & bits << 7 & bits << 3)], 0..50)
        ) {
            let is_set = |place: &u32| blocks[*place as usize / BLOCK] >> (*place as usize % BLOCK) & 1 == 1;
            let expected: Vec<u32> = (0..(blocks.len() * BLOCK) as u32).filter(is_set).collect();
            let mut positions = Positions::default();
            positions.set(blocks.iter().copied(), blocks.len());
            prop_assert_eq!(positions.get(), &expected);
            let mut places = vec![0; (blocks.len() + 1) * BLOCK];
            let count = counted(blocks.iter().copied(), &mut places);
            prop_assert_eq!(&places[..count], &expected);
        }
    }
}
