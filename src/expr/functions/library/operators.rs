//! What stands behind operators: functions that nobody writes.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray};
use arrow::compute::and_kleene;
use arrow::compute::kernels::bitwise::bitwise_not;
use arrow::compute::kernels::cmp::{gt_eq, lt_eq};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Decimal128Type, Decimal256Type, Int8Type, Int16Type, Int32Type, Int64Type,
    IntervalMonthDayNano, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use datafusion_common::{Result as DataFusionResult, internal_err};
use datafusion_expr::type_coercion::binary::comparison_coercion;

use super::bitstrings::turned as turned_bits;
use super::decimal;
use super::function::{Arguments, Bound, Function, Overload, function};
use super::typed::{Date, Double, Int, Interval, Micros, Single, Text, Time, Wide, row1, row2};
use crate::batch::hash::{canonical_f32, canonical_f64};
use crate::error::{Code, Error, Result};
use crate::expr::casts::{boolean, unsigned};
use crate::expr::floats::canonical_array;
use crate::expr::types::UHUGEINT;

/// What a value stands in that is a condition: its cast to BOOLEAN, where it is none.
pub(in crate::expr) const CONDITION: &str = "#condition";

/// BETWEEN of a number that is another one each time it is asked for.
pub(in crate::expr) const BETWEEN: &str = "#between";

const NANOS_PER_DAY: i64 = 86_400_000_000_000;
const NANOS_PER_MONTH: i64 = 30 * NANOS_PER_DAY;

/// The functions of this family.
pub(super) fn functions() -> Vec<Function> {
    vec![
        function(
            CONDITION,
            "value",
            "Whether a value is true, as a cast to BOOLEAN says",
            [Overload::generic(
                |types: &[DataType]| match types {
                    [_] => Some(Bound { arguments: types.to_vec(), result: DataType::Boolean }),
                    _ => None,
                },
                |arguments| Ok(boolean(&arguments.array(0)?)?),
            )],
        ),
        function(
            BETWEEN,
            "number, low, high",
            "Whether the number is between the bounds or one of them",
            [Overload::generic(bind_between, between)],
        ),
        function("#bit_not", "number", "The number with every bit turned", [bit_not(), turned_bits()]),
        function(
            "#like_pattern",
            "pattern[, escape]",
            "A pattern of LIKE with the escapes of the library",
            [row1::<Text, _>(|pattern| pattern.replace('\\', "\\\\")), row2::<Text, Text, _>(like_pattern)],
        ),
        function(
            "#date_at",
            "date, time",
            "The time of a day",
            [row2::<Date, Time, _>(|days: i32, micros: i64| {
                let at = i64::from(days).checked_mul(NANOS_PER_DAY / 1_000).and_then(|day| day.checked_add(micros));
                at.map(Micros).ok_or_else(|| Error::new(Code::Overflow, "a TIMESTAMP is out of range"))
            })],
        ),
        function("#glob", "text, pattern", "Whether the pattern is the whole text", [row2::<Text, Text, _>(glob)]),
        function(
            "#interval_multiply",
            "interval, factor",
            "The interval so many times",
            [row2::<Interval, Int, _>(times), row2::<Interval, Double, _>(scaled)],
        ),
        function(
            "#interval_divide",
            "interval, divisor",
            "A part of the interval",
            [row2::<Interval, Double, _>(|interval: IntervalMonthDayNano, divisor: f64| {
                if divisor == 0.0 {
                    return Err(Error::new(Code::DivisionByZero, "division of an interval by zero"));
                }
                divided(interval, divisor)
            })],
        ),
        function(
            "#canonical",
            "number",
            "A float as it is compared",
            [row1::<Double, _>(canonical_f64), row1::<Single, _>(canonical_f32)],
        ),
        function("#floor", "decimal, digits", "Rounded down", [decimal::rounded(decimal::down)]),
        function("#ceil", "decimal, digits", "Rounded up", [decimal::rounded(decimal::up)]),
        function("#trunc", "decimal, digits", "Rounded towards zero", [decimal::rounded(decimal::towards_zero)]),
        function("#round", "decimal, digits", "Rounded, halves away from zero", [decimal::rounded(decimal::nearest)]),
        function(
            "#uhugeint",
            "number",
            "The number as a UHUGEINT that something was calculated to",
            [Overload::generic(
                |types: &[DataType]| match types {
                    [DataType::Decimal256(_, 0)] => Some(Bound { arguments: types.to_vec(), result: UHUGEINT }),
                    _ => None,
                },
                |arguments| {
                    let overflow = |number| {
                        let error = Error::new(Code::Overflow, format!("integer overflow: {number} is no UHUGEINT"));
                        Some(error.hint("a UHUGEINT is 0 to 2^128 - 1; cast an operand to DOUBLE"))
                    };
                    Ok(unsigned(arguments.array(0)?.as_primitive::<Decimal256Type>(), overflow)?)
                },
            )],
        ),
        function(
            "#interval_key",
            "interval",
            "A number by which intervals are compared",
            [row1::<Interval, _>(|interval| Wide(interval_key(interval)))],
        ),
    ]
}

