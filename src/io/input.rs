//! A file opened for reading at positions: the one door of the scans, whether the bytes lie on a disk or in a store.
//!
//! Whoever reads says once what it will read ([`expect_all`](InputFile::expect_all)); what is remote is then fetched ahead in
//! large pieces, what is local is read when it is asked for, by the thread that asks.

use std::io::Read;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::{Code, Error, Result};
use crate::io::file::LocalFile;
use crate::io::location::Location;
use crate::io::pipe::Pipe;
use crate::io::remote::RemoteFile;

/// An open file. Its size is fixed at opening: what is appended later is not seen, and a file that changes meanwhile
/// is an error where that can be noticed.
#[derive(Debug)]
pub struct InputFile {
    location: Location,
    size: u64,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Local(LocalFile),
    Remote(RemoteFile),
    Piped(Arc<Pipe>),
}

impl InputFile {
    /// Opens the file. An object whose size is known already costs no request.
    ///
    /// # Errors
    /// `FILE_NOT_FOUND` or `IO_ERROR`, naming the path; for an object also bucket, key and region.
    pub fn open(location: &Location) -> Result<Self> {
        let (size, kind) = match (location.object(), location.pipe()) {
            (None, None) => {
                let file = LocalFile::open(location.path()?, location)?;
                (file.size(), Kind::Local(file))
            }
            (None, Some(pipe)) => (pipe.size(), Kind::Piped(pipe.clone())),
            (Some(object), _) => {
                let file = RemoteFile::open(location, object)?;
                (file.size(), Kind::Remote(file))
            }
        };
        Ok(InputFile { location: location.clone(), size, kind })
    }

    /// Where it is.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// The path as it was given.
    pub fn path(&self) -> &str {
        &self.location
    }

    /// Bytes in the file when it was opened; of input that comes once a supposition.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Says that the bytes of `range` will be read; as [`expect_all`](InputFile::expect_all).
    pub fn expect(&self, range: Range<u64>) {
        self.expect_all(std::iter::once(range));
    }

    /// Says that the bytes of `ranges`, and no others for the time being, will be read soon and mostly once. What was
    /// said before is forgotten.
    pub fn expect_all(&self, ranges: impl IntoIterator<Item = Range<u64>>) {
        if let Kind::Remote(file) = &self.kind {
            file.expect(ranges.into_iter().collect());
        }
    }

    /// Fills `buffer` from `offset` on; gives the number of bytes read, which is less than asked only at the end of
    /// the file.
    ///
    /// # Errors
    /// `IO_ERROR` naming path and offset, also when the file ends before the size it had at opening; `CANCELLED`.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        match &self.kind {
            Kind::Local(file) => file.read_at(offset, buffer),
            Kind::Remote(file) => file.read_at(offset, buffer),
            Kind::Piped(pipe) => pipe.read_at(offset, buffer, self.location.surroundings().map(Arc::as_ref)),
        }
    }

    /// Appends the `size` bytes from `offset` on, all of which must be there, to `bytes`.
    ///
    /// # Errors
    /// As [`read_at`](InputFile::read_at).
    pub fn append_at(&self, offset: u64, size: usize, bytes: &mut Vec<u8>) -> Result<()> {
        match &self.kind {
            Kind::Local(file) => file.append_at(offset, size, bytes),
            Kind::Remote(file) => file.append_at(offset, size, bytes),
            Kind::Piped(_) => {
                let start = bytes.len();
                bytes.resize(start + size, 0);
                match self.read_at(offset, bytes.get_mut(start..).unwrap_or_default())? {
                    count if count == size => Ok(()),
                    count => {
                        let end = offset + count as u64;
                        Err(Error::new(Code::Io, format!("'{}' ends at byte {end}", self.location)))
                    }
                }
            }
        }
    }

    /// The `size` bytes from `offset` on, all of which must be there.
    ///
    /// # Errors
    /// As [`read_at`](InputFile::read_at).
    pub fn read_bytes(&self, offset: u64, size: usize) -> Result<Bytes> {
        match &self.kind {
            Kind::Local(_) | Kind::Piped(_) => {
                let mut bytes = Vec::with_capacity(size);
                self.append_at(offset, size, &mut bytes)?;
                Ok(bytes.into())
            }
            Kind::Remote(file) => file.read_bytes(offset, size),
        }
    }
}

/// A file read from front to back.
#[derive(Debug)]
pub struct Sequential {
    file: InputFile,
    next: u64,
}

impl Sequential {
    /// Reads `file` from its beginning.
    pub fn new(file: InputFile) -> Self {
        file.expect(0..file.size());
        Sequential { file, next: 0 }
    }
}

/// Errors travel through [`std::io::Error`] and come out whole by [`Error::from`](crate::error::Error).
impl Read for Sequential {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.file.read_at(self.next, buffer).map_err(std::io::Error::other)?;
        self.next += count as u64;
        Ok(count)
    }
}
