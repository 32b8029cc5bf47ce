//! A folder of files, written by all workers: one file or more for each value of the columns that it is partitioned by, or
//! files of a size.
//!
//! Invariant: the files are there all or none. They are written into a folder of their own beside the one that is
//! asked for, and move over in [`WriteFolder::finish`]; where there was no such folder, or all of it is replaced, that is
//! one renaming. A folder that was not finished leaves nothing.
//!
//! Rows come sorted by the columns of the partitions, so that a worker has one file open, however many there are.

mod sink;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::SchemaRef;
use parking_lot::Mutex;
use tempfile::TempDir;

pub use sink::WriteFiles;

use super::{FileWriter, WriteCompression, WriteFormat, WriteOptions};
use crate::batch::text::TextColumn;
use crate::error::{Code, Error, Result};
use crate::io::Location;
use crate::memory::{Budget, Reservation};

/// The folder name that stands for NULL.
const NULL_FOLDER: &str = "__HIVE_DEFAULT_PARTITION__";

/// What happens to files that are in the folder already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Existing {
    /// It is an error when there are some.
    #[default]
    Refuse,
    /// They go.
    Replace,
    /// They stay, but for those whose names are written again.
    Overwrite,
    /// They stay, and no name is written again.
    Append,
}

/// What can be chosen about a folder of files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FolderOptions {
    /// Names of columns: a folder `name=value` for each of their values.
    pub partition_by: Vec<String>,
    /// Whether these columns are in the files, too.
    pub write_partition_columns: bool,
    pub existing: Existing,
    /// A file that has so many bytes is followed by another.
    pub file_bytes: Option<u64>,
    /// The name of a file without its ending; `{i}` is its number and `{uuid}` never the same again.
    pub name: Option<String>,
    /// The ending of the names; by default the format's.
    pub extension: Option<String>,
}

/// A folder that is being written.
pub struct WriteFolder {
    path: PathBuf,
    format: WriteFormat,
    options: WriteOptions,
    folder: FolderOptions,
    schema: SchemaRef,
    /// The columns of the partitions, and those that are written.
    keys: Vec<usize>,
    kept: Vec<usize>,
    file_schema: SchemaRef,
    budget: Budget,
    // All workers note their files here; locked for each file.
    state: Mutex<State>,
}

struct State {
    /// Until it is finished.
    staging: Option<TempDir>,
    /// Files begun, by folder.
    numbers: HashMap<String, u64>,
    /// Names of the files that are whole, from the folder on.
    files: Vec<String>,
    rows: u64,
    reservation: Reservation,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenFolder {
    pub rows: u64,
    /// In the order of their names.
    pub files: Vec<PathBuf>,
}

impl WriteFolder {
    /// Begins the folder `path`, whose rows are of `schema`.
    ///
    /// # Errors
    /// `UNKNOWN_COLUMN` for partitions by columns that there are not, `ALREADY_EXISTS` when there are files and they were
    /// not spoken of, `IO_ERROR` and `FILE_NOT_FOUND` when the folder above cannot be written to.
    pub fn create(
        path: &Path,
        format: WriteFormat,
        options: &WriteOptions,
        folder: FolderOptions,
        schema: SchemaRef,
        budget: &Budget,
    ) -> Result<Self> {
        let key = |name: &String| {
            let found = schema.fields().iter().position(|field| field.name().eq_ignore_ascii_case(name));
            found.ok_or_else(|| {
                let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
                let message = format!("there is no column named \"{name}\" to partition by");
                Error::new(Code::UnknownColumn, message).hint(format!("the columns are {}", names.join(", ")))
            })
        };
        let keys = folder.partition_by.iter().map(key).collect::<Result<Vec<_>>>()?;
        let is_kept = |index: &usize| folder.write_partition_columns || !keys.contains(index);
        let kept: Vec<usize> = (0..schema.fields().len()).filter(is_kept).collect();
        if kept.is_empty() {
            return Err(Error::new(Code::InvalidQuery, "no column is left for the files")
                .hint("WRITE_PARTITION_COLUMNS true keeps the columns of PARTITION_BY in them"));
        }
        let file_schema = SchemaRef::new(schema.project(&kept)?);
        // A link keeps pointing where it did.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        check_existing(&path, folder.existing)?;
        let above = match path.parent() {
            Some(above) if !above.as_os_str().is_empty() => above,
            _ => Path::new("."),
        };
        if !above.is_dir() {
            let message = format!("there is no folder '{}'", above.display());
            return Err(Error::new(Code::FileNotFound, message).hint("make it first"));
        }
        let staging = tempfile::Builder::new().prefix(".floe-").suffix(".part").tempdir_in(above)?;
        let state = State {
            staging: Some(staging),
            numbers: HashMap::new(),
            files: Vec::new(),
            rows: 0,
            reservation: budget.reservation("Names of files"),
        };
        let (options, budget) = (options.clone(), budget.clone());
        let state = Mutex::new(state);
        Ok(WriteFolder { path, format, options, folder, schema, keys, kept, file_schema, budget, state })
    }

