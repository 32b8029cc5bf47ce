//! Parquet's INTERVAL: months, days and milliseconds, each in four bytes.
//!
//! The decoder would give days and milliseconds alone. So it is told of twelve bytes, and what they are is known here.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, FixedSizeBinaryArray, IntervalMonthDayNanoArray};
use arrow::datatypes::{DataType, IntervalMonthDayNano};
use parquet::basic::ConvertedType;
use parquet::errors::Result as ParquetResult;
use parquet::file::metadata::{FileMetaData, ParquetMetaData};
use parquet::schema::types::{SchemaDescriptor, Type, TypePtr};

use crate::error::{Code, Error, Result};
use crate::scan::adapt::cast;

const BYTES: i32 = 12;
const NANOS_PER_MILLISECOND: i64 = 1_000_000;

/// Whether some column is one.
pub(super) fn has_intervals(schema: &SchemaDescriptor) -> bool {
    schema.columns().iter().any(|column| column.converted_type() == ConvertedType::INTERVAL)
}

/// The footer with the columns as bytes.
pub(super) fn as_bytes(metadata: &ParquetMetaData) -> ParquetResult<ParquetMetaData> {
    let file = metadata.file_metadata();
    let schema = SchemaDescriptor::new(bytes_in(&file.schema_descr().root_schema_ptr())?);
    let file = FileMetaData::new(
        file.version(),
        file.num_rows(),
        file.created_by().map(str::to_owned),
        file.key_value_metadata().cloned(),
        Arc::new(schema),
        file.column_orders().cloned(),
    );
    Ok(ParquetMetaData::new(file, metadata.row_groups().to_vec()))
}

fn bytes_in(node: &TypePtr) -> ParquetResult<TypePtr> {
    let info = node.get_basic_info();
    let id = info.has_id().then(|| info.id());
    Ok(match node.as_ref() {
        Type::PrimitiveType { physical_type, .. } if info.converted_type() == ConvertedType::INTERVAL => {
            let builder = Type::primitive_type_builder(info.name(), *physical_type).with_length(BYTES).with_id(id);
            Arc::new(builder.with_repetition(info.repetition()).build()?)
        }
        Type::PrimitiveType { .. } => node.clone(),
        Type::GroupType { fields, .. } => {
            let mut builder = Type::group_type_builder(info.name())
                .with_fields(fields.iter().map(bytes_in).collect::<ParquetResult<_>>()?)
                .with_converted_type(info.converted_type())
                .with_logical_type(info.logical_type_ref().cloned())
                .with_id(id);
            if info.has_repetition() {
                builder = builder.with_repetition(info.repetition());
            }
            Arc::new(builder.build()?)
        }
    })
}

/// What the decoder gave as `target`: bytes that are to be intervals, or what a cast makes.
///
/// # Errors
/// `INVALID_DATA` for a value that the type does not hold.
pub(super) fn leaf(array: &ArrayRef, target: &DataType) -> Result<ArrayRef> {
    match (array.as_fixed_size_binary_opt(), target) {
        (Some(bytes), DataType::Interval(_)) => Ok(Arc::new(intervals(bytes)?)),
        _ => cast(array, target),
    }
}

/// The intervals that the bytes are.
///
/// # Errors
/// `INVALID_DATA` where an INTERVAL does not hold the value: Parquet's have no sign.
fn intervals(array: &FixedSizeBinaryArray) -> Result<IntervalMonthDayNanoArray> {
    let interval = |bytes: &[u8]| {
        let part = |at: usize| {
            let bytes = bytes.get(at..at + 4).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok()).unwrap_or_default();
            u32::from_le_bytes(bytes)
        };
        let signed = |value: u32| {
            let message =
                || format!("an INTERVAL of Parquet has {value} months or days; at most {} are possible", i32::MAX);
            i32::try_from(value).map_err(|_| Error::new(Code::InvalidData, message()))
        };
        Ok(IntervalMonthDayNano::new(signed(part(0))?, signed(part(4))?, i64::from(part(8)) * NANOS_PER_MILLISECOND))
    };
    array.iter().map(|bytes| bytes.map(interval).transpose()).collect()
}
