//! The proleptic Gregorian calendar in whole numbers.
//!
//! Days count from 1970-01-01. The conversions are those of Howard Hinnant, "chrono-Compatible Low-Level Date
//! Algorithms", 2013.

/// Microseconds of a day.
pub(super) const DAY: i64 = 86_400_000_000;

/// A day as people write it; the year before 1 is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Civil {
    pub year: i64,
    /// From 1.
    pub month: i64,
    /// From 1.
    pub day: i64,
}

/// The date of a number of days.
pub(super) fn civil(days: i64) -> Civil {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    Civil { year: year_of_era + era * 400 + i64::from(month <= 2), month, day }
}

/// The number of days of a date; days beyond the end of the month go on counting.
pub(in crate::expr) fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let shifted_month = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + of_era - 719_468
}

/// The number of days of a date that exists.
pub(super) fn checked_days(year: i64, month: i64, day: i64) -> Option<i32> {
    let exists = (-300_000..=300_000).contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day);
    if exists { i32::try_from(days_of(year, month, day)).ok() } else { None }
}

pub(in crate::expr) fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Monday is 1, Sunday 7.
pub(super) fn iso_weekday(days: i64) -> i64 {
    (days + 3).rem_euclid(7) + 1
}

/// The day's number in its year, from 1.
pub(super) fn day_of_year(days: i64) -> i64 {
    days - days_of(civil(days).year, 1, 1) + 1
}

/// ISO 8601: the year and the number of the week, which belong to the week's Thursday.
pub(super) fn iso_week(days: i64) -> (i64, i64) {
    let thursday = days - iso_weekday(days) + 4;
    let year = civil(thursday).year;
    (year, (thursday - days_of(year, 1, 1)) / 7 + 1)
}

/// The Monday with which an ISO year begins.
pub(super) fn iso_year_start(year: i64) -> i64 {
    let fourth = days_of(year, 1, 4);
    fourth - iso_weekday(fourth) + 1
}

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// From Sunday.
pub(super) const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

pub(super) fn month_name(days: i64) -> &'static str {
    usize::try_from(civil(days).month - 1).ok().and_then(|index| MONTHS.get(index)).copied().unwrap_or_default()
}

pub(super) fn weekday_name(days: i64) -> &'static str {
    usize::try_from(iso_weekday(days) % 7).ok().and_then(|index| WEEKDAYS.get(index)).copied().unwrap_or_default()
}

/// The date so many months later, on the last day of the month where it has no such day.
pub(super) fn add_months(days: i64, months: i64) -> i64 {
    let date = civil(days);
    let month = date.year * 12 + date.month - 1 + months;
    let (year, month) = (month.div_euclid(12), month.rem_euclid(12) + 1);
    days_of(year, month, date.day.min(days_in_month(year, month)))
}

#[cfg(test)]
mod tests {
    use chrono::{Datelike, Duration, NaiveDate};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_calendar_is_that_of_everybody(days in -4_000_000..4_000_000_i64) {
            let known = NaiveDate::from_ymd_opt(1970, 1, 1).unwrap() + Duration::days(days);
            let date = civil(days);
            prop_assert_eq!((date.year, date.month, date.day), (i64::from(known.year()), i64::from(known.month()), i64::from(known.day())));
            prop_assert_eq!(days_of(date.year, date.month, date.day), days);
            prop_assert_eq!(iso_week(days), (i64::from(known.iso_week().year()), i64::from(known.iso_week().week())));
            prop_assert_eq!(day_of_year(days), i64::from(known.ordinal()));
            prop_assert_eq!(iso_weekday(days), i64::from(known.weekday().number_from_monday()));
            prop_assert_eq!(iso_week(iso_year_start(date.year)), (date.year, 1));
        }
    }
}
