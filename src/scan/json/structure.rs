//! Where the tokens of JSON text stand, found 64 bytes at a time.
//!
//! Every block of the text is turned into masks, one bit for each byte: quotes, backslashes, control characters, white
//! space, brackets and the like. What lies in strings is taken out by the parity of the quotes before it. (Langdale and
//! Lemire, "Parsing gigabytes of JSON per second", 2019.)
//!
//! Invariant: the tokens are the brackets, colons and commas outside of strings, the opening and the closing quote of
//! each string, the first byte of each run of other bytes outside of strings, and, where lines are records, line ends.
//! Strings hold no control character, and every escape in them is one; text behind the first flaw has no tokens.

use crate::scan::masks::{BLOCK, running_parity};

/// Classes of bytes in a block.
#[derive(Debug, Clone, Copy, Default)]
struct Block {
    quotes: u64,
    backslashes: u64,
    /// Control characters.
    control: u64,
    /// Spaces, tabs, carriage returns, line ends.
    blank: u64,
    newlines: u64,
    /// `{}[]:,`
    operators: u64,
}

/// What the machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Registers {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Plain,
}

/// The tokens of a stretch of text.
#[derive(Debug)]
pub(super) struct Tokens {
    registers: Registers,
    places: Vec<u32>,
    count: usize,
}

/// What goes on from block to block.
#[derive(Debug, Clone, Copy, Default)]
struct Carry {
    /// All ones where line ends are tokens.
    line_ends: u64,
    /// All ones within a string.
    in_string: u64,
    /// The next byte is escaped.
    escaped: u64,
    /// The last byte belonged to a run outside of strings.
    in_run: u64,
}

impl Tokens {
    /// No tokens yet.
    pub(super) fn new() -> Self {
        Tokens { registers: detected(), places: Vec::new(), count: 0 }
    }

    /// No tokens any more.
    pub(super) fn clear(&mut self) {
        self.count = 0;
    }

    /// Forgets the tokens from byte `end` on.
    pub(super) fn cut(&mut self, end: usize) {
        self.count = self.get().partition_point(|place| (*place as usize) < end);
    }

    /// The places of the tokens.
    pub(super) fn get(&self) -> &[u32] {
        self.places.get(..self.count).unwrap_or_default()
    }

