//! How a CSV file is written: its delimiter, quotes, line ends and comments.

use std::borrow::Cow;

/// The characters with a meaning. All are single bytes below 128, so that a cut at one never splits a UTF-8 character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    pub delimiter: u8,
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
