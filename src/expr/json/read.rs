//! JSON read as values of a type, one level of all rows at a time.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, FixedSizeListArray, LargeStringArray, ListArray, MapArray, StringViewBuilder, StructArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::cast;
use arrow::datatypes::{DataType, FieldRef, Fields};

use super::Part;
use crate::batch::logical::{JSON, is_enum};
use crate::error::{Code, Error, Result};
use crate::expr::casts::{How, cast_values, no_value};

/// Doubles count integers one by one below this.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// What is asked of JSON that is read as a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::expr) enum Demand {
    /// Nothing: what does not fit is NULL.
    Nothing,
    /// That all values fit and no key of a STRUCT is missing.
    Values,
    /// That no key is unknown, either.
    Keys,
}

/// JSON as values of the type `to`; the JSON `null` is NULL.
///
/// # Errors
/// `INVALID_CAST` for what does not fit, unless it is to be NULL.
pub(in crate::expr) fn from_json(texts: &ArrayRef, to: &DataType, demand: Demand) -> Result<ArrayRef> {
    let texts = cast(texts, &DataType::Utf8View)?;
    let mut parts = Vec::with_capacity(texts.len());
    for text in texts.as_string_view() {
        match text.map(Part::of) {
            Some(Err(error)) if demand != Demand::Nothing => return Err(error),
            part => parts.push(part.and_then(Result::ok)),
        }
    }
    read(&parts, to, demand)
}

/// The parts as values of the type; those that are missing are NULL.
///
/// # Errors
/// `INVALID_CAST` for what does not fit, unless it is to be NULL.
pub(in crate::expr) fn read(parts: &[Option<Part>], to: &DataType, demand: Demand) -> Result<ArrayRef> {
    match to {
        DataType::Struct(fields) if !is_enum(to) => structs(parts, fields, demand),
        DataType::List(item) => lists(parts, item, demand),
        DataType::FixedSizeList(item, length) => arrays(parts, item, *length, demand),
        DataType::Map(entries, sorted) => maps(parts, entries, *sorted, demand),
        json if *json == JSON => {
            let texts = parts.iter().map(|part| Some(part.filter(|part| !part.is_null())?.json()));
            Ok(Arc::new(LargeStringArray::from_iter(texts)))
        }
        other => scalars(parts, other, demand),
    }
}

/// Of every part what it is made of, where it is of that kind and not null.
fn of_kind<'a, T>(
    parts: &[Option<Part<'a>>],
    what: &str,
    demand: Demand,
    take: impl Fn(Part<'a>) -> Option<T>,
) -> Result<Vec<Option<T>>> {
    let of_one = |part: &Option<Part<'a>>| match part.filter(|part| !part.is_null()).map(|part| (part, take(part))) {
        Some((part, None)) if demand != Demand::Nothing => Err(no_value(part.raw(), what)),
        taken => Ok(taken.and_then(|(_, taken)| taken)),
    };
    parts.iter().map(of_one).collect()
}

fn structs(parts: &[Option<Part>], fields: &Fields, demand: Demand) -> Result<ArrayRef> {
    let objects = of_kind(parts, "a STRUCT", demand, Part::entries)?;
    let nulls: NullBuffer = objects.iter().map(Option::is_some).collect();
    let mut columns = vec![vec![None; parts.len()]; fields.len()];
    for (row, object) in objects.into_iter().enumerate() {
        let Some(entries) = object else { continue };
        for (key, value) in entries {
            let name = key.text()?;
            let place = fields.iter().position(|field| *field.name() == name);
            match place.and_then(|place| columns.get_mut(place)?.get_mut(row)) {
                // The first of several wins.
                Some(cell) => *cell = cell.or(Some(value)),
                None if demand == Demand::Keys => return Err(unknown_key(&name, fields)),
                None => {}
            }
        }
        let missing = fields.iter().zip(&columns).find(|(_, column)| column.get(row).is_none_or(Option::is_none));
        if let (Some((field, _)), true) = (missing, demand != Demand::Nothing) {
            let message = format!("an object has no key \"{}\"", field.name());
            return Err(Error::new(Code::InvalidCast, message).hint("TRY_CAST reads keys that are missing as NULL"));
        }
    }
    let columns = columns.iter().zip(fields).map(|(column, field)| read(column, field.data_type(), demand));
    let columns = columns.collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(StructArray::try_new_with_length(fields.clone(), columns, Some(nulls), parts.len())?))
}

