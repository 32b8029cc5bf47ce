//! Types of the option `columns`: those of other readers, and lists and structs of them.

use arrow::datatypes::{DataType, Field, Fields};

use crate::error::{Code, Error, Result};
use crate::scan::infer::parse_type;

/// The type that `text` names: `BIGINT`, `VARCHAR[]`, `STRUCT(a BIGINT, "b c" DATE[])`.
///
/// # Errors
/// `INVALID_SETTING` naming the text.
pub(super) fn nested_type(text: &str) -> Result<DataType> {
    let text = text.trim();
    if let Some(item) = text.strip_suffix(']').and_then(|text| text.trim_end().strip_suffix('[')) {
        return Ok(DataType::List(Field::new_list_field(nested_type(item)?, true).into()));
    }
    let fields = text.strip_suffix(')').and_then(|text| {
        let (name, fields) = text.split_once('(')?;
        ["STRUCT", "ROW"].iter().any(|known| name.trim().eq_ignore_ascii_case(known)).then_some(fields)
    });
    match fields {
        Some(fields) => Ok(DataType::Struct(split(fields).into_iter().map(field).collect::<Result<Fields>>()?)),
        None => parse_type(text),
    }
}

/// `name type`, the name in double quotes if it likes.
fn field(text: &str) -> Result<Field> {
    let text = text.trim();
    let parts = match text.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"'),
        None => text.split_once(char::is_whitespace),
    };
    let Some((name, data_type)) = parts else {
        return Err(Error::new(Code::InvalidSetting, format!("'{text}' is no field of a struct"))
            .hint("a struct's type is written STRUCT(name TYPE, other TYPE)"));
    };
    Ok(Field::new(name, nested_type(data_type)?, true))
}

/// The parts between commas outside of parentheses and quotes.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth, mut quoted) = (Vec::new(), 0, 0_i32, false);
    for (at, character) in text.char_indices() {
        match character {
            '"' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            ',' if !quoted && depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_nest() {
        let found = nested_type("struct(a DECIMAL(10,2), \"b, c\" ROW(d DATE[])[] , e json)").unwrap();
        let DataType::Struct(fields) = found else { panic!("{found}") };
        assert_eq!(fields.iter().map(|field| field.name().as_str()).collect::<Vec<_>>(), ["a", "b, c", "e"]);
        assert_eq!(fields[0].data_type(), &DataType::Decimal128(10, 2));
        let DataType::List(item) = fields[1].data_type() else { panic!() };
        let dates = DataType::List(Field::new_list_field(DataType::Date32, true).into());
        assert_eq!(item.data_type(), &DataType::Struct(vec![Field::new("d", dates, true)].into()));
        assert_eq!(nested_type("BIGINT [] []").unwrap().to_string(), nested_type("INT8[][]").unwrap().to_string());
        for bad in ["STRUCT(a)", "STRUCT()", "NOPE[]", "STRUCT(a NOPE)"] {
            assert_eq!(nested_type(bad).unwrap_err().code(), Code::InvalidSetting, "{bad}");
        }
    }
}
