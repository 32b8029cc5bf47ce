//! A file's arrays in the types that the schemas of all files have in common.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeListArray, ListArray, MapArray, StructArray, new_null_array};
use arrow::compute::{CastOptions, cast_with_options, take};
use arrow::datatypes::{DataType, Field, FieldRef, Fields};

use crate::error::{Code, Error, Result};

/// Makes an array that is not nested another type's.
pub(in crate::scan) type Leaf = fn(&ArrayRef, &DataType) -> Result<ArrayRef>;

/// `array` as `target`: structs by the names of their fields, with NULL for those that the file does not have, and what
/// is not nested by `leaf`.
///
/// # Errors
/// `INVALID_DATA` for a value that the type does not hold.
pub(in crate::scan) fn adapted(array: &ArrayRef, target: &DataType, leaf: Leaf) -> Result<ArrayRef> {
    if array.data_type() == target {
        return Ok(array.clone());
    }
    if let Some(dictionary) = array.as_any_dictionary_opt() {
        // A value of the dictionary may be NULL, too.
        return Ok(take(&adapted(dictionary.values(), target, leaf)?, dictionary.keys(), None)?);
    }
    match (array.data_type(), target) {
        (DataType::Struct(_), DataType::Struct(fields)) => structs(array.as_struct(), fields, leaf),
        (DataType::List(_), DataType::List(item)) => {
            let list = array.as_list::<i32>();
            let values = adapted(list.values(), item.data_type(), leaf)?;
            Ok(Arc::new(ListArray::try_new(item.clone(), list.offsets().clone(), values, list.nulls().cloned())?))
        }
        (DataType::FixedSizeList(_, size), DataType::FixedSizeList(item, wanted)) if size == wanted => {
            let list = array.as_fixed_size_list();
            let values = adapted(list.values(), item.data_type(), leaf)?;
            Ok(Arc::new(FixedSizeListArray::try_new(item.clone(), *size, values, list.nulls().cloned())?))
        }
        (DataType::Map(..), DataType::Map(entries, sorted)) => maps(array.as_map(), entries, *sorted, leaf),
        (
            DataType::LargeList(item)
            | DataType::ListView(item)
            | DataType::LargeListView(item)
            | DataType::FixedSizeList(item, _),
            DataType::List(_),
        ) => {
            let item = Field::new_list_field(item.data_type().clone(), item.is_nullable());
            adapted(&cast(array, &DataType::List(Arc::new(item)))?, target, leaf)
        }
        _ => leaf(array, target),
    }
}

fn structs(array: &StructArray, fields: &Fields, leaf: Leaf) -> Result<ArrayRef> {
    let rows = array.len();
    let column = |field: &Arc<Field>| match array.column_by_name(field.name()) {
        Some(column) => adapted(column, field.data_type(), leaf),
        None => Ok(new_null_array(field.data_type(), rows)),
    };
    let columns = fields.iter().map(column).collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(StructArray::try_new_with_length(fields.clone(), columns, array.nulls().cloned(), rows)?))
}

/// Writers do not agree on the names of keys and values.
fn maps(array: &MapArray, entries: &FieldRef, sorted: bool, leaf: Leaf) -> Result<ArrayRef> {
    let DataType::Struct(fields) = entries.data_type() else {
        return Err(Error::internal(format!("a map of {}", entries.data_type())));
    };
    let columns = fields.iter().zip(array.entries().columns());
    let columns =
        columns.map(|(field, column)| adapted(column, field.data_type(), leaf)).collect::<Result<Vec<_>>>()?;
    let values = StructArray::try_new(fields.clone(), columns, array.entries().nulls().cloned())?;
    let (offsets, nulls) = (array.offsets().clone(), array.nulls().cloned());
    Ok(Arc::new(MapArray::try_new(entries.clone(), offsets, values, nulls, sorted)?))
}

/// The leaf by Arrow's cast.
///
/// # Errors
/// `INVALID_DATA` for a value that the type does not hold.
pub(in crate::scan) fn cast(array: &ArrayRef, target: &DataType) -> Result<ArrayRef> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(array, target, &options).map_err(|error| match Error::from(error) {
        error if error.code() == Code::InvalidQuery => Error::new(Code::InvalidData, error.message()),
        error => error,
    })
}

#[cfg(test)]
mod tests {
    use arrow::array::{DictionaryArray, Int8Array, Int64Array, LargeListArray, StringArray};
    use arrow::buffer::OffsetBuffer;
    use arrow::datatypes::Int64Type;

    use super::*;

    #[test]
    fn a_null_of_a_dictionary_stays_null() {
        let values = Arc::new(StringArray::from(vec![Some("x"), None]));
        let array = DictionaryArray::new(Int8Array::from(vec![Some(0), Some(1), None, Some(0)]), values);
        let adapted = adapted(&(Arc::new(array) as ArrayRef), &DataType::Utf8View, cast).unwrap();
        let texts: Vec<_> = adapted.as_string_view().iter().collect();
        assert_eq!(texts, [Some("x"), None, None, Some("x")]);
    }

    #[test]
    fn structs_within_lists_get_the_fields_that_they_lack() {
        let column = |name: &str| Arc::new(Field::new(name, DataType::Int64, true));
        let values: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
        let fields: Fields = vec![column("a")].into();
        let structs = StructArray::new(fields.clone(), vec![values], None);
        let item = Arc::new(Field::new_list_field(DataType::Struct(fields), true));
        let offsets = OffsetBuffer::new(vec![0_i64, 1, 3].into());
        let list: ArrayRef = Arc::new(LargeListArray::new(item, offsets, Arc::new(structs), None));
        let wanted: Fields = vec![column("b"), column("a")].into();
        let target = DataType::List(Arc::new(Field::new_list_field(DataType::Struct(wanted), true)));
        let adapted = adapted(&list, &target, cast).unwrap();
        assert_eq!(adapted.data_type(), &target);
        let second = adapted.as_list::<i32>().value(1);
        assert_eq!(second.as_struct().column(0).null_count(), 2);
        assert_eq!(second.as_struct().column(1).as_primitive::<Int64Type>().values(), &[2, 3]);
    }
}
