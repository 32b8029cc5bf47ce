//! Casts from and to the types that Arrow does not have; those of texts are with all others of texts.

use std::collections::HashMap;

use arrow::array::{ArrayRef, AsArray, StringViewArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal256Type, i256};

use super::kernels::{How, no_value};
use crate::batch::logical::{UUID, enum_labels, enum_values, is_blob, uuids};
use crate::batch::value::write_value;
use crate::error::{Code, Error, Result};
use crate::expr::types::{UHUGEINT, sql_type_name};

/// A UUID as its sixteen bytes; such bytes, and a UHUGEINT, as a UUID.
///
/// # Errors
/// `INVALID_CAST` for a BLOB of another length, unless NULL stands for it, and for other types.
pub(super) fn uuid_cast(values: &ArrayRef, to: &DataType, how: How) -> Result<ArrayRef> {
    let from = values.data_type();
    if *from == UUID && is_blob(to) {
        return Ok(cast(&cast(values, &DataType::BinaryView)?, to)?);
    }
    if *from == UHUGEINT {
        let number = |number: Option<i256>| number.map(|number| number.to_parts().0);
        return uuids(values.as_primitive::<Decimal256Type>().iter().map(number));
    }
    if !is_blob(from) || *to != UUID {
        return Err(no_cast(from, to));
    }
    let blobs = cast(values, &DataType::BinaryView)?;
    let number = |(row, bytes): (usize, Option<&[u8]>)| match bytes {
        None => Ok(None),
        Some(bytes) => match <[u8; 16]>::try_from(bytes) {
            Ok(bytes) => Ok(Some(u128::from_be_bytes(bytes))),
            Err(_) if how.safe => Ok(None),
            Err(_) => {
                let mut text = String::new();
                write_value(&mut text, values.as_ref(), row)?;
                Err(no_value(&text, "a UUID").hint("a BLOB of sixteen bytes is one"))
            }
        },
    };
    let numbers = blobs.as_binary_view().iter().enumerate().map(number).collect::<Result<Vec<_>>>()?;
    uuids(numbers.into_iter())
}

/// The texts as values of the ENUM `to`.
///
/// # Errors
/// `INVALID_CAST` for a text that is no label, unless NULL stands for it; the hint names the nearest label.
pub(super) fn labels(texts: &StringViewArray, to: &DataType, how: How) -> Result<ArrayRef> {
    let Some(labels) = enum_labels(to) else { return Err(Error::internal(format!("{to} is no ENUM"))) };
    let positions: HashMap<&str, u32> = labels.iter().zip(0..).collect();
    let position = |text: Option<&str>| match text.map(|text| (text, positions.get(text))) {
        None => Ok(None),
        Some((_, Some(position))) => Ok(Some(*position)),
        Some(_) if how.safe => Ok(None),
        Some((text, None)) => {
            let error = no_value(text, &shortened(sql_type_name(to)));
            let distance = |label: &&str| strsim::damerau_levenshtein(&label.to_lowercase(), &text.to_lowercase());
            let nearest = labels.iter().min_by_key(distance).filter(|label| distance(label) <= 2);
            Err(match nearest {
                Some(label) => error.hint(format!("did you mean '{label}'?")),
                None => error,
            })
        }
    };
    let positions = texts.iter().map(position).collect::<Result<Vec<_>>>()?;
    enum_values(to, positions.into_iter())
}

/// The name of a type, cut where it has many labels.
fn shortened(name: String) -> String {
    const LONGEST: usize = 200;
    match name.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…)", name.get(..end).unwrap_or_default()),
        None => name,
    }
}

/// There is no such cast.
pub(super) fn no_cast(from: &DataType, to: &DataType) -> Error {
    let (from, to) = (shortened(sql_type_name(from)), shortened(sql_type_name(to)));
    let message = format!("there is no cast from {from} to {to}");
    Error::new(Code::InvalidCast, message)
}