    /// Replaces the tokens by those of `text`, which begins outside of any string; with `lines`, line ends are tokens.
    /// Gives where the first flaw of a string is, if there is one; a string that is open at the end is none.
    pub(super) fn find(&mut self, text: &[u8], lines: bool) -> Option<usize> {
        self.count = 0;
        match self.registers {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the machine was asked whether it has these instructions.
            Registers::Avx512 => unsafe { self.find_avx512(text, lines) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the machine was asked whether it has these instructions.
            Registers::Avx2 => unsafe { self.find_avx2(text, lines) },
            Registers::Plain => self.find_with(text, lines, plain),
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512bw,popcnt,lzcnt,bmi1,bmi2")]
    fn find_avx512(&mut self, text: &[u8], lines: bool) -> Option<usize> {
        self.find_with(text, lines, |block| avx512(block))
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,popcnt,lzcnt,bmi1,bmi2")]
    fn find_avx2(&mut self, text: &[u8], lines: bool) -> Option<usize> {
        self.find_with(text, lines, |block| avx2(block))
    }

    #[inline(always)]
    fn find_with(&mut self, text: &[u8], lines: bool, classes: impl Fn(&[u8; BLOCK]) -> Block) -> Option<usize> {
        let mut carry = Carry { line_ends: if lines { u64::MAX } else { 0 }, ..Carry::default() };
        let (whole, rest) = text.as_chunks::<BLOCK>();
        let mut base = 0;
        for block in whole {
            if let Some(flaw) = self.block(text, base, classes(block), &mut carry) {
                return Some(flaw);
            }
            base += BLOCK;
        }
        if rest.is_empty() {
            return None;
        }
        let mut block = [b' '; BLOCK];
        block[..rest.len()].copy_from_slice(rest);
        self.block(text, base, classes(&block), &mut carry)
    }

    #[inline(always)]
    fn block(&mut self, text: &[u8], base: usize, block: Block, carry: &mut Carry) -> Option<usize> {
        let (escaped, bad_escape) = match block.backslashes | carry.escaped {
            0 => (0, None),
            _ => escapes(text, base, block.backslashes, carry),
        };
        let quotes = block.quotes & !escaped;
        let in_string = running_parity(quotes) ^ carry.in_string;
        carry.in_string = 0u64.wrapping_sub(in_string >> 63);
        let bad_control = block.control & in_string;
        let outside = !(in_string | quotes);
        let runs = outside & !(block.operators | block.blank);
        let starts = runs & !(runs << 1 | carry.in_run);
        carry.in_run = runs >> 63;
        self.put(base, (block.operators | block.newlines & carry.line_ends) & outside | quotes | starts);
        if bad_control == 0 && bad_escape.is_none() {
            return None;
        }
        // Escapes mean nothing outside of strings, where a backslash begins a run that no value can be.
        let escape = bad_escape.filter(|at| in_string >> at & 1 == 1);
        let control = (bad_control != 0).then(|| bad_control.trailing_zeros() as usize);
        let flaw = base + [escape, control].into_iter().flatten().min()?;
        self.cut(flaw);
        Some(flaw)
    }

    /// Appends the places of `tokens`.
    #[inline(always)]
    fn put(&mut self, base: usize, mut tokens: u64) {
        const GROUP: usize = 8;
        if self.places.len() < self.count + BLOCK + GROUP {
            let more = (self.places.len() * 2).max(4096);
            self.places.resize(more, 0);
        }
        let base = u32::try_from(base).unwrap_or(u32::MAX - 64);
        let count = tokens.count_ones() as usize;
        let mut done = 0;
        while done < count {
            let Some(group) = self.places.get_mut(self.count + done..).and_then(<[u32]>::first_chunk_mut) else {
                break;
            };
            let group: &mut [u32; GROUP] = group;
            for place in group {
                *place = base.wrapping_add(tokens.trailing_zeros());
                tokens &= tokens.wrapping_sub(1);
            }
            done += GROUP;
        }
        self.count += count;
    }
}

/// Which bytes of a block are escaped, and the first backslash in it that begins no escape.
fn escapes(text: &[u8], base: usize, backslashes: u64, carry: &mut Carry) -> (u64, Option<usize>) {
    let mut escaped = carry.escaped;
    let mut left = backslashes & !escaped;
    let mut bad = None;
    carry.escaped = 0;
    while left != 0 {
        let bit = left & left.wrapping_neg();
        let at = bit.trailing_zeros() as usize;
        if bad.is_none() && !is_escape(text.get(base + at + 1..).unwrap_or_default()) {
            bad = Some(at);
        }
        escaped |= bit << 1;
        carry.escaped = bit >> 63;
        left &= !(bit | bit << 1);
    }
    (escaped, bad)
}

/// Whether what follows a backslash makes it an escape; the end of the text may.
fn is_escape(behind: &[u8]) -> bool {
    match behind.first() {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') | None => true,
        Some(b'u') => behind.iter().skip(1).take(4).all(u8::is_ascii_hexdigit),
        Some(_) => false,
    }
}

fn detected() -> Registers {
    #[cfg(target_arch = "x86_64")]
    {
        let counts_bits = is_x86_feature_detected!("popcnt")
            && is_x86_feature_detected!("lzcnt")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2");
        if counts_bits && is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw") {
            return Registers::Avx512;
        }
        if counts_bits && is_x86_feature_detected!("avx2") {
            return Registers::Avx2;
        }
    }
    Registers::Plain
}

/// By the lower half of a blank byte, the byte.
#[cfg(target_arch = "x86_64")]
const BLANKS: [u8; 16] = [b' ', 0, 0, 0, 0, 0, 0, 0, 0, b'\t', b'\n', 0, 0, b'\r', 0, 0];
/// The same for operators with the bit set that makes `[` a `{`; takes two control characters along, which are told
/// apart when they are looked at.
#[cfg(target_arch = "x86_64")]
const OPERATORS: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, b':', b'{', b',', b'}', 0, 0];

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw")]
fn avx512(block: &[u8; BLOCK]) -> Block {
    use std::arch::x86_64::{
        _mm_loadu_si128, _mm512_broadcast_i32x4, _mm512_cmpeq_epi8_mask, _mm512_cmplt_epu8_mask, _mm512_loadu_si512,
        _mm512_or_si512, _mm512_set1_epi8, _mm512_shuffle_epi8,
    };
    // SAFETY: a block has the 64 bytes that are loaded, each table the 16.
    let (bytes, blanks, operators) = unsafe {
        (
            _mm512_loadu_si512(block.as_ptr().cast()),
            _mm512_broadcast_i32x4(_mm_loadu_si128(BLANKS.as_ptr().cast())),
            _mm512_broadcast_i32x4(_mm_loadu_si128(OPERATORS.as_ptr().cast())),
        )
    };
    let equal = |byte: u8| _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(byte.cast_signed()));
    let curled = _mm512_or_si512(bytes, _mm512_set1_epi8(0x20));
    Block {
        quotes: equal(b'"'),
        backslashes: equal(b'\\'),
        control: _mm512_cmplt_epu8_mask(bytes, _mm512_set1_epi8(0x20)),
        blank: _mm512_cmpeq_epi8_mask(bytes, _mm512_shuffle_epi8(blanks, bytes)),
        newlines: equal(b'\n'),
        operators: _mm512_cmpeq_epi8_mask(curled, _mm512_shuffle_epi8(operators, bytes)),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn avx2(block: &[u8; BLOCK]) -> Block {
    use std::arch::x86_64::{
        __m256i, _mm_loadu_si128, _mm256_broadcastsi128_si256, _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_max_epu8,
        _mm256_movemask_epi8, _mm256_or_si256, _mm256_set1_epi8, _mm256_shuffle_epi8,
    };
    let (low, high) = block.split_at(BLOCK / 2);
    // SAFETY: each half has the 32 bytes that are loaded, each table the 16.
    let (halves, blanks, operators) = unsafe {
        (
            [_mm256_loadu_si256(low.as_ptr().cast()), _mm256_loadu_si256(high.as_ptr().cast())],
            _mm256_broadcastsi128_si256(_mm_loadu_si128(BLANKS.as_ptr().cast())),
            _mm256_broadcastsi128_si256(_mm_loadu_si128(OPERATORS.as_ptr().cast())),
        )
    };
    let both = |bits: [__m256i; 2]| {
        let [low, high] = bits.map(|half| u64::from(_mm256_movemask_epi8(half).cast_unsigned()));
        low | high << 32
    };
    let equal = |byte: u8| both(halves.map(|half| _mm256_cmpeq_epi8(half, _mm256_set1_epi8(byte.cast_signed()))));
    let last_control = _mm256_set1_epi8(0x1f);
    let curl = _mm256_set1_epi8(0x20);
    Block {
        quotes: equal(b'"'),
        backslashes: equal(b'\\'),
        control: both(halves.map(|half| _mm256_cmpeq_epi8(_mm256_max_epu8(half, last_control), last_control))),
        blank: both(halves.map(|half| _mm256_cmpeq_epi8(half, _mm256_shuffle_epi8(blanks, half)))),
        newlines: equal(b'\n'),
        operators: both(
            halves.map(|half| _mm256_cmpeq_epi8(_mm256_or_si256(half, curl), _mm256_shuffle_epi8(operators, half))),
        ),
    }
}

/// Byte by byte, for machines without vector instructions of a certain kind.
fn plain(block: &[u8; BLOCK]) -> Block {
    let mut classes = Block::default();
    for (index, byte) in block.iter().enumerate() {
        let bit = 1 << index;
        match byte {
            b'"' => classes.quotes |= bit,
            b'\\' => classes.backslashes |= bit,
            b'{' | b'}' | b'[' | b']' | b':' | b',' => classes.operators |= bit,
            b' ' => classes.blank |= bit,
            0..0x20 => {
                classes.control |= bit;
                match byte {
                    b'\t' | b'\r' => classes.blank |= bit,
                    b'\n' => {
                        classes.blank |= bit;
                        classes.newlines |= bit;
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }
    classes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all_registers() -> Vec<Registers> {
        let mut all = vec![Registers::Plain, detected()];
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi2") {
            all.push(Registers::Avx2);
        }
        all
    }

    fn found(text: &str, registers: Registers) -> (Vec<usize>, Option<usize>) {
        let mut tokens = Tokens { registers, ..Tokens::new() };
        let flaw = tokens.find(text.as_bytes(), true);
        (tokens.get().iter().map(|place| *place as usize).collect(), flaw)
    }

    /// The same byte by byte.
    fn expected(text: &str) -> (Vec<usize>, Option<usize>) {
        let (mut places, bytes) = (Vec::new(), text.as_bytes());
        let (mut at, mut in_run) = (0, false);
        while at < bytes.len() {
            let was_in_run = std::mem::replace(&mut in_run, false);
            match bytes[at] {
                b'{' | b'}' | b'[' | b']' | b':' | b',' | b'\n' => places.push(at),
                b' ' | b'\t' | b'\r' => {}
                b'"' => {
                    places.push(at);
                    at += 1;
                    while at < bytes.len() && bytes[at] != b'"' {
                        if bytes[at] < 0x20 || bytes[at] == b'\\' && !is_escape(&bytes[at + 1..]) {
                            return (places, Some(at));
                        }
                        at += if bytes[at] == b'\\' { 2 } else { 1 };
                    }
                    if at < bytes.len() {
                        places.push(at);
                    }
                }
                _ => {
                    in_run = true;
                    if !was_in_run {
                        places.push(at);
                    }
                }
            }
            at += 1;
        }
        (places, None)
    }

    proptest! {
        #[test]
        fn all_registers_find_what_a_byte_by_byte_scanner_finds(
            parts in prop::collection::vec(
                prop_oneof![
                    4 => "[{}\\[\\]:, \n\t0-9a-z]{0,20}",
                    4 => "\"[ -!#-\\[\\]-~äß]{0,70}\"",
                    2 => "\"(\\\\[\"\\\\/bnu]|[a-f0-9]){0,30}\"",
                    1 => "[\"\n\r{}x]{0,4}",
                ], 0..12),
        ) {
            let text = parts.concat();
            // A backslash outside of strings escapes nothing there, but masks cannot tell: no value begins so.
            prop_assume!(!has_backslash_outside(&text));
            for registers in all_registers() {
                prop_assert_eq!(found(&text, registers), expected(&text), "{:?}", registers);
            }
        }
    }

    fn has_backslash_outside(text: &str) -> bool {
        let mut bytes = text.bytes();
        let mut in_string = false;
        while let Some(byte) = bytes.next() {
            match byte {
                b'"' => in_string = !in_string,
                b'\\' if in_string => drop(bytes.next()),
                b'\\' => return true,
                _ => {}
            }
        }
        false
    }

    #[test]
    fn escapes_go_on_over_the_ends_of_blocks() {
        for length in 50..80 {
            let text = format!("\"{}\\\\\\\"\\u00e4x\" , 1", "a".repeat(length));
            for registers in all_registers() {
                assert_eq!(found(&text, registers), expected(&text), "{length} {registers:?}");
            }
        }
    }
}
