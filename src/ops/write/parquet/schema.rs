//! The Parquet schema of a query's columns: the crate's, with UUIDs called so.

use std::sync::Arc;

use arrow::datatypes::Schema;
use parquet::arrow::ArrowSchemaConverter;
use parquet::basic::{LogicalType, Type as Physical};
use parquet::schema::types::{SchemaDescriptor, Type, TypePtr};

use crate::error::Result;

/// The Parquet schema of `schema`.
///
/// # Errors
/// `NOT_SUPPORTED` for a type that Parquet does not have.
pub(super) fn parquet_schema(schema: &Schema) -> Result<SchemaDescriptor> {
    let converted = ArrowSchemaConverter::new().convert(schema)?;
    Ok(SchemaDescriptor::new(with_uuids(&converted.root_schema_ptr())?))
}

/// The node, with UUIDs for its leaves of sixteen bytes: BLOBs have no fixed width, and decimals say what they are.
fn with_uuids(node: &TypePtr) -> Result<TypePtr> {
    let info = node.get_basic_info();
    let repetition = info.has_repetition().then(|| info.repetition());
    let id = info.has_id().then(|| info.id());
    Ok(match node.as_ref() {
        Type::PrimitiveType { physical_type: Physical::FIXED_LEN_BYTE_ARRAY, type_length: 16, .. }
            if info.logical_type_ref().is_none() =>
        {
            let mut builder = Type::primitive_type_builder(info.name(), Physical::FIXED_LEN_BYTE_ARRAY)
                .with_length(16)
                .with_logical_type(Some(LogicalType::Uuid))
                .with_id(id);
            if let Some(repetition) = repetition {
                builder = builder.with_repetition(repetition);
            }
            Arc::new(builder.build()?)
        }
        Type::PrimitiveType { .. } => node.clone(),
        Type::GroupType { fields, .. } => {
            let fields = fields.iter().map(with_uuids).collect::<Result<Vec<_>>>()?;
            let mut builder = Type::group_type_builder(info.name())
                .with_fields(fields)
                .with_converted_type(info.converted_type())
                .with_logical_type(info.logical_type_ref().cloned())
                .with_id(id);
            if let Some(repetition) = repetition {
                builder = builder.with_repetition(repetition);
            }
            Arc::new(builder.build()?)
        }
    })
}
