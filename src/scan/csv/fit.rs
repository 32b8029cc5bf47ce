//! How one file of several is written: each may have a preamble, comments, line ends, quotes and a delimiter of its own.
//!
//! Invariant: what the options say holds for every file. What was found out in the first one holds for another only
//! where it explains that file's first records; else the file is looked at by itself. The answer depends on the options
//! and the file's first bytes alone, so that planning and reading agree.

use std::borrow::Cow;
use std::io::Read;

use crate::error::{Code, Error, Result};
use crate::io::{Location, open_stream};
use crate::scan::csv::dialect::Dialect;
use crate::scan::csv::encoding::Encoding;
use crate::scan::csv::head::after_preamble;
use crate::scan::csv::settings::Settings;
use crate::scan::csv::sniff::{Sniffed, newline, sniff};
use crate::scan::csv::window::Window;

/// Bytes that tell the encoding.
const ENCODING_BYTES: u64 = 64 << 10;

/// The settings with the dialect of the file behind `window`, which stands at its beginning.
///
/// # Errors
/// What reading finds.
pub fn own_settings<'a>(window: &mut Window, settings: &'a Settings) -> Result<Cow<'a, Settings>> {
    if !settings.may_differ() {
        return Ok(Cow::Borrowed(settings));
    }
    let given = settings.undetected();
    let found = sniffed(window, &given, Some(settings.dialect()))?;
    Ok(Cow::Owned(given.with(&found)))
}

/// What the first records of the file behind `window` show; `common` is the dialect of the other files.
///
/// # Errors
/// What reading finds.
pub fn sniffed(window: &mut Window, given: &Settings, common: Option<Dialect>) -> Result<Sniffed> {
    window.fill()?;
    let newline = given.newline.unwrap_or_else(|| newline(window.data()));
    let start = after_preamble(window, &Settings { newline: Some(newline), ..given.clone() })?;
    let text = window.data().get(start..).unwrap_or_default();
    Ok(sniff(text, window.at_end(), given, common))
}

/// The bytes of the (inflated) file that tell its encoding.
///
/// # Errors
/// What reading finds.
pub fn first_bytes(path: &Location, settings: &Settings) -> Result<Vec<u8>> {
    let mut first = Vec::new();
    open_stream(path, settings.compression_of(path))?.take(ENCODING_BYTES).read_to_end(&mut first)?;
    Ok(first)
}

/// Refuses a file in UTF-8 where another file showed that each byte is a character.
///
/// # Errors
/// `INVALID_DATA` naming the file, and what reading finds.
pub fn check_encoding(path: &Location, settings: &Settings) -> Result<()> {
    if !settings.is_detected("encoding") || !settings.encoding().is_single_byte() {
        return Ok(());
    }
    let first = first_bytes(path, settings)?;
    if first.is_ascii() || Encoding::of_text(&first).is_single_byte() {
        return Ok(());
    }
    let (name, found) = (settings.encoding().name(), Encoding::of_text(&first).name());
    let message = format!("'{path}' is encoded as {found}, but another file as {name}");
    Err(Error::new(Code::InvalidData, message).hint("files of different encodings are read apart"))
}