fn bind_between(types: &[DataType]) -> Option<Bound> {
    let [number, low, high] = types else { return None };
    let common = comparison_coercion(number, &comparison_coercion(low, high)?)?;
    Some(Bound { arguments: vec![common; 3], result: DataType::Boolean })
}

fn between(arguments: &Arguments) -> DataFusionResult<ArrayRef> {
    let arrays = arguments.arrays()?;
    let [number, low, high] = arrays.as_slice() else { return internal_err!("BETWEEN without bounds") };
    let number = canonical_array(number);
    let (above, below) = (gt_eq(&number, &canonical_array(low))?, lt_eq(&number, &canonical_array(high))?);
    Ok(Arc::new(and_kleene(&above, &below)?))
}

/// The pattern in which `escape`, and nothing else, takes the meaning of the next character away.
fn like_pattern(pattern: &str, escape: &str) -> Result<String> {
    let mut escapes = escape.chars();
    let escape = escapes.next();
    if escapes.next().is_some() {
        return Err(Error::new(Code::InvalidQuery, "an escape is one character, or none"));
    }
    let mut escaped = String::with_capacity(pattern.len());
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        let (literal, character) = match character {
            _ if Some(character) == escape => match characters.next() {
                Some(next) => (true, next),
                None => return Err(Error::new(Code::InvalidQuery, "a LIKE pattern ends in its escape")),
            },
            other => (false, other),
        };
        if character == '\\' || literal && matches!(character, '%' | '_') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    Ok(escaped)
}

fn bit_not() -> Overload {
    let bind = |types: &[DataType]| match types {
        [number] if number.is_integer() || *number == DataType::Decimal128(38, 0) => {
            Some(Bound { arguments: types.to_vec(), result: number.clone() })
        }
        [DataType::Null] => Some(Bound { arguments: vec![DataType::Int64], result: DataType::Int64 }),
        _ => None,
    };
    Overload::generic(bind, |arguments: &Arguments| {
        let array = arguments.array(0)?;
        match array.data_type() {
            DataType::Int8 => turned::<Int8Type>(&array),
            DataType::Int16 => turned::<Int16Type>(&array),
            DataType::Int32 => turned::<Int32Type>(&array),
            DataType::Int64 => turned::<Int64Type>(&array),
            DataType::UInt8 => turned::<UInt8Type>(&array),
            DataType::UInt16 => turned::<UInt16Type>(&array),
            DataType::UInt32 => turned::<UInt32Type>(&array),
            DataType::UInt64 => turned::<UInt64Type>(&array),
            DataType::Decimal128(..) => turned::<Decimal128Type>(&array),
            other => internal_err!("{other} has no bits"),
        }
    })
}

fn turned<T: ArrowPrimitiveType>(array: &ArrayRef) -> DataFusionResult<ArrayRef>
where
    T::Native: std::ops::Not<Output = T::Native>,
{
    let turned: PrimitiveArray<T> = bitwise_not(array.as_primitive::<T>())?;
    Ok(Arc::new(turned.with_data_type(array.data_type().clone())))
}

/// `*` is any text, `?` one character, `[a-z]` one of a set, `[!a-z]` one that is not of it; a backslash takes the meaning away.
fn glob(text: &str, pattern: &str) -> bool {
    let (text, pattern): (Vec<char>, Vec<char>) = (text.chars().collect(), pattern.chars().collect());
    let (mut at, mut place) = (0, 0);
    // Where to go on after the last star, should what follows it not fit.
    let mut retry: Option<(usize, usize)> = None;
    while at < text.len() {
        let step = match pattern.get(place) {
            Some('*') => {
                retry = Some((at, place + 1));
                place += 1;
                continue;
            }
            Some(_) => text.get(at).and_then(|character| matched(*character, pattern.get(place..)?)),
            None => None,
        };
        match (step, retry) {
            (Some(length), _) => (at, place) = (at + 1, place + length),
            (None, Some((from, behind))) => {
                retry = Some((from + 1, behind));
                (at, place) = (from + 1, behind);
            }
            (None, None) => return false,
        }
    }
    pattern.iter().skip(place).all(|character| *character == '*')
}

/// How much of the pattern's front the character takes; `None` where it does not fit.
fn matched(character: char, pattern: &[char]) -> Option<usize> {
    match pattern {
        ['?', ..] => Some(1),
        ['\\', escaped, ..] => (*escaped == character).then_some(2),
        ['[', set @ ..] => one_of(character, set).map(|length| length + 1),
        [plain, ..] => (*plain == character).then_some(1),
        [] => None,
    }
}

