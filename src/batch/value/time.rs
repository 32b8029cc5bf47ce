//! The text of dates, times, timestamps and intervals, for every value that the types can hold.
//!
//! Invariant: the whole range of each type has a text (years before 1 as `0044-03-15 (BC)`, years after 9999 with five
//! digits and more). Fractions of a second are written without trailing zeros.

use std::fmt::Write;

use arrow::array::timezone::Tz;
use arrow::array::{Array, AsArray};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Date64Type, Time32MillisecondType, Time32SecondType,
    Time64MicrosecondType, Time64NanosecondType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use chrono::{DateTime, Offset, TimeZone};

const DAY_SECONDS: i64 = 86_400;
const SECOND_NANOSECONDS: i64 = 1_000_000_000;

/// Appends a DATE or TIME value; other types are left to the caller.
pub fn write_date_or_time(out: &mut String, array: &dyn Array, row: usize) {
    match array.data_type() {
        DataType::Date32 => write_date(out, array.as_primitive::<Date32Type>().value(row).into()),
        DataType::Date64 => write_date(out, array.as_primitive::<Date64Type>().value(row).div_euclid(86_400_000)),
        DataType::Time32(TimeUnit::Second) => {
            write_time(out, array.as_primitive::<Time32SecondType>().value(row).into(), 0);
        }
        DataType::Time32(_) => {
            write_time_of(out, array.as_primitive::<Time32MillisecondType>().value(row).into(), 1_000)
        }
        DataType::Time64(TimeUnit::Microsecond) => {
            write_time_of(out, array.as_primitive::<Time64MicrosecondType>().value(row), 1_000_000);
        }
        DataType::Time64(_) => {
            write_time_of(out, array.as_primitive::<Time64NanosecondType>().value(row), SECOND_NANOSECONDS);
        }
        _ => {}
    }
}

/// Appends a timestamp: in UTC without an offset, or in `zone` with one (`2013-01-01 10:00:00+00`).
pub fn write_timestamp(out: &mut String, array: &dyn Array, row: usize, unit: TimeUnit, zone: Option<&str>) {
    fn at<T: ArrowPrimitiveType<Native = i64>>(array: &dyn Array, row: usize) -> i64 {
        array.as_primitive::<T>().value(row)
    }
    let (value, per_second) = match unit {
        TimeUnit::Second => (at::<TimestampSecondType>(array, row), 1),
        TimeUnit::Millisecond => (at::<TimestampMillisecondType>(array, row), 1_000),
        TimeUnit::Microsecond => (at::<TimestampMicrosecondType>(array, row), 1_000_000),
        TimeUnit::Nanosecond => (at::<TimestampNanosecondType>(array, row), SECOND_NANOSECONDS),
    };
    let seconds = value.div_euclid(per_second);
    let nanoseconds = value.rem_euclid(per_second) * (SECOND_NANOSECONDS / per_second);
    let offset = zone.map(|zone| offset_seconds(zone, seconds));
    // The offset is less than a day; only the outermost days of the range could overflow, and they saturate.
    let local = seconds.saturating_add(offset.unwrap_or(0));
    write_date(out, local.div_euclid(DAY_SECONDS));
    out.push(' ');
    write_time(out, local.rem_euclid(DAY_SECONDS), nanoseconds);
    if let Some(offset) = offset {
        write_offset(out, offset);
    }
}

/// Appends an interval as `1 year 2 months 3 days 04:05:06.5`; the empty one is `00:00:00`.
pub fn write_interval(out: &mut String, months: i32, days: i32, nanoseconds: i128) {
    let start = out.len();
    for (count, name) in [(months / 12, "year"), (months % 12, "month"), (days, "day")] {
        if count != 0 {
            let plural = if count.unsigned_abs() == 1 { "" } else { "s" };
            let space = if out.len() > start { " " } else { "" };
            // Writing to a String cannot fail.
            let _ = write!(out, "{space}{count} {name}{plural}");
        }
    }
    if nanoseconds == 0 && out.len() > start {
        return;
    }
    if out.len() > start {
        out.push(' ');
    }
    if nanoseconds < 0 {
        out.push('-');
    }
    let total = nanoseconds.unsigned_abs();
    let seconds = total / 1_000_000_000;
    let _ = write!(out, "{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    write_fraction(out, i64::try_from(total % 1_000_000_000).unwrap_or(0));
}

fn write_date(out: &mut String, days: i64) {
    let (year, month, day) = civil(days);
    let shown = if year <= 0 { 1 - year } else { year };
    let _ = write!(out, "{shown:04}-{month:02}-{day:02}");
    if year <= 0 {
        out.push_str(" (BC)");
    }
}

fn write_time_of(out: &mut String, value: i64, per_second: i64) {
    write_time(out, value / per_second, value % per_second * (SECOND_NANOSECONDS / per_second));
}

fn write_time(out: &mut String, seconds: i64, nanoseconds: i64) {
    let _ = write!(out, "{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    write_fraction(out, nanoseconds);
}

fn write_fraction(out: &mut String, nanoseconds: i64) {
    if nanoseconds != 0 {
        let _ = write!(out, ".{nanoseconds:09}");
        out.truncate(out.trim_end_matches('0').len());
    }
}

fn write_offset(out: &mut String, offset: i64) {
    let sign = if offset < 0 { '-' } else { '+' };
    let minutes = offset.abs() / 60;
    let _ = write!(out, "{sign}{:02}", minutes / 60);
    if minutes % 60 != 0 {
        let _ = write!(out, ":{:02}", minutes % 60);
    }
}

/// Seconds east of UTC at an instant; an unknown zone or an instant outside the zone tables reads as UTC.
fn offset_seconds(zone: &str, seconds: i64) -> i64 {
    let (Ok(zone), Some(instant)) = (zone.parse::<Tz>(), DateTime::from_timestamp(seconds, 0)) else {
        return 0;
    };
    zone.offset_from_utc_datetime(&instant.naive_utc()).fix().local_minus_utc().into()
}

/// Year, month and day of a day counted from 1970-01-01, in the proleptic Gregorian calendar (year 0 is 1 BC).
///
/// After Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms": eras of 400 years that start on 1 March.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}
