//! Sizes with human units, in and out: `1GB` is 10^9 bytes, `1GiB` is 2^30, a plain number is bytes.
//!
//! Invariant: `parse(&format_exact(n)) == n` for every `n`.

use crate::error::{Code, Error, Result};

/// Unit names with what they multiply by, the greatest first.
const DECIMAL: [(&str, u64); 4] = [("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000), ("KB", 1_000)];
const BINARY: [(&str, u64); 4] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

/// Reads a size: `1GB`, `1.5 GiB`, `512m`, `4096`. A percentage is not a size here; see `parse_share`.
///
/// # Errors
/// `INVALID_SETTING` that says which forms are allowed.
///
/// ```
/// assert_eq!(floe::config::bytes::parse("512MiB").unwrap(), 512 << 20);
/// assert!(floe::config::bytes::parse("much").is_err());
/// ```
pub fn parse(text: &str) -> Result<u64> {
    let trimmed = text.trim();
    let digits = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_').unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(digits);
    let factor = factor_of(unit.trim()).ok_or_else(|| invalid(text))?;
    let number = number.replace('_', "");
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(factor).ok_or_else(|| invalid(text));
    }
    let fraction = number.parse::<f64>().map_err(|_| invalid(text))?;
    let bytes = (fraction * factor as f64).round();
    if !bytes.is_finite() || bytes < 0.0 || bytes >= u64::MAX as f64 {
        return Err(invalid(text));
    }
    Ok(bytes as u64)
}

/// The number before a `%` sign, `None` when there is no such sign.
///
/// # Errors
/// `INVALID_SETTING` when it is not a number above 0 and up to 100.
pub fn parse_percent(text: &str) -> Result<Option<f64>> {
    let Some(number) = text.trim().strip_suffix('%') else { return Ok(None) };
    match number.trim().parse::<f64>() {
        Ok(percent) if percent > 0.0 && percent <= 100.0 => Ok(Some(percent)),
        _ => Err(Error::new(Code::InvalidSetting, format!("'{text}' is not a percentage above 0% and up to 100%"))),
    }
}

/// A size for people to read: three digits that matter and a decimal unit.
///
/// ```
/// assert_eq!(floe::config::bytes::format(1_234_567_890), "1.23GB");
/// ```
pub fn format(bytes: u64) -> String {
    for (unit, factor) in DECIMAL {
        if bytes >= factor {
            let number = bytes as f64 / factor as f64;
            let digits = if number < 10.0 {
                2
            } else if number < 100.0 {
                1
            } else {
                0
            };
            let text = format!("{number:.digits$}");
            let text = if digits > 0 { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
            return format!("{text}{unit}");
        }
    }
    format!("{bytes} bytes")
}

/// A size that reads back as exactly the same number: the greatest unit that divides it, else plain bytes.
///
/// ```
/// assert_eq!(floe::config::bytes::format_exact(512 << 20), "512MiB");
/// ```
pub fn format_exact(bytes: u64) -> String {
    let units = DECIMAL.iter().chain(&BINARY);
    let exact = units.filter(|(_, factor)| bytes > 0 && bytes.is_multiple_of(*factor));
    match exact.max_by_key(|(_, factor)| *factor) {
        Some((unit, factor)) => format!("{}{unit}", bytes / factor),
        None => bytes.to_string(),
    }
}

fn factor_of(unit: &str) -> Option<u64> {
    if unit.is_empty() || unit.eq_ignore_ascii_case("b") || unit.eq_ignore_ascii_case("bytes") {
        return Some(1);
    }
    let is_named = |(name, _): &&(&str, u64)| {
        unit.eq_ignore_ascii_case(name) || name.strip_suffix('B').is_some_and(|short| unit.eq_ignore_ascii_case(short))
    };
    DECIMAL.iter().chain(&BINARY).find(is_named).map(|(_, factor)| *factor)
}

fn invalid(text: &str) -> Error {
    Error::new(Code::InvalidSetting, format!("'{text}' is not a size"))
        .hint("a size is a number with a unit: '512MB', '1.5GB', '2GiB', or plain bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_decimal_or_binary_in_any_case() {
        for (text, bytes) in [
            ("1GB", 1_000_000_000),
            ("1 gb", 1_000_000_000),
            ("2g", 2_000_000_000),
            ("1GiB", 1 << 30),
            ("512mib", 512 << 20),
            ("1.5KB", 1500),
            ("4096", 4096),
            ("4_096 bytes", 4096),
            ("0", 0),
        ] {
            assert_eq!(parse(text).unwrap(), bytes, "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "GB", "-1GB", "1XB", "ten", "1.2.3MB", "99999999999TB", "60%"] {
            assert_eq!(parse(text).unwrap_err().code(), Code::InvalidSetting, "{text}");
        }
    }

    #[test]
    fn a_percentage_is_above_0_and_up_to_100() {
        assert_eq!(parse_percent(" 60 %").unwrap(), Some(60.0));
        assert_eq!(parse_percent("1KB").unwrap(), None);
        assert!(parse_percent("0%").is_err());
        assert!(parse_percent("101%").is_err());
    }

    #[test]
    fn exact_text_reads_back() {
        for bytes in [0, 1, 999, 1000, 1024, 1500, 1 << 30, 1_000_000_000, 64 << 20, 123_456_789, u64::MAX] {
            assert_eq!(parse(&format_exact(bytes)).unwrap(), bytes);
        }
        assert_eq!(format_exact(1_000_000_000), "1GB");
        assert_eq!(format_exact(64 << 20), "64MiB");
    }

    #[test]
    fn human_text_keeps_three_digits() {
        assert_eq!(format(999), "999 bytes");
        assert_eq!(format(1000), "1KB");
        assert_eq!(format(64 << 20), "67.1MB");
        assert_eq!(format(300_000_000), "300MB");
    }
}
