//! Foreign errors and panics, as errors that name the file; and bytes of files as errors show them.
//!
//! Invariant: nothing that a file holds makes this process panic past the functions here. The crates that decode promise
//! errors, but a damaged file can still run into an assertion of theirs.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::{Code, Error, Result};

/// Guards the decoder of one format.
#[derive(Debug, Clone, Copy)]
pub(super) struct Guard {
    pub(super) format: &'static str,
}

impl Guard {
    /// Runs `work`, turning its error or panic into ours, in the place `place`.
    pub(super) fn run<T, E: Into<Error>>(
        self,
        place: impl Fn() -> String,
        work: impl FnOnce() -> std::result::Result<T, E>,
    ) -> Result<T> {
        match catch_unwind(AssertUnwindSafe(work)) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(self.hinted(error.into()).context(place())),
            Err(panic) => {
                let text = panic
                    .downcast_ref::<String>()
                    .map(String::as_str)
                    .or_else(|| panic.downcast_ref::<&str>().copied())
                    .unwrap_or("unknown");
                let message = format!("the {} decoder met something impossible: {text}", self.format);
                Err(self.hinted(Error::new(Code::InvalidData, message)).context(place()))
            }
        }
    }

    fn hinted(self, error: Error) -> Error {
        if error.code() != Code::InvalidData {
            return error;
        }
        let format = self.format;
        error.hint(format!("the file is damaged or is not {format}; write it again, or leave it out of the glob"))
    }
}

/// Characters of a bad line that an error shows.
const SHOWN_CHARACTERS: usize = 200;

/// Bytes for an error message: cut, and without what would break the line.
pub(in crate::scan) fn shown(bytes: &[u8]) -> String {
    let cut = bytes.get(..SHOWN_CHARACTERS * 4).unwrap_or(bytes);
    let text = String::from_utf8_lossy(cut);
    let mut shown: String = text.chars().take(SHOWN_CHARACTERS).flat_map(visible).collect();
    if text.chars().count() > SHOWN_CHARACTERS || cut.len() < bytes.len() {
        shown.push('…');
    }
    shown
}

fn visible(character: char) -> impl Iterator<Item = char> {
    let plain = if character.is_control() { None } else { Some(character) };
    let escaped = if plain.is_none() { Some(character.escape_default()) } else { None };
    plain.into_iter().chain(escaped.into_iter().flatten())
}
