//! Foreign errors and panics, as errors that name the file.
//!
//! Invariant: nothing that a file holds makes this process panic past the functions here. The parquet crate promises
//! errors, but a damaged footer or page can still run into an assertion of it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use parquet::errors::ParquetError;

use crate::error::{Code, Error, Result};

/// What a user can do about a damaged file.
const HINT: &str = "the file is damaged or is not Parquet; write it again, or leave it out of the glob";

/// Runs `work`, turning its error or panic into ours, in the place `place`.
pub(super) fn guard<T, E: Into<Error>>(
    place: impl Fn() -> String,
    work: impl FnOnce() -> std::result::Result<T, E>,
) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(hinted(error.into()).context(place())),
        Err(panic) => {
            let text = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("unknown");
            let message = format!("the Parquet decoder met something impossible: {text}");
            Err(hinted(Error::new(Code::InvalidData, message)).context(place()))
        }
    }
}

/// Our error inside one of the parquet crate's, to be found again by `Error::from`.
pub(super) fn carried(error: Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

fn hinted(error: Error) -> Error {
    if error.code() == Code::InvalidData { error.hint(HINT) } else { error }
}
