//! Aggregates that need all values of a group at once: what they make of them.
//!
//! Invariant: values come group by group, without those that do not count (FILTER, NULLs where the function ignores
//! them), in the order of the call. Each group gives one value; one without values gives NULL.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, LargeStringArray, LargeStringBuilder, ListArray, StringArrayType, StringViewArray,
    new_null_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef};
use arrow::row::{RowConverter, SortField};
use datafusion_common::ScalarValue;
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::aggregate::AggregateFunctionExpr;
use datafusion_physical_expr::expressions::Literal;

use super::quantile::{Fraction, quantiles, sorted_quantiles};
use crate::error::{Code, Error, Result};

/// What a call makes of the values of a group.
#[derive(Debug, Clone, PartialEq)]
pub enum Gathering {
    /// All of them (array_agg).
    List { ignores_nulls: bool },
    /// All texts with the separator between them (string_agg).
    Text { separator: String },
    /// The values at fractions of their order, of two values the one between them where `continuous`.
    Quantiles { fractions: Vec<Fraction>, continuous: bool, is_list: bool },
    /// The most frequent value, of several the one that came first.
    Mode,
    /// The value of that number, from 1; from the end where negative.
    Nth { number: i64, ignores_nulls: bool },
}

/// The order in which a call wants the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GatherOrder {
    /// That of its ORDER BY; what is equal there comes in the order of the input.
    Given,
    /// By the value itself.
    Value,
    /// That of the input.
    Arrival,
    /// Any.
    Free,
}

impl Gathering {
    /// What `function` gathers; `None` for one whose state has a fixed size.
    ///
    /// # Errors
    /// `INVALID_QUERY` where an argument that must be a constant is none, or is out of range.
    pub(in crate::expr) fn of(function: &AggregateFunctionExpr) -> Result<Option<Self>> {
        let ignores_nulls = function.ignore_nulls();
        let arguments = function.expressions();
        let descending = function.order_bys().first().is_some_and(|key| key.options.descending);
        Ok(Some(match function.fun().name() {
            "array_agg" => Gathering::List { ignores_nulls },
            "string_agg" => Gathering::Text { separator: separator(arguments.get(1))? },
            "median" => Gathering::quantile(0.5, false),
            "percentile_cont" => Gathering::quantiles(arguments.get(1), descending, true)?,
            "quantile_disc" => Gathering::quantiles(arguments.get(1), descending, false)?,
            "mode" => Gathering::Mode,
            "first_row" => Gathering::Nth { number: 1, ignores_nulls: false },
            "first_value" => Gathering::Nth { number: 1, ignores_nulls },
            "last_value" => Gathering::Nth { number: -1, ignores_nulls },
            "nth_value" => Gathering::Nth { number: constant_number(arguments.get(1))?, ignores_nulls },
            _ => return Ok(None),
        }))
    }

    fn quantile(fraction: f64, descending: bool) -> Self {
        let fractions = vec![Fraction { fraction, descending }];
        Gathering::Quantiles { fractions, continuous: true, is_list: false }
    }

    fn quantiles(argument: Option<&Arc<dyn PhysicalExpr>>, descending: bool, continuous: bool) -> Result<Self> {
        let wrong =
            || Error::new(Code::InvalidQuery, "a quantile's fraction is a constant from -1 to 1, or a list of such");
        let value = constant(argument).ok_or_else(wrong)?;
        let (values, is_list) = match &value {
            ScalarValue::List(list) => (cast(&list.value(0), &DataType::Float64)?, true),
            other => (cast(&other.to_array()?, &DataType::Float64)?, false),
        };
        let fraction = |fraction: Option<f64>| {
            let fraction = fraction.filter(|fraction| fraction.abs() <= 1.0).ok_or_else(wrong)?;
            // A negative fraction counts from the other end.
            Ok(Fraction { fraction: fraction.abs(), descending: descending != (fraction < 0.0) })
        };
        let values = values.as_primitive::<arrow::datatypes::Float64Type>();
        let fractions = values.iter().map(fraction).collect::<Result<_>>()?;
        Ok(Gathering::Quantiles { fractions, continuous, is_list })
    }