    /// The folder's name within the folder for the rows like row `row` of `batch`.
    fn directory(&self, batch: &RecordBatch, row: usize) -> Result<String> {
        let mut directory = String::new();
        for &key in &self.keys {
            let (column, field) = (batch.column(key), self.schema.field(key));
            if !directory.is_empty() {
                directory.push('/');
            }
            url_encode(field.name(), &mut directory);
            directory.push('=');
            if column.is_null(row) {
                directory.push_str(NULL_FOLDER);
            } else {
                let mut text = String::new();
                TextColumn::new(column.as_ref())?.write_text(row, &mut text)?;
                url_encode(&text, &mut directory);
            }
        }
        Ok(directory)
    }

    /// Begins a file in `directory`: its name from the folder on, and who writes it.
    fn file(&self, directory: &str) -> Result<(String, FileWriter)> {
        let mut state = self.state.lock();
        let staging = state.staging.as_ref().ok_or_else(Error::cancelled)?.path().join("new").join(directory);
        let bytes = 2 * directory.len() + 64;
        state.reservation.grow(bytes)?;
        let number = state.numbers.entry(directory.to_string()).or_insert(0);
        let name = self.file_name(*number);
        *number += 1;
        drop(state);
        fs::create_dir_all(&staging)?;
        let location = Location::local(&staging.join(&name).to_string_lossy());
        let writer = FileWriter::create(&location, self.format, &self.options, self.file_schema.clone(), &self.budget)?;
        Ok((if directory.is_empty() { name } else { format!("{directory}/{name}") }, writer))
    }

    fn file_name(&self, number: u64) -> String {
        let appends = self.folder.existing == Existing::Append;
        let default = if appends { "data_{uuid}" } else { "data_{i}" };
        let mut name = self.folder.name.clone().unwrap_or_else(|| default.to_string());
        let is_unique = name.contains("{uuid}") || name.contains("{i}") && !appends;
        if !is_unique {
            name.push_str(if appends { "_{uuid}" } else { "{i}" });
        }
        let name = name.replace("{i}", &number.to_string());
        let name = match name.contains("{uuid}") {
            true => name.replace("{uuid}", &format!("{:032x}", fastrand::u128(..))),
            false => name,
        };
        format!("{name}.{}", self.extension())
    }

    fn extension(&self) -> String {
        if let Some(extension) = &self.folder.extension {
            return extension.trim_start_matches('.').to_string();
        }
        let (plain, is_text) = match self.format {
            WriteFormat::Csv => ("csv", true),
            WriteFormat::Json => ("json", true),
            WriteFormat::Parquet => ("parquet", false),
            WriteFormat::Arrow => ("arrow", false),
            WriteFormat::ArrowStream => ("arrows", false),
        };
        match self.options.compression {
            Some(WriteCompression::Gzip) if is_text => format!("{plain}.gz"),
            Some(WriteCompression::Zstd) if is_text => format!("{plain}.zst"),
            _ => plain.to_string(),
        }
    }

    fn written(&self, name: String, rows: u64) {
        let mut state = self.state.lock();
        state.files.push(name);
        state.rows += rows;
    }

    /// Puts all files in their places. Once.
    ///
    /// # Errors
    /// `ALREADY_EXISTS` when somebody else has written files meanwhile that were not spoken of, `IO_ERROR`.
    pub fn finish(&self) -> Result<WrittenFolder> {
        let mut state = self.state.lock();
        let staging = state.staging.take().ok_or_else(Error::cancelled)?;
        let mut files = std::mem::take(&mut state.files);
        let rows = state.rows;
        drop(state);
        let new = staging.path().join("new");
        fs::create_dir_all(&new)?;
        check_existing(&self.path, self.folder.existing)?;
        let placed = match (self.path.exists(), self.folder.existing) {
            (false, _) => fs::rename(&new, &self.path),
            (true, Existing::Refuse | Existing::Replace) => {
                // What was there goes with the staging folder.
                let old = staging.path().join("old");
                fs::rename(&self.path, &old).and_then(|()| fs::rename(&new, &self.path))
            }
            (true, Existing::Overwrite | Existing::Append) => files.iter().try_for_each(|name| {
                let target = self.path.join(name);
                target.parent().map_or(Ok(()), fs::create_dir_all)?;
                fs::rename(new.join(name), target)
            }),
        };
        placed.map_err(|error| Error::from(error).context(format!("writing '{}'", self.path.display())))?;
        files.sort_unstable();
        Ok(WrittenFolder { rows, files: files.iter().map(|name| self.path.join(name)).collect() })
    }

    /// Takes away what was written, which was not finished.
    pub fn abandon(&self) {
        self.state.lock().staging.take();
    }
}

fn check_existing(path: &Path, existing: Existing) -> Result<()> {
    let Ok(facts) = fs::metadata(path) else { return Ok(()) };
    if !facts.is_dir() {
        let message = format!("'{}' is a file, not a folder", path.display());
        return Err(Error::new(Code::AlreadyExists, message).hint("name a folder, or one that is not there yet"));
    }
    if existing == Existing::Refuse && fs::read_dir(path)?.next().is_some() {
        let message = format!("the folder '{}' is not empty", path.display());
        return Err(Error::new(Code::AlreadyExists, message)
            .hint("OVERWRITE replaces what is in it, OVERWRITE_OR_IGNORE and APPEND add to it"));
    }
    Ok(())
}

/// `text` with `%XX` for every byte but letters, digits and a few signs, so that no file system takes it amiss.
fn url_encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            _ => drop(write!(out, "%{byte:02X}")),
        }
    }
}
