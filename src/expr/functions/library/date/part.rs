//! Parts of times: their names, their values, and times cut down to them.

use arrow::datatypes::IntervalMonthDayNano;

use super::calendar::{DAY, civil, day_of_year, days_of, iso_week, iso_weekday, iso_year_start};
use crate::error::{Code, Error, Result};

/// A part of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Millennium,
    Century,
    Decade,
    Year,
    IsoYear,
    Quarter,
    Month,
    Week,
    YearWeek,
    Day,
    DayOfWeek,
    IsoDayOfWeek,
    DayOfYear,
    Hour,
    Minute,
    Second,
    Millisecond,
    Microsecond,
    Epoch,
    Era,
    Julian,
    /// The offset from UTC, which is 0, and its hours and minutes.
    Timezone,
}

const NAMES: [(&str, Part); 22] = [
    ("millennium millennia millenniums mil mils", Part::Millennium),
    ("century centuries cent c", Part::Century),
    ("decade decades dec decs", Part::Decade),
    ("year years yr yrs y", Part::Year),
    ("isoyear", Part::IsoYear),
    ("quarter quarters", Part::Quarter),
    ("month months mon mons", Part::Month),
    ("week weeks w weekofyear", Part::Week),
    ("yearweek", Part::YearWeek),
    ("day days d dayofmonth", Part::Day),
    ("dow dayofweek weekday", Part::DayOfWeek),
    ("isodow", Part::IsoDayOfWeek),
    ("doy dayofyear", Part::DayOfYear),
    ("hour hours hr hrs h", Part::Hour),
    ("minute minutes min mins m", Part::Minute),
    ("second seconds sec secs s", Part::Second),
    ("millisecond milliseconds ms msec msecs", Part::Millisecond),
    ("microsecond microseconds us usec usecs", Part::Microsecond),
    ("epoch", Part::Epoch),
    ("era", Part::Era),
    ("julian", Part::Julian),
    ("timezone timezone_hour timezone_minute", Part::Timezone),
];

impl Part {
    /// The part of that name, in any letter case.
    pub(super) fn of(name: &str) -> Result<Part> {
        let lower = name.to_ascii_lowercase();
        let known = NAMES.iter().find(|(names, _)| names.split(' ').any(|known| known == lower));
        known.map(|(_, part)| *part).ok_or_else(|| {
            let error = Error::new(Code::InvalidQuery, format!("a time has no part named '{name}'"));
            let names = NAMES.iter().flat_map(|(names, _)| names.split(' '));
            match names.min_by_key(|known| strsim::damerau_levenshtein(known, &lower)) {
                Some(near) if strsim::damerau_levenshtein(near, &lower) <= 2 => {
                    error.hint(format!("did you mean '{near}'?"))
                }
                _ => error,
            }
        })
    }

    /// The part of a time in microseconds since 1970; of epoch and julian without what is behind the point.
    pub(super) fn value(self, micros: i64) -> i64 {
        self.at(micros.div_euclid(DAY), micros.rem_euclid(DAY))
    }

    /// The part of a time in days since 1970 and microseconds of the day.
    pub(super) fn at(self, days: i64, of_day: i64) -> i64 {
        match self {
            Part::Millennium => period(civil(days).year, 1000),
            Part::Century => period(civil(days).year, 100),
            Part::Decade => civil(days).year / 10,
            Part::Year => civil(days).year,
            Part::IsoYear => iso_week(days).0,
            Part::Quarter => (civil(days).month + 2) / 3,
            Part::Month => civil(days).month,
            Part::Week => iso_week(days).1,
            Part::YearWeek => {
                let (year, week) = iso_week(days);
                year * 100 + if year < 0 { -week } else { week }
            }
            Part::Day => civil(days).day,
            Part::DayOfWeek => iso_weekday(days) % 7,
            Part::IsoDayOfWeek => iso_weekday(days),
            Part::DayOfYear => day_of_year(days),
            Part::Hour => of_day / 3_600_000_000,
            Part::Minute => of_day / 60_000_000 % 60,
            Part::Second => of_day / 1_000_000 % 60,
            Part::Millisecond => of_day % 60_000_000 / 1000,
            Part::Microsecond => of_day % 60_000_000,
            Part::Epoch => days * 86_400 + of_day / 1_000_000,
            Part::Era => i64::from(civil(days).year > 0),
            Part::Julian => days + 2_440_588,
            Part::Timezone => 0,
        }
    }

