//! A local file read at positions, so that many workers can share one handle.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use parking_lot::Mutex;

use crate::error::{Code, Error, Result};
use crate::io::refused;
use crate::memory::Tally;

/// An open local file. Its size is fixed at opening: what is appended later is not seen, and a file that shrinks
/// meanwhile is an error.
#[derive(Debug)]
pub(super) struct LocalFile {
    path: String,
    size: u64,
    file: File,
    /// Held by whoever moves the position of `file`; reads at positions do not.
    position: Mutex<()>,
}

impl LocalFile {
    /// Opens `local`, which errors call `path`.
    ///
    /// # Errors
    /// `FILE_NOT_FOUND` or `IO_ERROR`, naming the path.
    pub(super) fn open(local: &str, path: &str) -> Result<Self> {
        let file = File::open(local).map_err(|error| refused(path, "open", &error))?;
        let metadata = file.metadata().map_err(|error| refused(path, "read", &error))?;
        if metadata.is_dir() {
            return Err(Error::new(Code::Io, format!("'{path}' is a directory, not a file")));
        }
        Ok(LocalFile { path: path.to_string(), size: metadata.len(), file, position: Mutex::new(()) })
    }

    /// Bytes in the file when it was opened.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Fills `buffer` from `offset` on; gives the number of bytes read, which is less than asked only at the end of
    /// the file.
    ///
    /// # Errors
    /// `IO_ERROR` naming path and offset, also when the file ends before the size it had at opening.
    pub(super) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let available = self.size.saturating_sub(offset);
        let wanted = usize::try_from(available).unwrap_or(usize::MAX).min(buffer.len());
        let mut done = 0;
        while done < wanted {
            let position = offset + done as u64;
            match positioned_read(&self.file, position, &mut buffer[done..wanted]) {
                Ok(0) => return Err(self.shrunk(position)),
                Ok(count) => done += count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(refused(&self.path, &format!("read at byte {position} of"), &error)),
            }
        }
        Tally::count_read(done);
        Ok(done)
    }

    /// Appends the `size` bytes from `offset` on to `bytes`.
    ///
    /// # Errors
    /// `IO_ERROR` naming path and offset, also when they are not all there.
    pub(super) fn append_at(&self, offset: u64, size: usize, bytes: &mut Vec<u8>) -> Result<()> {
        // A vector without contents is filled by the kernel: zeroes written first would cost as much as the copy. Only
        // reads that move the position can do that.
        bytes.reserve_exact(size);
        let moving = self.position.lock();
        let mut file = &self.file;
        let read = file.seek(SeekFrom::Start(offset)).and_then(|_| file.take(size as u64).read_to_end(bytes));
        drop(moving);
        match read {
            Ok(count) if count == size => Tally::count_read(count),
            Ok(count) => return Err(self.shrunk(offset + count as u64)),
            Err(error) => return Err(refused(&self.path, &format!("read at byte {offset} of"), &error)),
        }
        Ok(())
    }

    fn shrunk(&self, position: u64) -> Error {
        let message = format!("'{}' became shorter while it was read: it ends at byte {position}", self.path);
        Error::new(Code::Io, format!("{message}, it had {} bytes", self.size))
    }
}

#[cfg(unix)]
fn positioned_read(file: &File, offset: u64, buffer: &mut [u8]) -> std::io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

#[cfg(windows)]
fn positioned_read(file: &File, offset: u64, buffer: &mut [u8]) -> std::io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &str) -> Result<LocalFile> {
        LocalFile::open(path, path)
    }

    #[test]
    fn reads_at_any_position_and_stops_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.bin");
        std::fs::write(&path, b"0123456789").unwrap();
        let file = open(path.to_str().unwrap()).unwrap();
        let mut buffer = [0; 4];
        assert_eq!(file.read_at(3, &mut buffer).unwrap(), 4);
        assert_eq!(&buffer, b"3456");
        assert_eq!(file.read_at(8, &mut buffer).unwrap(), 2);
        assert_eq!(file.read_at(99, &mut buffer).unwrap(), 0);
        let mut bytes = b"x".to_vec();
        file.append_at(3, 4, &mut bytes).unwrap();
        assert_eq!(bytes, b"x3456");
        assert!(file.append_at(8, 4, &mut bytes).unwrap_err().message().contains("byte 10"));
    }

    #[test]
    fn a_file_that_shrinks_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.bin");
        std::fs::write(&path, b"0123456789").unwrap();
        let file = open(path.to_str().unwrap()).unwrap();
        std::fs::write(&path, b"012").unwrap();
        let error = file.read_at(0, &mut [0; 10]).unwrap_err();
        assert!(error.message().contains("x.bin") && error.message().contains("byte 3"), "{error}");
    }

    #[test]
    fn a_missing_file_and_a_directory_name_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap().to_string();
        assert!(open(&path).unwrap_err().message().contains(&path));
        let missing = format!("{path}/none.csv");
        let error = open(&missing).unwrap_err();
        assert_eq!(error.code(), Code::FileNotFound);
        assert!(error.message().contains(&missing), "{error}");
    }
}
