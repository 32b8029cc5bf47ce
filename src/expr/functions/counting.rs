//! Functions of the libraries that count, with the type that DuckDB documents: BIGINT. The libraries' are UBIGINT, of which
//! no difference can be negative, or INTEGER.

use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, FieldRef};
use datafusion_common::Result as PlanResult;
use datafusion_expr::function::{PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion_expr::{
    ColumnarValue, PartitionEvaluator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, WindowUDF,
    WindowUDFImpl,
};

use super::wrapped::{as_wrapped, called_as_wrapped};

/// Scalar functions that count.
const SCALARS: [&str; 6] =
    ["array_length", "array_ndims", "array_position", "bit_length", "character_length", "strpos"];

/// The function with BIGINTs if it counts.
pub(super) fn counting(function: Arc<ScalarUDF>) -> Arc<ScalarUDF> {
    if !SCALARS.contains(&function.name()) {
        return function;
    }
    Arc::new(ScalarUDF::new_from_impl(CountingScalar { function }))
}

/// The window function with BIGINTs if it counts.
pub(super) fn counting_window(function: Arc<WindowUDF>) -> Arc<WindowUDF> {
    if !["row_number", "rank", "dense_rank", "ntile"].contains(&function.name()) {
        return function;
    }
    Arc::new(WindowUDF::new_from_impl(CountingWindow { function }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct CountingScalar {
    function: Arc<ScalarUDF>,
}

impl ScalarUDFImpl for CountingScalar {
    as_wrapped!(function);
    called_as_wrapped!(function);

    fn return_type(&self, _types: &[DataType]) -> PlanResult<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, mut call: ScalarFunctionArgs) -> PlanResult<ColumnarValue> {
        let constants = call.args.iter().map(|argument| match argument {
            ColumnarValue::Scalar(value) => Some(value),
            ColumnarValue::Array(_) => None,
        });
        let constants: Vec<_> = constants.collect();
        let arguments = ReturnFieldArgs { arg_fields: &call.arg_fields, scalar_arguments: &constants };
        call.return_field = self.function.return_field_from_args(arguments)?;
        self.function.invoke_with_args(call)?.cast_to(&DataType::Int64, None)
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct CountingWindow {
    function: Arc<WindowUDF>,
}

impl WindowUDFImpl for CountingWindow {
    as_wrapped!(function);
    called_as_wrapped!(function);

    fn field(&self, arguments: WindowUDFFieldArgs) -> PlanResult<FieldRef> {
        Ok(Arc::new(self.function.field(arguments)?.as_ref().clone().with_data_type(DataType::Int64)))
    }

    fn partition_evaluator(&self, arguments: PartitionEvaluatorArgs) -> PlanResult<Box<dyn PartitionEvaluator>> {
        // Never asked: windows are floe's own operators.
        self.function.partition_evaluator_factory(arguments)
    }

    fn sort_options(&self) -> Option<SortOptions> {
        self.function.sort_options()
    }
}
