//! BIT: texts of the signs 0 and 1, in the layout that no BLOB of floe's has, so that they are compared, grouped and ordered as such
//! texts are: sign by sign from the left, a beginning before what goes on from it.
//!
//! # Known limitation
//! A sign takes a byte.

use arrow::array::{Array, ArrayRef, AsArray, LargeBinaryArray, LargeBinaryBuilder};
use arrow::datatypes::DataType;
use std::sync::Arc;

use crate::error::{Code, Error, Result};

/// The type BIT.
pub const BIT: DataType = DataType::LargeBinary;

/// The signs of the value at `row`.
pub fn write_bits(out: &mut String, signs: &[u8]) {
    out.extend(signs.iter().map(|sign| char::from(*sign)));
}

/// The signs that a text has, no more than 0 and 1; the empty text is a single 0.
pub fn parse_bits(text: &str) -> Option<Vec<u8>> {
    if text.is_empty() {
        return Some(b"0".to_vec());
    }
    text.bytes().all(|sign| matches!(sign, b'0' | b'1')).then(|| text.as_bytes().to_vec())
}

/// The last `width` bits of a number, the first of them first.
pub fn bits_of(number: u128, width: usize) -> Vec<u8> {
    (0..width).rev().map(|place| if number >> place & 1 == 1 { b'1' } else { b'0' }).collect()
}

/// The number that signs are, at most `width` of them.
///
/// # Errors
/// `INVALID_CAST` for more.
pub fn number_of(signs: &[u8], width: usize) -> Result<u128> {
    if signs.len() > width {
        let message = format!("{} bits do not fit into {width}", signs.len());
        return Err(Error::new(Code::InvalidCast, message));
    }
    Ok(signs.iter().fold(0, |number, sign| number << 1 | u128::from(*sign == b'1')))
}

/// The values of a column of BITs.
pub fn bits_at(values: &dyn Array) -> Option<&LargeBinaryArray> {
    values.as_binary_opt::<i64>()
}

/// A column of BITs; `None` is NULL.
pub fn bit_array(values: impl Iterator<Item = Option<Vec<u8>>>) -> ArrayRef {
    let mut bits = LargeBinaryBuilder::new();
    values.for_each(|value| bits.append_option(value));
    Arc::new(bits.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_numbers_and_texts() {
        assert_eq!(bits_of(5, 8), b"00000101");
        assert_eq!(number_of(b"00000101", 8).ok(), Some(5));
        assert_eq!(number_of(&[b'1'; 128], 128).ok(), Some(u128::MAX));
        assert!(number_of(b"000000101", 8).is_err());
        assert_eq!(parse_bits("0110").as_deref(), Some(b"0110".as_slice()));
        assert_eq!(parse_bits(""), Some(b"0".to_vec()));
        assert_eq!(parse_bits("012"), None);
    }
}
