//! Where a field ends that stands in no quotes.

/// Finds the next of two bytes, eight at a time. Keeps the matches of its eight bytes between calls, since most fields
/// are shorter.
pub(super) struct Seeker<'a> {
    data: &'a [u8],
    patterns: [u64; 2],
    /// Where the eight bytes begin.
    block: usize,
    /// The highest bit of each byte that matches and lies at or behind the last position asked for.
    matches: u64,
}

const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;

impl<'a> Seeker<'a> {
    /// Looks for `first` and `second` in `data`.
    pub(super) fn new(data: &'a [u8], first: u8, second: u8) -> Self {
        let repeated = |byte: u8| u64::from_ne_bytes([byte; 8]);
        let mut seeker = Seeker { data, patterns: [repeated(first), repeated(second)], block: 0, matches: 0 };
        seeker.load(0);
        seeker
    }

    /// The first match at or behind `at`, which never goes back by more than the window of eight.
    pub(super) fn next(&mut self, at: usize) -> Option<usize> {
        let inside = at.wrapping_sub(self.block);
        if inside < 8 {
            self.matches &= u64::MAX << (8 * inside);
        } else {
            self.load(at);
        }
        while self.matches == 0 {
            if self.block + 8 >= self.data.len() {
                return None;
            }
            self.load(self.block + 8);
        }
        Some(self.block + (self.matches.trailing_zeros() / 8) as usize)
    }

    fn load(&mut self, block: usize) {
        self.block = block;
        let rest = self.data.get(block..).unwrap_or_default();
        let (word, known) = match rest.first_chunk::<8>() {
            Some(bytes) => (u64::from_le_bytes(*bytes), u64::MAX),
            None => {
                let mut bytes = [0; 8];
                bytes[..rest.len()].copy_from_slice(rest);
                (u64::from_le_bytes(bytes), !(u64::MAX << (8 * rest.len())))
            }
        };
        let [first, second] = self.patterns;
        self.matches = (zero_bytes(word ^ first) | zero_bytes(word ^ second)) & known;
    }
}

/// The highest bit of every byte that is zero, exactly.
fn zero_bytes(word: u64) -> u64 {
    !(((word & LOW) + LOW) | word | LOW)
}
