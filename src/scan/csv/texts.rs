//! Texts of a column, as views.
//!
//! Invariant: what a view stands for has been found to be UTF-8. Texts of up to twelve bytes lie in their views, which are
//! made of one load; longer ones are copied into blocks, so that no batch keeps a window in memory.

use arrow::array::{NullBufferBuilder, StringViewArray, make_view};
use arrow::buffer::{Buffer, ScalarBuffer};
use serde::de::IgnoredAny;

use crate::scan::csv::columns::Values;
use crate::scan::csv::tokenize::Field;

/// A text of so many bytes lies in its view.
const INLINE: usize = 12;
/// The first block of a batch; each further one is twice as large, up to the greatest.
const FIRST_BLOCK: usize = 8 << 10;
const GREATEST_BLOCK: usize = 1 << 20;
/// Bytes of a view before the text: its length.
const LENGTH_BITS: u32 = 32;

/// See the module.
pub(super) struct Texts {
    views: Vec<u128>,
    nulls: NullBufferBuilder,
    /// Blocks that are full, and the one that is being filled.
    blocks: Vec<Buffer>,
    block: Vec<u8>,
    /// Bytes of the texts that do not lie in their views.
    bytes: usize,
}

impl Texts {
    /// None yet, and room for the views of `rows`.
    pub(super) fn with_capacity(rows: usize) -> Self {
        Texts {
            views: Vec::with_capacity(rows),
            nulls: NullBufferBuilder::new(rows),
            blocks: Vec::new(),
            block: Vec::new(),
            bytes: 0,
        }
    }

    /// Bytes of the texts that do not lie in their views.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn append_option(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.append(text),
            None => self.append_null(),
        }
    }

    fn append_null(&mut self) {
        self.views.push(0);
        self.nulls.append_null();
    }

    fn append(&mut self, text: &str) {
        let view = if text.len() <= INLINE { make_view(text.as_bytes(), 0, 0) } else { self.copied(text.as_bytes()) };
        self.views.push(view);
        self.nulls.append_non_null();
    }

    /// The view of a long text.
    fn copied(&mut self, text: &[u8]) -> u128 {
        if self.block.len() + text.len() > self.block.capacity() {
            let next = (self.block.capacity() * 2).clamp(FIRST_BLOCK, GREATEST_BLOCK);
            self.seal();
            self.block = Vec::with_capacity(next.max(text.len()));
        }
        // A window has less than 2^31 bytes, and a batch has fewer.
        let (block, start) = (self.blocks.len() as u32, self.block.len() as u32);
        self.block.extend_from_slice(text);
        self.bytes += text.len();
        make_view(text, block, start)
    }

    fn seal(&mut self) {
        if !self.block.is_empty() {
            self.blocks.push(Buffer::from_vec(std::mem::take(&mut self.block)));
        }
    }

    /// Appends the values of fields; gives back the first that is not UTF-8. `not_null` says that no text means NULL,
    /// `many` that they are a good part of the tile's, which is then looked at as a whole.
    pub(super) fn append_fields(
        &mut self,
        fields: impl Iterator<Item = Field>,
        values: &Values,
        not_null: bool,
        many: bool,
    ) -> std::result::Result<(), Field> {
        // Where only the empty text can mean NULL, one that has bytes needs no comparing.
        let only_empty = not_null || !values.other_nulls;
        for field in fields {
            if only_empty && let Some(view) = short_view(values.data, field) {
                self.views.push(view);
                self.nulls.append_non_null();
                continue;
            }
            let is_null = || values.settings.means_null(values.raw(field), field.quoted());
            if field.is_absent() || (!not_null && is_null()) {
                self.append_null();
                continue;
            }
            self.append_text(field, values, many && values.all_valid(), |_| true)?;
        }
        Ok(())
    }

    /// Appends the field's text, where it is one that `fits`; else gives back the field.
    fn append_text(
        &mut self,
        field: Field,
        values: &Values,
        trusted: bool,
        fits: impl Fn(&str) -> bool,
    ) -> std::result::Result<(), Field> {
        let text = values.text(field, trusted).ok_or(field)?;
        let plain = field.escaped().then(|| values.dialect.unescaped(text.as_bytes(), true));
        let text = plain.as_deref().map_or(Ok(text), std::str::from_utf8).map_err(|_| field)?;
        if !fits(text) {
            return Err(field);
        }
        self.append(text);
        Ok(())
    }

    /// Appends the values of fields, an empty one as NULL; gives back the first that is not JSON.
    pub(super) fn append_json(
        &mut self,
        fields: impl Iterator<Item = Field>,
        values: &Values,
    ) -> std::result::Result<(), Field> {
        let is_json = |text: &str| serde_json::from_str::<IgnoredAny>(text).is_ok();
        for field in fields {
            match values.plain(field) {
                None => self.append_null(),
                Some(_) => self.append_text(field, values, false, is_json)?,
            }
        }
        Ok(())
    }

    /// The column, and nothing left.
    pub(super) fn finish(&mut self) -> StringViewArray {
        self.seal();
        self.bytes = 0;
        let (views, blocks) = (std::mem::take(&mut self.views), std::mem::take(&mut self.blocks));
        // SAFETY: views of short texts hold ASCII or were made of a `str`, those of long ones name bytes of a `str` in the
        // block that they were copied into.
        unsafe { StringViewArray::new_unchecked(ScalarBuffer::from(views), blocks, self.nulls.finish()) }
    }
}

/// The view of a field of one to twelve ASCII characters without escapes, read together with what follows it.
#[inline(always)]
fn short_view(data: &[u8], field: Field) -> Option<u128> {
    let (start, length) = (field.start(), field.end() - field.start());
    if !(1..=INLINE).contains(&length) || field.escaped() {
        return None;
    }
    let word = data.get(start..)?.first_chunk().map(|bytes| u128::from_le_bytes(*bytes))?;
    let text = word & !(u128::MAX << (8 * length));
    const HIGH: u128 = u128::from_ne_bytes([0x80; 16]);
    if text & HIGH != 0 { None } else { Some(text << LENGTH_BITS | length as u128) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_short_view_is_that_of_its_text(before in "[a-z]{0,3}", text in "(\\PC{0,14}|[ -~]{0,14})", after in "[a-z]{0,20}") {
            let data = format!("{before}{text}{after}");
            let field = Field::new(before.len(), before.len() + text.len(), false, false);
            let fits = (1..=INLINE).contains(&text.len()) && text.is_ascii() && text.len() + after.len() >= 16;
            let expected = fits.then(|| make_view(text.as_bytes(), 0, 0));
            prop_assert_eq!(short_view(data.as_bytes(), field), expected);
        }

        #[test]
        fn texts_come_out_as_they_went_in(texts in prop::collection::vec(prop::option::of("\\PC{0,40}"), 0..300)) {
            let mut column = Texts::with_capacity(texts.len());
            for _ in 0..3 {
                texts.iter().for_each(|text| column.append_option(text.as_deref()));
                let long = texts.iter().flatten().filter(|text| text.len() > INLINE).map(String::len).sum::<usize>();
                prop_assert_eq!(column.bytes(), long);
                let array = column.finish();
                let again: Vec<_> = array.iter().map(|text| text.map(str::to_owned)).collect();
                prop_assert_eq!(&again, &texts);
                prop_assert_eq!(array.views().inner().len(), 16 * texts.len());
            }
        }
    }
}
