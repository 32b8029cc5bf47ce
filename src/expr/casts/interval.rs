//! Texts as intervals: `1 year 2 days`, `3 weeks 01:02:03.5`, `2 days ago`.

use arrow::datatypes::IntervalMonthDayNano;

const MICRO: i128 = 1_000;
const SECOND: i128 = 1_000_000 * MICRO;
const MINUTE: i128 = 60 * SECOND;
const HOUR: i128 = 60 * MINUTE;
const DAY: i128 = 24 * HOUR;

/// The interval that the text is; `None` where it is none.
pub(super) fn parse_interval(text: &str) -> Option<IntervalMonthDayNano> {
    let text = text.trim();
    let text = text.strip_prefix('@').unwrap_or(text).trim_start();
    let (text, ago) = match text.strip_suffix("ago") {
        Some(rest) => (rest.trim_end(), true),
        None => (text, false),
    };
    let mut total = Parts::default();
    let mut rest = text;
    if rest.is_empty() {
        return None;
    }
    if let Some((seconds, "")) = number(text) {
        // A number alone.
        total.add(&seconds, "seconds")?;
        rest = "";
    }
    while !rest.is_empty() {
        rest = total.take(rest)?.trim_start();
    }
    let sign = if ago { -1 } else { 1 };
    let months = i32::try_from(total.months * sign).ok()?;
    let days = i32::try_from(total.days * sign).ok()?;
    Some(IntervalMonthDayNano::new(months, days, i64::try_from(total.nanos * sign).ok()?))
}

/// The interval in units that every library reads.
pub fn plain_interval(text: &str) -> Option<String> {
    let IntervalMonthDayNano { months, days, nanoseconds } = parse_interval(text)?;
    let parts = [(i64::from(months), "months"), (i64::from(days), "days"), (nanoseconds, "nanoseconds")];
    let parts: Vec<String> =
        parts.iter().filter(|(count, _)| *count != 0).map(|(count, unit)| format!("{count} {unit}")).collect();
    Some(if parts.is_empty() { "0 days".to_string() } else { parts.join(" ") })
}

#[derive(Default)]
struct Parts {
    months: i128,
    days: i128,
    nanos: i128,
}

/// A number as written: sign, whole part, and what stands behind the point in billionths.
struct Number {
    negative: bool,
    whole: i128,
    billionths: i128,
}

