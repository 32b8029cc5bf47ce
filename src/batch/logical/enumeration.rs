//! ENUM: the position of a label. A struct of one field holds it, whose metadata are the labels: structs with other labels are other
//! types, and rows are grouped, joined and ordered by position as structs are anyway.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringViewArray, StructArray, UInt32Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, UInt8Type, UInt16Type};

use super::bit::BIT;
use crate::error::{Error, Result};

/// The name of the field, and of the entry of its metadata that says how many labels there are. Every label is under its position.
const ENUM: &str = "enum";

/// The greatest number of labels: types are compared label by label.
pub const MOST_LABELS: usize = 0xFFFF;

/// The labels of an ENUM.
#[derive(Debug, Clone, Copy)]
pub struct Labels<'a>(&'a HashMap<String, String>);

impl<'a> Labels<'a> {
    /// The label at a position.
    pub fn get(&self, position: u32) -> Option<&'a str> {
        self.0.get(&position.to_string()).map(String::as_str)
    }

    /// The labels in their order.
    pub fn iter(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let labels = *self;
        (0..).map_while(move |position| labels.get(position))
    }
}

/// The ENUM of these labels: at most [`MOST_LABELS`], of which no two are the same.
pub fn enum_type(labels: &[String]) -> DataType {
    let code = if labels.len() <= 0xFF { DataType::UInt8 } else { DataType::UInt16 };
    let mut metadata: HashMap<String, String> =
        labels.iter().enumerate().map(|(position, label)| (position.to_string(), label.clone())).collect();
    metadata.insert(ENUM.to_string(), labels.len().to_string());
    DataType::Struct(vec![Field::new(ENUM, code, true).with_metadata(metadata)].into())
}

/// The labels, where the type is an ENUM.
pub fn enum_labels(data_type: &DataType) -> Option<Labels<'_>> {
    let DataType::Struct(fields) = data_type else { return None };
    let [field] = fields.as_ref() else { return None };
    field.metadata().contains_key(ENUM).then_some(Labels(field.metadata()))
}

/// Whether the type is an ENUM.
pub fn is_enum(data_type: &DataType) -> bool {
    enum_labels(data_type).is_some()
}

/// The type of an ENUM's positions.
pub fn code_type(data_type: &DataType) -> Option<&DataType> {
    match data_type {
        DataType::Struct(fields) if is_enum(data_type) => fields.first().map(|field| field.data_type()),
        _ => None,
    }
}

/// The positions of an ENUM's values.
pub fn enum_codes(values: &dyn Array) -> Option<ArrayRef> {
    code_type(values.data_type())?;
    let values = values.as_struct();
    let codes = values.columns().first()?;
    let nulls = arrow::buffer::NullBuffer::union(values.nulls(), codes.nulls());
    Some(arrow::array::make_array(codes.to_data().into_builder().nulls(nulls).build().ok()?))
}

/// The label of the value at `row`, where the column is an ENUM and the value not NULL.
pub fn label_at(values: &dyn Array, row: usize) -> Option<&str> {
    let labels = enum_labels(values.data_type())?;
    let codes = values.as_struct().columns().first().filter(|codes| codes.is_valid(row))?;
    labels.get(match codes.data_type() {
        DataType::UInt8 => codes.as_primitive::<UInt8Type>().value(row).into(),
        DataType::UInt16 => codes.as_primitive::<UInt16Type>().value(row).into(),
        _ => return None,
    })
}

/// The values of an ENUM by their positions; `None` is NULL.
///
/// # Errors
/// An internal error where `data_type` is no ENUM.
pub fn enum_values(data_type: &DataType, positions: impl Iterator<Item = Option<u32>>) -> Result<ArrayRef> {
    let (DataType::Struct(fields), Some(code)) = (data_type, code_type(data_type)) else {
        return Err(Error::internal(format!("{data_type} is no ENUM")));
    };
    let codes = cast(&UInt32Array::from_iter(positions), code)?;
    let nulls = codes.nulls().cloned();
    Ok(Arc::new(StructArray::try_new(fields.clone(), vec![codes], nulls)?))
}

/// The labels of an ENUM's values.
pub fn enum_texts(values: &dyn Array) -> ArrayRef {
    let label = |row| if values.is_null(row) { None } else { label_at(values, row) };
    Arc::new(StringViewArray::from_iter((0..values.len()).map(label)))
}

/// The type with texts for ENUMs and BITs: what files have.
pub fn in_files(data_type: &DataType) -> DataType {
    let field = |field: &Arc<Field>| Arc::new(field.as_ref().clone().with_data_type(in_files(field.data_type())));
    match data_type {
        data_type if is_enum(data_type) || *data_type == BIT => DataType::Utf8View,
        DataType::List(item) => DataType::List(field(item)),
        DataType::LargeList(item) => DataType::LargeList(field(item)),
        DataType::FixedSizeList(item, length) => DataType::FixedSizeList(field(item), *length),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(field).collect()),
        DataType::Map(entries, sorted) => DataType::Map(field(entries), *sorted),
        other => other.clone(),
    }
}
