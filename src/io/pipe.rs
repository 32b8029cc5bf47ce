//! Input that comes once and from front to back: standard input, pipes, devices.
//!
//! Its beginning is kept, so that whoever plans may look at it as often as it likes; one scan reads on behind it. Input
//! that ends within the kept beginning is as good as a file.
//!
//! Invariant: what is read is what came; whoever asks for a place that is gone, or that cannot be reached without
//! passing over others, gets an error, never other bytes.
//!
//! # Known limitation
//! The kept beginning counts in no budget.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::error::{Code, Error, Result};
use crate::io::refused;
use crate::io::remote::Surroundings;
use crate::memory::Tally;

/// Bytes of the beginning that are kept.
const KEPT_BYTES: usize = 8 << 20;
/// Bytes that tell what something is that has no name.
const TELLING_BYTES: usize = 16;
/// The size that longer input is taken to have. What comes behind it is read all the same.
const SUPPOSED_BYTES: u64 = 16 << 30;
/// Milliseconds between two looks whether somebody has cancelled.
const PATIENCE: i32 = 50;

/// Names of standard input.
const STANDARD_INPUT: [&str; 4] = ["-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"];

/// See the module.
pub(super) struct Pipe {
    path: String,
    kept: Vec<u8>,
    /// Whether everything is kept.
    is_whole: bool,
    rest: Mutex<Rest>,
}

/// What comes behind the kept beginning.
struct Rest {
    source: File,
    /// Bytes that have come, with the kept ones.
    taken: u64,
    ended: bool,
}

impl Pipe {
    /// Whether `path` names standard input.
    pub(super) fn is_standard_input(path: &str) -> bool {
        STANDARD_INPUT.contains(&path)
    }

    /// Whether `path` can be read only once.
    pub(super) fn is_at(path: &str) -> bool {
        let named = if path == "-" { "/dev/stdin" } else { path };
        match std::fs::metadata(named) {
            Ok(metadata) => comes_once(&metadata),
            Err(_) => false,
        }
    }

    /// Opens the input at `path` and reads its beginning, until it is interrupted.
    ///
    /// # Errors
    /// `IO_ERROR` naming the path, `NOT_SUPPORTED` for a terminal, `CANCELLED`.
    pub(super) fn open(path: &str, interrupts: &Arc<AtomicU64>) -> Result<Self> {
        let source = match Pipe::is_standard_input(path) {
            true => standard_input(),
            false => opened(path),
        };
        let source = source.map_err(|error| refused(path, "open", &error))?;
        if std::io::IsTerminal::is_terminal(&source) {
            return Err(Error::not_supported(format!("reading data from a terminal ('{path}')"))
                .hint("pipe the data in, e.g. `command | floe \"SELECT … FROM read_csv('/dev/stdin')\"`"));
        }
        let before = interrupts.load(Ordering::Acquire);
        let check = || match interrupts.load(Ordering::Acquire) == before {
            true => Ok(()),
            false => Err(Error::cancelled()),
        };
        let mut rest = Rest { source, taken: 0, ended: false };
        let mut kept = vec![0; KEPT_BYTES];
        let count = rest.read(path, &mut kept, &check)?;
        kept.truncate(count);
        kept.shrink_to_fit();
        Ok(Pipe { path: path.to_string(), kept, is_whole: rest.ended, rest: Mutex::new(rest) })
    }

    /// Whether all of it is there, to be read as often and in what order one likes.
    pub(super) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Bytes, as far as that is known.
    pub(super) fn size(&self) -> u64 {
        if self.is_whole { self.kept.len() as u64 } else { SUPPOSED_BYTES }
    }

    /// The first bytes, which tell what it is.
    pub(super) fn beginning(&self) -> &[u8] {
        self.kept.get(..TELLING_BYTES).unwrap_or(&self.kept)
    }

