//! Which sixteen bytes of a file are UUIDs: its own schema says so, and Arrow's counterpart does not.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema};
use parquet::basic::LogicalType;
use parquet::schema::types::SchemaDescriptor;

use crate::batch::logical::{UUID, extension_of};

/// `schema`, which is that of `descriptor`, with UUIDs called so by Arrow's name for them.
pub(super) fn with_uuids(schema: &Schema, descriptor: &SchemaDescriptor) -> Schema {
    let is_uuid = |leaf: usize| matches!(descriptor.column(leaf).logical_type_ref(), Some(LogicalType::Uuid));
    let mut leaves = (0..descriptor.num_columns()).map(is_uuid);
    Schema::new(schema.fields().iter().map(|field| marked(field, &mut leaves)).collect::<Fields>())
}

/// The field; `leaves` says of the file's leaves, from its first one on, whether they are UUIDs.
fn marked(field: &FieldRef, leaves: &mut impl Iterator<Item = bool>) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(|field| marked(field, leaves)).collect()),
        DataType::List(item) => DataType::List(marked(item, leaves)),
        DataType::LargeList(item) => DataType::LargeList(marked(item, leaves)),
        DataType::ListView(item) => DataType::ListView(marked(item, leaves)),
        DataType::LargeListView(item) => DataType::LargeListView(marked(item, leaves)),
        DataType::FixedSizeList(item, length) => DataType::FixedSizeList(marked(item, leaves), *length),
        DataType::Map(entries, sorted) => DataType::Map(marked(entries, leaves), *sorted),
        leaf => {
            let is_uuid = leaves.next().unwrap_or(false) && *leaf == UUID;
            let extension = if is_uuid { extension_of(leaf) } else { Default::default() };
            return Arc::new(field.as_ref().clone().with_metadata(extension));
        }
    };
    Arc::new(Field::new(field.name(), data_type, field.is_nullable()))
}
