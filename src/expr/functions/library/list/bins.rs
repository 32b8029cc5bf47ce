//! Histograms over bins that are given: how many values are at most as large as each bin and larger than the one before, or
//! equal to it; and bins of the same width.
//!
//! What belongs to no bin is counted under a value of its own: the greatest number, or the empty text.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, MapArray, StructArray, UInt32Array, UInt64Array};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{concat, take};
use arrow::datatypes::{DataType, Field};
use arrow::row::{RowConverter, SortField};
use datafusion_common::{Result as DataFusionResult, ScalarValue};
use datafusion_expr::type_coercion::binary::comparison_coercion;

use super::Lists;
use super::statistics::{entries, histogram_type};
use crate::error::{Code, Error};
use crate::expr::functions::library::function::{Arguments, Bound, Function, Overload, function, item_type};
use crate::expr::functions::library::typed::{Bool, Double, Int, list_type, row4};

/// Bins of one call.
const MOST_BINS: i64 = 1_000_000;

/// The functions of this file.
pub(super) fn functions() -> Vec<Function> {
    vec![
        function("#histogram_bins", "list, bins", "How many values are in every bin", [of_bins(false)]),
        function("#histogram_exact", "list, bins", "How many values are every bin", [of_bins(true)]),
        function(
            "is_histogram_other_bin",
            "bin",
            "Whether values that belong to no bin are counted under this one",
            [Overload::generic(
                |types| match types {
                    [item] => other(item).map(|_| Bound { arguments: types.to_vec(), result: DataType::Boolean }),
                    _ => None,
                },
                is_other,
            )],
        ),
        function(
            "equi_width_bins",
            "least, greatest, count, nice_rounding",
            "The upper bounds of so many bins of the same width, or of about so many with round bounds",
            [
                row4::<Int, Int, Int, Bool, _>(|least, greatest, count, nice| {
                    whole_bins(least, greatest, checked(count, least as f64, greatest as f64)?, nice)
                }),
                row4::<Double, Double, Int, Bool, _>(|least, greatest, count, nice| {
                    Ok(bins(least, greatest, checked(count, least, greatest)?, nice))
                }),
            ],
        ),
    ]
}

fn of_bins(exact: bool) -> Overload {
    let bind = |types: &[DataType]| {
        let [list, bins] = types else { return None };
        let (value, bin) = (item_type(list)?, item_type(bins)?);
        let item = if value == bin { value.clone() } else { comparison_coercion(value, bin)? };
        other(&item)?;
        Some(Bound { arguments: vec![list_type(item.clone()), list_type(item.clone())], result: histogram_type(&item) })
    };
    Overload::generic(bind, move |arguments| histogram(arguments, exact))
}

/// What stands for the values that belong to no bin of this type.
fn other(item: &DataType) -> Option<ScalarValue> {
    match item {
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => ScalarValue::new_default(item).ok(),
        number if number.is_numeric() => ScalarValue::max(number),
        _ => None,
    }
}

fn is_other(arguments: &Arguments) -> DataFusionResult<ArrayRef> {
    let bins = arguments.array(0)?;
    let Some(other) = other(bins.data_type()) else { return Ok(Arc::new(BooleanArray::new_null(arguments.rows))) };
    Ok(Arc::new(arrow::compute::kernels::cmp::eq(&bins, &other.to_scalar()?)?))
}

