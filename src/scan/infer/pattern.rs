//! Dates and timestamps in a form that the user describes, as `strptime` does: `%d/%m/%Y %H:%M`.
//!
//! Specifiers: `%Y` (four digits), `%y` (69 to 99 are 19xx), `%m`, `%d`, `%j` (day of the year), `%b` `%B` (English
//! names of months), `%a` `%A` (of weekdays, which are passed over), `%H`, `%I` with `%p`, `%M`, `%S`, `%f` (fraction of
//! a second, up to six digits), `%g` (milliseconds), `%n` (nanoseconds), `%z` (`±hh[[:]mm]` or `Z`), `%Z` (`UTC`, `GMT`),
//! `%%`, and `%F` `%D` `%T` `%R` as `strftime` has them. Numbers may lack leading zeros, also as `%-d`; a space stands
//! for one or more.
//!
//! Invariant: a text fits only if all of it is used and nothing of it is lost: a fraction finer than a microsecond does
//! not fit, and a time of day other than midnight does not fit a date.

use crate::error::{Code, Error, Result};
use crate::scan::infer::time::{DAY_MICROS, days_from_civil, days_in_month};

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// A part of the form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Item {
    Byte(u8),
    Spaces,
    Year,
    ShortYear,
    Month,
    MonthName,
    Day,
    DayOfYear,
    Weekday,
    Hour,
    HalfDayHour,
    HalfDay,
    Minute,
    Second,
    /// At most so many digits of a fraction of a second.
    Fraction(usize),
    Offset,
    Zone,
}

/// A form of dates or timestamps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    items: Vec<Item>,
}

impl Pattern {
    /// Reads the form's description, the value of option `option`.
    ///
    /// # Errors
    /// `INVALID_SETTING` for an unknown specifier, and for a form that does not tell year, month and day.
    pub fn new(option: &str, text: &str) -> Result<Self> {
        let invalid = |what: String| {
            Error::new(Code::InvalidSetting, format!("the reader option {option}: '{text}' {what}"))
                .hint("e.g. '%d/%m/%Y' or '%Y-%m-%d %H:%M:%S'")
        };
        let mut items = Vec::new();
        let mut rest = text.as_bytes();
        while let Some((&byte, tail)) = rest.split_first() {
            rest = tail;
            match byte {
                b'%' => {
                    let name = match rest {
                        [b'-', name, ..] => Some(*name),
                        [name, ..] => Some(*name),
                        [] => None,
                    };
                    let found = name.and_then(specifier);
                    let Some(found) = found else {
                        let name = name.map_or(String::new(), |name| char::from(name).to_string());
                        return Err(invalid(format!("has an unknown specifier '%{name}'")));
                    };
                    items.extend_from_slice(found);
                    let used = if rest.first() == Some(&b'-') { 2 } else { 1 };
                    rest = rest.get(used..).unwrap_or_default();
                }
                b' ' => items.push(Item::Spaces),
                byte => items.push(Item::Byte(byte)),
            }
        }
        let has = |one: &[Item]| items.iter().any(|item| one.contains(item));
        let month_and_day = has(&[Item::Month, Item::MonthName]) && has(&[Item::Day]);
        if !has(&[Item::Year, Item::ShortYear]) || !(month_and_day || has(&[Item::DayOfYear])) {
            return Err(invalid("does not tell year, month and day".to_string()));
        }
        Ok(Pattern { text: text.to_string(), items })
    }

    /// The description.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Days since 1970-01-01.
    pub fn date(&self, text: &[u8]) -> Option<i32> {
        let micros = self.timestamp(text)?;
        if micros % DAY_MICROS == 0 { i32::try_from(micros / DAY_MICROS).ok() } else { None }
    }

    /// Microseconds since 1970-01-01 00:00 UTC.
    pub fn timestamp(&self, text: &[u8]) -> Option<i64> {
        let mut parts = Parts::default();
        let mut rest = text;
        for item in &self.items {
            rest = parts.read(*item, rest)?;
        }
        if rest.is_empty() { parts.micros() } else { None }
    }
}

fn specifier(name: u8) -> Option<&'static [Item]> {
    use Item::{
        Byte, Day, DayOfYear, Fraction, HalfDay, HalfDayHour, Hour, Minute, Month, MonthName, Offset, Second,
        ShortYear, Weekday, Year, Zone,
    };
    Some(match name {
        b'Y' => &[Year],
        b'y' => &[ShortYear],
        b'm' => &[Month],
        b'b' | b'B' | b'h' => &[MonthName],
        b'd' | b'e' => &[Day],
        b'j' => &[DayOfYear],
        b'a' | b'A' => &[Weekday],
        b'H' => &[Hour],
        b'I' => &[HalfDayHour],
        b'p' => &[HalfDay],
        b'M' => &[Minute],
        b'S' => &[Second],
        b'f' => &[Fraction(6)],
        b'g' => &[Fraction(3)],
        b'n' => &[Fraction(9)],
        b'z' => &[Offset],
        b'Z' => &[Zone],
        b'%' => &[Byte(b'%')],
        b'F' => &[Year, Byte(b'-'), Month, Byte(b'-'), Day],
        b'D' => &[Month, Byte(b'/'), Day, Byte(b'/'), ShortYear],
        b'T' => &[Hour, Byte(b':'), Minute, Byte(b':'), Second],
        b'R' => &[Hour, Byte(b':'), Minute],
        _ => return None,
    })
}

