//! Keys that are byte strings: one string column, or rows in their row form.
//!
//! Group keys are 16-byte views; longer ones point into an arena of chunks, which become the buffers of the output
//! array without a copy.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryViewArray, ByteView, NullBufferBuilder, StringViewArray};
use arrow::buffer::{Buffer, NullBuffer, ScalarBuffer};
use arrow::datatypes::DataType;

use super::slots::{Slots, vec_growth};
use super::{GroupIndex, Interned};
use crate::error::{Error, Result};

const LARGEST_CHUNK: usize = 1 << 20;
const SMALLEST_CHUNK: usize = 1 << 12;

/// Byte strings, each once, by number.
#[derive(Default)]
pub(super) struct Arena {
    views: Vec<u128>,
    full: Vec<Vec<u8>>,
    chunk: Vec<u8>,
    /// Bytes of all full chunks' capacities.
    full_bytes: usize,
}

impl Arena {
    pub(super) fn bytes(&self) -> usize {
        self.views.capacity() * 16 + self.full_bytes + self.chunk.capacity()
    }

    pub(super) fn growth(&self, rows: usize, bytes: usize) -> usize {
        vec_growth(&self.views, rows) + bytes + LARGEST_CHUNK.min(self.chunk.capacity() * 2 + SMALLEST_CHUNK)
    }

    fn push_view(&mut self, view: u128) {
        self.views.push(view);
    }

    /// Adds a string of more than 12 bytes.
    fn push_long(&mut self, bytes: &[u8]) -> Result<()> {
        if self.chunk.capacity() - self.chunk.len() < bytes.len() {
            let capacity = (self.chunk.capacity() * 2).clamp(SMALLEST_CHUNK, LARGEST_CHUNK).max(bytes.len());
            let full = std::mem::replace(&mut self.chunk, Vec::with_capacity(capacity));
            self.full_bytes += full.capacity();
            self.full.push(full);
        }
        let too_long = |_| Error::internal("a group key of more than 4 GiB");
        let view = ByteView {
            length: u32::try_from(bytes.len()).map_err(too_long)?,
            prefix: u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]),
            buffer_index: u32::try_from(self.full.len()).map_err(too_long)?,
            offset: u32::try_from(self.chunk.len()).map_err(too_long)?,
        };
        self.chunk.extend_from_slice(bytes);
        self.views.push(view.as_u128());
        Ok(())
    }

    #[inline]
    fn long_equals(&self, view: u128, bytes: &[u8]) -> bool {
        let view = ByteView::from(view);
        let chunk = self.full.get(view.buffer_index as usize).unwrap_or(&self.chunk);
        let start = view.offset as usize;
        chunk.get(start..start + view.length as usize) == Some(bytes)
    }

    /// The bytes of string `index`, whose short form is copied to `short`.
    pub(super) fn get<'a>(&'a self, index: usize, short: &'a mut [u8; 16]) -> &'a [u8] {
        let view = self.views[index];
        if view as u32 <= 12 {
            *short = view.to_le_bytes();
            return &short[4..4 + view as u32 as usize];
        }
        let view = ByteView::from(view);
        let chunk = self.full.get(view.buffer_index as usize).unwrap_or(&self.chunk);
        &chunk[view.offset as usize..(view.offset + view.length) as usize]
    }

    /// Views and the buffers they point into; the arena is empty afterwards.
    fn drain(&mut self) -> (ScalarBuffer<u128>, Vec<Buffer>) {
        let arena = std::mem::take(self);
        let chunks = arena.full.into_iter().chain([arena.chunk]);
        (ScalarBuffer::from(arena.views), chunks.map(Buffer::from_vec).collect())
    }
}

/// The view of a string of up to 12 bytes.
#[inline]
fn short_view(bytes: &[u8]) -> u128 {
    let mut view = [0u8; 16];
    view[0] = bytes.len() as u8;
    view[4..4 + bytes.len()].copy_from_slice(bytes);
    u128::from_le_bytes(view)
}

/// Byte strings to group numbers.
pub(super) struct BytesGroups {
    pub(super) slots: Slots,
    pub(super) arena: Arena,
}

impl BytesGroups {
    pub(super) fn new() -> Self {
        BytesGroups { slots: Slots::new(), arena: Arena::default() }
    }

