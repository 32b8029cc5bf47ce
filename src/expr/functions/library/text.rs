//! Texts: parts of them, splitting, bytes and characters, escapes.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringViewBuilder};
use arrow::datatypes::{DataType, Int64Type};
use datafusion_common::{Result as DataFusionResult, internal_err};
use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};
use unicode_segmentation::UnicodeSegmentation;

use super::function::{Arguments, Function, Overload, function};
use super::typed::{Bool, Double, Int, Maybe, Text, row1, row2, row3, row4};
use crate::error::{Code, Error, Result};

/// The functions of this family.
pub(super) fn functions() -> Vec<Function> {
    let mut functions = parts();
    functions.extend(whole());
    functions.extend(sizes());
    functions
}

fn parts() -> Vec<Function> {
    vec![
        function(
            "substr substring",
            "text, start[, length]",
            "The characters from start, which counts from 1, or from the end where it is negative",
            [
                Overload::exact(vec![DataType::Utf8View, DataType::Int64], DataType::Utf8View, substrings),
                Overload::exact(
                    vec![DataType::Utf8View, DataType::Int64, DataType::Int64],
                    DataType::Utf8View,
                    substrings,
                ),
            ],
        ),
        function(
            "substring_grapheme",
            "text, start[, length]",
            "As substring, counting what a reader takes for one character",
            [
                row2::<Text, Int, _>(|text, start| part(text.graphemes(true), start, i64::MAX)),
                row3::<Text, Int, Int, _>(|text, start, length| part(text.graphemes(true), start, length)),
            ],
        ),
        function(
            "left_grapheme",
            "text, count",
            "The first characters as a reader counts them; all but the last where count is negative",
            [row2::<Text, Int, _>(|text, count| ends(text.graphemes(true), count, true))],
        ),
        function(
            "right_grapheme",
            "text, count",
            "The last characters as a reader counts them; all but the first where count is negative",
            [row2::<Text, Int, _>(|text, count| ends(text.graphemes(true), count, false))],
        ),
        function(
            "length_grapheme",
            "text",
            "The number of characters as a reader counts them",
            [row1::<Text, _>(|text| text.graphemes(true).count() as u64 as i64)],
        ),
        function(
            "split_part",
            "text, separator, index",
            "The part of that number between separators, from the end where it is negative; empty where there is none",
            [row3::<Text, Text, Int, _>(split_part)],
        ),
        function(
            "string_split str_split split string_to_array",
            "text, separator",
            "The parts between separators",
            [row2::<Text, Text, _>(split)],
        ),
        function("strlen", "text", "The number of bytes", [row1::<Text, _>(|text| text.len() as i64)]),
        function(
            "unicode ord",
            "text",
            "The code of the first character, -1 of an empty text",
            [row1::<Text, _>(|text| {
                text.chars().next().map_or(-1, |first| i32::try_from(u32::from(first)).unwrap_or(-1))
            })],
        ),
        function(
            "ascii",
            "text",
            "The code of the first character, 0 of an empty text",
            [row1::<Text, _>(|text| {
                text.chars().next().map_or(0, |first| i32::try_from(u32::from(first)).unwrap_or(0))
            })],
        ),
    ]
}

