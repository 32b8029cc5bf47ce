//! A folder of a store: the objects whose keys begin with its name and a `/`.
//!
//! Invariant: what is deleted was named; nothing is deleted that lies outside of the folder.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt};
use object_store::path::Path;

use crate::error::{Code, Error, Result};
use crate::io::location::Location;
use crate::io::remote::address::Address;
use crate::io::remote::find::list;
use crate::io::remote::object::Object;
use crate::io::remote::runtime::{Pending, Watch};
use crate::io::remote::store::{Client, Store};

/// How often a request that deletes is made before it is given up; the client itself repeats what a busy store refused.
const TRIES: usize = 3;
const PAUSE: Duration = Duration::from_millis(200);

/// See the module.
pub struct ObjectFolder {
    store: Arc<Store>,
    /// What the keys begin with: empty for a whole bucket, else with a `/` at the end.
    prefix: String,
}

impl ObjectFolder {
    pub(in crate::io) fn new(store: Arc<Store>, address: &Address) -> Result<Self> {
        if store.client().pages.is_none() {
            return Err(Error::not_supported(format!("writing to '{}'", address.url()))
                .hint("write to s3:// or to a folder of this machine"));
        }
        let prefix = match address.key.trim_end_matches('/') {
            "" => String::new(),
            key => format!("{key}/"),
        };
        Ok(ObjectFolder { store, prefix })
    }

    /// Whether it is all of a bucket.
    pub fn is_whole_bucket(&self) -> bool {
        self.prefix.is_empty()
    }

    /// The object `name` of the folder.
    ///
    /// # Errors
    /// `INVALID_QUERY` for a name that no object can have.
    pub fn file(&self, name: &str) -> Result<Location> {
        let key = self.key(name)?;
        Ok(Location::remote(&self.store.url(&key), Object::unknown(self.store.clone(), key)))
    }

    fn key(&self, name: &str) -> Result<Path> {
        let key = Path::parse(format!("{}{name}", self.prefix));
        key.map_err(|error| Error::new(Code::InvalidQuery, format!("'{self}{name}' is no key: {error}")))
    }

    /// Whether `file` lies in the folder.
    pub fn contains(&self, file: &Location) -> bool {
        file.object().is_some_and(|object| {
            let same_place = object.store.protocol == self.store.protocol && object.store.bucket == self.store.bucket;
            same_place && object.key.as_ref().starts_with(&self.prefix)
        })
    }

    /// The names of all objects in the folder, from there on.
    ///
    /// # Errors
    /// `IO_ERROR`, `CANCELLED`; `FILE_NOT_FOUND` where there is no such bucket.
    pub fn names(&self) -> Result<Vec<String>> {
        let found = list(&self.store, self.prefix.clone(), false)?;
        let name = |key: &Path| key.as_ref().strip_prefix(&self.prefix).map(str::to_string);
        Ok(found.iter().filter_map(|object| name(&object.location)).filter(|name| !name.is_empty()).collect())
    }

    /// Deletes the objects `names` of the folder; those that are not there are no error.
    ///
    /// # Errors
    /// `IO_ERROR`, `CANCELLED`: some of them may then be gone.
    pub fn delete(&self, names: &[String]) -> Result<()> {
        self.start_to_delete(names)?.wait(Watch { interrupts: &self.store.interrupts, cancel: None })
    }

    /// As [`delete`](Self::delete), for what must go although the query was cancelled.
    ///
    /// # Errors
    /// `IO_ERROR`.
    pub fn take_back(&self, names: &[String]) -> Result<()> {
        let never = AtomicU64::new(0);
        self.start_to_delete(names)?.wait(Watch { interrupts: &never, cancel: None })
    }

    fn start_to_delete(&self, names: &[String]) -> Result<Pending<()>> {
        let keys = names.iter().map(|name| self.key(name)).collect::<Result<Vec<_>>>()?;
        let (store, folder) = (self.store.clone(), Path::parse(&self.prefix).unwrap_or_default());
        Pending::start(async move {
            let delete = |client: Arc<Client>| {
                let keys = futures_util::stream::iter(keys.clone()).map(Ok).boxed();
                async move { client.objects.delete_stream(keys).try_for_each(|_| async { Ok(()) }).await }
            };
            let (begin, mut tries) = (Instant::now(), 0);
            loop {
                tries += 1;
                match store.run("deleting", Some(&folder), delete).await {
                    Err(error) if tries < TRIES && error.code() == Code::Io && begin.elapsed() < store.patience => {
                        tokio::time::sleep(PAUSE).await;
                    }
                    deleted => return deleted,
                }
            }
        })
    }
}

impl std::fmt::Display for ObjectFolder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.store.url(&Path::default()))?;
        f.write_str(&self.prefix)
    }
}
