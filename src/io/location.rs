//! Where a file is: a path of this machine, input that comes once, or an object in a store together with the session's way
//! to it.
//!
//! Invariant: a location is its text to whoever prints, compares or serialises it; the way to a store is put in by
//! [`Storage`](super::Storage) and never shown.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::{Deref, Range};
use std::sync::Arc;
use std::time::SystemTime;

use crate::error::{Error, Result};
use crate::io::pipe::Pipe;
use crate::io::remote::{Object, RemoteFile, Surroundings};
use crate::io::{Compression, local_path, refused};

/// See the module. Clones are cheap.
#[derive(Clone)]
pub struct Location {
    text: Arc<str>,
    object: Option<Arc<Object>>,
    pipe: Option<Arc<Pipe>>,
    /// The first bytes of what has no name that tells what it is.
    beginning: Option<Arc<[u8]>>,
    surroundings: Option<Arc<Surroundings>>,
}

/// What is known of a file without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFacts {
    /// Bytes.
    pub size: u64,
    /// When it was last changed, where that is told.
    pub modified: Option<SystemTime>,
}

impl Location {
    /// A file of this machine.
    pub fn local(path: &str) -> Self {
        Location { text: path.into(), object: None, pipe: None, beginning: None, surroundings: None }
    }

    pub(super) fn piped(path: &str, pipe: Arc<Pipe>) -> Self {
        let beginning = pipe.beginning().into();
        Location { pipe: Some(pipe), beginning: Some(beginning), ..Location::local(path) }
    }

    /// A file of this machine whose name says nothing of what is in it.
    pub(super) fn nameless(path: &str, beginning: &[u8]) -> Self {
        Location { beginning: Some(beginning.into()), ..Location::local(path) }
    }

    pub(super) fn remote(text: &str, object: Object) -> Self {
        Location { object: Some(Arc::new(object)), ..Location::local(text) }
    }

    pub(super) fn object(&self) -> Option<&Arc<Object>> {
        self.object.as_ref()
    }

    pub(super) fn pipe(&self) -> Option<&Arc<Pipe>> {
        self.pipe.as_ref()
    }

    pub(super) fn surroundings(&self) -> Option<&Arc<Surroundings>> {
        self.surroundings.as_ref()
    }

    /// Whether reading it waits for a network.
    pub fn is_remote(&self) -> bool {
        self.object.is_some()
    }

    /// Whether it has no name that says anything of what is in it.
    pub fn is_nameless(&self) -> bool {
        self.beginning.is_some()
    }

    /// Whether it can be read only from front to back, and behind its beginning only once.
    pub fn comes_once(&self) -> bool {
        self.pipe.as_ref().is_some_and(|pipe| !pipe.is_whole())
    }

    /// How it is compressed, by its name or, where that says nothing, its first bytes.
    pub fn compression(&self) -> Compression {
        match &self.beginning {
            Some(beginning) => Compression::of_bytes(beginning),
            None => Compression::of(self),
        }
    }

    /// The path or URL.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The same file as one scan reads it.
    #[must_use]
    pub fn within(&self, scan: &Arc<Surroundings>) -> Self {
        Location { surroundings: Some(scan.clone()), ..self.clone() }
    }

    /// The same file, outside of any query.
    #[must_use]
    pub fn alone(&self) -> Self {
        Location { surroundings: None, ..self.clone() }
    }

    /// Size and time of change: of a local file as they are now, of an object as they were when it was found.
    ///
    /// # Errors
    /// As [`InputFile::open`](super::InputFile::open).
    pub fn facts(&self) -> Result<FileFacts> {
        if let Some(object) = &self.object {
            let facts = object.facts(self)?;
            return Ok(FileFacts { size: facts.size, modified: facts.modified });
        }
        if let Some(pipe) = &self.pipe {
            return Ok(FileFacts { size: pipe.size(), modified: None });
        }
        let metadata = std::fs::metadata(self.path()?).map_err(|error| refused(self, "read", &error))?;
        Ok(FileFacts { size: metadata.len(), modified: metadata.modified().ok() })
    }

    /// Begins to fetch what whoever opens the file next will [expect](super::InputFile::expect_all) first. For a file of
    /// this machine nothing is done, and `ranges` is not even asked.
    pub fn prepare(&self, ranges: impl FnOnce() -> Vec<Range<u64>>) {
        if let Some(object) = &self.object {
            RemoteFile::prepare(self, object, ranges());
        }
    }

    /// The path of a file of this machine.
    ///
    /// # Errors
    /// `NOT_SUPPORTED` for a URL of an unknown scheme; a defect for anything else.
    pub fn path(&self) -> Result<&str> {
        match self.object.is_some() || self.pipe.is_some() {
            true => Err(Error::internal(format!("'{self}' is no local file"))),
            false => local_path(self),
        }
    }
}

impl Deref for Location {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl Default for Location {
    fn default() -> Self {
        Location::local("")
    }
}

impl From<&str> for Location {
    fn from(path: &str) -> Self {
        Location::local(path)
    }
}

impl From<String> for Location {
    fn from(path: String) -> Self {
        Location::local(&path)
    }
}

/// The same text, reached in the same way.
impl PartialEq for Location {
    fn eq(&self, other: &Self) -> bool {
        let same_way = match (&self.object, &other.object) {
            (Some(ours), Some(theirs)) => ours.same_store(theirs),
            (ours, theirs) => ours.is_none() && theirs.is_none(),
        };
        let same_pipe = self.pipe.as_ref().map(Arc::as_ptr) == other.pipe.as_ref().map(Arc::as_ptr);
        same_way && same_pipe && self.text == other.text
    }
}

impl Eq for Location {}

impl Hash for Location {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}
