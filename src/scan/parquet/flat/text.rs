//! Texts and bytes: values of their own lengths, given out as views.
//!
//! Invariant: what is given out as text has been found to be UTF-8. A batch of all rows points into the pages; where
//! rows are chosen, their texts are copied, so that a few of them do not keep a page in memory.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryViewArray, LargeStringArray, StringViewArray, make_view};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, ScalarBuffer};
use arrow::datatypes::DataType;
use bytes::Bytes;

use super::hybrid::damaged;
use super::physical::{Chosen, Physical, gathered};
use crate::batch::logical::JSON;
use crate::error::Result;

/// A text of so many bytes lies in its view.
const INLINE: usize = 12;
/// Where a view has the text, or its first bytes.
const TEXT_SHIFT: u32 = 32;
/// Where a view of a longer text has the number of its block, and its place in that.
const BLOCK_SHIFT: u32 = 64;
const PLACE_SHIFT: u32 = 96;
/// Bytes before a text: its length.
const LENGTH: usize = 4;
/// Copied texts go into blocks of at least so many bytes.
const BLOCK_BYTES: usize = 64 * 1024;

/// Values of their own lengths.
#[derive(Debug)]
pub(super) struct Variable {
    /// Texts, which must be UTF-8, among them JSON; or bytes.
    pub(super) data_type: DataType,
}

/// Values of a page: where they begin and how long they are, row by row.
pub(super) struct Texts {
    page: Bytes,
    places: Vec<(u32, u32)>,
}

impl Texts {
    fn get(&self, row: usize) -> &[u8] {
        let (start, length) = self.places.get(row).copied().unwrap_or_default();
        self.page.get(start as usize..start as usize + length as usize).unwrap_or_default()
    }

    fn length(&self) -> usize {
        self.places.len()
    }
}

/// A dictionary: views of its texts as if its page were the first block.
pub(super) struct TextDictionary {
    page: Bytes,
    views: Vec<u128>,
    /// Whether any text does not lie in its view.
    has_long: bool,
}

/// Views of what is coming out, and the bytes that they point into.
#[derive(Default)]
pub(super) struct Views {
    views: Vec<u128>,
    blocks: Vec<Buffer>,
    /// Where the page lies that the last block is, to use it again.
    last_page: Option<usize>,
    /// Copied texts that are not in a block yet.
    copied: Vec<u8>,
}

impl Views {
    /// Views of all texts, pointing into their page.
    fn point(&mut self, texts: &Texts, rows: impl Iterator<Item = usize>) {
        let mut block = None;
        for row in rows {
            let (start, length) = texts.places.get(row).copied().unwrap_or_default();
            let is_short = length as usize <= INLINE;
            let block = if is_short { 0 } else { *block.get_or_insert_with(|| self.block_of(&texts.page)) };
            self.views.push(view_at(&texts.page, start, length, block));
        }
    }

    /// The dictionary's views at `indexes`; false when some index is beyond it.
    fn gather(&mut self, dictionary: &TextDictionary, indexes: &[u32]) -> bool {
        let known = &dictionary.views;
        let block = if dictionary.has_long { self.block_of(&dictionary.page) } else { 0 };
        if block == 0 {
            return gathered(indexes, &mut self.views, |index| known.get(index).copied());
        }
        let moved = u128::from(block) << BLOCK_SHIFT;
        gathered(indexes, &mut self.views, |index| {
            known.get(index).map(|view| if is_inline(*view) { *view } else { *view | moved })
        })
    }

    fn block_of(&mut self, page: &Bytes) -> u32 {
        if self.last_page != Some(page.as_ptr().addr()) {
            self.seal();
            self.blocks.push(Buffer::from(page.clone()));
            self.last_page = Some(page.as_ptr().addr());
        }
        narrow(self.blocks.len() - 1)
    }

    /// The view of a copy.
    fn copy(&mut self, text: &[u8]) {
        if text.len() > INLINE {
            if self.copied.len() + text.len() > self.copied.capacity() {
                self.seal();
                self.copied.reserve(BLOCK_BYTES.max(text.len()));
            }
            // The block that `copied` will be; pages become blocks only after it is sealed.
            let (block, start) = (narrow(self.blocks.len()), narrow(self.copied.len()));
            self.copied.extend_from_slice(text);
            self.views.push(make_view(text, block, start));
        } else {
            self.views.push(make_view(text, 0, 0));
        }
    }

    fn seal(&mut self) {
        if !self.copied.is_empty() {
            self.blocks.push(Buffer::from(std::mem::take(&mut self.copied)));
            self.last_page = None;
        }
    }
}

/// The view of the `length` bytes of `page` from `start` on, which is block number `block`.
#[inline(always)]
fn view_at(page: &[u8], start: u32, length: u32, block: u32) -> u128 {
    let bytes = page.get(start as usize..).unwrap_or_default();
    let Some(word) = bytes.first_chunk::<16>().filter(|_| length as usize <= bytes.len()) else {
        return make_view(bytes.get(..length as usize).unwrap_or_default(), block, start);
    };
    let word = u128::from_le_bytes(*word);
    match length as usize <= INLINE {
        // What is behind the text is not a part of it.
        true => (word & ((1 << (8 * length)) - 1)) << TEXT_SHIFT | u128::from(length),
        false => {
            let place = u128::from(block) << BLOCK_SHIFT | u128::from(start) << PLACE_SHIFT;
            u128::from(word as u32) << TEXT_SHIFT | u128::from(length) | place
        }
    }
}

