//! Patterns to files: `*`, `?`, `**`, `[..]`, `{a,b}`, plain paths and whole directories.
//!
//! Invariant: the answer is never empty and always in the same order (numbers in names by value). A path that exists
//! is taken as it is, even with glob characters in its name.

use std::fs::Metadata;
use std::path::Path;
use std::time::SystemTime;

use globset::{GlobBuilder, GlobMatcher};
use walkdir::{DirEntry, WalkDir};

use crate::error::{Code, Error, Result};
use crate::io::{Compression, Location, local_path, natural_order, refused};

/// Ends of names that a directory given as a pattern is searched for, before `.gz` or `.zst`.
pub const DATA_EXTENSIONS: [&str; 10] =
    ["csv", "tsv", "parquet", "json", "jsonl", "ndjson", "arrow", "arrows", "feather", "ipc"];

/// A file that a pattern matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundFile {
    /// As the pattern led to it: relative if the pattern is.
    pub path: Location,
    /// Bytes on disk.
    pub size: u64,
    /// When it was last changed, where the file system tells.
    pub modified: Option<SystemTime>,
}

/// The files that `pattern` matches, in natural order.
///
/// # Errors
/// `FILE_NOT_FOUND` naming the pattern (and close names) when nothing matches, `INVALID_SETTING` for a malformed
/// pattern, `IO_ERROR` for a directory that cannot be read.
pub(super) fn glob(pattern: &str) -> Result<Vec<FoundFile>> {
    let pattern = local_path(pattern)?;
    // What comes in through standard input may be a file all the same.
    let pattern = if pattern == "-" { "/dev/stdin" } else { pattern };
    let mut found = match std::fs::metadata(pattern) {
        Ok(metadata) if metadata.is_dir() => in_directory(pattern)?,
        // Files that the system makes while they are read have no size.
        Ok(metadata) if metadata.is_file() && metadata.len() == 0 && is_made_up(pattern) => {
            return Err(no_file(pattern, "made by the system while it is read"));
        }
        Ok(metadata) if metadata.is_file() => vec![found_file(pattern.to_string(), &metadata)],
        Ok(_) => return Err(no_file(pattern, "a device")),
        Err(error) if has_magic(pattern) && error.kind() != std::io::ErrorKind::PermissionDenied => matching(pattern)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(refused(pattern, "read", &error)),
    };
    if found.is_empty() {
        return Err(nothing_matches(pattern));
    }
    found.sort_by(|a, b| natural_order(&a.path, &b.path));
    Ok(found)
}

/// The error for what has no size and no end.
fn no_file(path: &str, what: &str) -> Error {
    Error::not_supported(format!("reading '{path}', which is {what},"))
        .hint("write the data into a file first, e.g. `command > data.csv`, and read that")
}

fn is_made_up(path: &str) -> bool {
    path.starts_with("/proc/") || path.starts_with("/sys/")
}

pub(super) fn has_magic(text: &str) -> bool {
    text.contains(['*', '?', '[', '{'])
}

fn found_file(path: String, metadata: &Metadata) -> FoundFile {
    FoundFile { path: path.into(), size: metadata.len(), modified: metadata.modified().ok() }
}

/// The data files anywhere below a directory; names that start with `.` or `_` are not data.
fn in_directory(directory: &str) -> Result<Vec<FoundFile>> {
    let mut found = Vec::new();
    let visible = |entry: &DirEntry| {
        entry.depth() == 0 || !entry.file_name().as_encoded_bytes().starts_with(b".") && !is_private(entry)
    };
    for entry in WalkDir::new(directory).follow_links(true).into_iter().filter_entry(visible) {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) if is_missing(&error) && error.depth() > 0 => continue,
            Err(error) => return Err(unreadable(directory, &error)),
        };
        if entry.file_type().is_file() && is_data(&entry.file_name().to_string_lossy()) {
            found.push(entry_file(&entry, directory)?);
        }
    }
    Ok(found)
}

/// `_SUCCESS`, `_temporary` and the like; but `_year=2013` is a hive folder.
fn is_private(entry: &DirEntry) -> bool {
    let name = entry.file_name().as_encoded_bytes();
    name.starts_with(b"_") && !name.contains(&b'=')
}

pub(super) fn is_data(name: &str) -> bool {
    let (_, name) = Compression::split_name(name);
    let extension = Path::new(name).extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    DATA_EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension))
}

