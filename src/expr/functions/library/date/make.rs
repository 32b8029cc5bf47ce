//! Dates, times and spans made of numbers.

use arrow::datatypes::IntervalMonthDayNano;

use super::calendar::{DAY, checked_days, civil, days_in_month, days_of};
use super::out_of_range;
use super::zone;
use crate::error::{Code, Error, Result};
use crate::expr::functions::library::function::{Function, Overload, function};
use crate::expr::functions::library::typed::{
    Clock, Date, Days, Double, Instant, Int, Micros, Moment, Nanos, Text, Timestamp, row1, row3, row6, row7,
};

/// The functions of this file.
pub(super) fn functions() -> Vec<Function> {
    let mut functions = times();
    functions.extend(months());
    functions.extend(spans());
    functions
}

fn times() -> Vec<Function> {
    vec![
        function(
            "make_date",
            "year, month, day",
            "The date of these numbers, or of so many days since 1970",
            [
                row1::<Int, _>(|days| i32::try_from(days).map(Days).map_err(|_| out_of_range())),
                row3::<Int, Int, Int, _>(|year, month, day| date(year, month, day).map(Days)),
            ],
        ),
        function(
            "make_time",
            "hour, minute, second",
            "The time of day of these numbers",
            [row3::<Int, Int, Double, _>(|hour, minute, second| time_of_day(hour, minute, second).map(Clock))],
        ),
        function(
            "make_timestamp",
            "year, month, day, hour, minute, second",
            "The time of these numbers, or of so many microseconds since 1970",
            [
                row1::<Int, _>(Micros),
                row6::<Int, Int, Int, Int, Int, Double, _>(|year, month, day, hour, minute, second| {
                    timestamp(year, month, day, hour, minute, second).map(Micros)
                }),
            ],
        ),
        function(
            "make_timestamp_ms",
            "milliseconds",
            "The time so many milliseconds after 1970",
            [row1::<Int, _>(from_millis)],
        ),
        function(
            "make_timestamp_ns",
            "nanoseconds",
            "The time so many nanoseconds after 1970",
            [row1::<Int, _>(Nanos)],
        ),
        function(
            "make_timestamptz",
            "year, month, day, hour, minute, second[, zone]",
            "The moment of these numbers in a time zone, or of so many microseconds since 1970",
            [
                row1::<Int, _>(Moment),
                row6::<Int, Int, Int, Int, Int, Double, _>(|year, month, day, hour, minute, second| {
                    timestamp(year, month, day, hour, minute, second).map(Moment)
                }),
                row7::<Int, Int, Int, Int, Int, Double, Text, _>(|year, month, day, hour, minute, second, name| {
                    let local = timestamp(year, month, day, hour, minute, second)?;
                    zone::moment(name, local).map(Moment)
                }),
            ],
        ),
        function(
            "to_timestamp",
            "seconds",
            "The moment so many seconds after 1970",
            [row1::<Double, _>(|seconds| micros(seconds, 1e6).map(Moment)), row1::<Timestamp, _>(Micros)],
        ),
    ]
}

fn months() -> Vec<Function> {
    vec![
        function(
            "last_day",
            "time",
            "The last day of the month",
            [
                row1::<Date, _>(|days| last_day(i64::from(days))),
                row1::<Timestamp, _>(|micros: i64| last_day(micros.div_euclid(DAY))),
                row1::<Instant, _>(|micros: i64| last_day(micros.div_euclid(DAY))),
            ],
        ),
        function(
            "days_in_month",
            "time",
            "How many days the month has",
            [row1::<Date, _>(|days| {
                let date = civil(i64::from(days));
                days_in_month(date.year, date.month)
            })],
        ),
    ]
}

