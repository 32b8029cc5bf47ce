//! Numbers.

use super::bitstrings::count_ones;
use super::decimal;
use super::function::{Function, function};
use super::typed::{
    Bits, Blob, Date, Double, Huge, Instant, Int, Int8, Int16, Int32, Single, Text, Timestamp, UInt, Wide, row1, row2,
    row3,
};
use crate::error::{Code, Error, Result};
use crate::expr::arithmetic::WIDER;

/// The functions of this family.
pub(super) fn functions() -> Vec<Function> {
    let mut functions = arithmetic();
    functions.extend(signs());
    functions.extend(bits());
    functions
}

fn arithmetic() -> Vec<Function> {
    vec![
        function(
            "divide",
            "a, b",
            "The quotient; of integers without the rest",
            [
                decimal::whole_quotient(),
                row2::<Single, Single, _>(|a: f32, b: f32| if b == 0.0 { Err(by_zero()) } else { Ok(a / b) }),
                row2::<Double, Double, _>(|a: f64, b: f64| if b == 0.0 { Err(by_zero()) } else { Ok(a / b) }),
            ],
        ),
        function(
            "fdiv",
            "a, b",
            "The quotient without what is behind the point, rounded down",
            [row2::<Double, Double, _>(|a: f64, b: f64| (a / b).floor())],
        ),
        function(
            "fmod",
            "a, b",
            "The rest of fdiv",
            [row2::<Double, Double, _>(|a: f64, b: f64| a - b * (a / b).floor())],
        ),
        function("even", "number", "The next even number away from zero", [row1::<Double, _>(even)]),
        function(
            "gamma",
            "number",
            "The gamma function",
            [row1::<Double, _>(|number| {
                // At zero it has no value but a limit.
                if number == 0.0 { f64::INFINITY } else { libm::tgamma(number) }
            })],
        ),
        function("lgamma", "number", "The logarithm of the gamma function", [row1::<Double, _>(libm::lgamma)]),
        function(
            "round_even roundbankers",
            "number, digits",
            "Rounded to so many digits, halves to the even neighbour",
            [row2::<Double, Int, _>(round_even)],
        ),
        function("factorial", "number", "The product of all numbers up to this one", [row1::<Int, _>(factorial)]),
        function("binom", "n, k", "How many ways there are to choose k of n", [row2::<Int, Int, _>(binom)]),
        function(
            "nextafter",
            "number, other",
            "The neighbour of a number in the direction of another",
            [row2::<Double, Double, _>(libm::nextafter), row2::<Single, Single, _>(libm::nextafterf)],
        ),
    ]
}

fn signs() -> Vec<Function> {
    vec![
        function(
            "sign",
            "number",
            "-1, 0 or 1",
            [
                row1::<Int, _>(|number| number.signum() as i8),
                row1::<Double, _>(|number| {
                    if number > 0.0 {
                        1_i8
                    } else if number < 0.0 {
                        -1
                    } else {
                        0
                    }
                }),
            ],
        ),
        function(
            "signbit",
            "number",
            "Whether the number has a minus sign",
            [row1::<Double, _>(f64::is_sign_negative), row1::<Single, _>(f32::is_sign_negative)],
        ),
        function(
            "isfinite",
            "value",
            "Whether it is neither infinite nor NaN",
            [
                row1::<Double, _>(f64::is_finite),
                row1::<Single, _>(f32::is_finite),
                row1::<Date, _>(|_| true),
                row1::<Timestamp, _>(|_| true),
                row1::<Instant, _>(|_| true),
            ],
        ),
        function(
            "isinf",
            "value",
            "Whether it is infinite",
            [
                row1::<Double, _>(f64::is_infinite),
                row1::<Single, _>(f32::is_infinite),
                row1::<Date, _>(|_| false),
                row1::<Timestamp, _>(|_| false),
                row1::<Instant, _>(|_| false),
            ],
        ),
    ]
}

