//! JSON: a text that is written into other JSON as it is.

use serde::de::IgnoredAny;

use crate::batch::text::write_json_string;

/// Adds the value that `text` is, without spaces between its parts, so that it stands on one line. What a file called JSON and is
/// none becomes a string: the text around it stays JSON.
pub fn write_json_text(text: &str, out: &mut String) {
    if serde_json::from_str::<IgnoredAny>(text).is_err() {
        return write_json_string(text, out);
    }
    write_compact(text, out);
}

/// Adds the JSON without spaces between its parts.
pub fn write_compact(text: &str, out: &mut String) {
    let (mut within, mut escaped, mut start) = (false, false, 0);
    for (at, byte) in text.bytes().enumerate() {
        if within {
            (within, escaped) = (byte != b'"' || escaped, byte == b'\\' && !escaped);
        } else if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
            // Spaces are ASCII, so both ends are character boundaries.
            out.push_str(text.get(start..at).unwrap_or_default());
            start = at + 1;
        } else {
            within = byte == b'"';
        }
    }
    out.push_str(text.get(start..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_are_kept_within_strings_alone() {
        let mut out = String::new();
        write_json_text(" {\"a b\" :\n [1, \"x \\\" y \\\\\" , {} ]\t}", &mut out);
        assert_eq!(out, "{\"a b\":[1,\"x \\\" y \\\\\",{}]}");
        out.clear();
        write_json_text("{a", &mut out);
        assert_eq!(out, "\"{a\"");
    }
}
