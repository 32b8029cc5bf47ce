//! The Parquet schema of a query's columns: the crate's, with UUIDs and JSON called so.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use parquet::arrow::{ArrowSchemaConverter, PARQUET_FIELD_ID_META_KEY};
use parquet::basic::{ConvertedType, LogicalType};
use parquet::schema::types::{SchemaDescriptor, Type, TypePtr};

use crate::batch::logical::{JSON, UUID};
use crate::error::{Code, Error, Result};
use crate::ops::write::FieldIds;

/// The Parquet schema of `schema`.
///
/// # Errors
/// `NOT_SUPPORTED` for a type that Parquet does not have, `UNKNOWN_COLUMN` for the number of a column that is not there.
pub(super) fn parquet_schema(schema: &Schema, ids: &FieldIds) -> Result<SchemaDescriptor> {
    let schema = &numbered(schema, ids)?;
    let converted = ArrowSchemaConverter::new().convert(schema)?;
    let mut leaves = Vec::new();
    schema.fields().iter().for_each(|field| add_leaves(field.data_type(), &mut leaves));
    let root = named(&converted.root_schema_ptr(), &mut leaves.into_iter())?;
    Ok(SchemaDescriptor::new(root))
}

/// The schema with numbers of its fields, as the crate reads them.
fn numbered(schema: &Schema, ids: &FieldIds) -> Result<Schema> {
    let with_id = |field: &Field, id: i32| {
        let mut metadata = field.metadata().clone();
        metadata.insert(PARQUET_FIELD_ID_META_KEY.to_string(), id.to_string());
        field.clone().with_metadata(metadata)
    };
    let fields: Vec<FieldRef> = match ids {
        FieldIds::None => return Ok(schema.clone()),
        FieldIds::Auto => {
            let mut next = 0;
            schema.fields().iter().map(|field| Arc::new(numbered_from(field, &mut next, &with_id))).collect()
        }
        FieldIds::Of(ids) => {
            let is_known = |name: &String| schema.fields().iter().any(|field| field.name().eq_ignore_ascii_case(name));
            if let Some((name, _)) = ids.iter().find(|(name, _)| !is_known(name)) {
                return Err(Error::new(Code::UnknownColumn, format!("there is no column named \"{name}\" to number")));
            }
            let of = |field: &FieldRef| match ids.iter().find(|(name, _)| field.name().eq_ignore_ascii_case(name)) {
                Some((_, id)) => Arc::new(with_id(field, *id)),
                None => field.clone(),
            };
            schema.fields().iter().map(of).collect()
        }
    };
    Ok(Schema::new(fields))
}

/// The field with the next number, and those within it with the numbers behind.
fn numbered_from(field: &Field, next: &mut i32, with_id: &dyn Fn(&Field, i32) -> Field) -> Field {
    let id = *next;
    *next += 1;
    let mut inner = |field: &FieldRef| Arc::new(numbered_from(field, next, with_id));
    let data_type = match field.data_type() {
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(inner).collect()),
        DataType::List(item) => DataType::List(inner(item)),
        DataType::LargeList(item) => DataType::LargeList(inner(item)),
        DataType::FixedSizeList(item, length) => DataType::FixedSizeList(inner(item), *length),
        DataType::Map(entries, sorted) => match entries.data_type() {
            // The pair of key and value has no number.
            DataType::Struct(fields) => {
                let pair = DataType::Struct(fields.iter().map(inner).collect());
                DataType::Map(Arc::new(entries.as_ref().clone().with_data_type(pair)), *sorted)
            }
            _ => field.data_type().clone(),
        },
        other => other.clone(),
    };
    with_id(&field.clone().with_data_type(data_type), id)
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
            let (logical, converted) = match leaves.next() {
                Some(leaf) if leaf == UUID => (Some(LogicalType::Uuid), ConvertedType::NONE),
                Some(leaf) if leaf == JSON => (Some(LogicalType::Json), ConvertedType::NONE),
                // No BLOB is of that type.
                Some(DataType::FixedSizeBinary(12)) => (None, ConvertedType::INTERVAL),
                _ => return Ok(node.clone()),
            };
            let mut builder = Type::primitive_type_builder(info.name(), *physical_type)
                .with_length(*type_length)
                .with_logical_type(logical)
                .with_converted_type(converted)
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
