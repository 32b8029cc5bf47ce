//! The parquet crate's errors and panics as ours, and ours as its.

use parquet::errors::ParquetError;

use crate::error::{Error, Result};
use crate::scan::fault::Guard;

/// Runs `work`, turning its error or panic into ours, in the place `place`.
pub(super) fn guard<T, E: Into<Error>>(
    place: impl Fn() -> String,
    work: impl FnOnce() -> std::result::Result<T, E>,
) -> Result<T> {
    Guard { format: "Parquet" }.run(place, work)
}

/// Our error inside one of the parquet crate's, to be found again by `Error::from`.
pub(super) fn carried(error: Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}
