//! The loops of checked arithmetic.
//!
//! Each binary kernel has two ways. The fast one computes every row without a branch and gathers a *doubt* word, which
//! is zero only when every result is certainly right. In doubt, the precise one runs: arrow's checked kernel, which
//! looks at the nulls and raises the error. So the fast way may be careless, never wrong.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, Datum, PrimitiveArray};
use arrow::buffer::NullBuffer;
use arrow::compute::kernels::numeric;
use arrow::datatypes::{
    ArrowNativeType, DECIMAL128_MAX_PRECISION, DataType, Decimal128Type, Decimal256Type, Int8Type, Int16Type,
    Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, i256,
};
use arrow::error::ArrowError;

use super::operator::CheckedOperator;

/// Every HUGEINT and DECIMAL lies strictly between minus this and this.
pub(crate) const DECIMAL128_LIMIT: i128 = 10_i128.pow(38);

/// `left operator right`, row by row, as `result_type`.
///
/// # Errors
/// `ArithmeticOverflow` when a result does not fit its type, `DivideByZero` for integers and decimals.
pub(crate) fn binary(
    operator: CheckedOperator,
    left: &dyn Datum,
    right: &dyn Datum,
    result_type: &DataType,
) -> Result<ArrayRef, ArrowError> {
    if let Some(result) = fast(operator, left, right, result_type) {
        return Ok(result);
    }
    let result = match operator {
        CheckedOperator::Add => numeric::add(left, right),
        CheckedOperator::Subtract => numeric::sub(left, right),
        CheckedOperator::Multiply => numeric::mul(left, right),
        CheckedOperator::Divide => numeric::div(left, right),
        CheckedOperator::Modulo => numeric::rem(left, right),
        CheckedOperator::Negate => Err(ArrowError::ComputeError("unary minus takes one argument".into())),
    }?;
    check_decimal_range(&result, result_type)?;
    in_digits(result, result_type)
}

/// A decimal in as many digits as its type says; the values are known to fit.
fn in_digits(array: ArrayRef, result_type: &DataType) -> Result<ArrayRef, ArrowError> {
    match (array.data_type(), result_type) {
        (found, DataType::Decimal128(precision, scale)) if found != result_type && found.is_decimal() => {
            let decimals = array.as_primitive::<Decimal128Type>().clone();
            Ok(Arc::new(decimals.with_precision_and_scale(*precision, *scale)?))
        }
        _ => Ok(array),
    }
}

/// `-array`, row by row.
///
/// # Errors
/// `ArithmeticOverflow` for the smallest integer of a type.
pub(crate) fn negate(array: &dyn Array) -> Result<ArrayRef, ArrowError> {
    numeric::neg(array)
}

/// An error when a decimal has more digits than its type, or than the widest decimal of its kind.
fn check_decimal_range(array: &ArrayRef, result_type: &DataType) -> Result<(), ArrowError> {
    let inside = match array.data_type() {
        DataType::Decimal128(..) => {
            let limit = match result_type {
                DataType::Decimal128(precision, _) => limit_of(*precision),
                _ => DECIMAL128_LIMIT,
            };
            let values = array.as_primitive::<Decimal128Type>();
            values.iter().flatten().all(|value| value.unsigned_abs() < limit.unsigned_abs())
        }
        DataType::Decimal256(..) => {
            let limit = i256::from_i128(DECIMAL128_LIMIT).wrapping_mul(i256::from_i128(DECIMAL128_LIMIT));
            let values = array.as_primitive::<Decimal256Type>();
            values.iter().flatten().all(|value| value < limit && value > limit.wrapping_neg())
        }
        _ => true,
    };
    if inside { Ok(()) } else { Err(ArrowError::ArithmeticOverflow("more digits than a decimal has".into())) }
}

