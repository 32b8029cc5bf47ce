//! `nearest(a, b)`: a condition of ASOF JOIN, and nothing anywhere else.

use arrow::datatypes::DataType;
use datafusion_common::Result as PlanResult;
use datafusion_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

use crate::error::{Code, Error};

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Nearest {
    signature: Signature,
}

impl Default for Nearest {
    fn default() -> Self {
        Nearest { signature: Signature::any(2, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Nearest {
    fn name(&self) -> &str {
        "nearest"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> PlanResult<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, _arguments: ScalarFunctionArgs) -> PlanResult<ColumnarValue> {
        Err(Error::new(Code::InvalidQuery, "nearest(a, b) is a condition of ASOF JOIN")
            .hint("write a ASOF JOIN b ON nearest(a.time, b.time)")
            .into())
    }
}
