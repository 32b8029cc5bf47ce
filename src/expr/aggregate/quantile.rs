//! Quantiles of groups of values.
//!
//! The value in question is found by selection, in time proportional to the group (Hoare, "Algorithm 65: find", CACM 1961,
//! as the standard library has it); only several fractions of one group are worth sorting it.
//!
//! Invariant: NaN is one value, greater than all numbers, and zero has no sign. Decimals are interpolated towards zero, as
//! integers.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowNativeTypeOp, ArrowPrimitiveType, AsArray, Int64Array, PrimitiveArray, UInt32Array,
    downcast_primitive_array,
};
use arrow::compute::{cast, concat, take};
use arrow::datatypes::{DataType, Decimal32Type, Decimal64Type, Decimal128Type, Float32Type, Float64Type, Int64Type};
use arrow::row::{RowConverter, SortField};

use crate::batch::hash::{canonical_f32, canonical_f64};
use crate::error::{Error, Result};

/// A place in the order of values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fraction {
    /// From 0 (the first) to 1 (the last).
    pub fraction: f64,
    /// In the descending order.
    pub descending: bool,
}

/// Where a quantile lies: between two places of the ascending order, or at one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Place {
    pub(super) low: usize,
    pub(super) high: usize,
    /// How far from `low` to `high`.
    pub(super) weight: f64,
}

impl Fraction {
    /// Where the quantile of `count` (at least one) values lies.
    pub(super) fn place(self, count: usize, continuous: bool) -> Place {
        let last = count.saturating_sub(1);
        let (low, high, weight) = if continuous {
            let rank = self.fraction * last as f64;
            let low = (rank.floor() as usize).min(last);
            (low, (rank.ceil() as usize).min(last), rank - low as f64)
        } else {
            // The first value with at least that fraction of the values up to it.
            let above = (count as f64 - self.fraction * count as f64).floor() as usize;
            let index = count.saturating_sub(above).max(1) - 1;
            (index, index, 0.0)
        };
        match self.descending {
            true => Place { low: last - low, high: last - high, weight },
            false => Place { low, high, weight },
        }
    }
}

/// The quantiles of each group, one for each fraction; NULL for a group without values. There are no NULLs among the
/// values.
pub(super) fn quantiles(
    values: &ArrayRef,
    starts: &[usize],
    fractions: &[Fraction],
    continuous: bool,
) -> Result<ArrayRef> {
    let continuous = continuous && has_middle(values.data_type());
    let canonical = one_zero_one_nan(values);
    let values: &dyn Array = canonical.as_ref();
    let selected = downcast_primitive_array!(
        values => select(values, starts, fractions, continuous),
        _ => select_by_rows(&canonical, starts, fractions)?,
    );
    if continuous { interpolate(selected) } else { Ok(selected.low) }
}

/// The quantiles of one group of `count` sorted values, one for each fraction; `value_at` gives a value as one row.
pub(super) fn sorted_quantiles(
    count: usize,
    fractions: &[Fraction],
    continuous: bool,
    mut value_at: impl FnMut(usize) -> Result<ArrayRef>,
) -> Result<ArrayRef> {
    let continuous = continuous && has_middle(value_at(0)?.data_type());
    let places: Vec<Place> = fractions.iter().map(|fraction| fraction.place(count, continuous)).collect();
    let mut values = |at: fn(&Place) -> usize| {
        let values = places.iter().map(|place| value_at(at(place))).collect::<Result<Vec<_>>>()?;
        let values: Vec<&dyn Array> = values.iter().map(AsRef::as_ref).collect();
        Ok::<_, Error>(one_zero_one_nan(&concat(&values)?))
    };
    let low = values(|place| place.low)?;
    if !continuous {
        return Ok(low);
    }
    let high = values(|place| place.high)?;
    interpolate(Selected { low, high, weights: places.iter().map(|place| place.weight).collect() })
}

/// Whether something lies between two values of that type.
fn has_middle(data_type: &DataType) -> bool {
    data_type.is_floating() || data_type.is_decimal() || matches!(data_type, DataType::Timestamp(..))
}

fn one_zero_one_nan(values: &ArrayRef) -> ArrayRef {
    match values.data_type() {
        DataType::Float64 => Arc::new(values.as_primitive::<Float64Type>().unary::<_, Float64Type>(canonical_f64)),
        DataType::Float32 => Arc::new(values.as_primitive::<Float32Type>().unary::<_, Float32Type>(canonical_f32)),
        _ => values.clone(),
    }
}

