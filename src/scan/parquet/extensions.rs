//! Which sixteen bytes of a file are UUIDs, and which texts JSON: its own schema says so, and Arrow's counterpart does not.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema};
use parquet::basic::{ConvertedType, LogicalType};
use parquet::schema::types::SchemaDescriptor;

use crate::batch::logical::{JSON, UUID, extension_of};

/// `schema`, which is that of `descriptor`, with UUIDs and JSON called so by Arrow's names for them.
pub(super) fn with_extensions(schema: &Schema, descriptor: &SchemaDescriptor) -> Schema {
    let meant = |leaf: usize| match descriptor.column(leaf).logical_type_ref() {
        Some(LogicalType::Uuid) => Some(UUID),
        Some(LogicalType::Json) => Some(JSON),
        Some(_) => None,
        None => (descriptor.column(leaf).converted_type() == ConvertedType::JSON).then_some(JSON),
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
            let extension = leaves.next().flatten().map(|meant| extension_of(&meant)).unwrap_or_default();
            return Arc::new(field.as_ref().clone().with_metadata(extension));
        }
    };
    Arc::new(Field::new(field.name(), data_type, field.is_nullable()))
}
