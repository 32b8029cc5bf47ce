//! What is told of all values of a list at once: how often each occurs, and measures of that.
//!
//! The aggregates of the same names are these functions over `list(value)`, so that their values wait where those of all
//! aggregates without a bound wait.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, MapArray, StructArray, UInt32Array, UInt64Array};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, Fields, Float64Type};
use arrow::row::{RowConverter, SortField};
use datafusion_common::Result as DataFusionResult;

use super::{Lists, Picker, of_list};
use crate::error::{Code, Error};
use crate::expr::functions::library::function::{Arguments, Bound, Function, Overload, function, item_type};
use crate::expr::functions::library::typed::list_type;

/// The functions of this file.
pub(super) fn functions() -> Vec<Function> {
    let numbers = |value: fn(&[f64]) -> Option<f64>| {
        let bind = |types: &[DataType]| {
            let [list] = types else { return None };
            let item = item_type(list)?;
            let fits = item.is_numeric() || *item == DataType::Null;
            fits.then(|| Bound { arguments: vec![list_type(DataType::Float64)], result: DataType::Float64 })
        };
        [Overload::generic(bind, move |arguments| of_numbers(arguments, value))]
    };
    vec![
        function(
            "list_histogram",
            "list",
            "How often every value occurs",
            [of_list(vec![], histogram_type, histogram)],
        ),
        function(
            "list_entropy",
            "list",
            "The entropy of the values in bits",
            [of_list(vec![], |_| DataType::Float64, entropy)],
        ),
        function(
            "#top",
            "list, count",
            "The most frequent values",
            [of_list(vec![DataType::Int64], |item| list_type(item.clone()), top)],
        ),
        function("list_mad", "list", "The median of the distances from the median", numbers(mad)),
        function(
            "list_product",
            "list",
            "The product of the values",
            numbers(|values| (!values.is_empty()).then(|| values.iter().product())),
        ),
        function("list_sem", "list", "The standard error of the mean", numbers(sem)),
        function("list_skewness", "list", "The skewness of a sample", numbers(|values| Moments::of(values).skewness())),
        function(
            "list_kurtosis",
            "list",
            "The excess kurtosis of a sample",
            numbers(|values| Moments::of(values).kurtosis(true)),
        ),
        function(
            "list_kurtosis_pop",
            "list",
            "The excess kurtosis",
            numbers(|values| Moments::of(values).kurtosis(false)),
        ),
    ]
}

fn of_numbers(arguments: &Arguments, value: fn(&[f64]) -> Option<f64>) -> DataFusionResult<ArrayRef> {
    let lists = Lists::of(arguments, 0)?;
    let numbers = lists.values().as_primitive::<Float64Type>();
    let of_row = |row| {
        let values: Vec<f64> =
            lists.range(row)?.filter(|index| numbers.is_valid(*index)).map(|index| numbers.value(index)).collect();
        value(&values)
    };
    Ok(Arc::new(Float64Array::from_iter((0..arguments.rows).map(of_row))))
}

fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = values.get(middle).copied()?;
    match values.get(middle.wrapping_sub(1)).filter(|_| values.len().is_multiple_of(2)) {
        Some(lower) => Some(lower + (upper - lower) / 2.0),
        None => Some(upper),
    }
}

fn mad(values: &[f64]) -> Option<f64> {
    let mut values = values.to_vec();
    let middle = median(&mut values)?;
    values.iter_mut().for_each(|value| *value = (*value - middle).abs());
    median(&mut values)
}

fn sem(values: &[f64]) -> Option<f64> {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / count;
    (!values.is_empty()).then(|| variance.sqrt() / count.sqrt())
}

/// Sums of powers of the distances from the mean.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(in crate::expr) struct Moments {
    pub count: f64,
    pub mean: f64,
    pub second: f64,
    pub third: f64,
    pub fourth: f64,
}

impl Moments {
    fn of(values: &[f64]) -> Self {
        let mut moments = Moments::default();
        values.iter().for_each(|value| moments.add(*value));
        moments
    }

    /// One value more; after Pébay, "Formulas for Robust, One-Pass Parallel Computation of Covariances and Arbitrary-Order
    /// Statistical Moments", 2008.
    pub fn add(&mut self, value: f64) {
        *self = self.merged(&Moments { count: 1.0, mean: value, ..Moments::default() });
    }

    /// Those of both sets of values.
    pub fn merged(&self, other: &Moments) -> Moments {
        if other.count == 0.0 {
            return *self;
        }
        if self.count == 0.0 {
            return *other;
        }
        let (a, b) = (self.count, other.count);
        let count = a + b;
        let delta = other.mean - self.mean;
        let step = delta / count;
        let second = self.second + other.second + delta * step * a * b;
        let third = self.third
            + other.third
            + delta * step * step * a * b * (a - b)
            + 3.0 * step * (a * other.second - b * self.second);
        let fourth = self.fourth
            + other.fourth
            + delta * step * step * step * a * b * (a * a - a * b + b * b)
            + 6.0 * step * step * (a * a * other.second + b * b * self.second)
            + 4.0 * step * (a * other.third - b * self.third);
        Moments { count, mean: self.mean + step * b, second, third, fourth }
    }