/// The fast way, for the types that queries are full of; `None` in doubt.
fn fast(operator: CheckedOperator, left: &dyn Datum, right: &dyn Datum, result_type: &DataType) -> Option<ArrayRef> {
    match (left.get().0.data_type(), right.get().0.data_type()) {
        (DataType::Int64, DataType::Int64) => fast_int64(operator, left, right),
        (DataType::Int32, DataType::Int32) => fast_narrow::<Int32Type>(operator, left, right),
        (DataType::Int16, DataType::Int16) => fast_narrow::<Int16Type>(operator, left, right),
        (DataType::Int8, DataType::Int8) => fast_narrow::<Int8Type>(operator, left, right),
        (DataType::UInt32, DataType::UInt32) => fast_narrow::<UInt32Type>(operator, left, right),
        (DataType::UInt16, DataType::UInt16) => fast_narrow::<UInt16Type>(operator, left, right),
        (DataType::UInt8, DataType::UInt8) => fast_narrow::<UInt8Type>(operator, left, right),
        (DataType::Decimal128(_, left_scale), DataType::Decimal128(_, right_scale)) => {
            fast_decimal(operator, (left, *left_scale), (right, *right_scale), result_type)
        }
        _ => None,
    }
}

/// One side of a kernel: a column or one value for all rows.
#[derive(Clone, Copy)]
enum Side<'a, T: ArrowPrimitiveType> {
    Column(&'a PrimitiveArray<T>),
    Constant(T::Native),
}

impl<'a, T: ArrowPrimitiveType> Side<'a, T> {
    /// `None` for a NULL constant, which the precise way handles.
    fn new(datum: &'a dyn Datum) -> Option<Self> {
        let (array, is_scalar) = datum.get();
        let array = array.as_primitive_opt::<T>()?;
        if !is_scalar {
            return Some(Side::Column(array));
        }
        let value = array.values().first().filter(|_| array.null_count() == 0)?;
        Some(Side::Constant(*value))
    }
}

/// Applies `step` to every row; `None` when the doubt words, or-ed, are not zero.
fn combine<T: ArrowPrimitiveType>(
    left: Side<T>,
    right: Side<T>,
    step: impl Fn(T::Native, T::Native) -> (T::Native, u64),
) -> Option<(Vec<T::Native>, Option<NullBuffer>)> {
    let mut doubt = 0;
    let mut next = |left, right| {
        let (value, word) = step(left, right);
        doubt |= word;
        value
    };
    let (values, nulls): (Vec<_>, _) = match (left, right) {
        (Side::Column(left), Side::Column(right)) => {
            let pairs = left.values().iter().zip(right.values().iter());
            (pairs.map(|(&left, &right)| next(left, right)).collect(), NullBuffer::union(left.nulls(), right.nulls()))
        }
        (Side::Column(left), Side::Constant(right)) => {
            (left.values().iter().map(|&left| next(left, right)).collect(), left.nulls().cloned())
        }
        (Side::Constant(left), Side::Column(right)) => {
            (right.values().iter().map(|&right| next(left, right)).collect(), right.nulls().cloned())
        }
        (Side::Constant(_), Side::Constant(_)) => return None,
    };
    (doubt == 0).then_some((values, nulls))
}

fn fast_int64(operator: CheckedOperator, left: &dyn Datum, right: &dyn Datum) -> Option<ArrayRef> {
    let (left, right) = (Side::<Int64Type>::new(left)?, Side::<Int64Type>::new(right)?);
    let (values, nulls) = match operator {
        CheckedOperator::Add => combine(left, right, |left, right| {
            let sum = left.wrapping_add(right);
            (sum, sign_bit((left ^ sum) & (right ^ sum)))
        }),
        CheckedOperator::Subtract => combine(left, right, |left, right| {
            let difference = left.wrapping_sub(right);
            (difference, sign_bit((left ^ right) & (left ^ difference)))
        }),
        CheckedOperator::Multiply => combine(left, right, |left, right| {
            let (product, overflow) = left.overflowing_mul(right);
            (product, u64::from(overflow))
        }),
        _ => None,
    }?;
    Some(Arc::new(PrimitiveArray::<Int64Type>::new(values.into(), nulls)))
}

