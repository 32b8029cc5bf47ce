//! What is known of the values in files and stored rows before a query runs: row counts, ranges, numbers of distinct
//! values. The planner estimates with them; nothing that must be right may depend on them.
//!
//! Invariant: gathering statistics reads a bounded number of rows of each column, whatever the size of the files, and
//! an unreadable file leaves them unknown: reading it will say why.
//!
//! # Known limitation
//! The numbers of distinct values are extrapolated from a few parts of a table; of skewed data the rare values are
//! missed.

mod distinct;
mod sample;

use std::sync::Arc;

use datafusion_common::ScalarValue;

pub use distinct::{Piece, distinct_values, expected};
pub(crate) use sample::piece;
pub use sample::{of_files, of_source};

use crate::io::with_many_waiting;
use crate::scan::ScanSpec;
use crate::scan::reader;
use crate::store::QueryContext;

/// What is known of one column.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ColumnStatistics {
    /// The smallest and the largest value as [`number`] gives them, exactly or about.
    pub range: Option<(f64, f64)>,
    /// Which share of the rows is NULL, 0 to 1.
    pub nulls: Option<f64>,
    /// About how many distinct values there are.
    pub distinct: Option<f64>,
}

/// What is known of some columns of a table.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TableStatistics {
    /// Number of rows, exactly or about.
    pub rows: Option<f64>,
    /// By the columns that were asked for.
    pub columns: Vec<ColumnStatistics>,
}

/// The statistics of the columns `columns` (indexes into the spec's schema) of the files of `spec`.
pub fn statistics(spec: &Arc<ScanSpec>, columns: &[usize], context: &Arc<QueryContext>) -> TableStatistics {
    let remote = spec.files.iter().any(|file| file.path.is_remote());
    let known = with_many_waiting(remote, || reader(spec.format)?.statistics(spec, columns)).ok().flatten();
    known.unwrap_or_else(|| of_files(spec, columns, context))
}

/// A value as a number whose order is the value's: seconds for dates and times, the fraction itself for decimals. `None`
/// for NULL, NaN and values that are no numbers.
pub fn number(value: &ScalarValue) -> Option<f64> {
    const DAY: f64 = 86_400.0;
    let number = match value {
        ScalarValue::Boolean(value) => f64::from(u8::from((*value)?)),
        ScalarValue::Date32(days) => f64::from((*days)?) * DAY,
        ScalarValue::Date64(millis) => (*millis)? as f64 / 1e3,
        ScalarValue::TimestampSecond(seconds, _) => (*seconds)? as f64,
        ScalarValue::TimestampMillisecond(millis, _) => (*millis)? as f64 / 1e3,
        ScalarValue::TimestampMicrosecond(micros, _) => (*micros)? as f64 / 1e6,
        ScalarValue::TimestampNanosecond(nanos, _) => (*nanos)? as f64 / 1e9,
        ScalarValue::Decimal128(value, _, scale) => (*value)? as f64 / 10_f64.powi(i32::from(*scale)),
        ScalarValue::Int8(value) => f64::from((*value)?),
        ScalarValue::Int16(value) => f64::from((*value)?),
        ScalarValue::Int32(value) => f64::from((*value)?),
        ScalarValue::Int64(value) => (*value)? as f64,
        ScalarValue::UInt8(value) => f64::from((*value)?),
        ScalarValue::UInt16(value) => f64::from((*value)?),
        ScalarValue::UInt32(value) => f64::from((*value)?),
        ScalarValue::UInt64(value) => (*value)? as f64,
        ScalarValue::Float32(value) => f64::from((*value)?),
        ScalarValue::Float64(value) => (*value)?,
        _ => return None,
    };
    (!number.is_nan()).then_some(number)
}

/// The least step between two values of a type as [`number`] counts; 0 where values lie as close as they like.
pub fn step(data_type: &arrow::datatypes::DataType) -> f64 {
    use arrow::datatypes::DataType;
    match data_type {
        DataType::Date32 | DataType::Date64 => 86_400.0,
        DataType::Boolean => 1.0,
        DataType::Decimal128(_, scale) => 10_f64.powi(-i32::from(*scale)),
        other if other.is_integer() => 1.0,
        _ => 0.0,
    }
}
