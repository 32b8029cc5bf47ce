//! RANGE frames with an offset: the first row whose key is not before (or is behind) the current row's key moved by the
//! offset.
//!
//! Keys are compared as integers of 128 bits, where moving cannot overflow, or as floats; dates and times by
//! microseconds or nanoseconds. A NULL's frame is its peers where the bound is an offset.
//!
//! Ends of months bend the order: March 31st at 5 less a month comes before March 30th at 10 less a month. For intervals
//! of months a second search stays so far behind that the first one can begin again from there.

use std::cmp::Ordering;

use arrow::array::{Array, ArrayRef, AsArray, Scalar};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::kernels::numeric::{add, sub};
use arrow::compute::{SortOptions, cast};
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type, TimeUnit, UInt64Type};
use datafusion_common::ScalarValue;

use super::bounds::Current;
use super::layout::Slot;
use super::pages::Pages;
use crate::error::{Error, Result};

/// Keys of rows, or keys moved.
enum Keys {
    Integers(Vec<i128>),
    Floats(Vec<f64>),
}

impl Keys {
    /// `column` as keys.
    fn of(column: &ArrayRef) -> Result<Keys> {
        let not_supported = || {
            Error::not_supported(format!(
                "RANGE with an offset over {}",
                crate::expr::types::sql_type_name(column.data_type())
            ))
        };
        Ok(match column.data_type() {
            DataType::Float16 | DataType::Float32 | DataType::Float64 => {
                let column = cast(column, &DataType::Float64)?;
                Keys::Floats(column.as_primitive::<Float64Type>().values().to_vec())
            }
            DataType::UInt64 => integers(column.as_primitive::<UInt64Type>().values()),
            DataType::Decimal32(_, scale) | DataType::Decimal64(_, scale) => {
                let column = cast(column, &DataType::Decimal128(38, *scale))?;
                Keys::Integers(column.as_primitive::<Decimal128Type>().values().to_vec())
            }
            DataType::Decimal128(..) => Keys::Integers(column.as_primitive::<Decimal128Type>().values().to_vec()),
            DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) | DataType::Duration(_) => {
                integers(cast(&as_time(column)?, &DataType::Int64)?.as_primitive::<Int64Type>().values())
            }
            integer if integer.is_integer() => {
                integers(cast(column, &DataType::Int64)?.as_primitive::<Int64Type>().values())
            }
            _ => return Err(not_supported()),
        })
    }

    /// The order of a key and a key of `others`, ascending; NaN is the greatest and one value.
    fn compare(&self, row: usize, others: &Keys, other: usize) -> Ordering {
        match (self, others) {
            (Keys::Integers(keys), Keys::Integers(others)) => keys[row].cmp(&others[other]),
            (Keys::Floats(keys), Keys::Floats(others)) => {
                let (left, right) = (keys[row], others[other]);
                left.partial_cmp(&right).unwrap_or_else(|| left.is_nan().cmp(&right.is_nan()))
            }
            // Columns of one key have one type.
            _ => Ordering::Equal,
        }
    }

    /// Times of type `of` moved by [`BEND_HOURS`] towards the beginning of the order.
    fn earlier(&self, of: &DataType, descending: bool) -> Keys {
        let Keys::Integers(keys) = self else { return Keys::Floats(Vec::new()) };
        let in_second = match of {
            DataType::Timestamp(TimeUnit::Nanosecond, _) => 1_000_000_000,
            _ => 1_000_000,
        };
        let distance = BEND_HOURS * 3600 * in_second;
        let earlier = |key: &i128| if descending { key + distance } else { key - distance };
        Keys::Integers(keys.iter().map(earlier).collect())
    }
}

fn integers<N: Copy + Into<i128>>(values: &[N]) -> Keys {
    Keys::Integers(values.iter().map(|&value| value.into()).collect())
}

