//! Structs and maps.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int32Array, MapArray, StringViewArray, StructArray, UInt32Array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{concat, take};
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use arrow::row::{RowConverter, Rows, SortField};
use datafusion_common::{Result as DataFusionResult, ScalarValue, internal_err, plan_err};
use datafusion_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_expr_common::type_coercion::binary::type_union_resolution;

use super::function::{Arguments, Bound, Function, Overload, function, item_type};
use super::typed::list_type;
use crate::error::{Code, Error};

/// The functions of structs.
pub(super) fn structs() -> Vec<Function> {
    let keys = |types: &[DataType]| {
        matches!(types, [DataType::Struct(_)])
            .then(|| Bound { arguments: types.to_vec(), result: list_type(DataType::Utf8View) })
    };
    let search = |result: DataType| move |types: &[DataType]| bind_search(types, &result);
    vec![
        function("struct_keys", "struct", "The names of the fields", [Overload::generic(keys, struct_keys)]),
        function(
            "struct_concat",
            "structs...",
            "A struct of the fields of all, of which no two have one name",
            [Overload::generic(bind_apart, merge)],
        ),
        function(
            "struct_update",
            "struct, name := value...",
            "The struct with other values of some fields, or more fields",
            [Overload::generic(bind_merge, merge)],
        ),
        function(
            "struct_contains struct_has",
            "struct, value",
            "Whether a field has the value",
            [Overload::generic(search(DataType::Boolean), contains)],
        ),
        function(
            "struct_position struct_indexof",
            "struct, value",
            "The number of the first field that has the value",
            [Overload::generic(search(DataType::Int32), position)],
        ),
    ]
}

/// The functions of maps.
pub(super) fn maps() -> Vec<Function> {
    vec![
        function(
            "map_extract element_at",
            "map, key",
            "A list of the key's value, empty where there is none",
            [Overload::generic(|types| bind_extract(types, true), |arguments| extract(arguments, true))],
        ),
        function(
            "map_extract_value",
            "map, key",
            "The key's value, or NULL",
            [Overload::generic(|types| bind_extract(types, false), |arguments| extract(arguments, false))],
        ),
        function(
            "map_concat",
            "maps...",
            "A map of the entries of all; of equal keys the last counts",
            [Overload::generic(bind_concat, map_concat)],
        ),
        function(
            "map_from_entries",
            "list",
            "A map of a list of structs of a key and a value",
            [Overload::generic(bind_entries, from_entries)],
        ),
    ]
}

fn struct_keys(arguments: &Arguments) -> DataFusionResult<ArrayRef> {
    let array = arguments.array(0)?;
    let structs = array.as_struct();
    let names: ArrayRef = Arc::new(StringViewArray::from_iter_values(structs.column_names()));
    let list = ScalarValue::List(Arc::new(arrow::array::ListArray::try_new(
        Arc::new(Field::new_list_field(DataType::Utf8View, true)),
        OffsetBuffer::from_lengths([names.len()]),
        names,
        None,
    )?));
    let lists = list.to_array_of_size(arguments.rows)?;
    match structs.nulls() {
        Some(nulls) => Ok(arrow::compute::nullif(&lists, &BooleanArray::new(!nulls.inner(), None))?),
        None => Ok(lists),
    }
}

/// The fields of all structs; of equal names the later takes the earlier's place.
fn bind_merge(types: &[DataType]) -> Option<Bound> {
    let mut fields: Vec<FieldRef> = Vec::new();
    for data_type in types {
        let DataType::Struct(more) = data_type else { return None };
        for field in more {
            let field = Arc::new(field.as_ref().clone().with_nullable(true));
            match fields.iter_mut().find(|known| known.name().eq_ignore_ascii_case(field.name())) {
                Some(known) => *known = field,
                None => fields.push(field),
            }
        }
    }
    (!types.is_empty()).then(|| Bound { arguments: types.to_vec(), result: DataType::Struct(fields.into()) })
}

fn bind_apart(types: &[DataType]) -> Option<Bound> {
    let count = |data_type: &DataType| match data_type {
        DataType::Struct(fields) => fields.len(),
        _ => 0,
    };
    bind_merge(types).filter(|bound| count(&bound.result) == types.iter().map(count).sum::<usize>())
}

