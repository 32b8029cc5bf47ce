//! AVG of integers over an exact sum, and faster states for floats and common decimals; the rest is the library's.
//!
//! The library casts integers to DOUBLE and adds those, so that the answer for large numbers depends on the order of
//! the rows. Here the sum is a 128-bit integer, and only the division rounds. Result types are the library's.

use std::sync::Arc;

use arrow::datatypes::{
    DataType, Decimal128Type, Field, FieldRef, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use datafusion_common::{Result as DataFusionResult, plan_err};
use datafusion_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion_expr::{Accumulator, AggregateUDFImpl, GroupsAccumulator, ReversedUDAF, Signature, Volatility};
use datafusion_functions_aggregate::average::Avg as LibraryAverage;
use datafusion_functions_aggregate_common::utils::DecimalAverager;

use super::average_accumulators::{AverageGroups, DistinctAverage, RunningAverage};
use super::totals::Compensated;
use crate::expr::types::{HUGEINT, sql_type_name};

/// The aggregate function `avg`, also called `mean`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Average {
    signature: Signature,
    library: LibraryAverage,
}

impl Average {
    pub(super) fn new() -> Self {
        Average { signature: Signature::user_defined(Volatility::Immutable), library: LibraryAverage::new() }
    }
}

/// Decimals up to so many digits have a sum of 128 bits (ten trillion rows of them do).
const WIDEST_DECIMAL: u8 = 25;

/// Whether floe's own accumulators average values of that type, to DOUBLE.
fn is_own(data_type: &DataType) -> bool {
    data_type.is_integer() || data_type == &DataType::Float64
}

fn divide_integer(sum: i128, count: u64) -> f64 {
    sum as f64 / count as f64
}

fn divide_float(sum: Compensated, count: u64) -> f64 {
    sum.value() / count as f64
}

/// Makes `$accumulator::<input, sum>::new(input type, sum type, division)` boxed, by input type.
macro_rules! by_type {
    ($accumulator:ident, $input:expr) => {{
        let input: &DataType = $input;
        macro_rules! integer {
            ($integer:ty) => {
                Ok(Box::new($accumulator::<$integer, Decimal128Type>::new(input, &HUGEINT, divide_integer)))
            };
        }
        match input {
            DataType::Int8 => integer!(Int8Type),
            DataType::Int16 => integer!(Int16Type),
            DataType::Int32 => integer!(Int32Type),
            DataType::Int64 => integer!(Int64Type),
            DataType::UInt8 => integer!(UInt8Type),
            DataType::UInt16 => integer!(UInt16Type),
            DataType::UInt32 => integer!(UInt32Type),
            DataType::UInt64 => integer!(UInt64Type),
            DataType::Float64 => {
                Ok(Box::new($accumulator::<Float64Type, Float64Type>::new(input, &DataType::Float64, divide_float)))
            }
            other => plan_err!("avg of {} does not exist", sql_type_name(other)),
        }
    }};
}

/// Makes an [`AverageGroups`] of integers: the sum exact, the division rounded to DOUBLE.
macro_rules! integer_groups {
    ($integer:ty) => {
        Ok(Box::new(AverageGroups::<$integer, Decimal128Type, Float64Type, _>::new(
            HUGEINT,
            DataType::Float64,
            |sum, count| Ok(divide_integer(sum, count)),
        )))
    };
}

fn decimal_groups(precision: u8, scale: i8, result: &DataType) -> DataFusionResult<Box<dyn GroupsAccumulator>> {
    let &DataType::Decimal128(result_precision, result_scale) = result else {
        return plan_err!("avg of DECIMAL({precision},{scale}) as {}", sql_type_name(result));
    };
    let averager = DecimalAverager::<Decimal128Type>::try_new(scale, result_precision, result_scale)?;
    Ok(Box::new(AverageGroups::<Decimal128Type, Decimal128Type, Decimal128Type, _>::new(
        DataType::Decimal128(38, scale),
        result.clone(),
        move |sum, count| averager.avg(sum, i128::from(count)),
    )))
}

impl AggregateUDFImpl for Average {
    fn name(&self) -> &str {
        "avg"
    }

    fn aliases(&self) -> &[String] {
        self.library.aliases()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> DataFusionResult<Vec<DataType>> {
        let [argument] = types else { return plan_err!("avg takes one argument, not {}", types.len()) };
        Ok(vec![match argument {
            integer if integer.is_integer() => integer.clone(),
            decimal if decimal.is_decimal() => decimal.clone(),
            DataType::Duration(_) => argument.clone(),
            DataType::Float16 | DataType::Float32 | DataType::Float64 | DataType::Null => DataType::Float64,
            DataType::Boolean => DataType::Int64,
            DataType::Dictionary(_, value) => return self.coerce_types(&[value.as_ref().clone()]),
            other => return plan_err!("avg of {} does not exist; cast it to a number", sql_type_name(other)),
        }])
    }

    fn return_type(&self, types: &[DataType]) -> DataFusionResult<DataType> {
        self.library.return_type(types)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> DataFusionResult<Box<dyn Accumulator>> {
        match args.expr_fields {
            [field] if is_own(field.data_type()) && args.is_distinct => by_type!(DistinctAverage, field.data_type()),
            [field] if is_own(field.data_type()) => by_type!(RunningAverage, field.data_type()),
            _ => self.library.accumulator(args),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs) -> DataFusionResult<Vec<FieldRef>> {
        match args.input_fields {
            [field] if is_own(field.data_type()) && args.is_distinct => {
                let item = Field::new_list_field(field.data_type().clone(), true);
                Ok(vec![Arc::new(Field::new_list(format_state_name(args.name, "avg distinct"), item, false))])
            }
            [field] if field.data_type().is_integer() => Ok(vec![
                Arc::new(Field::new(format_state_name(args.name, "count"), DataType::UInt64, true)),
                Arc::new(Field::new(format_state_name(args.name, "sum"), HUGEINT, true)),
            ]),
            [field] if field.data_type() == &DataType::Float64 => Ok(vec![
                Arc::new(Field::new(format_state_name(args.name, "count"), DataType::UInt64, true)),
                Arc::new(Field::new(format_state_name(args.name, "sum"), DataType::Float64, true)),
                Arc::new(Field::new(format_state_name(args.name, "rest"), DataType::Float64, true)),
            ]),
            _ => self.library.state_fields(args),
        }
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        !args.is_distinct
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> DataFusionResult<Box<dyn GroupsAccumulator>> {
        let [field] = args.expr_fields else { return self.library.create_groups_accumulator(args) };
        match field.data_type() {
            DataType::Int8 => integer_groups!(Int8Type),
            DataType::Int16 => integer_groups!(Int16Type),
            DataType::Int32 => integer_groups!(Int32Type),
            DataType::Int64 => integer_groups!(Int64Type),
            DataType::UInt8 => integer_groups!(UInt8Type),
            DataType::UInt16 => integer_groups!(UInt16Type),
            DataType::UInt32 => integer_groups!(UInt32Type),
            DataType::UInt64 => integer_groups!(UInt64Type),
            DataType::Float64 => Ok(Box::new(AverageGroups::<Float64Type, Float64Type, Float64Type, _>::new(
                DataType::Float64,
                DataType::Float64,
                |sum, count| Ok(divide_float(sum, count)),
            ))),
            &DataType::Decimal128(precision, scale) if precision <= WIDEST_DECIMAL => {
                decimal_groups(precision, scale, args.return_field.data_type())
            }
            _ => self.library.create_groups_accumulator(args),
        }
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}
