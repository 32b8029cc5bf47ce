//! What a session can reach: the files of this machine, and stores through its settings and secrets.
//!
//! Invariant: a location keeps the way by which it was found; settings and secrets that change later concern only what
//! is found from then on.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use crate::config::StoreSettings;
use crate::error::{Code, Error, Result};
use crate::io::glob::{self, FoundFile};
use crate::io::local_path;
use crate::io::location::Location;
use crate::io::pipe::{Pipe, beginning_of_standard_input};
use crate::io::remote::{self, Address, Object, ObjectFolder, Secret, Store};

/// See the module. Clones are the same storage.
#[derive(Clone, Default)]
pub struct Storage(Arc<Inner>);

#[derive(Default)]
struct Inner {
    settings: RwLock<StoreSettings>,
    secrets: RwLock<Vec<Secret>>,
    /// The stores in use, by scheme and bucket or host.
    stores: Mutex<HashMap<String, Arc<Store>>>,
    /// Counts the interrupts: whoever waits when it changes gives up.
    interrupts: Arc<AtomicU64>,
    /// Input that comes once, by its path.
    pipes: Mutex<HashMap<String, Arc<Pipe>>>,
    /// Whether standard input is somebody else's.
    input_is_taken: AtomicBool,
}

impl Storage {
    /// Takes over changed settings.
    pub fn configure(&self, settings: &StoreSettings) {
        if *self.0.settings.read() != *settings {
            *self.0.settings.write() = settings.clone();
            self.0.stores.lock().clear();
        }
    }

    /// Ends all waiting for stores with `CANCELLED`.
    pub fn interrupt(&self) {
        self.0.interrupts.fetch_add(1, Ordering::AcqRel);
    }

    /// Keeps `secret`. False when there is one of that name already and `replace` is not set.
    pub fn put_secret(&self, secret: Secret, replace: bool) -> bool {
        let mut secrets = self.0.secrets.write();
        let known = secrets.iter().position(|known| known.name() == secret.name());
        match known {
            Some(_) if !replace => return false,
            Some(index) => secrets[index] = secret,
            None => secrets.push(secret),
        }
        self.0.stores.lock().clear();
        true
    }

    /// Forgets the secret of that name; false when there is none.
    pub fn drop_secret(&self, name: &str) -> bool {
        let mut secrets = self.0.secrets.write();
        let before = secrets.len();
        secrets.retain(|secret| !secret.name().eq_ignore_ascii_case(name));
        self.0.stores.lock().clear();
        secrets.len() < before
    }

    /// The files that `pattern` matches, in natural order.
    ///
    /// # Errors
    /// `FILE_NOT_FOUND` naming the pattern (and close names) when nothing matches, `INVALID_SETTING` for a malformed
    /// pattern, `IO_ERROR` for a directory that cannot be read or a store that refuses, `NOT_SUPPORTED` for unknown
    /// URLs.
    pub fn glob(&self, pattern: &str) -> Result<Vec<FoundFile>> {
        match Address::parse(pattern)? {
            None => match local_path(pattern)? {
                path if Pipe::is_standard_input(path) && self.0.input_is_taken.load(Ordering::Acquire) => {
                    Err(Error::not_supported(format!("reading '{path}', from which the statements come,")).hint(
                        "give statements as arguments: `floe \"SELECT … FROM read_csv('/dev/stdin')\" < data.csv`",
                    ))
                }
                path if Pipe::is_at(path) => self.piped(path).map(|file| vec![file]),
                path if Pipe::is_standard_input(path) => {
                    let mut files = glob::glob(path)?;
                    let beginning = beginning_of_standard_input()?;
                    files.iter_mut().for_each(|file| file.path = Location::nameless(&file.path, &beginning));
                    Ok(files)
                }
                _ => glob::glob(pattern),
            },
            Some(address) => remote::find(&self.store(&address)?, &address, pattern),
        }
    }

    /// Keeps queries from reading standard input.
    pub fn take_standard_input(&self) {
        self.0.input_is_taken.store(true, Ordering::Release);
    }

    /// The input at `path`, which is opened once and waits for its beginning then.
    fn piped(&self, path: &str) -> Result<FoundFile> {
        let name = if Pipe::is_standard_input(path) { "-" } else { path };
        let mut pipes = self.0.pipes.lock();
        let pipe = match pipes.get(name) {
            Some(pipe) => pipe.clone(),
            None => {
                let pipe = Arc::new(Pipe::open(path, &self.0.interrupts)?);
                pipes.insert(name.to_string(), pipe.clone());
                pipe
            }
        };
        Ok(FoundFile { size: pipe.size(), path: Location::piped(path, pipe), modified: None })
    }

    /// Where a file is to be written.
    ///
    /// # Errors
    /// `NOT_SUPPORTED` for unknown URLs, `INVALID_SETTING` for settings that fit no store.
    pub fn destination(&self, path: &str) -> Result<Location> {
        match Address::parse(path)? {
            None => Ok(Location::local(path)),
            Some(address) if address.key.is_empty() => {
                Err(Error::new(Code::Io, format!("'{path}' names no object to write")).hint("add a name behind it"))
            }
            Some(address) => {
                let key = address.object_key()?;
                Ok(Location::remote(path, Object::unknown(self.store(&address)?, key)))
            }
        }
    }

    /// The folder of a store that `url` names; `None` for one of this machine.
    ///
    /// # Errors
    /// As [`destination`](Storage::destination), and `NOT_SUPPORTED` for stores that list nothing.
    pub fn object_folder(&self, url: &str) -> Result<Option<ObjectFolder>> {
        let Some(address) = Address::parse(url)? else { return Ok(None) };
        ObjectFolder::new(self.store(&address)?, &address).map(Some)
    }

    fn store(&self, address: &Address) -> Result<Arc<Store>> {
        let secrets = self.0.secrets.read();
        let secret = Secret::for_url(&secrets, &address.url());
        let name = format!("{} {}", address.store_name(), secret.map_or("", Secret::name));
        if let Some(store) = self.0.stores.lock().get(&name) {
            return Ok(store.clone());
        }
        let store = Store::open(address, &self.0.settings.read(), secret, self.0.interrupts.clone())?;
        // Somebody else may have been faster; one store means one pool of connections.
        Ok(self.0.stores.lock().entry(name).or_insert(Arc::new(store)).clone())
    }
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Storage").finish_non_exhaustive()
    }
}
