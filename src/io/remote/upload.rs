//! An object being written.
//!
//! Invariant: the object is there whole or not at all. It appears when [`Upload::finish`] has succeeded; an upload that
//! is dropped before is aborted, so that no parts are left behind, and an older object of that key stays as it was.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use object_store::{MultipartUpload, ObjectStoreExt, PutPayload};
use tokio::sync::Mutex;

use crate::error::{Code, Error, Result};
use crate::io::location::Location;
use crate::io::remote::fault;
use crate::io::remote::object::Object;
use crate::io::remote::runtime::{Pending, Watch};
use crate::io::remote::store::{Client, Store};
use crate::memory::{Budget, Reservation};

/// Bytes of a part: the first ones small, so that little is held; later ones larger, since there may be 10 000 of them.
const PART: usize = 8 << 20;
const LATER_PART: usize = 64 << 20;
const SMALL_PARTS: usize = 2_000;
/// Parts that are under way at once.
const UNDER_WAY: usize = 4;

/// See the module.
pub struct Upload {
    object: Arc<Object>,
    budget: Budget,
    /// What has been written but not sent.
    part: Vec<u8>,
    reservation: Reservation,
    parts: usize,
    /// `None` until there is more than one part. Shared with the request that completes it: when that is given up, the
    /// upload is still there to be aborted.
    multipart: Option<Arc<Mutex<Box<dyn MultipartUpload>>>>,
    under_way: VecDeque<Pending<Reservation>>,
}

impl Upload {
    /// Begins to write the object at `location`; what waits to be sent counts in `budget`.
    ///
    /// # Errors
    /// `NOT_SUPPORTED` for what cannot be written to.
    pub fn create(location: &Location, budget: &Budget) -> Result<Self> {
        let object = location.object().ok_or_else(|| Error::internal(format!("'{location}' is no object")))?.clone();
        if object.store.client().pages.is_none() {
            return Err(Error::not_supported(format!("writing to '{location}'")).hint("write to s3:// or to a file"));
        }
        let reservation = budget.reservation("upload");
        let (part, under_way) = (Vec::new(), VecDeque::new());
        Ok(Upload { object, budget: budget.clone(), part, reservation, parts: 0, multipart: None, under_way })
    }

    fn part_bytes(&self) -> usize {
        if self.parts < SMALL_PARTS { PART } else { LATER_PART }
    }

    /// Makes room for a part; waits for earlier ones to be sent where there is none.
    fn reserve(&mut self) -> Result<()> {
        let bytes = self.part_bytes();
        while self.under_way.len() >= UNDER_WAY || !self.reservation.try_grow(bytes) {
            match self.under_way.pop_front() {
                Some(sent) => drop(self.wait(&sent)?),
                None => {
                    self.reservation.grow(bytes)?;
                    break;
                }
            }
        }
        Ok(())
    }

    fn wait<T: Send + 'static>(&self, pending: &Pending<T>) -> Result<T> {
        pending.wait(Watch { interrupts: &self.object.store.interrupts, cancel: None })
    }

    /// Begins to send the part that is full.
    fn send(&mut self) -> Result<()> {
        if self.multipart.is_none() {
            let (store, key) = (self.object.store.clone(), self.object.key.clone());
            let begin = async move {
                let begin = |client: Arc<Client>| {
                    let key = key.clone();
                    async move { client.objects.put_multipart(&key).await }
                };
                store.run("writing", Some(&key), begin).await
            };
            self.multipart = Some(Arc::new(Mutex::new(self.wait(&Pending::start(begin)?)?)));
        }
        let Some(multipart) = &self.multipart else { return Ok(()) };
        let Ok(mut multipart) = multipart.try_lock() else {
            return Err(Error::internal("a part of an upload that is being completed"));
        };
        let sent = multipart.put_part(PutPayload::from(std::mem::take(&mut self.part)));
        let held = std::mem::replace(&mut self.reservation, self.budget.reservation("upload"));
        let (store, key) = (self.object.store.clone(), self.object.key.clone());
        let part = async move {
            let sent = sent.await;
            let place = store.client().place.clone();
            sent.map(|()| held).map_err(|error| fault::refusal(&store, &place, "writing", Some(&key), &error))
        };
        self.under_way.push_back(Pending::start(part)?);
        self.parts += 1;
        Ok(())
    }

    /// Sends what is left and lets the object appear.
    ///
    /// # Errors
    /// What the store refuses; the object is then as it was.
    pub fn finish(mut self) -> Result<()> {
        if self.multipart.is_none() {
            return self.put_whole();
        }
        if !self.part.is_empty() {
            self.send()?;
        }
        while let Some(sent) = self.under_way.pop_front() {
            self.wait(&sent)?;
        }
        let Some(multipart) = self.multipart.clone() else { return Ok(()) };
        let (store, key) = (self.object.store.clone(), self.object.key.clone());
        let complete = async move {
            let completed = multipart.lock().await.complete().await;
            let place = store.client().place.clone();
            completed.map(drop).map_err(|error| fault::refusal(&store, &place, "writing", Some(&key), &error))
        };
        self.wait(&Pending::start(complete)?)?;
        self.multipart = None;
        Ok(())
    }

    /// An object of one part.
    fn put_whole(&mut self) -> Result<()> {
        let payload = PutPayload::from(std::mem::take(&mut self.part));
        let (store, key) = (self.object.store.clone(), self.object.key.clone());
        let put = async move { put(&store, &key, payload).await };
        self.wait(&Pending::start(put)?)
    }
}

async fn put(store: &Arc<Store>, key: &object_store::path::Path, payload: PutPayload) -> Result<()> {
    let put = |client: Arc<Client>| {
        let (key, payload) = (key.clone(), payload.clone());
        async move { client.objects.put(&key, payload).await }
    };
    store.run("writing", Some(key), put).await.map(drop)
}

/// Errors travel through [`std::io::Error`] and come out whole by `Error::from`.
impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let full = self.part_bytes();
        if self.part.capacity() == 0 {
            self.reserve().map_err(std::io::Error::other)?;
            self.part.reserve_exact(full);
        }
        let count = bytes.len().min(full - self.part.len());
        self.part.extend_from_slice(bytes.get(..count).unwrap_or_default());
        if self.part.len() >= full {
            self.send().map_err(std::io::Error::other)?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let Some(multipart) = self.multipart.take() else { return };
        self.under_way.clear();
        let store = self.object.store.clone();
        let abort = async move {
            let abort = async { multipart.lock().await.abort().await };
            let aborted = tokio::time::timeout(store.patience, abort).await;
            aborted.map_err(|_| Error::new(Code::Io, "too late"))?.map_err(|_| Error::new(Code::Io, "refused"))
        };
        // Whoever cancelled waits for this too: parts that are left behind cost money.
        let never = AtomicU64::new(0);
        if let Ok(pending) = Pending::start(abort) {
            let _ = pending.wait(Watch { interrupts: &never, cancel: None });
        }
    }
}