    /// Fills `buffer` from `offset` on; gives the number of bytes read, which is less than asked only at the end. Only a
    /// `scan` goes on behind the kept beginning.
    ///
    /// # Errors
    /// `IO_ERROR`, `CANCELLED`; `NOT_SUPPORTED` for a place that is gone or not there yet.
    pub(super) fn read_at(&self, offset: u64, buffer: &mut [u8], scan: Option<&Surroundings>) -> Result<usize> {
        let kept = usize::try_from(offset).ok().and_then(|offset| self.kept.get(offset..)).unwrap_or_default();
        let done = kept.len().min(buffer.len());
        let (known, free) = buffer.split_at_mut(done);
        known.copy_from_slice(kept.get(..done).unwrap_or_default());
        Tally::count_read(done);
        if free.is_empty() || self.is_whole {
            return Ok(done);
        }
        let (at, mut rest) = (offset + done as u64, self.rest.lock());
        match (at == rest.taken, scan) {
            (true, Some(scan)) => {
                let count = rest.read(&self.path, free, &|| scan.check())?;
                Tally::count_read(count);
                Ok(done + count)
            }
            (true, None) => Err(self.too_long_to_plan()),
            (false, _) if at > rest.taken => Err(self.out_of_order()),
            (false, _) => Err(self.read_twice()),
        }
    }

    fn too_long_to_plan(&self) -> Error {
        let (path, bytes) = (&self.path, self.kept.len());
        let message = format!("'{path}' can be read only once, and its first {bytes} bytes do not say enough of it");
        Error::new(Code::NotSupported, message)
            .hint("say what is in it by the reader's options, or write the data into a file first")
    }

    fn out_of_order(&self) -> Error {
        let message = format!("'{}' can be read only from front to back, which this format is not", self.path);
        Error::new(Code::NotSupported, message)
            .hint("write the data into a file first, e.g. `command > data.parquet`, and read that")
    }

    fn read_twice(&self) -> Error {
        let message = format!("'{}' was read already, and that is possible only once", self.path);
        Error::new(Code::NotSupported, message)
            .hint("keep its rows in a table first: CREATE TABLE t AS FROM read_csv('/dev/stdin')")
    }
}

/// The first bytes of the file that standard input is.
///
/// # Errors
/// `IO_ERROR` when it cannot be read.
pub(super) fn beginning_of_standard_input() -> Result<Vec<u8>> {
    let failed = |error: std::io::Error| refused("/dev/stdin", "read", &error);
    let mut beginning = Vec::new();
    let file = File::open("/dev/stdin").map_err(failed)?;
    file.take(TELLING_BYTES as u64).read_to_end(&mut beginning).map_err(failed)?;
    Ok(beginning)
}

impl Rest {
    /// Fills `buffer` with what comes next; less only at the end.
    fn read(&mut self, path: &str, buffer: &mut [u8], check: &dyn Fn() -> Result<()>) -> Result<usize> {
        let mut done = 0;
        while !self.ended
            && let Some(free) = buffer.get_mut(done..).filter(|free| !free.is_empty())
        {
            while !has_come(&self.source) {
                check()?;
            }
            check()?;
            match self.source.read(free) {
                Ok(0) => self.ended = true,
                Ok(count) => {
                    done += count;
                    self.taken += count as u64;
                }
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(refused(path, &format!("read at byte {} of", self.taken), &error)),
            }
        }
        Ok(done)
    }
}

fn is_passing(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::Interrupted | std::io::ErrorKind::WouldBlock)
}

impl fmt::Debug for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipe").field("path", &self.path).finish_non_exhaustive()
    }
}

#[cfg(unix)]
fn comes_once(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt;
    let kind = metadata.file_type();
    kind.is_fifo() || kind.is_socket() || kind.is_char_device()
}

#[cfg(not(unix))]
fn comes_once(_metadata: &std::fs::Metadata) -> bool {
    false
}

/// A handle of its own, since the program's is buffered.
#[cfg(unix)]
fn standard_input() -> std::io::Result<File> {
    use std::os::fd::AsFd;
    std::io::stdin().as_fd().try_clone_to_owned().map(File::from)
}

