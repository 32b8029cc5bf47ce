//! Texts as times by a format. What a format leaves open is that of 1900-01-01 00:00:00.

use super::calendar::{DAY, MONTHS, WEEKDAYS, checked_days, days_of, iso_year_start};
use super::strftime::{Piece, pieces};
use super::zone;
use crate::error::{Code, Error, Result};
use crate::expr::functions::library::function::{Function, function};
use crate::expr::functions::library::typed::{Micros, Text, Texts, row2, texts_of};

/// The functions of this file.
pub(super) fn functions() -> Vec<Function> {
    let first = |text: &str, formats: &arrow::array::ArrayRef| -> Result<Option<i64>> {
        for format in texts_of(formats) {
            if let Some(micros) = parse(text, &pieces(format)?) {
                return Ok(Some(micros));
            }
        }
        Ok(None)
    };
    vec![
        function(
            "strptime",
            "text, format or formats",
            "The time that the text names by the format, or by the first that fits",
            [
                row2::<Text, Text, _>(|text, format| {
                    parse(text, &pieces(format)?).map(Micros).ok_or_else(|| misfit(text, format))
                }),
                row2::<Text, Texts, _>(move |text, formats| {
                    let shown = || texts_of(&formats).collect::<Vec<_>>().join(", ");
                    first(text, &formats)?.map(Micros).ok_or_else(|| misfit(text, &shown()))
                }),
            ],
        ),
        function(
            "try_strptime",
            "text, format or formats",
            "As strptime, but NULL where no format fits",
            [
                row2::<Text, Text, _>(|text, format| -> Result<Option<Micros>> {
                    Ok(parse(text, &pieces(format)?).map(Micros))
                }),
                row2::<Text, Texts, _>(move |text, formats| -> Result<Option<Micros>> {
                    Ok(first(text, &formats)?.map(Micros))
                }),
            ],
        ),
    ]
}

fn misfit(text: &str, format: &str) -> Error {
    Error::new(Code::InvalidCast, format!("'{text}' does not fit the format '{format}'"))
        .hint("try_strptime gives NULL instead")
}

/// What was read so far.
#[derive(Default)]
struct Found {
    year: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    day_of_year: Option<i64>,
    iso_year: Option<i64>,
    iso_week: Option<i64>,
    /// Monday is 1.
    weekday: Option<i64>,
    hour: i64,
    afternoon: Option<bool>,
    twelve: bool,
    minute: i64,
    second: i64,
    nanos: i64,
    offset: i64,
    zone: Option<String>,
}

fn parse(text: &str, pieces: &[Piece]) -> Option<i64> {
    let mut rest = text.trim_start();
    let mut found = Found::default();
    for piece in pieces {
        rest = match piece {
            Piece::Literal(literal) => after_literal(rest, literal)?,
            Piece::Field(field, _) => found.read(*field, rest)?,
        };
    }
    if rest.trim_end().is_empty() { found.micros() } else { None }
}

/// Spaces of a format stand for any number of them.
fn after_literal<'a>(mut rest: &'a str, literal: &str) -> Option<&'a str> {
    for wanted in literal.chars() {
        rest = if wanted.is_whitespace() { rest.trim_start() } else { rest.strip_prefix(wanted)? };
    }
    Some(rest)
}

/// A number of at most so many digits.
fn number(text: &str, most: usize) -> Option<(i64, &str)> {
    let length = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    let (digits, rest) = text.split_at_checked(length)?;
    Some((digits.parse().ok()?, rest))
}

/// A fraction of a second in nanoseconds, of at most so many digits.
fn fraction(text: &str, most: u32) -> Option<(i64, &str)> {
    let (_, rest) = number(text, most as usize)?;
    let length = u32::try_from(text.len() - rest.len()).ok()?;
    let (value, _) = number(text, most as usize)?;
    Some((value * 10_i64.checked_pow(9_u32.checked_sub(length)?)?, rest))
}

/// The place of the name that the text begins with, in full or as three letters.
fn name<'a>(text: &'a str, names: &[&str]) -> Option<(usize, &'a str)> {
    let after = |name: &str| {
        let start = text.get(..name.len())?;
        start.eq_ignore_ascii_case(name).then(|| text.get(name.len()..)).flatten()
    };
    names.iter().enumerate().find_map(|(index, name)| {
        let rest = after(name).or_else(|| after(name.get(..3)?))?;
        Some((index, rest))
    })
}