    /// The time at which the part began that `micros` lies in; `None` where that is before all times.
    pub(super) fn start(self, micros: i64) -> Option<i64> {
        let days = micros.div_euclid(DAY);
        let begin = match self {
            Part::Millennium => days_of(civil(days).year.div_euclid(1000) * 1000, 1, 1),
            Part::Century => days_of(civil(days).year.div_euclid(100) * 100, 1, 1),
            Part::Decade => days_of(civil(days).year.div_euclid(10) * 10, 1, 1),
            Part::Year => days_of(civil(days).year, 1, 1),
            Part::IsoYear => iso_year_start(iso_week(days).0),
            Part::Quarter => {
                let date = civil(days);
                days_of(date.year, (date.month - 1) / 3 * 3 + 1, 1)
            }
            Part::Month => {
                let date = civil(days);
                days_of(date.year, date.month, 1)
            }
            Part::Week | Part::YearWeek => days - iso_weekday(days) + 1,
            Part::Day | Part::DayOfWeek | Part::IsoDayOfWeek | Part::DayOfYear | Part::Julian => days,
            Part::Hour => return cut(micros, 3_600_000_000),
            Part::Minute => return cut(micros, 60_000_000),
            Part::Second | Part::Epoch => return cut(micros, 1_000_000),
            Part::Millisecond => return cut(micros, 1000),
            Part::Microsecond => return Some(micros),
            Part::Era | Part::Timezone => days,
        };
        begin.checked_mul(DAY)
    }

    /// How many such parts lie between two times: how often one began.
    pub(super) fn begun(self, from: i64, to: i64) -> Option<i64> {
        let days = |micros: i64| micros.div_euclid(DAY);
        let date = |micros: i64| civil(days(micros));
        let units = |unit: i64| to.div_euclid(unit) - from.div_euclid(unit);
        Some(match self {
            Part::Millennium => date(to).year / 1000 - date(from).year / 1000,
            Part::Century => date(to).year / 100 - date(from).year / 100,
            Part::Decade => date(to).year / 10 - date(from).year / 10,
            Part::Year => date(to).year - date(from).year,
            Part::IsoYear => iso_week(days(to)).0 - iso_week(days(from)).0,
            Part::Quarter => {
                let number = |micros: i64| date(micros).year * 4 + (date(micros).month - 1) / 3;
                number(to) - number(from)
            }
            Part::Month => months(date(to)) - months(date(from)),
            Part::Week | Part::YearWeek => (days(to) - days(from)) / 7,
            Part::Day | Part::DayOfWeek | Part::IsoDayOfWeek | Part::DayOfYear | Part::Julian => days(to) - days(from),
            Part::Hour => units(3_600_000_000),
            Part::Minute => units(60_000_000),
            Part::Second | Part::Epoch => units(1_000_000),
            Part::Millisecond => units(1000),
            Part::Microsecond => return to.checked_sub(from),
            Part::Era | Part::Timezone => return None,
        })
    }

