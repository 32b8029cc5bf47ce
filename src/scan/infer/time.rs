//! Dates and timestamps as text, in the ISO 8601 forms that data files use. A zone is taken into account: the value
//! is the moment in UTC.
//!
//! Forms: `YYYY-MM-DD`, and the same followed by `T` or a space, `hh:mm[:ss[.fraction]]` and `Z`, `±hh`, `±hhmm` or
//! `±hh:mm`. Years 0001 to 9999. A fraction finer than a microsecond does not fit (it would be lost).

use crate::scan::infer::{Kind, word};

pub(super) const DAY_MICROS: i64 = 86_400_000_000;

/// `Date`, `Timestamp` or `Text`.
pub fn classify(text: &[u8]) -> Kind {
    if text.len() == 10 {
        return if parse_date(text).is_some() { Kind::Date } else { Kind::Text };
    }
    if text.len() >= 16 && parse_timestamp(text).is_some() { Kind::Timestamp } else { Kind::Text }
}

/// Microseconds since midnight of `hh:mm[:ss[.fraction]]`.
pub fn parse_time(text: &[u8]) -> Option<i64> {
    match text {
        [h1, h2, b':', _, _, rest @ ..]
            if text.len() <= 15 && rest.iter().all(|byte| matches!(byte, b'0'..=b'9' | b':' | b'.')) =>
        {
            two(*h1, *h2).and_then(|_| parse_time_and_zone(text))
        }
        _ => None,
    }
}

/// Days since 1970-01-01 of `YYYY-MM-DD`.
pub fn parse_date(text: &[u8]) -> Option<i32> {
    let (year, month, day) = word::date(text.try_into().ok()?)?;
    if !(1..=12).contains(&month) || day < 1 {
        return None;
    }
    let (start, end) = month_bounds(year, month)?;
    let date = start + day.cast_signed() - 1;
    (date < end).then_some(date)
}

/// The first day of a month and that of the next one. Those of usual years are remembered: dates are many.
#[inline(always)]
fn month_bounds(year: u32, month: u32) -> Option<(i32, i32)> {
    let place = (year.wrapping_sub(FIRST_YEAR) as usize).checked_mul(12)? + month as usize - 1;
    if let Some([start, end]) = MONTHS.get(place..).and_then(|months| months.first_chunk()) {
        return Some((*start, *end));
    }
    let (year, month) = (year.cast_signed(), month.cast_signed());
    let start = days_from_civil(year, month, 1);
    (year > 0).then(|| (start, start + days_in_month(year, month)))
}

const FIRST_YEAR: u32 = 1900;
const YEARS: usize = 200;

/// The first days of the months of two hundred years.
static MONTHS: [i32; YEARS * 12 + 1] = {
    let mut months = [0; YEARS * 12 + 1];
    let mut place = 0;
    while place < months.len() {
        months[place] = days_from_civil(FIRST_YEAR as i32 + (place / 12) as i32, (place % 12) as i32 + 1, 1);
        place += 1;
    }
    months
};

/// Microseconds since 1970-01-01 00:00 UTC; a date alone is its midnight.
pub fn parse_timestamp(text: &[u8]) -> Option<i64> {
    let (date, rest) = text.split_at_checked(10)?;
    let days = i64::from(parse_date(date)?);
    let time = match rest {
        [] => 0,
        [b'T' | b't' | b' ', time @ ..] => parse_time_and_zone(time)?,
        _ => return None,
    };
    Some(days * DAY_MICROS + time)
}

/// Microseconds since midnight UTC; outside of the day where the zone moves it there.
fn parse_time_and_zone(text: &[u8]) -> Option<i64> {
    let &[h1, h2, b':', m1, m2, ref rest @ ..] = text else { return None };
    let (hour, minute) = (two(h1, h2)?, two(m1, m2)?);
    let (second, rest) = match *rest {
        [b':', s1, s2, ref rest @ ..] => (two(s1, s2)?, rest),
        _ => (0, rest),
    };
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (micros, zone) = match *rest {
        [b'.' | b',', ref rest @ ..] => fraction(rest)?,
        _ => (0, rest),
    };
    let seconds = i64::from(hour * 3600 + minute * 60 + second);
    Some((seconds - zone_seconds(zone)?) * 1_000_000 + micros)
}

/// The digits after the point as microseconds, and what follows them.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let (kept, finer) = digits.split_at(digits.len().min(6));
    if kept.is_empty() || finer.iter().any(|&byte| byte != b'0') {
        return None;
    }
    let padding = std::iter::repeat_n(&b'0', 6 - kept.len());
    let micros = kept.iter().chain(padding).fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    Some((micros, rest))
}

/// The zone's distance from UTC.
fn zone_seconds(text: &[u8]) -> Option<i64> {
    let (sign, hours, minutes) = match *text {
        [] | [b'Z' | b'z'] => return Some(0),
        [sign, h1, h2] => (sign, two(h1, h2)?, 0),
        [sign, h1, h2, m1, m2] | [sign, h1, h2, b':', m1, m2] => (sign, two(h1, h2)?, two(m1, m2)?),
        _ => return None,
    };
    if hours > 15 || minutes > 59 {
        return None;
    }
    let seconds = i64::from(hours * 3600 + minutes * 60);
    match sign {
        b'+' => Some(seconds),
        b'-' => Some(-seconds),
        _ => None,
    }
}

fn two(tens: u8, ones: u8) -> Option<i32> {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then(|| i32::from(tens) * 10 + i32::from(ones))
}

pub(super) fn days_in_month(year: i32, month: i32) -> i32 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar: the year begins in March, so that leap days are last.
pub(super) const fn days_from_civil(year: i32, month: i32, day: i32) -> i32 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}