fn merge(arguments: &Arguments) -> DataFusionResult<ArrayRef> {
    let DataType::Struct(fields) = &arguments.result else { return internal_err!("a struct of another type") };
    let arrays = arguments.arrays()?;
    let column = |field: &FieldRef| {
        let found = arrays.iter().rev().find_map(|array| {
            let structs = array.as_struct();
            let index = structs.column_names().iter().position(|name| name.eq_ignore_ascii_case(field.name()))?;
            structs.columns().get(index).cloned()
        });
        found.ok_or_else(|| Error::internal(format!("field {} is lost", field.name())))
    };
    let columns = fields.iter().map(column).collect::<Result<Vec<_>, _>>()?;
    let nulls = arrays.first().and_then(|array| array.nulls().cloned());
    Ok(Arc::new(StructArray::try_new(fields.clone(), columns, nulls)?))
}

/// The fields and the value as one type.
fn bind_search(types: &[DataType], result: &DataType) -> Option<Bound> {
    let [DataType::Struct(fields), value] = types else { return None };
    let all: Vec<DataType> = fields.iter().map(|field| field.data_type().clone()).chain([value.clone()]).collect();
    let common = type_union_resolution(&all)?;
    let fields: Fields =
        fields.iter().map(|field| Field::new(field.name(), common.clone(), true)).collect::<Vec<_>>().into();
    Some(Bound { arguments: vec![DataType::Struct(fields), common], result: result.clone() })
}

/// The number of the field, from 1; 0 where there is none. NULL is found, too.
fn positions(arguments: &Arguments) -> DataFusionResult<(Vec<i32>, Option<NullBuffer>)> {
    let (structs, value) = (arguments.array(0)?, arguments.array(1)?);
    let structs = structs.as_struct();
    let mut found = vec![0; arguments.rows];
    for (number, column) in (1..).zip(structs.columns()) {
        let equal = arrow::compute::kernels::cmp::not_distinct(column, &value)?;
        for (place, equal) in found.iter_mut().zip(&equal) {
            if *place == 0 && equal == Some(true) {
                *place = number;
            }
        }
    }
    Ok((found, structs.nulls().cloned()))
}

fn contains(arguments: &Arguments) -> DataFusionResult<ArrayRef> {
    let (found, nulls) = positions(arguments)?;
    let values = found.into_iter().map(|place| place > 0).collect();
    Ok(Arc::new(BooleanArray::new(values, nulls)))
}

fn position(arguments: &Arguments) -> DataFusionResult<ArrayRef> {
    let (found, nulls) = positions(arguments)?;
    let is_valid = |row: usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
    let values = found.into_iter().enumerate().map(|(row, place)| (place > 0 && is_valid(row)).then_some(place));
    Ok(Arc::new(Int32Array::from_iter(values)))
}