/// The files that a pattern with glob characters matches.
fn matching(pattern: &str) -> Result<Vec<FoundFile>> {
    let search = Search::new(pattern)?;
    let root = if search.base.is_empty() { "." } else { search.base.as_str() };
    if !Path::new(root).exists() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    let walk = WalkDir::new(root).follow_links(true).min_depth(1).max_depth(search.depth);
    for entry in walk.into_iter().filter_entry(|entry| search.enters(entry)) {
        let entry = match entry {
            Ok(entry) => entry,
            // A link to nothing is no file.
            Err(error) if is_missing(&error) && error.depth() > 0 => continue,
            Err(error) => return Err(unreadable(root, &error)),
        };
        if entry.file_type().is_file() && search.matches(root, entry.path()) {
            found.push(entry_file(&entry, &search.base)?);
        }
    }
    Ok(found)
}

/// A pattern taken apart: a base directory without glob characters, and the rest as matchers.
struct Search {
    base: String,
    whole: GlobMatcher,
    /// One matcher per leading component before the first `**`, so that unrelated directories are not entered.
    leading: Vec<GlobMatcher>,
    depth: usize,
    /// Whether the pattern names hidden files itself.
    hidden: bool,
}

impl Search {
    fn new(pattern: &str) -> Result<Self> {
        let magic = pattern.find(['*', '?', '[', '{']).unwrap_or(pattern.len());
        let rest_at = pattern[..magic].rfind('/').map_or(0, |slash| slash + 1);
        let (base, rest) = pattern.split_at(rest_at);
        let whole = matcher(pattern, rest)?;
        // Alternatives that span folders cannot be matched folder by folder.
        let by_component = !rest.contains('{') || rest.split('/').all(|part| braces(part) == 0);
        let parts: Vec<&str> = rest.split('/').collect();
        let mut leading = Vec::new();
        if by_component {
            for part in parts.iter().take_while(|part| !part.contains("**")) {
                leading.push(matcher(pattern, part)?);
            }
        }
        let bounded = by_component && leading.len() == parts.len();
        let depth = if bounded { parts.len() } else { usize::MAX };
        let hidden = parts.iter().any(|part| part.starts_with('.'));
        Ok(Search { base: base.to_string(), whole, leading, depth, hidden })
    }

    fn enters(&self, entry: &DirEntry) -> bool {
        let name = entry.file_name();
        if entry.depth() == 0 {
            return true;
        }
        if !self.hidden && name.as_encoded_bytes().starts_with(b".") {
            return false;
        }
        self.leading.get(entry.depth() - 1).is_none_or(|matcher| matcher.is_match(name))
    }

    fn matches(&self, root: &str, path: &Path) -> bool {
        path.strip_prefix(root).is_ok_and(|rest| self.whole.is_match(rest))
    }
}

/// Opening braces that are not closed within the text, or the other way round.
fn braces(text: &str) -> i32 {
    text.bytes().map(|byte| i32::from(byte == b'{') - i32::from(byte == b'}')).sum()
}

pub(super) fn matcher(pattern: &str, part: &str) -> Result<GlobMatcher> {
    GlobBuilder::new(part)
        .literal_separator(true)
        .empty_alternates(true)
        .build()
        .map(|glob| glob.compile_matcher())
        .map_err(|error| Error::new(Code::InvalidSetting, format!("'{pattern}' is not a pattern: {}", error.kind())))
}

/// The entry as a found file; the path keeps the spelling of the pattern's base.
fn entry_file(entry: &DirEntry, base: &str) -> Result<FoundFile> {
    let shown = entry.path().to_string_lossy();
    let Some(path) = entry.path().to_str() else {
        return Err(Error::new(Code::Io, format!("the name of '{shown}' is not UTF-8")).hint("rename the file"));
    };
    let path = if base.is_empty() { path.strip_prefix("./").unwrap_or(path) } else { path };
    let metadata = entry.metadata().map_err(|error| unreadable(&shown, &error))?;
    Ok(found_file(path.to_string(), &metadata))
}

fn is_missing(error: &walkdir::Error) -> bool {
    error.io_error().is_some_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}

fn unreadable(root: &str, error: &walkdir::Error) -> Error {
    let path = error.path().map_or_else(|| root.to_string(), |path| path.to_string_lossy().into_owned());
    match error.io_error() {
        Some(error) => refused(&path, "read", error),
        None => Error::new(Code::Io, format!("'{path}' is a link to a folder above it")),
    }
}

/// The error for a pattern without a match, with names that are close to it.
fn nothing_matches(pattern: &str) -> Error {
    let text = if has_magic(pattern) {
        format!("no file matches '{pattern}'")
    } else if Path::new(pattern).is_dir() {
        format!("the folder '{pattern}' holds no file of a known format ({})", DATA_EXTENSIONS.join(", "))
    } else {
        format!("there is no file '{pattern}'")
    };
    let error = Error::new(Code::FileNotFound, text);
    let close = close_names(pattern);
    if close.is_empty() {
        let folder = std::env::current_dir().map(|folder| folder.display().to_string()).unwrap_or_default();
        return error.hint(format!("paths are relative to the working directory '{folder}'"));
    }
    error.hint(format!("did you mean {}?", close.join(" or ")))
}

