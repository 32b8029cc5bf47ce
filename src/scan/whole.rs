//! Files as such: which there are, and all that is in one.
//!
//! # Known limitation
//! Contents are read while the statement is planned, and no more than [`MOST`] bytes of them.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use arrow::array::{ArrayRef, BinaryArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};

use crate::error::{Code, Error, Result};
use crate::io::{FoundFile, InputFile, Storage};
use crate::scan::Options;

/// All contents together.
const MOST: u64 = 16 << 20;

/// The paths that the patterns match, none where they match nothing: `glob('*.csv')`.
pub fn glob_files(patterns: &[String], options: &Options, storage: &Storage) -> Result<RecordBatch> {
    no_options(options)?;
    let mut paths = Vec::new();
    for pattern in patterns {
        match storage.glob(pattern) {
            Ok(files) => paths.extend(files.into_iter().map(|file| file.path.as_str().to_string())),
            Err(error) if error.code() == Code::FileNotFound => {}
            Err(error) => return Err(error),
        }
    }
    let paths: ArrayRef = Arc::new(StringArray::from(paths));
    Ok(RecordBatch::try_from_iter([("file", paths)])?)
}

/// A row for every file with its content as a text: `read_text('*.txt')`.
pub fn read_text(patterns: &[String], options: &Options, storage: &Storage) -> Result<RecordBatch> {
    no_options(options)?;
    let (files, contents) = contents(patterns, storage)?;
    let mut texts = Vec::with_capacity(contents.len());
    for (file, content) in files.iter().zip(contents) {
        let text = String::from_utf8(content).map_err(|_| {
            Error::new(Code::InvalidData, format!("{} is not UTF-8", file.path.as_str()))
                .hint("read_blob reads any file")
        })?;
        texts.push(text);
    }
    rows(&files, Arc::new(StringArray::from(texts)))
}

/// A row for every file with its bytes: `read_blob('*.png')`.
pub fn read_blob(patterns: &[String], options: &Options, storage: &Storage) -> Result<RecordBatch> {
    no_options(options)?;
    let (files, contents) = contents(patterns, storage)?;
    rows(&files, Arc::new(BinaryArray::from_iter_values(contents)))
}

fn no_options(options: &Options) -> Result<()> {
    match options.keys().next() {
        Some(name) => Err(Error::new(Code::UnknownSetting, format!("there is no option named \"{name}\" here"))),
        None => Ok(()),
    }
}

fn contents(patterns: &[String], storage: &Storage) -> Result<(Vec<FoundFile>, Vec<Vec<u8>>)> {
    let mut files = Vec::new();
    for pattern in patterns {
        files.extend(storage.glob(pattern)?);
    }
    let total: u64 = files.iter().map(|file| file.size).sum();
    if total > MOST {
        let message = match files.iter().find(|file| file.path.comes_once()) {
            Some(file) => format!("'{}' is too long for read_text and read_blob", file.path.as_str()),
            None => format!("the files have {total} bytes; read_text and read_blob take up to {MOST} together"),
        };
        return Err(Error::new(Code::NotSupported, message));
    }
    let mut contents = Vec::with_capacity(files.len());
    for file in &files {
        let input = InputFile::open(&file.path)?;
        let size = usize::try_from(input.size().min(MOST)).unwrap_or(0);
        let mut content = Vec::with_capacity(size);
        input.append_at(0, size, &mut content)?;
        contents.push(content);
    }
    Ok((files, contents))
}

fn rows(files: &[FoundFile], contents: ArrayRef) -> Result<RecordBatch> {
    let names: ArrayRef = Arc::new(StringArray::from_iter_values(files.iter().map(|file| file.path.as_str())));
    let sizes = Int64Array::from_iter_values(files.iter().map(|file| i64::try_from(file.size).unwrap_or(i64::MAX)));
    let modified = |file: &FoundFile| {
        let since = file.modified?.duration_since(UNIX_EPOCH).ok()?;
        i64::try_from(since.as_micros()).ok()
    };
    let times = TimestampMicrosecondArray::from_iter(files.iter().map(modified)).with_timezone("UTC");
    Ok(RecordBatch::try_from_iter([
        ("filename", names),
        ("content", contents),
        ("size", Arc::new(sizes) as ArrayRef),
        ("last_modified", Arc::new(times) as ArrayRef),
    ])?)
}