/// Dates and times in a unit in which intervals can be added to them.
fn as_time(column: &ArrayRef) -> Result<ArrayRef> {
    Ok(match column.data_type() {
        DataType::Date32 | DataType::Date64 => cast(column, &DataType::Timestamp(TimeUnit::Microsecond, None))?,
        DataType::Timestamp(TimeUnit::Second | TimeUnit::Millisecond, zone) => {
            cast(column, &DataType::Timestamp(TimeUnit::Microsecond, zone.clone()))?
        }
        _ => column.clone(),
    })
}

/// The keys of `column` moved by `offset`.
fn moved(column: &ArrayRef, offset: &ScalarValue, forward: bool) -> Result<Keys> {
    if matches!(
        offset,
        ScalarValue::IntervalMonthDayNano(_) | ScalarValue::IntervalDayTime(_) | ScalarValue::IntervalYearMonth(_)
    ) {
        let (times, offset) = (as_time(column)?, Scalar::new(offset.to_array()?));
        let times = if forward { add(&times, &offset)? } else { sub(&times, &offset)? };
        return Keys::of(&times);
    }
    let distance = Keys::of(&offset.to_array()?)?;
    Ok(match (Keys::of(column)?, distance) {
        (Keys::Integers(mut keys), Keys::Integers(distance)) => {
            let distance = distance.first().copied().unwrap_or(0);
            for key in &mut keys {
                *key = if forward { key.saturating_add(distance) } else { key.saturating_sub(distance) };
            }
            Keys::Integers(keys)
        }
        (Keys::Floats(mut keys), Keys::Floats(distance)) => {
            let distance = distance.first().copied().unwrap_or(0.0);
            for key in &mut keys {
                // Infinity less infinity is no number, but as far as it was.
                if key.is_finite() {
                    *key = if forward { *key + distance } else { *key - distance };
                }
            }
            Keys::Floats(keys)
        }
        _ => return Err(Error::internal("a RANGE offset of another type than its key")),
    })
}

/// How far the target of a row can lie before that of a row before it, in hours, where months are added: the days of
/// March 29th to 31st fall onto one, and a time zone's clock may jump within it.
const BEND_HOURS: i128 = 48;

/// One end of RANGE frames, found by walking forward.
pub(super) struct RangeSearch {
    column: usize,
    options: SortOptions,
    offset: ScalarValue,
    /// Whether the offset makes keys greater.
    adds: bool,
    bound: Walk,
    /// Where targets may go back: the search for targets as early as any that can still come.
    behind: Option<Walk>,
    /// The last target, where there is a search behind.
    last: Option<i128>,
}

impl RangeSearch {
    /// The search for the end of the frame, or its start, `offset` behind the current row or before it.
    pub(super) fn new(slot: &Slot, offset: &ScalarValue, following: bool, is_end: bool) -> Result<Self> {
        let (column, options) = slot.order.ok_or_else(|| Error::internal("a RANGE offset without ORDER BY"))?;
        let adds = following != options.descending;
        let has_months = match offset {
            ScalarValue::IntervalMonthDayNano(Some(interval)) => interval.months != 0,
            ScalarValue::IntervalYearMonth(months) => months.is_some_and(|months| months != 0),
            _ => false,
        };
        let walk = |is_end: bool| Walk { column, options, is_end, position: 0, page: None };
        let behind = has_months.then(|| walk(false));
        Ok(RangeSearch { column, options, offset: offset.clone(), adds, bound: walk(is_end), behind, last: None })
    }

    /// The first position that is still looked at.
    pub(super) fn position(&self) -> u64 {
        self.behind.as_ref().map_or(u64::MAX, |behind| behind.position).min(self.bound.position)
    }