#[cfg(not(unix))]
fn standard_input() -> std::io::Result<File> {
    Err(std::io::ErrorKind::Unsupported.into())
}

/// Without waiting for somebody to write into it.
#[cfg(unix)]
fn opened(path: &str) -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)
}

#[cfg(not(unix))]
fn opened(path: &str) -> std::io::Result<File> {
    File::open(path)
}

/// Waits a moment for bytes or the end; whether reading would not wait.
#[cfg(unix)]
fn has_come(source: &File) -> bool {
    use std::os::fd::AsRawFd;
    let mut asked = libc::pollfd { fd: source.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: `asked` is one valid entry, and the descriptor is open as long as `source`.
    unsafe { libc::poll(&mut asked, 1, PATIENCE) != 0 }
}

#[cfg(not(unix))]
fn has_come(_source: &File) -> bool {
    true
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::Write;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::cancel::CancelToken;
    use crate::memory::Budget;

    fn piped(bytes: Vec<u8>) -> Pipe {
        let (mut writer, reader) = UnixStream::pair().unwrap();
        std::thread::spawn(move || writer.write_all(&bytes));
        let mut rest = Rest { source: File::from(OwnedFd::from(reader)), taken: 0, ended: false };
        let mut kept = vec![0; KEPT_BYTES];
        let count = rest.read("p", &mut kept, &|| Ok(())).unwrap();
        kept.truncate(count);
        Pipe { path: "p".to_string(), kept, is_whole: rest.ended, rest: Mutex::new(rest) }
    }

    #[test]
    fn what_is_kept_whole_is_read_at_any_place() {
        let pipe = piped(b"0123456789".to_vec());
        let mut buffer = [0; 4];
        for _ in 0..2 {
            assert_eq!(pipe.read_at(3, &mut buffer, None).unwrap(), 4);
            assert_eq!((&buffer, pipe.size()), (b"3456", 10));
            assert_eq!(pipe.read_at(8, &mut buffer, None).unwrap(), 2);
            assert_eq!(pipe.read_at(99, &mut buffer, None).unwrap(), 0);
        }
    }

    #[test]
    fn what_is_longer_is_read_on_once_by_a_scan() {
        let bytes: Vec<u8> = (0..KEPT_BYTES + 1000).map(|index| (index % 251) as u8).collect();
        let pipe = piped(bytes.clone());
        let scan = Surroundings::new(&CancelToken::new(), &Budget::new(1 << 20), 1);
        let mut buffer = vec![0; 600];
        let start = KEPT_BYTES as u64 - 100;
        let code = |result: Result<usize>| result.unwrap_err().code();
        assert!(!pipe.is_whole());
        assert_eq!(code(pipe.read_at(start, &mut buffer, None)), Code::NotSupported);
        assert_eq!(code(pipe.read_at(start + 500, &mut buffer, Some(&scan))), Code::NotSupported);
        assert_eq!(pipe.read_at(start, &mut buffer, Some(&scan)).unwrap(), 600);
        assert_eq!(buffer, bytes[KEPT_BYTES - 100..KEPT_BYTES + 500]);
        assert!(pipe.read_at(start, &mut buffer, Some(&scan)).unwrap_err().message().contains("only once"));
        assert_eq!(pipe.read_at(start + 600, &mut buffer, Some(&scan)).unwrap(), 500);
        assert_eq!(pipe.read_at(0, &mut buffer, None).unwrap(), 600);
    }

    #[test]
    fn waiting_ends_when_somebody_cancels() {
        let (_writer, reader) = UnixStream::pair().unwrap();
        let mut rest = Rest { source: File::from(OwnedFd::from(reader)), taken: 0, ended: false };
        assert_eq!(rest.read("p", &mut [0; 4], &|| Err(Error::cancelled())).unwrap_err().code(), Code::Cancelled);
    }
}