/// The length of a set with its closing bracket, if the character is one of it.
fn one_of(character: char, set: &[char]) -> Option<usize> {
    let negated = set.first() == Some(&'!');
    let mut place = usize::from(negated);
    let first = place;
    let mut found = false;
    loop {
        match set.get(place..)? {
            [']', ..] if place > first => break,
            [from, '-', to, ..] if *to != ']' => {
                found |= (*from..=*to).contains(&character);
                place += 3;
            }
            [one, ..] => {
                found |= *one == character;
                place += 1;
            }
            [] => return None,
        }
    }
    (found != negated).then_some(place + 1)
}

fn out_of_range() -> Error {
    Error::new(Code::Overflow, "an interval is out of range")
}

fn times(interval: IntervalMonthDayNano, factor: i64) -> Result<IntervalMonthDayNano> {
    let part = |part: i32| i64::from(part).checked_mul(factor).and_then(|part| i32::try_from(part).ok());
    let nanos = interval.nanoseconds.checked_mul(factor);
    match (part(interval.months), part(interval.days), nanos) {
        (Some(months), Some(days), Some(nanos)) => Ok(IntervalMonthDayNano::new(months, days, nanos)),
        _ => Err(out_of_range()),
    }
}

fn scaled(interval: IntervalMonthDayNano, factor: f64) -> Result<IntervalMonthDayNano> {
    spread(f64::from(interval.months) * factor, f64::from(interval.days) * factor, interval.nanoseconds as f64 * factor)
}

fn divided(interval: IntervalMonthDayNano, by: f64) -> Result<IntervalMonthDayNano> {
    spread(f64::from(interval.months) / by, f64::from(interval.days) / by, interval.nanoseconds as f64 / by)
}

/// An interval of whole months and days: what is left of a month are days of it, and what is left of a day is time.
fn spread(months: f64, days: f64, nanos: f64) -> Result<IntervalMonthDayNano> {
    let days = days + months.fract() * 30.0;
    // To microseconds: a DOUBLE knows no more.
    let nanos = ((nanos + days.fract() * NANOS_PER_DAY as f64) / 1000.0).round() * 1000.0;
    let whole = |part: f64| (part.trunc().abs() <= f64::from(i32::MAX)).then(|| part.trunc() as i32);
    match (whole(months), whole(days)) {
        (Some(months), Some(days)) if nanos.abs() < i64::MAX as f64 => {
            Ok(IntervalMonthDayNano::new(months, days, nanos as i64))
        }
        _ => Err(out_of_range()),
    }
}

/// Orders intervals as SQL does: 30 days are a month, 24 hours are a day. First come months, then days, then time.
fn interval_key(interval: IntervalMonthDayNano) -> i128 {
    let (days, nanos) = (i64::from(interval.days), interval.nanoseconds);
    let months = i64::from(interval.months) + days / 30 + nanos / NANOS_PER_MONTH;
    let nanos = nanos % NANOS_PER_MONTH;
    let days = days % 30 + nanos / NANOS_PER_DAY;
    // Days are within ±60, and the time is less than a day: no digit reaches into the next.
    (i128::from(months) * 128 + i128::from(days)) * (1 << 48) + i128::from(nanos % NANOS_PER_DAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_texts() {
        for (text, pattern) in [
            ("abc", "a*"),
            ("abc", "*c"),
            ("abc", "a?c"),
            ("abc", "a[b-d]c"),
            ("abc", "a[!x]c"),
            ("a]c", "a[]]c"),
            ("a*c", "a\\*c"),
            ("", "*"),
            ("abcabc", "*abc"),
            ("é", "?"),
        ] {
            assert!(glob(text, pattern), "{text} {pattern}");
        }
        for (text, pattern) in
            [("abc", "a"), ("abc", "A*"), ("abc", "a[!b]c"), ("abc", "a\\*"), ("", "?"), ("a", "[a"), ("ab", "b*")]
        {
            assert!(!glob(text, pattern), "{text} {pattern}");
        }
    }

    #[test]
    fn thirty_days_are_a_month() {
        let key = |months, days, nanos| interval_key(IntervalMonthDayNano::new(months, days, nanos));
        assert_eq!(key(1, 0, 0), key(0, 30, 0));
        assert_eq!(key(0, 1, 0), key(0, 0, NANOS_PER_DAY));
        assert!(key(1, 0, 0) < key(0, 40, 0));
        assert!(key(1, -1, 0) < key(1, 0, 0));
        assert!(key(0, 0, -1) < key(0, 0, 0));
        assert!(key(-1, 0, 0) < key(0, -29, 0));
    }
}
