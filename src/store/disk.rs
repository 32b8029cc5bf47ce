//! The disk behind the store: anonymous files, positioned reads and writes.
//!
//! Invariant: a spill file has no name (it is unlinked before the first write, or deleted by the system when its last
//! handle closes), so nothing is left behind however the process ends.
//!
//! The traits are the seam where tests put a disk that lies.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;

/// Makes spill files.
pub trait SpillDisk: Send + Sync + fmt::Debug {
    /// A new file in `directory`, which exists; gone when the answer is dropped.
    fn create(&self, directory: &Path) -> io::Result<Box<dyn SpillFile>>;

    /// Bytes that are free on the disk of `directory`, when known.
    fn free_space(&self, directory: &Path) -> Option<u64>;
}

/// One spill file; reads and writes may run at the same time.
pub trait SpillFile: Send + Sync + fmt::Debug {
    /// Writes all of `bytes` at `offset`.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Fills all of `bytes` from `offset`.
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;

    /// Says that a range will not be read again; its space may be given back.
    fn discard(&self, offset: u64, length: u64);
}

/// The operating system's disk.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsDisk;

impl SpillDisk for OsDisk {
    fn create(&self, directory: &Path) -> io::Result<Box<dyn SpillFile>> {
        Ok(Box::new(OsFile(tempfile::tempfile_in(directory)?)))
    }

    fn free_space(&self, directory: &Path) -> Option<u64> {
        system::free_space(directory)
    }
}

#[derive(Debug)]
struct OsFile(File);

impl SpillFile for OsFile {
    #[cfg(unix)]
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(&self.0, bytes, offset)
    }

    #[cfg(unix)]
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.0, bytes, offset)
    }

    #[cfg(windows)]
    fn write_all_at(&self, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = std::os::windows::fs::FileExt::seek_write(&self.0, bytes, offset)?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            bytes = &bytes[written..];
            offset += written as u64;
        }
        Ok(())
    }

    #[cfg(windows)]
    fn read_exact_at(&self, mut bytes: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            let read = std::os::windows::fs::FileExt::seek_read(&self.0, bytes, offset)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            bytes = &mut bytes[read..];
            offset += read as u64;
        }
        Ok(())
    }

    fn discard(&self, offset: u64, length: u64) {
        system::punch_hole(&self.0, offset, length);
    }
}

#[cfg(unix)]
mod system {
    use std::ffi::CString;
    use std::fs::File;
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;

    /// Bytes an unprivileged process may still write on the disk of `directory`.
    pub(super) fn free_space(directory: &Path) -> Option<u64> {
        let path = CString::new(directory.as_os_str().as_bytes()).ok()?;
        let mut answer = std::mem::MaybeUninit::<libc::statvfs>::uninit();
        // SAFETY: `path` is a NUL-terminated string and `answer` is large enough for what statvfs writes.
        let status = unsafe { libc::statvfs(path.as_ptr(), answer.as_mut_ptr()) };
        if status != 0 {
            return None;
        }
        // SAFETY: statvfs succeeded, so it has filled `answer`.
        let answer = unsafe { answer.assume_init() };
        #[allow(clippy::unnecessary_cast, clippy::useless_conversion)] // the field types differ between systems
        Some((answer.f_bavail as u64).saturating_mul(answer.f_frsize as u64))
    }

    /// Gives the space of a range back; a file system that cannot keeps it until the file is closed.
    #[cfg(target_os = "linux")]
    pub(super) fn punch_hole(file: &File, offset: u64, length: u64) {
        use std::os::fd::AsRawFd;
        let (Ok(offset), Ok(length)) = (i64::try_from(offset), i64::try_from(length)) else { return };
        let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        // SAFETY: the descriptor is open for as long as `file` is borrowed; the call touches no memory of ours.
        unsafe { libc::fallocate(file.as_raw_fd(), mode, offset, length) };
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn punch_hole(_file: &File, _offset: u64, _length: u64) {}
}

#[cfg(not(unix))]
mod system {
    use std::fs::File;
    use std::path::Path;

    pub(super) fn free_space(_directory: &Path) -> Option<u64> {
        None
    }

    pub(super) fn punch_hole(_file: &File, _offset: u64, _length: u64) {}
}
