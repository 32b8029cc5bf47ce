//! Numbers that are JSON, but larger than any double: `1e400`.
//!
//! To floe they are infinite, as in casts of texts. The library's parser refuses them.

use serde_json::Result;

/// What `parse` makes of the text. Where it meets numbers out of range, it gets a text with other doubles in their places.
///
/// # Errors
/// Those of `parse`, but for numbers out of range.
pub fn parsed_beyond_range<T>(text: &str, mut parse: impl FnMut(&str) -> Result<T>) -> Result<T> {
    match parse(text) {
        Err(error) if error.to_string().starts_with("number out of range") => parse(&within_range(text)),
        done => done,
    }
}

/// The text with zeros of the same length for the numbers that are out of range, so that places in it stay.
fn within_range(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(|character: char| character == '"' || is_of_number(character)) {
        let (before, token) = rest.split_at(start);
        let length = match token.starts_with('"') {
            true => string_length(token),
            false => token.find(|character| !is_of_number(character)).unwrap_or(token.len()),
        };
        let (token, behind) = token.split_at(length);
        out.push_str(before);
        match token.parse::<f64>() {
            Ok(number) if number.is_infinite() => out.push_str(&format!("{:.*}", token.len().saturating_sub(2), 0.0)),
            _ => out.push_str(token),
        }
        rest = behind;
    }
    out.push_str(rest);
    out
}

fn is_of_number(character: char) -> bool {
    character.is_ascii_digit() || matches!(character, '-' | '+' | '.' | 'e' | 'E')
}

/// Bytes of the string that the text begins with; all where it has no end.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    let end = text.bytes().skip(1).position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    end.map_or(text.len(), |end| end + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_out_of_range_give_way() {
        let text = r#"{"a 1e400": [-1e400, 1e5, "\"1e999\\", 1E+999], "é": 0.1}"#;
        let expected = r#"{"a 1e400": [0.0000, 1e5, "\"1e999\\", 0.0000], "é": 0.1}"#;
        assert_eq!(within_range(text), expected);
        assert!(parsed_beyond_range(text, |text| serde_json::from_str::<serde_json::Value>(text)).is_ok());
        assert!(parsed_beyond_range("[1e400", |text| serde_json::from_str::<serde_json::Value>(text)).is_err());
        assert_eq!(within_range("[\"1e400"), "[\"1e400");
    }
}
