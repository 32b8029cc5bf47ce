//! The options of COPY … TO.

use std::collections::HashSet;
use std::hash::Hash;
use std::path::Path;

use crate::error::{Code, Error, Result};
use crate::ops::write::{Existing, FieldIds, FolderOptions, WriteCompression, WriteFormat, WriteOptions};
use crate::session::sql::{CopyOption, suggestion};

/// The names of all options, for who misspells one.
const OPTIONS: [&str; 31] = [
    "format",
    "compression",
    "header",
    "delimiter",
    "delim",
    "sep",
    "quote",
    "escape",
    "force_quote",
    "nullstr",
    "dateformat",
    "timestampformat",
    "row_group_size",
    "partition_by",
    "write_partition_columns",
    "overwrite",
    "overwrite_or_ignore",
    "append",
    "file_size_bytes",
    "per_thread_output",
    "filename_pattern",
    "file_extension",
    "return_files",
    "prefix",
    "suffix",
    "array",
    "compression_level",
    "field_ids",
    "kv_metadata",
    "parquet_version",
    "use_tmp_file",
];

/// What COPY … TO is told.
pub(super) struct CopyOptions {
    pub(super) format: WriteFormat,
    pub(super) write: WriteOptions,
    /// For a folder of files.
    pub(super) folder: Option<FolderOptions>,
    pub(super) returns_files: bool,
    pub(super) times: TimeFormats,
}

/// How times are written as texts.
#[derive(Default)]
pub(super) struct TimeFormats {
    pub(super) date: Option<String>,
    pub(super) timestamp: Option<String>,
}

/// Options that only CSV has, under all of their names.
const OF_CSV: [&str; 11] =
    ["header", "delimiter", "delim", "sep", "quote", "escape", "force_quote", "null", "nullstr", "prefix", "suffix"];

/// Options that only Parquet has.
const OF_PARQUET: [&str; 4] = ["compression_level", "field_ids", "kv_metadata", "parquet_version"];

/// The name of an option that has several.
fn plain_name(name: &str) -> &str {
    match name {
        "delim" | "sep" => "delimiter",
        "null" => "nullstr",
        "codec" => "compression",
        "date_format" => "dateformat",
        "timestamp_format" => "timestampformat",
        name => name,
    }
}

/// The options as they are read, one by one.
#[derive(Default)]
pub(super) struct Settings {
    format: Option<WriteFormat>,
    write: WriteOptions,
    folder: FolderOptions,
    per_thread: bool,
    returns_files: bool,
    times: TimeFormats,
    /// An option that only a folder has.
    of_folder: Option<String>,
    /// An option that only CSV has.
    of_csv: Option<String>,
    /// What CSV has before and behind all rows.
    prefix: Option<String>,
    suffix: Option<String>,
    /// The options that were given.
    given: Vec<String>,
}

impl Settings {
    /// Takes one option.
    ///
    /// # Errors
    /// `INVALID_SETTING` for a name or a value that COPY does not know.
    pub(super) fn set(&mut self, option: &CopyOption) -> Result<()> {
        let plain = plain_name(&option.name).to_string();
        if self.given.contains(&plain) {
            return Err(Error::new(Code::InvalidSetting, format!("option {plain} of COPY is given twice")));
        }
        self.given.push(plain);
        if OF_CSV.contains(&option.name.as_str()) {
            self.of_csv.get_or_insert_with(|| option.name.clone());
        }
        let (write, folder) = (&mut self.write, &mut self.folder);
        match option.name.as_str() {
            "format" => self.format = Some(format_named(text(option)?).ok_or_else(bad_format)?),
            "compression" | "codec" => write.compression = Some(compression(option)?),
            "header" => write.header = flag(option)?,
            "delimiter" | "delim" | "sep" => write.delimiter = text(option)?.to_string(),
            "quote" => write.quote = if text(option)?.is_empty() { None } else { Some(ascii(option)?) },
            "dateformat" | "date_format" => self.times.date = Some(text(option)?.to_string()),
            "timestampformat" | "timestamp_format" => self.times.timestamp = Some(text(option)?.to_string()),
            "escape" => write.escape = if text(option)?.is_empty() { None } else { Some(ascii(option)?) },
            "force_quote" => write.force_quote = names(option)?,
            "null" | "nullstr" => write.null = text(option)?.to_string(),
            "row_group_size" => write.row_group_rows = usize::try_from(number(option)?).unwrap_or(usize::MAX),
            "partition_by" => folder.partition_by = names(option)?,
            "write_partition_columns" => folder.write_partition_columns = flag(option)?,
            "overwrite" => set_existing(folder, Existing::Replace, option)?,
            "overwrite_or_ignore" => set_existing(folder, Existing::Overwrite, option)?,
            "append" => set_existing(folder, Existing::Append, option)?,
            "file_size_bytes" => folder.file_bytes = Some(bytes(option)?),
            "per_thread_output" => self.per_thread = flag(option)?,
            "filename_pattern" => folder.name = Some(file_name(option)?),
            "file_extension" => folder.extension = Some(file_name(option)?),
            "return_files" => self.returns_files = flag(option)?,
            "prefix" => self.prefix = Some(text(option)?.to_string()),
            "suffix" => self.suffix = Some(text(option)?.to_string()),
            "array" => write.array = flag(option)?,
            "compression_level" => {
                let level = text(option)?.parse().ok().filter(|level| (1..=22).contains(level));
                write.compression_level = Some(level.ok_or_else(|| bad(option, "a number from 1 to 22"))?);
            }
            "field_ids" => write.field_ids = field_ids(option)?,
            "kv_metadata" => write.metadata = pairs(option)?,
            "parquet_version" => {
                write.second_version = match text(option)?.to_lowercase().as_str() {
                    "v1" => false,
                    "v2" => true,
                    _ => return Err(bad(option, "V1 or V2")),
                }
            }
            // It always is one.
            "use_tmp_file" if flag(option)? => {}
            "use_tmp_file" => {
                return Err(
                    Error::not_supported("a file that has its name before it is whole").hint("leave USE_TMP_FILE out")
                );
            }
            other => {
                let error = Error::new(Code::InvalidSetting, format!("COPY has no option {other}"));
                return Err(match suggestion(other, OPTIONS.iter().copied(), "options") {
                    Some(hint) => error.hint(hint),
                    None => error,
                });
            }
        }
        if matches!(
            option.name.as_str(),
            "write_partition_columns"
                | "overwrite"
                | "overwrite_or_ignore"
                | "append"
                | "filename_pattern"
                | "file_extension"
        ) {
            self.of_folder.get_or_insert_with(|| option.name.clone());
        }
        Ok(())
    }

