//! JSON as values of other types, and these as JSON: what casts and the functions of JSON have in common.

mod normal;
mod part;
mod range;
mod read;
mod write;

use arrow::array::{Array, ArrayRef, AsArray, LargeStringBuilder};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use serde::de::IgnoredAny;
use serde_json::Value;

pub(super) use part::Part;
pub use range::parsed_beyond_range;
pub(super) use read::{Demand, from_json, read};
pub(super) use write::{texts, write_value, written};

use crate::error::{Code, Error, Result};
use crate::expr::casts::start_of;

/// The value that a text holds.
///
/// # Errors
/// `INVALID_CAST` that says where the text is malformed.
pub(super) fn parse(text: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|error| malformed(text, &error))
}

/// The same for what only looks at the types of values: numbers that are out of range become others.
///
/// # Errors
/// `INVALID_CAST` that says where the text is malformed.
pub(super) fn parse_for_types(text: &str) -> Result<Value> {
    parsed_beyond_range(text, |text| serde_json::from_str(text)).map_err(|error| malformed(text, &error))
}

/// The value of what is written again: with all digits of its integers, or not at all.
///
/// # Errors
/// `NOT_SUPPORTED` for integers of more than 64 bits.
pub(super) fn parse_exactly(text: &str) -> Result<Value> {
    let value = parse(text)?;
    match normal::has_wide_integer(text) {
        true => Err(Error::not_supported("changing JSON with integers of more than 64 bits")),
        false => Ok(value),
    }
}

/// The whole of a text that is not nested deeper than one may go down into it step by step.
///
/// # Errors
/// `INVALID_CAST` where it is, or is malformed.
pub(super) fn shallow(text: &str) -> Result<Part<'_>> {
    // The library has a limit.
    parse_for_types(text)?;
    Part::of(text)
}

/// Whether the text is JSON.
pub(super) fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

fn check(text: &str) -> Result<()> {
    serde_json::from_str::<IgnoredAny>(text).map(drop).map_err(|error| malformed(text, &error))
}

fn malformed(text: &str, error: &serde_json::Error) -> Error {
    let sentence = error.to_string();
    let sentence = sentence.split(" at line ").next().unwrap_or_default();
    let line = if error.line() > 1 { format!("line {}, ", error.line()) } else { String::new() };
    let place = format!("{line}column {}", error.column());
    Error::new(Code::InvalidCast, format!("malformed JSON at {place}: {sentence}, in '{}'", start_of(text)))
}

/// Texts as the JSON that they are, everything else written as JSON.
///
/// # Errors
/// `INVALID_CAST` for a text that is none, unless it is to be NULL.
pub(super) fn to_json(values: &ArrayRef, safe: bool) -> Result<ArrayRef> {
    if !values.data_type().is_string() {
        return written(values);
    }
    let views = cast(values, &DataType::Utf8View)?;
    let mut texts = LargeStringBuilder::with_capacity(views.len(), 0);
    for text in views.as_string_view() {
        match text.map(|text| (text, check(text))) {
            Some((text, Ok(()))) => texts.append_value(text),
            Some((_, Err(error))) if !safe => return Err(error.hint("to_json makes a JSON string of any text")),
            _ => texts.append_null(),
        }
    }
    Ok(std::sync::Arc::new(texts.finish()))
}
