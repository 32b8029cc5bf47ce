//! The worst value that can still be among the first rows of an order, told to the scans while the query runs.
//!
//! A top-n publishes the first key of its n-th best row so far; every further value that comes behind it can be left
//! out. Each lane publishes what it knows; the best counts.
//!
//! Invariant: a value equal to the threshold is never ruled out: later keys, or its place in the input, may decide.

use std::cmp::Ordering;

use arrow::array::{Array, ArrayRef, BooleanArray, Scalar};
use arrow::compute::kernels::cmp::{gt_eq, lt_eq};
use arrow::compute::{is_null, or_kleene, prep_null_mask_filter};
use arrow::datatypes::DataType;
use datafusion_common::ScalarValue;
use parking_lot::RwLock;

use crate::error::Result;

/// The slot between a top-n and the scans below it.
#[derive(Debug)]
pub struct Threshold {
    descending: bool,
    nulls_first: bool,
    worst: RwLock<Option<ScalarValue>>,
}

impl Threshold {
    /// Nothing is known yet; the order is that of the first key.
    pub fn new(descending: bool, nulls_first: bool) -> Self {
        Threshold { descending, nulls_first, worst: RwLock::new(None) }
    }

    /// Whether values of a type may be judged: floats have zeros and NaN that comparing kernels order otherwise.
    pub fn takes(data_type: &DataType) -> bool {
        let is_plain = data_type.is_integer() || data_type.is_temporal();
        is_plain || matches!(data_type, DataType::Decimal128(..) | DataType::Utf8View)
    }

    /// As many rows as are wanted come before or at `value`. NULL says nothing.
    pub fn publish(&self, value: ScalarValue) {
        if value.is_null() || !Threshold::takes(&value.data_type()) {
            return;
        }
        let mut worst = self.worst.write();
        let is_better = worst.as_ref().is_none_or(|known| self.comes_before(&value, known));
        if is_better {
            *worst = Some(value);
        }
    }

    /// What is known by now.
    pub fn get(&self) -> Option<ScalarValue> {
        self.worst.read().clone()
    }

    /// Whether NULL can be among the wanted rows.
    pub fn null_passes(&self) -> bool {
        self.nulls_first
    }

    /// Whether every value from `smallest` to `largest` comes behind the threshold.
    pub fn rules_out(&self, smallest: Option<&ScalarValue>, largest: Option<&ScalarValue>) -> bool {
        let best = if self.descending { largest } else { smallest };
        match (best, self.get()) {
            (Some(best), Some(worst)) => self.comes_before(&worst, best),
            _ => false,
        }
    }

    /// Which rows of `column` may be wanted; `None` where nothing is known. The mask has no NULLs.
    pub fn mask(&self, column: &ArrayRef) -> Result<Option<BooleanArray>> {
        let Some(worst) = self.get().filter(|worst| worst.data_type() == *column.data_type()) else { return Ok(None) };
        let worst = Scalar::new(worst.to_array()?);
        let mut mask = if self.descending { gt_eq(column, &worst)? } else { lt_eq(column, &worst)? };
        if self.nulls_first {
            mask = or_kleene(&mask, &is_null(column)?)?;
        }
        Ok(Some(if mask.null_count() > 0 { prep_null_mask_filter(&mask) } else { mask }))
    }

    fn comes_before(&self, value: &ScalarValue, other: &ScalarValue) -> bool {
        let before = if self.descending { Ordering::Greater } else { Ordering::Less };
        value.partial_cmp(other) == Some(before)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::Int64Array;

    use super::*;

    fn passing(threshold: &Threshold) -> Vec<bool> {
        let column: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), Some(5), None, Some(9)]));
        threshold.mask(&column).unwrap().unwrap().iter().map(Option::unwrap).collect()
    }

    #[test]
    fn the_best_value_counts_and_ties_pass() {
        let threshold = Threshold::new(false, false);
        for value in [Some(7), Some(5), Some(6), None] {
            threshold.publish(ScalarValue::Int64(value));
        }
        assert_eq!(passing(&threshold), [true, true, false, false]);
        assert!(threshold.rules_out(Some(&ScalarValue::Int64(Some(6))), None));
        assert!(!threshold.rules_out(Some(&ScalarValue::Int64(Some(5))), None));
    }

    #[test]
    fn nulls_pass_where_they_come_first() {
        let threshold = Threshold::new(true, true);
        threshold.publish(ScalarValue::Int64(Some(5)));
        assert_eq!(passing(&threshold), [false, true, true, true]);
        assert!(threshold.rules_out(None, Some(&ScalarValue::Int64(Some(4)))));
    }
}
