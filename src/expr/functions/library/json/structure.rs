//! The types that JSON has.

use serde_json::Value;

use crate::error::Error;
use crate::expr::functions::library::function::{Function, function};
use crate::expr::functions::library::typed::{Json, Text, row1};
use crate::expr::json::{Part, parse_for_types};

/// The functions of this file.
pub(super) fn functions() -> Vec<Function> {
    vec![function(
        "json_structure",
        "json",
        "The types of the parts, as JSON",
        [row1::<Text, _>(|text| Ok::<_, Error>(Json(structure(&parse_for_types(text)?).to_string())))],
    )]
}

/// The type of one value.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "NULL",
        Value::Bool(_) => "BOOLEAN",
        Value::String(_) => "VARCHAR",
        Value::Array(_) => "ARRAY",
        Value::Object(_) => "OBJECT",
        Value::Number(number) if number.is_u64() => "UBIGINT",
        Value::Number(number) if number.is_i64() => "BIGINT",
        Value::Number(_) => "DOUBLE",
    }
}

/// The same of a part.
pub(super) fn name_of(part: Part) -> &'static str {
    match part.raw().as_bytes().first() {
        Some(b'"') => "VARCHAR",
        Some(b'[') => "ARRAY",
        Some(b'{') => "OBJECT",
        _ => serde_json::from_str(part.raw()).map_or("DOUBLE", |value| type_name(&value)),
    }
}

fn structure(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            Value::Object(object.iter().map(|(key, value)| (key.clone(), structure(value))).collect())
        }
        Value::Array(values) => {
            let item = values.iter().map(structure).reduce(common).unwrap_or_else(|| name("NULL"));
            Value::Array(vec![item])
        }
        other => name(type_name(other)),
    }
}

fn name(text: &str) -> Value {
    Value::String(text.to_string())
}

/// The type of values of two types.
fn common(a: Value, b: Value) -> Value {
    let null = name("NULL");
    match (a, b) {
        (a, b) if a == b => a,
        (a, b) if a == null => b,
        (a, b) if b == null => a,
        (Value::Object(mut a), Value::Object(b)) => {
            for (key, value) in b {
                let merged = match a.get(&key) {
                    Some(known) => common(known.clone(), value),
                    None => value,
                };
                a.insert(key, merged);
            }
            Value::Object(a)
        }
        (Value::Array(a), Value::Array(b)) => {
            let item = a.into_iter().chain(b).reduce(common).unwrap_or(null);
            Value::Array(vec![item])
        }
        (Value::String(a), Value::String(b)) => {
            let number = |text: &str| matches!(text, "UBIGINT" | "BIGINT" | "DOUBLE");
            match (a.as_str(), b.as_str()) {
                ("DOUBLE", other) | (other, "DOUBLE") if number(other) => name("DOUBLE"),
                (a, b) if number(a) && number(b) => name("BIGINT"),
                _ => name("JSON"),
            }
        }
        _ => name("JSON"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_widen_where_they_must() {
        let of = |text: &str| structure(&serde_json::from_str(text).unwrap()).to_string();
        assert_eq!(of("[1, 2.5]"), r#"["DOUBLE"]"#);
        assert_eq!(of("[1, -2]"), r#"["BIGINT"]"#);
        assert_eq!(of(r#"[{"a": 1}, {"b": null}]"#), r#"[{"a":"UBIGINT","b":"NULL"}]"#);
        assert_eq!(of(r#"[1, "x"]"#), r#"["JSON"]"#);
        assert_eq!(of("{}"), "{}");
    }
}
