//! Short texts as one word: numbers of up to eight characters and dates without a loop over their characters.
//!
//! The first character is the lowest byte. (Lemire, "Number parsing at a gigabyte per second", 2021.)

/// Every byte the same.
const fn bytes(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// The characters of a text of one to eight, the last one highest, with zeros (the digit) before the first.
#[inline(always)]
fn right_aligned(text: &[u8]) -> Option<u64> {
    let length = text.len();
    let word = match length {
        // Two halves that may overlap.
        4..=8 => {
            let (first, last) = (text.first_chunk::<4>()?, text.last_chunk::<4>()?);
            let (first, last) = (u64::from(u32::from_le_bytes(*first)), u64::from(u32::from_le_bytes(*last)));
            first << (8 * (8 - length)) | last << 32
        }
        1..=3 => {
            let middle = length / 2;
            let (first, middle_byte, last) = (*text.first()?, *text.get(middle)?, *text.last()?);
            u64::from(first) << (8 * (8 - length))
                | u64::from(middle_byte) << (8 * (8 - length + middle))
                | u64::from(last) << 56
        }
        _ => return None,
    };
    let before = if length == 8 { 0 } else { bytes(b'0') >> (8 * length) };
    Some(word | before)
}

/// A text of one to eight characters that ends at `end` of `data`, as `right_aligned` would have it. What stands before
/// it in the data is read along and masked, so that texts of all lengths take the same way.
#[inline(always)]
pub fn ending_at(data: &[u8], end: usize, length: usize) -> Option<u64> {
    if !(1..=8).contains(&length) {
        return None;
    }
    let word = data.get(end.checked_sub(8)?..end)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))?;
    let shift = 8 * (8 - length);
    let before = bytes(b'0') & !(u64::MAX << shift);
    Some(word & u64::MAX << shift | before)
}

/// The first character of a text of `length` characters that is a word.
#[inline(always)]
pub fn first_of(word: u64, length: usize) -> u8 {
    (word >> (8 * 8usize.saturating_sub(length)).min(56)) as u8
}

/// The number that eight digits are.
#[inline(always)]
fn eight_digits(word: u64) -> Option<u32> {
    let high = bytes(0xf0);
    let is_digits = (word & high) | (word.wrapping_add(bytes(6)) & high) >> 4 == bytes(0x33);
    if !is_digits {
        return None;
    }
    let pairs = (word & bytes(0x0f)).wrapping_mul(10 << 8 | 1) >> 8;
    let pairs = pairs & 0x00ff_00ff_00ff_00ff;
    let fours = pairs.wrapping_mul(100 << 16 | 1) >> 16 & 0x0000_ffff_0000_ffff;
    let number = fours.wrapping_mul(10_000 << 32 | 1) >> 32;
    // Below a hundred million.
    Some(number as u32)
}

/// The number of one to eight digits.
#[inline(always)]
pub fn integer(digits: &[u8]) -> Option<u32> {
    eight_digits(right_aligned(digits)?)
}

/// The same of a text that is a word already.
#[inline(always)]
pub fn integer_of(word: u64) -> Option<u32> {
    eight_digits(word)
}

/// The digits of one to eight characters, with or without a point between two of them, and how many stand behind it.
#[inline(always)]
pub fn decimal(text: &[u8]) -> Option<(u32, usize)> {
    decimal_of(right_aligned(text)?, text.len())
}

/// The same of a text of `length` characters that is a word already.
#[inline(always)]
pub fn decimal_of(word: u64, length: usize) -> Option<(u32, usize)> {
    let differs = word ^ bytes(b'.');
    // The lowest zero byte; false ones can only stand above it.
    let points = differs.wrapping_sub(bytes(1)) & !differs & bytes(0x80);
    if points == 0 {
        return Some((eight_digits(word)?, 0));
    }
    let behind = points.leading_zeros() as usize / 8;
    let point = points.trailing_zeros() as usize / 8;
    // Only one, and a digit on either side of it.
    if point + behind != 7 || behind == 0 || behind + 1 >= length {
        return None;
    }
    let upper = if point == 7 { 0 } else { word & u64::MAX << (8 * (point + 1)) };
    let lower = word & !(u64::MAX << (8 * point));
    let word = upper | lower << 8 | u64::from(b'0');
    Some((eight_digits(word)?, behind))
}

