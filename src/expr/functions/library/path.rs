//! Paths of files as texts. The separator is said by name: `system`, `both_slash` (the default), `forward_slash`, `backslash`.

use super::function::{Function, function};
use super::typed::{Bool, Text, row1, row2, row3, row4};
use crate::error::{Code, Error, Result};

/// The functions of this family.
pub(super) fn functions() -> Vec<Function> {
    vec![
        function(
            "parse_path",
            "path[, separator]",
            "The parts of a path",
            [row1::<Text, _>(|path| parse_path(path, "both_slash")), row2::<Text, Text, _>(parse_path)],
        ),
        function(
            "parse_dirname",
            "path[, separator]",
            "The first folder of a path",
            [row1::<Text, _>(|path| parse_dirname(path, "both_slash")), row2::<Text, Text, _>(parse_dirname)],
        ),
        function(
            "parse_dirpath",
            "path[, separator]",
            "A path without its last part",
            [row1::<Text, _>(|path| parse_dirpath(path, "both_slash")), row2::<Text, Text, _>(parse_dirpath)],
        ),
        function(
            "parse_filename",
            "path[, trim_extension[, separator]]",
            "The last part of a path",
            [
                row1::<Text, _>(|path| parse_filename(path, false, "both_slash")),
                row2::<Text, Bool, _>(|path, trim| parse_filename(path, trim, "both_slash")),
                row2::<Text, Text, _>(|path, separator| parse_filename(path, false, separator)),
                row3::<Text, Bool, Text, _>(parse_filename),
            ],
        ),
        function(
            "path_join",
            "path, others...",
            "Paths as one",
            [
                row2::<Text, Text, _>(|a, b| joined(&[a, b])),
                row3::<Text, Text, Text, _>(|a, b, c| joined(&[a, b, c])),
                row4::<Text, Text, Text, Text, _>(|a, b, c, d| joined(&[a, b, c, d])),
            ],
        ),
    ]
}

fn separators(name: &str) -> Result<&'static [char]> {
    match name {
        "system" | "forward_slash" => Ok(&['/']),
        "backslash" => Ok(&['\\']),
        "both_slash" => Ok(&['/', '\\']),
        other => Err(Error::new(Code::InvalidQuery, format!("there is no separator named '{other}'"))
            .hint("it is one of system, both_slash, forward_slash, backslash")),
    }
}

fn joined(parts: &[&str]) -> Result<String> {
    let mut path = String::new();
    for part in parts {
        if part.starts_with('/') && !path.is_empty() {
            return Err(Error::new(
                Code::InvalidQuery,
                format!("'{part}' begins at the root and cannot follow '{path}'"),
            ));
        }
        if !path.is_empty() && !path.ends_with('/') {
            path.push('/');
        }
        path.push_str(part);
    }
    Ok(path)
}

fn parse_path(path: &str, separator: &str) -> Result<Vec<String>> {
    let separators = separators(separator)?;
    let mut parts = Vec::new();
    if let Some(root) = path.chars().next().filter(|first| separators.contains(first)) {
        parts.push(root.to_string());
    }
    parts.extend(path.split(separators).filter(|part| !part.is_empty()).map(str::to_string));
    Ok(parts)
}

fn parse_dirname(path: &str, separator: &str) -> Result<String> {
    let separators = separators(separator)?;
    let Some(at) = path.find(separators) else { return Ok(String::new()) };
    Ok(path.get(..at.max(1)).unwrap_or_default().to_string())
}

fn parse_dirpath(path: &str, separator: &str) -> Result<String> {
    let separators = separators(separator)?;
    let at = path.rfind(separators).unwrap_or(0);
    Ok(path.get(..at).unwrap_or_default().to_string())
}

fn parse_filename(path: &str, trim: bool, separator: &str) -> Result<String> {
    let name = path.rsplit(separators(separator)?).next().unwrap_or(path);
    Ok(match name.rfind('.') {
        Some(at) if trim => name.get(..at).unwrap_or(name).to_string(),
        _ => name.to_string(),
    })
}