    /// How many whole parts fit between two times.
    pub(super) fn whole(self, from: i64, to: i64) -> Option<i64> {
        let between = to.checked_sub(from)?;
        Some(match self {
            Part::Millennium => whole_months(from, to) / 12_000,
            Part::Century => whole_months(from, to) / 1200,
            Part::Decade => whole_months(from, to) / 120,
            Part::Year | Part::IsoYear => whole_months(from, to) / 12,
            Part::Quarter => whole_months(from, to) / 3,
            Part::Month => whole_months(from, to),
            Part::Week | Part::YearWeek => between / (7 * DAY),
            Part::Day | Part::DayOfWeek | Part::IsoDayOfWeek | Part::DayOfYear | Part::Julian => between / DAY,
            Part::Hour => between / 3_600_000_000,
            Part::Minute => between / 60_000_000,
            Part::Second | Part::Epoch => between / 1_000_000,
            Part::Millisecond => between / 1000,
            Part::Microsecond => between,
            Part::Era | Part::Timezone => return None,
        })
    }

    /// The part of a span of time.
    pub(super) fn of_span(self, span: IntervalMonthDayNano) -> Option<i64> {
        let (months, micros) = (i64::from(span.months), span.nanoseconds / 1000);
        Some(match self {
            Part::Millennium => months / 12_000,
            Part::Century => months / 1200,
            Part::Decade => months / 120,
            Part::Year => months / 12,
            Part::Quarter => months % 12 / 3 + 1,
            Part::Month => months % 12,
            Part::Day => i64::from(span.days),
            Part::Hour => micros / 3_600_000_000,
            Part::Minute => micros / 60_000_000 % 60,
            Part::Second => micros / 1_000_000 % 60,
            Part::Millisecond => micros % 60_000_000 / 1000,
            Part::Microsecond => micros % 60_000_000,
            _ => return None,
        })
    }

    /// A span of time cut down to the part.
    pub(super) fn start_of_span(self, span: IntervalMonthDayNano) -> Option<IntervalMonthDayNano> {
        let months = |unit: i32| IntervalMonthDayNano::new(span.months / unit * unit, 0, 0);
        let nanos = |unit: i64| IntervalMonthDayNano::new(span.months, span.days, span.nanoseconds / unit * unit);
        Some(match self {
            Part::Millennium => months(12_000),
            Part::Century => months(1200),
            Part::Decade => months(120),
            Part::Year | Part::IsoYear => months(12),
            Part::Quarter => months(3),
            Part::Month => months(1),
            Part::Week | Part::YearWeek => IntervalMonthDayNano::new(span.months, span.days / 7 * 7, 0),
            Part::Day | Part::DayOfWeek | Part::IsoDayOfWeek | Part::DayOfYear | Part::Julian => {
                IntervalMonthDayNano::new(span.months, span.days, 0)
            }
            Part::Hour => nanos(3_600_000_000_000),
            Part::Minute => nanos(60_000_000_000),
            Part::Second | Part::Epoch => nanos(1_000_000_000),
            Part::Millisecond => nanos(1_000_000),
            Part::Microsecond => nanos(1000),
            Part::Era | Part::Timezone => return None,
        })
    }
}

/// The number of a period of years; there is no period 0.
fn period(year: i64, years: i64) -> i64 {
    if year > 0 { (year - 1) / years + 1 } else { -((-year) / years + 1) }
}

fn months(date: super::calendar::Civil) -> i64 {
    date.year * 12 + date.month - 1
}

fn cut(micros: i64, unit: i64) -> Option<i64> {
    micros.div_euclid(unit).checked_mul(unit)
}

/// Whole months between two times: the last day of a month counts as reached by any later day.
fn whole_months(from: i64, to: i64) -> i64 {
    if from > to {
        return -whole_months(to, from);
    }
    let (start, end) = (civil(from.div_euclid(DAY)), civil(to.div_euclid(DAY)));
    let mut count = months(end) - months(start);
    let is_last = end.day == super::calendar::days_in_month(end.year, end.month);
    let (from_time, to_time) = (from.rem_euclid(DAY), to.rem_euclid(DAY));
    if (end.day, to_time) < (start.day, from_time) && !(is_last && start.day > end.day && to_time >= from_time) {
        count -= 1;
    }
    count
}
