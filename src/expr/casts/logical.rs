//! Casts from and to the types that Arrow does not have; those of texts are with all others of texts.

use arrow::array::{ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;

use super::kernels::{How, no_value};
use crate::batch::logical::{UUID, is_blob, uuids};
use crate::batch::value::write_value;
use crate::error::{Code, Error, Result};
use crate::expr::types::sql_type_name;

/// A UUID as its sixteen bytes, and such bytes as a UUID.
///
/// # Errors
/// `INVALID_CAST` for a BLOB of another length, unless NULL stands for it, and for other types.
pub(super) fn uuid_cast(values: &ArrayRef, to: &DataType, how: How) -> Result<ArrayRef> {
    let from = values.data_type();
    if *from == UUID && is_blob(to) {
        return Ok(cast(&cast(values, &DataType::BinaryView)?, to)?);
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

/// There is no such cast.
pub(super) fn no_cast(from: &DataType, to: &DataType) -> Error {
    let message = format!("there is no cast from {} to {}", sql_type_name(from), sql_type_name(to));
    Error::new(Code::InvalidCast, message)
}
