//! Types of SQL that Arrow does not have. Each is carried by an Arrow type that says so itself, so that no operator, schema or
//! spill file can lose it: what it is never hangs on the metadata of a column alone.
//!
//! * UUID is sixteen bytes, the first digits first, so that bytes are in the order of the texts. BLOBs have a length of their own:
//!   sixteen bytes in files that are no UUID are read as BLOB.
//! * ENUM is the position of a label, in a struct whose field has the labels ([`enum_type`]).
//! * BIT is a text of zeros and ones, in the layout that no BLOB of floe's has ([`BIT`]).
//! * JSON is a text in the layout that no VARCHAR of floe's has, so that it is compared, grouped and ordered as the text that it
//!   is. Texts of that layout in files that are no JSON are read as VARCHAR.

mod bit;
mod enumeration;
mod json;

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeBinaryBuilder};
use arrow::datatypes::{DataType, Field};

use crate::error::Result;

pub use bit::{BIT, bit_array, bits_at, bits_of, number_of, parse_bits, write_bits};
pub use enumeration::{
    Labels, MOST_LABELS, code_type, enum_codes, enum_labels, enum_texts, enum_type, enum_values, in_files, is_enum,
    label_at,
};
pub use json::{write_compact, write_json_text};

/// The type UUID.
pub const UUID: DataType = DataType::FixedSizeBinary(16);

/// The type JSON.
pub const JSON: DataType = DataType::LargeUtf8;

/// What the metadata of a field say of Arrow's own kinds of UUID and JSON.
const EXTENSION: &str = "ARROW:extension:name";
const EXTENSIONS: [(DataType, &str); 2] = [(UUID, "arrow.uuid"), (JSON, "arrow.json")];

/// Whether it is a type that Arrow does not have.
pub fn is_logical(data_type: &DataType) -> bool {
    [UUID, JSON, BIT].contains(data_type) || is_enum(data_type)
}

/// Whether values of the type, which is no VARCHAR, are texts wherever texts are expected.
pub fn reads_as_text(data_type: &DataType) -> bool {
    *data_type == JSON || is_enum(data_type)
}

/// Whether it is the type BLOB.
pub fn is_blob(data_type: &DataType) -> bool {
    match data_type {
        DataType::Binary | DataType::BinaryView => true,
        DataType::FixedSizeBinary(_) => *data_type != UUID,
        _ => false,
    }
}

/// The type of a file's field that says to be one of Arrow's own kinds.
pub fn extension_type(field: &Field) -> Option<DataType> {
    let name = field.metadata().get(EXTENSION)?;
    let (data_type, _) = EXTENSIONS.into_iter().find(|(_, known)| name == known)?;
    let is_one = *field.data_type() == data_type || data_type == JSON && field.data_type().is_string();
    is_one.then_some(data_type)
}

/// The metadata of a file's field of that type.
pub fn extension_of(data_type: &DataType) -> HashMap<String, String> {
    let known = EXTENSIONS.into_iter().find(|(known, _)| known == data_type);
    known.into_iter().map(|(_, name)| (EXTENSION.to_string(), name.to_string())).collect()
}

/// Appends a UUID as it is written: `a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11`.
pub fn write_uuid(out: &mut String, bytes: &[u8]) {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            out.push('-');
        }
        for half in [byte >> 4, byte & 15] {
            out.extend(DIGITS.get(usize::from(half)));
        }
    }
}

/// The number that a UUID is: 32 digits in any case, with hyphens anywhere between them, perhaps in braces.
pub fn parse_uuid(text: &str) -> Option<u128> {
    let text = match text.strip_prefix('{') {
        Some(rest) => rest.strip_suffix('}')?,
        None => text,
    };
    let (mut number, mut digits) = (0_u128, 0);
    for character in text.chars().filter(|character| *character != '-') {
        number = number << 4 | u128::from(character.to_digit(16)?);
        digits += 1;
        if digits > 32 {
            return None;
        }
    }
    (digits == 32).then_some(number)
}

/// UUIDs as an array; `None` is NULL.
pub fn uuids(numbers: impl ExactSizeIterator<Item = Option<u128>>) -> Result<ArrayRef> {
    let mut uuids = FixedSizeBinaryBuilder::with_capacity(numbers.len(), 16);
    for number in numbers {
        match number {
            Some(number) => uuids.append_value(number.to_be_bytes())?,
            None => uuids.append_null(),
        }
    }
    Ok(Arc::new(uuids.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_are_read_in_many_ways_and_written_in_one() {
        let written = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
        for text in [
            written,
            "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}",
            "A0EEBC999C0B4EF8BB6D6BB9BD380A11",
            "a0e-ebc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11",
        ] {
            let mut out = String::new();
            write_uuid(&mut out, &parse_uuid(text).unwrap().to_be_bytes());
            assert_eq!(out, written, "{text}");
        }
        for text in
            ["", "{}", "a0eebc99", "{a0eebc999c0b4ef8bb6d6bb9bd380a11", "a0eebc999c0b4ef8bb6d6bb9bd380a111", "+"]
        {
            assert_eq!(parse_uuid(text), None, "{text}");
        }
    }
}