    /// Whether NULLs are left out before the values are gathered.
    pub fn ignores_nulls(&self) -> bool {
        match self {
            Gathering::List { ignores_nulls } | Gathering::Nth { ignores_nulls, .. } => *ignores_nulls,
            Gathering::Text { .. } | Gathering::Quantiles { .. } | Gathering::Mode => true,
        }
    }

    /// The order in which the values are wanted where the call has no ORDER BY of its own, and no DISTINCT.
    pub fn order(&self) -> GatherOrder {
        match self {
            Gathering::List { .. } | Gathering::Text { .. } | Gathering::Nth { .. } => GatherOrder::Arrival,
            Gathering::Quantiles { .. } => GatherOrder::Free,
            Gathering::Mode => GatherOrder::Value,
        }
    }

    /// Whether it gives one of the values as it is, at a place that [`pick`](Self::pick) knows.
    pub fn picks(&self) -> bool {
        matches!(self, Gathering::Nth { .. })
    }

    /// Which of `count` values it gives.
    pub fn pick(&self, count: usize) -> Option<usize> {
        let Gathering::Nth { number, .. } = self else { return None };
        let from_end = usize::try_from(number.unsigned_abs()).ok()?;
        let index = if *number < 0 { count.checked_sub(from_end)? } else { from_end.checked_sub(1)? };
        (index < count).then_some(index)
    }

    /// The quantiles of one group of `count` (at least one) sorted values, of which it asks `value_at` for a few.
    ///
    /// # Errors
    /// An internal error for what is no quantile.
    pub fn of_sorted(&self, count: usize, value_at: impl FnMut(usize) -> Result<ArrayRef>) -> Result<ArrayRef> {
        let Gathering::Quantiles { fractions, continuous, is_list } = self else {
            return Err(Error::internal("this aggregate is no quantile"));
        };
        let quantiles = sorted_quantiles(count, fractions, *continuous, value_at)?;
        if *is_list { quantile_lists(quantiles, &[0, count], fractions.len()) } else { Ok(quantiles) }
    }

    /// The value of each group: group `g` has the values `starts[g] .. starts[g + 1]`. `item` is the type of the values as
    /// the plan has it (they may come in a form for storing).
    ///
    /// # Errors
    /// `OUT_OF_MEMORY` for lists of more than 2^31 values; an internal error for those that pick a value.
    pub fn evaluate(&self, values: &ArrayRef, starts: &[usize], item: &DataType) -> Result<ArrayRef> {
        match self {
            Gathering::List { .. } => lists(cast(values, item)?, starts),
            Gathering::Text { separator } => texts(values, starts, separator),
            Gathering::Quantiles { fractions, continuous, is_list } => {
                let quantiles = quantiles(values, starts, fractions, *continuous)?;
                if *is_list { quantile_lists(quantiles, starts, fractions.len()) } else { Ok(quantiles) }
            }
            Gathering::Mode | Gathering::Nth { .. } => Err(Error::internal("this aggregate gives one of its values")),
        }
    }
}

/// The row of the most frequent value (there is at least one), of several the one that comes first.
pub(in crate::expr) fn most_frequent(values: &ArrayRef) -> Result<usize> {
    let converter = RowConverter::new(vec![SortField::new(values.data_type().clone())])?;
    let rows = converter.convert_columns(std::slice::from_ref(values))?;
    let mut counts: HashMap<&[u8], (usize, Reverse<usize>)> = HashMap::new();
    for row in 0..rows.num_rows() {
        counts.entry(rows.row(row).data()).or_insert((0, Reverse(row))).0 += 1;
    }
    Ok(counts.into_values().max().map_or(0, |(_, Reverse(row))| row))
}

fn constant(argument: Option<&Arc<dyn PhysicalExpr>>) -> Option<ScalarValue> {
    Some(argument?.downcast_ref::<Literal>()?.value().clone())
}