fn spans() -> Vec<Function> {
    let months = |names, what, unit: i32| {
        function(
            names,
            "count",
            what,
            [row1::<Int, _>(move |count: i64| {
                let months = i32::try_from(count).ok().and_then(|count| count.checked_mul(unit));
                months.map(|months| IntervalMonthDayNano::new(months, 0, 0)).ok_or_else(out_of_range)
            })],
        )
    };
    let days = |names, what, unit: i32| {
        function(
            names,
            "count",
            what,
            [row1::<Int, _>(move |count: i64| {
                let days = i32::try_from(count).ok().and_then(|count| count.checked_mul(unit));
                days.map(|days| IntervalMonthDayNano::new(0, days, 0)).ok_or_else(out_of_range)
            })],
        )
    };
    let whole = |unit: i64| {
        row1::<Int, _>(move |count: i64| {
            count.checked_mul(unit).map(|nanos| IntervalMonthDayNano::new(0, 0, nanos)).ok_or_else(out_of_range)
        })
    };
    let fraction = |unit: f64| {
        row1::<Double, _>(move |count: f64| {
            micros(count, unit)
                .and_then(|micros| micros.checked_mul(1000).ok_or_else(out_of_range))
                .map(|nanos| IntervalMonthDayNano::new(0, 0, nanos))
        })
    };
    let exact = |names, what, overloads: Vec<Overload>| function(names, "count", what, overloads);
    vec![
        months("to_millennia", "A span of so many millennia", 12_000),
        months("to_centuries", "A span of so many centuries", 1200),
        months("to_decades", "A span of so many decades", 120),
        months("to_years", "A span of so many years", 12),
        months("to_quarters", "A span of so many quarters", 3),
        months("to_months", "A span of so many months", 1),
        days("to_weeks", "A span of so many weeks", 7),
        days("to_days", "A span of so many days", 1),
        exact("to_hours", "A span of so many hours", vec![whole(3_600_000_000_000)]),
        exact("to_minutes", "A span of so many minutes", vec![whole(60_000_000_000)]),
        exact("to_seconds", "A span of so many seconds", vec![whole(1_000_000_000), fraction(1e6)]),
        exact("to_milliseconds", "A span of so many milliseconds", vec![whole(1_000_000), fraction(1e3)]),
        exact("to_microseconds", "A span of so many microseconds", vec![whole(1000)]),
    ]
}

pub(super) fn from_millis(millis: i64) -> Result<Micros> {
    millis.checked_mul(1000).map(Micros).ok_or_else(out_of_range)
}

/// A number of units with a fraction as microseconds.
fn micros(count: f64, unit: f64) -> Result<i64> {
    let micros = (count * unit).round();
    // The next double below 2^63.
    if micros.abs() < 9.223_372_036_854_775e18 { Ok(micros as i64) } else { Err(out_of_range()) }
}

fn date(year: i64, month: i64, day: i64) -> Result<i32> {
    checked_days(year, month, day)
        .ok_or_else(|| Error::new(Code::InvalidCast, format!("there is no date {year}-{month}-{day}")))
}

fn time_of_day(hour: i64, minute: i64, second: f64) -> Result<i64> {
    let of_second = micros(second, 1e6)?;
    let fits = (0..24).contains(&hour) && (0..60).contains(&minute) && (0..=60_000_000).contains(&of_second);
    let whole_day = hour == 24 && minute == 0 && of_second == 0;
    if fits || whole_day {
        Ok(hour * 3_600_000_000 + minute * 60_000_000 + of_second)
    } else {
        Err(Error::new(Code::InvalidCast, format!("there is no time {hour}:{minute}:{second}")))
    }
}

fn timestamp(year: i64, month: i64, day: i64, hour: i64, minute: i64, second: f64) -> Result<i64> {
    let day = i64::from(date(year, month, day)?).checked_mul(DAY);
    let time = time_of_day(hour, minute, second)?;
    day.and_then(|day| day.checked_add(time)).ok_or_else(out_of_range)
}

fn last_day(days: i64) -> Result<Days> {
    let date = civil(days);
    let last = days_of(date.year, date.month, days_in_month(date.year, date.month));
    i32::try_from(last).map(Days).map_err(|_| out_of_range())
}
