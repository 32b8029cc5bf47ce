//! The Parquet schema of a query's columns: the crate's, with UUIDs and JSON called so.

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use parquet::arrow::ArrowSchemaConverter;
use parquet::basic::LogicalType;
use parquet::schema::types::{SchemaDescriptor, Type, TypePtr};

use crate::batch::logical::{JSON, UUID};
use crate::error::Result;

/// The Parquet schema of `schema`.
///
/// # Errors
/// `NOT_SUPPORTED` for a type that Parquet does not have.
pub(super) fn parquet_schema(schema: &Schema) -> Result<SchemaDescriptor> {
    let converted = ArrowSchemaConverter::new().convert(schema)?;
    let mut leaves = Vec::new();
    schema.fields().iter().for_each(|field| add_leaves(field.data_type(), &mut leaves));
    let root = named(&converted.root_schema_ptr(), &mut leaves.into_iter())?;
    Ok(SchemaDescriptor::new(root))
}

/// Adds the types of the leaves, from the first one on.
fn add_leaves(data_type: &DataType, leaves: &mut Vec<DataType>) {
    match data_type {
        DataType::Struct(fields) => fields.iter().for_each(|field| add_leaves(field.data_type(), leaves)),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _) => add_leaves(item.data_type(), leaves),
        leaf => leaves.push(leaf.clone()),
    }
}

/// The node with the names of what Arrow does not have; `leaves` are the types of its leaves.
fn named(node: &TypePtr, leaves: &mut impl Iterator<Item = DataType>) -> Result<TypePtr> {
    let info = node.get_basic_info();
    let repetition = info.has_repetition().then(|| info.repetition());
    let id = info.has_id().then(|| info.id());
    Ok(match node.as_ref() {
        Type::PrimitiveType { physical_type, type_length, .. } => {
            let logical = match leaves.next() {
                Some(leaf) if leaf == UUID => LogicalType::Uuid,
                Some(leaf) if leaf == JSON => LogicalType::Json,
                _ => return Ok(node.clone()),
            };
            let mut builder = Type::primitive_type_builder(info.name(), *physical_type)
                .with_length(*type_length)
                .with_logical_type(Some(logical))
                .with_id(id);
            if let Some(repetition) = repetition {
                builder = builder.with_repetition(repetition);
            }
            Arc::new(builder.build()?)
        }
        Type::GroupType { fields, .. } => {
            let fields = fields.iter().map(|field| named(field, leaves)).collect::<Result<Vec<_>>>()?;
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
