//! What quotes make of separators: from masks, a block of 64 bytes at a time.

/// What the bytes before a block mean for it: bits of its first byte, and whether all of it is between quotes.
pub struct Before {
    pub inside: u64,
    /// A record's start is as good as a separator.
    pub separator: u64,
    pub close: u64,
}

impl Before {
    /// Goes on over a block.
    #[inline(always)]
    pub fn pass(&mut self, [delimiters, newlines, quotes]: [u64; 3], parity_of: impl Fn(u64) -> u64) -> Passed {
        let parity = parity_of(quotes) ^ self.inside;
        let (opening, closing) = (quotes & parity, quotes & !parity);
        let (delimiters, newlines) = (delimiters & !parity, newlines & !parity);
        let separators = delimiters | newlines;
        let (behind_separator, behind_close) = (separators << 1 | self.separator, closing << 1 | self.close);
        *self = Before { inside: 0u64.wrapping_sub(parity >> 63), separator: separators >> 63, close: closing >> 63 };
        Passed {
            delimiters,
            newlines,
            doubled: opening & behind_close != 0,
            misplaced: opening & !(behind_separator | behind_close),
            text_behind: behind_close & !(separators | opening),
        }
    }
}

impl Default for Before {
    fn default() -> Self {
        Before { inside: 0, separator: 1, close: 0 }
    }
}

/// What quotes make of a block.
pub struct Passed {
    /// Those that end fields.
    pub delimiters: u64,
    /// Those that end records.
    pub newlines: u64,
    /// Whether quotes stand for quotes in it.
    pub doubled: bool,
    /// Opening quotes that are not at the beginning of a field.
    pub misplaced: u64,
    /// Bytes behind closing quotes that are no separators.
    pub text_behind: u64,
}
