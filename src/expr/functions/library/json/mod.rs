//! JSON: every function takes texts, too, and says where they are malformed.
//!
//! # Known limitation
//! Functions that change JSON refuse integers of more than 64 bits; `json_contains` compares them as doubles.

mod edit;
mod path;
mod structure;
mod transform;
mod tree;
mod write;

use std::borrow::Cow;
use std::sync::Arc;

use datafusion_expr::ScalarUDF;
use serde_json::Value;

use super::function::{Function, Overload, function};
use super::typed::{Int, Json, Output, Text, Texts, row1, row2, texts_of};
use crate::error::{Error, Result};
use crate::expr::json::{Part, is_json, parse, shallow};
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

/// A string as it is, everything else as JSON; NULL for null.
fn as_text(part: Part) -> Result<Option<String>> {
    if part.is_null() { Ok(None) } else { part.text().map(|text| Some(text.into_owned())) }
}

fn as_json(part: Part) -> Result<Option<Json>> {
    Ok(Some(Json(part.json())))
}

/// The same, where it is neither made of parts nor null.
fn as_value(part: Part) -> Result<Option<String>> {
    let is_one = !part.is_null() && part.items().is_none() && part.entries().is_none();
    Ok(is_one.then(|| part.json()))
}

fn extraction() -> Vec<Function> {
    vec![
        function(
            "json_extract json_extract_path",
            "json, path or place or paths",
            "The part of the JSON at the path, as JSON",
            at_path(as_json),
        ),
        function(
            "json_extract_string json_extract_path_text",
            "json, path or place or paths",
            "The part of the JSON at the path; a string without its quotes",
            at_path(as_text),
        ),
        function(
            "#json_extract_all",
            "json, path",
            "All parts at a path with wildcards, as JSON",
            all_at_path(as_json),
        ),
        function("#json_extract_string_all", "json, path", "All parts at a path with wildcards", all_at_path(as_text)),
        function(
            "json_value",
            "json, path or place or paths",
            "The number, string or boolean at the path, as JSON",
            at_path(as_value),
        ),
    ]
}

/// What is made of a part.
type Made<R> = fn(Part) -> Result<Option<R>>;

fn at_path<R: Output + 'static>(made: Made<R>) -> Vec<Overload> {
    let at = move |text: &str, path: &Path| path.first(Part::of(text)?).map_or(Ok(None), made);
    vec![
        row2::<Text, Text, _>(move |text, path| cached(path, |path| at(text, path))),
        row2::<Text, Int, _>(move |text, place| at(text, &Path::of_place(place))),
        at_paths(move |part| part.map_or(Ok(None), made)),
    ]
}

/// One that makes something of the parts at several paths.
fn at_paths<R: Output + 'static>(made: impl Fn(Option<Part>) -> Result<Option<R>> + Send + Sync + 'static) -> Overload {
    row2::<Text, Texts, _>(move |text, paths| {
        let whole = Part::of(text)?;
        let found = texts_of(&paths).map(|path| cached(path, |path| made(path.first(whole))));
        found.collect::<Result<Vec<Option<R>>>>()
    })
}

fn all_at_path<R: Output + 'static>(made: Made<R>) -> Vec<Overload> {
    vec![row2::<Text, Text, _>(move |text, path| {
        let whole = Part::of(text)?;
        cached(path, |path| path.all(whole).into_iter().map(made).collect::<Result<Vec<Option<R>>>>())
    })]
}

fn questions() -> Vec<Function> {
    vec![
        function(
            "json",
            "text",
            "The JSON without spaces between its parts; an error where it is none",
            [row1::<Text, _>(|text| Part::of(text).map(|part| Json(part.json())))],
        ),
        function("json_valid", "text", "Whether the text is JSON", [row1::<Text, _>(is_json)]),
        function(
            "json_type",
            "json[, path or paths]",
            "The type: OBJECT, ARRAY, VARCHAR, UBIGINT, BIGINT, DOUBLE, BOOLEAN or NULL",
            of_part(|part| Ok(Some(structure::name_of(part).to_string()))),
        ),
        function(
            "json_array_length",
            "json[, path or paths]",
            "The number of values of an array, 0 of everything else",
            of_part(|part| Ok(Some(part.items().map_or(0, |items| items.count() as u64)))),
        ),
        function(
            "json_keys",
            "json[, path or paths]",
            "The keys of an object",
            of_part(|part| {
                let keys = part.entries().into_iter().flatten().map(|(key, _)| key.text().map(Cow::into_owned));
                keys.collect::<Result<Vec<String>>>().map(Some)
            }),
        ),
        function(
            "json_exists",
            "json, path or paths",
            "Whether there is something at the path",
            [
                row2::<Text, Text, _>(|text, path| cached(path, |path| Ok(path.first(Part::of(text)?).is_some()))),
                at_paths(|part| Ok(Some(part.is_some()))),
            ],
        ),
        function(
            "json_contains",
            "json, part",
            "Whether the part is found anywhere in the JSON",
            [row2::<Text, Text, _>(|text, part| Ok::<_, Error>(contains(&parse(text)?, &parse(part)?)))],
        ),
        function(
            "json_pretty",
            "json",
            "The JSON on lines of its own, indented",
            [row1::<Text, _>(|text| -> Result<String> {
                let mut written = String::new();
                write_pretty(shallow(text)?, 0, &mut written);
                Ok(written)
            })],
        ),
    ]
}

/// Adds the value, what is in it on lines of its own.
fn write_pretty(part: Part, depth: usize, out: &mut String) {
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("    ", depth));
    };
    let (mut is_empty, start) = (true, out.len());
    let mut next = |out: &mut String, open: char| {
        out.push(if std::mem::take(&mut is_empty) { open } else { ',' });
        line(out, depth + 1);
    };
    for value in part.items().into_iter().flatten() {
        next(out, '[');
        write_pretty(value, depth + 1, out);
    }
    for (key, value) in part.entries().into_iter().flatten() {
        next(out, '{');
        out.push_str(&key.json());
        out.push_str(": ");
        write_pretty(value, depth + 1, out);
    }
    if out.len() == start {
        return out.push_str(&part.json());
    }
    line(out, depth);
    out.push(if part.items().is_some() { ']' } else { '}' });
}

/// Of the whole JSON, of the part at a path, or of those at several.
fn of_part<R: Output + 'static>(value: Made<R>) -> Vec<Overload> {
    vec![
        row1::<Text, _>(move |text| value(Part::of(text)?)),
        row2::<Text, Text, _>(move |text, path| {
            cached(path, |path| path.first(Part::of(text)?).map_or(Ok(None), value))
        }),
        at_paths(move |part| part.map_or(Ok(None), value)),
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
