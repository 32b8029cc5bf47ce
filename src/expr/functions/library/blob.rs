//! Bytes: encodings and hashes.

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::function::{Arguments, Bound, Function, Overload, function};
use super::typed::{Bits, Blob, Text, Unsigned, row1};
use crate::batch::hash::hash_rows;
use crate::error::{Code, Error, Result};
use arrow::array::{ArrayRef, UInt64Array};
use arrow::datatypes::DataType;
use datafusion_common::Result as DataFusionResult;
use std::sync::Arc;

/// The functions of this family.
pub(super) fn functions() -> Vec<Function> {
    let mut functions = encodings();
    functions.extend(hashes());
    functions
}

fn encodings() -> Vec<Function> {
    vec![
        function("encode", "text", "The bytes of a text", [row1::<Text, _>(|text| text.as_bytes().to_vec())]),
        function(
            "decode",
            "blob",
            "The text that the bytes are",
            [row1::<Blob, _>(|bytes| {
                let wrong = |_| {
                    Error::new(Code::InvalidCast, "the bytes are no UTF-8 text").hint("encode(text) gives such bytes")
                };
                String::from_utf8(bytes.to_vec()).map_err(wrong)
            })],
        ),
        function(
            "to_base64 base64",
            "blob",
            "The bytes in base64",
            [row1::<Blob, _>(to_base64), row1::<Text, _>(|text| to_base64(text.as_bytes()))],
        ),
        function("from_base64", "text", "The bytes that a text in base64 stands for", [row1::<Text, _>(from_base64)]),
        function("unhex from_hex", "text", "The bytes that hexadecimal digits stand for", [row1::<Text, _>(unhex)]),
        function("unbin from_binary", "text", "The bytes that bits stand for", [row1::<Text, _>(unbin)]),
        function(
            "octet_length",
            "value",
            "The number of bytes",
            [
                row1::<Bits, _>(|bits| bits.len().div_ceil(8) as i64),
                row1::<Blob, _>(|bytes| bytes.len() as i64),
                row1::<Text, _>(|text| text.len() as i64),
            ],
        ),
    ]
}

fn hashes() -> Vec<Function> {
    let half = |bytes: &[u8]| bytes.iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let halves = move |bytes: &[u8]| {
        let digest = Md5::digest(bytes);
        let (first, second) = digest.split_at(8);
        (half(first), half(second))
    };
    let whole = move |bytes: &[u8]| {
        let (first, second) = halves(bytes);
        Unsigned(u128::from(second) << 64 | u128::from(first))
    };
    vec![
        function(
            "md5",
            "value",
            "The MD5 hash in hexadecimal digits",
            [
                row1::<Text, _>(|text| hex(&Md5::digest(text.as_bytes()), false)),
                row1::<Blob, _>(|bytes| hex(&Md5::digest(bytes), false)),
            ],
        ),
        function(
            "md5_number",
            "value",
            "The MD5 hash as a number",
            [row1::<Text, _>(move |text| whole(text.as_bytes())), row1::<Blob, _>(whole)],
        ),
        function(
            "md5_number_upper",
            "value",
            "The first half of the MD5 hash as a number",
            [row1::<Text, _>(move |text| halves(text.as_bytes()).0), row1::<Blob, _>(move |bytes| halves(bytes).0)],
        ),
        function(
            "md5_number_lower",
            "value",
            "The second half of the MD5 hash as a number",
            [row1::<Text, _>(move |text| halves(text.as_bytes()).1), row1::<Blob, _>(move |bytes| halves(bytes).1)],
        ),
        function(
            "sha1",
            "value",
            "The SHA-1 hash in hexadecimal digits",
            [
                row1::<Text, _>(|text| hex(&Sha1::digest(text.as_bytes()), false)),
                row1::<Blob, _>(|bytes| hex(&Sha1::digest(bytes), false)),
            ],
        ),
        function(
            "sha256",
            "value",
            "The SHA-256 hash in hexadecimal digits",
            [
                row1::<Text, _>(|text| hex(&Sha256::digest(text.as_bytes()), false)),
                row1::<Blob, _>(|bytes| hex(&Sha256::digest(bytes), false)),
            ],
        ),
        function(
            "hash",
            "values...",
            "A hash of the values, the same for equal values of a type within one version",
            [Overload::generic(
                |types| (!types.is_empty()).then(|| Bound { arguments: types.to_vec(), result: DataType::UInt64 }),
                hash,
            )],
        ),
    ]
}