/// Up to three names in the deepest folder of the pattern that exists, most alike first.
fn close_names(pattern: &str) -> Vec<String> {
    let path = Path::new(pattern);
    let mut wanted = path;
    let folder = loop {
        let Some(parent) = wanted.parent() else { return Vec::new() };
        let parent_or_here = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        if parent_or_here.is_dir() {
            break parent_or_here;
        }
        wanted = parent;
    };
    let Some(name) = wanted.file_name().and_then(|name| name.to_str()) else { return Vec::new() };
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let name = name.to_lowercase();
    let mut names: Vec<(f64, String)> = entries
        .take(10_000)
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .map(|other| (strsim::normalized_damerau_levenshtein(&name, &other.to_lowercase()), other))
        .filter(|(likeness, _)| *likeness > 0.6)
        .collect();
    names.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| natural_order(&a.1, &b.1)));
    let here = folder == Path::new(".");
    let shown = |name: &String| if here { name.clone() } else { folder.join(name).display().to_string() };
    names.iter().take(3).map(|(_, name)| format!("'{}'", shown(name))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, file).unwrap();
        }
        folder
    }

    fn names(folder: &tempfile::TempDir, pattern: &str) -> Result<Vec<String>> {
        let root = folder.path().to_str().unwrap();
        let found = glob(&format!("{root}/{pattern}"))?;
        Ok(found.into_iter().map(|file| file.path[root.len() + 1..].to_string()).collect())
    }

    #[test]
    fn every_kind_of_pattern_matches_in_natural_order() {
        let folder = folder(&[
            "a/p10.csv",
            "a/p2.csv",
            "a/.p3.csv",
            "b/x.csv",
            "b/c/y.csv",
            "b/c/z.json.gz",
            "t[1].csv",
            "r.txt",
        ]);
        let check =
            |pattern: &str, expected: &[&str]| assert_eq!(names(&folder, pattern).unwrap(), expected, "{pattern}");
        check("a/*.csv", &["a/p2.csv", "a/p10.csv"]);
        check("a/p?.csv", &["a/p2.csv"]);
        check("a/p[0-9]*.csv", &["a/p2.csv", "a/p10.csv"]);
        check("**/*.csv", &["a/p2.csv", "a/p10.csv", "b/c/y.csv", "b/x.csv", "t[1].csv"]);
        check("b/**", &["b/c/y.csv", "b/c/z.json.gz", "b/x.csv"]);
        check("{a/p2,b/c/y}.csv", &["a/p2.csv", "b/c/y.csv"]);
        check("{a,b}/*.csv", &["a/p2.csv", "a/p10.csv", "b/x.csv"]);
        check("*/x.csv", &["b/x.csv"]);
        check("t[1].csv", &["t[1].csv"]);
        check("b", &["b/c/y.csv", "b/c/z.json.gz", "b/x.csv"]);
        check("a/.p*.csv", &["a/.p3.csv"]);
        check(".", &["./a/p2.csv", "./a/p10.csv", "./b/c/y.csv", "./b/c/z.json.gz", "./b/x.csv", "./t[1].csv"]);
    }

    #[test]
    fn no_match_names_the_pattern_and_what_is_close() {
        let folder = folder(&["flights.csv", "logs/2015-01.csv"]);
        let error = names(&folder, "flihgts.csv").unwrap_err();
        assert_eq!(error.code(), Code::FileNotFound);
        assert!(error.message().contains("flihgts.csv"), "{error}");
        assert!(error.hint_text().unwrap().contains("flights.csv"), "{error}");
        let error = names(&folder, "log/*.csv").unwrap_err();
        assert!(error.message().contains("log/*.csv") && error.hint_text().unwrap().contains("logs"), "{error}");
        assert!(names(&folder, "logs/2016-*.csv").is_err());
    }

    #[test]
    fn a_malformed_pattern_is_said_so() {
        let folder = folder(&["a.csv"]);
        assert_eq!(names(&folder, "a[.csv*").unwrap_err().code(), Code::InvalidSetting);
    }

    #[cfg(unix)]
    #[test]
    fn a_dangling_link_is_no_file() {
        let folder = folder(&["a.csv"]);
        std::os::unix::fs::symlink("nowhere", folder.path().join("b.json")).unwrap();
        assert_eq!(names(&folder, "*.csv").unwrap(), ["a.csv"]);
        assert_eq!(names(&folder, "*").unwrap(), ["a.csv"]);
        assert_eq!(names(&folder, ".").unwrap(), ["./a.csv"]);
        let error = names(&folder, "*.json").unwrap_err();
        assert_eq!(error.code(), Code::FileNotFound, "{error}");
    }
}
