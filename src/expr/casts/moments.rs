//! Texts as dates, times of day and timestamps: ` 2020-1-5`, `2020/01/05`, `0044-03-15 (BC)`, `24:00:00`,
//! `2020-01-05 10:00+02`, `2020-01-05T10:00:00.5 Europe/Berlin`, `epoch`.
//!
//! A TIMESTAMP is what the clock shows: a zone behind it must be one, and does not count. For a TIMESTAMP WITH TIME ZONE it does.
//!
//! # Known limitation
//! `infinity` is no date or time.

use arrow::datatypes::TimeUnit;

use crate::expr::functions::{days_in_month, days_of, moment};

const SECOND: i64 = 1_000_000_000;
const DAY: i64 = 86_400 * SECOND;

/// A time of day in nanoseconds; 24:00:00 is the last.
struct Clock(i64);

/// How far local time is from UTC.
enum Zone<'a> {
    Unsaid,
    Offset { seconds: i64 },
    Named(&'a str),
}

/// Days since 1970-01-01. A time behind the date does not count.
pub(super) fn parse_date(text: &str) -> Option<i32> {
    let (days, rest) = date(text.trim())?;
    if !rest.trim_start().is_empty() {
        local(rest)?;
    }
    i32::try_from(days).ok()
}

/// Nanoseconds since midnight, in whole microseconds. A date before the time, and a zone behind it, do not count.
pub(super) fn parse_time(text: &str) -> Option<i64> {
    let text = text.trim();
    let (Clock(nanos), _) = match clock_and_zone(text) {
        Some(time) => time,
        None => local(date(text)?.1)?,
    };
    Some(nanos - nanos % 1_000)
}

/// Units since 1970-01-01 00:00:00, finer ones rounded; those of the moment where there is a zone.
pub(super) fn parse_timestamp(text: &str, unit: TimeUnit, zone: Option<&str>) -> Option<i64> {
    let (days, rest) = date(text.trim())?;
    let (Clock(nanos), written) = if rest.trim_start().is_empty() { (Clock(0), Zone::Unsaid) } else { local(rest)? };
    let whole = |per_day: i64| days.checked_mul(per_day);
    if unit == TimeUnit::Nanosecond && zone.is_none() {
        return whole(DAY)?.checked_add(nanos);
    }
    let micros = whole(DAY / 1_000)?.checked_add(nanos / 1_000)?;
    let micros = match (zone, written) {
        (None, _) | (Some("UTC" | "+00:00"), Zone::Unsaid) => micros,
        (Some(_), Zone::Offset { seconds }) => micros.checked_sub(seconds * 1_000_000)?,
        (Some(_), Zone::Named(name)) | (Some(name), Zone::Unsaid) => moment(name, micros).ok()?,
    };
    Some(match unit {
        TimeUnit::Second => rounded(micros, 1_000_000),
        TimeUnit::Millisecond => rounded(micros, 1_000),
        TimeUnit::Microsecond => micros,
        TimeUnit::Nanosecond => micros.checked_mul(1_000)?,
    })
}

/// The nearest whole number of parts; of two the one away from zero.
pub(super) fn rounded(value: i64, part: i64) -> i64 {
    let (whole, rest) = (value / part, value % part);
    if rest.abs() * 2 >= part { whole + rest.signum() } else { whole }
}

