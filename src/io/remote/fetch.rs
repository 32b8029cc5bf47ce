//! One range of one object.
//!
//! Invariant: the answer is all bytes of the range, of the object that was asked for, or an error. A body that stops
//! early is resumed at the byte where it stopped, for as long as that gets on: the time that a store is waited for
//! begins anew with every byte.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, GetResult, ObjectStore, ObjectStoreExt};

use crate::error::{Code, Error, Result};
use crate::io::remote::address::Protocol;
use crate::io::remote::fault;
use crate::io::remote::object::Facts;
use crate::io::remote::store::{Client, Store};
use crate::memory::Reservation;

/// The first pause before a body is asked for again; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The bytes `range` of the object `key` whose facts are known. They count in `reservation` until they are dropped.
///
/// # Errors
/// `FILE_NOT_FOUND`, `IO_ERROR`.
pub(super) async fn range(
    store: Arc<Store>,
    key: Path,
    facts: Facts,
    range: Range<u64>,
    reservation: Option<Reservation>,
) -> Result<Bytes> {
    let mut bytes = Vec::with_capacity(usize::try_from(range.end - range.start).unwrap_or(0));
    let (mut pause, mut progress) = (FIRST_PAUSE, Instant::now());
    loop {
        let before = bytes.len();
        let rest = range.start + before as u64..range.end;
        if rest.is_empty() {
            break;
        }
        let stopped = match body(&store, &key, &facts, rest.clone()).await {
            Ok(answer) => append(&store, answer, rest, &mut bytes).await,
            Err(error) => return Err(error),
        };
        let Err(why) = stopped else { continue };
        if bytes.len() > before {
            (pause, progress) = (FIRST_PAUSE, Instant::now());
        }
        if progress.elapsed() + pause > store.patience {
            return Err(fault::broken_body(&store, &key, range.start + bytes.len() as u64, &range, &why));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    Ok(Bytes::from_owner(Held { bytes, _reservation: reservation }))
}

/// Fetched bytes and the memory that was reserved for them.
struct Held {
    bytes: Vec<u8>,
    _reservation: Option<Reservation>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Asks for a range: the beginning of the answer.
async fn body(store: &Arc<Store>, key: &Path, facts: &Facts, range: Range<u64>) -> Result<GetResult> {
    let options = GetOptions {
        range: Some(GetRange::Bounded(range.clone())),
        if_match: facts.e_tag.clone(),
        ..GetOptions::default()
    };
    let ask = |client: Arc<Client>| {
        let (key, options) = (key.clone(), options.clone());
        async move { client.objects.get_opts(&key, options).await }
    };
    let asked = Instant::now();
    let answer = store.run("reading", Some(key), ask).await?;
    store.note_latency(asked.elapsed());
    if answer.meta.size != facts.size || answer.range != range {
        let message = format!("'{}' was changed while it was read", store.url(key));
        return Err(Error::new(Code::Io, format!("{message}: it had {} bytes, now {}", facts.size, answer.meta.size))
            .hint("run the statement again when the object is complete"));
    }
    Ok(answer)
}

/// Appends the body of `answer`, which are the bytes `rest`; says why where it stopped early.
async fn append(store: &Store, answer: GetResult, rest: Range<u64>, bytes: &mut Vec<u8>) -> Result<(), String> {
    let end = bytes.len() as u64 + (rest.end - rest.start);
    let mut body = answer.into_stream();
    while (bytes.len() as u64) < end {
        match tokio::time::timeout(store.stall(), body.next()).await {
            Ok(Some(Ok(part))) if bytes.len() as u64 + part.len() as u64 <= end => bytes.extend_from_slice(&part),
            Ok(Some(Ok(_))) => return Err("more bytes came than were asked for".to_string()),
            Ok(Some(Err(error))) => return Err(fault::cause(&error)),
            Ok(None) => return Err("the body ended early".to_string()),
            Err(_) => return Err(format!("no byte came for {} s", store.stall().as_secs_f32())),
        }
    }
    Ok(())
}

/// Asks for an object's facts.
///
/// # Errors
/// `FILE_NOT_FOUND`, `IO_ERROR`.
pub(super) async fn facts(store: Arc<Store>, key: Path) -> Result<Facts> {
    let head = |client: Arc<Client>| {
        let key = key.clone();
        async move { client.objects.head(&key).await }
    };
    match store.run("reading", Some(&key), head).await {
        Ok(meta) => Ok(Facts::from(&meta)),
        // Some servers, and signed URLs, refuse to be asked without being read.
        Err(error) if store.protocol == Protocol::Http && error.code() == Code::Io => {
            let first = |client: Arc<Client>| {
                let key = key.clone();
                let options = GetOptions { range: Some(GetRange::Bounded(0..1)), ..GetOptions::default() };
                async move { client.objects.get_opts(&key, options).await }
            };
            let answer = store.run("reading", Some(&key), first).await.map_err(|_| error)?;
            Ok(Facts::from(&answer.meta))
        }
        Err(error) => Err(error),
    }
}
