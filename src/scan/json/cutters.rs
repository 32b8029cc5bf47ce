//! Where a stream of JSON may be cut, so that several workers read it: behind lines, and between the elements of an array.

use memchr::memrchr;

use crate::error::{Error, Result};
use crate::scan::chunks::Cutter;
use crate::scan::json::records::too_long;
use crate::scan::json::settings::Layout;
use crate::scan::json::structure::Tokens;

/// Bytes whose tokens are found at once, unless a string has more. Tests read many.
const PIECE_BYTES: usize = if cfg!(test) { 128 } else { 64 << 10 };

/// The cutter of a stream in this layout, of values of up to `longest` bytes; `None` where none is known.
pub(super) fn cutter(layout: Layout, longest: usize) -> Option<Box<dyn Cutter>> {
    match layout {
        Layout::Lines => Some(Box::new(LineCutter { longest })),
        Layout::Array => Some(Box::new(ElementCutter { longest, tokens: Tokens::new(), began: false })),
        Layout::Values => None,
    }
}

/// Raw line ends never stand inside a JSON string, so each ends a line.
struct LineCutter {
    longest: usize,
}

impl Cutter for LineCutter {
    fn whole(&mut self, bytes: &[u8], searched: usize) -> Result<usize> {
        let unseen = bytes.get(searched..).unwrap_or_default();
        Ok(memrchr(b'\n', unseen).map_or(0, |end| searched + end + 1))
    }

    fn longest(&self) -> usize {
        self.longest
    }

    fn too_long(&self) -> Error {
        too_long(self.longest)
    }
}

/// Cuts before commas between elements: every chunk but the first begins with one, and the last ends with the array.
/// Whether it is one is for the reader to see; a flaw ends the search and is handed on to it.
struct ElementCutter {
    longest: usize,
    tokens: Tokens,
    /// Whether the beginning of the array was cut off.
    began: bool,
}

impl Cutter for ElementCutter {
    fn whole(&mut self, bytes: &[u8], _searched: usize) -> Result<usize> {
        let whole = self.last_comma(bytes);
        self.began |= whole > 0;
        Ok(whole)
    }

    fn longest(&self) -> usize {
        self.longest
    }

    fn too_long(&self) -> Error {
        too_long(self.longest)
    }
}

impl ElementCutter {
    /// The place of the last comma between elements, but for one at the very beginning, before the end of the array; 0 where
    /// there is none. All bytes, where the first element has a flaw.
    fn last_comma(&mut self, bytes: &[u8]) -> usize {
        let (mut depth, mut last, mut at, mut size) = (usize::from(self.began), 0, 0, PIECE_BYTES);
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let piece = rest.get(..size).unwrap_or(rest);
            let flaw = self.tokens.find(piece, false);
            let mut next = 0;
            for &place in self.tokens.get() {
                let place = place as usize;
                match piece.get(place) {
                    Some(b'{' | b'[') => depth += 1,
                    Some(b'}' | b']') if depth <= 1 => return last,
                    Some(b'}' | b']') => depth -= 1,
                    Some(b',') if depth == 1 => last = at + place,
                    Some(b',' | b':') => {}
                    _ => continue,
                }
                next = place + 1;
            }
            if flaw.is_some() {
                return if last == 0 { bytes.len() } else { last };
            }
            if piece.len() == rest.len() {
                break;
            }
            // What goes on behind the piece is looked at anew from the last token that is outside of strings.
            (at, size) = if next == 0 { (at, size * 2) } else { (at + next, PIECE_BYTES) };
        }
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cuts(text: &str, pieces: &[usize]) -> Vec<String> {
        let mut cutter = cutter(Layout::Array, 1 << 20).unwrap();
        let (mut carried, mut rest, mut chunks) = (String::new(), text, Vec::new());
        for &piece in pieces.iter().cycle() {
            let (now, later) = rest.split_at(piece.min(rest.len()));
            carried.push_str(now);
            rest = later;
            if rest.is_empty() {
                break;
            }
            let whole = cutter.whole(carried.as_bytes(), 0).unwrap();
            let behind = carried.split_off(whole);
            if whole > 0 {
                chunks.push(std::mem::replace(&mut carried, behind));
            } else {
                carried = behind;
            }
        }
        chunks.push(carried);
        chunks
    }

    #[test]
    fn chunks_begin_with_the_commas_between_elements() {
        let element = r#"{"a,]": [1, {"b": "x, \" }"}], "c": "[,"}"#;
        let text = format!("[{}]\n", vec![element; 40].join(" ,"));
        for pieces in [&[7][..], &[100], &[300, 1], &[1]] {
            let chunks = cuts(&text, pieces);
            assert_eq!(chunks.concat(), text);
            assert!(chunks.len() > 2 && chunks[1..].iter().all(|chunk| chunk.starts_with(&format!(",{element}"))));
        }
        assert_eq!(cuts("[1, 22,3 ]  ", &[4]), ["[1", ", 22", ",3 ]  "]);
        assert_eq!(cuts("[]      ", &[1]), ["[]      "]);
    }

    #[test]
    fn a_flaw_is_handed_on() {
        let text = "[1, \"a\nb\", 2, 3, 4, 5, 6, 7]      ";
        let chunks = cuts(text, &[12]);
        assert_eq!((chunks.concat().as_str(), chunks[0].as_str()), (text, "[1"));
        assert!(chunks.len() > 2 && chunks[1].starts_with(", \"a\nb\""), "{chunks:?}");
    }
}