    pub fn skewness(&self) -> Option<f64> {
        let n = self.count;
        if n <= 2.0 {
            return None;
        }
        let spread = (self.second / n).powf(1.5);
        let value = (n * (n - 1.0)).sqrt() / (n - 2.0) * (self.third / n) / spread;
        Some(if self.second == 0.0 { f64::NAN } else { value })
    }

    pub fn kurtosis(&self, of_sample: bool) -> Option<f64> {
        let n = self.count;
        let too_few = if of_sample { n <= 3.0 } else { n <= 1.0 };
        if too_few || self.second == 0.0 {
            return None;
        }
        let raw = n * self.fourth / (self.second * self.second) - 3.0;
        if !of_sample {
            return Some(raw);
        }
        Some((n - 1.0) / ((n - 2.0) * (n - 3.0)) * ((n + 1.0) * raw + 6.0))
    }
}

/// Every different value of a list: its first index, and how often it occurs, in the order of values.
fn counted(range: std::ops::Range<usize>, values: &ArrayRef, rows: &arrow::row::Rows) -> Vec<(usize, u64)> {
    let mut counts: HashMap<&[u8], (usize, u64)> = HashMap::new();
    for index in range.filter(|index| !values.is_null(*index)) {
        counts.entry(rows.row(index).data()).or_insert((index, 0)).1 += 1;
    }
    let mut counts: Vec<(usize, u64)> = counts.into_values().collect();
    counts.sort_by(|(a, _), (b, _)| rows.row(*a).cmp(&rows.row(*b)));
    counts
}

fn rows_of(values: &ArrayRef) -> DataFusionResult<arrow::row::Rows> {
    let converter = RowConverter::new(vec![SortField::new(values.data_type().clone())])?;
    Ok(converter.convert_columns(std::slice::from_ref(values))?)
}

fn entropy(arguments: &Arguments) -> DataFusionResult<ArrayRef> {
    let lists = Lists::of(arguments, 0)?;
    let rows = rows_of(lists.values())?;
    let of_row = |row| {
        let counts = counted(lists.range(row)?, lists.values(), &rows);
        let total = counts.iter().map(|(_, count)| *count as f64).sum::<f64>();
        Some(
            counts.iter().map(|(_, count)| *count as f64 / total).map(|share| share * -share.log2()).sum::<f64>() + 0.0,
        )
    };
    Ok(Arc::new(Float64Array::from_iter((0..arguments.rows).map(of_row))))
}

fn top(arguments: &Arguments) -> DataFusionResult<ArrayRef> {
    let lists = Lists::of(arguments, 0)?;
    let rows = rows_of(lists.values())?;
    let wanted = arguments.array(1)?;
    let wanted = wanted.as_primitive::<arrow::datatypes::Int64Type>();
    let mut picker = Picker::new(arguments.rows);
    for row in 0..arguments.rows {
        let Some(range) = lists.range(row).filter(|_| wanted.is_valid(row)) else {
            picker.push(None::<Vec<_>>)?;
            continue;
        };
        let Some(count) = usize::try_from(wanted.value(row)).ok().filter(|count| *count > 0) else {
            return Err(Error::new(Code::InvalidQuery, "the number of most frequent values is at least 1").into());
        };
        let mut counts = counted(range, lists.values(), &rows);
        counts.sort_by_key(|(first, count)| (std::cmp::Reverse(*count), *first));
        picker.push(Some(counts.into_iter().take(count).map(|(first, _)| Some(first))))?;
    }
    picker.finish(lists.values())
}

pub(super) fn entries(item: &DataType) -> Fields {
    vec![Field::new("key", item.clone(), false), Field::new("value", DataType::UInt64, true)].into()
}

pub(super) fn histogram_type(item: &DataType) -> DataType {
    DataType::Map(Arc::new(Field::new("entries", DataType::Struct(entries(item)), false)), false)
}

fn histogram(arguments: &Arguments) -> DataFusionResult<ArrayRef> {
    let lists = Lists::of(arguments, 0)?;
    let rows = rows_of(lists.values())?;
    let (mut firsts, mut counts, mut lengths, mut valid) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for row in 0..arguments.rows {
        let found = lists.range(row).map(|range| counted(range, lists.values(), &rows));
        valid.push(found.is_some());
        let found = found.unwrap_or_default();
        lengths.push(found.len());
        for (first, count) in found {
            firsts.push(u32::try_from(first).unwrap_or(u32::MAX));
            counts.push(count);
        }
    }
    let keys = take(lists.values(), &UInt32Array::from(firsts), None)?;
    let fields = entries(keys.data_type());
    let values: ArrayRef = Arc::new(UInt64Array::from(counts));
    let entries = StructArray::try_new(fields.clone(), vec![keys, values], None)?;
    let field = Arc::new(Field::new("entries", DataType::Struct(fields), false));
    let offsets = OffsetBuffer::from_lengths(lengths);
    Ok(Arc::new(MapArray::try_new(field, offsets, entries, Some(NullBuffer::from(valid)), false)?))
}