fn whole() -> Vec<Function> {
    vec![
        function("upper", "text", "The text in upper case, letter by letter", [row1::<Text, _>(upper)]),
        function("lower", "text", "The text in lower case, letter by letter", [row1::<Text, _>(lower)]),
        function("strip_accents", "text", "The text without accents", [row1::<Text, _>(strip_accents)]),
        function(
            "nfc_normalize",
            "text",
            "The text in normalisation form C of Unicode",
            [row1::<Text, _>(|text| ComposingNormalizerBorrowed::new_nfc().normalize(text).into_owned())],
        ),
        function(
            "url_encode",
            "text",
            "The text with everything but letters, digits and -._~ as %XX",
            [row1::<Text, _>(url_encode)],
        ),
        function(
            "url_decode",
            "text",
            "The text with every %XX as the byte that it stands for",
            [row1::<Text, _>(url_decode)],
        ),
        function(
            "regexp_escape",
            "text",
            "The text with what is special in regular expressions escaped",
            [row1::<Text, _>(regexp_escape)],
        ),
        function(
            "like_escape",
            "text, pattern, escape",
            "Whether the text is LIKE the pattern, in which escape takes the meaning of % and _ away",
            [row3::<Text, Text, Text, _>(like)],
        ),
        function(
            "not_like_escape",
            "text, pattern, escape",
            "Whether the text is not LIKE the pattern",
            [row3::<Text, Text, Text, _>(|text, pattern, escape| like(text, pattern, escape).map(|found| !found))],
        ),
        function(
            "ilike_escape",
            "text, pattern, escape",
            "As like_escape, without regard to case",
            [row3::<Text, Text, Text, _>(|text, pattern, escape| {
                like(&text.to_lowercase(), &pattern.to_lowercase(), escape)
            })],
        ),
        function(
            "not_ilike_escape",
            "text, pattern, escape",
            "As not_like_escape, without regard to case",
            [row3::<Text, Text, Text, _>(|text, pattern, escape| {
                like(&text.to_lowercase(), &pattern.to_lowercase(), escape).map(|found| !found)
            })],
        ),
        function(
            "bar",
            "value, least, greatest[, width]",
            "A bar of width (80) characters at greatest",
            [
                row3::<Double, Double, Double, _>(|value, least, greatest| bar(value, least, greatest, 80.0)),
                row4::<Double, Double, Double, Double, _>(bar),
            ],
        ),
        function(
            "constant_or_null",
            "value, other",
            "The value, or NULL where other is NULL",
            [
                row2::<Text, Maybe<Text>, _>(|value, other| other.map(|_| value.to_string())),
                row2::<Int, Maybe<Text>, _>(|value, other| other.map(|_| value)),
                row2::<Int, Maybe<Int>, _>(|value, other| other.map(|_| value)),
                row2::<Bool, Maybe<Int>, _>(|value, other| other.map(|_| value)),
            ],
        ),
    ]
}

fn sizes() -> Vec<Function> {
    const BINARY: [&str; 7] = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    const DECIMAL: [&str; 7] = ["bytes", "kB", "MB", "GB", "TB", "PB", "EB"];
    vec![
        function(
            "format_bytes formatReadableSize pg_size_pretty",
            "bytes",
            "A number of bytes as people read it, in steps of 1024",
            [row1::<Int, _>(|bytes| readable(bytes, 1024, &BINARY))],
        ),
        function(
            "formatReadableDecimalSize",
            "bytes",
            "A number of bytes as people read it, in steps of 1000",
            [row1::<Int, _>(|bytes| readable(bytes, 1000, &DECIMAL))],
        ),
        function(
            "parse_formatted_bytes",
            "text",
            "The number of bytes that a text such as 16 KiB says",
            [row1::<Text, _>(parse_bytes)],
        ),
    ]
}

/// `substr`, which many queries call: without a text of its own for every row.
fn substrings(arguments: &Arguments) -> DataFusionResult<ArrayRef> {
    let columns = arguments.arrays()?;
    let [texts, numbers @ ..] = columns.as_slice() else { return internal_err!("substr without arguments") };
    let texts = texts.as_string_view();
    let number = |index: usize, row: usize| match numbers.get(index).map(|column| column.as_primitive::<Int64Type>()) {
        Some(column) => column.is_valid(row).then(|| column.value(row)),
        None => Some(i64::MAX),
    };
    let mut parts = StringViewBuilder::with_capacity(texts.len());
    for row in 0..texts.len() {
        let (Some(start), Some(length), true) = (number(0, row), number(1, row), texts.is_valid(row)) else {
            parts.append_null();
            continue;
        };
        let text = texts.value(row);
        let (from, to) = bounds(start, length, || text.chars().count());
        let place = |index: usize| match text.is_ascii() {
            true => index.min(text.len()),
            false => text.char_indices().nth(index).map_or(text.len(), |(place, _)| place),
        };
        let (from, to) = (place(from), place(to));
        parts.append_value(text.get(from..to.max(from)).unwrap_or_default());
    }
    Ok(Arc::new(parts.finish()))
}

/// The pieces from `start`, as SQL counts.
fn part<'a, T>(pieces: impl Iterator<Item = T> + Clone + 'a, start: i64, length: i64) -> String
where
    String: FromIterator<T>,
{
    let (from, to) = bounds(start, length, || pieces.clone().count());
    pieces.skip(from).take(to.saturating_sub(from)).collect()
}

