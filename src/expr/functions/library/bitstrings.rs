//! Values of BIT: their length, their parts, and operators over two of one length.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type};
use datafusion_common::Result as DataFusionResult;

use super::function::{Arguments, Bound, Function, Overload, function};
use super::typed::{Bits, Int, Int32, Signs, Text, list_type, row1, row2, row3};
use crate::batch::logical::{BIT, bit_array, parse_bits};
use crate::error::{Code, Error, Result};
use crate::expr::types::{HUGEINT, sql_type_name};

/// The functions of this family.
pub(super) fn functions() -> Vec<Function> {
    vec![
        function(
            "bit_position",
            "part, bits",
            "Where the bits have the part first, from 1 on; 0 where they do not",
            [row2::<Bits, Bits, _>(|part, bits| {
                let found = bits.windows(part.len().max(1)).position(|window| window == part);
                found.map_or(0, |place| i32::try_from(place + 1).unwrap_or(i32::MAX))
            })],
        ),
        function(
            "bitstring",
            "text or bits, length",
            "The bits with zeros before them up to a length",
            [
                row2::<Bits, Int, _>(padded),
                row2::<Text, Int, _>(|text, length| match parse_bits(text) {
                    Some(bits) => padded(&bits, length),
                    None => Err(Error::new(Code::InvalidCast, format!("'{text}' cannot be read as a BIT"))),
                }),
            ],
        ),
        function(
            "get_bit",
            "bits, index",
            "The bit at a place, from 0 on, from the left",
            [row2::<Bits, Int, _>(|bits, index| {
                Ok::<_, Error>(i32::from(bits.get(place(bits, index)?) == Some(&b'1')))
            })],
        ),
        function(
            "set_bit",
            "bits, index, value",
            "The bits with 0 or 1 at a place, from 0 on, from the left",
            [row3::<Bits, Int, Int32, _>(|bits, index, value| {
                let sign = match value {
                    0 => b'0',
                    1 => b'1',
                    _ => return Err(Error::new(Code::InvalidQuery, format!("a bit is 0 or 1, not {value}"))),
                };
                let mut changed = bits.to_vec();
                changed.get_mut(place(bits, index)?).into_iter().for_each(|bit| *bit = sign);
                Ok(Signs(changed))
            })],
        ),
        function("#bits_and", "a, b", "The bits that both have", [of_two(|a, b| a & b)]),
        function("#bits_or", "a, b", "The bits that one has", [of_two(|a, b| a | b)]),
        function(
            "bit_length",
            "text or bits",
            "The number of bits",
            [
                row1::<Bits, _>(|bits| i64::try_from(bits.len()).unwrap_or(i64::MAX)),
                row1::<Text, _>(|text| i64::try_from(8 * text.len()).unwrap_or(i64::MAX)),
            ],
        ),
        function(
            "#bits_concat",
            "a, b",
            "The bits of the one behind those of the other",
            [row2::<Bits, Bits, _>(|a, b| Signs([a, b].concat()))],
        ),
        function(
            "#bits_left",
            "bits, count",
            "The bits so many places further to the left",
            [row2::<Bits, Int, _>(|bits, count| shifted(bits, count, true))],
        ),
        function(
            "#bits_right",
            "bits, count",
            "The bits so many places further to the right",
            [row2::<Bits, Int, _>(|bits, count| shifted(bits, count, false))],
        ),
        function(
            "#bits_of_numbers",
            "numbers, least, greatest",
            "A bit for every number from the least to the greatest, 1 where it is in the list",
            [Overload::generic(of_numbers, numbers_as_bits)],
        ),
    ]
}

/// The bits turned over.
pub(super) fn turned() -> Overload {
    row1::<Bits, _>(|bits| Signs(bits.iter().map(|sign| if *sign == b'1' { b'0' } else { b'1' }).collect()))
}

/// The function of two BITs by a rule.
pub(super) fn of_two(run: fn(bool, bool) -> bool) -> Overload {
    row2::<Bits, Bits, _>(move |a, b| bits_of_two(a, b, run).map(Signs))
}

/// The bits that a rule makes of two, place by place.
///
/// # Errors
/// `INVALID_QUERY` where their lengths differ.
pub fn bits_of_two(a: &[u8], b: &[u8], rule: fn(bool, bool) -> bool) -> Result<Vec<u8>> {
    if a.len() != b.len() {
        let message = format!("bits of the lengths {} and {} do not go together", a.len(), b.len());
        return Err(Error::new(Code::InvalidQuery, message).hint("bitstring(bits, length) puts zeros before them"));
    }
    Ok(a.iter().zip(b).map(|(a, b)| if rule(*a == b'1', *b == b'1') { b'1' } else { b'0' }).collect())
}

