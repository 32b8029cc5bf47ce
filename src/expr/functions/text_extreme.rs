//! `min` and `max` of texts.
//!
//! Most rows do not change the answer, and the first bytes of a view mostly tell so, without a look at the text itself.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, StringViewArray, StringViewBuilder};
use arrow::buffer::NullBuffer;
use datafusion_common::{Result as DataFusionResult, internal_err};
use datafusion_expr::{EmitTo, GroupsAccumulator};

use super::groups::{counted, for_each};

/// A view's first bytes stand above its length.
const PREFIX_SHIFT: u32 = 32;
/// Texts of so many bytes lie in their views.
const INLINE: u32 = 12;

/// Rows that are looked at together: the bits of a word.
const CHUNK: usize = 64;

/// A number by which views can be compared: exactly where both texts lie in their views, else by its `prefix`.
fn key(view: u128) -> u128 {
    // What a short text leaves of its view is zero; of two that differ in that alone the shorter one is the lesser.
    let length = view as u32;
    (view >> PREFIX_SHIFT << PREFIX_SHIFT).swap_bytes() << PREFIX_SHIFT | u128::from(length)
}

fn is_inline(key: u128) -> bool {
    key as u32 <= INLINE
}

fn prefix(key: u128) -> u32 {
    (key >> 96) as u32
}

/// The least or greatest text of each group.
#[derive(Debug)]
pub(in crate::expr) struct TextExtreme {
    /// What a text must be to the one known to take its place.
    replaces: Ordering,
    best: Vec<Best>,
    /// Bytes of all texts in `best`.
    bytes: usize,
}

/// A group's text so far.
#[derive(Debug, Default, Clone)]
struct Best {
    key: u128,
    /// `None` before the first.
    text: Option<Vec<u8>>,
}

impl Best {
    /// Takes the text with this view if it replaces the one known so far; `bytes` counts theirs.
    #[inline(always)]
    fn offer<'a>(&mut self, view: u128, replaces: Ordering, bytes: &mut usize, text: impl Fn() -> &'a [u8]) -> bool {
        let key = key(view);
        let is_told = is_inline(key) && is_inline(self.key);
        let order = if is_told { key.cmp(&self.key) } else { prefix(key).cmp(&prefix(self.key)) };
        if order != replaces && (is_told || order != Ordering::Equal) && self.text.is_some() {
            return false;
        }
        let text = text();
        if self.text.as_ref().is_some_and(|known| text.cmp(known) != replaces) {
            return false;
        }
        let known = self.text.get_or_insert_with(Vec::new);
        *bytes = *bytes + text.len() - known.len();
        known.clear();
        known.extend_from_slice(text);
        self.key = key;
        true
    }

    fn is(&self, text: &[u8]) -> bool {
        self.text.as_deref() == Some(text)
    }

    /// What the first bytes of a text must at least come to, taken the other way round for the least text, to replace this.
    fn least(&self, replaces: Ordering) -> u32 {
        if self.text.is_some() { turned(prefix(self.key), replaces) } else { 0 }
    }
}

/// A number that is the greater the better.
fn turned(prefix: u32, replaces: Ordering) -> u32 {
    if replaces == Ordering::Greater { prefix } else { !prefix }
}

/// Which of up to [`CHUNK`] views may be of a text that replaces one whose first bytes come to `least`; `same` is none.
#[inline(always)]
fn promising(views: &[u128], same: u128, least: u32, replaces: Ordering) -> u64 {
    let turn = turned(0, replaces);
    views.iter().enumerate().fold(0, |rows, (row, view)| {
        let first = ((view >> PREFIX_SHIFT) as u32).swap_bytes() ^ turn;
        rows | u64::from((first >= least) & (*view != same)) << row
    })
}

impl TextExtreme {
    /// The greatest texts, or the least.
    pub(in crate::expr) fn new(greatest: bool) -> Self {
        let replaces = if greatest { Ordering::Greater } else { Ordering::Less };
        TextExtreme { replaces, best: Vec::new(), bytes: 0 }
    }

    fn update(
        &mut self,
        texts: &StringViewArray,
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> DataFusionResult<()> {
        self.best.resize(total.max(self.best.len()), Best::default());
        if let [_] = self.best[..] {
            self.update_only(texts, counted(texts.nulls(), filter).as_ref());
            return Ok(());
        }
        let rows = u32::try_from(texts.len()).unwrap_or(u32::MAX);
        let numbers: Vec<u32> = (0..rows).collect();
        let (views, replaces) = (texts.views(), self.replaces);
        let (best, bytes) = (&mut self.best, &mut self.bytes);
        let counted = counted(texts.nulls(), filter);
        for_each(groups, &numbers, counted.as_ref(), |group, row| {
            let (Some(best), Some(view)) = (best.get_mut(group), views.get(row as usize)) else { return };
            best.offer(*view, replaces, bytes, || texts.value(row as usize).as_bytes());
        });
        Ok(())
    }

    /// The same where there is but one group: 64 rows at a time it is told which of them may change the answer, and
    /// mostly none does.
    fn update_only(&mut self, texts: &StringViewArray, counted: Option<&NullBuffer>) {
        let (replaces, bytes) = (self.replaces, &mut self.bytes);
        let Some(best) = self.best.first_mut() else { return };
        // No view of a text: one with a length that no batch has.
        let (mut same, mut least) = (u128::MAX, best.least(replaces));
        let words = counted.map(|counted| counted.inner().bit_chunks());
        let mut words = words.as_ref().map(|words| words.iter_padded());
        for (chunk, views) in texts.views().chunks(CHUNK).enumerate() {
            let known = words.as_mut().map_or(u64::MAX, |words| words.next().unwrap_or_default());
            let mut rows = promising(views, same, least, replaces) & known;
            while rows != 0 {
                let row = rows.trailing_zeros() as usize;
                rows &= rows - 1;
                let Some(view) = views.get(row).filter(|view| **view != same) else { continue };
                let text = || texts.value(chunk * CHUNK + row).as_bytes();
                if best.offer(*view, replaces, bytes, text) || best.is(text()) {
                    (same, least) = (*view, best.least(replaces));
                    rows &= promising(views, same, least, replaces);
                }
            }
        }
    }

    fn take(&mut self, emit: EmitTo) -> DataFusionResult<ArrayRef> {
        let taken = emit.take_needed(&mut self.best);
        let mut texts = StringViewBuilder::with_capacity(taken.len());
        for best in taken {
            let Some(text) = best.text else {
                texts.append_null();
                continue;
            };
            self.bytes -= text.len();
            match std::str::from_utf8(&text) {
                Ok(text) => texts.append_value(text),
                Err(_) => return internal_err!("a text that is not UTF-8"),
            }
        }
        Ok(Arc::new(texts.finish()))
    }
}

fn texts(values: &[ArrayRef]) -> DataFusionResult<&StringViewArray> {
    match values.first().and_then(|array| array.as_string_view_opt()) {
        Some(texts) => Ok(texts),
        None => internal_err!("an argument that is no text"),
    }
}

impl GroupsAccumulator for TextExtreme {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> DataFusionResult<()> {
        self.update(texts(values)?, groups, filter, total)
    }

