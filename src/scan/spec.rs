//! A scan as data: what files, what format, what options, what schema. No closures, so that a plan can be serialised.

use std::collections::BTreeMap;
use std::time::SystemTime;

use arrow::datatypes::SchemaRef;

use crate::io::Location;

/// A file format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    Csv,
    Parquet,
    /// JSON lines (one value per line).
    Json,
    /// Arrow IPC: files (Feather V2) and streams.
    Arrow,
}

/// A reader option's value as written in SQL or set by the library.
#[derive(Debug, Clone, PartialEq)]
pub enum OptionValue {
    Bool(bool),
    Int(i64),
    Text(String),
    List(Vec<OptionValue>),
    /// `{'name': 'TYPE', …}`
    Struct(Vec<(String, OptionValue)>),
}

/// Reader options by lower-case name.
pub type Options = BTreeMap<String, OptionValue>;

/// One file of a scan.
#[derive(Debug, Clone, PartialEq)]
pub struct FileEntry {
    /// Where globbing found it.
    pub path: Location,
    /// Bytes on disk.
    pub size: u64,
    /// When it was last changed, where that is known.
    pub modified: Option<SystemTime>,
    /// Values of the spec's hive columns, in their order; `None` is NULL. With the option `filename` the path is the
    /// first of them.
    pub hive_values: Vec<Option<String>>,
}

/// Files read as one relation.
#[derive(Debug, Clone)]
pub struct ScanSpec {
    /// The globs as the user wrote them.
    pub patterns: Vec<String>,
    pub format: Format,
    pub options: Options,
    /// What the globs matched, in the order in which it is read.
    pub files: Vec<FileEntry>,
    /// All columns: those in the files first, then the hive columns.
    pub schema: SchemaRef,
    /// How many columns at the end of `schema` come from the path: the option `filename`, then hive folders.
    pub hive_columns: usize,
    /// Rows in all files, when known without reading them (Parquet).
    pub rows: Option<u64>,
}
