//! `date_trunc` and `date_part` of a part by name.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, PrimitiveArray, TimestampMicrosecondArray};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, IntervalMonthDayNanoType, IntervalUnit, TimeUnit,
    TimestampMicrosecondType,
};
use datafusion_common::Result as DataFusionResult;

use super::part::Part;
use super::{midnight, out_of_range};
use crate::error::Error;
use crate::expr::functions::library::function::{Arguments, Function, Overload, function};

/// The functions of this file.
pub(super) fn functions() -> Vec<Function> {
    let timestamp = DataType::Timestamp(TimeUnit::Microsecond, None);
    let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let span = DataType::Interval(IntervalUnit::MonthDayNano);
    let overload = |from: &DataType, to: &DataType, run: fn(&Arguments) -> DataFusionResult<ArrayRef>| {
        Overload::exact(vec![DataType::Utf8View, from.clone()], to.clone(), run)
    };
    vec![function(
        "date_trunc datetrunc",
        "part, time",
        "The time at which the part began that the time lies in",
        [
            overload(&DataType::Date32, &timestamp, of_dates),
            overload(&timestamp, &timestamp, of_timestamps),
            overload(&instant, &instant, of_timestamps),
            overload(&span, &span, of_spans),
        ],
    )]
}

/// Calls `start` with the part and each value; a constant part is read once.
fn each<I: ArrowPrimitiveType, O: ArrowPrimitiveType>(
    arguments: &Arguments,
    start: impl Fn(Part, I::Native) -> Option<O::Native>,
) -> DataFusionResult<PrimitiveArray<O>> {
    let times = arguments.array(1)?;
    let times = times.as_primitive::<I>();
    let checked = |part: Part, time: I::Native| start(part, time).ok_or_else(out_of_range);
    if let Some(part) = arguments.constant_text(0) {
        let Some(part) = part else { return Ok(PrimitiveArray::new_null(times.len())) };
        let part = Part::of(part)?;
        return times.try_unary(|time| checked(part, time).map_err(Error::into));
    }
    let parts = arguments.array(0)?;
    let rows = times.iter().zip(parts.as_string_view().iter()).map(|row| match row {
        (Some(time), Some(part)) => checked(Part::of(part)?, time).map(Some),
        _ => Ok(None),
    });
    Ok(rows.collect::<Result<_, Error>>()?)
}

fn of_dates(arguments: &Arguments) -> DataFusionResult<ArrayRef> {
    let starts: TimestampMicrosecondArray =
        each::<Date32Type, TimestampMicrosecondType>(arguments, |part, days| part.start(midnight(days).ok()?))?;
    Ok(Arc::new(starts))
}

fn of_timestamps(arguments: &Arguments) -> DataFusionResult<ArrayRef> {
    let starts = each::<TimestampMicrosecondType, TimestampMicrosecondType>(arguments, Part::start)?;
    Ok(Arc::new(starts.with_data_type(arguments.result.clone())))
}

fn of_spans(arguments: &Arguments) -> DataFusionResult<ArrayRef> {
    Ok(Arc::new(each::<IntervalMonthDayNanoType, IntervalMonthDayNanoType>(arguments, Part::start_of_span)?))
}
