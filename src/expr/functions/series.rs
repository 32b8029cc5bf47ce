//! `range` and `generate_series` as the library has them, but called volatile: a call with constants would become a
//! literal of all its numbers, which every pass of the optimizer copies and prints. Series of dates and times are of
//! TIMESTAMPs, as a date plus an interval is.
//!
//! # Known limitation
//! Times before 1678 and after 2261 are no part of a series.

use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
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
        let types: Vec<DataType> = types.iter().map(|data_type| as_time(data_type).clone()).collect();
        Ok(in_micros(&self.library.return_type(&types)?))
    }

    fn coerce_types(&self, types: &[DataType]) -> DataFusionResult<Vec<DataType>> {
        self.library.coerce_types(types)
    }

    fn invoke_with_args(&self, mut arguments: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let result = arguments.return_field.data_type().clone();
        for value in &mut arguments.args {
            if value.data_type() == DataType::Date32 {
                *value = value.cast_to(&NANOS, None)?;
            }
        }
        self.library.invoke_with_args(arguments)?.cast_to(&result, None)
    }
}

const NANOS: DataType = DataType::Timestamp(TimeUnit::Nanosecond, None);

fn as_time(data_type: &DataType) -> &DataType {
    if *data_type == DataType::Date32 { &NANOS } else { data_type }
}

/// The type of a list of times that count microseconds.
fn in_micros(list: &DataType) -> DataType {
    match list {
        DataType::List(item) => match item.data_type() {
            DataType::Timestamp(_, zone) => {
                let times = DataType::Timestamp(TimeUnit::Microsecond, zone.clone());
                DataType::List(Arc::new(item.as_ref().clone().with_data_type(times)))
            }
            _ => list.clone(),
        },
        _ => list.clone(),
    }
}
