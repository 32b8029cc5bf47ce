//! Integers that are written: a literal takes the type of what stands beside it, where its value fits.
//!
//! `tiny + 1` is a TINYINT and `big = 1` compares BIGINTs, but `tiny + 300` is an INTEGER, as 300 is by itself. All else that
//! has a type has it by a cast, which is no literal before the optimizer has folded it.

use arrow::datatypes::{DataType, i256};
use datafusion_common::{DFSchema, ScalarValue};
use datafusion_expr::{Expr, ExprSchemable};

use crate::expr::arithmetic::DECIMAL128_LIMIT;
use crate::expr::types::{HUGEINT, UHUGEINT};

/// The integer of these digits, behind a sign or not: an INTEGER, BIGINT, HUGEINT or UHUGEINT, whichever is the first to hold
/// it. `None` where none does.
pub fn written_integer(digits: &str) -> Option<ScalarValue> {
    let Ok(value) = digits.parse::<i128>() else {
        let large: u128 = digits.parse().ok()?;
        return Some(ScalarValue::Decimal256(Some(i256::from_parts(large, 0)), 39, 0));
    };
    [DataType::Int32, DataType::Int64, HUGEINT, UHUGEINT].iter().find_map(|data_type| in_type(value, data_type))
}

/// Gives the integers among the values that are written the type of the first other one that holds them; whether one has changed.
/// Beside texts, whose numbers may be any, they are BIGINTs.
pub fn settle(values: &mut [&mut Expr], schema: &DFSchema) -> bool {
    if !values.iter().any(|value| written(value).is_some()) {
        return false;
    }
    let others = values.iter().filter(|value| written(value).is_none());
    let others: Vec<DataType> = others.filter_map(|value| value.get_type(schema).ok()).collect();
    let mut changed = false;
    for value in values.iter_mut() {
        if let Some(number) = written(value)
            && let Some(settled) = settled(number, &others)
            && let Expr::Literal(literal, _) = value
            && *literal != settled
        {
            *literal = settled;
            changed = true;
        }
    }
    changed
}

/// The types that values of these types have when [`settle`] has seen them, of which some are constants.
pub(in crate::expr) fn settled_types(types: &[DataType], constants: &[Option<&ScalarValue>]) -> Vec<DataType> {
    let number = |index: usize| constants.get(index).copied().flatten().and_then(integer);
    let others = types.iter().enumerate().filter(|(index, _)| number(*index).is_none());
    let others: Vec<DataType> = others.map(|(_, other)| other.clone()).collect();
    let settled_type = |(index, found): (usize, &DataType)| {
        let settled = number(index).and_then(|number| settled(number, &others));
        settled.map_or_else(|| found.clone(), |settled| settled.data_type())
    };
    types.iter().enumerate().map(settled_type).collect()
}

fn settled(number: i128, others: &[DataType]) -> Option<ScalarValue> {
    match others.iter().any(DataType::is_string) {
        true => in_type(number, &DataType::Int64),
        false => others.iter().find_map(|other| in_type(number, other)),
    }
}

/// The number that is written, if it is an integer.
pub(super) fn written(expr: &Expr) -> Option<i128> {
    match expr {
        Expr::Literal(value, _) => integer(value),
        _ => None,
    }
}

fn integer(value: &ScalarValue) -> Option<i128> {
    match value {
        ScalarValue::Int32(Some(number)) => Some((*number).into()),
        ScalarValue::Int64(Some(number)) => Some((*number).into()),
        ScalarValue::Decimal128(Some(number), 38, 0) => Some(*number),
        ScalarValue::Decimal256(Some(number), 39, 0) => number.to_i128(),
        _ => None,
    }
}

/// The number as a value of an integer type that holds it.
pub(super) fn in_type(number: i128, data_type: &DataType) -> Option<ScalarValue> {
    Some(match data_type {
        DataType::Int8 => ScalarValue::from(i8::try_from(number).ok()?),
        DataType::Int16 => ScalarValue::from(i16::try_from(number).ok()?),
        DataType::Int32 => ScalarValue::from(i32::try_from(number).ok()?),
        DataType::Int64 => ScalarValue::from(i64::try_from(number).ok()?),
        DataType::UInt8 => ScalarValue::from(u8::try_from(number).ok()?),
        DataType::UInt16 => ScalarValue::from(u16::try_from(number).ok()?),
        DataType::UInt32 => ScalarValue::from(u32::try_from(number).ok()?),
        DataType::UInt64 => ScalarValue::from(u64::try_from(number).ok()?),
        huge if *huge == HUGEINT && number.unsigned_abs() < DECIMAL128_LIMIT.unsigned_abs() => {
            ScalarValue::Decimal128(Some(number), 38, 0)
        }
        unsigned if *unsigned == UHUGEINT && number >= 0 => {
            ScalarValue::Decimal256(Some(i256::from_i128(number)), 39, 0)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use datafusion_expr::{cast, lit};

    use super::*;

    #[test]
    fn integers_are_of_the_first_type_that_holds_them() {
        let of = |digits: &str| written_integer(digits).map(|value| value.data_type());
        assert_eq!(of("2147483647"), Some(DataType::Int32));
        assert_eq!(of("-2147483648"), Some(DataType::Int32));
        assert_eq!(of("2147483648"), Some(DataType::Int64));
        assert_eq!(of("9223372036854775808"), Some(HUGEINT));
        assert_eq!(of(&"9".repeat(38)), Some(HUGEINT));
        assert_eq!(of(&u128::MAX.to_string()), Some(UHUGEINT));
        assert_eq!(of(&"9".repeat(39)), None);
        assert_eq!(of("1.5"), None);
    }

    #[test]
    fn literals_take_the_type_of_what_stands_beside_them() {
        let beside = |literal: Expr, data_type: DataType| {
            let (mut literal, mut other) = (literal, cast(lit(0_i64), data_type));
            settle(&mut [&mut other, &mut literal], &DFSchema::empty());
            literal
        };
        assert_eq!(beside(lit(1_i32), DataType::Int8), lit(1_i8));
        assert_eq!(beside(lit(300_i32), DataType::Int8), lit(300_i32));
        assert_eq!(beside(lit(-1_i32), DataType::UInt64), lit(-1_i32));
        assert_eq!(beside(lit(1_i32), DataType::Utf8View), lit(1_i64));
        assert_eq!(beside(lit(1_i32), DataType::Float64), lit(1_i32));
    }
}
