//! Intervals and durations as `1 year 2 months 3 days 04:05:06.5`.

use std::fmt::Write;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{
    DataType, DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType, DurationSecondType,
    IntervalDayTimeType, IntervalMonthDayNanoType, IntervalUnit, IntervalYearMonthType, TimeUnit,
};

const NANOS_PER_SECOND: i128 = 1_000_000_000;
const NANOS_PER_DAY: i128 = 86_400 * NANOS_PER_SECOND;

/// A column of intervals or durations.
pub(super) struct Intervals<'a>(Box<dyn Fn(usize) -> Interval + 'a>);

struct Interval {
    months: i64,
    days: i64,
    nanos: i128,
}

impl<'a> Intervals<'a> {
    pub(super) fn new(array: &'a dyn Array) -> Option<Self> {
        fn duration(value: i64, unit: i128) -> Interval {
            let nanos = i128::from(value) * unit;
            let days = i64::try_from(nanos / NANOS_PER_DAY).unwrap_or(0);
            Interval { months: 0, days, nanos: nanos % NANOS_PER_DAY }
        }
        Some(Intervals(match array.data_type() {
            DataType::Interval(IntervalUnit::YearMonth) => {
                let values = array.as_primitive::<IntervalYearMonthType>();
                Box::new(|row| Interval { months: values.value(row).into(), days: 0, nanos: 0 })
            }
            DataType::Interval(IntervalUnit::DayTime) => {
                let values = array.as_primitive::<IntervalDayTimeType>();
                Box::new(|row| {
                    let value = values.value(row);
                    let nanos = i128::from(value.milliseconds) * 1_000_000;
                    Interval { months: 0, days: value.days.into(), nanos }
                })
            }
            DataType::Interval(IntervalUnit::MonthDayNano) => {
                let values = array.as_primitive::<IntervalMonthDayNanoType>();
                Box::new(|row| {
                    let value = values.value(row);
                    Interval { months: value.months.into(), days: value.days.into(), nanos: value.nanoseconds.into() }
                })
            }
            DataType::Duration(TimeUnit::Second) => {
                let values = array.as_primitive::<DurationSecondType>();
                Box::new(|row| duration(values.value(row), NANOS_PER_SECOND))
            }
            DataType::Duration(TimeUnit::Millisecond) => {
                let values = array.as_primitive::<DurationMillisecondType>();
                Box::new(|row| duration(values.value(row), 1_000_000))
            }
            DataType::Duration(TimeUnit::Microsecond) => {
                let values = array.as_primitive::<DurationMicrosecondType>();
                Box::new(|row| duration(values.value(row), 1_000))
            }
            DataType::Duration(TimeUnit::Nanosecond) => {
                let values = array.as_primitive::<DurationNanosecondType>();
                Box::new(|row| duration(values.value(row), 1))
            }
            _ => return None,
        }))
    }

    pub(super) fn write(&self, row: usize, out: &mut String) {
        (self.0)(row).write(out);
    }
}

impl Interval {
    fn write(&self, out: &mut String) {
        let start = out.len();
        for (count, unit) in [(self.months / 12, "year"), (self.months % 12, "month"), (self.days, "day")] {
            if count != 0 {
                let plural = if count.abs() == 1 { "" } else { "s" };
                // Writing to a string cannot fail.
                let _ = write!(out, "{count} {unit}{plural} ");
            }
        }
        if self.nanos != 0 || out.len() == start {
            let sign = if self.nanos < 0 { "-" } else { "" };
            let (seconds, nanos) = (self.nanos.abs() / NANOS_PER_SECOND, self.nanos.abs() % NANOS_PER_SECOND);
            let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
            let _ = write!(out, "{sign}{hours:02}:{minutes:02}:{seconds:02}");
            if nanos != 0 {
                let _ = write!(out, ".{nanos:09}");
                out.truncate(out.trim_end_matches('0').len());
            }
        } else {
            // The blank behind the last unit.
            out.pop();
        }
    }
}
