//! Which sixteen bytes of a file are UUIDs, which texts JSON, and which bytes INTERVALs: its own schema says so, and Arrow's
//! counterpart does not.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, IntervalUnit, Schema};
use parquet::basic::{ConvertedType, LogicalType};
use parquet::schema::types::SchemaDescriptor;

use crate::batch::logical::{JSON, UUID, extension_of};

/// `schema`, which is that of `descriptor`, with UUIDs and JSON called so by Arrow's names for them, and INTERVALs.
pub(super) fn with_extensions(schema: &Schema, descriptor: &SchemaDescriptor) -> Schema {
    let meant = |leaf: usize| match descriptor.column(leaf).logical_type_ref() {
        Some(LogicalType::Uuid) => Some(UUID),
        Some(LogicalType::Json) => Some(JSON),
        Some(_) => None,
        None => match descriptor.column(leaf).converted_type() {
            ConvertedType::JSON => Some(JSON),
            ConvertedType::INTERVAL => Some(DataType::Interval(IntervalUnit::MonthDayNano)),
            _ => None,
        },
    };
    let mut leaves = (0..descriptor.num_columns()).map(meant);
    Schema::new(schema.fields().iter().map(|field| marked(field, &mut leaves)).collect::<Fields>())
}

/// The field; `leaves` says of the file's leaves, from its first one on, what they are beyond Arrow's types.
fn marked(field: &FieldRef, leaves: &mut impl Iterator<Item = Option<DataType>>) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(|field| marked(field, leaves)).collect()),
        DataType::List(item) => DataType::List(marked(item, leaves)),
        DataType::LargeList(item) => DataType::LargeList(marked(item, leaves)),
        DataType::ListView(item) => DataType::ListView(marked(item, leaves)),
        DataType::LargeListView(item) => DataType::LargeListView(marked(item, leaves)),
        DataType::FixedSizeList(item, length) => DataType::FixedSizeList(marked(item, leaves), *length),
        DataType::Map(entries, sorted) => DataType::Map(marked(entries, leaves), *sorted),
        _ => {
            let meant = leaves.next().flatten();
            let field = field.as_ref().clone();
            return Arc::new(match meant {
                Some(interval @ DataType::Interval(_)) => field.with_data_type(interval).with_metadata(HashMap::new()),
                meant => field.with_metadata(meant.map(|meant| extension_of(&meant)).unwrap_or_default()),
            });
        }
    };
    Arc::new(Field::new(field.name(), data_type, field.is_nullable()))
}