fn histogram(arguments: &Arguments, exact: bool) -> DataFusionResult<ArrayRef> {
    let (lists, bins) = (Lists::of(arguments, 0)?, Lists::of(arguments, 1)?);
    let item = bins.values().data_type().clone();
    let converter = RowConverter::new(vec![SortField::new(item.clone())])?;
    let value_rows = converter.convert_columns(std::slice::from_ref(lists.values()))?;
    let bin_rows = converter.convert_columns(std::slice::from_ref(bins.values()))?;
    let Some(other) = other(&item) else { return Err(Error::internal("a histogram of such bins").into()) };
    // The value for all others stands behind the bins.
    let keys = concat(&[bins.values().as_ref(), other.to_array()?.as_ref()])?;
    let (mut picked, mut counts, mut lengths, mut valid) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for row in 0..arguments.rows {
        let values: Vec<usize> =
            lists.range(row).into_iter().flatten().filter(|index| lists.values().is_valid(*index)).collect();
        let range = bins.range(row).filter(|_| !values.is_empty());
        valid.push(range.is_some());
        let mut bounds: Vec<usize> =
            range.clone().into_iter().flatten().filter(|index| bins.values().is_valid(*index)).collect();
        bounds.sort_by(|a, b| bin_rows.row(*a).cmp(&bin_rows.row(*b)));
        bounds.dedup_by(|a, b| bin_rows.row(*a) == bin_rows.row(*b));
        let mut found = vec![0_u64; bounds.len() + 1];
        for index in values.iter().filter(|_| range.is_some()) {
            let value = value_rows.row(*index);
            let bin = bounds.partition_point(|bound| bin_rows.row(*bound) < value);
            let belongs = !exact || bounds.get(bin).is_some_and(|bound| bin_rows.row(*bound) == value);
            let place = if belongs { bin } else { bounds.len() };
            if let Some(count) = found.get_mut(place) {
                *count += 1;
            }
        }
        bounds.push(keys.len() - 1);
        // Nothing else: then the others are not there.
        let length = if range.is_none() { 0 } else { bounds.len() - usize::from(found.last() == Some(&0)) };
        for (bound, count) in bounds.iter().zip(found).take(length) {
            picked.push(u32::try_from(*bound).map_err(|_| super::too_long())?);
            counts.push(count);
        }
        lengths.push(length);
    }
    let keys = take(&keys, &UInt32Array::from(picked), None)?;
    let fields = entries(keys.data_type());
    let counts: ArrayRef = Arc::new(UInt64Array::from(counts));
    let entries = StructArray::try_new(fields.clone(), vec![keys, counts], None)?;
    let field = Arc::new(Field::new("entries", DataType::Struct(fields), false));
    let nulls = Some(NullBuffer::from(valid));
    Ok(Arc::new(MapArray::try_new(field, OffsetBuffer::from_lengths(lengths), entries, nulls, false)?))
}

/// The number of bins, where they can be made.
fn checked(count: i64, least: f64, greatest: f64) -> Result<i64, Error> {
    let invalid = |message: String| Err(Error::new(Code::InvalidQuery, message));
    if !(1..=MOST_BINS).contains(&count) {
        return invalid(format!("equi_width_bins makes 1 to {MOST_BINS} bins, not {count}"));
    }
    if !least.is_finite() || !greatest.is_finite() || least > greatest {
        return invalid(format!("equi_width_bins has no bins from {least} to {greatest}"));
    }
    Ok(count)
}

fn whole_bins(least: i64, greatest: i64, count: i64, nice: bool) -> Result<Vec<i64>, Error> {
    if least == greatest {
        return Ok(vec![greatest]);
    }
    let (low, high, count) = (i128::from(least), i128::from(greatest), i128::from(count));
    let step = nice_step((high - low) as f64 / count as f64).max(1.0) as i128;
    let mut bins: Vec<i128> = if nice {
        let top = high.div_euclid(step) + i128::from(high.rem_euclid(step) > 0);
        (0..).map(|index| (top - index) * step).take_while(|bin| *bin > low).collect()
    } else {
        (0..count).map(|index| (high * count - (high - low) * index) / count).collect()
    };
    bins.reverse();
    bins.dedup();
    let too_large = |_| Error::new(Code::Overflow, "a bin of equi_width_bins is beyond BIGINT");
    bins.into_iter().map(|bin| i64::try_from(bin).map_err(too_large)).collect()
}

fn bins(least: f64, greatest: f64, count: i64, nice: bool) -> Vec<f64> {
    if least == greatest {
        return vec![greatest];
    }
    let width = (greatest - least) / count as f64;
    let mut bins = if nice {
        let step = nice_step(width);
        // Below one the multiples of the inverse are exact as far as can be.
        let multiple = |times: f64| if step < 1.0 { times / (1.0 / step).round() } else { times * step };
        let top = (greatest / step).ceil();
        let bins = (0..2 * MOST_BINS).map(|index| multiple(top - index as f64));
        bins.take_while(|bin| *bin > least).collect::<Vec<_>>()
    } else {
        std::iter::successors(Some(greatest), |bin| Some(bin - width)).take(count as usize).collect()
    };
    bins.reverse();
    bins
}

/// The number next to `width` that is 1, 2 or 5 times a power of ten (Heckbert, "Nice numbers for graph labels", 1990).
fn nice_step(width: f64) -> f64 {
    let power = 10_f64.powf(width.log10().floor());
    let times = match width / power {
        small if small < 1.5 => 1.0,
        small if small < 3.0 => 2.0,
        middle if middle < 7.0 => 5.0,
        _ => 10.0,
    };
    times * power
}
