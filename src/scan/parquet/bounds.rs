//! What statistics say of one column in one part of a file: smallest, largest, NULLs.
//!
//! Invariant: bounds enclose every non-NULL value that comparisons in the engine can see. Where a writer's order is not
//! the engine's (deprecated statistics of text, intervals, NaN beside doubles) there are no bounds.

use arrow::array::{Array, ArrayRef, UInt64Array};
use arrow::datatypes::{DataType, Field};
use datafusion_common::ScalarValue;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::basic::{ColumnOrder, Type as PhysicalType};
use parquet::file::metadata::ParquetMetaData;
use parquet::schema::types::ColumnDescriptor;

use crate::scan::parquet::range::Range;

/// Bounds of one column for several parts of a file (row groups or pages).
#[derive(Debug, Clone)]
pub(super) struct ColumnBounds {
    smallest: ArrayRef,
    largest: ArrayRef,
    nulls: UInt64Array,
    rows: Vec<u64>,
    /// Parts that are known to hold nothing but NULL; none of them where that is not said.
    only_null: Vec<bool>,
    /// The type in which the engine sees the column.
    target: DataType,
}

impl ColumnBounds {
    /// The bounds of leaf column `leaf`, of Arrow type `field`, in `groups`; `None` when its statistics are no help.
    pub(super) fn of_row_groups(
        metadata: &ParquetMetaData,
        leaf: usize,
        field: &Field,
        target: &DataType,
        groups: &[usize],
    ) -> Option<Self> {
        if !is_ordered(field.data_type()) || !is_trusted(metadata, leaf, groups) {
            return None;
        }
        let descriptor = metadata.file_metadata().schema_descr();
        let converter = StatisticsConverter::from_column_index(leaf, field, descriptor)
            .ok()?
            .with_missing_null_counts_as_zero(false);
        let parts = || groups.iter().map(|group| metadata.row_group(*group));
        Some(ColumnBounds {
            smallest: converter.row_group_mins(parts()).ok()?,
            largest: converter.row_group_maxes(parts()).ok()?,
            nulls: converter.row_group_null_counts(parts()).ok()?,
            rows: parts().map(|group| u64::try_from(group.num_rows()).unwrap_or(0)).collect(),
            only_null: Vec::new(),
            target: target.clone(),
        })
    }

    /// The bounds of the pages of the only column chunk in `metadata`, of Arrow type `field`. The pages begin with the
    /// rows `starts` of `rows`. `None` when their index is no help.
    pub(super) fn of_pages(
        metadata: &ParquetMetaData,
        field: &Field,
        target: &DataType,
        starts: &[u64],
        rows: u64,
    ) -> Option<Self> {
        if !is_ordered(field.data_type()) || !is_trusted(metadata, 0, &[]) || !has_certain_order(metadata) {
            return None;
        }
        let (columns, offsets) = (metadata.column_index()?, metadata.offset_index()?);
        let index = columns.first()?.first()?;
        let descriptor = metadata.file_metadata().schema_descr();
        let converter = StatisticsConverter::from_column_index(0, field, descriptor).ok()?;
        let ends = starts.iter().skip(1).chain([&rows]);
        let bounds = ColumnBounds {
            smallest: converter.data_page_mins(columns, offsets, &[0]).ok()?,
            largest: converter.data_page_maxes(columns, offsets, &[0]).ok()?,
            nulls: converter.data_page_null_counts(columns, offsets, &[0]).ok()?,
            rows: starts.iter().zip(ends).map(|(start, end)| end - start).collect(),
            only_null: (0..starts.len()).map(|page| index.is_null_page(page)).collect(),
            target: target.clone(),
        };
        let lengths = [bounds.smallest.len(), bounds.largest.len(), bounds.nulls.len(), bounds.only_null.len()];
        (lengths == [starts.len(); 4]).then_some(bounds)
    }

    /// How many NULLs part number `part` has, where it says.
    pub(super) fn nulls(&self, part: usize) -> Option<u64> {
        (part < self.nulls.len() && self.nulls.is_valid(part)).then(|| self.nulls.value(part))
    }

    /// What is known of part number `part`.
    pub(super) fn range(&self, part: usize) -> Range {
        let rows = self.rows.get(part).copied().unwrap_or(u64::MAX);
        let nulls = self.nulls(part);
        let mut range = Range {
            smallest: self.scalar(&self.smallest, part),
            largest: self.scalar(&self.largest, part),
            may_be_null: nulls != Some(0),
            may_be_value: nulls != Some(rows) && !self.only_null.get(part).copied().unwrap_or(false),
        };
        range.round_zeros();
        range
    }

    fn scalar(&self, bounds: &ArrayRef, part: usize) -> Option<ScalarValue> {
        if part >= bounds.len() || bounds.is_null(part) {
            return None;
        }
        let value = ScalarValue::try_from_array(bounds, part).ok()?;
        let value = if value.data_type() == self.target { value } else { value.cast_to(&self.target).ok()? };
        (!value.is_null() && !is_nan(&value)).then_some(value)
    }
}

/// Whether the value is a NaN, which bounds nothing.
fn is_nan(value: &ScalarValue) -> bool {
    match value {
        ScalarValue::Float32(Some(value)) => value.is_nan(),
        ScalarValue::Float64(Some(value)) => value.is_nan(),
        _ => false,
    }
}

/// Types whose order in statistics is the order in which the engine compares.
fn is_ordered(data_type: &DataType) -> bool {
    data_type.is_integer()
        || matches!(
            data_type,
            DataType::Boolean
                | DataType::Float32
                | DataType::Float64
                | DataType::Decimal32(..)
                | DataType::Decimal64(..)
                | DataType::Decimal128(..)
                | DataType::Date32
                | DataType::Timestamp(..)
                | DataType::Time32(_)
                | DataType::Time64(_)
                | DataType::Utf8View
                | DataType::BinaryView
        )
}

/// Page indexes are older than the order that footers promise for text and unsigned numbers.
fn has_certain_order(metadata: &ParquetMetaData) -> bool {
    let descriptor = metadata.file_metadata().schema_descr().column(0);
    matches!(metadata.file_metadata().column_order(0), ColumnOrder::TYPE_DEFINED_ORDER(_))
        || is_signed_number(&descriptor)
}

fn is_signed_number(descriptor: &ColumnDescriptor) -> bool {
    matches!(descriptor.physical_type(), PhysicalType::INT32 | PhysicalType::INT64)
        && descriptor.sort_order() == parquet::basic::SortOrder::SIGNED
}

/// Statistics in the deprecated fields are ordered as signed numbers whatever the type; an unknown order is not ours.
fn is_trusted(metadata: &ParquetMetaData, leaf: usize, groups: &[usize]) -> bool {
    if matches!(metadata.file_metadata().column_order(leaf), ColumnOrder::UNKNOWN) {
        return false;
    }
    let descriptor = metadata.file_metadata().schema_descr().column(leaf);
    let is_signed_number = is_signed_number(&descriptor);
    if descriptor.physical_type() == PhysicalType::INT96 {
        return false;
    }
    groups.iter().all(|group| {
        let statistics = metadata.row_group(*group).column(leaf).statistics();
        is_signed_number || statistics.is_none_or(|statistics| !statistics.is_min_max_deprecated())
    })
}
