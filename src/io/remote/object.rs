//! One object of a store, and what is known of it.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use object_store::ObjectMeta;
use object_store::path::Path;
use parking_lot::Mutex;

use crate::cancel::CancelToken;
use crate::error::Result;
use crate::io::location::Location;
use crate::io::remote::ahead::Ahead;
use crate::io::remote::fetch;
use crate::io::remote::runtime::{Pending, Watch};
use crate::io::remote::store::Store;
use crate::memory::Budget;

/// An object and the way to it.
pub(in crate::io) struct Object {
    pub(super) store: Arc<Store>,
    pub(super) key: Path,
    /// From the listing, or asked for once.
    facts: OnceLock<Facts>,
}

/// What a store says of an object.
#[derive(Debug, Clone)]
pub(in crate::io) struct Facts {
    pub(in crate::io) size: u64,
    pub(in crate::io) modified: Option<SystemTime>,
    /// Names the contents: another object of the same key has another one.
    pub(super) e_tag: Option<String>,
}

/// The scan that reads: what ends its waiting, what it may hold, and what is fetched for those who will open files soon.
#[derive(Debug)]
pub struct Surroundings {
    pub(super) cancel: CancelToken,
    pub(super) budget: Budget,
    pub(super) workers: usize,
    prepared: Mutex<VecDeque<Prepared>>,
}

#[derive(Debug)]
struct Prepared {
    url: String,
    ranges: Vec<Range<u64>>,
    ahead: Ahead,
}

impl Surroundings {
    /// A scan by `workers` at once. Waiting ends with `cancel`, what is fetched ahead counts in `budget`.
    pub fn new(cancel: &CancelToken, budget: &Budget, workers: usize) -> Self {
        Surroundings {
            cancel: cancel.clone(),
            budget: budget.clone(),
            workers: workers.max(1),
            prepared: Mutex::default(),
        }
    }

    /// `CANCELLED` once the scan is cancelled.
    pub(in crate::io) fn check(&self) -> Result<()> {
        self.cancel.check()
    }

    /// Keeps what is fetched for whoever will expect `ranges` of `url`; forgets what nobody has come for.
    pub(super) fn put_prepared(&self, url: &str, ranges: Vec<Range<u64>>, ahead: Ahead) {
        let mut prepared = self.prepared.lock();
        while prepared.len() >= self.workers {
            prepared.pop_front();
        }
        prepared.push_back(Prepared { url: url.to_string(), ranges, ahead });
    }

    /// What was fetched for whoever expects `ranges` of `url`.
    pub(super) fn take_prepared(&self, url: &str, ranges: &[Range<u64>]) -> Option<Ahead> {
        let mut prepared = self.prepared.lock();
        let found = prepared.iter().position(|known| known.url == url && known.ranges == ranges)?;
        prepared.remove(found).map(|prepared| prepared.ahead)
    }
}

impl From<&ObjectMeta> for Facts {
    fn from(meta: &ObjectMeta) -> Self {
        // A weak tag says that contents are alike; only strong ones can be asked for.
        let e_tag = meta.e_tag.clone().filter(|tag| !tag.starts_with("W/"));
        let modified = Some(meta.last_modified.into()).filter(|time| *time != SystemTime::UNIX_EPOCH);
        Facts { size: meta.size, modified, e_tag }
    }
}

impl Object {
    /// An object of which only the key is known.
    pub(in crate::io) fn unknown(store: Arc<Store>, key: Path) -> Self {
        Object { store, key, facts: OnceLock::new() }
    }

    /// An object that was found.
    pub(super) fn known(store: Arc<Store>, key: Path, facts: Facts) -> Self {
        Object { store, key, facts: OnceLock::from(facts) }
    }

    pub(in crate::io) fn same_store(&self, other: &Object) -> bool {
        Arc::ptr_eq(&self.store, &other.store)
    }

    /// Size and the like; asks the store where they are not known yet.
    ///
    /// # Errors
    /// `FILE_NOT_FOUND`, `IO_ERROR`, `CANCELLED`.
    pub(in crate::io) fn facts(&self, location: &Location) -> Result<&Facts> {
        if let Some(facts) = self.facts.get() {
            return Ok(facts);
        }
        let facts = ask(&self.store, &self.key, self.watch(location))?;
        Ok(self.facts.get_or_init(|| facts))
    }

    /// Whether facts are known without asking.
    pub(super) fn is_known(&self) -> bool {
        self.facts.get().is_some()
    }

    pub(super) fn watch<'a>(&'a self, location: &'a Location) -> Watch<'a> {
        let cancel = location.surroundings().map(|surroundings| &surroundings.cancel);
        Watch { interrupts: &self.store.interrupts, cancel }
    }
}

/// Asks the store for an object's facts.
///
/// # Errors
/// As [`Object::facts`].
pub(super) fn ask(store: &Arc<Store>, key: &Path, watch: Watch<'_>) -> Result<Facts> {
    let work = fetch::facts(store.clone(), key.clone());
    Pending::start(work)?.wait(watch)
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Object").field("key", &self.key).finish_non_exhaustive()
    }
}
