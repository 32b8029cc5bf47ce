//! A folder of this machine.
//!
//! Invariant: the files are there all or none. They are written into a folder of their own beside the one that is asked
//! for, and move over in [`LocalPlace::finish`]; where there was no such folder, or all of it is replaced, that is one
//! renaming.

use std::fs;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use tempfile::TempDir;

use super::{Existing, not_empty};
use crate::error::{Code, Error, Result};
use crate::io::Location;

/// See the module.
pub(super) struct LocalPlace {
    path: PathBuf,
    existing: Existing,
    // Every worker begins files in it, until it is finished or abandoned; locked for each file.
    staging: Mutex<Option<TempDir>>,
}

impl LocalPlace {
    pub(super) fn create(path: &str, existing: Existing) -> Result<Self> {
        // A link keeps pointing where it did.
        let path = fs::canonicalize(path).unwrap_or_else(|_| PathBuf::from(path));
        check_existing(&path, existing)?;
        let above = match path.parent() {
            Some(above) if !above.as_os_str().is_empty() => above,
            _ => Path::new("."),
        };
        if !above.is_dir() {
            let message = format!("there is no folder '{}'", above.display());
            return Err(Error::new(Code::FileNotFound, message).hint("make it first"));
        }
        let staging = tempfile::Builder::new().prefix(".floe-").suffix(".part").tempdir_in(above)?;
        Ok(LocalPlace { path, existing, staging: Mutex::new(Some(staging)) })
    }

    pub(super) fn file(&self, name: &str) -> Result<Location> {
        let path = match self.staging.lock().as_ref() {
            Some(staging) => staging.path().join("new").join(name),
            None => return Err(Error::cancelled()),
        };
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        Ok(Location::local(&path.to_string_lossy()))
    }

    pub(super) fn path(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }

    pub(super) fn finish(&self, files: &[String]) -> Result<()> {
        let staging = self.staging.lock().take().ok_or_else(Error::cancelled)?;
        let new = staging.path().join("new");
        fs::create_dir_all(&new)?;
        check_existing(&self.path, self.existing)?;
        let placed = match (self.path.exists(), self.existing) {
            (false, _) => fs::rename(&new, &self.path),
            (true, Existing::Refuse | Existing::Replace) => {
                // What was there goes with the staging folder.
                let old = staging.path().join("old");
                fs::rename(&self.path, &old).and_then(|()| fs::rename(&new, &self.path))
            }
            (true, Existing::Overwrite | Existing::Append) => files.iter().try_for_each(|name| {
                let target = self.path.join(name);
                target.parent().map_or(Ok(()), fs::create_dir_all)?;
                fs::rename(new.join(name), target)
            }),
        };
        placed.map_err(|error| Error::from(error).context(format!("writing '{}'", self.path.display())))
    }

    pub(super) fn abandon(&self) {
        self.staging.lock().take();
    }
}

fn check_existing(path: &Path, existing: Existing) -> Result<()> {
    let Ok(facts) = fs::metadata(path) else { return Ok(()) };
    if !facts.is_dir() {
        let message = format!("'{}' is a file, not a folder", path.display());
        return Err(Error::new(Code::AlreadyExists, message).hint("name a folder, or one that is not there yet"));
    }
    if existing == Existing::Refuse && fs::read_dir(path)?.next().is_some() {
        return Err(not_empty(&path.display()));
    }
    Ok(())
}
