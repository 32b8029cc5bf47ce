//! The reader options of JSON, checked and typed.

use std::sync::Arc;

use arrow::datatypes::{Field, Fields, Schema, SchemaRef};
use memchr::memchr;
use serde::de::IgnoredAny;

use crate::error::{Code, Error, Result};
use crate::io::{Compression, InputFile, Location};
use crate::scan::json::forms::Forms;
use crate::scan::json::input::BYTE_ORDER_MARK;
use crate::scan::json::types::nested_type;
use crate::scan::options;
use crate::scan::prove::UNPROVEN;
use crate::scan::spec::{OptionValue, Options};

/// Bytes of one value unless the option says otherwise.
const MAXIMUM_OBJECT_BYTES: usize = 16 << 20;
/// Bytes in which the first character of a file is looked for.
pub(super) const PEEK_BYTES: usize = 4096;

/// How values stand in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// One value per line.
    Lines,
    /// One array of values.
    Array,
    /// Values one after the other, over as many lines as they like.
    Values,
}

/// Which rows types are inferred from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sample {
    /// Everything that is small, else parts of every file.
    Bounded,
    /// Every row.
    All,
    /// So many rows of each file.
    Rows(usize),
}

/// The options.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// The schema, when the user gave it.
    pub(super) columns: Option<SchemaRef>,
    compression: Option<Compression>,
    layout: Option<Layout>,
    /// Whether broken lines are left out.
    pub(super) ignore_errors: bool,
    pub(super) sample: Sample,
    /// Columns whose types rest on a sample.
    pub(super) unproven: Vec<String>,
    /// How dates are written.
    pub(super) forms: Forms,
    /// Whether the keys of objects are columns; else each value is one, of a column of its own.
    pub(super) records: bool,
    /// How deep types may be nested; what is deeper is text.
    pub(super) maximum_depth: usize,
    /// Bytes that one value may have.
    pub(super) maximum_object_bytes: usize,
}

impl Settings {
    /// The options as typed values.
    ///
    /// # Errors
    /// `INVALID_SETTING` for a value that an option cannot take.
    pub(super) fn new(given: &Options) -> Result<Self> {
        Ok(Settings {
            columns: columns(given)?,
            compression: compression(given)?,
            layout: layout(given)?,
            ignore_errors: options::flag(given, "ignore_errors")?.unwrap_or(false),
            sample: match options::integer(given, "sample_size")? {
                None => Sample::Bounded,
                Some(-1) => Sample::All,
                Some(rows) => Sample::Rows(positive("sample_size", rows)?),
            },
            unproven: options::texts(given, UNPROVEN)?.unwrap_or_default(),
            forms: Forms::new(given)?,
            records: records(given)?,
            maximum_depth: match options::integer(given, "maximum_depth")? {
                None | Some(-1) => usize::MAX,
                Some(depth) => positive("maximum_depth", depth)?,
            },
            maximum_object_bytes: match options::integer(given, "maximum_object_size")? {
                None => MAXIMUM_OBJECT_BYTES,
                Some(bytes) => positive("maximum_object_size", bytes)?,
            },
        })
    }

    /// How the file at `path` is compressed.
    pub(super) fn compression(&self, path: &Location) -> Compression {
        self.compression.unwrap_or_else(|| path.compression())
    }

    /// Whether the file at `path` can be read only from front to back.
    pub(super) fn is_stream(&self, path: &Location) -> bool {
        path.comes_once() || self.compression(path) != Compression::None
    }

    /// How values stand in the file at `path`; looks at its first bytes when no option says it. `None` when that
    /// needs inflating: the reader finds out by itself.
    pub(super) fn layout(&self, path: &Location) -> Result<Option<Layout>> {
        if self.layout.is_some() || self.compression(path) != Compression::None {
            return Ok(self.layout);
        }
        let file = InputFile::open(path)?;
        let mut bytes = [0; PEEK_BYTES];
        let count = file.read_at(0, &mut bytes)?;
        Ok(Some(layout_of(bytes.get(..count).unwrap_or_default())))
    }
}

/// The layout of a file that starts with `bytes`. An object that has not ended with its line is one of many lines, and
/// one that is followed by another on its line is not the only one.
pub(super) fn layout_of(bytes: &[u8]) -> Layout {
    let text = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes).trim_ascii_start();
    match text.first() {
        Some(b'[') => Layout::Array,
        Some(b'{') => {
            let line = memchr(b'\n', text).and_then(|end| text.get(..end));
            let first = line.unwrap_or(text);
            let mut values = serde_json::Deserializer::from_slice(first).into_iter::<IgnoredAny>();
            let are_values = match values.next() {
                Some(Err(error)) => line.is_some() && error.is_eof(),
                _ => first.get(values.byte_offset()..).unwrap_or_default().trim_ascii_start().starts_with(b"{"),
            };
            if are_values { Layout::Values } else { Layout::Lines }
        }
        _ => Layout::Lines,
    }
}

fn columns(given: &Options) -> Result<Option<SchemaRef>> {
    let Some(pairs) = options::pairs(given, "columns")? else { return Ok(None) };
    let field = |(name, sql): &(String, String)| Ok(Field::new(name, nested_type(sql)?, true));
    let fields = pairs.iter().map(field).collect::<Result<Fields>>()?;
    Ok(Some(Arc::new(Schema::new(fields))))
}

fn compression(given: &Options) -> Result<Option<Compression>> {
    let Some(name) = options::text(given, "compression")? else { return Ok(None) };
    Compression::parse(name).ok_or_else(|| refused("compression", name, Compression::NAMES))
}

fn layout(given: &Options) -> Result<Option<Layout>> {
    let Some(name) = options::text(given, "format")? else { return Ok(None) };
    match name.to_ascii_lowercase().as_str() {
        "auto" => Ok(None),
        "newline_delimited" | "nd" => Ok(Some(Layout::Lines)),
        "array" => Ok(Some(Layout::Array)),
        "unstructured" => Ok(Some(Layout::Values)),
        _ => Err(refused("format", name, "'auto', 'newline_delimited', 'array' or 'unstructured'")),
    }
}

fn records(given: &Options) -> Result<bool> {
    match given.get("records") {
        Some(OptionValue::Text(name)) if name.eq_ignore_ascii_case("auto") => Ok(true),
        _ => Ok(options::flag(given, "records")?.unwrap_or(true)),
    }
}

fn refused(option: &str, value: &str, takes: &str) -> Error {
    Error::new(Code::InvalidSetting, format!("the reader option {option} takes {takes}, not '{value}'"))
}

fn positive(option: &str, value: i64) -> Result<usize> {
    usize::try_from(value).ok().filter(|value| *value > 0).ok_or_else(|| {
        Error::new(Code::InvalidSetting, format!("the reader option {option} takes a positive number, not {value}"))
    })
}
