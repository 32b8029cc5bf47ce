//! Dates and times. TIMESTAMP WITH TIME ZONE is shown, and taken apart, in UTC.

mod bucket;
mod calendar;
mod difference;
mod make;
mod part;
mod stored;
mod strftime;
mod strptime;
mod trunc;
mod zone;

use arrow::datatypes::IntervalMonthDayNano;

use super::function::{Function, Overload, function};
use super::typed::{Date, Instant, Interval, Time, Timestamp, TimestampNs, row1};
use crate::error::{Code, Error, Result};
use calendar::DAY;
pub(in crate::expr) use calendar::{days_in_month, days_of};
use part::Part;
pub(in crate::expr) use zone::moment;

/// The functions of this family.
pub(super) fn functions() -> Vec<Function> {
    let mut functions = parts();
    functions.extend(epochs());
    functions.extend(trunc::functions());
    functions.extend(difference::functions());
    functions.extend(make::functions());
    functions.extend(bucket::functions());
    functions.extend(stored::functions());
    functions.extend(strftime::functions());
    functions.extend(strptime::functions());
    functions.extend(zone::functions());
    functions
}

/// The parts that are functions by themselves. Those of one word that the library has too (`year` and the like) are
/// macros, so that the optimizer sees through them.
fn parts() -> Vec<Function> {
    let of = |names, what, part| function(names, "time", what, part_of(part));
    vec![
        of("millennium", "The number of the millennium", Part::Millennium),
        of("century", "The number of the century", Part::Century),
        of("decade", "The year divided by ten", Part::Decade),
        of("isoyear", "The year that the ISO week belongs to", Part::IsoYear),
        of("yearweek", "The ISO year and week as one number, 202453", Part::YearWeek),
        of("year", "The year", Part::Year),
        of("quarter", "The quarter, from 1 to 4", Part::Quarter),
        of("month", "The month, from 1 to 12", Part::Month),
        of("week weekofyear", "The number of the ISO week", Part::Week),
        of("day dayofmonth", "The day of the month", Part::Day),
        of("dayofweek weekday", "The day of the week, from 0 for Sunday to 6", Part::DayOfWeek),
        of("isodow", "The day of the week, from 1 for Monday to 7", Part::IsoDayOfWeek),
        of("dayofyear", "The day of the year", Part::DayOfYear),
        of("hour", "The hour", Part::Hour),
        of("minute", "The minute", Part::Minute),
        of("second", "The second", Part::Second),
        of("millisecond", "The second in milliseconds", Part::Millisecond),
        of("microsecond", "The second in microseconds", Part::Microsecond),
        of("era", "1 for years after Christ, else 0", Part::Era),
        of("timezone_hour", "The hours from UTC, in which times are shown", Part::Timezone),
        of("timezone_minute", "The minutes from UTC, in which times are shown", Part::Timezone),
        function(
            "nanosecond",
            "time",
            "The second in nanoseconds",
            [
                row1::<TimestampNs, _>(|nanos: i64| nanos.rem_euclid(60_000_000_000)),
                row1::<Timestamp, _>(|micros: i64| micros.rem_euclid(60_000_000) * 1000),
            ],
        ),
        function(
            "dayname",
            "time",
            "The name of the day of the week",
            [
                row1::<Date, _>(|days| calendar::weekday_name(days.into()).to_string()),
                row1::<Timestamp, _>(|micros: i64| calendar::weekday_name(micros.div_euclid(DAY)).to_string()),
                row1::<Instant, _>(|micros: i64| calendar::weekday_name(micros.div_euclid(DAY)).to_string()),
            ],
        ),
        function(
            "monthname",
            "time",
            "The name of the month",
            [
                row1::<Date, _>(|days| calendar::month_name(days.into()).to_string()),
                row1::<Timestamp, _>(|micros: i64| calendar::month_name(micros.div_euclid(DAY)).to_string()),
                row1::<Instant, _>(|micros: i64| calendar::month_name(micros.div_euclid(DAY)).to_string()),
            ],
        ),
        function(
            "julian",
            "time",
            "The Julian day with its fraction, which begins at midnight",
            [
                row1::<Date, _>(|days| f64::from(days) + 2_440_588.0),
                row1::<Timestamp, _>(julian),
                row1::<Instant, _>(julian),
            ],
        ),
    ]
}

