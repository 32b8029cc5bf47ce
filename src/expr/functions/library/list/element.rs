//! Parts of lists: one value, some, those that a list of conditions keeps; and lists put together.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, UInt32Array, new_null_array};
use arrow::compute::{concat, take};
use arrow::datatypes::{DataType, Int64Type};
use datafusion_common::Result as DataFusionResult;
use datafusion_expr_common::type_coercion::binary::type_union_resolution;

use super::{Lists, Picker, index_of, of_list};
use crate::error::{Code, Error};
use crate::expr::functions::library::function::{Arguments, Bound, Function, Overload, function, item_type};
use crate::expr::functions::library::typed::{Bits, Int, Text, list_type, row1, row2, row3};

/// The functions of this file.
pub(super) fn functions() -> Vec<Function> {
    let list = |item: &DataType| list_type(item.clone());
    let of_text = |text: &str, from: i64, to: i64| {
        let range = slice(from, to, text.chars().count());
        text.chars().skip(range.start).take(range.len()).collect::<String>()
    };
    vec![
        function(
            "length len",
            "text or list",
            "The number of characters, or of values",
            [
                row1::<Bits, _>(|bits| bits.len() as i64),
                row1::<Text, _>(|text| if text.is_ascii() { text.len() as i64 } else { text.chars().count() as i64 }),
                of_list(vec![], |_| DataType::Int64, lengths),
            ],
        ),
        function(
            "list_extract list_element array_extract",
            "list, place",
            "The value at the place, or the character of a text",
            [
                of_list(vec![DataType::Int64], DataType::clone, extract),
                row2::<Text, Int, _>(|text, place| {
                    let index = index_of(place, text.chars().count());
                    index.and_then(|index| text.chars().nth(index)).map(String::from).unwrap_or_default()
                }),
            ],
        ),
        function(
            "list_slice array_slice",
            "list, from, to[, step]",
            "The values from one place to another, every so many of them",
            [
                of_list(vec![DataType::Int64, DataType::Int64], list, slices),
                of_list(vec![DataType::Int64, DataType::Int64, DataType::Int64], list, slices),
                row3::<Text, Int, Int, _>(of_text),
            ],
        ),
        function(
            "list_select array_select",
            "list, places",
            "The values at the places",
            [of_list(vec![list_type(DataType::Int64)], list, select)],
        ),
        function(
            "list_where array_where",
            "list, conditions",
            "The values where the list of conditions is true",
            [of_list(vec![list_type(DataType::Boolean)], list, keep)],
        ),
        function(
            "list_concat list_cat array_concat array_cat",
            "lists...",
            "The values of all lists",
            [Overload::generic(bind_concat, |arguments| concatenate(arguments, false))],
        ),
        function(
            "#list_concat_known",
            "lists...",
            "The values of all lists, or NULL where one is NULL",
            [Overload::generic(bind_concat, |arguments| concatenate(arguments, true))],
        ),
        function("flatten", "lists", "The values of the lists in a list", [Overload::generic(bind_flatten, flatten)]),
    ]
}

fn lengths(arguments: &Arguments) -> DataFusionResult<ArrayRef> {
    let lists = Lists::of(arguments, 0)?;
    let length = |row| lists.range(row).map(|range| range.len() as i64);
    Ok(Arc::new(Int64Array::from_iter((0..arguments.rows).map(length))))
}

fn extract(arguments: &Arguments) -> DataFusionResult<ArrayRef> {
    let (lists, places) = (Lists::of(arguments, 0)?, arguments.array(1)?);
    let places = places.as_primitive::<Int64Type>();
    let index = |row: usize| {
        let range = lists.range(row).filter(|_| places.is_valid(row))?;
        let index = index_of(places.value(row), range.len())?;
        u32::try_from(range.start + index).ok()
    };
    let indexes = UInt32Array::from_iter((0..arguments.rows).map(index));
    Ok(take(lists.values(), &indexes, None)?)
}

/// The places from one to another as indexes.
fn slice(from: i64, to: i64, length: usize) -> std::ops::Range<usize> {
    let size = i64::try_from(length).unwrap_or(i64::MAX);
    let begin = if from < 0 { size.saturating_add(from) } else { from.saturating_sub(1) };
    let end = if to < 0 { size.saturating_add(to) + 1 } else { to };
    let index = |place: i64| usize::try_from(place.clamp(0, size)).unwrap_or(0);
    let (begin, end) = (index(begin), index(end));
    begin..end.max(begin)
}

fn slices(arguments: &Arguments) -> DataFusionResult<ArrayRef> {
    let lists = Lists::of(arguments, 0)?;
    let numbers =
        (1..arguments.columns.len()).map(|index| arguments.array(index)).collect::<DataFusionResult<Vec<_>>>()?;
    let number = |index: usize, row: usize| {
        let column = numbers.get(index)?.as_primitive::<Int64Type>();
        column.is_valid(row).then(|| column.value(row))
    };
    let mut picker = Picker::new(arguments.rows);
    for row in 0..arguments.rows {
        let step = if numbers.len() > 2 { number(2, row) } else { Some(1) };
        if step == Some(0) {
            return Err(Error::new(Code::InvalidQuery, "the step of a slice is not 0").into());
        }
        let found = (lists.range(row), number(0, row), number(1, row), step);
        let (Some(range), Some(from), Some(to), Some(step)) = found else {
            picker.push(None::<Vec<_>>)?;
            continue;
        };
        let stride = usize::try_from(step.unsigned_abs()).unwrap_or(usize::MAX);
        // Backwards, the first place is the last that is read.
        let part = if step > 0 { slice(from, to, range.len()) } else { slice(to, from, range.len()) };
        let places = part.map(|index| range.start + index);
        if step > 0 {
            picker.push(Some(places.step_by(stride).map(Some)))?;
        } else {
            picker.push(Some(places.rev().step_by(stride).map(Some)))?;
        }
    }
    picker.finish(lists.values())
}