/// What was read of one text.
#[derive(Debug, Default)]
struct Parts {
    year: Option<i32>,
    month: Option<i32>,
    day: Option<i32>,
    day_of_year: Option<i32>,
    hour: i32,
    /// `%p` was PM; `None` without one.
    afternoon: Option<bool>,
    minute: i32,
    second: i32,
    fraction: i64,
    /// Seconds east of UTC.
    offset: i64,
}

impl Parts {
    /// Reads one item from the beginning of `text`; gives what follows it.
    fn read<'a>(&mut self, item: Item, text: &'a [u8]) -> Option<&'a [u8]> {
        let number = |digits, least, most| number(text, digits, least, most);
        let rest;
        match item {
            Item::Byte(byte) => rest = text.strip_prefix(&[byte])?,
            Item::Spaces => {
                let after = text.trim_ascii_start();
                rest = if after.len() < text.len() { after } else { return None };
            }
            Item::Year => {
                let (digits, after) = text.split_at_checked(4)?;
                (self.year, rest) = (Some(self::number(digits, 4, 1, 9999)?.0), after);
                if !digits.iter().all(u8::is_ascii_digit) {
                    return None;
                }
            }
            Item::ShortYear => {
                let (value, after) = number(2, 0, 99)?;
                (self.year, rest) = (Some(value + if value < 69 { 2000 } else { 1900 }), after);
            }
            Item::Month => (self.month, rest) = some(number(2, 1, 12)?),
            Item::MonthName => (self.month, rest) = some(name(text, &MONTHS)?),
            Item::Day => (self.day, rest) = some(number(2, 1, 31)?),
            Item::DayOfYear => (self.day_of_year, rest) = some(number(3, 1, 366)?),
            Item::Weekday => rest = name(text, &WEEKDAYS)?.1,
            Item::Hour => (self.hour, rest) = number(2, 0, 23)?,
            Item::HalfDayHour => {
                let (hour, after) = number(2, 1, 12)?;
                (self.hour, rest) = (hour % 12, after);
            }
            Item::HalfDay => {
                let (letters, after) = text.split_at_checked(2)?;
                self.afternoon = Some(letters.eq_ignore_ascii_case(b"pm"));
                rest = if letters[1].eq_ignore_ascii_case(&b'm') { after } else { return None };
                if !matches!(letters[0], b'a' | b'A' | b'p' | b'P') {
                    return None;
                }
            }
            Item::Minute => (self.minute, rest) = number(2, 0, 59)?,
            Item::Second => (self.second, rest) = number(2, 0, 59)?,
            Item::Fraction(digits) => (self.fraction, rest) = fraction(text, digits)?,
            Item::Offset => (self.offset, rest) = offset(text)?,
            Item::Zone => {
                let (letters, after) = text.split_at_checked(3)?;
                let known = letters.eq_ignore_ascii_case(b"utc") || letters.eq_ignore_ascii_case(b"gmt");
                rest = if known { after } else { return None };
            }
        }
        Some(rest)
    }

    fn micros(&self) -> Option<i64> {
        let year = self.year?;
        let days = match (self.month, self.day, self.day_of_year) {
            (Some(month), Some(day), _) if day <= days_in_month(year, month) => days_from_civil(year, month, day),
            (None, None, Some(day)) if day <= 337 + days_in_month(year, 2) => days_from_civil(year, 1, 1) + day - 1,
            _ => return None,
        };
        let hour = self.hour + if self.afternoon == Some(true) { 12 } else { 0 };
        if hour > 23 {
            return None;
        }
        let seconds = i64::from(hour * 3600 + self.minute * 60 + self.second) - self.offset;
        Some(i64::from(days) * DAY_MICROS + seconds * 1_000_000 + self.fraction)
    }
}

fn some<T, R>((value, rest): (T, R)) -> (Option<T>, R) {
    (Some(value), rest)
}

/// A number of at most `digits` digits within bounds, and what follows it.
fn number(text: &[u8], digits: usize, least: i32, most: i32) -> Option<(i32, &[u8])> {
    let count = text.iter().take(digits).take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = text.split_at(count);
    let value = number.iter().fold(0, |value, digit| value * 10 + i32::from(digit - b'0'));
    (count > 0 && (least..=most).contains(&value)).then_some((value, rest))
}