/// For each group and fraction the values at both ends of the place, and how far from the first to the second.
struct Selected {
    low: ArrayRef,
    high: ArrayRef,
    weights: Vec<f64>,
}

fn select<T: ArrowPrimitiveType>(
    values: &PrimitiveArray<T>,
    starts: &[usize],
    fractions: &[Fraction],
    continuous: bool,
) -> Selected {
    let places = fractions.len() * starts.len().saturating_sub(1);
    let mut lows: Vec<Option<T::Native>> = Vec::with_capacity(places);
    let mut highs: Vec<Option<T::Native>> = Vec::with_capacity(places);
    let mut weights = Vec::with_capacity(places);
    let mut group: Vec<T::Native> = Vec::new();
    for bounds in starts.windows(2) {
        group.clear();
        group.extend_from_slice(&values.values()[bounds[0]..bounds[1]]);
        if fractions.len() > 1 {
            group.sort_unstable_by(|left, right| left.compare(*right));
        }
        for fraction in fractions {
            let place = fraction.place(group.len(), continuous);
            let (low, high) = match group.is_empty() {
                true => (None, None),
                false if fractions.len() > 1 => (group.get(place.low).copied(), group.get(place.high).copied()),
                false => two_places(&mut group, place),
            };
            lows.push(low);
            highs.push(high);
            weights.push(place.weight);
        }
    }
    let array = |found: Vec<Option<T::Native>>| {
        Arc::new(PrimitiveArray::<T>::from_iter(found).with_data_type(values.data_type().clone())) as ArrayRef
    };
    Selected { low: array(lows), high: array(highs), weights }
}

/// The values at two neighbouring places, which may be one, of a group that is not empty.
fn two_places<N: ArrowNativeTypeOp>(group: &mut [N], place: Place) -> (Option<N>, Option<N>) {
    let (first, second) = (place.low.min(place.high), place.low.max(place.high));
    let (_, &mut at_first, behind) = group.select_nth_unstable_by(first, |left, right| left.compare(*right));
    let at_second = match second > first {
        true => behind.iter().copied().reduce(|least, value| if value.compare(least).is_lt() { value } else { least }),
        false => Some(at_first),
    };
    if place.low <= place.high { (Some(at_first), at_second) } else { (at_second, Some(at_first)) }
}

/// As `select`, for values of any type that has an order; nothing lies between two of them.
fn select_by_rows(values: &ArrayRef, starts: &[usize], fractions: &[Fraction]) -> Result<Selected> {
    let converter = RowConverter::new(vec![SortField::new(values.data_type().clone())])?;
    let rows = converter.convert_columns(std::slice::from_ref(values))?;
    let mut found: Vec<Option<u32>> = Vec::new();
    let too_many = |_| Error::internal("more than 2^32 values in one batch of groups");
    for bounds in starts.windows(2) {
        let mut group: Vec<usize> = (bounds[0]..bounds[1]).collect();
        group.sort_unstable_by(|&left, &right| rows.row(left).cmp(&rows.row(right)));
        for fraction in fractions {
            let row = group.get(fraction.place(group.len(), false).low);
            found.push(row.map(|&row| u32::try_from(row)).transpose().map_err(too_many)?);
        }
    }
    let low = take(values, &UInt32Array::from(found), None)?;
    Ok(Selected { high: low.clone(), low, weights: Vec::new() })
}

/// What lies between the two values of each place.
fn interpolate(selected: Selected) -> Result<ArrayRef> {
    let data_type = selected.low.data_type().clone();
    match &data_type {
        DataType::Float64 => Ok(between::<Float64Type>(selected, &data_type, between_floats)),
        DataType::Float32 => Ok(between::<Float32Type>(selected, &data_type, |low, high, weight| {
            between_floats(f64::from(low), f64::from(high), weight) as f32
        })),
        DataType::Decimal128(..) => Ok(between::<Decimal128Type>(selected, &data_type, between_integers)),
        DataType::Decimal64(..) => Ok(between::<Decimal64Type>(selected, &data_type, |low, high, weight| {
            between_integers(i128::from(low), i128::from(high), weight) as i64
        })),
        DataType::Decimal32(..) => Ok(between::<Decimal32Type>(selected, &data_type, |low, high, weight| {
            between_integers(i128::from(low), i128::from(high), weight) as i32
        })),
        DataType::Timestamp(..) => {
            let instants = |array: &ArrayRef| array.as_any().downcast_ref::<Int64Array>().cloned();
            let instant = |array: &ArrayRef| cast(array, &DataType::Int64).map(|cast| instants(&cast));
            let (Some(low), Some(high)) = (instant(&selected.low)?, instant(&selected.high)?) else {
                return Err(Error::internal("timestamps that are not integers"));
            };
            let selected = Selected { low: Arc::new(low), high: Arc::new(high), weights: selected.weights };
            let between = between::<Int64Type>(selected, &DataType::Int64, |low, high, weight| {
                between_integers(i128::from(low), i128::from(high), weight) as i64
            });
            Ok(cast(&between, &data_type)?)
        }
        other => Err(Error::internal(format!("nothing lies between two values of type {other}"))),
    }
}

