//! `lag` and `lead`: the value so many rows away in the same partition, or a default.

use std::collections::VecDeque;

use arrow::array::{Array, ArrayRef};
use arrow::compute::{CastOptions, cast_with_options};

use super::bounds::{Current, Frames};
use super::layout::Slot;
use super::pages::Pages;
use super::value::{NOWHERE, ValidRows, gather};
use super::works::FunctionWork;
use crate::error::{Error, Result};

/// One `lag` or `lead`.
pub(super) struct Shift {
    column: usize,
    /// The column of the default.
    default: Option<usize>,
    /// So many rows before the current one; behind it if negative.
    back: i64,
    partition: usize,
    /// For IGNORE NULLS.
    valid: Option<ValidNeighbours>,
    reach: u64,
}

/// Rows with a value around the current one, in its partition.
struct ValidNeighbours {
    rows: ValidRows,
    /// The last rows with a value before the current one, or the next behind it.
    found: VecDeque<u64>,
    /// Rows before it have been looked at.
    walked: u64,
}

impl Shift {
    pub(super) fn new(slot: &Slot, back: i64) -> Result<Self> {
        let column = *slot.arguments.first().ok_or_else(|| Error::internal("lag or lead without a value"))?;
        let neighbours = || ValidNeighbours { rows: ValidRows::new(column), found: VecDeque::new(), walked: 0 };
        let valid = (slot.call.ignores_nulls() && back != 0).then(neighbours);
        let default = slot.arguments.get(1).copied();
        Ok(Shift { column, default, back, partition: slot.partition, valid, reach: 0 })
    }

    fn positions(&mut self, current: &Current, pages: &mut Pages) -> Result<Vec<u64>> {
        let distance = self.back.unsigned_abs();
        let mut positions = Vec::with_capacity(current.rows());
        let ahead = if self.back < 0 { current.page.end().saturating_add(distance) } else { 0 };
        let ahead = if self.valid.is_some() && self.back < 0 { u64::MAX } else { ahead };
        for (span, end) in current.with_ends(self.partition, pages, ahead)? {
            let rows = current.page.start + u64::from(span.from)..current.page.start + u64::from(span.to);
            match &mut self.valid {
                Some(valid) => {
                    for row in rows {
                        positions.push(match self.back > 0 {
                            true => valid.before(row, span.start, distance, pages)?,
                            false => valid.behind(row, end, distance, pages)?,
                        });
                    }
                }
                None if self.back >= 0 => {
                    let first = span.start.saturating_add(distance);
                    positions.extend(rows.map(|row| if row >= first { row - distance } else { NOWHERE }));
                }
                None => {
                    let target = |row: u64| row.checked_add(distance).filter(|&target| target < end);
                    positions.extend(rows.map(|row| target(row).unwrap_or(NOWHERE)));
                }
            }
        }
        let open = current.level(self.partition)?.last();
        let end = current.page.end();
        self.reach = if self.back > 0 { open.max(end.saturating_sub(distance)) } else { end };
        Ok(positions)
    }
}

impl ValidNeighbours {
    /// The `distance`-th row with a value before `row`, whose partition begins at `first`.
    fn before(&mut self, row: u64, first: u64, distance: u64, pages: &mut Pages) -> Result<u64> {
        if self.walked < first {
            self.walked = first;
        }
        while self.found.front().is_some_and(|&position| position < first) {
            self.found.pop_front();
        }
        while self.walked < row {
            if self.rows.is_valid(self.walked, pages)? {
                self.found.push_back(self.walked);
                if self.found.len() as u64 > distance {
                    self.found.pop_front();
                }
            }
            self.walked += 1;
        }
        Ok(if self.found.len() as u64 == distance { self.found.front().copied().unwrap_or(NOWHERE) } else { NOWHERE })
    }

    /// The `distance`-th row with a value behind `row` and before `end`.
    fn behind(&mut self, row: u64, end: u64, distance: u64, pages: &mut Pages) -> Result<u64> {
        self.walked = self.walked.max(row + 1);
        while self.found.front().is_some_and(|&position| position <= row) {
            self.found.pop_front();
        }
        while (self.found.len() as u64) < distance && self.walked < end {
            if self.rows.is_valid(self.walked, pages)? {
                self.found.push_back(self.walked);
            }
            self.walked += 1;
        }
        let index = usize::try_from(distance - 1).unwrap_or(usize::MAX);
        Ok(self.found.get(index).copied().unwrap_or(NOWHERE))
    }
}

impl FunctionWork for Shift {
    fn evaluate(&mut self, current: &Current, _frames: Option<&Frames>, pages: &mut Pages) -> Result<ArrayRef> {
        let positions = self.positions(current, pages)?;
        let Some(default) = self.default else { return gather(pages, self.column, &positions, None) };
        let column = |index: usize| current.page.columns().get(index);
        let (Some(values), Some(defaults)) = (column(self.column), column(default)) else {
            return Err(Error::internal("a page without a function's column"));
        };
        if values.data_type().is_null() {
            return Ok(defaults.clone());
        }
        let defaults = if defaults.data_type() == values.data_type() {
            defaults.clone()
        } else {
            let checked = CastOptions { safe: false, ..CastOptions::default() };
            cast_with_options(defaults, values.data_type(), &checked)?
        };
        gather(pages, self.column, &positions, Some(&defaults))
    }

    fn needs_from(&self) -> u64 {
        match &self.valid {
            Some(valid) if self.back > 0 => valid.found.front().copied().unwrap_or(valid.walked).min(valid.walked),
            _ => self.reach,
        }
    }

    fn bytes(&self) -> usize {
        self.valid.as_ref().map_or(0, |valid| valid.found.capacity() * size_of::<u64>())
    }
}
