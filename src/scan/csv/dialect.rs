//! How a CSV file is written: its delimiter, quotes, line ends and comments.

use std::borrow::Cow;

/// What follows the first byte of a delimiter: nothing in most files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tail {
    bytes: [u8; Tail::LONGEST],
    length: u8,
}

impl Tail {
    /// Bytes that it has at most.
    pub const LONGEST: usize = 3;

    /// These bytes; `None` for too many.
    pub fn new(tail: &[u8]) -> Option<Self> {
        let mut bytes = [0; Tail::LONGEST];
        bytes.get_mut(..tail.len())?.copy_from_slice(tail);
        Some(Tail { bytes, length: u8::try_from(tail.len()).ok()? })
    }

    /// Its bytes.
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }
}

/// The characters with a meaning. All but the delimiter are single bytes below 128, so that a cut at one never splits a
/// UTF-8 character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    /// The first byte of the delimiter.
    pub delimiter: u8,
    /// The others.
    pub tail: Tail,
    /// Opens a field that may hold delimiters and line ends; only at the very start of a field.
    pub quote: Option<u8>,
    /// Inside quotes, takes the meaning from the next character. The quote itself: quotes are doubled.
    pub escape: Option<u8>,
    /// `\n` (with or without `\r` before it), or `\r` for files that have nothing else.
    pub newline: u8,
    /// A line that starts with it is no record.
    pub comment: Option<u8>,
    /// A line that starts as a comment and has so many fields is a record all the same.
    pub uncommented: Option<usize>,
    /// Spaces may stand around quotes.
    pub spaced: bool,
    /// In a file of one column a blank line is a record: an empty value.
    pub blank_is_record: bool,
}

impl Default for Dialect {
    fn default() -> Self {
        Dialect {
            delimiter: b',',
            tail: Tail::default(),
            quote: Some(b'"'),
            escape: Some(b'"'),
            newline: b'\n',
            comment: None,
            uncommented: None,
            spaced: false,
            blank_is_record: false,
        }
    }
}

impl Dialect {
    /// The whole delimiter.
    pub fn delimiter_text(&self) -> String {
        let bytes = [&[self.delimiter], self.tail.as_slice()].concat();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// What stands between the quotes, without its escapes.
    pub fn unescaped<'a>(&self, text: &'a [u8], escaped: bool) -> Cow<'a, [u8]> {
        let (true, Some(escape)) = (escaped, self.escape) else { return Cow::Borrowed(text) };
        let mut plain = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = memchr::memchr(escape, rest) {
            plain.extend_from_slice(&rest[..at]);
            // The escaped character goes along unseen, also when it is the escape itself.
            plain.extend(rest.get(at + 1));
            rest = rest.get(at + 2..).unwrap_or_default();
        }
        plain.extend_from_slice(rest);
        Cow::Owned(plain)
    }
}
