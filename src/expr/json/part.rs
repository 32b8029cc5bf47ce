//! The parts of a text that is known to be JSON, where they stand: numbers keep all their digits.

use std::borrow::Cow;

use super::normal::write_normal;
use super::{check, malformed};
use crate::error::Result;

/// What stands between parts.
const SPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// A value, without the spaces around it.
#[derive(Debug, Clone, Copy)]
pub(in crate::expr) struct Part<'a>(&'a str);

impl<'a> Part<'a> {
    /// The whole of a text.
    ///
    /// # Errors
    /// `INVALID_CAST` where it is malformed.
    pub(in crate::expr) fn of(text: &'a str) -> Result<Self> {
        check(text)?;
        Ok(Part(text.trim_matches(SPACE)))
    }

    /// As it stands there.
    pub(in crate::expr) fn raw(self) -> &'a str {
        self.0
    }

    pub(in crate::expr) fn is_null(self) -> bool {
        self.0 == "null"
    }

    /// The values of an array.
    pub(in crate::expr) fn items(self) -> Option<impl Iterator<Item = Part<'a>>> {
        self.inside('[', ']').map(|rest| Pieces { rest }.map(Part))
    }

    /// The keys of an object, in their quotes, and the values.
    pub(in crate::expr) fn entries(self) -> Option<impl Iterator<Item = (Part<'a>, Part<'a>)>> {
        let entry = |piece: &'a str| {
            let (key, value) = piece.split_at_checked(end_of(piece, b':')).unwrap_or((piece, ""));
            let value = value.strip_prefix(':').unwrap_or(value);
            (Part(key.trim_matches(SPACE)), Part(value.trim_matches(SPACE)))
        };
        self.inside('{', '}').map(|rest| Pieces { rest }.map(entry))
    }

    /// A string without its quotes, everything else as JSON.
    ///
    /// # Errors
    /// `INVALID_CAST` for half of a surrogate pair, which no text has.
    pub(in crate::expr) fn text(self) -> Result<Cow<'a, str>> {
        match self.0.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
            None => Ok(Cow::Owned(self.json())),
            Some(plain) if !plain.contains('\\') => Ok(Cow::Borrowed(plain)),
            Some(_) => serde_json::from_str(self.0).map(Cow::Owned).map_err(|error| malformed(self.0, &error)),
        }
    }

    /// As JSON without spaces between its parts, numbers and strings in their usual form.
    pub(in crate::expr) fn json(self) -> String {
        let mut text = String::with_capacity(self.0.len());
        write_normal(self.0, &mut text);
        text
    }

    fn inside(self, open: char, close: char) -> Option<&'a str> {
        self.0.strip_prefix(open)?.strip_suffix(close)
    }
}

/// What stands between the commas.
struct Pieces<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = self.rest.trim_start_matches(SPACE);
        if rest.is_empty() {
            return None;
        }
        let (piece, behind) = rest.split_at_checked(end_of(rest, b',')).unwrap_or((rest, ""));
        self.rest = behind.get(1..).unwrap_or_default();
        Some(piece.trim_end_matches(SPACE))
    }
}

/// Where the byte stands outside of brackets and strings, or else the end.
fn end_of(text: &str, wanted: u8) -> usize {
    let (mut depth, mut within, mut escaped) = (0_usize, false, false);
    for (at, byte) in text.bytes().enumerate() {
        if within {
            (within, escaped) = (byte != b'"' || escaped, byte == b'\\' && !escaped);
            continue;
        }
        match byte {
            b'"' => within = true,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ if byte == wanted && depth == 0 => return at,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    /// The same value by the library's own reading.
    fn value(part: Part) -> Value {
        if let Some(items) = part.items() {
            return Value::Array(items.map(value).collect());
        }
        if let Some(entries) = part.entries() {
            return Value::Object(entries.map(|(key, part)| (key.text().unwrap().into_owned(), value(part))).collect());
        }
        match part.raw().starts_with('"') {
            true => Value::String(part.text().unwrap().into_owned()),
            false => serde_json::from_str(part.raw()).unwrap(),
        }
    }

    #[test]
    fn parts_are_cut_where_they_end() {
        for text in [
            "[]",
            " { } ",
            r#"[1, "a,]\"", {"b:": [ ] , "\u00e9\n" : null } ]"#,
            r#"{"a" :{"a":"}"},"b":[[1],[2,[3]]]}"#,
            "-1.5e3",
        ] {
            assert_eq!(value(Part::of(text).unwrap()), serde_json::from_str::<Value>(text).unwrap(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_text_is_cut_as_the_library_reads_it(text in r#"[\[\]{},:"\\ 1a]{0,16}"#) {
            if let (Ok(part), Ok(known)) = (Part::of(&text), serde_json::from_str::<Value>(&text)) {
                prop_assert_eq!(value(part), known);
            }
        }
    }
}
