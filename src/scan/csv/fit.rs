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

impl Settings {
    /// The options of the dialect that the user leaves open.
    pub fn left_open(&self) -> Vec<String> {
        let open = [
            ("delim", self.delimiter.is_none()),
            ("new_line", self.newline.is_none()),
            ("quote", !self.quote_given && !self.escape_given),
            ("comment", !self.comment_given),
            ("skip", !self.skip_given),
            ("encoding", self.encoding.is_none()),
            ("header", self.header.is_none()),
        ];
        open.into_iter().filter(|(_, open)| *open).map(|(name, _)| name.to_string()).collect()
    }

    /// Whether a file may be written in another dialect than the others.
    pub fn may_differ(&self) -> bool {
        self.detected.iter().any(|name| !["encoding", "header"].contains(&name.as_str()))
    }

    /// Whether the option was found out.
    pub fn is_detected(&self, name: &str) -> bool {
        self.detected.iter().any(|detected| detected == name)
    }

    /// The same without what was found out of the dialect.
    #[must_use]
    pub fn undetected(&self) -> Settings {
        let mut given = self.clone();
        for name in &self.detected {
            match name.as_str() {
                "delim" => given.delimiter = None,
                "new_line" => given.newline = None,
                "quote" => {
                    (given.quote, given.escape) = (Some(b'"'), Some(b'"'));
                    (given.quote_given, given.escape_given) = (false, false);
                }
                "comment" => (given.comment, given.comment_given, given.uncommented) = (None, false, None),
                "skip" => (given.skip, given.skip_given) = (0, false),
                _ => {}
            }
        }
        given
    }

    /// The same with a dialect that was found out.
    #[must_use]
    pub fn with(mut self, found: &Sniffed) -> Settings {
        self.delimiter.get_or_insert(found.delimiter);
        self.newline.get_or_insert(found.newline);
        self.header.get_or_insert(found.header);
        (self.quote, self.escape) = (found.quote, found.escape);
        if !self.comment_given {
            (self.comment, self.uncommented) = (found.comment, found.comment.map(|_| found.width));
        }
        self.skip += found.skip;
        self.spaced = found.spaced;
        self.widest = if self.rules.pads { found.widest } else { 0 };
        self
    }
}

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