/// Year, month and day of `YYYY-MM-DD`; none of them is checked but for being digits.
#[inline(always)]
pub fn date(text: &[u8; 10]) -> Option<(u32, u32, u32)> {
    const SHAPE: u64 = u64::from_le_bytes(*b"0000-00-");
    // What makes the highest bit of a byte set: digits above nine, and anything where the hyphens are.
    const ABOVE: u64 = u64::from_le_bytes([0x76, 0x76, 0x76, 0x76, 0x7f, 0x76, 0x76, 0x7f]);
    let (first, day) = (text.first_chunk::<8>()?, text.last_chunk::<2>()?);
    let digits = u64::from_le_bytes(*first) ^ SHAPE;
    let [tens, ones] = day.map(|byte| byte ^ b'0');
    let flaws = (digits | (digits & bytes(0x7f)).wrapping_add(ABOVE)) & bytes(0x80);
    if flaws != 0 || tens > 9 || ones > 9 {
        return None;
    }
    let digit = |place: u32| (digits >> (8 * place) & 0xff) as u32;
    let year = digit(0) * 1000 + digit(1) * 100 + digit(2) * 10 + digit(3);
    Some((year, digit(5) * 10 + digit(6), u32::from(tens) * 10 + u32::from(ones)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_short_integer_is_told() {
        for number in (0..20_000).chain((0..100_000_000).step_by(9_973)) {
            assert_eq!(integer(number.to_string().as_bytes()), Some(number), "{number}");
        }
        assert_eq!(integer(b"00012"), Some(12));
        assert_eq!(decimal(b"1.5"), Some((15, 1)));
        assert_eq!(decimal(b"104949.5"), Some((1_049_495, 1)));
        assert_eq!(decimal(b"0.000001"), Some((1, 6)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn short_texts_are_read_as_characters_would_be(text in "([0-9.]{0,9}|[ -:]{0,9}|\\PC{0,4})") {
            let bytes = text.as_bytes();
            let is_short = !bytes.is_empty() && bytes.len() <= 8;
            let is_digits = bytes.iter().all(u8::is_ascii_digit);
            let expected = if is_short && is_digits { text.parse().ok() } else { None };
            prop_assert_eq!(integer(bytes), expected);
            let parts: Vec<&str> = text.split('.').collect();
            let all_digits = parts.iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
            let expected = match parts[..] {
                [whole] if is_short && all_digits => Some((whole.parse().unwrap(), 0)),
                [whole, part] if is_short && all_digits => Some((format!("{whole}{part}").parse().unwrap(), part.len())),
                _ => None,
            };
            prop_assert_eq!(decimal(bytes), expected, "{}", text);
        }

        #[test]
        fn a_word_is_the_same_wherever_its_text_stands(before in "[ -~]{0,12}", text in "[ -~]{0,9}", after in "[ -~]{0,3}") {
            let data = format!("{before}{text}{after}");
            let end = before.len() + text.len();
            if let Some(word) = ending_at(data.as_bytes(), end, text.len()) {
                prop_assert_eq!(Some(word), right_aligned(text.as_bytes()));
            }
        }

        #[test]
        fn dates_are_digits_between_hyphens(text in "([0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{4}[ -:][0-9]{2}[ -:][0-9 -:]{2}|[ -~]{10})") {
            let bytes: &[u8; 10] = text.as_bytes().try_into().unwrap();
            let is_digit = |at: &usize| bytes[*at].is_ascii_digit();
            let has_shape = bytes[4] == b'-' && bytes[7] == b'-' && [0, 1, 2, 3, 5, 6, 8, 9].iter().all(is_digit);
            let part = |from: usize, to: usize| text[from..to].parse().unwrap();
            prop_assert_eq!(date(bytes), has_shape.then(|| (part(0, 4), part(5, 7), part(8, 10))));
        }
    }
}