fn hash(arguments: &Arguments) -> DataFusionResult<ArrayRef> {
    let mut hashes = Vec::new();
    hash_rows(&arguments.arrays()?, arguments.rows, &mut hashes)?;
    Ok(Arc::new(UInt64Array::from(hashes)))
}

/// Two digits for every byte.
pub(super) fn hex(bytes: &[u8], capitals: bool) -> String {
    let digits: &[u8; 16] = if capitals { b"0123456789ABCDEF" } else { b"0123456789abcdef" };
    let digit = |number: u8| digits.get(usize::from(number & 15)).copied().map_or('0', char::from);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

fn digits(text: &str, base: u32) -> Result<Vec<u8>> {
    let per_byte = if base == 16 { 2 } else { 8 };
    let missing = (per_byte - text.len() % per_byte) % per_byte;
    let mut bytes = Vec::with_capacity(text.len() / per_byte + 1);
    let mut byte = 0;
    for (index, character) in text.chars().enumerate() {
        let digit = character
            .to_digit(base)
            .ok_or_else(|| Error::new(Code::InvalidCast, format!("'{character}' is no digit of base {base}")))?;
        byte = byte * base + digit;
        if (index + missing + 1).is_multiple_of(per_byte) {
            // Two digits of 16, or eight of 2, are below 256.
            bytes.push(byte as u8);
            byte = 0;
        }
    }
    Ok(bytes)
}

fn unhex(text: &str) -> Result<Vec<u8>> {
    digits(text, 16)
}

fn unbin(text: &str) -> Result<Vec<u8>> {
    digits(text, 2)
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn to_base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let digit = BASE64.get((bits >> (18 - 6 * place) & 63) as usize).copied().unwrap_or(b'=');
            text.push(if place > chunk.len() { '=' } else { char::from(digit) });
        }
    }
    text
}

/// The bytes that a text in base64 stands for.
///
/// # Errors
/// `INVALID_CAST` for other texts.
pub(crate) fn from_base64(text: &str) -> Result<Vec<u8>> {
    let wrong = || Error::new(Code::InvalidCast, format!("'{text}' is not base64"));
    if !text.len().is_multiple_of(4) {
        return Err(wrong());
    }
    let bare = text.strip_suffix("==").or_else(|| text.strip_suffix('=')).unwrap_or(text);
    let mut bytes = Vec::with_capacity(bare.len() * 3 / 4);
    for chunk in bare.as_bytes().chunks(4) {
        let mut bits = 0_u32;
        for character in chunk {
            let digit = BASE64.iter().position(|digit| digit == character).ok_or_else(wrong)?;
            bits = bits << 6 | digit as u32;
        }
        let missing = 4 - chunk.len();
        bits <<= 6 * missing;
        bytes.extend(bits.to_be_bytes().iter().skip(1).take(3 - missing.min(3)));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn encodings_come_back(bytes: Vec<u8>) {
            prop_assert_eq!(&from_base64(&to_base64(&bytes)).unwrap(), &bytes);
            prop_assert_eq!(&unhex(&hex(&bytes, true)).unwrap(), &bytes);
        }

        #[test]
        fn no_text_makes_them_panic(text: String) {
            let _ = (from_base64(&text), unhex(&text), unbin(&text));
        }
    }
}