/// Integers of up to 32 bits, calculated with 64.
fn fast_narrow<T>(operator: CheckedOperator, left: &dyn Datum, right: &dyn Datum) -> Option<ArrayRef>
where
    T: ArrowPrimitiveType,
    T::Native: Into<i64>,
{
    let (left, right) = (Side::<T>::new(left)?, Side::<T>::new(right)?);
    // A product of two UINTEGERs that wraps is negative, and so none.
    let narrow = |wide: i64| {
        let value = T::Native::usize_as(wide as usize);
        let again: i64 = value.into();
        (value, (again ^ wide).cast_unsigned())
    };
    let (values, nulls) = match operator {
        CheckedOperator::Add => combine(left, right, |left, right| narrow(left.into() + right.into())),
        CheckedOperator::Subtract => combine(left, right, |left, right| narrow(left.into() - right.into())),
        CheckedOperator::Multiply => combine(left, right, |left, right| narrow(left.into().wrapping_mul(right.into()))),
        _ => None,
    }?;
    Some(Arc::new(PrimitiveArray::<T>::new(values.into(), nulls)))
}

fn fast_decimal(
    operator: CheckedOperator,
    (left, left_scale): (&dyn Datum, i8),
    (right, right_scale): (&dyn Datum, i8),
    result_type: &DataType,
) -> Option<ArrayRef> {
    let &DataType::Decimal128(precision, scale) = result_type else { return None };
    let is_cut = precision < DECIMAL128_MAX_PRECISION && digits(left) + digits(right) > u16::from(precision);
    let (left, right) = (Side::<Decimal128Type>::new(left)?, Side::<Decimal128Type>::new(right)?);
    let (values, nulls) = match operator {
        CheckedOperator::Add | CheckedOperator::Subtract => {
            let left = rescaled(left, left_scale, scale)?;
            let right = rescaled(right, right_scale, scale)?;
            if operator == CheckedOperator::Add {
                combine(left, right, |left, right| {
                    let (sum, overflow) = left.overflowing_add(right);
                    (sum, u64::from(overflow) | beyond_limit(sum))
                })
            } else {
                combine(left, right, |left, right| {
                    let (difference, overflow) = left.overflowing_sub(right);
                    (difference, u64::from(overflow) | beyond_limit(difference))
                })
            }
        }
        // The result has fewer digits than its factors together.
        CheckedOperator::Multiply if is_cut && left_scale.checked_add(right_scale) == Some(scale) => {
            // From minus this to this, counted from zero: one comparison.
            let most = limit_of(precision).cast_unsigned() - 1;
            combine(left, right, |left, right| {
                let product = i128::from(left as i64) * i128::from(right as i64);
                let beyond = u64::from(product.cast_unsigned().wrapping_add(most) > 2 * most);
                (product, beyond_64_bits(left) | beyond_64_bits(right) | beyond)
            })
        }
        // Two 64-bit factors make a product below 2^126, which is below 10^38: one instruction and no check. The
        // result's scale was checked when its type was made.
        CheckedOperator::Multiply if left_scale.checked_add(right_scale) == Some(scale) => {
            combine(left, right, |left, right| {
                let product = i128::from(left as i64) * i128::from(right as i64);
                (product, beyond_64_bits(left) | beyond_64_bits(right))
            })
        }
        _ => None,
    }?;
    let array = PrimitiveArray::<Decimal128Type>::new(values.into(), nulls);
    array.with_precision_and_scale(precision, scale).ok().map(|array| Arc::new(array) as ArrayRef)
}

/// How many digits a decimal has.
fn digits(side: &dyn Datum) -> u16 {
    match side.get().0.data_type() {
        DataType::Decimal128(precision, _) => u16::from(*precision),
        _ => 0,
    }
}

/// Every decimal of so many digits lies strictly between minus this and this.
fn limit_of(precision: u8) -> i128 {
    10_i128.checked_pow(precision.into()).unwrap_or(DECIMAL128_LIMIT)
}

