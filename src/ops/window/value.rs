//! `first_value`, `last_value` and `nth_value`, and the gathering of values from pages.

use std::collections::VecDeque;

use arrow::array::{Array, ArrayRef, UInt32Array, new_null_array};
use arrow::buffer::NullBuffer;
use arrow::compute::{concat, interleave, take};

use super::bounds::{Current, Frames};
use super::exclude::{Exclude, Excluder, Remaining, nth};
use super::layout::Slot;
use super::pages::{PageView, Pages};
use super::works::FunctionWork;
use crate::error::{Error, Result};

/// No position: the value is NULL or the default.
pub(super) const NOWHERE: u64 = u64::MAX;

/// Values are gathered from at most so many pages at once.
const PAGES_AT_ONCE: usize = 8;

/// The n-th value of a frame.
pub(super) struct Nth {
    exclude: Exclude,
    column: usize,
    /// From 1 on from the frame's start, from -1 on from its end; 0 is nowhere.
    n: i64,
    /// For IGNORE NULLS.
    valid: Option<ValidRows>,
    /// The first position that the next row's frame can reach.
    reach: u64,
}

impl Nth {
    pub(super) fn new(slot: &Slot, n: i64) -> Result<Self> {
        let column = *slot.arguments.first().ok_or_else(|| Error::internal("a value function without a value"))?;
        let valid = slot.call.ignores_nulls().then(|| ValidRows::new(column));
        Ok(Nth { exclude: Exclude::new(slot), column, n, valid, reach: 0 })
    }

    fn position(&mut self, start: u64, end: u64, pages: &mut Pages) -> Result<u64> {
        if self.n == 0 || start >= end {
            return Ok(NOWHERE);
        }
        let count = self.n.unsigned_abs();
        let Some(valid) = &mut self.valid else {
            let inside = count <= end - start;
            return Ok(match self.n > 0 {
                _ if !inside => NOWHERE,
                true => start + count - 1,
                false => end - count,
            });
        };
        if self.n > 0 { valid.nth(start, end, count, pages) } else { valid.nth_last(start, end, count, pages) }
    }
}

impl Nth {
    fn evaluate_remaining(&mut self, mut excluder: Excluder, frames: &Frames, pages: &mut Pages) -> Result<ArrayRef> {
        let mut positions = Vec::with_capacity(frames.starts.len());
        for row in 0..frames.starts.len() {
            let remaining = excluder.remaining(row, frames)?;
            let position = match &mut self.valid {
                None => nth(&remaining, self.n),
                Some(valid) => valid.nth_remaining(&remaining, self.n, pages)?,
            };
            positions.push(position.unwrap_or(NOWHERE));
        }
        self.reach = frames.starts.last().copied().unwrap_or(self.reach);
        if let Some(valid) = &mut self.valid {
            valid.forget_before(self.reach);
        }
        gather(pages, self.column, &positions, None)
    }
}

impl FunctionWork for Nth {
    fn evaluate(&mut self, current: &Current, frames: Option<&Frames>, pages: &mut Pages) -> Result<ArrayRef> {
        let frames = frames.ok_or_else(|| Error::internal("a value function without its frames"))?;
        if let Some(excluder) = Excluder::new(self.exclude, current, pages)? {
            return self.evaluate_remaining(excluder, frames, pages);
        }
        let mut positions = Vec::with_capacity(current.rows());
        let mut last = None;
        for (&start, &end) in frames.starts.iter().zip(&frames.ends) {
            let position = match last {
                Some((frame, position)) if frame == (start, end) => position,
                _ => self.position(start, end, pages)?,
            };
            last = Some(((start, end), position));
            positions.push(position);
        }
        if let Some(((start, end), _)) = last {
            self.reach = if self.n > 0 { start } else { start.max(end.saturating_sub(self.n.unsigned_abs())) };
        }
        gather(pages, self.column, &positions, None)
    }

    fn needs_from(&self) -> u64 {
        self.valid.as_ref().map_or(self.reach, ValidRows::needs_from)
    }

    fn bytes(&self) -> usize {
        self.valid.as_ref().map_or(0, ValidRows::bytes)
    }
}

/// The rows that have a value, walked through forward.
pub(super) struct ValidRows {
    column: usize,
    /// Where the last frame began.
    from: u64,
    /// Rows before it have been looked at.
    walked: u64,
    found: VecDeque<u64>,
    page: Option<(u64, usize, Option<NullBuffer>)>,
}

impl ValidRows {
    pub(super) fn new(column: usize) -> Self {
        ValidRows { column, from: 0, walked: 0, found: VecDeque::new(), page: None }
    }

    /// Whether the row at `position` has a value.
    pub(super) fn is_valid(&mut self, position: u64, pages: &mut Pages) -> Result<bool> {
        let within = |start: u64, rows: usize| position.checked_sub(start).filter(|&offset| offset < rows as u64);
        if self.page.as_ref().and_then(|(start, rows, _)| within(*start, *rows)).is_none() {
            let Some(page) = pages.at(position)? else { return Ok(false) };
            let nulls = page.columns().get(self.column).and_then(|column| column.logical_nulls());
            self.page = Some((page.start, page.num_rows(), nulls));
        }
        Ok(self.page.as_ref().is_some_and(|(start, _, nulls)| {
            let offset = usize::try_from(position - start).unwrap_or(usize::MAX);
            nulls.as_ref().is_none_or(|nulls| nulls.is_valid(offset))
        }))
    }