/// Where a part begins and ends, as indexes; `count` is asked only where it counts from the end.
fn bounds(start: i64, length: i64, count: impl Fn() -> usize) -> (usize, usize) {
    let (mut from, mut length) = (i128::from(start) - 1, i128::from(length));
    if start < 0 {
        from = count() as i128 + i128::from(start);
    } else if start == 0 {
        // Position 0 is before the first character.
        (from, length) = (0, (length - 1).max(0));
    }
    // A negative length goes to the left.
    let (from, to) = if length < 0 { (from + length, from) } else { (from, from + length) };
    let index = |number: i128| usize::try_from(number.max(0)).unwrap_or(usize::MAX);
    (index(from), index(to))
}

/// The first or last `count` pieces; all but as many of the other end where it is negative.
fn ends<'a>(pieces: impl Iterator<Item = &'a str> + Clone, count: i64, first: bool) -> String {
    let total = pieces.clone().count();
    let size = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    let kept = if count < 0 { total.saturating_sub(size) } else { total.min(size) };
    if first { pieces.take(kept).collect() } else { pieces.skip(total - kept).collect() }
}

fn split(text: &str, separator: &str) -> Vec<String> {
    if separator.is_empty() {
        return text.chars().map(String::from).collect();
    }
    text.split(separator).map(str::to_string).collect()
}

fn split_part(text: &str, separator: &str, index: i64) -> String {
    let number = usize::try_from(index.unsigned_abs()).unwrap_or(usize::MAX);
    let Some(before) = number.checked_sub(1) else { return String::new() };
    if separator.is_empty() {
        let character = if index < 0 { text.chars().rev().nth(before) } else { text.chars().nth(before) };
        return character.map(String::from).unwrap_or_default();
    }
    let found = if index < 0 { text.rsplit(separator).nth(before) } else { text.split(separator).nth(before) };
    found.unwrap_or_default().to_string()
}

fn strip_accents(text: &str) -> String {
    if text.is_ascii() {
        return text.to_string();
    }
    let decomposed = DecomposingNormalizerBorrowed::new_nfd().normalize(text);
    let kept: String = decomposed.chars().filter(|character| !is_combining(*character)).collect();
    ComposingNormalizerBorrowed::new_nfc().normalize(&kept).into_owned()
}

/// The blocks of combining marks.
fn is_combining(character: char) -> bool {
    matches!(u32::from(character), 0x0300..=0x036F | 0x1AB0..=0x1AFF | 0x1DC0..=0x1DFF | 0x20D0..=0x20FF | 0xFE20..=0xFE2F)
}

fn url_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

fn url_decode(text: &str) -> Result<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let mut digits = bytes.clone();
        let digit = |next: Option<u8>| next.and_then(|digit| char::from(digit).to_digit(16));
        match (byte, digit(digits.next()), digit(digits.next())) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high * 16 + low) as u8);
                bytes = digits;
            }
            _ => decoded.push(byte),
        }
    }
    String::from_utf8(decoded).map_err(|_| Error::new(Code::InvalidData, format!("'{text}' stands for no UTF-8 text")))
}

fn regexp_escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_ascii() && !character.is_ascii_alphanumeric() && character != '_' {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// Letters whose upper case is several letters stay as they are, but for ß.
fn upper(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_uppercase();
    }
    let letter = |letter: char| match letter {
        'ß' => 'ẞ',
        letter => only(letter.to_uppercase()).unwrap_or(letter),
    };
    text.chars().map(letter).collect()
}

fn lower(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    // The only letter with two in lower case is an i with a dot that it has anyway.
    text.chars().map(|letter| letter.to_lowercase().next().unwrap_or(letter)).collect()
}

fn only(mut letters: impl Iterator<Item = char>) -> Option<char> {
    letters.next().filter(|_| letters.next().is_none())
}

/// One piece of a LIKE pattern.
#[derive(Clone, Copy, PartialEq)]
enum Piece {
    Any,
    One,
    Exactly(char),
}

fn like(text: &str, pattern: &str, escape: &str) -> Result<bool> {
    let mut escapes = escape.chars();
    let escape = escapes.next();
    if escapes.next().is_some() {
        return Err(Error::new(Code::InvalidQuery, "an escape is one character, or none"));
    }
    let mut pieces = Vec::new();
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        pieces.push(match character {
            _ if Some(character) == escape => match characters.next() {
                Some(next) => Piece::Exactly(next),
                None => return Err(Error::new(Code::InvalidQuery, "a LIKE pattern ends in its escape")),
            },
            '%' => Piece::Any,
            '_' => Piece::One,
            other => Piece::Exactly(other),
        });
    }
    let text: Vec<char> = text.chars().collect();
    Ok(matches(&text, &pieces))
}