/// The days of a date, and what stands behind it.
fn date(text: &str) -> Option<(i64, &str)> {
    if let Some(rest) = without(text, "epoch") {
        return Some((0, rest));
    }
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (year, rest) = number(digits, 7)?;
    let separator = rest.chars().next().filter(|character| matches!(character, '-' | '/' | '\\' | ' '))?;
    let (month, rest) = number(rest.strip_prefix(separator)?, 2)?;
    let (day, rest) = number(rest.strip_prefix(separator)?, 2)?;
    // A number goes on.
    if rest.starts_with(|next: char| next.is_ascii_digit()) {
        return None;
    }
    let (before_christ, rest) = match without(rest, " (bc)") {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let year = match (negative, before_christ) {
        (false, false) => year,
        (true, false) => -year,
        (false, true) if year > 0 => 1 - year,
        _ => return None,
    };
    let exists = (1..=12).contains(&month) && (1..=days_in_month(year, month)).contains(&day);
    let days = days_of(year, month, day);
    // The first and the last day of all stand for infinities elsewhere.
    let fits = days.unsigned_abs() < u64::from(i32::MAX.unsigned_abs());
    (exists && fits).then_some((days, rest))
}

/// What stands behind a date: blanks or a T, and the time.
fn local(text: &str) -> Option<(Clock, Zone<'_>)> {
    let time = text.trim_start_matches(' ');
    match time.strip_prefix('T') {
        Some(rest) if time.len() == text.len() => clock_and_zone(rest),
        None if time.len() < text.len() => clock_and_zone(time),
        _ => None,
    }
}

fn clock_and_zone(text: &str) -> Option<(Clock, Zone<'_>)> {
    let (clock, rest) = clock(text)?;
    Some((clock, zone(rest)?))
}

/// `1:2`, `01:02:03.5`, and what stands behind it.
fn clock(text: &str) -> Option<(Clock, &str)> {
    let (hours, rest) = number(text, 2)?;
    let (minutes, rest) = number(rest.strip_prefix(':')?, 2)?;
    let (seconds, rest) = match rest.strip_prefix(':') {
        Some(rest) => number(rest, 2)?,
        None => (0, rest),
    };
    let (nanos, rest) = match rest.strip_prefix('.') {
        Some(rest) => {
            let (digits, rest) = rest.split_at(digits(rest));
            let nine = digits.bytes().chain(std::iter::repeat(b'0')).take(9);
            (nine.fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')), rest)
        }
        None => (0, rest),
    };
    let nanos = (hours * 3600 + minutes * 60 + seconds) * SECOND + nanos;
    (minutes < 60 && seconds < 60 && nanos <= DAY).then_some((Clock(nanos), rest))
}

fn zone(text: &str) -> Option<Zone<'_>> {
    if text.is_empty() {
        return Some(Zone::Unsaid);
    }
    if text.eq_ignore_ascii_case("z") {
        return Some(Zone::Offset { seconds: 0 });
    }
    if let Some(name) = text.strip_prefix(' ') {
        let name = name.trim_start();
        let is_known = name.starts_with(|first: char| first.is_ascii_alphabetic()) && moment(name, 0).is_ok();
        return is_known.then_some(Zone::Named(name));
    }
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, rest) = two(text.get(1..)?)?;
    let part = |rest| match rest {
        "" => Some((0, "")),
        rest => two(rest.strip_prefix(':').unwrap_or(rest)),
    };
    let (minutes, rest) = part(rest)?;
    let (seconds, rest) = part(rest)?;
    (rest.is_empty() && minutes < 60 && seconds < 60)
        .then_some(Zone::Offset { seconds: sign * (hours * 3600 + minutes * 60 + seconds) })
}

/// A number of two digits.
fn two(text: &str) -> Option<(i64, &str)> {
    let (number, rest) = number(text, 2)?;
    (text.len() - rest.len() == 2).then_some((number, rest))
}

/// A number of so many digits at most, and what stands behind it.
fn number(text: &str, most: usize) -> Option<(i64, &str)> {
    let (digits, rest) = text.split_at(digits(text).min(most));
    Some((digits.parse().ok()?, rest))
}

fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

/// What stands behind the word, in whatever case it is written.
fn without<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let (front, rest) = text.split_at_checked(word.len())?;
    front.eq_ignore_ascii_case(word).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_in_many_forms() {
        for text in ["2020-01-05", " 2020-1-5 ", "2020/01/05", "2020\\1\\5", "2020 01 05", "2020-01-05 10:00+02"] {
            assert_eq!(parse_date(text), Some(18_266), "{text}");
        }
        assert_eq!(parse_date("Epoch"), Some(0));
        assert_eq!(parse_date("0044-03-15 (BC)"), parse_date("-43-3-15"));
        assert_eq!(parse_date("10000-01-01"), Some(2_932_897));
        assert_eq!(parse_date("5881580-07-10"), Some(i32::MAX - 1));
        for text in ["", "2020", "2020-01", "2020-01-32", "2020/01-05", "20200105", "2020-01-05x", "5881580-07-11"] {
            assert_eq!(parse_date(text), None, "{text}");
        }
    }

    #[test]
    fn times_of_day_end_at_midnight() {
        for (text, nanos) in [("1:2:3", 3_723 * SECOND), ("24:00:00", DAY), ("00:00:00.1234567", 123_456_000)] {
            assert_eq!(parse_time(text), Some(nanos), "{text}");
        }
        assert_eq!(parse_time("10:20:30+05"), parse_time("2020-01-05 10:20:30"));
        for text in ["10", "24:00:01", "10:60", "10:20:60", "T10:20"] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }

    #[test]
    fn a_zone_counts_for_moments_alone() {
        let hour = |text, zone| parse_timestamp(text, TimeUnit::Second, zone).map(|seconds| seconds / 3600);
        assert_eq!(hour("1970-01-02 10:00+02", None), Some(34));
        assert_eq!(hour("1970-01-02 10:00+02", Some("UTC")), Some(32));
        assert_eq!(hour("2020-01-05 10:00 Europe/Berlin", Some("UTC")), hour("2020-01-05 09:00", None));
        for text in ["2020-01-05+02", "2020-01-05 10:00+2", "2020-01-05 10:00 +02", "2020-01-05 10:00 PM"] {
            assert_eq!(hour(text, None), None, "{text}");
        }
    }

    #[test]
    fn halves_are_rounded_away_from_zero() {
        let seconds = |text| parse_timestamp(text, TimeUnit::Second, None);
        assert_eq!(seconds("1970-01-01 00:00:00.5"), Some(1));
        assert_eq!(seconds("1969-12-31 23:59:59.5"), Some(-1));
        assert_eq!(seconds("1969-12-31 23:59:59.6"), Some(0));
    }
}
