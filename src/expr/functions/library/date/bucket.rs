//! Times in steps of a span: `time_bucket`, and spans in their usual form.

use arrow::datatypes::IntervalMonthDayNano;

use super::calendar::{DAY, add_months, civil, days_of};
use super::{midnight, out_of_range};
use crate::error::{Code, Error, Result};
use crate::expr::functions::library::function::{Function, function};
use crate::expr::functions::library::typed::{
    Date, Days, Instant, Interval, Micros, Moment, Timestamp, row1, row2, row3,
};

/// Steps of days and less begin on Monday, 2000-01-03, steps of months on 2000-01-01.
const MONDAY: i64 = 10_959 * DAY;
const CENTURY: i64 = 10_957 * DAY;

/// The functions of this file.
pub(super) fn functions() -> Vec<Function> {
    let day = |micros: i64| i32::try_from(micros.div_euclid(DAY)).map(Days).map_err(|_| out_of_range());
    vec![
        function(
            "time_bucket",
            "width, time[, offset or origin]",
            "The begin of the step of that width that the time lies in",
            [
                row2::<Interval, Date, _>(move |width, date| bucket(width, midnight(date)?, None).and_then(day)),
                row2::<Interval, Timestamp, _>(|width, time| bucket(width, time, None).map(Micros)),
                row2::<Interval, Instant, _>(|width, time| bucket(width, time, None).map(Moment)),
                row3::<Interval, Date, Interval, _>(move |width, date, offset| {
                    shifted(width, midnight(date)?, offset).and_then(day)
                }),
                row3::<Interval, Timestamp, Interval, _>(|width, time, offset| {
                    shifted(width, time, offset).map(Micros)
                }),
                row3::<Interval, Instant, Interval, _>(|width, time, offset| shifted(width, time, offset).map(Moment)),
                row3::<Interval, Date, Date, _>(move |width, date, origin| {
                    bucket(width, midnight(date)?, Some(midnight(origin)?)).and_then(day)
                }),
                row3::<Interval, Timestamp, Timestamp, _>(|width, time, origin| {
                    bucket(width, time, Some(origin)).map(Micros)
                }),
                row3::<Interval, Instant, Instant, _>(|width, time, origin| {
                    bucket(width, time, Some(origin)).map(Moment)
                }),
            ],
        ),
        function(
            "normalized_interval",
            "span",
            "The span with 24 hours as days and 30 days as months",
            [row1::<Interval, _>(normalized)],
        ),
    ]
}

fn bucket(width: IntervalMonthDayNano, time: i64, origin: Option<i64>) -> Result<i64> {
    let wrong = |what: &str| Err(Error::new(Code::InvalidQuery, format!("the width of a time bucket {what}")));
    if width.months != 0 {
        if width.days != 0 || width.nanoseconds != 0 {
            return wrong("has months or days and less, not both");
        }
        if width.months < 0 {
            return wrong("is more than nothing");
        }
        return months_bucket(i64::from(width.months), time, origin.unwrap_or(CENTURY));
    }
    let step = i64::from(width.days).checked_mul(DAY).and_then(|days| days.checked_add(width.nanoseconds / 1000));
    let step = step.ok_or_else(out_of_range)?;
    if step <= 0 {
        return wrong("is more than nothing");
    }
    let origin = origin.unwrap_or(MONDAY).rem_euclid(step);
    let from_origin = time.checked_sub(origin).ok_or_else(out_of_range)?;
    from_origin.div_euclid(step).checked_mul(step).and_then(|start| start.checked_add(origin)).ok_or_else(out_of_range)
}

/// Steps of months begin at the first of the month.
fn months_bucket(step: i64, time: i64, origin: i64) -> Result<i64> {
    let month = |micros: i64| {
        let date = civil(micros.div_euclid(DAY));
        date.year * 12 + date.month - 1
    };
    let origin = month(origin);
    let start = (month(time) - origin).div_euclid(step) * step + origin;
    days_of(start.div_euclid(12), start.rem_euclid(12) + 1, 1).checked_mul(DAY).ok_or_else(out_of_range)
}

/// The bucket of the time without the offset, with the offset.
fn shifted(width: IntervalMonthDayNano, time: i64, offset: IntervalMonthDayNano) -> Result<i64> {
    let negative = (offset.months.checked_neg(), offset.days.checked_neg(), offset.nanoseconds.checked_neg());
    let (Some(months), Some(days), Some(nanoseconds)) = negative else { return Err(out_of_range()) };
    let back = IntervalMonthDayNano::new(months, days, nanoseconds);
    add(bucket(width, add(time, back)?, None)?, offset)
}

/// A time and a span.
pub(super) fn add(time: i64, span: IntervalMonthDayNano) -> Result<i64> {
    let day = add_months(time.div_euclid(DAY), i64::from(span.months)) + i64::from(span.days);
    day.checked_mul(DAY)
        .and_then(|micros| micros.checked_add(time.rem_euclid(DAY)))
        .and_then(|micros| micros.checked_add(span.nanoseconds / 1000))
        .ok_or_else(out_of_range)
}

fn normalized(span: IntervalMonthDayNano) -> Result<IntervalMonthDayNano> {
    const NANOS: i64 = DAY * 1000;
    let days = i64::from(span.days) + span.nanoseconds.div_euclid(NANOS);
    let months = i64::from(span.months) + days.div_euclid(30);
    let narrow = |number: i64| i32::try_from(number).map_err(|_| out_of_range());
    Ok(IntervalMonthDayNano::new(narrow(months)?, narrow(days.rem_euclid(30))?, span.nanoseconds.rem_euclid(NANOS)))
}
