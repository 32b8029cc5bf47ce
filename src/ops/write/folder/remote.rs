//! A folder of an object store, which knows neither renaming nor folders.
//!
//! Invariant: an object appears whole, and what was begun and not finished is deleted. Under OVERWRITE the new objects
//! have names that never were, and the old ones are deleted when all new ones are there: who reads in between sees both,
//! never too little. Under OVERWRITE_OR_IGNORE an object whose name is written again is replaced as soon as the new one
//! is whole, and a failure later on does not bring the old one back.

use std::collections::HashSet;

use super::{Existing, not_empty};
use crate::error::{Code, Error, Result};
use crate::io::{Location, ObjectFolder};
use crate::memory::Reservation;

/// See the module.
pub(super) struct RemotePlace {
    objects: ObjectFolder,
    existing: Existing,
    /// What may be written over: the names that were there. Only for OVERWRITE_OR_IGNORE.
    before: HashSet<String>,
}

impl RemotePlace {
    /// The names that are kept count in `reservation`.
    pub(super) fn create(objects: ObjectFolder, existing: Existing, reservation: &mut Reservation) -> Result<Self> {
        if existing == Existing::Replace && objects.is_whole_bucket() {
            let message = format!("OVERWRITE would delete all of '{objects}'");
            return Err(Error::new(Code::InvalidQuery, message).hint("name a folder in the bucket"));
        }
        let mut before = HashSet::new();
        match existing {
            Existing::Refuse if !objects.names()?.is_empty() => return Err(not_empty(&objects)),
            Existing::Overwrite => {
                for name in objects.names()? {
                    reservation.grow(name.len() + 64)?;
                    before.insert(name);
                }
            }
            _ => {}
        }
        Ok(RemotePlace { objects, existing, before })
    }

    pub(super) fn file(&self, name: &str) -> Result<Location> {
        self.objects.file(name)
    }

    pub(super) fn path(&self, name: &str) -> String {
        format!("{}{name}", self.objects)
    }

    pub(super) fn finish(&self, files: &[String]) -> Result<()> {
        if self.existing != Existing::Replace {
            return Ok(());
        }
        let mut old = match self.objects.names() {
            Ok(names) => names,
            Err(error) => {
                self.abandon(files.to_vec())?;
                return Err(error);
            }
        };
        old.retain(|name| files.binary_search(name).is_err());
        if old.is_empty() {
            return Ok(());
        }
        let deleted = self.objects.delete(&old);
        deleted.map_err(|error| error.context("deleting the old objects when all new ones were there"))
    }

    pub(super) fn abandon(&self, mut files: Vec<String>) -> Result<()> {
        files.retain(|name| !self.before.contains(name));
        if files.is_empty() {
            return Ok(());
        }
        self.objects.take_back(&files)
    }
}