fn part_of(part: Part) -> Vec<Overload> {
    vec![
        row1::<Date, _>(move |days| part.at(days.into(), 0)),
        row1::<Timestamp, _>(move |micros| part.value(micros)),
        row1::<Instant, _>(move |micros| part.value(micros)),
        row1::<Time, _>(move |micros| match part {
            Part::Hour | Part::Minute | Part::Second | Part::Millisecond | Part::Microsecond => Ok(part.value(micros)),
            _ => Err(not_part("time of day")),
        }),
        row1::<Interval, _>(move |span| part.of_span(span).ok_or_else(|| not_part("span of time"))),
    ]
}

fn not_part(what: &str) -> Error {
    Error::new(Code::InvalidQuery, format!("a {what} has no such part"))
}

fn julian(micros: i64) -> f64 {
    (micros.div_euclid(DAY) + 2_440_588) as f64 + micros.rem_euclid(DAY) as f64 / DAY as f64
}

fn epochs() -> Vec<Function> {
    vec![
        function(
            "epoch",
            "time",
            "The seconds since 1970, or of a span of time",
            [
                row1::<Date, _>(|days| f64::from(days) * 86_400.0),
                row1::<Timestamp, _>(|micros| micros as f64 / 1e6),
                row1::<Instant, _>(|micros| micros as f64 / 1e6),
                row1::<Time, _>(|micros| micros as f64 / 1e6),
                row1::<Interval, _>(seconds),
            ],
        ),
        function("epoch_ms", "time", "The milliseconds since 1970, or the time of so many", epoch_units(1000, true)),
        function("epoch_us", "time", "The microseconds since 1970", epoch_units(1, false)),
        function("epoch_ns", "time", "The nanoseconds since 1970", epoch_nanos()),
    ]
}

/// A year of a span has 365.25 days, a month that is left over 30.
fn seconds(span: IntervalMonthDayNano) -> f64 {
    let (years, months) = (span.months / 12, span.months % 12);
    let days = f64::from(months) * 30.0 + f64::from(span.days);
    f64::from(years) * 365.25 * 86_400.0 + days * 86_400.0 + span.nanoseconds as f64 / 1e9
}

/// A month of a span has 30 days.
fn span_micros(span: IntervalMonthDayNano) -> Result<i64> {
    let days = i128::from(span.months) * 30 + i128::from(span.days);
    let micros = days * i128::from(DAY) + i128::from(span.nanoseconds / 1000);
    i64::try_from(micros).map_err(|_| out_of_range())
}

fn epoch_units(unit: i64, from_number: bool) -> Vec<Overload> {
    let mut overloads = vec![
        row1::<Date, _>(move |days| i64::from(days).checked_mul(DAY / unit).ok_or_else(out_of_range)),
        row1::<Timestamp, _>(move |micros: i64| micros.div_euclid(unit)),
        row1::<Instant, _>(move |micros: i64| micros.div_euclid(unit)),
        row1::<Time, _>(move |micros| micros / unit),
        row1::<Interval, _>(move |span| span_micros(span).map(|micros| micros / unit)),
    ];
    if from_number {
        overloads.push(row1::<super::typed::Int, _>(make::from_millis));
    }
    overloads
}

fn epoch_nanos() -> Vec<Overload> {
    let nanos = |micros: i64| micros.checked_mul(1000).ok_or_else(out_of_range);
    vec![
        row1::<TimestampNs, _>(|nanos| nanos),
        row1::<Date, _>(move |days| midnight(days).and_then(nanos)),
        row1::<Timestamp, _>(nanos),
        row1::<Instant, _>(nanos),
        row1::<Time, _>(nanos),
        row1::<Interval, _>(move |span| span_micros(span).and_then(nanos)),
    ]
}

/// The time at which a day begins.
fn midnight(days: i32) -> Result<i64> {
    i64::from(days).checked_mul(DAY).ok_or_else(out_of_range)
}

/// The error of a time that cannot be represented.
fn out_of_range() -> Error {
    Error::new(Code::Overflow, "a time is out of range")
}