fn is_inline(view: u128) -> bool {
    // The lowest four bytes are the length.
    view as u32 <= INLINE as u32
}

/// A page has less than 2^31 bytes, and so have all blocks.
fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

impl Variable {
    /// Walks over `count` values from `at` on.
    fn walk(page: &[u8], at: &mut usize, count: usize, mut each: impl FnMut(u32, u32)) -> Result<()> {
        for _ in 0..count {
            let length =
                page.get(*at..).and_then(<[u8]>::first_chunk::<LENGTH>).map(|bytes| u32::from_le_bytes(*bytes));
            let length = length.ok_or_else(|| damaged("a text is missing"))?;
            let start = *at + LENGTH;
            let end = start.checked_add(length as usize).filter(|end| *end <= page.len());
            *at = end.ok_or_else(|| damaged(format!("a text of {length} bytes goes beyond its page")))?;
            each(narrow(start), length);
        }
        Ok(())
    }

    /// That the values are UTF-8. Lengths under 128 are ASCII themselves, and no character goes on across one: then all
    /// bytes can be looked at at once.
    fn check(&self, page: &[u8], places: &[(u32, u32)]) -> Result<()> {
        if !self.data_type.is_string() {
            return Ok(());
        }
        let (Some((first, _)), Some((last, length))) = (places.first(), places.last()) else { return Ok(()) };
        let bytes = page.get(*first as usize..*last as usize + *length as usize).unwrap_or_default();
        if places.iter().all(|(_, length)| *length < 128) && std::str::from_utf8(bytes).is_ok() {
            return Ok(());
        }
        for (start, length) in places {
            let text = page.get(*start as usize..*start as usize + *length as usize).unwrap_or_default();
            if std::str::from_utf8(text).is_err() {
                return Err(damaged("a text is not UTF-8"));
            }
        }
        Ok(())
    }
}

impl Physical for Variable {
    type Dictionary = TextDictionary;
    type Plain = Texts;
    type Output = Views;
    const POINTS_INTO_PAGES: bool = true;

    fn dictionary(&self, page: Bytes, count: usize) -> Result<TextDictionary> {
        // Not believed before it is read: a damaged page may claim any number.
        let mut places = Vec::with_capacity(count.min(page.len() / LENGTH));
        Variable::walk(&page, &mut 0, count, |start, length| places.push((start, length)))?;
        self.check(&page, &places)?;
        let views: Vec<u128> = places.iter().map(|(start, length)| view_at(&page, *start, *length, 0)).collect();
        let has_long = views.iter().any(|view| !is_inline(*view));
        Ok(TextDictionary { page, views, has_long })
    }

    fn dictionary_length(dictionary: &TextDictionary) -> usize {
        dictionary.views.len()
    }

    fn plain(&self, page: &Bytes, at: &mut usize, rows: usize, validity: Option<&BooleanBuffer>) -> Result<Texts> {
        let count = validity.map_or(rows, BooleanBuffer::count_set_bits);
        let mut places = Vec::with_capacity(rows);
        Variable::walk(page, at, count, |start, length| places.push((start, length)))?;
        self.check(page, &places)?;
        if let Some(validity) = validity {
            let mut spread = vec![(0, 0); rows];
            for (row, place) in validity.set_indices().zip(places) {
                spread[row] = place;
            }
            places = spread;
        }
        Ok(Texts { page: page.clone(), places })
    }

    fn skip_plain(&self, page: &Bytes, at: &mut usize, values: usize) -> Result<()> {
        Variable::walk(page, at, values, |_, _| ())
    }

    fn reserve(output: &mut Views, values: usize) {
        output.views.reserve(values);
    }

    fn gather(dictionary: &TextDictionary, indexes: &[u32], output: &mut Views) -> bool {
        // A dictionary is shared by many rows: its page is kept for few of them too.
        output.gather(dictionary, indexes)
    }

    fn append_plain(&self, plain: &Texts, chosen: Chosen, output: &mut Views) {
        match chosen {
            Chosen::All => output.point(plain, 0..plain.length()),
            Chosen::Some(rows, base) => rows.iter().for_each(|row| output.copy(plain.get((row - base) as usize))),
        }
    }

    fn finish(&self, mut output: Views, nulls: Option<NullBuffer>) -> Result<ArrayRef> {
        output.seal();
        let views = ScalarBuffer::from(output.views);
        if self.data_type.is_string() {
            // SAFETY: every view was made of a text that lies at its place in its block, or in the view itself, and all
            // texts of a page or dictionary have been checked to be UTF-8.
            let texts = unsafe { StringViewArray::new_unchecked(views, output.blocks, nulls) };
            return Ok(if self.data_type == JSON {
                Arc::new(LargeStringArray::from_iter(&texts))
            } else {
                Arc::new(texts)
            });
        }
        // SAFETY: as above; bytes need not be UTF-8.
        Ok(Arc::new(unsafe { BinaryViewArray::new_unchecked(views, output.blocks, nulls) }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_view_is_what_arrow_makes_of_it(page in vec(any::<u8>(), 1..60), start in 0..60usize, length in 0..60usize, block in 0..9u32) {
            let start = start.min(page.len());
            let length = length.min(page.len() - start);
            let expected = make_view(&page[start..start + length], block, start as u32);
            prop_assert_eq!(view_at(&page, start as u32, length as u32, block), expected);
        }
    }
}
