//! Intervals as Parquet has them.

use std::sync::Arc;

use arrow::array::{Array, AsArray, FixedSizeBinaryBuilder};
use arrow::datatypes::{DataType, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit};

use super::super::function::{Function, Overload, function};
use crate::batch::value::write_value;
use crate::error::{Code, Error};

/// Months, days and milliseconds, four bytes each.
const STORED: DataType = DataType::FixedSizeBinary(12);

/// The functions of this file.
pub(super) fn functions() -> Vec<Function> {
    let interval = DataType::Interval(IntervalUnit::MonthDayNano);
    let encode = Overload::exact(vec![interval], STORED, |arguments| {
        let intervals = arguments.array(0)?;
        let mut stored = FixedSizeBinaryBuilder::with_capacity(intervals.len(), 12);
        for (row, interval) in intervals.as_primitive::<IntervalMonthDayNanoType>().iter().enumerate() {
            match interval.map(bytes) {
                None => stored.append_null(),
                Some(Some(bytes)) => stored.append_value(bytes)?,
                Some(None) => {
                    let mut text = String::new();
                    write_value(&mut text, intervals.as_ref(), row)?;
                    let error = Error::new(Code::InvalidData, format!("Parquet has no INTERVAL as '{text}'"));
                    return Err(error.hint("its parts go from 0 to 4294967295: cast it to VARCHAR").into());
                }
            }
        }
        Ok(Arc::new(stored.finish()))
    });
    vec![function("#parquet_interval", "interval", "The interval as Parquet has it", [encode])]
}

/// The parts of an interval that has no negative ones; what is less than a millisecond is lost.
fn bytes(interval: IntervalMonthDayNano) -> Option<[u8; 12]> {
    let months = u32::try_from(interval.months).ok()?;
    let days = u32::try_from(interval.days).ok()?;
    let millis = u32::try_from(interval.nanoseconds.div_euclid(1_000_000)).ok()?;
    let mut bytes = [0; 12];
    for (part, four) in [months, days, millis].into_iter().zip(bytes.chunks_mut(4)) {
        four.copy_from_slice(&part.to_le_bytes());
    }
    Some(bytes)
}