/// The place, from 1, of the name that the text begins with, in full or by its first three letters.
fn name<'a>(text: &'a [u8], names: &[&str]) -> Option<(i32, &'a [u8])> {
    let begins = |length: usize, name: &str| {
        let (letters, rest) = text.split_at_checked(length)?;
        letters.eq_ignore_ascii_case(&name.as_bytes()[..length]).then_some(rest)
    };
    let rest_of = |name: &str| begins(name.len(), name).or_else(|| begins(3, name));
    (1..).zip(names).find_map(|(place, name)| Some((place, rest_of(name)?)))
}

/// Up to `most` digits of a fraction of a second, as microseconds.
fn fraction(text: &[u8], most: usize) -> Option<(i64, &[u8])> {
    let count = text.iter().take(most).take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(count);
    let (kept, finer) = digits.split_at(count.min(6));
    if count == 0 || finer.iter().any(|&byte| byte != b'0') {
        return None;
    }
    let padding = std::iter::repeat_n(&b'0', 6 - kept.len());
    Some((kept.iter().chain(padding).fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')), rest))
}

/// Seconds east of UTC.
fn offset(text: &[u8]) -> Option<(i64, &[u8])> {
    if let [b'Z' | b'z', rest @ ..] = text {
        return Some((0, rest));
    }
    let (sign, text) = match text {
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let two = |text: &[u8], most| match text {
        [a, b, ..] if a.is_ascii_digit() && b.is_ascii_digit() => number(text, 2, 0, most).map(|(value, _)| value),
        _ => None,
    };
    let hours = two(text, 15)?;
    let rest = text.get(2..).unwrap_or_default();
    let behind = rest.strip_prefix(b":").unwrap_or(rest);
    let (minutes, rest) = match two(behind, 59) {
        Some(minutes) => (minutes, behind.get(2..).unwrap_or_default()),
        None => (0, rest),
    };
    Some((sign * i64::from(hours * 3600 + minutes * 60), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::infer::time;

    fn micros(form: &str, text: &str) -> Option<i64> {
        Pattern::new("timestampformat", form).unwrap().timestamp(text.as_bytes())
    }

    #[test]
    fn a_form_reads_what_it_describes() {
        let iso = |text: &str| time::parse_timestamp(text.as_bytes());
        for (form, text, same) in [
            ("%d/%m/%Y", "1/2/2020", "2020-02-01"),
            ("%d/%m/%y", "01/02/20", "2020-02-01"),
            ("%y%m%d", "690101", "1969-01-01"),
            ("%b %d, %Y", "Jan 5, 2020", "2020-01-05"),
            ("%B %d, %Y", "may 5, 2020", "2020-05-05"),
            ("%Y%m%d", "20200131", "2020-01-31"),
            ("%Y-%j", "2020-366", "2020-12-31"),
            ("%a %Y-%m-%d", "Mon  2020-01-06", "2020-01-06"),
            ("%-d.%-m.%Y", "5.1.2020", "2020-01-05"),
            ("%F %I:%M %p", "2020-01-01 3:05 pm", "2020-01-01 15:05"),
            ("%F %I:%M %p", "2020-01-01 12:05 AM", "2020-01-01 00:05"),
            ("%F %T.%f", "2020-01-01 10:00:00.5", "2020-01-01 10:00:00.5"),
            ("%F %T.%n", "2020-01-01 10:00:00.123456000", "2020-01-01 10:00:00.123456"),
            ("%F %T%z", "2020-01-01 10:00:00+02:30", "2020-01-01 07:30"),
            ("%F %T %z", "2020-01-01 10:00:00 -0130", "2020-01-01 11:30"),
            ("%F %R %Z", "2020-01-01 10:00 UTC", "2020-01-01 10:00"),
            ("100%% %D", "100% 02/03/21", "2021-02-03"),
        ] {
            assert_eq!(micros(form, text), iso(same), "{form} {text}");
            assert!(iso(same).is_some());
        }
    }

    #[test]
    fn what_is_not_of_the_form_does_not_fit() {
        for (form, text) in [
            ("%d/%m/%Y", "31/02/2020"),
            ("%d/%m/%Y", "1/13/2020"),
            ("%d/%m/%Y", "1/1/20"),
            ("%d/%m/%Y", "1/1/20201"),
            ("%d/%m/%Y", "+1/1/2020"),
            ("%d/%m/%Y", ""),
            ("%Y-%j", "2021-366"),
            ("%F %T.%n", "2020-01-01 10:00:00.123456789"),
            ("%F %H:%M", "2020-01-01 24:00"),
            ("%b %d %Y", "Mai 1 2020"),
        ] {
            assert_eq!(micros(form, text), None, "{form} {text}");
        }
        let form = Pattern::new("dateformat", "%F %T").unwrap();
        assert!(form.date(b"2020-01-01 00:00:00").is_some() && form.date(b"2020-01-01 00:00:01").is_none());
    }

    #[test]
    fn a_form_that_tells_no_day_is_refused() {
        for bad in ["%Q", "%", "%Y", "%H:%M", "%d/%m", "%m %Y"] {
            assert_eq!(Pattern::new("dateformat", bad).unwrap_err().code(), Code::InvalidSetting, "{bad}");
        }
    }
}
