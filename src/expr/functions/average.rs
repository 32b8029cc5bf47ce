//! AVG as a DOUBLE: of integers and decimals over an exact sum, of floats over a compensated one; of times it is a time, and of
//! durations the library's.
//!
//! The library casts integers to DOUBLE and adds those, so that the answer for large numbers depends on the order of
//! the rows, and gives decimals few digits. Here the sum is a 128-bit integer, and only the division rounds.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Decimal128Type, Field, FieldRef, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimeUnit,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use datafusion_common::{Result as DataFusionResult, ScalarValue, plan_err};
use datafusion_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion_expr::{Accumulator, AggregateUDFImpl, GroupsAccumulator, ReversedUDAF, Signature, Volatility};
use datafusion_functions_aggregate::average::Avg as LibraryAverage;

use super::average_accumulators::{AverageGroups, DistinctAverage, RunningAverage, unit};
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

/// Whether floe's own accumulators average values of that type, to DOUBLE.
fn is_own(data_type: &DataType) -> bool {
    is_exact(data_type) || data_type == &DataType::Float64
}

/// Whether values of that type are added up exactly.
fn is_exact(data_type: &DataType) -> bool {
    data_type.is_integer() || matches!(data_type, DataType::Decimal128(..))
}

/// Whether values of that type are averaged as the numbers that they count.
fn is_time(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(..) | DataType::Time64(_))
}

fn divide_exact(sum: i128, divisor: f64) -> f64 {
    sum as f64 / divisor
}

fn divide_float(sum: Compensated, divisor: f64) -> f64 {
    sum.value() / divisor
}