fn place(bits: &[u8], index: i64) -> Result<usize> {
    let place = usize::try_from(index).ok().filter(|place| *place < bits.len());
    place.ok_or_else(|| {
        let message = format!("there is no bit at {index}: they go from 0 to {}", bits.len().saturating_sub(1));
        Error::new(Code::InvalidQuery, message)
    })
}

fn padded(bits: &[u8], length: i64) -> Result<Signs> {
    let length = usize::try_from(length).ok().filter(|length| (bits.len()..=MOST).contains(length));
    let Some(length) = length else {
        let message = format!("the length of {} bits is from that to {MOST}", bits.len());
        return Err(Error::new(Code::InvalidQuery, message));
    };
    Ok(Signs([vec![b'0'; length - bits.len()].as_slice(), bits].concat()))
}

/// The greatest number of bits that are made of a number.
const MOST: usize = 1 << 20;

fn shifted(bits: &[u8], count: i64, to_left: bool) -> Result<Signs> {
    let Ok(count) = usize::try_from(count) else {
        return Err(Error::new(Code::InvalidQuery, format!("bits are not shifted by {count} places")));
    };
    let (kept, zeros) = (bits.len().saturating_sub(count), vec![b'0'; count.min(bits.len())]);
    Ok(Signs(match to_left {
        true => [bits.get(bits.len() - kept..).unwrap_or_default(), &zeros].concat(),
        false => [&zeros, bits.get(..kept).unwrap_or_default()].concat(),
    }))
}

fn of_numbers(types: &[DataType]) -> Option<Bound> {
    let [DataType::List(item), ..] = types else { return None };
    let takes = types.len() == 3
        && (item.data_type().is_integer() || *item.data_type() == HUGEINT || item.data_type().is_null());
    let list = list_type(item.data_type().clone());
    takes.then(|| Bound { arguments: vec![list, HUGEINT, HUGEINT], result: BIT })
}

fn numbers_as_bits(arguments: &Arguments) -> DataFusionResult<ArrayRef> {
    let (lists, least, greatest) = (arguments.array(0)?, arguments.array(1)?, arguments.array(2)?);
    let (least, greatest) = (least.as_primitive::<Decimal128Type>(), greatest.as_primitive::<Decimal128Type>());
    let lists = lists.as_list::<i32>();
    let bits = |row: usize| -> DataFusionResult<Option<Vec<u8>>> {
        if lists.is_null(row) || least.is_null(row) || greatest.is_null(row) {
            return Ok(None);
        }
        let (least, greatest) = (least.value(row), greatest.value(row));
        let count = greatest.checked_sub(least).and_then(|last| usize::try_from(last).ok()).filter(|last| *last < MOST);
        let Some(last) = count else {
            let message = format!("bits from {least} to {greatest} are none, or more than {MOST}");
            return Err(Error::new(Code::InvalidQuery, message).into());
        };
        let mut bits = vec![b'0'; last + 1];
        let mut has_any = false;
        let numbers = cast(&lists.value(row), &HUGEINT)?;
        for number in numbers.as_primitive::<Decimal128Type>().iter().flatten() {
            let bit = number.checked_sub(least).and_then(|place| bits.get_mut(usize::try_from(place).ok()?));
            match bit {
                Some(bit) => *bit = b'1',
                None => {
                    let message = format!("{number} is not among the numbers from {least} to {greatest}");
                    return Err(Error::new(Code::InvalidQuery, message).into());
                }
            }
            has_any = true;
        }
        Ok(has_any.then_some(bits))
    };
    Ok(bit_array((0..arguments.rows).map(bits).collect::<DataFusionResult<Vec<_>>>()?.into_iter()))
}

/// The function over BITs that an operator stands for, and what else it takes; `None` for types that have no BIT among them.
pub fn operator(sign: &str, left: &DataType, right: &DataType) -> Result<Option<&'static str>> {
    if *left != BIT && *right != BIT {
        return Ok(None);
    }
    let is_bits = |data_type: &DataType| *data_type == BIT || data_type.is_null();
    let is_count = |data_type: &DataType| data_type.is_integer() || data_type.is_null();
    let both = is_bits(left) && is_bits(right);
    let name = match sign {
        "&" if both => "#bits_and",
        "|" if both => "#bits_or",
        "||" if both => "#bits_concat",
        "<<" if is_bits(left) && is_count(right) => "#bits_left",
        ">>" if is_bits(left) && is_count(right) => "#bits_right",
        "||" => return Ok(None),
        _ => {
            let types = format!("{} and {}", sql_type_name(left), sql_type_name(right));
            let error = Error::new(Code::InvalidQuery, format!("there is no operator {sign} for {types}"));
            return Err(error.hint("& and | take two BITs, << and >> a BIT and a number"));
        }
    };
    Ok(Some(name))
}

/// The number of ones.
pub(super) fn count_ones(bits: &[u8]) -> i64 {
    i64::try_from(bits.iter().filter(|sign| **sign == b'1').count()).unwrap_or(i64::MAX)
}
