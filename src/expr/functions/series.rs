//! `range` and `generate_series` as the library has them, but called volatile: a call with constants would become a
//! literal of all its numbers, which every pass of the optimizer copies and prints.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion_common::Result as DataFusionResult;
use datafusion_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use datafusion_functions_nested::range::{gen_series_udf, range_udf};

/// The functions.
pub(super) fn series() -> [Arc<ScalarUDF>; 2] {
    [range_udf(), gen_series_udf()].map(|library| {
        let mut signature = library.signature().clone();
        signature.volatility = Volatility::Volatile;
        Arc::new(ScalarUDF::new_from_impl(Series { library, signature }))
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Series {
    library: Arc<ScalarUDF>,
    signature: Signature,
}

impl ScalarUDFImpl for Series {
    fn name(&self) -> &str {
        self.library.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> DataFusionResult<DataType> {
        self.library.return_type(types)
    }

    fn coerce_types(&self, types: &[DataType]) -> DataFusionResult<Vec<DataType>> {
        self.library.coerce_types(types)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        self.library.invoke_with_args(arguments)
    }
}