/// Makes `$accumulator::<input, sum>::new(input type, sum type, division)` boxed, by input type.
macro_rules! by_type {
    ($accumulator:ident, $input:expr) => {{
        let input: &DataType = $input;
        macro_rules! integer {
            ($integer:ty) => {
                Ok(Box::new($accumulator::<$integer, Decimal128Type>::new(input, &HUGEINT, divide_exact)))
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
            DataType::Decimal128(..) => integer!(Decimal128Type),
            DataType::Float64 => {
                Ok(Box::new($accumulator::<Float64Type, Float64Type>::new(input, &DataType::Float64, divide_float)))
            }
            other => plan_err!("avg of {} does not exist", sql_type_name(other)),
        }
    }};
}

/// Makes an [`AverageGroups`] of exact numbers: only the division rounds.
macro_rules! exact_groups {
    ($number:ty, $unit:expr) => {{
        let unit: f64 = $unit;
        Ok(Box::new(AverageGroups::<$number, Decimal128Type, Float64Type, _>::new(
            HUGEINT,
            DataType::Float64,
            move |sum, count| Ok(divide_exact(sum, count as f64 * unit)),
        )))
    }};
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
            DataType::Decimal128(..) => argument.clone(),
            decimal if decimal.is_decimal() => DataType::Float64,
            DataType::Duration(_) => argument.clone(),
            DataType::Date32 => DataType::Timestamp(TimeUnit::Microsecond, None),
            time if is_time(time) => time.clone(),
            DataType::Float16 | DataType::Float32 | DataType::Float64 | DataType::Null => DataType::Float64,
            DataType::Boolean => DataType::Int64,
            DataType::Dictionary(_, value) => return self.coerce_types(&[value.as_ref().clone()]),
            other => return plan_err!("avg of {} does not exist; cast it to a number", sql_type_name(other)),
        }])
    }

    fn return_type(&self, types: &[DataType]) -> DataFusionResult<DataType> {
        match types {
            [decimal] if decimal.is_decimal() => Ok(DataType::Float64),
            [time] if is_time(time) => Ok(time.clone()),
            _ => self.library.return_type(types),
        }
    }

    fn accumulator(&self, args: AccumulatorArgs) -> DataFusionResult<Box<dyn Accumulator>> {
        match args.expr_fields {
            [field] if is_time(field.data_type()) => {
                let distinct = args.is_distinct;
                let numbers: DataFusionResult<Box<dyn Accumulator>> = match distinct {
                    true => by_type!(DistinctAverage, &DataType::Int64),
                    false => by_type!(RunningAverage, &DataType::Int64),
                };
                Ok(Box::new(AverageTime { numbers: numbers?, result: field.data_type().clone() }))
            }
            [field] if is_own(field.data_type()) && args.is_distinct => by_type!(DistinctAverage, field.data_type()),
            [field] if is_own(field.data_type()) => by_type!(RunningAverage, field.data_type()),
            _ => self.library.accumulator(args),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs) -> DataFusionResult<Vec<FieldRef>> {
        match args.input_fields {
            [field] if (is_own(field.data_type()) || is_time(field.data_type())) && args.is_distinct => {
                let item = if is_time(field.data_type()) { &DataType::Int64 } else { field.data_type() };
                let item = Field::new_list_field(item.clone(), true);
                Ok(vec![Arc::new(Field::new_list(format_state_name(args.name, "avg distinct"), item, false))])
            }
            [field] if is_exact(field.data_type()) || is_time(field.data_type()) => Ok(vec![
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
        !args.is_distinct && !args.expr_fields.iter().any(|field| is_time(field.data_type()))
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> DataFusionResult<Box<dyn GroupsAccumulator>> {
        let [field] = args.expr_fields else { return self.library.create_groups_accumulator(args) };
        match field.data_type() {
            DataType::Int8 => exact_groups!(Int8Type, 1.0),
            DataType::Int16 => exact_groups!(Int16Type, 1.0),
            DataType::Int32 => exact_groups!(Int32Type, 1.0),
            DataType::Int64 => exact_groups!(Int64Type, 1.0),
            DataType::UInt8 => exact_groups!(UInt8Type, 1.0),
            DataType::UInt16 => exact_groups!(UInt16Type, 1.0),
            DataType::UInt32 => exact_groups!(UInt32Type, 1.0),
            DataType::UInt64 => exact_groups!(UInt64Type, 1.0),
            DataType::Float64 => Ok(Box::new(AverageGroups::<Float64Type, Float64Type, Float64Type, _>::new(
                DataType::Float64,
                DataType::Float64,
                |sum, count| Ok(divide_float(sum, count as f64)),
            ))),
            decimal @ DataType::Decimal128(..) => exact_groups!(Decimal128Type, unit(decimal)),
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

/// The average of times: of the numbers that they count, rounded.
#[derive(Debug)]
struct AverageTime {
    numbers: Box<dyn Accumulator>,
    result: DataType,
}

fn as_numbers(values: &[ArrayRef]) -> DataFusionResult<Vec<ArrayRef>> {
    Ok(values.iter().map(|times| cast(times, &DataType::Int64)).collect::<Result<_, _>>()?)
}

impl Accumulator for AverageTime {
    fn update_batch(&mut self, values: &[ArrayRef]) -> DataFusionResult<()> {
        self.numbers.update_batch(&as_numbers(values)?)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> DataFusionResult<()> {
        self.numbers.merge_batch(states)
    }

    fn supports_retract_batch(&self) -> bool {
        self.numbers.supports_retract_batch()
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> DataFusionResult<()> {
        self.numbers.retract_batch(&as_numbers(values)?)
    }

    fn evaluate(&mut self) -> DataFusionResult<ScalarValue> {
        match self.numbers.evaluate()? {
            ScalarValue::Float64(Some(number)) => ScalarValue::Int64(Some(number.round() as i64)).cast_to(&self.result),
            _ => ScalarValue::try_from(&self.result),
        }
    }

    fn state(&mut self) -> DataFusionResult<Vec<ScalarValue>> {
        self.numbers.state()
    }

    fn size(&self) -> usize {
        self.numbers.size()
    }
}