/// A side in another scale. Columns are taken only as they are; a constant costs nothing to scale.
fn rescaled(side: Side<Decimal128Type>, from: i8, to: i8) -> Option<Side<Decimal128Type>> {
    match side {
        Side::Column(_) => (from == to).then_some(side),
        Side::Constant(value) => {
            let digits = u32::try_from(to.checked_sub(from)?).ok()?;
            Some(Side::Constant(value.checked_mul(10_i128.checked_pow(digits)?)?))
        }
    }
}

fn sign_bit(word: i64) -> u64 {
    word.cast_unsigned() >> 63
}

/// Zero when `value` has at most 38 digits.
fn beyond_limit(value: i128) -> u64 {
    u64::from(value >= DECIMAL128_LIMIT || value <= -DECIMAL128_LIMIT)
}

/// Zero when `value` is a 64-bit integer.
fn beyond_64_bits(value: i128) -> u64 {
    (value.wrapping_add(1 << 63) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use arrow::array::{Decimal128Array, Int8Array, Int32Array, Int64Array, Scalar, UInt32Array};

    use super::*;

    const OPERATORS: [CheckedOperator; 3] =
        [CheckedOperator::Add, CheckedOperator::Subtract, CheckedOperator::Multiply];

    fn decimal(values: &[i128], precision: u8, scale: i8) -> Decimal128Array {
        Decimal128Array::from(values.to_vec()).with_precision_and_scale(precision, scale).unwrap()
    }

    #[test]
    fn edges_of_64_bits_are_exact_or_an_error() {
        let edges = [0, 1, -1, 2, -2, 3_037_000_500, i64::MAX, i64::MAX - 1, i64::MIN, i64::MIN + 1];
        for operator in OPERATORS {
            for left in edges {
                for right in edges {
                    let expected = match operator {
                        CheckedOperator::Add => left.checked_add(right),
                        CheckedOperator::Subtract => left.checked_sub(right),
                        _ => left.checked_mul(right),
                    };
                    let (left, right) = (Int64Array::from(vec![1, left]), Int64Array::from(vec![1, right]));
                    let result = binary(operator, &left, &right, &DataType::Int64);
                    match expected {
                        Some(value) => {
                            assert_eq!(result.unwrap().as_primitive::<Int64Type>().value(1), value)
                        }
                        None => assert!(matches!(result, Err(ArrowError::ArithmeticOverflow(_)))),
                    }
                }
            }
        }
    }

    #[test]
    fn edges_of_32_bits_are_exact_or_an_error() {
        let edges = [0, 1, -1, 46_341, i32::MAX, i32::MIN];
        for operator in OPERATORS {
            for left in edges {
                for right in edges {
                    let expected = match operator {
                        CheckedOperator::Add => left.checked_add(right),
                        CheckedOperator::Subtract => left.checked_sub(right),
                        _ => left.checked_mul(right),
                    };
                    let right = Scalar::new(Int32Array::from(vec![right]));
                    let result = binary(operator, &Int32Array::from(vec![left]), &right, &DataType::Int32).ok();
                    let result = result.map(|array| array.as_primitive::<Int32Type>().value(0));
                    assert_eq!(result, expected);
                }
            }
        }
    }

    #[test]
    fn small_integers_are_exact_or_an_error() {
        for operator in OPERATORS {
            for left in i8::MIN..=i8::MAX {
                for right in i8::MIN..=i8::MAX {
                    let expected = match operator {
                        CheckedOperator::Add => left.checked_add(right),
                        CheckedOperator::Subtract => left.checked_sub(right),
                        _ => left.checked_mul(right),
                    };
                    let right = Scalar::new(Int8Array::from(vec![right]));
                    let result = binary(operator, &Int8Array::from(vec![left]), &right, &DataType::Int8).ok();
                    assert_eq!(result.map(|array| array.as_primitive::<Int8Type>().value(0)), expected);
                }
            }
            let edges = [0, 1, 65_535, 65_536, 65_537, u32::MAX - 1, u32::MAX];
            for (left, right) in edges.iter().flat_map(|left| edges.iter().map(move |right| (*left, *right))) {
                let expected = match operator {
                    CheckedOperator::Add => left.checked_add(right),
                    CheckedOperator::Subtract => left.checked_sub(right),
                    _ => left.checked_mul(right),
                };
                let right = Scalar::new(UInt32Array::from(vec![right]));
                let result = binary(operator, &UInt32Array::from(vec![left]), &right, &DataType::UInt32).ok();
                assert_eq!(result.map(|array| array.as_primitive::<UInt32Type>().value(0)), expected);
            }
        }
    }

    #[test]
    fn null_rows_never_overflow() {
        let left = PrimitiveArray::<Int64Type>::new(vec![i64::MAX, 1].into(), Some(vec![false, true].into()));
        let right = Int64Array::from(vec![1, 1]);
        let sum = binary(CheckedOperator::Add, &left, &right, &DataType::Int64).unwrap();
        assert_eq!(sum.as_primitive::<Int64Type>(), &Int64Array::from(vec![None, Some(2)]));
    }

    #[test]
    fn hugeint_stops_at_38_digits() {
        let largest = DECIMAL128_LIMIT - 1;
        let result_type = DataType::Decimal128(38, 0);
        let one = decimal(&[1], 38, 0);
        let sum = binary(CheckedOperator::Add, &decimal(&[largest], 38, 0), &one, &result_type);
        assert!(matches!(sum, Err(ArrowError::ArithmeticOverflow(_))));
        let sum = binary(CheckedOperator::Add, &decimal(&[largest - 1], 38, 0), &one, &result_type).unwrap();
        assert_eq!(sum.as_primitive::<Decimal128Type>().value(0), largest);
        let product =
            binary(CheckedOperator::Multiply, &decimal(&[1 << 64], 38, 0), &decimal(&[1 << 63], 38, 0), &result_type);
        assert!(product.is_err());
    }

    #[test]
    fn decimal_products_and_rescaled_constants_agree_with_arrow() {
        let price = decimal(&[12_345, -99_999_999, i128::from(i64::MAX)], 15, 2);
        let discount = decimal(&[5, 10, 0], 15, 2);
        let one = Scalar::new(decimal(&[1], 20, 0));
        let expected = numeric::sub(&one, &discount).unwrap();
        let result = binary(CheckedOperator::Subtract, &one, &discount, expected.data_type()).unwrap();
        assert_eq!(&result, &expected);
        let expected = numeric::mul(&price, &result).unwrap();
        assert!(fast(CheckedOperator::Multiply, &price, &result.as_ref(), expected.data_type()).is_some());
        assert_eq!(
            &binary(CheckedOperator::Multiply, &price, &result.as_ref(), expected.data_type()).unwrap(),
            &expected
        );
    }

    #[test]
    fn products_of_18_digits_stop_there() {
        let result_type = DataType::Decimal128(18, 4);
        let product = |left: i128, right: i128| {
            let (left, right) = (decimal(&[1, left], 15, 2), decimal(&[1, right], 15, 2));
            binary(CheckedOperator::Multiply, &left, &right, &result_type)
        };
        let largest = product(999_999_999, 1_000_000_001).unwrap();
        assert_eq!(largest.as_primitive::<Decimal128Type>().value(1), 999_999_999_999_999_999);
        for right in [1_000_000_000, -1_000_000_000] {
            assert!(matches!(product(1_000_000_000, right), Err(ArrowError::ArithmeticOverflow(_))));
        }
    }

    #[test]
    fn division_by_zero_is_an_error() {
        let result =
            binary(CheckedOperator::Divide, &Int64Array::from(vec![1]), &Int64Array::from(vec![0]), &DataType::Int64);
        assert!(matches!(result, Err(ArrowError::DivideByZero)));
        let result = binary(
            CheckedOperator::Divide,
            &Int64Array::from(vec![i64::MIN]),
            &Int64Array::from(vec![-1]),
            &DataType::Int64,
        );
        assert!(matches!(result, Err(ArrowError::ArithmeticOverflow(_))));
    }
}