fn constant_number(argument: Option<&Arc<dyn PhysicalExpr>>) -> Result<i64> {
    match constant(argument).map(|value| value.cast_to(&DataType::Int64)) {
        Some(Ok(ScalarValue::Int64(Some(number)))) => Ok(number),
        _ => Err(Error::new(Code::InvalidQuery, "the number of nth_value is a constant integer")),
    }
}

/// The separator between texts: a comma where there is none, nothing where it is NULL.
fn separator(argument: Option<&Arc<dyn PhysicalExpr>>) -> Result<String> {
    let Some(argument) = argument else { return Ok(",".to_string()) };
    match constant(Some(argument)) {
        Some(value) if value.is_null() => Ok(String::new()),
        Some(value) if value.data_type().is_string() => {
            Ok(value.try_as_str().flatten().unwrap_or_default().to_string())
        }
        _ => Err(Error::new(Code::InvalidQuery, "the separator of string_agg is a constant text")),
    }
}

/// Groups with at least one value.
fn with_values(starts: &[usize]) -> NullBuffer {
    starts.windows(2).map(|bounds| bounds[0] < bounds[1]).collect()
}

fn lists(values: ArrayRef, starts: &[usize]) -> Result<ArrayRef> {
    let field: FieldRef = Arc::new(Field::new_list_field(values.data_type().clone(), true));
    Ok(Arc::new(ListArray::try_new(field, offsets(starts)?, values, Some(with_values(starts)))?))
}

fn offsets(starts: &[usize]) -> Result<OffsetBuffer<i32>> {
    let too_long = |_| Error::new(Code::OutOfMemory, "lists of more than 2^31 values in one batch of groups");
    let offsets = starts.iter().map(|&start| i32::try_from(start).map_err(too_long));
    Ok(OffsetBuffer::new(offsets.collect::<Result<Vec<_>>>()?.into()))
}

/// Each group's quantiles as a list; `quantiles` has `each` of them for every group.
fn quantile_lists(quantiles: ArrayRef, starts: &[usize], each: usize) -> Result<ArrayRef> {
    let groups = starts.len().saturating_sub(1);
    let bounds: Vec<usize> = (0..=groups).map(|group| group * each).collect();
    let field: FieldRef = Arc::new(Field::new_list_field(quantiles.data_type().clone(), true));
    Ok(Arc::new(ListArray::try_new(field, offsets(&bounds)?, quantiles, Some(with_values(starts)))?))
}

fn texts(values: &ArrayRef, starts: &[usize], separator: &str) -> Result<ArrayRef> {
    match values.data_type() {
        DataType::Utf8 => in_views(&joined(values.as_string::<i32>(), starts, separator)),
        DataType::LargeUtf8 => in_views(&joined(values.as_string::<i64>(), starts, separator)),
        DataType::Utf8View => in_views(&joined(values.as_string_view(), starts, separator)),
        DataType::Null => Ok(new_null_array(&DataType::Utf8View, starts.len().saturating_sub(1))),
        other => Err(Error::internal(format!("texts of type {other}"))),
    }
}

/// Long texts in the layout of VARCHAR.
///
/// # Errors
/// `OUT_OF_MEMORY` for a text that is longer than any can be.
pub fn in_views(texts: &LargeStringArray) -> Result<ArrayRef> {
    let longest = texts.offsets().windows(2).map(|bounds| bounds[1] - bounds[0]).max().unwrap_or_default();
    if u32::try_from(longest).is_err() {
        return Err(Error::new(Code::OutOfMemory, "a text of more than 4 GiB"));
    }
    Ok(Arc::new(StringViewArray::from(texts)))
}

fn joined<'a>(values: impl StringArrayType<'a>, starts: &[usize], separator: &str) -> LargeStringArray {
    let mut builder = LargeStringBuilder::new();
    for bounds in starts.windows(2) {
        if bounds[0] == bounds[1] {
            builder.append_null();
            continue;
        }
        for row in bounds[0]..bounds[1] {
            if row > bounds[0] {
                // Writing into memory cannot fail.
                let _ = std::fmt::Write::write_str(&mut builder, separator);
            }
            let _ = std::fmt::Write::write_str(&mut builder, values.value(row));
        }
        builder.append_value("");
    }
    builder.finish()
}