fn between<T: ArrowPrimitiveType>(
    selected: Selected,
    data_type: &DataType,
    value: impl Fn(T::Native, T::Native, f64) -> T::Native,
) -> ArrayRef {
    let (low, high) = (selected.low.as_primitive::<T>(), selected.high.as_primitive::<T>());
    let pairs = low.iter().zip(high.iter()).zip(&selected.weights);
    let values = pairs.map(|((low, high), &weight)| match (low?, high?) {
        (low, _) if weight == 0.0 => Some(low),
        (low, high) => Some(value(low, high, weight)),
    });
    Arc::new(PrimitiveArray::<T>::from_iter(values).with_data_type(data_type.clone()))
}

fn between_floats(low: f64, high: f64, weight: f64) -> f64 {
    low * (1.0 - weight) + high * weight
}

/// The result lies between `low` and `high`, hence is of their type.
fn between_integers(low: i128, high: i128, weight: f64) -> i128 {
    if weight == 0.5 {
        // Exact. Only numbers of one sign overflow, and the halves of two odd ones make up what is lost.
        let halves = || low / 2 + high / 2 + (low % 2 + high % 2) / 2;
        return low.checked_add(high).map_or_else(halves, |sum| sum / 2);
    }
    const EXACT: u128 = 1 << 53;
    if low.unsigned_abs() < EXACT && high.unsigned_abs() < EXACT {
        return between_floats(low as f64, high as f64, weight) as i128;
    }
    let step = high.wrapping_sub(low) as f64 * weight;
    low.wrapping_add(step as i128).clamp(low.min(high), low.max(high))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, StringArray};

    use super::*;

    const fn at(fraction: f64) -> Fraction {
        Fraction { fraction, descending: false }
    }

    #[test]
    fn the_middle_of_two_integers_is_rounded_towards_zero() {
        for (low, high, middle) in [(-27, 100, 36), (-100, 27, -36), (3, 4, 3), (-4, -3, -3), (-1, 1, 0), (5, 7, 6)] {
            assert_eq!(between_integers(low, high, 0.5), middle, "{low} and {high}");
        }
        assert_eq!(between_integers(i128::MAX - 2, i128::MAX, 0.5), i128::MAX - 1);
        assert_eq!(between_integers(i128::MIN, i128::MIN + 1, 0.5), i128::MIN + 1);
    }

    #[test]
    fn places_are_those_of_the_standard() {
        assert_eq!(at(0.5).place(4, true), Place { low: 1, high: 2, weight: 0.5 });
        assert_eq!(at(1.0).place(4, true), Place { low: 3, high: 3, weight: 0.0 });
        assert_eq!(at(0.29).place(100, false).low, 28);
        assert_eq!(at(0.0).place(4, false).low, 0);
        assert_eq!(Fraction { fraction: 0.5, descending: true }.place(10, false).low, 5);
    }

    #[test]
    fn the_middle_of_floats_of_decimals_and_of_nothing() {
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![f64::NAN, 1.0, -0.0, 7.0, 2.0]));
        let medians = quantiles(&floats, &[0, 3, 3, 5], &[at(0.5)], true).expect("medians");
        let medians: Vec<_> = medians.as_primitive::<Float64Type>().iter().collect();
        assert_eq!(medians, [Some(1.0), None, Some(4.5)]);
        assert_eq!(between_integers(-104, -101, 0.5), -102);
        assert_eq!(between_integers(101, 104, 0.9), 103);
        assert_eq!(between_integers(i128::MAX, i128::MAX - 3, 0.5), i128::MAX - 2);
    }

    #[test]
    fn of_texts_the_lower() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["d", "a", "c", "b"]));
        let found = quantiles(&texts, &[0, 4], &[at(0.5), at(1.0)], true).expect("quantiles");
        assert_eq!(found.as_string::<i32>().iter().collect::<Vec<_>>(), [Some("b"), Some("d")]);
    }
}
