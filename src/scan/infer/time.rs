//! Dates and timestamps as text, in the ISO 8601 forms that data files use. A zone is taken into account: the value
//! is the moment in UTC.
//!
//! Forms: `YYYY-MM-DD`, and the same followed by `T` or a space, `hh:mm[:ss[.fraction]]` and `Z`, `±hh`, `±hhmm` or
//! `±hh:mm`. Years 0001 to 9999. A fraction finer than a microsecond does not fit (it would be lost).

use crate::scan::infer::Kind;

pub(super) const DAY_MICROS: i64 = 86_400_000_000;

/// `Date`, `Timestamp` or `Text`.
pub fn classify(text: &[u8]) -> Kind {
    if text.len() == 10 {
        return if parse_date(text).is_some() { Kind::Date } else { Kind::Text };
    }
    if text.len() >= 16 && parse_timestamp(text).is_some() { Kind::Timestamp } else { Kind::Text }
}

/// Days since 1970-01-01 of `YYYY-MM-DD`.
pub fn parse_date(text: &[u8]) -> Option<i32> {
    let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = text else { return None };
    let year = two(y1, y2)? * 100 + two(y3, y4)?;
    let (month, day) = (two(m1, m2)?, two(d1, d2)?);
    if year < 1 || !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
        return None;
    }
    Some(days_from_civil(year, month, day))
}

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
pub(super) fn days_from_civil(year: i32, month: i32, day: i32) -> i32 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}