    /// The group of `bytes`. `slots.reserve` must have been called for the batch.
    #[inline]
    pub(super) fn intern(&mut self, hash: u64, bytes: &[u8]) -> Result<usize> {
        if bytes.len() <= 12 {
            return Ok(self.intern_short(hash, short_view(bytes)));
        }
        let prefix = u64::from(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
        let head = bytes.len() as u64 | prefix << 32;
        let arena = &self.arena;
        let (group, new) = self.slots.find_or_insert(hash, |group| {
            let view = arena.views[group];
            view as u64 == head && arena.long_equals(view, bytes)
        });
        if new {
            self.arena.push_long(bytes)?;
        }
        Ok(group)
    }

    #[inline]
    fn intern_short(&mut self, hash: u64, view: u128) -> usize {
        let views = &self.arena.views;
        let (group, new) = self.slots.find_or_insert(hash, |group| views[group] == view);
        if new {
            self.arena.push_view(view);
        }
        group
    }
}

/// Groups of one string or binary view column. NULL is a group of its own, whose view is empty and whose slot is not in
/// the table.
pub(in crate::ops::aggregate) struct BytesIndex {
    data_type: DataType,
    groups: BytesGroups,
    null_group: Option<usize>,
}

impl BytesIndex {
    pub(in crate::ops::aggregate) fn new(data_type: DataType) -> Self {
        BytesIndex { data_type, groups: BytesGroups::new(), null_group: None }
    }

    fn intern_rows<'a>(
        &mut self,
        views: &[u128],
        nulls: Option<&NullBuffer>,
        hashes: &[u64],
        groups: &mut Vec<usize>,
        value: impl Fn(usize) -> &'a [u8],
    ) -> Result<()> {
        groups.clear();
        groups.reserve(views.len());
        self.groups.slots.reserve(views.len() + 1);
        for (row, (&view, &hash)) in views.iter().zip(hashes).enumerate() {
            let group = if nulls.is_some_and(|nulls| nulls.is_null(row)) {
                self.intern_null(hash)
            } else if view as u32 <= 12 {
                self.groups.intern_short(hash, view)
            } else {
                self.groups.intern(hash, value(row))?
            };
            groups.push(group);
        }
        Ok(())
    }

    fn intern_null(&mut self, hash: u64) -> usize {
        if let Some(group) = self.null_group {
            return group;
        }
        // A view that no string has (length 13 without a buffer is never compared): only the number is wanted.
        let (group, _) = self.groups.slots.find_or_insert(hash, |_| false);
        self.groups.arena.push_view(NULL_VIEW);
        self.null_group = Some(group);
        group
    }
}

/// Not the view of any short string: its length is 0 but its bytes are not.
const NULL_VIEW: u128 = 1 << 64;

impl GroupIndex for BytesIndex {
    fn intern(&mut self, keys: &[ArrayRef], hashes: &[u64], groups: &mut Vec<usize>) -> Result<Interned> {
        let nulls = keys[0].nulls().filter(|nulls| nulls.null_count() > 0);
        if self.data_type == DataType::Utf8View {
            let array = keys[0].as_string_view();
            self.intern_rows(array.views(), nulls, hashes, groups, |row| array.value(row).as_bytes())?;
        } else {
            let array = keys[0].as_binary_view();
            self.intern_rows(array.views(), nulls, hashes, groups, |row| array.value(row))?;
        }
        Ok(Interned::All)
    }

    fn len(&self) -> usize {
        self.groups.slots.len()
    }

    fn bytes(&self) -> usize {
        self.groups.slots.bytes() + self.groups.arena.bytes()
    }

    fn growth(&self, rows: usize) -> usize {
        // The strings of the batch lie in memory already, so their bytes are of the order of what was taken so far.
        let per_row = self.groups.arena.bytes() / self.len().max(1);
        self.groups.slots.growth(rows + 1) + self.groups.arena.growth(rows, per_row.max(32) * rows)
    }

    fn drain(&mut self) -> Result<Vec<ArrayRef>> {
        self.groups.slots.clear();
        let null_group = self.null_group.take();
        if let Some(group) = null_group {
            self.groups.arena.views[group] = 0;
        }
        let (views, buffers) = self.groups.arena.drain();
        let nulls = null_group.and_then(|null_group| {
            let mut validity = NullBufferBuilder::new(views.len());
            (0..views.len()).for_each(|group| validity.append(group != null_group));
            validity.finish()
        });
        let array: ArrayRef = match self.data_type {
            DataType::Utf8View => Arc::new(StringViewArray::try_new(views, buffers, nulls)?),
            _ => Arc::new(BinaryViewArray::try_new(views, buffers, nulls)?),
        };
        Ok(vec![array])
    }
}
