//! `min` and `max` of texts.
//!
//! Most rows do not change the answer, and the first bytes of a view mostly tell so, without a look at the text itself.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, StringViewArray, StringViewBuilder};
use datafusion_common::{Result as DataFusionResult, internal_err};
use datafusion_expr::{EmitTo, GroupsAccumulator};

use super::groups::{counted, for_each};

/// A view's first bytes stand above its length.
const PREFIX_SHIFT: u32 = 32;
/// Texts of so many bytes lie in their views.
const INLINE: u32 = 12;

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
        let rows = u32::try_from(texts.len()).unwrap_or(u32::MAX);
        let numbers: Vec<u32> = (0..rows).collect();
        let (views, replaces) = (texts.views(), self.replaces);
        let (best, bytes) = (&mut self.best, &mut self.bytes);
        let counted = counted(texts.nulls(), filter);
        for_each(groups, &numbers, counted.as_ref(), |group, row| {
            let (Some(best), Some(view)) = (best.get_mut(group), views.get(row as usize)) else { return };
            let key = key(*view);
            let is_told = is_inline(key) && is_inline(best.key);
            let order = if is_told { key.cmp(&best.key) } else { prefix(key).cmp(&prefix(best.key)) };
            if order != replaces && (is_told || order != Ordering::Equal) && best.text.is_some() {
                return;
            }
            let text = texts.value(row as usize).as_bytes();
            if best.text.as_ref().is_some_and(|known| text.cmp(known) != replaces) {
                return;
            }
            let known = best.text.get_or_insert_with(Vec::new);
            *bytes = *bytes + text.len() - known.len();
            known.clear();
            known.extend_from_slice(text);
            best.key = key;
        });
        Ok(())
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