impl Parts {
    /// Adds the part at the front of the text and gives what is behind it.
    fn take<'a>(&mut self, text: &'a str) -> Option<&'a str> {
        let (number, rest) = number(text)?;
        if let Some(rest) = rest.strip_prefix(':') {
            return self.take_clock(&number, rest);
        }
        let rest = rest.trim_start();
        let length = rest.find(|character: char| !character.is_ascii_alphabetic()).unwrap_or(rest.len());
        let (unit, rest) = rest.split_at(length);
        self.add(&number, &unit.to_ascii_lowercase())?;
        Some(rest)
    }

    /// What stands behind the hours of `01:02:03.5`.
    fn take_clock<'a>(&mut self, hours: &Number, text: &'a str) -> Option<&'a str> {
        let (minutes, rest) = number(text)?;
        let (seconds, rest) = match rest.strip_prefix(':') {
            Some(rest) => number(rest)?,
            None => (Number { negative: false, whole: 0, billionths: 0 }, rest),
        };
        let signs = minutes.negative || seconds.negative || hours.billionths + minutes.billionths > 0;
        if signs || minutes.whole > 59 || seconds.whole > 59 {
            return None;
        }
        let micros = seconds.billionths / MICRO;
        let nanos = hours.whole.checked_mul(HOUR)? + minutes.whole * MINUTE + seconds.whole * SECOND + micros * MICRO;
        self.nanos += if hours.negative { -nanos } else { nanos };
        Some(rest)
    }

    fn add(&mut self, number: &Number, unit: &str) -> Option<()> {
        let sign = if number.negative { -1 } else { 1 };
        // The number times so many of a smaller unit: whole ones, and what is left of one in billionths.
        let scaled = |factor: i128| {
            let all = (number.whole.checked_mul(1_000_000_000)? + number.billionths).checked_mul(factor)?;
            Some((sign * (all / 1_000_000_000), sign * (all % 1_000_000_000)))
        };
        let months = |factor: i128| {
            let (months, rest) = scaled(factor)?;
            Some((months, rest * 30))
        };
        match unit {
            "year" | "years" | "y" | "yr" | "yrs" => self.months += scaled(12)?.0,
            "month" | "months" | "mon" | "mons" => self.add_months(months(1)?),
            "quarter" | "quarters" | "q" => self.add_months(months(3)?),
            "decade" | "decades" | "dec" | "decs" => self.months += scaled(120)?.0,
            "century" | "centuries" | "cent" | "c" => self.months += scaled(1200)?.0,
            "millennium" | "millennia" | "millenium" | "mil" | "mils" => self.months += scaled(12_000)?.0,
            "week" | "weeks" | "w" => self.add_days(scaled(7)?),
            "day" | "days" | "d" => self.add_days(scaled(1)?),
            "hour" | "hours" | "h" | "hr" | "hrs" => self.nanos += scaled(HOUR)?.0,
            "minute" | "minutes" | "m" | "min" | "mins" => self.nanos += scaled(MINUTE)?.0,
            "second" | "seconds" | "s" | "sec" | "secs" => self.nanos += scaled(SECOND)?.0,
            "millisecond" | "milliseconds" | "ms" | "msec" | "msecs" => self.nanos += scaled(1000 * MICRO)?.0,
            "microsecond" | "microseconds" | "us" | "usec" | "usecs" => self.nanos += scaled(MICRO)?.0,
            "nanosecond" | "nanoseconds" | "ns" => self.nanos += scaled(1)?.0,
            _ => return None,
        }
        Some(())
    }

    fn add_months(&mut self, (months, day_billionths): (i128, i128)) {
        self.months += months;
        self.add_days((day_billionths / 1_000_000_000, day_billionths % 1_000_000_000));
    }

    fn add_days(&mut self, (days, billionths): (i128, i128)) {
        self.days += days;
        self.nanos += billionths * DAY / 1_000_000_000;
    }
}

fn number(text: &str) -> Option<(Number, &str)> {
    let (negative, text) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (text.starts_with('-'), rest.trim_start()),
        None => (false, text),
    };
    let digits = |text: &str| text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (whole, rest) = text.split_at(digits(text));
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(digits(rest)),
        None => ("", rest),
    };
    if whole.is_empty() && fraction.is_empty() || whole.len() > 18 {
        return None;
    }
    let nine: String = fraction.chars().chain(std::iter::repeat('0')).take(9).collect();
    let whole = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    Some((Number { negative, whole, billionths: nine.parse().ok()? }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_intervals() {
        let interval = |text| parse_interval(text).map(|found| (found.months, found.days, found.nanoseconds));
        assert_eq!(interval("1 year 2 days"), Some((12, 2, 0)));
        assert_eq!(interval(" 1 month -1 day 01:02:03.5"), Some((1, -1, 3_723_500_000_000)));
        assert_eq!(interval("-00:00:01"), Some((0, 0, -1_000_000_000)));
        assert_eq!(interval("3w1d2h"), Some((0, 22, 7_200_000_000_000)));
        assert_eq!(interval("1.5 days"), Some((0, 1, 43_200_000_000_000)));
        assert_eq!(interval("1.5 months"), Some((1, 15, 0)));
        assert_eq!(interval("2 days 3 hours ago"), Some((0, -2, -10_800_000_000_000)));
        assert_eq!(interval("-1:30"), Some((0, 0, -5_400_000_000_000)));
        assert_eq!(interval("1.5"), Some((0, 0, 1_500_000_000)));
        for text in ["", "day", "1 1", "1 fortnight", "1:60:00", "1 day x", "99999999999 years"] {
            assert_eq!(interval(text), None, "{text}");
        }
    }
}
