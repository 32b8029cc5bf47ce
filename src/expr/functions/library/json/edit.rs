//! JSON with parts changed, taken out, or put together.

use serde_json::{Map, Value};

use super::path::{Step, cached, index_in};
use crate::error::{Error, Result};
use crate::expr::functions::library::function::{Function, Overload, function};
use crate::expr::functions::library::typed::{Json, Text, row1, row2, row3, row4};
use crate::expr::json::parse_exactly as parse;

/// The functions of this file.
pub(super) fn functions() -> Vec<Function> {
    let edited = |create: bool, replace: bool| -> [Overload; 1] {
        [row3::<Text, Text, Text, _>(move |text, path, new| {
            let (mut value, new) = (parse(text)?, parse(new)?);
            cached(path, |path| {
                put(&mut value, path.plain()?, new, create, replace);
                Ok(Json(value.to_string()))
            })
        })]
    };
    let merging = |merge: fn(&mut Value, Value)| -> [Overload; 3] {
        let merged = move |texts: &[&str]| -> Result<Json> {
            let mut merged = Value::Object(Map::new());
            for (index, text) in texts.iter().enumerate() {
                match index {
                    0 => merged = parse(text)?,
                    _ => merge(&mut merged, parse(text)?),
                }
            }
            Ok(Json(merged.to_string()))
        };
        [
            row2::<Text, Text, _>(move |a, b| merged(&[a, b])),
            row3::<Text, Text, Text, _>(move |a, b, c| merged(&[a, b, c])),
            row4::<Text, Text, Text, Text, _>(move |a, b, c, d| merged(&[a, b, c, d])),
        ]
    };
    let changed = |change: fn(Value) -> Value| -> [Overload; 1] {
        [row1::<Text, _>(move |text| Ok::<_, Error>(Json(change(parse(text)?).to_string())))]
    };
    vec![
        function("json_set", "json, path, value", "The JSON with the value at the path", edited(true, true)),
        function(
            "json_insert",
            "json, path, value",
            "The JSON with the value at the path, where there is none yet",
            edited(true, false),
        ),
        function(
            "json_replace",
            "json, path, value",
            "The JSON with the value at the path, where there is one",
            edited(false, true),
        ),
        function(
            "json_remove",
            "json, path",
            "The JSON without what is at the path",
            [row2::<Text, Text, _>(|text, path| {
                let mut value = parse(text)?;
                cached(path, |path| {
                    remove(&mut value, path.plain()?);
                    Ok(Json(value.to_string()))
                })
            })],
        ),
        function(
            "json_merge_patch",
            "json, patches...",
            "The JSON with the entries of the patches; null takes an entry out (RFC 7386)",
            merging(patch),
        ),
        function("json_deep_merge", "json, others...", "The JSON with the entries of the others", merging(deep)),
        function("json_strip_nulls", "json", "The JSON without entries that are null", changed(strip)),
        function("json_normalize", "json", "The JSON with its keys in order", changed(sorted)),
    ]
}

/// The value behind a step; with `create` also where there is none yet.
fn into<'a>(value: &'a mut Value, step: &Step, create: bool) -> Option<&'a mut Value> {
    match (step, value) {
        (Step::Key(key) | Step::Either(key), Value::Object(object)) => {
            if create && !object.contains_key(key) {
                object.insert(key.clone(), Value::Object(Map::new()));
            }
            object.get_mut(key)
        }
        (Step::Place(place), Value::Array(values)) => {
            let index = index_in(*place, values.len())?;
            values.get_mut(index)
        }
        (Step::Either(text), Value::Array(values)) => values.get_mut(text.parse::<usize>().ok()?),
        _ => None,
    }
}

fn put(value: &mut Value, steps: &[Step], new: Value, create: bool, replace: bool) {
    let Some((last, before)) = steps.split_last() else {
        if replace {
            *value = new;
        }
        return;
    };
    let mut place = value;
    for step in before {
        let Some(next) = into(place, step, create) else { return };
        place = next;
    }
    match (last, place) {
        (Step::Key(key) | Step::Either(key), Value::Object(object)) => {
            let exists = object.contains_key(key);
            if (exists && replace) || (!exists && create) {
                object.insert(key.clone(), new);
            }
        }
        (Step::Place(number), Value::Array(values)) => {
            let append = create && usize::try_from(*number).is_ok_and(|number| number == values.len());
            match index_in(*number, values.len()).and_then(|index| values.get_mut(index)) {
                Some(known) if replace => *known = new,
                None if append => values.push(new),
                _ => {}
            }
        }
        _ => {}
    }
}

fn remove(value: &mut Value, steps: &[Step]) {
    let Some((last, before)) = steps.split_last() else { return };
    let mut place = value;
    for step in before {
        let Some(next) = into(place, step, false) else { return };
        place = next;
    }
    match (last, place) {
        (Step::Key(key) | Step::Either(key), Value::Object(object)) => {
            object.shift_remove(key);
        }
        (Step::Place(number), Value::Array(values)) => {
            if let Some(index) = index_in(*number, values.len()) {
                values.remove(index);
            }
        }
        _ => {}
    }
}

fn patch(value: &mut Value, patches: Value) {
    let Value::Object(patches) = patches else {
        *value = patches;
        return;
    };
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    let Value::Object(object) = value else { return };
    for (key, new) in patches {
        if new.is_null() {
            object.shift_remove(&key);
        } else {
            patch(object.entry(key).or_insert(Value::Null), new);
        }
    }
}

fn deep(value: &mut Value, other: Value) {
    match (value, other) {
        (_, Value::Null) => {}
        (Value::Object(object), Value::Object(others)) => {
            for (key, other) in others.into_iter().filter(|(_, other)| !other.is_null()) {
                deep(object.entry(key).or_insert(Value::Null), other);
            }
        }
        (value, other) => *value = other,
    }
}

fn strip(value: Value) -> Value {
    match value {
        Value::Object(object) => Value::Object(
            object.into_iter().filter(|(_, value)| !value.is_null()).map(|(key, value)| (key, strip(value))).collect(),
        ),
        Value::Array(values) => Value::Array(values.into_iter().map(strip).collect()),
        other => other,
    }
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let mut entries: Vec<_> = object.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            entries.sort_by(|(a, _), (b, _)| a.cmp(b));
            Value::Object(entries.into_iter().collect())
        }
        Value::Array(values) => Value::Array(values.into_iter().map(sorted).collect()),
        other => other,
    }
}