    /// All of them, for what is written to `path`.
    ///
    /// # Errors
    /// `INVALID_QUERY` where the format is nowhere, `INVALID_SETTING` for options of a folder where a file is written.
    pub(super) fn into_options(self, path: &Path) -> Result<CopyOptions> {
        let format = self.format.or_else(|| format_of(path)).ok_or_else(|| no_format(path))?;
        if format != WriteFormat::Csv
            && let Some(option) = &self.of_csv
        {
            return Err(Error::new(Code::InvalidSetting, format!("option {option} of COPY is for CSV only")));
        }
        let mut write = self.write;
        write.frame = match (self.prefix, self.suffix) {
            (Some(prefix), Some(suffix)) => Some((prefix, suffix)),
            (None, None) => None,
            _ => return Err(Error::new(Code::InvalidSetting, "COPY has both PREFIX and SUFFIX, or none of them")),
        };
        let only = |names: &[&str], what: &str| match self.given.iter().find(|name| names.contains(&name.as_str())) {
            Some(name) => Err(Error::new(Code::InvalidSetting, format!("option {name} of COPY is for {what} only"))),
            None => Ok(()),
        };
        if format != WriteFormat::Json {
            only(&["array"], "JSON")?;
        }
        if format != WriteFormat::Parquet {
            only(&OF_PARQUET, "Parquet")?;
        }
        if write.compression_level.is_some() && write.compression != Some(WriteCompression::Zstd) {
            let error = Error::new(Code::InvalidSetting, "option compression_level of COPY is for Zstandard only");
            return Err(error.hint("write COMPRESSION zstd"));
        }
        let is_text = matches!(format, WriteFormat::Csv | WriteFormat::Json);
        if !is_text && (self.times.date.is_some() || self.times.timestamp.is_some()) {
            return Err(Error::new(Code::InvalidSetting, "DATEFORMAT and TIMESTAMPFORMAT are for CSV and JSON only"));
        }
        let is_folder = !self.folder.partition_by.is_empty() || self.folder.file_bytes.is_some() || self.per_thread;
        if !is_folder
            && let Some(option) = &self.of_folder
            // Replacing is what happens to a file anyway.
            && !matches!(self.folder.existing, Existing::Replace | Existing::Overwrite)
        {
            return Err(Error::new(Code::InvalidSetting, format!("option {option} of COPY is for a folder of files"))
                .hint("PARTITION_BY, FILE_SIZE_BYTES or PER_THREAD_OUTPUT write one"));
        }
        let (returns_files, times) = (self.returns_files, self.times);
        Ok(CopyOptions { format, write, folder: is_folder.then_some(self.folder), returns_files, times })
    }
}

fn set_existing(folder: &mut FolderOptions, existing: Existing, option: &CopyOption) -> Result<()> {
    if !flag(option)? {
        return Ok(());
    }
    if folder.existing != Existing::Refuse && folder.existing != existing {
        return Err(Error::new(Code::InvalidSetting, "OVERWRITE, OVERWRITE_OR_IGNORE and APPEND exclude each other"));
    }
    folder.existing = existing;
    Ok(())
}

fn bad(option: &CopyOption, takes: &str) -> Error {
    Error::new(Code::InvalidSetting, format!("option {} of COPY takes {takes}", option.name))
}

