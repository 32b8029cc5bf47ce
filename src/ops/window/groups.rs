//! Where groups of rows begin: rows that are equal in the first so many keys.

use arrow::array::{Array, ArrayRef, UInt32Array, make_comparator};
use arrow::buffer::BooleanBuffer;
use arrow::compute::kernels::cmp::distinct;
use arrow::compute::{SortOptions, take};

use crate::error::Result;
use crate::ops::sort::normalised;

/// Marks the first row of every group, batch after batch of sorted rows.
#[derive(Default)]
pub(super) struct Boundaries {
    /// The keys of the row before the next batch; none before the first.
    last: Option<Vec<ArrayRef>>,
}

impl Boundaries {
    /// For each of `levels` (ascending lengths of the beginning of `keys`) the rows where a group begins.
    pub(super) fn mark(&mut self, keys: &[ArrayRef], rows: usize, levels: &[usize]) -> Result<Vec<BooleanBuffer>> {
        let used = levels.last().map_or(0, |&length| length.min(keys.len()));
        let keys: Vec<ArrayRef> = keys.iter().take(used).map(normalised).collect();
        let mut marks = BooleanBuffer::collect_bool(rows, |row| row == 0 && self.last.is_none());
        let mut marked = Vec::with_capacity(levels.len());
        let mut done = 0;
        for &length in levels {
            for (index, key) in keys.iter().enumerate().take(length).skip(done) {
                let last = self.last.as_ref().and_then(|last| last.get(index));
                marks = &marks | &changes(key, last)?;
            }
            done = length;
            marked.push(marks.clone());
        }
        if rows > 0 {
            let row = UInt32Array::from_iter_values(u32::try_from(rows - 1));
            let last = keys.iter().map(|key| take(key, &row, None)).collect::<std::result::Result<_, _>>()?;
            self.last = Some(last);
        }
        Ok(marked)
    }
}

/// The rows that differ from the row before them, where `last` stands before the first.
fn changes(values: &ArrayRef, last: Option<&ArrayRef>) -> Result<BooleanBuffer> {
    let rows = values.len();
    if rows == 0 {
        return Ok(BooleanBuffer::new_unset(0));
    }
    let first = match last {
        Some(last) => differ(last, &values.slice(0, 1))?.value(0),
        None => true,
    };
    let inner = differ(&values.slice(0, rows - 1), &values.slice(1, rows - 1))?;
    let mut bits = arrow::array::BooleanBufferBuilder::new(rows);
    bits.append(first);
    bits.append_buffer(&inner);
    Ok(bits.finish())
}

/// Whether each value differs from the one that stands at its place in `others`; NULLs are equal.
fn differ(values: &ArrayRef, others: &ArrayRef) -> Result<BooleanBuffer> {
    if values.data_type().is_nested() {
        let compare = make_comparator(values, others, SortOptions::default())?;
        return Ok(BooleanBuffer::collect_bool(values.len(), |row| compare(row, row).is_ne()));
    }
    if values.data_type().is_null() {
        return Ok(BooleanBuffer::new_unset(values.len()));
    }
    Ok(distinct(values, others)?.values().clone())
}

/// The groups of one level that have rows in a page.
#[derive(Debug, Clone)]
pub(super) struct Groups {
    /// Where the group of the page's first row begins; maybe pages before.
    open: u64,
    /// Offsets in the page of the rows where a group begins.
    starts: Vec<u32>,
    /// The page.
    from: u64,
    rows: u32,
}

/// The rows of one group in a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    /// The position of the group's first row.
    pub(super) start: u64,
    /// Offsets in the page.
    pub(super) from: u32,
    pub(super) to: u32,
    /// Whether the group begins in this page.
    pub(super) begins: bool,
}

impl Groups {
    /// `before` is where the group that goes on from the page before began.
    pub(super) fn new(bits: &BooleanBuffer, from: u64, before: u64) -> Self {
        let starts: Vec<u32> = bits.set_indices_u32().collect();
        let open = if starts.first() == Some(&0) { from } else { before };
        Groups { open, starts, from, rows: u32::try_from(bits.len()).unwrap_or(u32::MAX) }
    }

    /// Where the group of the page's last row begins.
    pub(super) fn last(&self) -> u64 {
        self.starts.last().map_or(self.open, |&start| self.from + u64::from(start))
    }

    /// The groups in order.
    pub(super) fn spans(&self) -> impl Iterator<Item = Span> + '_ {
        let continued = (self.starts.first() != Some(&0) && self.rows > 0).then(|| Span {
            start: self.open,
            from: 0,
            to: self.starts.first().copied().unwrap_or(self.rows),
            begins: false,
        });
        let begun = self.starts.iter().enumerate().map(|(index, &from)| Span {
            start: self.from + u64::from(from),
            from,
            to: self.starts.get(index + 1).copied().unwrap_or(self.rows),
            begins: true,
        });
        continued.into_iter().chain(begun)
    }
}