    pub(super) fn find(
        &mut self,
        (partition, peers): (usize, usize),
        current: &Current,
        pages: &mut Pages,
    ) -> Result<Vec<u64>> {
        let column = current.page.column(self.column);
        let targets = moved(column, &self.offset, self.adds)?;
        let early = self.behind.is_some().then(|| targets.earlier(column.data_type(), self.options.descending));
        let nulls = column.logical_nulls();
        let mut bounds = Vec::with_capacity(current.rows());
        let mut partitions = current.level(partition)?.spans();
        let mut own = partitions.next();
        let limit = if self.bound.is_end && nulls.is_some() { u64::MAX } else { 0 };
        for (span, end) in current.with_ends(peers, pages, limit)? {
            while own.is_some_and(|own| own.to <= span.from) {
                own = partitions.next();
            }
            let first = own.map_or(0, |own| own.start);
            let row = span.from as usize;
            let bound = match nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                true if self.bound.is_end => end,
                true => span.start,
                false => {
                    if let Some(early) = &early {
                        self.follow((&targets, early), row, first, partition, pages)?;
                    }
                    self.bound.walk(&targets, row, first, partition, pages)?
                }
            };
            bounds.extend(std::iter::repeat_n(bound, (span.to - span.from) as usize));
        }
        Ok(bounds)
    }

    /// Moves the search behind on, and the search for the bound back to it if the row's target lies before the last one.
    fn follow(
        &mut self,
        (targets, early): (&Keys, &Keys),
        row: usize,
        first: u64,
        partition: usize,
        pages: &mut Pages,
    ) -> Result<()> {
        let (Some(behind), Keys::Integers(targets)) = (&mut self.behind, targets) else { return Ok(()) };
        let position = behind.walk(early, row, first, partition, pages)?;
        let target = targets[row];
        let goes_back = |last: i128| if self.options.descending { target > last } else { target < last };
        if self.last.replace(target).is_some_and(goes_back) {
            self.bound.position = self.bound.position.min(position);
        }
        Ok(())
    }
}

/// A search of one bound, which goes forward through the rows.
struct Walk {
    column: usize,
    options: SortOptions,
    is_end: bool,
    position: u64,
    page: Option<SearchPage>,
}

/// The page that a search is in.
struct SearchPage {
    start: u64,
    keys: Keys,
    nulls: Option<NullBuffer>,
    /// Rows where a partition begins.
    begins: BooleanBuffer,
}

impl Walk {
    /// Moves on to the bound of the row with target `row`, whose partition begins at `first`.
    fn walk(&mut self, targets: &Keys, row: usize, first: u64, partition: usize, pages: &mut Pages) -> Result<u64> {
        self.position = self.position.max(first);
        while self.load(partition, pages)? {
            let Some(page) = self.page.take() else { break };
            let offset = usize::try_from(self.position - page.start).unwrap_or(usize::MAX);
            let stops = |&candidate: &usize| {
                let is_next_partition = page.start + candidate as u64 > first && page.begins.value(candidate);
                is_next_partition || !self.passes(&page, candidate, targets, row)
            };
            let bound = (offset..page.begins.len()).find(stops);
            self.position = page.start + bound.unwrap_or(page.begins.len()) as u64;
            self.page = Some(page);
            if bound.is_some() {
                break;
            }
        }
        Ok(self.position)
    }

    /// Whether the bound is behind this row.
    fn passes(&self, page: &SearchPage, candidate: usize, targets: &Keys, row: usize) -> bool {
        if page.nulls.as_ref().is_some_and(|nulls| nulls.is_null(candidate)) {
            return self.options.nulls_first;
        }
        let order = page.keys.compare(candidate, targets, row);
        let order = if self.options.descending { order.reverse() } else { order };
        order.is_lt() || self.is_end && order.is_eq()
    }

    /// Goes to the page of the position; false when the rows end before it.
    fn load(&mut self, partition: usize, pages: &mut Pages) -> Result<bool> {
        let position = self.position;
        let holds = |page: &SearchPage| page.start <= position && position < page.start + page.begins.len() as u64;
        if !self.page.as_ref().is_some_and(holds) {
            let Some(page) = pages.at(position)? else { return Ok(false) };
            let column = page.column(self.column);
            let begins = pages.bits(&page, partition)?;
            self.page =
                Some(SearchPage { start: page.start, keys: Keys::of(column)?, nulls: column.logical_nulls(), begins });
        }
        Ok(true)
    }
}
