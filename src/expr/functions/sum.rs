//! SUM that widens: integers and decimals are summed in 128 bits, and the result is exact or an error.
//!
//! Any integer gives HUGEINT, DECIMAL(p,s) gives DECIMAL(38,s), a float DOUBLE. The name stays `sum`, on which rules of
//! the optimizer rely, and SUM over SUM keeps its type, so that rewriting one as two is safe.
//!
//! # Known limitation
//! Sums of intervals and of decimals beyond 38 digits are the library's.

use std::sync::Arc;

use arrow::datatypes::{
    DataType, Decimal32Type, Decimal64Type, Decimal128Type, Field, FieldRef, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use datafusion_common::{Result as DataFusionResult, plan_err};
use datafusion_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion_expr::{Accumulator, AggregateUDFImpl, GroupsAccumulator, ReversedUDAF, Signature, Volatility};
use datafusion_functions_aggregate::sum::Sum as LibrarySum;

use super::sum_accumulators::{DistinctSum, RunningSum, SumGroups};
use crate::expr::types::{HUGEINT, sql_type_name};

/// The aggregate function `sum`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Sum {
    signature: Signature,
    library: LibrarySum,
}

impl Sum {
    pub(super) fn new() -> Self {
        Sum { signature: Signature::user_defined(Volatility::Immutable), library: LibrarySum::new() }
    }
}

/// Whether floe's own accumulators sum values of that type.
fn is_own(data_type: &DataType) -> bool {
    use DataType::*;
    data_type.is_integer() || matches!(data_type, Float64 | Decimal32(..) | Decimal64(..) | Decimal128(..))
}

/// Makes `$accumulator::<input, sum>::new(input type, return type)` boxed, by input type.
macro_rules! by_type {
    ($accumulator:ident, $input:expr, $result:expr) => {{
        let (input, result): (&DataType, &DataType) = ($input, $result);
        match input {
            DataType::Int8 => Ok(Box::new($accumulator::<Int8Type, Decimal128Type>::new(input, result))),
            DataType::Int16 => Ok(Box::new($accumulator::<Int16Type, Decimal128Type>::new(input, result))),
            DataType::Int32 => Ok(Box::new($accumulator::<Int32Type, Decimal128Type>::new(input, result))),
            DataType::Int64 => Ok(Box::new($accumulator::<Int64Type, Decimal128Type>::new(input, result))),
            DataType::UInt8 => Ok(Box::new($accumulator::<UInt8Type, Decimal128Type>::new(input, result))),
            DataType::UInt16 => Ok(Box::new($accumulator::<UInt16Type, Decimal128Type>::new(input, result))),
            DataType::UInt32 => Ok(Box::new($accumulator::<UInt32Type, Decimal128Type>::new(input, result))),
            DataType::UInt64 => Ok(Box::new($accumulator::<UInt64Type, Decimal128Type>::new(input, result))),
            DataType::Decimal32(..) => Ok(Box::new($accumulator::<Decimal32Type, Decimal128Type>::new(input, result))),
            DataType::Decimal64(..) => Ok(Box::new($accumulator::<Decimal64Type, Decimal128Type>::new(input, result))),
            DataType::Decimal128(..) => {
                Ok(Box::new($accumulator::<Decimal128Type, Decimal128Type>::new(input, result)))
            }
            DataType::Float64 => Ok(Box::new($accumulator::<Float64Type, Float64Type>::new(input, result))),
            other => plan_err!("sum of {} does not exist", sql_type_name(other)),
        }
    }};
}

impl AggregateUDFImpl for Sum {
    fn name(&self) -> &str {
        "sum"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> DataFusionResult<Vec<DataType>> {
        let [argument] = types else { return plan_err!("sum takes one argument, not {}", types.len()) };
        Ok(vec![match argument {
            own if is_own(own) => own.clone(),
            DataType::Decimal256(..) | DataType::Interval(_) | DataType::Duration(_) => argument.clone(),
            DataType::Float16 | DataType::Float32 => DataType::Float64,
            DataType::Boolean | DataType::Null => DataType::Int64,
            DataType::Dictionary(_, value) => return self.coerce_types(&[value.as_ref().clone()]),
            other => return plan_err!("sum of {} does not exist; cast it to a number", sql_type_name(other)),
        }])
    }

    fn return_type(&self, types: &[DataType]) -> DataFusionResult<DataType> {
        match types {
            [integer] if integer.is_integer() => Ok(HUGEINT),
            [DataType::Decimal32(_, scale) | DataType::Decimal64(_, scale) | DataType::Decimal128(_, scale)] => {
                Ok(DataType::Decimal128(38, *scale))
            }
            [DataType::Float64] => Ok(DataType::Float64),
            _ => self.library.return_type(types),
        }
    }

    fn accumulator(&self, args: AccumulatorArgs) -> DataFusionResult<Box<dyn Accumulator>> {
        match args.expr_fields {
            [field] if is_own(field.data_type()) => {
                if args.is_distinct {
                    by_type!(DistinctSum, field.data_type(), args.return_field.data_type())
                } else {
                    by_type!(RunningSum, field.data_type(), args.return_field.data_type())
                }
            }
            _ => self.library.accumulator(args),
        }
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> DataFusionResult<Box<dyn Accumulator>> {
        match args.expr_fields {
            [field] if is_own(field.data_type()) => self.accumulator(args),
            _ => self.library.create_sliding_accumulator(args),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs) -> DataFusionResult<Vec<FieldRef>> {
        match args.input_fields {
            [field] if is_own(field.data_type()) && args.is_distinct => {
                let item = Field::new_list_field(field.data_type().clone(), true);
                Ok(vec![Arc::new(Field::new_list(format_state_name(args.name, "sum distinct"), item, false))])
            }
            [field] if field.data_type() == &DataType::Float64 => Ok(vec![
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
        match args.expr_fields {
            [field] if is_own(field.data_type()) => {
                by_type!(SumGroups, field.data_type(), args.return_field.data_type())
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
