//! Strings without their escapes.

/// Appends what `raw`, the inside of a string with well-formed escapes, stands for. False where half of a surrogate
/// pair is missing; `out` is then as it was.
pub(super) fn unescape(raw: &[u8], out: &mut Vec<u8>) -> bool {
    let start = out.len();
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let (plain, escape) = rest.split_at(at);
        out.extend_from_slice(plain);
        let Some((character, behind)) = one(escape) else {
            out.truncate(start);
            return false;
        };
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        rest = behind;
    }
    out.extend_from_slice(rest);
    true
}

/// The character of the escape that the text begins with, and what follows.
fn one(text: &[u8]) -> Option<(char, &[u8])> {
    let (&kind, rest) = text.get(1..)?.split_first()?;
    let character = match kind {
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return hexadecimal(rest),
        other => char::from(other),
    };
    Some((character, rest))
}

fn hexadecimal(text: &[u8]) -> Option<(char, &[u8])> {
    let (first, rest) = unit(text)?;
    if let Some(character) = char::from_u32(first) {
        return Some((character, rest));
    }
    let (second, rest) = unit(rest.strip_prefix(b"\\u")?)?;
    if !(0xd800..0xdc00).contains(&first) || !(0xdc00..0xe000).contains(&second) {
        return None;
    }
    let character = char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00))?;
    Some((character, rest))
}

/// Four hexadecimal digits as a number.
fn unit(text: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, rest) = text.split_at_checked(4)?;
    let digit = |value: u32, byte: &u8| Some(value << 4 | char::from(*byte).to_digit(16)?);
    Some((digits.iter().try_fold(0, digit)?, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_what_another_parser_says(parts in prop::collection::vec("[a-zä\u{1f600}]{0,3}|\\\\u[0-9a-fA-F]{4}|\\\\ud83d\\\\ude00|\\\\[\"\\\\/bfnrt]", 0..8)) {
            let raw = parts.concat();
            let mut out = b"before".to_vec();
            let good = unescape(raw.as_bytes(), &mut out);
            match serde_json::from_str::<String>(&format!("\"{raw}\"")) {
                Ok(expected) => prop_assert_eq!(&out[6..], expected.as_bytes()),
                Err(_) => prop_assert!(!good),
            }
            prop_assert_eq!(&out[..6], b"before");
        }
    }
}
