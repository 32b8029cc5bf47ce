//! JSON in its usual form: no spaces between parts, strings with no escapes but those they need, fractions as doubles are
//! written, as far as a double has all their digits.

/// Digits that every double keeps.
const KEPT_DIGITS: usize = 15;

/// Adds `text`, which is JSON.
pub(super) fn write_normal(text: &str, out: &mut String) {
    for token in tokens(text) {
        match token.as_bytes().first() {
            Some(b' ' | b'\t' | b'\n' | b'\r') => {}
            Some(b'"') => write_string(token, out),
            Some(b'-' | b'0'..=b'9') => write_number(token, out),
            _ => out.push_str(token),
        }
    }
}

/// Whether there is an integer that has more than 64 bits.
pub(super) fn has_wide_integer(text: &str) -> bool {
    let is_wide = |token: &str| {
        let is_integer =
            token.starts_with(|first: char| first == '-' || first.is_ascii_digit()) && !token.contains(['.', 'e', 'E']);
        is_integer && token.parse::<i64>().is_err() && token.parse::<u64>().is_err()
    };
    tokens(text).any(is_wide)
}

/// Strings, numbers, and all else character by character.
fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let length = match first {
            '"' => string_length(rest),
            '-' | '0'..='9' => rest.find(|next| !matches!(next, '0'..='9' | '+' | '-' | '.' | 'e' | 'E')),
            _ => Some(first.len_utf8()),
        };
        let (token, behind) = rest.split_at_checked(length.unwrap_or(rest.len())).unwrap_or((rest, ""));
        rest = behind;
        Some(token)
    })
}

/// The bytes of the string that `text` begins with, its quotes included.
fn string_length(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        if byte == b'"' && !escaped {
            return Some(at + 1);
        }
        escaped = byte == b'\\' && !escaped;
    }
    None
}

fn write_string(token: &str, out: &mut String) {
    // Half of a surrogate pair stays as it is written: no text has it.
    match serde_json::from_str::<String>(token) {
        Ok(text) if token.contains('\\') => out.push_str(&serde_json::Value::String(text).to_string()),
        _ => out.push_str(token),
    }
}

fn write_number(token: &str, out: &mut String) {
    let mantissa = token.split(['e', 'E']).next().unwrap_or(token);
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).count();
    let is_fraction = mantissa.len() < token.len() || mantissa.contains('.');
    match serde_json::from_str::<f64>(token) {
        Ok(number) if is_fraction && digits <= KEPT_DIGITS => {
            out.push_str(&serde_json::Value::from(number).to_string())
        }
        _ if token == "-0" => out.push('0'),
        _ => out.push_str(token),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_in_one_way() {
        for (text, normal) in [
            (" { \"a\" : [ 1.50 , 1E5 , -0 ] }", "{\"a\":[1.5,100000.0,0]}"),
            (r#""\u0041\/\n\u00e9""#, "\"A/\\né\""),
            (r#""\ud800""#, r#""\ud800""#),
            ("12345678901234567890123", "12345678901234567890123"),
            ("0.12345678901234567890", "0.12345678901234567890"),
            ("1e400", "1e400"),
            ("[true, null,\"\\\"\"]", "[true,null,\"\\\"\"]"),
        ] {
            let mut out = String::new();
            write_normal(text, &mut out);
            assert_eq!(out, normal, "{text}");
        }
    }
}