fn bits() -> Vec<Function> {
    vec![
        function(
            "bit_count",
            "number",
            "How many bits are set",
            [
                row1::<Bits, _>(count_ones),
                row1::<Int8, _>(|number| number.count_ones() as i8),
                row1::<Int16, _>(|number| number.count_ones() as i8),
                row1::<Int32, _>(|number| number.count_ones() as i8),
                row1::<Int, _>(|number| number.count_ones() as i8),
                row1::<UInt, _>(|number| number.count_ones() as i8),
                row1::<Huge, _>(|number| i64::from(number.count_ones())),
            ],
        ),
        function(
            "bin to_binary",
            "value",
            "The bits of an integer or of the bytes of a text",
            [
                row1::<Int, _>(|number| format!("{number:b}")),
                row1::<UInt, _>(|number| format!("{number:b}")),
                row1::<Huge, _>(|number| format!("{number:b}")),
                row1::<Text, _>(|text| text.bytes().map(|byte| format!("{byte:08b}")).collect::<String>()),
                row1::<Blob, _>(|bytes| bytes.iter().map(|byte| format!("{byte:08b}")).collect::<String>()),
            ],
        ),
        function(
            "hex to_hex",
            "value",
            "The hexadecimal digits of an integer or of the bytes of a text",
            [
                row1::<Int, _>(|number| format!("{number:X}")),
                row1::<UInt, _>(|number| format!("{number:X}")),
                row1::<Huge, _>(|number| format!("{number:X}")),
                row1::<Text, _>(|text| super::blob::hex(text.as_bytes(), true)),
                row1::<Blob, _>(|bytes| super::blob::hex(bytes, true)),
            ],
        ),
        function(
            "to_base",
            "number, base[, digits]",
            "The number in a base from 2 to 36, with at least so many digits",
            [row2::<Int, Int, _>(|number, base| to_base(number, base, 0)), row3::<Int, Int, Int, _>(to_base)],
        ),
    ]
}

pub(super) fn by_zero() -> Error {
    Error::new(Code::DivisionByZero, "division by zero")
}

pub(super) fn overflow(what: &str) -> Error {
    Error::new(Code::Overflow, format!("the result of {what} does not fit its type")).hint(WIDER)
}

fn even(number: f64) -> f64 {
    let up = number.abs().ceil();
    let even = if up % 2.0 == 0.0 { up } else { up + 1.0 };
    if number < 0.0 { -even } else { even }
}

fn round_even(number: f64, digits: i64) -> f64 {
    let power = 10_f64.powi(digits.clamp(-400, 400) as i32);
    let (scaled, unscaled) = if power.is_finite() { (number * power, power) } else { return number };
    if unscaled == 0.0 {
        return 0.0;
    }
    let rounded = scaled.round_ties_even() / unscaled;
    if rounded.is_finite() { rounded } else { number }
}

fn factorial(number: i64) -> Result<Wide> {
    let number = i128::from(number);
    if number < 0 {
        return Err(Error::new(Code::InvalidQuery, "the factorial of a negative number is not defined"));
    }
    (1..=number.min(40)).try_fold(1_i128, i128::checked_mul).and_then(huge).ok_or_else(|| overflow("factorial"))
}

/// What a HUGEINT, of 38 digits, can hold.
fn huge(value: i128) -> Option<Wide> {
    (value.unsigned_abs() < 10_u128.pow(38)).then_some(Wide(value))
}

fn binom(n: i64, k: i64) -> Result<Wide> {
    if n < 0 || k < 0 {
        return Err(Error::new(Code::InvalidQuery, "binom takes no negative numbers"));
    }
    if k > n {
        return Ok(Wide(0));
    }
    let (n, k) = (i128::from(n), i128::from(k.min(n - k)));
    let mut result = 1_i128;
    for step in 1..=k {
        result = result.checked_mul(n - k + step).ok_or_else(|| overflow("binom"))? / step;
    }
    huge(result).ok_or_else(|| overflow("binom"))
}

fn to_base(number: i64, base: i64, digits: i64) -> Result<String> {
    let wrong = |what: &str| Error::new(Code::InvalidQuery, format!("to_base takes {what}"));
    let mut rest = u64::try_from(number).map_err(|_| wrong("no negative number"))?;
    let base =
        u64::try_from(base).ok().filter(|base| (2..=36).contains(base)).ok_or_else(|| wrong("a base from 2 to 36"))?;
    let least = usize::try_from(digits).ok().filter(|digits| *digits <= 64).ok_or_else(|| wrong("0 to 64 digits"))?;
    let mut written = Vec::new();
    while rest > 0 || written.is_empty() {
        // A digit is below 36.
        written.extend(char::from_digit((rest % base) as u32, 36).map(|digit| digit.to_ascii_uppercase()));
        rest /= base;
    }
    written.resize(written.len().max(least), '0');
    Ok(written.into_iter().rev().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_go_to_the_even_neighbour() {
        assert_eq!(round_even(24.5, 0), 24.0);
        assert_eq!(round_even(23.5, 0), 24.0);
        assert_eq!(round_even(25.0, -1), 20.0);
        assert_eq!(round_even(1.5, i64::MAX), 1.5);
        assert_eq!(round_even(1.5, i64::MIN), 0.0);
    }

    #[test]
    fn large_results_are_errors() {
        assert_eq!(factorial(33).unwrap(), Wide(8_683_317_618_811_886_495_518_194_401_280_000_000));
        assert_eq!(factorial(34).unwrap_err().code(), Code::Overflow);
        assert_eq!(binom(40, 20).unwrap(), Wide(137_846_528_820));
        assert!(binom(i64::MAX, i64::MAX / 2).is_err());
    }
}
