//! Where answers go: standard output, or a file or an object of a store that appears only when it is complete.
//!
//! Invariant: what `--output` names is either as it was before or holds everything; the text under way is in a temporary
//! file (beside a file, else where the system has them), which goes away on every end of the program that it can see.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use floe::error::Code;
use floe::{Error, Result};
use parking_lot::Mutex;
use tempfile::TempPath;

use super::engine::Engine;

/// The temporary file under way, shared with whoever must remove it when the program is interrupted.
pub type Unfinished = Arc<Mutex<Option<TempPath>>>;

/// A handle on the one output; clones write to the same place.
#[derive(Clone)]
pub struct Output(Rc<RefCell<Shared>>);

struct Shared {
    sink: Box<dyn Write>,
    /// Where the temporary file goes in the end.
    target: Option<PathBuf>,
    unfinished: Unfinished,
    /// The reader of the output has gone.
    closed: bool,
}

impl Output {
    /// Standard output, or a new file that will take the place of `path`.
    ///
    /// # Errors
    /// `IO_ERROR` or `FILE_NOT_FOUND` when the file's directory does not take a new file.
    pub fn open(path: Option<&Path>) -> Result<Self> {
        let unfinished = Unfinished::default();
        let (sink, target): (Box<dyn Write>, _) = match path {
            None => (Box::new(io::stdout()), None),
            Some(path) if is_url(path) => {
                let (file, temporary) =
                    tempfile::NamedTempFile::new().map_err(|error| refused(error, path))?.into_parts();
                *unfinished.lock() = Some(temporary);
                (Box::new(BufWriter::new(file)), Some(path.to_owned()))
            }
            // A pipe or a device is written to, not replaced.
            Some(path) if path.exists() && !path.is_file() => (Box::new(create(path)?), None),
            Some(path) => {
                // A link stays a link: what it points to is replaced.
                let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
                let (file, temporary) = create_beside(&target)?;
                *unfinished.lock() = Some(temporary);
                (Box::new(BufWriter::new(file)), Some(target))
            }
        };
        Ok(Output(Rc::new(RefCell::new(Shared { sink, target, unfinished, closed: false }))))
    }

    /// The temporary file under way.
    pub fn unfinished(&self) -> Unfinished {
        self.0.borrow().unfinished.clone()
    }

    /// Whether a write has failed because the reader has gone.
    pub fn is_closed(&self) -> bool {
        self.0.borrow().closed
    }

    /// Whether what is written may show on a terminal at once, itself or through a pipe: not so of a file.
    pub fn is_seen(&self) -> bool {
        self.0.borrow().target.is_none() && !is_regular_file(io::stdout())
    }

    /// Removes the file under way. (Dropping does not: whoever listens for signals holds it too.)
    pub fn discard(&self) {
        let unfinished = self.unfinished();
        drop(unfinished.lock().take());
    }

    /// Puts the file in its place; what cannot be put there is removed. `engine` puts it into a store.
    ///
    /// # Errors
    /// `IO_ERROR` when the last bytes cannot be written, the file cannot be renamed, or the store refuses it.
    pub fn keep(&self, engine: &dyn Engine) -> Result<()> {
        let mut shared = self.0.borrow_mut();
        let temporary = shared.unfinished.lock().take();
        shared.sink.flush()?;
        if let (Some(target), Some(temporary)) = (&shared.target, temporary) {
            if is_url(target) {
                return engine.put(&temporary, &target.to_string_lossy());
            }
            let failed = |error: tempfile::PathPersistError| refused(error.error, target);
            temporary.persist(target).map_err(failed)?;
        }
        Ok(())
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut shared = self.0.borrow_mut();
        let result = shared.sink.write(bytes);
        shared.note(result)
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut shared = self.0.borrow_mut();
        let result = shared.sink.flush();
        shared.note(result)
    }
}

impl Shared {
    fn note<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result {
            self.closed |= error.kind() == io::ErrorKind::BrokenPipe;
        }
        result
    }
}

/// Whether the output is an object of a store.
fn is_url(path: &Path) -> bool {
    path.to_str().is_some_and(|text| text.contains("://")) && !path.exists()
}

fn is_regular_file(output: impl std::os::fd::AsFd) -> bool {
    let file = output.as_fd().try_clone_to_owned().map(File::from);
    file.and_then(|file| file.metadata()).is_ok_and(|facts| facts.is_file())
}

/// The width of the terminal that standard output is, if it is one.
pub fn terminal_width() -> Option<usize> {
    if !io::stdout().is_terminal() {
        return None;
    }
    terminal_size::terminal_size().map(|(width, _)| usize::from(width.0))
}

fn create(path: &Path) -> Result<File> {
    File::options().write(true).open(path).map_err(|error| refused(error, path))
}

fn create_beside(target: &Path) -> Result<(File, TempPath)> {
    let directory = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".floe-").suffix(".part");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // What any new file gets; the user's mask takes its share away.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let file = builder.tempfile_in(directory).map_err(|error| refused(error, target))?;
    Ok(file.into_parts())
}

fn refused(error: io::Error, path: &Path) -> Error {
    Error::new(Code::Io, format!("cannot write '{}': {error}", path.display()))
}