fn select(arguments: &Arguments) -> DataFusionResult<ArrayRef> {
    let (lists, places) = (Lists::of(arguments, 0)?, Lists::of(arguments, 1)?);
    let numbers = places.values().as_primitive::<Int64Type>();
    let mut picker = Picker::new(arguments.rows);
    for row in 0..arguments.rows {
        let both = lists.range(row).zip(places.range(row));
        picker.push(both.map(|(range, places)| {
            places.map(move |place| {
                let place = numbers.is_valid(place).then(|| numbers.value(place))?;
                index_of(place, range.len()).map(|index| range.start + index)
            })
        }))?;
    }
    picker.finish(lists.values())
}

fn keep(arguments: &Arguments) -> DataFusionResult<ArrayRef> {
    let (lists, conditions) = (Lists::of(arguments, 0)?, Lists::of(arguments, 1)?);
    let values = conditions.values().as_boolean();
    let mut picker = Picker::new(arguments.rows);
    for row in 0..arguments.rows {
        let Some((range, conditions)) = lists.range(row).zip(conditions.range(row)) else {
            picker.push(None::<Vec<_>>)?;
            continue;
        };
        if conditions.clone().any(|condition| values.is_null(condition)) {
            return Err(Error::new(Code::InvalidQuery, "the conditions of list_where are not NULL").into());
        }
        let kept = conditions.enumerate().filter(|(_, condition)| values.value(*condition));
        let length = range.len();
        picker.push(Some(kept.map(move |(index, _)| (index < length).then_some(range.start + index))))?;
    }
    picker.finish(lists.values())
}

fn bind_concat(types: &[DataType]) -> Option<Bound> {
    let items: Vec<DataType> = types.iter().filter_map(item_type).cloned().collect();
    if items.is_empty() && !types.is_empty() && types.iter().all(DataType::is_null) {
        return Some(Bound { arguments: types.to_vec(), result: DataType::Null });
    }
    if items.is_empty() || types.iter().any(|list| item_type(list).is_none() && *list != DataType::Null) {
        return None;
    }
    let list = list_type(type_union_resolution(&items)?);
    Some(Bound { arguments: vec![list.clone(); types.len()], result: list })
}

/// A list that is NULL has no values, unless nothing says that it is a list, or all must be known.
fn concatenate(arguments: &Arguments, all_known: bool) -> DataFusionResult<ArrayRef> {
    if arguments.result.is_null() {
        return Ok(new_null_array(&DataType::Null, arguments.rows));
    }
    let lists =
        (0..arguments.columns.len()).map(|index| Lists::of(arguments, index)).collect::<DataFusionResult<Vec<_>>>()?;
    let values: Vec<&dyn Array> = lists.iter().map(|list| list.values().as_ref()).collect();
    let mut starts = Vec::with_capacity(values.len());
    let mut total = 0;
    for values in &values {
        starts.push(total);
        total += values.len();
    }
    let mut picker = Picker::new(arguments.rows);
    for row in 0..arguments.rows {
        let ranges: Vec<_> =
            lists.iter().zip(&starts).filter_map(|(list, start)| Some((list.range(row)?, *start))).collect();
        let is_known = !all_known || ranges.len() == lists.len();
        let places = ranges.into_iter().flat_map(|(range, start)| range.map(move |index| Some(start + index)));
        picker.push(is_known.then_some(places))?;
    }
    picker.finish(&concat(&values)?)
}

fn bind_flatten(types: &[DataType]) -> Option<Bound> {
    let [lists] = types else { return None };
    let list = match item_type(lists) {
        Some(DataType::Null) => list_type(DataType::Null),
        Some(list) => list_type(item_type(list)?.clone()),
        None if lists.is_null() => return Some(Bound { arguments: types.to_vec(), result: DataType::Null }),
        None => return None,
    };
    Some(Bound { arguments: vec![list_type(list.clone())], result: list })
}

/// Lists that are NULL have no values.
fn flatten(arguments: &Arguments) -> DataFusionResult<ArrayRef> {
    if arguments.result.is_null() {
        return Ok(new_null_array(&DataType::Null, arguments.rows));
    }
    let outer = Lists::of(arguments, 0)?;
    let inner = Lists { array: outer.values().clone() };
    let mut picker = Picker::new(arguments.rows);
    for row in 0..arguments.rows {
        let places = outer.range(row).map(|lists| lists.filter_map(|list| inner.range(list)).flatten().map(Some));
        picker.push(places)?;
    }
    picker.finish(inner.values())
}