fn unknown_key(name: &str, fields: &Fields) -> Error {
    let known: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
    Error::new(Code::InvalidCast, format!("an object has the unknown key \"{name}\""))
        .hint(format!("the STRUCT has {}; TRY_CAST leaves other keys out", known.join(", ")))
}

fn lists(parts: &[Option<Part>], item: &FieldRef, demand: Demand) -> Result<ArrayRef> {
    let lists = of_kind(parts, "a LIST", demand, |part| Some(part.items()?.map(Some).collect::<Vec<_>>()))?;
    let nulls: NullBuffer = lists.iter().map(Option::is_some).collect();
    let offsets = OffsetBuffer::from_lengths(lists.iter().map(|list| list.as_ref().map_or(0, Vec::len)));
    let items: Vec<Option<Part>> = lists.into_iter().flatten().flatten().collect();
    let items = read(&items, item.data_type(), demand)?;
    Ok(Arc::new(ListArray::try_new(item.clone(), offsets, items, Some(nulls))?))
}

fn arrays(parts: &[Option<Part>], item: &FieldRef, length: i32, demand: Demand) -> Result<ArrayRef> {
    let size = usize::try_from(length).unwrap_or_default();
    let arrays = of_kind(parts, &format!("an ARRAY of {length} values"), demand, |part| {
        Some(part.items()?.map(Some).collect::<Vec<_>>()).filter(|items| items.len() == size)
    })?;
    let nulls: NullBuffer = arrays.iter().map(Option::is_some).collect();
    let items: Vec<Option<Part>> =
        arrays.into_iter().flat_map(|items| items.unwrap_or_else(|| vec![None; size])).collect();
    let items = read(&items, item.data_type(), demand)?;
    Ok(Arc::new(FixedSizeListArray::try_new(item.clone(), length, items, Some(nulls))?))
}

fn maps(parts: &[Option<Part>], entries: &FieldRef, sorted: bool, demand: Demand) -> Result<ArrayRef> {
    let DataType::Struct(fields) = entries.data_type() else { return Err(Error::internal("a map without entries")) };
    let [key, value] = fields.as_ref() else { return Err(Error::internal("entries without keys and values")) };
    let objects = of_kind(parts, "a MAP", demand, |part| Some(part.entries()?.collect::<Vec<_>>()))?;
    let nulls: NullBuffer = objects.iter().map(Option::is_some).collect();
    let offsets = OffsetBuffer::from_lengths(objects.iter().map(|object| object.as_ref().map_or(0, Vec::len)));
    let (keys, values): (Vec<_>, Vec<_>) =
        objects.into_iter().flatten().flatten().map(|(key, value)| (Some(key), Some(value))).unzip();
    // A key is never NULL.
    let columns = vec![read(&keys, key.data_type(), Demand::Values)?, read(&values, value.data_type(), demand)?];
    let pairs = StructArray::try_new(fields.clone(), columns, None)?;
    Ok(Arc::new(MapArray::try_new(entries.clone(), offsets, pairs, Some(nulls), sorted)?))
}

fn scalars(parts: &[Option<Part>], to: &DataType, demand: Demand) -> Result<ArrayRef> {
    let mut texts = StringViewBuilder::with_capacity(parts.len());
    for part in parts {
        match part.filter(|part| !part.is_null()) {
            Some(part) => texts.append_value(scalar_text(part, to)?),
            None => texts.append_null(),
        }
    }
    let texts: ArrayRef = Arc::new(texts.finish());
    cast_values(&texts, to, How { safe: demand == Demand::Nothing })
}

/// The text from which a value of the type is read: truth is one and zero among numbers, as every other number is true.
fn scalar_text<'a>(part: Part<'a>, to: &DataType) -> Result<Cow<'a, str>> {
    let is_number = |text: &str| text.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    Ok(match part.raw() {
        "true" if to.is_numeric() => Cow::Borrowed("1"),
        "false" if to.is_numeric() => Cow::Borrowed("0"),
        number if *to == DataType::Boolean && is_number(number) => {
            Cow::Borrowed(if number.parse().is_ok_and(|number: f64| number == 0.0) { "false" } else { "true" })
        }
        number if to.is_integer() && is_number(number) => match number.parse().map(f64::round_ties_even) {
            // Of two integers that are as near, a double becomes the even one.
            Ok(whole) if number.contains(['.', 'e', 'E']) && whole.abs() < EXACT => Cow::Owned(whole.to_string()),
            _ => Cow::Borrowed(number),
        },
        // A double might not have all the digits.
        number if to.is_numeric() && is_number(number) => Cow::Borrowed(number),
        _ => part.text()?,
    })
}
