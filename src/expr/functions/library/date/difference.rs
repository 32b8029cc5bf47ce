//! Times between times: `date_diff` counts beginnings, `date_sub` whole parts, `age` gives a span.

use arrow::datatypes::IntervalMonthDayNano;

use super::calendar::{DAY, civil, days_in_month};
use super::part::Part;
use super::{midnight, out_of_range};
use crate::error::{Code, Error, Result};
use crate::expr::functions::library::function::{Function, Overload, function};
use crate::expr::functions::library::typed::{Date, Instant, Text, Time, Timestamp, row2, row3};

/// The functions of this file.
pub(super) fn functions() -> Vec<Function> {
    vec![
        function(
            "date_diff datediff",
            "part, from, to",
            "How many times the part began between the times",
            between(Part::begun),
        ),
        function(
            "date_sub datesub",
            "part, from, to",
            "How many whole parts lie between the times",
            between(Part::whole),
        ),
        function(
            "age",
            "time, earlier",
            "The span between the times in years, months, days and time of day",
            [row2::<Timestamp, Timestamp, _>(age), row2::<Instant, Instant, _>(age)],
        ),
    ]
}

fn between(count: fn(Part, i64, i64) -> Option<i64>) -> Vec<Overload> {
    let counted = move |part: &str, from: i64, to: i64| -> Result<i64> {
        count(Part::of(part)?, from, to)
            .ok_or_else(|| Error::new(Code::InvalidQuery, format!("times have no difference in '{part}'")))
    };
    vec![
        row3::<Text, Date, Date, _>(move |part, from, to| counted(part, midnight(from)?, midnight(to)?)),
        row3::<Text, Timestamp, Timestamp, _>(counted),
        row3::<Text, Instant, Instant, _>(counted),
        row3::<Text, Time, Time, _>(counted),
    ]
}

fn age(time: i64, earlier: i64) -> Result<IntervalMonthDayNano> {
    if time < earlier {
        let span = age(earlier, time)?;
        return Ok(IntervalMonthDayNano::new(-span.months, -span.days, -span.nanoseconds));
    }
    let (start, end) = (civil(earlier.div_euclid(DAY)), civil(time.div_euclid(DAY)));
    let mut of_day = time.rem_euclid(DAY) - earlier.rem_euclid(DAY);
    let mut days = end.day - start.day;
    let mut months = (end.year - start.year) * 12 + end.month - start.month;
    // What is missing is borrowed: a day from the days, and the days of the earlier month from the months.
    if of_day < 0 {
        (of_day, days) = (of_day + DAY, days - 1);
    }
    if days < 0 {
        (days, months) = (days + days_in_month(start.year, start.month), months - 1);
    }
    let narrow = |number: i64| i32::try_from(number).map_err(|_| out_of_range());
    Ok(IntervalMonthDayNano::new(narrow(months)?, narrow(days)?, of_day * 1000))
}
