//! JSON, which is text: every function reads its argument, and says where it is malformed.
//!
//! # Known limitation
//! JSON has no type of its own, so that JSON within `json_object` and the like is written as the text that it is. Numbers
//! beyond 64 bits are read as doubles.

mod edit;
mod path;
mod structure;
mod transform;
mod tree;
mod write;

use std::sync::Arc;

use datafusion_expr::ScalarUDF;
use serde_json::Value;

use super::function::{Function, Overload, function};
use super::typed::{Int, Returned, Text, Texts, row1, row2, texts_of};
use crate::error::{Code, Error, Result};
use path::{Path, cached};

/// The functions of this family.
pub(super) fn functions() -> Vec<Function> {
    let mut functions = extraction();
    functions.extend(questions());
    functions.extend(edit::functions());
    functions.extend(structure::functions());
    functions.extend(write::functions());
    functions.extend(tree::functions());
    functions
}

/// The functions whose type depends on the value of an argument.
pub(super) fn typed_by_value() -> Vec<Arc<ScalarUDF>> {
    transform::functions()
}

/// The value that a text holds.
fn parse(text: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|error| {
        let message = format!("malformed JSON at column {}: {}", error.column(), sentence(&error));
        Error::new(Code::InvalidCast, message)
    })
}

/// What is wrong, without the place.
fn sentence(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or(&text).to_string()
}

/// A string as it is, everything else as JSON; NULL for null.
fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

fn extraction() -> Vec<Function> {
    let json = |value: &Value| Some(value.to_string());
    vec![
        function(
            "json_extract json_extract_path",
            "json, path or place or paths",
            "The part of the JSON at the path, as JSON",
            at_path(json),
        ),
        function(
            "json_extract_string json_extract_path_text",
            "json, path or place or paths",
            "The part of the JSON at the path; a string without its quotes",
            at_path(as_text),
        ),
        function("#json_extract_all", "json, path", "All parts at a path with wildcards, as JSON", all_at_path(json)),
        function("#json_extract_string_all", "json, path", "All parts at a path with wildcards", all_at_path(as_text)),
        function(
            "json_value",
            "json, path",
            "The number, string or boolean at the path, as JSON",
            [row2::<Text, Text, _>(|text, path| {
                let found = cached(path, |path| Ok(path.first(&parse(text)?).cloned()))?;
                Ok::<_, Error>(
                    found
                        .filter(|value| !value.is_array() && !value.is_object() && !value.is_null())
                        .map(|value| value.to_string()),
                )
            })],
        ),
    ]
}

fn at_path(written: fn(&Value) -> Option<String>) -> Vec<Overload> {
    let at =
        move |text: &str, path: &Path| -> Result<Option<String>> { Ok(path.first(&parse(text)?).and_then(written)) };
    vec![
        row2::<Text, Text, _>(move |text, path| cached(path, |path| at(text, path))),
        row2::<Text, Int, _>(move |text, place| at(text, &Path::of_place(place))),
        row2::<Text, Texts, _>(move |text, paths| {
            let value = parse(text)?;
            let found = texts_of(&paths).map(|path| cached(path, |path| Ok(path.first(&value).and_then(written))));
            found.collect::<Result<Vec<Option<String>>>>()
        }),
    ]
}

fn all_at_path(written: fn(&Value) -> Option<String>) -> Vec<Overload> {
    vec![row2::<Text, Text, _>(move |text, path| {
        let value = parse(text)?;
        cached(path, |path| Ok(path.all(&value).into_iter().map(written).collect::<Vec<Option<String>>>()))
    })]
}

fn questions() -> Vec<Function> {
    vec![
        function(
            "json",
            "text",
            "The JSON without spaces between its parts; an error where it is none",
            [row1::<Text, _>(|text| parse(text).map(|value| value.to_string()))],
        ),
        function(
            "#json",
            "text",
            "The text as it is; an error where it is no JSON",
            [row1::<Text, _>(|text| parse(text).map(|_| text.to_string()))],
        ),
        function(
            "json_valid",
            "text",
            "Whether the text is JSON",
            [row1::<Text, _>(|text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok())],
        ),
        function(
            "json_type",
            "json[, path]",
            "The type: OBJECT, ARRAY, VARCHAR, UBIGINT, BIGINT, DOUBLE, BOOLEAN or NULL",
            of_part(|value| Some(structure::type_name(value).to_string())),
        ),
        function(
            "json_array_length",
            "json[, path]",
            "The number of values of an array, 0 of everything else",
            of_part(|value| Some(value.as_array().map_or(0, Vec::len) as u64)),
        ),
        function(
            "json_keys",
            "json[, path]",
            "The keys of an object",
            of_part(|value| {
                Some(value.as_object().map(|object| object.keys().cloned().collect::<Vec<_>>()).unwrap_or_default())
            }),
        ),
        function(
            "json_exists",
            "json, path",
            "Whether there is something at the path",
            [row2::<Text, Text, _>(|text, path| cached(path, |path| Ok(path.first(&parse(text)?).is_some())))],
        ),
        function(
            "json_contains",
            "json, part",
            "Whether the part is found anywhere in the JSON",
            [row2::<Text, Text, _>(|text, part| Ok::<_, Error>(contains(&parse(text)?, &parse(part)?)))],
        ),
        function(
            "json_quote",
            "value",
            "The text as a string of JSON",
            [row1::<Text, _>(|text| Value::String(text.to_string()).to_string())],
        ),
        function(
            "json_pretty",
            "json",
            "The JSON on lines of its own, indented",
            [row1::<Text, _>(|text| -> Result<String> {
                let value = parse(text)?;
                let mut written = Vec::new();
                let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
                let mut serializer = serde_json::Serializer::with_formatter(&mut written, formatter);
                serde::Serialize::serialize(&value, &mut serializer)
                    .map_err(|error| Error::internal(error.to_string()))?;
                String::from_utf8(written).map_err(|error| Error::internal(error.to_string()))
            })],
        ),
    ]
}

/// Of the whole JSON, or of the part at a path.
fn of_part<R: super::typed::Output + 'static>(value: fn(&Value) -> Option<R>) -> Vec<Overload>
where
    Option<R>: Returned,
    Result<Option<R>, Error>: Returned,
{
    vec![
        row1::<Text, _>(move |text| -> Result<Option<R>, Error> { Ok(value(&parse(text)?)) }),
        row2::<Text, Text, _>(move |text, path| -> Result<Option<R>, Error> {
            let whole = parse(text)?;
            cached(path, |path| Ok(path.first(&whole).and_then(value)))
        }),
    ]
}

/// Whether `part` is the value or within it; an object is within one that has all its entries.
fn contains(value: &Value, part: &Value) -> bool {
    let fits = match (value, part) {
        (Value::Object(object), Value::Object(wanted)) => {
            wanted.iter().all(|(key, wanted)| object.get(key).is_some_and(|value| contains(value, wanted)))
        }
        (Value::Array(values), Value::Array(wanted)) => {
            wanted.iter().all(|wanted| values.iter().any(|value| contains(value, wanted)))
        }
        _ => value == part,
    };
    fits || match value {
        Value::Array(values) => values.iter().any(|value| contains(value, part)),
        Value::Object(object) => object.values().any(|value| contains(value, part)),
        _ => false,
    }
}
