//! Floats as SQL compares them: NaN is one value, greater than all numbers, and zero has no sign.
//!
//! Arrow's kernels compare by the total order of IEEE 754, in which a NaN with a sign (`inf - inf` gives one) stands
//! below everything. So what is compared is made canonical first.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{ArrowPrimitiveType, DataType, FieldRef, Float32Type, Float64Type, Schema};
use arrow::record_batch::RecordBatch;
use datafusion_common::{Result as DataFusionResult, ScalarValue, internal_err};
use datafusion_expr::{ColumnarValue, GroupsAccumulator};
use datafusion_functions_aggregate_common::aggregate::groups_accumulator::prim_op::PrimitiveGroupsAccumulator;
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::expressions::Literal;

use crate::batch::hash::{canonical_f32, canonical_f64};

/// `side` of a comparison, canonical where it is a float.
pub(super) fn comparable(side: &Arc<dyn PhysicalExpr>, schema: &Schema) -> DataFusionResult<Arc<dyn PhysicalExpr>> {
    if let Some(literal) = side.downcast_ref::<Literal>() {
        return Ok(match canonical_scalar(literal.value()) {
            Some(value) => Arc::new(Literal::new(value)),
            None => side.clone(),
        });
    }
    let is_float = matches!(side.data_type(schema)?, DataType::Float32 | DataType::Float64);
    Ok(if is_float && !side.is::<CanonicalFloat>() { Arc::new(CanonicalFloat(side.clone())) } else { side.clone() })
}

fn canonical_scalar(value: &ScalarValue) -> Option<ScalarValue> {
    match value {
        ScalarValue::Float32(Some(value)) => Some(ScalarValue::from(canonical_f32(*value))),
        ScalarValue::Float64(Some(value)) => Some(ScalarValue::from(canonical_f64(*value))),
        _ => None,
    }
}

/// The array with one NaN and one zero, where it has floats.
pub(super) fn canonical_array(array: &ArrayRef) -> ArrayRef {
    if let Some(array) = array.as_primitive_opt::<Float64Type>() {
        return Arc::new(array.unary::<_, Float64Type>(canonical_f64));
    }
    match array.as_primitive_opt::<Float32Type>() {
        Some(array) => Arc::new(array.unary::<_, Float32Type>(canonical_f32)),
        None => array.clone(),
    }
}

/// The values of a float expression with one NaN and one zero. It prints as what it stands for.
#[derive(Debug, Clone, Eq)]
pub(super) struct CanonicalFloat(Arc<dyn PhysicalExpr>);

impl PartialEq for CanonicalFloat {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq(&other.0)
    }
}

impl Hash for CanonicalFloat {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Display for CanonicalFloat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl PhysicalExpr for CanonicalFloat {
    fn evaluate(&self, batch: &RecordBatch) -> DataFusionResult<ColumnarValue> {
        Ok(match self.0.evaluate(batch)? {
            ColumnarValue::Array(array) => ColumnarValue::Array(canonical_array(&array)),
            ColumnarValue::Scalar(value) => ColumnarValue::Scalar(canonical_scalar(&value).unwrap_or(value)),
        })
    }

    fn return_field(&self, input_schema: &Schema) -> DataFusionResult<FieldRef> {
        self.0.return_field(input_schema)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.0]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> DataFusionResult<Arc<dyn PhysicalExpr>> {
        match <[_; 1]>::try_from(children) {
            Ok([child]) => Ok(Arc::new(CanonicalFloat(child))),
            Err(children) => internal_err!("a float of {} children", children.len()),
        }
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt_sql(f)
    }
}

/// The state of `min` or `max` over floats; `None` for another function or type. Of two zeros the one with a sign is the
/// lesser, so that the answer does not depend on the order of the rows.
pub(super) fn extreme(function: &str, data_type: &DataType) -> Option<Box<dyn GroupsAccumulator>> {
    // A group begins with what no value comes behind; whether it had a value at all is known besides.
    Some(match (function, data_type) {
        ("min", DataType::Float64) => {
            groups::<Float64Type>(
                f64::NAN,
                |value, least| {
                    if value.is_nan() { false } else { value.total_cmp(&least).is_lt() }
                },
            )
        }
        ("min", DataType::Float32) => {
            groups::<Float32Type>(
                f32::NAN,
                |value, least| {
                    if value.is_nan() { false } else { value.total_cmp(&least).is_lt() }
                },
            )
        }
        ("max", DataType::Float64) => groups::<Float64Type>(f64::NEG_INFINITY, |value, most| {
            if value.is_nan() { !most.is_nan() } else { value.total_cmp(&most).is_gt() }
        }),
        ("max", DataType::Float32) => groups::<Float32Type>(f32::NEG_INFINITY, |value, most| {
            if value.is_nan() { !most.is_nan() } else { value.total_cmp(&most).is_gt() }
        }),
        _ => return None,
    })
}

/// One value per group, which begins with `first`; a further one takes its place where `replaces` says so.
fn groups<T: ArrowPrimitiveType + Send>(
    first: T::Native,
    replaces: fn(T::Native, T::Native) -> bool,
) -> Box<dyn GroupsAccumulator> {
    let step = move |known: &mut T::Native, value: T::Native| {
        if replaces(value, *known) {
            *known = value;
        }
    };
    Box::new(PrimitiveGroupsAccumulator::<T, _>::new(&T::DATA_TYPE, step).with_starting_value(first))
}