/// `struct_extract_at(struct, number)`: the field of that number, from 1.
pub(super) fn struct_extract_at() -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::new_from_impl(FieldAt { signature: Signature::any(2, Volatility::Immutable) }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct FieldAt {
    signature: Signature,
}

impl FieldAt {
    fn index(value: Option<&ScalarValue>, count: usize) -> DataFusionResult<usize> {
        let number = match value.map(|value| value.cast_to(&DataType::Int64)) {
            Some(Ok(ScalarValue::Int64(Some(number)))) => number,
            _ => return plan_err!("the number of a struct's field is a constant integer"),
        };
        match usize::try_from(number - 1).ok().filter(|index| *index < count) {
            Some(index) => Ok(index),
            None => plan_err!("the struct has {count} fields, and no field {number}"),
        }
    }
}

impl ScalarUDFImpl for FieldAt {
    fn name(&self) -> &str {
        "struct_extract_at"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> DataFusionResult<DataType> {
        internal_err!("struct_extract_at has a type by its arguments")
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> DataFusionResult<FieldRef> {
        let Some(DataType::Struct(fields)) = arguments.arg_fields.first().map(|field| field.data_type()) else {
            return plan_err!("struct_extract_at does not support the argument: it takes a struct and a number");
        };
        let number = arguments.scalar_arguments.get(1).copied().flatten();
        match fields.get(FieldAt::index(number, fields.len())?) {
            Some(field) => Ok(Arc::new(Field::new("", field.data_type().clone(), true))),
            None => internal_err!("a field is lost"),
        }
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let [structs, number] = arguments.args.as_slice() else { return internal_err!("two arguments are expected") };
        let array = structs.to_array(arguments.number_rows)?;
        let structs = array.as_struct();
        let ColumnarValue::Scalar(number) = number else { return plan_err!("the number of a field is a constant") };
        let index = FieldAt::index(Some(number), structs.num_columns())?;
        let Some(column) = structs.columns().get(index) else { return internal_err!("a field is lost") };
        // A NULL struct has NULL fields.
        let nulls = NullBuffer::union(structs.nulls(), column.logical_nulls().as_ref());
        let data = column.to_data().into_builder().nulls(nulls).build()?;
        Ok(ColumnarValue::Array(arrow::array::make_array(data)))
    }
}

/// Key and value of a map's type.
fn entry_types(map: &DataType) -> Option<(&DataType, &DataType)> {
    let DataType::Map(entries, _) = map else { return None };
    let DataType::Struct(fields) = entries.data_type() else { return None };
    match fields.as_ref() {
        [key, value] => Some((key.data_type(), value.data_type())),
        _ => None,
    }
}

fn map_type(key: &DataType, value: &DataType) -> DataType {
    DataType::Map(Arc::new(Field::new("entries", DataType::Struct(entry_fields(key, value)), false)), false)
}

fn entry_fields(key: &DataType, value: &DataType) -> Fields {
    vec![Field::new("key", key.clone(), false), Field::new("value", value.clone(), true)].into()
}

fn rows_of(converter: &RowConverter, values: &ArrayRef) -> DataFusionResult<Rows> {
    Ok(converter.convert_columns(std::slice::from_ref(values))?)
}

fn converter_of(data_type: &DataType) -> DataFusionResult<RowConverter> {
    Ok(RowConverter::new(vec![SortField::new(data_type.clone())])?)
}

/// The bounds of a map's entries; `None` for NULL.
fn entries_of(map: &MapArray, row: usize) -> Option<std::ops::Range<usize>> {
    let bound = |row: usize| map.value_offsets().get(row).and_then(|offset| usize::try_from(*offset).ok());
    if map.is_null(row) { None } else { Some(bound(row)?..bound(row + 1)?) }
}

fn bind_extract(types: &[DataType], as_list: bool) -> Option<Bound> {
    let [map, _] = types else { return None };
    let (key, value) = entry_types(map)?;
    let result = if as_list { list_type(value.clone()) } else { value.clone() };
    Some(Bound { arguments: vec![map.clone(), key.clone()], result })
}

fn extract(arguments: &Arguments, as_list: bool) -> DataFusionResult<ArrayRef> {
    let (maps, wanted) = (arguments.array(0)?, arguments.array(1)?);
    let maps = maps.as_map();
    let converter = converter_of(wanted.data_type())?;
    let (keys, wanted) = (rows_of(&converter, maps.keys())?, rows_of(&converter, &wanted)?);
    let place = |row: usize| {
        entries_of(maps, row)?
            .find(|entry| keys.row(*entry) == wanted.row(row))
            .and_then(|entry| u32::try_from(entry).ok())
    };
    let places: Vec<Option<u32>> = (0..arguments.rows).map(place).collect();
    if !as_list {
        return Ok(take(maps.values(), &UInt32Array::from(places), None)?);
    }
    let lengths: Vec<usize> = places.iter().map(|place| usize::from(place.is_some())).collect();
    let items = take(maps.values(), &UInt32Array::from_iter_values(places.into_iter().flatten()), None)?;
    let field = Arc::new(Field::new_list_field(items.data_type().clone(), true));
    let lists =
        arrow::array::ListArray::try_new(field, OffsetBuffer::from_lengths(lengths), items, maps.nulls().cloned())?;
    Ok(Arc::new(lists))
}

fn bind_concat(types: &[DataType]) -> Option<Bound> {
    let (mut keys, mut values) = (Vec::new(), Vec::new());
    for map in types.iter().filter(|map| **map != DataType::Null) {
        let (key, value) = entry_types(map)?;
        keys.push(key.clone());
        values.push(value.clone());
    }
    let map = map_type(&type_union_resolution(&keys)?, &type_union_resolution(&values)?);
    Some(Bound { arguments: vec![map.clone(); types.len()], result: map })
}

fn map_concat(arguments: &Arguments) -> DataFusionResult<ArrayRef> {
    let arrays = arguments.arrays()?;
    let maps: Vec<&MapArray> = arrays.iter().map(|array| array.as_map()).collect();
    let keys = concat(&maps.iter().map(|map| map.keys().as_ref()).collect::<Vec<_>>())?;
    let values = concat(&maps.iter().map(|map| map.values().as_ref()).collect::<Vec<_>>())?;
    let rows = rows_of(&converter_of(keys.data_type())?, &keys)?;
    let mut builder = MapBuilder::default();
    for row in 0..arguments.rows {
        let mut start = 0;
        let mut known: HashMap<&[u8], usize> = HashMap::new();
        let mut entries: Vec<(usize, usize)> = Vec::new();
        let mut any = false;
        for map in &maps {
            let range = entries_of(map, row);
            any |= range.is_some();
            for entry in range.into_iter().flatten() {
                let index = start + entry;
                match known.get(rows.row(index).data()).and_then(|place| entries.get_mut(*place)) {
                    Some(place) => place.1 = index,
                    None => {
                        known.insert(rows.row(index).data(), entries.len());
                        entries.push((index, index));
                    }
                }
            }
            start += map.keys().len();
        }
        builder.push(any.then_some(entries));
    }
    builder.finish(&keys, &values)
}

/// Maps of entries that are taken from keys and values.
#[derive(Default)]
struct MapBuilder {
    keys: Vec<u32>,
    values: Vec<u32>,
    lengths: Vec<usize>,
    valid: Vec<bool>,
}

impl MapBuilder {
    fn push(&mut self, entries: Option<Vec<(usize, usize)>>) {
        self.valid.push(entries.is_some());
        let entries = entries.unwrap_or_default();
        self.lengths.push(entries.len());
        for (key, value) in entries {
            self.keys.push(u32::try_from(key).unwrap_or(u32::MAX));
            self.values.push(u32::try_from(value).unwrap_or(u32::MAX));
        }
    }

    fn finish(self, keys: &ArrayRef, values: &ArrayRef) -> DataFusionResult<ArrayRef> {
        let keys = take(keys, &UInt32Array::from(self.keys), None)?;
        let values = take(values, &UInt32Array::from(self.values), None)?;
        let fields = entry_fields(keys.data_type(), values.data_type());
        let entries = StructArray::try_new(fields.clone(), vec![keys, values], None)?;
        let field = Arc::new(Field::new("entries", DataType::Struct(fields), false));
        let nulls = Some(NullBuffer::from(self.valid));
        Ok(Arc::new(MapArray::try_new(field, OffsetBuffer::from_lengths(self.lengths), entries, nulls, false)?))
    }
}

fn bind_entries(types: &[DataType]) -> Option<Bound> {
    let [list] = types else { return None };
    let item = item_type(list)?;
    let DataType::Struct(fields) = item else { return None };
    let [key, value] = fields.as_ref() else { return None };
    Some(Bound { arguments: vec![list_type(item.clone())], result: map_type(key.data_type(), value.data_type()) })
}

fn from_entries(arguments: &Arguments) -> DataFusionResult<ArrayRef> {
    let array = arguments.array(0)?;
    let lists = array.as_list::<i32>();
    let entries = lists.values().as_struct();
    let [keys, values] = entries.columns() else { return internal_err!("entries are keys and values") };
    let rows = rows_of(&converter_of(keys.data_type())?, keys)?;
    let mut builder = MapBuilder::default();
    for row in 0..arguments.rows {
        if lists.is_null(row) {
            builder.push(None);
            continue;
        }
        let bound =
            |row: usize| lists.value_offsets().get(row).and_then(|offset| usize::try_from(*offset).ok()).unwrap_or(0);
        let mut known: HashMap<&[u8], usize> = HashMap::new();
        let mut found = Vec::new();
        for entry in (bound(row)..bound(row + 1)).filter(|entry| entries.is_valid(*entry)) {
            if keys.is_null(entry) {
                return Err(Error::new(Code::InvalidQuery, "a key of a map is not NULL").into());
            }
            if known.insert(rows.row(entry).data(), entry).is_some() {
                return Err(Error::new(Code::InvalidQuery, "the keys of a map are different").into());
            }
            found.push((entry, entry));
        }
        builder.push(Some(found));
    }
    builder.finish(keys, values)
}
