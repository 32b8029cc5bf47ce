//! Which bytes are one of a few, as bits: 64 bytes at a time, with the widest registers that the machine has.
//!
//! Invariant: bit `i` of block `b` tells of byte `64 * b + i`; bits behind the end of the data are zero.

/// Bytes of a block: one for each bit.
pub const BLOCK: usize = 64;

/// Finds `N` bytes at once.
#[derive(Debug, Clone, Copy)]
pub struct Finder<const N: usize> {
    wanted: [u8; N],
    registers: Registers,
}

/// What the machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Registers {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "aarch64")]
    Neon,
    Plain,
}

impl Registers {
    fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw") {
                return Registers::Avx512;
            }
            if is_x86_feature_detected!("avx2") {
                return Registers::Avx2;
            }
        }
        #[cfg(target_arch = "aarch64")]
        if std::arch::is_aarch64_feature_detected!("neon") {
            return Registers::Neon;
        }
        Registers::Plain
    }
}

impl<const N: usize> Finder<N> {
    /// A finder of these bytes.
    pub fn new(wanted: [u8; N]) -> Self {
        Finder { wanted, registers: Registers::detect() }
    }

    /// Replaces `blocks` by the blocks of `data`: for each wanted byte, where it is.
    pub fn find(&self, data: &[u8], blocks: &mut Vec<[u64; N]>) {
        blocks.clear();
        let (whole, rest) = data.as_chunks::<BLOCK>();
        blocks.reserve(whole.len() + 1);
        match self.registers {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the machine was asked whether it has these instructions.
            Registers::Avx512 => unsafe { avx512(whole, self.wanted, blocks) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the machine was asked whether it has these instructions.
            Registers::Avx2 => unsafe { avx2(whole, self.wanted, blocks) },
            #[cfg(target_arch = "aarch64")]
            // SAFETY: the machine was asked whether it has these instructions.
            Registers::Neon => unsafe { neon(whole, self.wanted, blocks) },
            Registers::Plain => blocks.extend(whole.iter().map(|block| plain(block, self.wanted))),
        }
        if !rest.is_empty() {
            let mut block = [0; BLOCK];
            block[..rest.len()].copy_from_slice(rest);
            let known = !(u64::MAX << rest.len());
            blocks.push(plain(&block, self.wanted).map(|bits| bits & known));
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw")]
fn avx512<const N: usize>(data: &[[u8; BLOCK]], wanted: [u8; N], blocks: &mut Vec<[u64; N]>) {
    use std::arch::x86_64::{_mm512_cmpeq_epi8_mask, _mm512_loadu_si512, _mm512_set1_epi8, _mm512_setzero_si512};
    // Loops, not closures: a closure that is not inlined would pass registers through memory.
    let mut patterns = [_mm512_setzero_si512(); N];
    for (pattern, byte) in patterns.iter_mut().zip(wanted) {
        *pattern = _mm512_set1_epi8(byte.cast_signed());
    }
    blocks.resize(data.len(), [0; N]);
    for (masks, block) in blocks.iter_mut().zip(data) {
        // SAFETY: a block has the 64 bytes that are loaded, wherever it lies.
        let bytes = unsafe { _mm512_loadu_si512(block.as_ptr().cast()) };
        for (mask, pattern) in masks.iter_mut().zip(&patterns) {
            *mask = _mm512_cmpeq_epi8_mask(bytes, *pattern);
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn avx2<const N: usize>(data: &[[u8; BLOCK]], wanted: [u8; N], blocks: &mut Vec<[u64; N]>) {
    use std::arch::x86_64::{
        _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_movemask_epi8, _mm256_set1_epi8, _mm256_setzero_si256,
    };
    let mut patterns = [_mm256_setzero_si256(); N];
    for (pattern, byte) in patterns.iter_mut().zip(wanted) {
        *pattern = _mm256_set1_epi8(byte.cast_signed());
    }
    blocks.resize(data.len(), [0; N]);
    for (masks, block) in blocks.iter_mut().zip(data) {
        let (low, high) = block.split_at(BLOCK / 2);
        // SAFETY: each half has the 32 bytes that are loaded, wherever it lies.
        let (low, high) =
            unsafe { (_mm256_loadu_si256(low.as_ptr().cast()), _mm256_loadu_si256(high.as_ptr().cast())) };
        for (mask, pattern) in masks.iter_mut().zip(&patterns) {
            let low = u64::from(_mm256_movemask_epi8(_mm256_cmpeq_epi8(low, *pattern)).cast_unsigned());
            let high = u64::from(_mm256_movemask_epi8(_mm256_cmpeq_epi8(high, *pattern)).cast_unsigned());
            *mask = low | high << 32;
        }
    }
}

/// Sixteen bytes at a time: each equal byte keeps the bit of its place, and neighbours are added until eight bytes are one.
#[cfg(target_arch = "aarch64")]
#[target_feature(enable = "neon")]
fn neon<const N: usize>(data: &[[u8; BLOCK]], wanted: [u8; N], blocks: &mut Vec<[u64; N]>) {
    use std::arch::aarch64::{
        vandq_u8, vceqq_u8, vdupq_n_u8, vgetq_lane_u64, vld1q_u8, vpaddq_u8, vreinterpretq_u64_u8,
    };
    const LANES: usize = 16;
    const PLACES: [u8; LANES] = [1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128];
    // SAFETY: the array has the sixteen bytes that are loaded.
    let places = unsafe { vld1q_u8(PLACES.as_ptr()) };
    blocks.resize(data.len(), [0; N]);
    for (masks, block) in blocks.iter_mut().zip(data) {
        let mut bytes = [places; BLOCK / LANES];
        for (loaded, part) in bytes.iter_mut().zip(block.as_chunks::<LANES>().0) {
            // SAFETY: a part has the sixteen bytes that are loaded, wherever it lies.
            *loaded = unsafe { vld1q_u8(part.as_ptr()) };
        }
        for (mask, byte) in masks.iter_mut().zip(wanted) {
            let pattern = vdupq_n_u8(byte);
            let [first, second, third, fourth] = bytes;
            let lower =
                vpaddq_u8(vandq_u8(vceqq_u8(first, pattern), places), vandq_u8(vceqq_u8(second, pattern), places));
            let upper =
                vpaddq_u8(vandq_u8(vceqq_u8(third, pattern), places), vandq_u8(vceqq_u8(fourth, pattern), places));
            let pairs = vpaddq_u8(lower, upper);
            *mask = vgetq_lane_u64::<0>(vreinterpretq_u64_u8(vpaddq_u8(pairs, pairs)));
        }
    }
}

/// Without vector instructions of a certain machine: eight bytes as a number.
fn plain<const N: usize>(block: &[u8; BLOCK], wanted: [u8; N]) -> [u64; N] {
    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    // Brings the highest bits of eight bytes together, the first byte's lowest.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let (words, _) = block.as_chunks::<8>();
    wanted.map(|byte| {
        let pattern = u64::from_ne_bytes([byte; 8]);
        words.iter().enumerate().fold(0, |bits, (index, word)| {
            let different = u64::from_le_bytes(*word) ^ pattern;
            let equal = !(((different & LOW) + LOW) | different | LOW);
            bits | ((equal >> 7).wrapping_mul(GATHER) >> 56) << (8 * index)
        })
    })
}

/// For each bit how many bits are set up to it, itself included, modulo two.
pub fn running_parity(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}

/// As [`running_parity`], by one multiplication without carries with a number of nothing but ones.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "pclmulqdq")]
pub fn running_parity_multiplied(bits: u64) -> u64 {
    use std::arch::x86_64::{_mm_clmulepi64_si128, _mm_cvtsi64_si128, _mm_cvtsi128_si64, _mm_set1_epi8};
    _mm_cvtsi128_si64(_mm_clmulepi64_si128::<0>(_mm_cvtsi64_si128(bits.cast_signed()), _mm_set1_epi8(-1)))
        .cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_registers_find_the_same_bytes() {
        let data: Vec<u8> = (0..1_000u32).map(|index| b",\n\"x\0\xff\xac\x8a"[(index * 7 / 3 % 8) as usize]).collect();
        let finder = Finder::new([b',', b'\n', b'"']);
        for (from, to) in [(0, 1_000), (1, 65), (3, 67), (5, 5), (9, 10), (0, 64), (700, 829)] {
            let data = &data[from..to];
            let mut blocks = vec![[7; 3]];
            finder.find(data, &mut blocks);
            let mut portable = Vec::new();
            Finder { registers: Registers::Plain, ..finder }.find(data, &mut portable);
            #[cfg(target_arch = "x86_64")]
            if is_x86_feature_detected!("avx2") {
                let mut narrow = Vec::new();
                Finder { registers: Registers::Avx2, ..finder }.find(data, &mut narrow);
                assert_eq!(narrow, portable);
            }
            assert_eq!(blocks, portable);
            assert_eq!(blocks.len(), data.len().div_ceil(BLOCK));
            for (index, byte) in data.iter().enumerate() {
                let found = blocks[index / BLOCK].map(|bits| bits >> (index % BLOCK) & 1 == 1);
                assert_eq!(found, [b',', b'\n', b'"'].map(|wanted| wanted == *byte), "byte {index}");
            }
        }
    }

    #[test]
    fn parity_runs_from_the_lowest_bit() {
        assert_eq!(running_parity(0b100_0100), 0b011_1100);
        assert_eq!(running_parity(1), u64::MAX);
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("pclmulqdq") {
            for bits in (0..200u64).map(|seed| seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (seed % 64)) {
                // SAFETY: the machine was asked whether it has this instruction.
                assert_eq!(unsafe { running_parity_multiplied(bits) }, running_parity(bits), "{bits:x}");
            }
        }
    }
}
