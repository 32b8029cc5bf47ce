//! Errors of JSON with file, line and column.

use memchr::memchr_iter;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::error::{Code, Error, Result};
use crate::expr::parsed_beyond_range;
use crate::io::{Compression, InputFile};
use crate::scan::fault::shown;
use crate::scan::json::input::Portion;
use crate::scan::json::records::Record;

/// Bytes read at a time while lines are counted.
const COUNT_BYTES: usize = 1 << 20;

/// A value that its column cannot take.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Misfit {
    /// The keys that lead to it, innermost first.
    pub(super) path: Vec<String>,
    /// What was found, in words.
    pub(super) found: String,
    /// The column's type, in words.
    pub(super) wanted: String,
    /// It is an object with a key that no sample showed.
    pub(super) is_new_key: bool,
}

/// The error for a record that is not JSON, or not an object; with the line within the portion.
pub(super) fn record_error(record: &Record, error: &serde_json::Error) -> (Error, u64) {
    let line_in_record = u64::try_from(error.line().saturating_sub(1)).unwrap_or(0);
    let line = record.bytes.split(|byte| *byte == b'\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
    let before = if error.is_eof() { None } else { line.get(..error.column().saturating_sub(1)) };
    let before = before.unwrap_or(line);
    let mut column = characters(before) + 1;
    if line_in_record == 0 {
        column += characters(record.before);
    }
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or(&text);
    let error = match what.strip_prefix("invalid type: ").and_then(|what| what.strip_suffix(", expected an object")) {
        Some(found) => no_object(found, line),
        None => not_json(what, line.get(before.len()..).unwrap_or_default(), line),
    };
    (error.context(format!("column {column}")), record.lines + line_in_record)
}

/// `found` is what is there instead, to the end of its line, and `line` all of that.
fn not_json(what: &str, found: &[u8], line: &[u8]) -> Error {
    let near: String = String::from_utf8_lossy(found.get(..120).unwrap_or(found)).chars().take(30).collect();
    let found = if near.trim().is_empty() { "the end".to_owned() } else { format!("'{near}'") };
    Error::new(Code::InvalidData, format!("not JSON: {what}, found {found}, in the line: {}", shown(line)))
        .hint("one object per line is expected; ignore_errors => true leaves broken lines out")
}

/// The error for JSON that has no keys; `found` is what the parser calls it.
fn no_object(found: &str, line: &[u8]) -> Error {
    let found = if found == "sequence" { "an array".to_owned() } else { found.replace('`', "") };
    Error::new(Code::InvalidData, format!("expected an object, found {found}, in the line: {}", shown(line)))
        .hint("records => false reads values of any kind as one column; ignore_errors => true leaves such lines out")
}

/// The error for a record that the reader refused at byte `at` of it, in the words of a parser that has more of them.
pub(super) fn refused_record(record: &Record, at: usize) -> (Error, u64) {
    let text = match std::str::from_utf8(record.bytes) {
        Ok(text) => text,
        Err(error) => return encoding_error(record, error),
    };
    let parsed = parsed_beyond_range(text, |text| {
        serde_json::from_str::<serde_json::Value>(text)?;
        AnyObject.deserialize(&mut serde_json::Deserializer::from_str(text))
    });
    let Err(error) = parsed else {
        let (column, lines) = place_in(record, at);
        let rest = record.bytes.get(at..).unwrap_or_default();
        let error = not_json("unexpected text", rest, line_in(record, lines));
        return (error.context(format!("column {column}")), record.lines + lines);
    };
    record_error(record, &error)
}

/// The error for a value, at byte `at` of the record, that its column does not take. With `is_declared` the type is what
/// somebody wrote, else that of a sample.
pub(super) fn misfit_error(record: &Record, misfit: &Misfit, is_declared: bool, at: usize) -> (Error, u64) {
    let (column, lines) = place_in(record, at);
    let error = misfit_in_words(misfit, is_declared, line_in(record, lines));
    (error.context(format!("column {column}")), record.lines + lines)
}

/// Line `number` of a record, from 0.
fn line_in<'a>(record: &Record<'a>, number: u64) -> &'a [u8] {
    let number = usize::try_from(number).unwrap_or(usize::MAX);
    record.bytes.split(|byte| *byte == b'\n').nth(number).unwrap_or_default()
}