    /// The n-th row with a value in `start .. end`.
    fn nth(&mut self, start: u64, end: u64, n: u64, pages: &mut Pages) -> Result<u64> {
        self.go_to(start, end);
        while (self.found.len() as u64) < n && self.walked < end {
            if self.is_valid(self.walked, pages)? {
                self.found.push_back(self.walked);
            }
            self.walked += 1;
        }
        let nth = usize::try_from(n - 1).ok().and_then(|index| self.found.get(index));
        Ok(nth.copied().filter(|&position| position < end).unwrap_or(NOWHERE))
    }

    /// The n-th row with a value in `start .. end` from its end.
    fn nth_last(&mut self, start: u64, end: u64, n: u64, pages: &mut Pages) -> Result<u64> {
        self.go_to(start, end);
        while self.walked < end {
            if self.is_valid(self.walked, pages)? {
                self.found.push_back(self.walked);
                if self.found.len() as u64 > n {
                    self.found.pop_front();
                }
            }
            self.walked += 1;
        }
        Ok(if self.found.len() as u64 == n { self.found.front().copied().unwrap_or(NOWHERE) } else { NOWHERE })
    }

    /// The n-th row with a value of those that remain of a frame. Looks at them one by one.
    fn nth_remaining(&mut self, remaining: &Remaining, n: i64, pages: &mut Pages) -> Result<Option<u64>> {
        let rows: u64 = remaining.iter().map(|(start, end)| end - start).sum();
        let mut left = n.unsigned_abs();
        for index in 1..=i64::try_from(rows).unwrap_or(i64::MAX) {
            let Some(position) = nth(remaining, if n > 0 { index } else { -index }) else { break };
            if self.is_valid(position, pages)? {
                left = left.saturating_sub(1);
                if left == 0 {
                    return Ok(Some(position));
                }
            }
        }
        Ok(None)
    }

    /// Begins anew where a frame goes back, as RANGE frames of months may.
    fn go_to(&mut self, start: u64, end: u64) {
        if start < self.from || end < self.walked {
            self.found.clear();
            self.walked = start;
        }
        self.from = start;
        self.forget_before(start);
    }

    fn forget_before(&mut self, start: u64) {
        self.walked = self.walked.max(start);
        while self.found.front().is_some_and(|&position| position < start) {
            self.found.pop_front();
        }
    }

    fn needs_from(&self) -> u64 {
        self.found.front().copied().unwrap_or(self.walked).min(self.walked)
    }

    fn bytes(&self) -> usize {
        self.found.capacity() * size_of::<u64>()
    }
}

/// The values of `column` at `positions`, which never go back but for [`NOWHERE`]: there it is the row's own value in
/// `defaults`, or NULL.
pub(super) fn gather(
    pages: &mut Pages,
    column: usize,
    positions: &[u64],
    defaults: Option<&ArrayRef>,
) -> Result<ArrayRef> {
    let mut pieces: Vec<ArrayRef> = Vec::new();
    let mut views: Vec<PageView> = Vec::new();
    // Places: 0 is the default, page k is k + 1.
    let mut picks: Vec<(usize, usize)> = Vec::with_capacity(positions.len());
    for (row, &position) in positions.iter().enumerate() {
        if position == NOWHERE {
            picks.push((0, if defaults.is_some() { row } else { 0 }));
            continue;
        }
        let known = views.last().and_then(|view| view.offset(position));
        let offset = match known {
            Some(offset) => offset,
            None => {
                if views.len() == PAGES_AT_ONCE {
                    pieces.push(pick(pages, &views, column, &picks, defaults)?);
                    views.clear();
                    picks.clear();
                }
                let missing = || Error::internal("a window's value behind the last row");
                let view = pages.at(position)?.ok_or_else(missing)?;
                let offset = view.offset(position).ok_or_else(missing)?;
                views.push(view);
                offset
            }
        };
        picks.push((views.len(), offset));
    }
    if !picks.is_empty() || pieces.is_empty() {
        pieces.push(pick(pages, &views, column, &picks, defaults)?);
    }
    if let [piece] = pieces.as_slice() {
        return Ok(piece.clone());
    }
    Ok(concat(&pieces.iter().map(AsRef::as_ref).collect::<Vec<_>>())?)
}

fn pick(
    pages: &Pages,
    views: &[PageView],
    column: usize,
    picks: &[(usize, usize)],
    defaults: Option<&ArrayRef>,
) -> Result<ArrayRef> {
    let values = views.iter().map(|view| view.columns().get(column).map(|column| column.as_ref()));
    let values: Vec<&dyn Array> =
        values.collect::<Option<_>>().ok_or_else(|| Error::internal("a page without a function's column"))?;
    if let ([values], None) = (values.as_slice(), defaults) {
        // Places are row numbers of a page, which are fewer than 2^32.
        let rows = picks.iter().map(|&(place, row)| (place > 0).then_some(row as u32));
        return Ok(take(*values, &UInt32Array::from_iter(rows), None)?);
    }
    let null = new_null_array(&pages.layout().column_type(column)?, 1);
    let default = defaults.map_or(null.as_ref(), AsRef::as_ref);
    let all: Vec<&dyn Array> = std::iter::once(default).chain(values).collect();
    Ok(interleave(&all, picks)?)
}
