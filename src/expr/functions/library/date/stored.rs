//! Intervals as Parquet has them, within lists, structs and maps, too.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeBinaryBuilder, FixedSizeListArray, ListArray, MapArray, StructArray,
};
use arrow::datatypes::{DataType, FieldRef, IntervalMonthDayNano, IntervalMonthDayNanoType};
use datafusion_common::Result as DataFusionResult;

use super::super::function::{Bound, Function, Overload, function};
use crate::batch::value::write_value;
use crate::error::{Code, Error};

/// Months, days and milliseconds, four bytes each.
const STORED: DataType = DataType::FixedSizeBinary(12);

/// The functions of this file.
pub(super) fn functions() -> Vec<Function> {
    let encode = Overload::generic(
        |types| match types {
            [found] => Some(Bound { arguments: types.to_vec(), result: stored_type(found) }),
            _ => None,
        },
        |arguments| stored(&arguments.array(0)?),
    );
    vec![function("#parquet_interval", "value", "The value with its intervals as Parquet has them", [encode])]
}

/// The type with what intervals are in Parquet in their place.
fn stored_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Interval(_) => STORED,
        DataType::List(item) => DataType::List(stored_field(item)),
        DataType::FixedSizeList(item, length) => DataType::FixedSizeList(stored_field(item), *length),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(stored_field).collect()),
        DataType::Map(entries, sorted) => DataType::Map(stored_field(entries), *sorted),
        other => other.clone(),
    }
}

fn stored_field(field: &FieldRef) -> FieldRef {
    Arc::new(field.as_ref().clone().with_data_type(stored_type(field.data_type())))
}

fn stored(values: &ArrayRef) -> DataFusionResult<ArrayRef> {
    let nulls = values.nulls().cloned();
    Ok(match values.data_type() {
        DataType::Interval(_) => encoded(values)?,
        found if stored_type(found) == *found => values.clone(),
        DataType::List(item) => {
            let list = values.as_list::<i32>();
            let items = stored(list.values())?;
            Arc::new(ListArray::try_new(stored_field(item), list.offsets().clone(), items, nulls)?)
        }
        DataType::FixedSizeList(item, length) => {
            let items = stored(values.as_fixed_size_list().values())?;
            Arc::new(FixedSizeListArray::try_new(stored_field(item), *length, items, nulls)?)
        }
        DataType::Struct(fields) => {
            let columns = values.as_struct().columns().iter().map(stored).collect::<DataFusionResult<_>>()?;
            Arc::new(StructArray::try_new(fields.iter().map(stored_field).collect(), columns, nulls)?)
        }
        DataType::Map(entries, sorted) => {
            let map = values.as_map();
            let pairs = stored(&(Arc::new(map.entries().clone()) as ArrayRef))?.as_struct().clone();
            Arc::new(MapArray::try_new(stored_field(entries), map.offsets().clone(), pairs, nulls, *sorted)?)
        }
        _ => values.clone(),
    })
}

fn encoded(intervals: &ArrayRef) -> DataFusionResult<ArrayRef> {
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