/// `{name: 'value', …}`.
fn pairs(option: &CopyOption) -> Result<Vec<(String, String)>> {
    match option.pairs.as_slice() {
        [] => Err(bad(option, "names and values, {name: 'value'}")),
        pairs if are_distinct(pairs.iter().map(|(name, _)| name.to_lowercase())) => Ok(pairs.to_vec()),
        _ => Err(bad(option, "every name once")),
    }
}

fn are_distinct<T: Eq + Hash>(mut values: impl Iterator<Item = T>) -> bool {
    let mut seen = HashSet::new();
    values.all(|value| seen.insert(value))
}

fn field_ids(option: &CopyOption) -> Result<FieldIds> {
    if option.pairs.is_empty() && text(option)?.eq_ignore_ascii_case("auto") {
        return Ok(FieldIds::Auto);
    }
    let id = |(name, id): (String, String)| match id.parse() {
        Ok(id) => Ok((name, id)),
        Err(_) => Err(bad(option, "'auto', or columns and their numbers, {a: 1}")),
    };
    let ids = pairs(option)?.into_iter().map(id).collect::<Result<Vec<(String, i32)>>>()?;
    match are_distinct(ids.iter().map(|(_, id)| *id)) {
        true => Ok(FieldIds::Of(ids)),
        false => Err(bad(option, "every number once")),
    }
}

fn text(option: &CopyOption) -> Result<&str> {
    match option.values.as_slice() {
        [value] => Ok(value),
        _ => Err(bad(option, "a text")),
    }
}

fn names(option: &CopyOption) -> Result<Vec<String>> {
    match option.values.as_slice() {
        [] => Err(bad(option, "names of columns")),
        names => Ok(names.to_vec()),
    }
}

fn flag(option: &CopyOption) -> Result<bool> {
    match option.values.iter().map(|value| value.to_lowercase()).collect::<Vec<_>>().as_slice() {
        [] => Ok(true),
        [value] if matches!(value.as_str(), "true" | "on" | "1") => Ok(true),
        [value] if matches!(value.as_str(), "false" | "off" | "0") => Ok(false),
        _ => Err(bad(option, "true or false")),
    }
}

fn ascii(option: &CopyOption) -> Result<u8> {
    match text(option)?.as_bytes() {
        [byte] if byte.is_ascii() => Ok(*byte),
        _ => Err(bad(option, "one character of ASCII")),
    }
}

fn number(option: &CopyOption) -> Result<u64> {
    match text(option)?.parse() {
        Ok(number @ 1..) => Ok(number),
        _ => Err(bad(option, "a number from 1 on")),
    }
}

/// A number of bytes, perhaps with a unit.
fn bytes(option: &CopyOption) -> Result<u64> {
    let bytes = crate::config::bytes::parse(text(option)?).ok();
    bytes.filter(|bytes| *bytes > 0).ok_or_else(|| bad(option, "a number of bytes such as 100000 or '512MB'"))
}

/// Part of a file's name: it must not lead into another folder.
fn file_name(option: &CopyOption) -> Result<String> {
    match text(option)? {
        name if !name.is_empty() && !name.contains(['/', '\\', '\0']) => Ok(name.to_string()),
        _ => Err(bad(option, "part of a file's name")),
    }
}

fn compression(option: &CopyOption) -> Result<WriteCompression> {
    Ok(match text(option)?.to_lowercase().as_str() {
        "none" | "uncompressed" => WriteCompression::None,
        "gzip" => WriteCompression::Gzip,
        "zstd" => WriteCompression::Zstd,
        "snappy" => WriteCompression::Snappy,
        "lz4" | "lz4_raw" => WriteCompression::Lz4,
        _ => return Err(bad(option, "none, gzip, zstd, snappy or lz4")),
    })
}

/// The format of that name.
pub(super) fn format_named(name: &str) -> Option<WriteFormat> {
    Some(match name.to_lowercase().as_str() {
        "csv" => WriteFormat::Csv,
        "json" => WriteFormat::Json,
        "parquet" => WriteFormat::Parquet,
        "arrow" | "feather" | "ipc" => WriteFormat::Arrow,
        "arrows" => WriteFormat::ArrowStream,
        _ => return None,
    })
}

pub(super) fn bad_format() -> Error {
    Error::new(Code::InvalidSetting, "option format of COPY takes csv, json, parquet, arrow or arrows")
}

pub(super) fn no_format(path: &Path) -> Error {
    Error::new(Code::InvalidQuery, format!("'{}' does not tell its format", path.display()))
        .hint("end the name in .csv, .json, .parquet or .arrow, or write (FORMAT parquet)")
}

/// What the name of the file says; the ending of a compression may follow.
pub(super) fn format_of(path: &Path) -> Option<WriteFormat> {
    let name = path.file_name()?.to_str()?.to_lowercase();
    let name = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(&name);
    match name.rsplit_once('.')?.1 {
        "csv" | "tsv" | "txt" => Some(WriteFormat::Csv),
        "json" | "jsonl" | "ndjson" => Some(WriteFormat::Json),
        "parquet" => Some(WriteFormat::Parquet),
        "arrow" | "feather" | "ipc" => Some(WriteFormat::Arrow),
        "arrows" => Some(WriteFormat::ArrowStream),
        _ => None,
    }
}
