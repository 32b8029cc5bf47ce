//! A folder of files, written by all workers: one file or more for each value of the columns that it is partitioned by, or
//! files of a size.
//!
//! Invariant: a folder that was not finished leaves nothing, and nobody sees half of a file. How that is done is the
//! matter of the place: `local` for folders of this machine, `remote` for those of object stores.
//!
//! Rows come sorted by the columns of the partitions, so that a worker has one file open, however many there are.

mod local;
mod remote;
mod sink;

use std::collections::HashMap;
use std::fmt::Write as _;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::SchemaRef;
use parking_lot::Mutex;

use self::local::LocalPlace;
use self::remote::RemotePlace;
pub use sink::WriteFiles;

use super::{FileWriter, WriteCompression, WriteFormat, WriteOptions};
use crate::batch::text::TextColumn;
use crate::error::{Code, Error, Result};
use crate::io::{Location, Storage};
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
    place: Place,
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

/// Where the files go.
enum Place {
    Local(LocalPlace),
    Remote(RemotePlace),
}

impl Place {
    /// Where the file of that name, from the folder on, is written; a folder that has ended takes no more.
    fn file(&self, name: &str) -> Result<Location> {
        match self {
            Place::Local(place) => place.file(name),
            Place::Remote(place) => place.file(name),
        }
    }

    /// The path or URL of a file that is in its place.
    fn path(&self, name: &str) -> String {
        match self {
            Place::Local(place) => place.path(name),
            Place::Remote(place) => place.path(name),
        }
    }
}

struct State {
    /// Files begun, by folder.
    numbers: HashMap<String, u64>,
    /// Names of the files that were begun, from the folder on. All of them are whole when all workers have finished.
    files: Vec<String>,
    rows: u64,
    reservation: Reservation,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenFolder {
    pub rows: u64,
    /// Paths or URLs, in the order of their names.
    pub files: Vec<String>,
}

impl WriteFolder {
    /// Begins the folder `path` of `storage`, whose rows are of `schema`.
    ///
    /// # Errors
    /// `UNKNOWN_COLUMN` for partitions by columns that there are not, `ALREADY_EXISTS` when there are files and they were
    /// not spoken of, `IO_ERROR` and `FILE_NOT_FOUND` when the folder above cannot be written to.
    pub fn create(
        storage: &Storage,
        path: &str,
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
        let mut reservation = budget.reservation("Names of files");
        let place = match storage.object_folder(path)? {
            Some(objects) => Place::Remote(RemotePlace::create(objects, folder.existing, &mut reservation)?),
            None => Place::Local(LocalPlace::create(Location::local(path).path()?, folder.existing)?),
        };
        let state = Mutex::new(State { numbers: HashMap::new(), files: Vec::new(), rows: 0, reservation });
        let (options, budget) = (options.clone(), budget.clone());
        Ok(WriteFolder { place, format, options, folder, schema, keys, kept, file_schema, budget, state })
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

    /// Begins a file in `directory`.
    fn file(&self, directory: &str) -> Result<FileWriter> {
        let mut state = self.state.lock();
        // The name, twice for a moment, and the folder's.
        state.reservation.grow(3 * directory.len() + 256)?;
        let number = state.numbers.entry(directory.to_string()).or_insert(0);
        let name = self.file_name(*number);
        *number += 1;
        let name = if directory.is_empty() { name } else { format!("{directory}/{name}") };
        let location = self.place.file(&name)?;
        state.files.push(name);
        drop(state);
        FileWriter::create(&location, self.format, &self.options, self.file_schema.clone(), &self.budget)
    }

    fn file_name(&self, number: u64) -> String {
        let appends = match (&self.place, self.folder.existing) {
            (_, Existing::Append) => true,
            // The old objects are there until all new ones are.
            (Place::Remote(_), Existing::Replace) => true,
            _ => false,
        };
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

    fn written(&self, rows: u64) {
        self.state.lock().rows += rows;
    }

    /// Puts all files in their places. Once, when all of them are whole.
    ///
    /// # Errors
    /// `ALREADY_EXISTS` when somebody else has written files meanwhile that were not spoken of, `IO_ERROR`.
    pub fn finish(&self) -> Result<WrittenFolder> {
        let mut state = self.state.lock();
        let (mut files, rows) = (std::mem::take(&mut state.files), state.rows);
        drop(state);
        files.sort_unstable();
        match &self.place {
            Place::Local(place) => place.finish(&files)?,
            Place::Remote(place) => place.finish(&files)?,
        }
        Ok(WrittenFolder { rows, files: files.iter().map(|name| self.place.path(name)).collect() })
    }

    /// Takes away what was written, which was not finished. No worker may be writing any more.
    ///
    /// # Errors
    /// `IO_ERROR` when a store does not let it be taken away.
    pub fn abandon(&self) -> Result<()> {
        let files = std::mem::take(&mut self.state.lock().files);
        match &self.place {
            Place::Local(place) => {
                place.abandon();
                Ok(())
            }
            Place::Remote(place) => place.abandon(files),
        }
    }
}

/// The error for files that are in `folder` and were not spoken of.
fn not_empty(folder: &impl std::fmt::Display) -> Error {
    Error::new(Code::AlreadyExists, format!("the folder '{folder}' is not empty"))
        .hint("OVERWRITE replaces what is in it, OVERWRITE_OR_IGNORE and APPEND add to it")
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
