//! From patterns to a [`ScanSpec`]: which files, which format, which columns.
//!
//! Invariant: the answer depends only on the patterns, the options and what lies in the files; every file that is
//! read later is listed in it.

use std::io::Read;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};

use crate::error::{Code, Error, Result};
use crate::io::{Compression, Location, Storage, open_stream, shown, with_many_waiting};
use crate::scan::{FileEntry, Format, KnownFiles, OptionValue, Options, ScanSpec, hive, options, reader};

/// Bytes that show the format of what has no name.
const FORMAT_BYTES: u64 = 4 << 10;

impl Format {
    /// The format's name as the reader functions and EXPLAIN spell it.
    pub fn name(self) -> &'static str {
        match self {
            Format::Csv => "csv",
            Format::Parquet => "parquet",
            Format::Json => "json",
            Format::Arrow => "arrow",
        }
    }

    /// The format that the end of a file's name promises, seen through `.gz` and `.zst`.
    pub fn of(path: &str) -> Option<Format> {
        let (_, name) = Compression::split_name(path);
        let extension = name.rsplit('/').next()?.rsplit_once('.')?.1.to_ascii_lowercase();
        match extension.as_str() {
            "csv" | "tsv" | "txt" => Some(Format::Csv),
            "parquet" => Some(Format::Parquet),
            "json" | "jsonl" | "ndjson" => Some(Format::Json),
            "arrow" | "arrows" | "feather" | "ipc" => Some(Format::Arrow),
            _ => None,
        }
    }
}

/// Finds the files of all `patterns` in `storage`, their format (unless given) and their columns.
///
/// # Errors
/// `FILE_NOT_FOUND` for a pattern without a match, `UNKNOWN_SETTING` and `INVALID_SETTING` for options,
/// `INVALID_QUERY` for an unknown format or two formats at once, and what inference finds wrong in the files.
pub fn resolve(patterns: &[String], format: Option<Format>, options: &Options, storage: &Storage) -> Result<ScanSpec> {
    resolve_known(patterns, format, options, storage, &KnownFiles::default())
}

/// As [`resolve`], without looking again into files that are `known` and have not changed.
///
/// # Errors
/// As [`resolve`].
pub fn resolve_known(
    patterns: &[String],
    format: Option<Format>,
    options: &Options,
    storage: &Storage,
    known: &KnownFiles,
) -> Result<ScanSpec> {
    let options: Options = options.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect();
    let mut files = Vec::new();
    for pattern in patterns {
        for file in storage.glob(pattern)? {
            files.push(FileEntry {
                path: file.path,
                size: file.size,
                modified: file.modified,
                hive_values: Vec::new(),
            });
        }
    }
    let format = match format {
        Some(format) => format,
        None => common_format(&files)?,
    };
    let reader = reader(format)?;
    options::check_names(&options, format.name(), reader.option_names())?;
    let hive_types = hive::Types::new(&options)?;
    let hive_fields = match options::flag(&options, "hive_partitioning")? {
        Some(false) => hive_types.refused()?,
        _ => hive::columns(&mut files, &hive_types)?,
    };
    let mut folder_fields = Vec::new();
    if let Some(name) = filename_column(&options)? {
        folder_fields.push(Field::new(name, DataType::Utf8View, false));
        for file in &mut files {
            file.hive_values.insert(0, Some(file.path.to_string()));
        }
    }
    folder_fields.extend(hive_fields);
    let remote = files.iter().any(|file| file.path.is_remote());
    let inferred =
        with_many_waiting(remote, || known.inferred(format, &files, &options, || reader.infer(&files, &options)))?;
    let schema = with_folder_columns(&inferred.schema, &folder_fields);
    Ok(ScanSpec {
        patterns: patterns.iter().map(|pattern| shown(pattern).to_string()).collect(),
        format,
        options: inferred.options,
        files,
        schema: Arc::new(schema),
        hive_columns: folder_fields.len(),
        rows: inferred.rows,
    })
}

/// The file columns that no folder overrides, then the folders' columns.
fn with_folder_columns(files: &Schema, folders: &[Field]) -> Schema {
    let overridden = |field: &Field| folders.iter().any(|folder| folder.name().eq_ignore_ascii_case(field.name()));
    let kept = files.fields().iter().filter(|field| !overridden(field)).cloned();
    let fields: Vec<_> = kept.chain(folders.iter().cloned().map(Arc::new)).collect();
    Schema::new_with_metadata(fields, files.metadata().clone())
}

/// The name of the column with the path, if the option asks for it (`true`, or a name).
fn filename_column(options: &Options) -> Result<Option<String>> {
    match options.get("filename") {
        Some(OptionValue::Text(name)) if !["true", "false", ""].contains(&name.to_ascii_lowercase().as_str()) => {
            Ok(Some(name.clone()))
        }
        _ => Ok(options::flag(options, "filename")?.filter(|&wanted| wanted).map(|_| "filename".to_string())),
    }
}

fn common_format(files: &[FileEntry]) -> Result<Format> {
    let mut first: Option<(Format, &Location)> = None;
    for file in files {
        let format = match file.path.is_nameless() {
            true => Some(format_of_contents(&file.path)?),
            false => Format::of(&file.path),
        };
        let Some(format) = format else {
            let message = format!("cannot tell the format of '{}' from its name", file.path);
            return Err(Error::new(Code::InvalidQuery, message)
                .hint("say it with read_csv(…), read_parquet(…), read_json(…) or read_arrow(…)"));
        };
        match first {
            None => first = Some((format, &file.path)),
            Some((other, path)) if other != format => {
                let message = format!("'{path}' is {} but '{}' is {}", other.name(), file.path, format.name());
                return Err(Error::new(Code::InvalidQuery, format!("the files have two formats: {message}"))
                    .hint("use a pattern that matches files of one format"));
            }
            Some(_) => {}
        }
    }
    first.map(|(format, _)| format).ok_or_else(|| {
        Error::new(Code::InvalidQuery, "no file is given").hint("e.g. FROM 'data/*.csv' or read_csv('data/*.csv')")
    })
}

/// The format that the first bytes show.
fn format_of_contents(path: &Location) -> Result<Format> {
    let mut first = Vec::new();
    open_stream(path, path.compression())?.take(FORMAT_BYTES).read_to_end(&mut first)?;
    Ok(match first.as_slice() {
        [b'P', b'A', b'R', b'1', ..] => Format::Parquet,
        [b'A', b'R', b'R', b'O', b'W', b'1', ..] => Format::Arrow,
        text => match text.trim_ascii_start().first() {
            Some(b'{' | b'[') => Format::Json,
            _ => Format::Csv,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_says_the_format() {
        assert_eq!(Format::of("a.b/x.CSV.gz"), Some(Format::Csv));
        assert_eq!(Format::of("x.ndjson.zst"), Some(Format::Json));
        assert_eq!(Format::of("a.csv/x"), None);
    }

    #[test]
    fn two_formats_name_both_files() {
        let entry = |path: &str| FileEntry { path: path.into(), size: 0, modified: None, hive_values: Vec::new() };
        let error = common_format(&[entry("a.csv"), entry("b.csv"), entry("c.json")]).unwrap_err();
        assert!(error.message().contains("a.csv") && error.message().contains("c.json"), "{error}");
        assert!(common_format(&[entry("a.xls")]).unwrap_err().message().contains("a.xls"));
    }
}
