//! Casts from and to BIT: the bits of integers, fractions, truth values and bytes, the first ones first.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryViewBuilder, BooleanArray, Decimal128Array, Decimal256Array, Float32Array,
    Float64Array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Decimal256Type, Float32Type, Float64Type, i256};

use super::kernels::{How, arrow_cast, no_value};
use super::logical::no_cast;
use crate::batch::logical::{bit_array, bits_at, bits_of, is_blob, number_of};
use crate::error::{Code, Error, Result};
use crate::expr::types::{HUGEINT, UHUGEINT};

/// Values of a type that has bits as BIT.
///
/// # Errors
/// `INVALID_CAST` for other types.
pub(super) fn to_bits(values: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    let from = values.data_type();
    Ok(match from {
        DataType::Float32 => {
            let numbers = values.as_primitive::<Float32Type>().iter();
            bit_array(numbers.map(|number| Some(bits_of(number?.to_bits().into(), 32))))
        }
        DataType::Float64 => {
            let numbers = values.as_primitive::<Float64Type>().iter();
            bit_array(numbers.map(|number| Some(bits_of(number?.to_bits().into(), 64))))
        }
        DataType::Boolean => bit_array(values.as_boolean().iter().map(|value| Some(bits_of(value?.into(), 8)))),
        blob if is_blob(blob) => {
            let blobs = cast(values, &DataType::BinaryView)?;
            let bits = |bytes: &[u8]| bytes.iter().flat_map(|byte| bits_of((*byte).into(), 8)).collect();
            bit_array(blobs.as_binary_view().iter().map(|bytes| Some(bits(bytes?))))
        }
        from if *from == UHUGEINT => {
            let numbers = values.as_primitive::<Decimal256Type>().iter();
            bit_array(numbers.map(|number| Some(bits_of(number?.to_parts().0, 128))))
        }
        from => {
            let Some(width) = width_of(from) else { return Err(no_cast(from, to)) };
            let numbers = cast(values, &HUGEINT)?;
            let numbers = numbers.as_primitive::<Decimal128Type>().iter();
            bit_array(numbers.map(|number| Some(bits_of(number?.cast_unsigned(), width))))
        }
    })
}

/// BITs as values of a type that has bits; those that are missing on the left are 0.
///
/// # Errors
/// `INVALID_CAST` for more bits than the type has, unless NULL stands for them, and for other types.
pub(super) fn from_bits(values: &ArrayRef, to: &DataType, how: How) -> Result<ArrayRef> {
    let Some(bits) = bits_at(values.as_ref()) else { return Err(no_cast(values.data_type(), to)) };
    let numbers = |width: usize| {
        let number = |signs: Option<&[u8]>| match signs.map(|signs| number_of(signs, width)) {
            None => Ok(None),
            Some(Err(_)) if how.safe => Ok(None),
            Some(number) => number.map(Some),
        };
        bits.iter().map(number).collect::<Result<Vec<Option<u128>>>>()
    };
    Ok(match to {
        DataType::Boolean => Arc::new(BooleanArray::from_iter(bits.iter().map(|signs| Some(signs?.contains(&b'1'))))),
        DataType::Float32 => {
            let float = |number: u128| u32::try_from(number).map_or(0.0, f32::from_bits);
            Arc::new(Float32Array::from_iter(numbers(32)?.into_iter().map(|number| number.map(float))))
        }
        DataType::Float64 => {
            let float = |number: u128| u64::try_from(number).map_or(0.0, f64::from_bits);
            Arc::new(Float64Array::from_iter(numbers(64)?.into_iter().map(|number| number.map(float))))
        }
        blob if is_blob(blob) => {
            let mut blobs = BinaryViewBuilder::with_capacity(bits.len());
            for signs in bits.iter() {
                blobs.append_option(signs.map(bytes_of).transpose()?);
            }
            cast(&blobs.finish(), to)?
        }
        to if *to == UHUGEINT => {
            let wide = numbers(128)?.into_iter().map(|number| number.map(|number| i256::from_parts(number, 0)));
            Arc::new(Decimal256Array::from_iter(wide).with_data_type(UHUGEINT))
        }
        to => {
            let Some(width) = width_of(to) else { return Err(no_cast(values.data_type(), to)) };
            let is_signed = !to.is_unsigned_integer();
            // The first bit of a full number is its sign.
            let number = |number: u128| match is_signed && width < 128 && number >> (width - 1) & 1 == 1 {
                true => number.cast_signed() - (1_i128 << width),
                false => number.cast_signed(),
            };
            let integers: Vec<Option<i128>> = numbers(width)?.into_iter().map(|bits| bits.map(number)).collect();
            if let Some(beyond) = integers.iter().flatten().find(|number| number.unsigned_abs() >= 10_u128.pow(38)) {
                return Err(Error::new(Code::InvalidCast, format!("{beyond} does not fit HUGEINT")));
            }
            let integers = Decimal128Array::from_iter(integers).with_data_type(HUGEINT);
            arrow_cast(&(Arc::new(integers) as ArrayRef), to, how)?
        }
    })
}

/// How many bits the integers of a type have.
fn width_of(data_type: &DataType) -> Option<usize> {
    match data_type {
        data_type if data_type.is_integer() => data_type.primitive_width().map(|bytes| bytes * 8),
        data_type if *data_type == HUGEINT => Some(128),
        _ => None,
    }
}

/// Whole bytes, the first one filled up with zeros.
fn bytes_of(signs: &[u8]) -> Result<Vec<u8>> {
    let first = signs.len() % 8;
    let (head, rest) = signs.split_at_checked(first).unwrap_or((signs, &[]));
    let parts = std::iter::once(head).filter(|head| !head.is_empty()).chain(rest.chunks(8));
    parts.map(|part| Ok(u8::try_from(number_of(part, 8)?).unwrap_or(0))).collect()
}

/// The error for a text that is no BIT.
pub(super) fn no_bits(text: &str) -> Error {
    no_value(text, "a BIT").hint("it has the signs 0 and 1 alone")
}
