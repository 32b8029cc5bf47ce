//! `lag`, `lead` and `nth_value` by a number that is another one for each row.
//!
//! Rows may ask for any row of their partition (of their frame, for `nth_value`): its pages wait in the store until it has ended.

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Int64Type};

use super::bounds::{Current, Frames};
use super::layout::Slot;
use super::pages::Pages;
use super::value::{NOWHERE, gather};
use super::works::FunctionWork;
use crate::error::{Error, Result};
use crate::expr::Exclusion;

/// The columns of a function: its value, its default, and its number.
struct Columns {
    value: usize,
    default: Option<usize>,
    number: usize,
}

impl Columns {
    fn of(slot: &Slot) -> Result<Self> {
        match slot.arguments.as_slice() {
            [value, number] => Ok(Columns { value: *value, default: None, number: *number }),
            [value, default, number] => Ok(Columns { value: *value, default: Some(*default), number: *number }),
            _ => Err(Error::internal("a window function without its number")),
        }
    }

    fn column<'a>(&self, current: &'a Current, index: usize) -> Result<&'a ArrayRef> {
        current.page.columns().get(index).ok_or_else(|| Error::internal("a page without a function's column"))
    }

    fn numbers(&self, current: &Current) -> Result<Int64Array> {
        let numbers = checked_cast(self.column(current, self.number)?, &DataType::Int64)?;
        Ok(numbers.as_primitive::<Int64Type>().clone())
    }

    fn gather(&self, current: &Current, positions: &[u64], pages: &mut Pages) -> Result<ArrayRef> {
        let Some(default) = self.default else { return gather(pages, self.value, positions, None) };
        let values = self.column(current, self.value)?;
        let defaults = self.column(current, default)?;
        if values.data_type().is_null() {
            return Ok(defaults.clone());
        }
        let defaults = checked_cast(defaults, values.data_type())?;
        gather(pages, self.value, positions, Some(&defaults))
    }
}

fn checked_cast(values: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    let checked = CastOptions { safe: false, ..CastOptions::default() };
    if values.data_type() == to { Ok(values.clone()) } else { Ok(cast_with_options(values, to, &checked)?) }
}

/// `lag` or `lead`.
pub(super) struct ShiftBy {
    columns: Columns,
    ahead: bool,
    partition: usize,
    /// Where the partition of the next row begins, as far as that is known.
    reach: u64,
}

impl ShiftBy {
    pub(super) fn new(slot: &Slot, ahead: bool) -> Result<Self> {
        Ok(ShiftBy { columns: Columns::of(slot)?, ahead, partition: slot.partition, reach: 0 })
    }
}

impl FunctionWork for ShiftBy {
    fn evaluate(&mut self, current: &Current, _frames: Option<&Frames>, pages: &mut Pages) -> Result<ArrayRef> {
        let distances = self.columns.numbers(current)?;
        let mut positions = Vec::with_capacity(current.rows());
        for (span, end) in current.with_ends(self.partition, pages, u64::MAX)? {
            for offset in span.from..span.to {
                let row = current.page.start + u64::from(offset);
                let distance = usize::try_from(offset).unwrap_or(usize::MAX);
                let distance = distances.is_valid(distance).then(|| distances.value(distance));
                let target = distance.and_then(|distance| {
                    let size = distance.unsigned_abs();
                    let back = (distance > 0) != self.ahead;
                    if back { row.checked_sub(size) } else { row.checked_add(size) }
                });
                positions.push(target.filter(|target| (span.start..end).contains(target)).unwrap_or(NOWHERE));
            }
        }
        self.reach = current.level(self.partition)?.last();
        // So many rows away as nobody knows is nowhere, and not where the default stands.
        if distances.null_count() > 0 && self.columns.default.is_some() {
            let known = arrow::compute::is_null(&distances)?;
            let values = self.columns.gather(current, &positions, pages)?;
            return Ok(arrow::compute::nullif(&values, &known)?);
        }
        self.columns.gather(current, &positions, pages)
    }

    fn needs_from(&self) -> u64 {
        self.reach
    }
}

/// `nth_value`.
pub(super) struct NthBy {
    columns: Columns,
    reach: u64,
}

impl NthBy {
    pub(super) fn new(slot: &Slot) -> Result<Self> {
        if slot.call.frame().exclusion != Exclusion::NoOthers {
            return Err(Error::not_supported("nth_value of a computed place with EXCLUDE"));
        }
        Ok(NthBy { columns: Columns::of(slot)?, reach: 0 })
    }
}

impl FunctionWork for NthBy {
    fn evaluate(&mut self, current: &Current, frames: Option<&Frames>, pages: &mut Pages) -> Result<ArrayRef> {
        let frames = frames.ok_or_else(|| Error::internal("a value function without its frames"))?;
        let places = self.columns.numbers(current)?;
        let position = |(row, (&start, &end)): (usize, (&u64, &u64))| {
            let place = places.is_valid(row).then(|| places.value(row)).filter(|place| *place > 0)?;
            start.checked_add(place.unsigned_abs() - 1).filter(|position| *position < end)
        };
        let positions = frames.starts.iter().zip(&frames.ends).enumerate();
        let positions: Vec<u64> = positions.map(|row| position(row).unwrap_or(NOWHERE)).collect();
        self.reach = frames.starts.last().copied().unwrap_or(self.reach);
        self.columns.gather(current, &positions, pages)
    }

    fn needs_from(&self) -> u64 {
        self.reach
    }
}
