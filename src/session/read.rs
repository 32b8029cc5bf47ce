//! Frames over files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion_expr::LogicalPlanBuilder;

use super::sql::{About, FileCall};
use super::{DataFrame, Session};
use crate::error::Result;
use crate::plan::FileTable;
use crate::scan::{Format, OptionValue, Options};

/// One glob or several.
pub trait IntoPaths {
    /// The globs as text.
    fn into_paths(self) -> Vec<String>;
}

impl IntoPaths for &str {
    fn into_paths(self) -> Vec<String> {
        vec![self.to_string()]
    }
}

impl IntoPaths for String {
    fn into_paths(self) -> Vec<String> {
        vec![self]
    }
}

impl IntoPaths for &String {
    fn into_paths(self) -> Vec<String> {
        vec![self.clone()]
    }
}

impl IntoPaths for &Path {
    fn into_paths(self) -> Vec<String> {
        vec![self.to_string_lossy().into_owned()]
    }
}

impl IntoPaths for PathBuf {
    fn into_paths(self) -> Vec<String> {
        self.as_path().into_paths()
    }
}

impl IntoPaths for &PathBuf {
    fn into_paths(self) -> Vec<String> {
        self.as_path().into_paths()
    }
}

impl<P: IntoPaths> IntoPaths for Vec<P> {
    fn into_paths(self) -> Vec<String> {
        self.into_iter().flat_map(IntoPaths::into_paths).collect()
    }
}

impl<P: IntoPaths, const N: usize> IntoPaths for [P; N] {
    fn into_paths(self) -> Vec<String> {
        self.into_iter().flat_map(IntoPaths::into_paths).collect()
    }
}

impl<P: IntoPaths + Clone> IntoPaths for &[P] {
    fn into_paths(self) -> Vec<String> {
        self.iter().cloned().flat_map(IntoPaths::into_paths).collect()
    }
}

/// Options of a reader, the same as those of SQL's `read_csv` and its like.
///
/// ```
/// use floe::session::ReadOptions;
/// let options = ReadOptions::new().with("delim", ";").with("header", true).with("nullstr", vec!["", "NA"]);
/// # let _ = options;
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[must_use]
pub struct ReadOptions(Options);

impl ReadOptions {
    /// No options: everything is found out from the files.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets an option; names match without regard to case.
    pub fn with(mut self, name: &str, value: impl Into<OptionValue>) -> Self {
        self.0.insert(name.to_lowercase(), value.into());
        self
    }
}

impl From<bool> for OptionValue {
    fn from(value: bool) -> Self {
        OptionValue::Bool(value)
    }
}

impl From<i64> for OptionValue {
    fn from(value: i64) -> Self {
        OptionValue::Int(value)
    }
}

impl From<&str> for OptionValue {
    fn from(value: &str) -> Self {
        OptionValue::Text(value.to_string())
    }
}

impl From<String> for OptionValue {
    fn from(value: String) -> Self {
        OptionValue::Text(value)
    }
}

impl<T: Into<OptionValue>> From<Vec<T>> for OptionValue {
    fn from(values: Vec<T>) -> Self {
        OptionValue::List(values.into_iter().map(Into::into).collect())
    }
}

impl Session {
    /// A frame over CSV files.
    ///
    /// # Errors
    /// `FILE_NOT_FOUND` when a glob matches nothing; `INVALID_DATA` when the files are not what they should be.
    pub fn read_csv(&self, paths: impl IntoPaths) -> Result<DataFrame> {
        self.read_csv_with(paths, ReadOptions::new())
    }

    /// As [`read_csv`](Session::read_csv), with options.
    ///
    /// # Errors
    /// Also `UNKNOWN_SETTING` and `INVALID_SETTING` for the options.
    pub fn read_csv_with(&self, paths: impl IntoPaths, options: ReadOptions) -> Result<DataFrame> {
        self.read(paths, Format::Csv, options)
    }

    /// A frame over Parquet files.
    ///
    /// # Errors
    /// As [`read_csv`](Session::read_csv).
    pub fn read_parquet(&self, paths: impl IntoPaths) -> Result<DataFrame> {
        self.read_parquet_with(paths, ReadOptions::new())
    }

    /// As [`read_parquet`](Session::read_parquet), with options.
    ///
    /// # Errors
    /// Also `UNKNOWN_SETTING` and `INVALID_SETTING` for the options.
    pub fn read_parquet_with(&self, paths: impl IntoPaths, options: ReadOptions) -> Result<DataFrame> {
        self.read(paths, Format::Parquet, options)
    }

    /// A frame over files of JSON lines.
    ///
    /// # Errors
    /// As [`read_csv`](Session::read_csv).
    pub fn read_json(&self, paths: impl IntoPaths) -> Result<DataFrame> {
        self.read_json_with(paths, ReadOptions::new())
    }

    /// As [`read_json`](Session::read_json), with options.
    ///
    /// # Errors
    /// Also `UNKNOWN_SETTING` and `INVALID_SETTING` for the options.
    pub fn read_json_with(&self, paths: impl IntoPaths, options: ReadOptions) -> Result<DataFrame> {
        self.read(paths, Format::Json, options)
    }

    /// A frame over Arrow IPC files (Feather V2) and streams.
    ///
    /// # Errors
    /// As [`read_csv`](Session::read_csv).
    pub fn read_arrow(&self, paths: impl IntoPaths) -> Result<DataFrame> {
        self.read_arrow_with(paths, ReadOptions::new())
    }

    /// As [`read_arrow`](Session::read_arrow), with options.
    ///
    /// # Errors
    /// Also `UNKNOWN_SETTING` and `INVALID_SETTING` for the options.
    pub fn read_arrow_with(&self, paths: impl IntoPaths, options: ReadOptions) -> Result<DataFrame> {
        self.read(paths, Format::Arrow, options)
    }

    fn read(&self, paths: impl IntoPaths, format: Format, options: ReadOptions) -> Result<DataFrame> {
        let (patterns, about) = (paths.into_paths(), About::Rows);
        let call = FileCall { patterns, format: Some(format), options: options.0, about };
        let source = FileTable::new(Arc::new(self.engine().resolve(&call)?));
        let plan = LogicalPlanBuilder::scan(call.alias(), Arc::new(source), None)?.build()?;
        Ok(DataFrame::new(self.clone(), plan))
    }
}