/// The column, from 1, of byte `at` of the record, and the lines before it in the record.
fn place_in(record: &Record, at: usize) -> (usize, u64) {
    let before = record.bytes.get(..at).unwrap_or(record.bytes);
    let lines = memchr_iter(b'\n', before).count() as u64;
    let line = before.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    let first = if lines == 0 { characters(record.before) } else { 0 };
    (first + characters(line) + 1, lines)
}

/// Any object, checked to be JSON.
struct AnyObject;

impl<'de> DeserializeSeed<'de> for AnyObject {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AnyObject {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<(), A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

/// The error for a record that is not UTF-8.
pub(super) fn encoding_error(record: &Record, error: std::str::Utf8Error) -> (Error, u64) {
    let valid = record.bytes.get(..error.valid_up_to()).unwrap_or_default();
    let line = valid.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    let message = "not JSON: the text is not UTF-8";
    let error = Error::new(Code::InvalidData, message)
        .hint("convert the file to UTF-8; ignore_errors => true leaves broken lines out");
    let lines = memchr_iter(b'\n', valid).count() as u64;
    (error.context(format!("column {}", characters(line) + 1)), record.lines + lines)
}

fn misfit_in_words(misfit: &Misfit, is_declared: bool, line: &[u8]) -> Error {
    let mut path = String::new();
    for step in misfit.path.iter().rev() {
        if !path.is_empty() && !step.starts_with('[') {
            path.push('.');
        }
        path.push_str(step);
    }
    let key = misfit.path.last().map_or("", String::as_str);
    let message = match misfit.is_new_key {
        true => format!("the key '{path}' was not there before"),
        false => format!("key '{path}' holds {}, but its type is {}", misfit.found, misfit.wanted),
    };
    let text = format!("columns => {{'{key}': 'VARCHAR', …}}");
    let hint = match is_declared {
        true => format!("{text} takes any value; ignore_errors => true leaves such lines out"),
        false => format!(
            "the type comes from samples of the file: sample_size => -1 reads all of it, or give it with {text}"
        ),
    };
    Error::new(Code::InvalidData, format!("{message}, in the line: {}", shown(line))).hint(hint)
}

fn characters(bytes: &[u8]) -> usize {
    String::from_utf8_lossy(bytes).chars().count()
}

/// Adds file and line to an error on line `lines` (from 0) of `portion`.
pub(super) fn placed(error: Error, portion: &Portion, lines: Option<u64>) -> Error {
    let place = match lines.map(|lines| lines_before(portion).map(|before| before + lines + 1)) {
        Some(Ok(line)) => format!("line {line} of file '{}'", portion.path),
        _ => format!("file '{}'", portion.path),
    };
    error.context(place)
}

/// Lines of the file before the portion's first own line. Only counted for an error.
fn lines_before(portion: &Portion) -> Result<u64> {
    let start = portion.range.as_ref().map_or(0, |range| range.start);
    if start == 0 || portion.compression != Compression::None {
        return Ok(0);
    }
    let file = InputFile::open(&portion.path)?;
    let mut buffer = vec![0; COUNT_BYTES];
    let (mut lines, mut position) = (0, 0);
    loop {
        let count = file.read_at(position, &mut buffer)?;
        let bytes = buffer.get(..count).unwrap_or_default();
        if count == 0 {
            return Ok(lines);
        }
        for end in memchr_iter(b'\n', bytes) {
            lines += 1;
            // The line end at or behind `start - 1` is the one before the portion's first line.
            if position + end as u64 + 1 >= start {
                return Ok(lines);
            }
        }
        position += count as u64;
    }
}