/// Greedy matching that goes back to the last `%` only, which is enough.
fn matches(text: &[char], pieces: &[Piece]) -> bool {
    let (mut at, mut piece) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while let Some(character) = text.get(at) {
        match pieces.get(piece) {
            Some(Piece::Any) => {
                back = Some((at, piece));
                piece += 1;
                continue;
            }
            Some(Piece::One) => {}
            Some(Piece::Exactly(wanted)) if wanted == character => {}
            _ => match back {
                Some((start, any)) => {
                    back = Some((start + 1, any));
                    (at, piece) = (start + 1, any + 1);
                    continue;
                }
                None => return false,
            },
        }
        (at, piece) = (at + 1, piece + 1);
    }
    pieces.iter().skip(piece).all(|piece| *piece == Piece::Any)
}

fn bar(value: f64, least: f64, greatest: f64, width: f64) -> Result<String> {
    if !(1.0..=1000.0).contains(&width) {
        return Err(Error::new(Code::InvalidQuery, "the width of a bar is between 1 and 1000"));
    }
    let share = if value.is_nan() || value <= least {
        0.0
    } else if value >= greatest {
        1.0
    } else {
        (value - least) / (greatest - least)
    };
    // Between 0 and 8000.
    let eighths = (share * width * 8.0) as usize;
    let mut drawn = "█".repeat(eighths / 8);
    let parts = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    drawn.push_str(parts.get(eighths % 8).copied().unwrap_or_default());
    let missing = (width as usize).saturating_sub(eighths.div_ceil(8));
    drawn.push_str(&" ".repeat(missing));
    Ok(drawn)
}

fn readable(bytes: i64, step: u64, units: &[&str]) -> String {
    let sign = if bytes < 0 { "-" } else { "" };
    let (mut whole, mut rest, mut unit) = (bytes.unsigned_abs(), 0, 0);
    while whole >= step && unit + 1 < units.len() {
        (whole, rest) = (whole / step, whole % step);
        unit += 1;
    }
    let name = units.get(unit).copied().unwrap_or_default();
    match unit {
        0 if whole == 1 => format!("{sign}1 byte"),
        0 => format!("{sign}{whole} {name}"),
        _ => format!("{sign}{whole}.{} {name}", rest * 10 / step),
    }
}

fn parse_bytes(text: &str) -> Result<u64> {
    let wrong = || {
        Error::new(Code::InvalidCast, format!("'{text}' is no number of bytes")).hint("write it as 16 KiB or 2.5 GB")
    };
    let trimmed = text.trim();
    let end = trimmed.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(end);
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let factor: f64 = match unit.trim().to_lowercase().as_str() {
        "b" | "byte" | "bytes" => 1.0,
        "k" | "kb" | "kilobyte" | "kilobytes" => 1e3,
        "m" | "mb" | "megabyte" | "megabytes" => 1e6,
        "g" | "gb" | "gigabyte" | "gigabytes" => 1e9,
        "t" | "tb" | "terabyte" | "terabytes" => 1e12,
        "kib" => 1024.0,
        "mib" => 1024.0 * 1024.0,
        "gib" => 1024.0 * 1024.0 * 1024.0,
        "tib" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return Err(wrong()),
    };
    let bytes = number * factor;
    if bytes < 18_446_744_073_709_551_615.0 { Ok(bytes as u64) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_count_as_sql_does() {
        let of = |start, length| part("glacier".chars(), start, length);
        assert_eq!(of(2, 3), "lac");
        assert_eq!(of(-3, 2), "ie");
        assert_eq!(of(0, 2), "g");
        assert_eq!(of(5, -3), "lac");
        assert_eq!(of(-100, 2), "");
        assert_eq!(of(-8, 2), "g");
        assert_eq!(of(i64::MIN, i64::MAX), "glacie");
        assert_eq!(of(3, i64::MIN), "gl");
    }

    #[test]
    fn like_goes_back_to_the_last_percent() {
        let like = |text, pattern| like(text, pattern, "\\").unwrap();
        assert!(like("abcabd", "%ab_"));
        assert!(like("aaaa", "a%a"));
        assert!(!like("abc", "a%d"));
        assert!(like("", "%"));
        assert!(like("a%", "a\\%") && !like("ab", "a\\%"));
    }
}
