//! Numbers as text: what is one, and its exact value.
//!
//! Two rules of reading: *strict* (a type was inferred: leading zeros, plus signs and values out of range do not fit)
//! and *lenient* (the user declared the type: `007` is 7).

use crate::scan::infer::{Kind, word};

/// `true`/`false` in any case.
pub fn parse_bool(text: &[u8]) -> Option<bool> {
    if text.eq_ignore_ascii_case(b"true") {
        Some(true)
    } else if text.eq_ignore_ascii_case(b"false") {
        Some(false)
    } else {
        None
    }
}

/// One of the words for a double that is no number or infinite.
pub fn is_special(text: &[u8]) -> bool {
    let text = text.strip_prefix(b"-").unwrap_or(text);
    [&b"nan"[..], b"inf", b"infinity"].iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// An integer of at most 18 digits without leading zero: certainly a BIGINT.
pub fn is_short_integer(text: &[u8]) -> bool {
    let digits = match text {
        [b'-', rest @ ..] => rest,
        _ => text,
    };
    match digits {
        [b'0'] => digits.len() == text.len(),
        [b'1'..=b'9', rest @ ..] if rest.len() < 18 => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

/// What a text that starts like a number is; `Kind::Text` if it is none.
pub fn classify(text: &[u8]) -> Kind {
    if is_short_integer(text) {
        return Kind::BigInt;
    }
    let (negative, digits) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) {
        return match digits {
            // Minus zero is a double, or its sign would be lost.
            [b'0'] if negative => Kind::Double,
            [b'0', ..] => Kind::Text,
            _ if lexical_core::parse::<i64>(text).is_ok() => Kind::BigInt,
            _ if digits.len() <= 38 => Kind::Huge,
            _ => Kind::Text,
        };
    }
    if parse_double_strict(text).is_some() { Kind::Double } else { Kind::Text }
}

/// Powers of ten that a double holds exactly, as far as they are needed.
const POWERS: [f64; 16] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// Whether the text begins with a zero that a number would lose, or with a plus sign.
#[inline(always)]
fn loses_characters(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    matches!(digits, [b'0', b'0'..=b'9', ..] | [b'+', ..])
}

/// A double of an inferred column: nothing of the text's meaning is lost.
pub fn parse_double_strict(text: &[u8]) -> Option<f64> {
    if loses_characters(text) { None } else { parse_double(text) }
}

/// A double of a declared column.
pub fn parse_double(text: &[u8]) -> Option<f64> {
    if let Some(value) = parse_short_double(text) {
        return Some(value);
    }
    match lexical_core::parse::<f64>(text) {
        Ok(value) if value.is_finite() || is_special(text.strip_prefix(b"+").unwrap_or(text)) => Some(value),
        _ => None,
    }
}

/// A double of at most fifteen digits without exponent: such a number and the power of ten to divide it by are both
/// exact, hence their quotient is rounded once. (Clinger, "How to read floating point numbers accurately", 1990.)
fn parse_short_double(text: &[u8]) -> Option<f64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    if let Some((number, behind_point)) = word::decimal(digits) {
        let value = f64::from(number) / POWERS.get(behind_point)?;
        return Some(if negative { -value } else { value });
    }
    if digits.len() > 16 || !digits.last()?.is_ascii_digit() || !digits[0].is_ascii_digit() {
        return None;
    }
    let (mut number, mut behind_point, mut point) = (0u64, 0, 0);
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit < 10 {
            number = number * 10 + u64::from(digit);
            behind_point += point;
        } else if byte == b'.' && point == 0 {
            point = 1;
        } else {
            return None;
        }
    }
    if number > 1 << 53 {
        return None;
    }
    let value = number as f64 / POWERS.get(behind_point)?;
    Some(if negative { -value } else { value })
}

/// A text of `length` characters that is a word already (see [`word::ending_at`]), where it is a plain number of an
/// inferred column; others are for `parse_double_strict` to judge.
#[inline(always)]
pub fn parse_double_word(word: u64, length: usize) -> Option<f64> {
    let (number, behind_point) = word::decimal_of(word, length)?;
    // A zero that a digit follows is one too many.
    let is_plain = word::first_of(word, length) != b'0' || length == 1 || behind_point + 2 == length;
    if is_plain { Some(f64::from(number) / POWERS.get(behind_point)?) } else { None }
}

/// As `parse_double_word`, for `parse_integer_strict`.
#[inline(always)]
pub fn parse_integer_word(word: u64, length: usize) -> Option<i64> {
    let number = word::integer_of(word)?;
    if word::first_of(word, length) != b'0' || length == 1 { Some(i64::from(number)) } else { None }
}

/// An integer of an inferred column.
pub fn parse_integer_strict(text: &[u8]) -> Option<i64> {
    if loses_characters(text) || text == b"-0" { None } else { parse_integer(text) }
}

/// An integer of a declared column.
pub fn parse_integer(text: &[u8]) -> Option<i64> {
    if let Some(number) = word::integer(text) {
        return Some(i64::from(number));
    }
    lexical_core::parse(text).ok()
}

/// A decimal with at most `scale` digits after the point and `precision` in all, scaled to an integer. More digits
/// after the point fit only if they are zeros.
pub fn parse_decimal(text: &[u8], precision: u8, scale: u8) -> Option<i128> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let point = memchr::memchr(b'.', digits).unwrap_or(digits.len());
    let (whole, fraction) = (&digits[..point], digits.get(point + 1..).unwrap_or_default());
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let (kept, dropped) = fraction.split_at(fraction.len().min(usize::from(scale)));
    if dropped.iter().any(|&byte| byte != b'0') {
        return None;
    }
    let mut value: i128 = 0;
    let padding = usize::from(scale) - kept.len();
    for byte in whole.iter().chain(kept).copied().chain(std::iter::repeat_n(b'0', padding)) {
        if !byte.is_ascii_digit() {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(i128::from(byte - b'0'))?;
    }
    if value >= 10i128.checked_pow(u32::from(precision))? {
        return None;
    }
    Some(if negative { -value } else { value })
}
