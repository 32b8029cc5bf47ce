//! The one door to bytes: finding files, reading ranges of them, and inflating them as streams.
//!
//! Invariant: every error names the path it is about, and a damaged or shortened file is an error, never a short
//! answer. Nothing above this module opens a file for reading data by itself, so that object stores can come in here
//! later.
//!
//! # Known limitation
//! Local files only: `s3://`, `http://` and other URLs are refused with `NOT_SUPPORTED`.

mod compression;
mod file;
mod glob;
mod lz4;
mod natural;
mod stream;

pub use compression::Compression;
pub use file::LocalFile;
pub use glob::{DATA_EXTENSIONS, FoundFile, glob};
pub use natural::natural_order;
pub use stream::{CountedStream, open_counted_stream, open_stream};

use crate::error::{Code, Error, Result};

/// The path without `file://`.
///
/// # Errors
/// `NOT_SUPPORTED`, naming the scheme, when the text is a URL of another kind.
pub(crate) fn local_path(path: &str) -> Result<&str> {
    let Some((scheme, rest)) = path.split_once("://") else { return Ok(path) };
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    match scheme {
        "file" => Ok(rest),
        _ if is_scheme => Err(Error::not_supported(format!("reading '{path}': the scheme '{scheme}://'"))
            .hint("download the files first; only local paths are read")),
        _ => Ok(path),
    }
}

/// An operating system's refusal, naming the path and what was being done.
pub(crate) fn refused(path: &str, doing: &str, error: &std::io::Error) -> Error {
    let code = match error.kind() {
        std::io::ErrorKind::NotFound => Code::FileNotFound,
        _ => Code::Io,
    };
    Error::new(code, format!("cannot {doing} '{path}': {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remote_url_names_its_scheme() {
        let error = local_path("s3://bucket/x.csv").unwrap_err();
        assert_eq!(error.code(), Code::NotSupported);
        assert!(error.message().contains("s3://"), "{error}");
        assert_eq!(local_path("file:///tmp/x.csv").unwrap(), "/tmp/x.csv");
        assert_eq!(local_path("odd name://x").unwrap(), "odd name://x");
    }
}
