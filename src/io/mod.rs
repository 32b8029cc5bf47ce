//! The one door to bytes: finding files, reading ranges of them, inflating them as streams, and writing to stores.
//!
//! Invariant: every error names the path it is about, and a damaged, shortened or changed file is an error, never a short
//! answer. Nothing above this module opens a file for reading data by itself: a [`Location`] is found by a session's
//! [`Storage`] and read by an [`InputFile`], and whether it lies on a disk or in a store behind a network is no matter
//! to whoever reads.

mod compression;
mod file;
mod glob;
mod input;
mod location;
mod lz4;
mod natural;
mod pipe;
mod remote;
mod storage;
mod stream;

pub use compression::Compression;
pub use glob::{DATA_EXTENSIONS, FoundFile};
pub use input::{InputFile, Sequential};
pub use location::{FileFacts, Location};
pub use natural::natural_order;
pub use remote::{ObjectFolder, Secret, Surroundings, Upload, with_many_waiting};
pub use storage::Storage;
pub use stream::{CountedStream, open_counted_stream, open_stream};

use crate::error::{Code, Error, Result};

/// The scheme of a URL and what follows `://`; `None` for a path.
pub(crate) fn scheme(path: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = path.split_once("://")?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    is_scheme.then_some((scheme, rest))
}

/// A path or URL as it may be printed: without what follows `?` in a URL of plain HTTP, which may be a signature.
pub fn shown(path: &str) -> &str {
    match scheme(path) {
        Some((scheme, _)) if scheme.to_ascii_lowercase().starts_with("http") => {
            path.split_once('?').map_or(path, |(path, _)| path)
        }
        _ => path,
    }
}

/// The path without `file://`.
///
/// # Errors
/// `NOT_SUPPORTED`, naming the scheme, when the text is a URL of another kind.
pub(crate) fn local_path(path: &str) -> Result<&str> {
    match scheme(path) {
        None => Ok(path),
        Some(("file", rest)) => Ok(rest),
        Some((scheme, _)) => Err(Error::not_supported(format!("reading '{path}': the scheme '{scheme}://'"))
            .hint("known are s3://, https://, http://, gs:// and az:// (where built in), and local paths")),
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
    fn an_unknown_url_names_its_scheme() {
        let error = local_path("ftp://host/x.csv").unwrap_err();
        assert_eq!(error.code(), Code::NotSupported);
        assert!(error.message().contains("ftp://"), "{error}");
        assert_eq!(local_path("file:///tmp/x.csv").unwrap(), "/tmp/x.csv");
        assert_eq!(local_path("odd name://x").unwrap(), "odd name://x");
        assert_eq!(shown("https://host/x.csv?sig=1"), "https://host/x.csv");
        assert_eq!((shown("s3://b/x?.csv"), shown("x?.csv")), ("s3://b/x?.csv", "x?.csv"));
    }
}