impl Found {
    fn read<'a>(&mut self, field: char, text: &'a str) -> Option<&'a str> {
        let fits = |value: i64, from: i64, to: i64| (from..=to).contains(&value).then_some(value);
        let (value, rest) = match field {
            'a' | 'A' => {
                let (index, rest) = name(text, &WEEKDAYS)?;
                self.weekday = Some(if index == 0 { 7 } else { index as i64 });
                return Some(rest);
            }
            'b' | 'h' | 'B' => {
                let (index, rest) = name(text, &MONTHS)?;
                self.month = Some(index as i64 + 1);
                return Some(rest);
            }
            'p' => {
                let (index, rest) = name(text, &["AM ", "PM "]).or_else(|| {
                    let (start, rest) = (text.get(..2)?, text.get(2..)?);
                    ["AM", "PM"].iter().position(|known| start.eq_ignore_ascii_case(known)).map(|index| (index, rest))
                })?;
                self.afternoon = Some(index == 1);
                return Some(rest);
            }
            'z' => return self.read_offset(text),
            'Z' => {
                let length = text.find(|next: char| !next.is_ascii_alphanumeric() && !"/_+-".contains(next));
                let (zone, rest) = text.split_at(length.unwrap_or(text.len()));
                self.zone = Some(zone.to_string());
                return Some(rest);
            }
            'Y' | 'G' => {
                let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
                let (value, rest) = number(digits, 4)?;
                (if negative { -value } else { value }, rest)
            }
            'f' => fraction(text, 6)?,
            'g' => fraction(text, 3)?,
            'n' => fraction(text, 9)?,
            'j' => number(text, 3)?,
            'w' | 'u' => number(text, 1)?,
            _ => number(text, 2)?,
        };
        match field {
            'Y' => self.year = Some(value),
            'y' => self.year = Some(if value < 69 { 2000 + value } else { 1900 + value }),
            'm' => self.month = Some(fits(value, 1, 12)?),
            'd' => self.day = Some(fits(value, 1, 31)?),
            'j' => self.day_of_year = Some(fits(value, 1, 366)?),
            'G' => self.iso_year = Some(value),
            'V' => self.iso_week = Some(fits(value, 1, 53)?),
            'u' => self.weekday = Some(fits(value, 1, 7)?),
            'w' => self.weekday = Some(if fits(value, 0, 6)? == 0 { 7 } else { value }),
            'H' => self.hour = fits(value, 0, 23)?,
            'I' => {
                (self.hour, self.twelve) = (fits(value, 1, 12)?, true);
            }
            'M' => self.minute = fits(value, 0, 59)?,
            'S' => self.second = fits(value, 0, 59)?,
            'f' | 'g' | 'n' => self.nanos = value,
            _ => return None,
        }
        Some(rest)
    }

    /// `+02`, `-0530`, `+05:30`, `Z`.
    fn read_offset<'a>(&mut self, text: &'a str) -> Option<&'a str> {
        if let Some(rest) = text.strip_prefix(['Z', 'z']) {
            return Some(rest);
        }
        let sign = if text.starts_with('-') { -1 } else { 1 };
        let (hours, rest) = number(text.strip_prefix(['+', '-'])?, 2)?;
        let (minutes, rest) = number(rest.strip_prefix(':').unwrap_or(rest), 2).unwrap_or((0, rest));
        self.offset = sign * (hours * 60 + minutes);
        Some(rest)
    }

    fn days(&self) -> Option<i64> {
        if let (Some(year), Some(week)) = (self.iso_year, self.iso_week) {
            return Some(iso_year_start(year) + (week - 1) * 7 + self.weekday.unwrap_or(1) - 1);
        }
        let year = self.year.unwrap_or(1900);
        if let Some(day) = self.day_of_year {
            let days = days_of(year, 1, day);
            return (super::calendar::civil(days).year == year).then_some(days);
        }
        checked_days(year, self.month.unwrap_or(1), self.day.unwrap_or(1)).map(i64::from)
    }

    fn micros(&self) -> Option<i64> {
        let hour = match (self.twelve, self.afternoon) {
            (true, afternoon) => self.hour % 12 + if afternoon == Some(true) { 12 } else { 0 },
            (false, _) => self.hour,
        };
        let seconds = hour * 3600 + (self.minute - self.offset) * 60 + self.second;
        let micros = self.days()?.checked_mul(DAY)?.checked_add(seconds * 1_000_000 + self.nanos / 1000)?;
        match &self.zone {
            Some(zone) if !zone.is_empty() => zone::moment(zone, micros).ok(),
            _ => Some(micros),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str, format: &str) -> Option<i64> {
        parse(text, &pieces(format).unwrap())
    }

    #[test]
    fn formats_read_what_they_name() {
        let at = |text: &str| read(text, "%Y-%m-%d %H:%M:%S").unwrap();
        assert_eq!(read("4/15/2023 10:56:00 PM", "%m/%d/%Y %I:%M:%S %p"), Some(at("2023-04-15 22:56:00")));
        assert_eq!(read("2024 130", "%Y %j"), Some(at("2024-05-09 0:0:0")));
        assert_eq!(read("2024-W10-1", "%G-W%V-%u"), Some(at("2024-03-04 0:0:0")));
        assert_eq!(read("2024-05-06 +0130", "%Y-%m-%d %z"), Some(at("2024-05-05 22:30:00")));
        assert_eq!(read("2024-02-30", "%Y-%m-%d"), None);
        assert_eq!(read("2024-01-01x", "%Y-%m-%d"), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[0-9a-zA-Z:+ é-]{0,20}", format in "(%[aAwudbhBmyYGHIpMSfgnzZjV][ :]?){0,4}") {
            let _ = read(&text, &format);
        }
    }
}