    fn merge_batch(&mut self, values: &[ArrayRef], groups: &[usize], total: usize) -> DataFusionResult<()> {
        self.update(texts(values)?, groups, None, total)
    }

    fn evaluate(&mut self, emit: EmitTo) -> DataFusionResult<ArrayRef> {
        self.take(emit)
    }

    fn state(&mut self, emit: EmitTo) -> DataFusionResult<Vec<ArrayRef>> {
        Ok(vec![self.take(emit)?])
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> DataFusionResult<Vec<ArrayRef>> {
        let texts = texts(values)?;
        let (views, blocks, _) = texts.clone().into_parts();
        // SAFETY: the views and blocks are those of an array; a view that is made NULL need not be valid.
        let state = unsafe { StringViewArray::new_unchecked(views, blocks, counted(texts.nulls(), filter)) };
        Ok(vec![Arc::new(state)])
    }

    fn size(&self) -> usize {
        self.best.capacity() * size_of::<Best>() + self.bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_only_extreme_is_found(
            rows in vec((option::weighted(0.9, "[a-c\0]{0,3}(longer than a view)?[a-c]?"), any::<bool>()), 1..300),
            (greatest, filtered, dictionary) in (any::<bool>(), any::<bool>(), any::<bool>()),
            batch in 1..200usize,
        ) {
            let mut only = TextExtreme::new(greatest);
            for rows in rows.chunks(batch) {
                let mut texts = StringViewBuilder::new();
                if dictionary {
                    texts = texts.with_deduplicate_strings();
                }
                rows.iter().for_each(|row| texts.append_option(row.0.as_deref()));
                let filter = BooleanArray::from_iter(rows.iter().map(|row| Some(row.1)));
                let filter = filtered.then_some(&filter);
                only.update_batch(&[Arc::new(texts.finish())], &vec![0; rows.len()], filter, 1).unwrap();
            }
            let counted = rows.iter().filter(|row| row.1 || !filtered).filter_map(|row| row.0.as_deref());
            let expected = if greatest { counted.max() } else { counted.min() };
            prop_assert_eq!(only.bytes, expected.map_or(0, str::len));
            let found = only.evaluate(EmitTo::All).unwrap();
            prop_assert_eq!(found.as_string_view().iter().next().flatten(), expected);
        }

        #[test]
        fn the_extreme_of_every_group_is_found(
            rows in vec((0..4usize, option::of("[a-c\0]{0,3}(longer than a view)?[a-c]?"), any::<bool>()), 1..60),
            greatest in any::<bool>(),
            cut in 0..60usize,
        ) {
            let column = |rows: &[(usize, Option<String>, bool)]| -> ArrayRef {
                Arc::new(StringViewArray::from_iter(rows.iter().map(|row| row.1.as_deref())))
            };
            let groups: Vec<usize> = rows.iter().map(|row| row.0).collect();
            let filter = BooleanArray::from_iter(rows.iter().map(|row| Some(row.2)));
            let cut = cut.min(rows.len());
            let mut whole = TextExtreme::new(greatest);
            whole.update_batch(&[column(&rows[..cut])], &groups[..cut], Some(&filter.slice(0, cut)), 4).unwrap();
            let rest = filter.slice(cut, rows.len() - cut);
            let state = whole.convert_to_state(&[column(&rows[cut..])], Some(&rest)).unwrap();
            whole.merge_batch(&state, &groups[cut..], 4).unwrap();
            prop_assert_eq!(whole.bytes, whole.best.iter().flat_map(|best| &best.text).map(Vec::len).sum::<usize>());
            let first = whole.evaluate(EmitTo::First(1)).unwrap();
            let others = whole.state(EmitTo::All).unwrap();
            let found: Vec<Option<&str>> = first.as_string_view().iter().chain(others[0].as_string_view()).collect();
            let of_group = |group| rows.iter().filter(move |row| row.0 == group && row.2).filter_map(|row| row.1.as_deref());
            let expected = |group| if greatest { of_group(group).max() } else { of_group(group).min() };
            prop_assert_eq!(found, (0..4).map(expected).collect::<Vec<_>>());
            prop_assert_eq!(whole.bytes, 0);
        }
    }
}
