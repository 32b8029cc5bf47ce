//! Patterns to objects: one listing of what begins like the pattern, and nothing else.
//!
//! Invariant: sizes come from the listing, so that opening what was found costs no request.

use std::sync::Arc;

use object_store::ObjectMeta;
use object_store::list::PaginatedListOptions;
use object_store::path::Path;

use crate::error::{Code, Error, Result};
use crate::io::glob::{DATA_EXTENSIONS, FoundFile, has_magic, is_data, matcher};
use crate::io::location::Location;
use crate::io::natural_order;
use crate::io::remote::address::{Address, Protocol};
use crate::io::remote::object::{Facts, Object, ask};
use crate::io::remote::runtime::{Pending, Watch};
use crate::io::remote::store::{Client, Store};

/// The objects that a pattern matches, in natural order.
///
/// # Errors
/// As [`Storage::glob`](crate::io::Storage::glob).
pub(in crate::io) fn find(store: &Arc<Store>, address: &Address, pattern: &str) -> Result<Vec<FoundFile>> {
    let mut found = if address.protocol == Protocol::Http {
        vec![the_one(store, address)?]
    } else if has_magic(&address.key) {
        matching(store, address, pattern)?
    } else if address.key.is_empty() || address.key.ends_with('/') {
        below(store, address)?
    } else {
        match the_one(store, address) {
            // Perhaps a folder, named without its last '/'.
            Err(error) if error.code() == Code::FileNotFound => {
                let folder = Address { key: format!("{}/", address.key), ..address.clone() };
                let found = below(store, &folder)?;
                if found.is_empty() {
                    return Err(error);
                }
                found
            }
            found => vec![found?],
        }
    };
    if found.is_empty() {
        return Err(nothing_matches(store, address, pattern));
    }
    found.sort_by(|a, b| natural_order(&a.path, &b.path));
    Ok(found)
}

/// The object of that very key.
fn the_one(store: &Arc<Store>, address: &Address) -> Result<FoundFile> {
    let key = address.object_key()?;
    let facts = ask(store, &key, Watch { interrupts: &store.interrupts, cancel: None })?;
    Ok(found(store, &address.url(), key, facts))
}

fn found(store: &Arc<Store>, url: &str, key: Path, facts: Facts) -> FoundFile {
    let (size, modified) = (facts.size, facts.modified);
    let path = Location::remote(url, Object::known(store.clone(), key, facts));
    FoundFile { path, size, modified }
}

fn listed(store: &Arc<Store>, meta: &ObjectMeta) -> FoundFile {
    found(store, &store.url(&meta.location), meta.location.clone(), Facts::from(meta))
}

/// The objects whose keys match a pattern with glob characters.
fn matching(store: &Arc<Store>, address: &Address, pattern: &str) -> Result<Vec<FoundFile>> {
    let key = address.key.as_str();
    let magic = key.find(['*', '?', '[', '{']).unwrap_or(key.len());
    let (prefix, rest) = key.split_at(magic);
    let matcher = matcher(pattern, key)?;
    // Where only the last part of the key varies, what lies in folders below is not even listed.
    let flat = !rest.contains('/') && !rest.contains("**");
    let all = list(store, prefix.to_string(), flat)?;
    Ok(all.iter().filter(|meta| matcher.is_match(meta.location.as_ref())).map(|meta| listed(store, meta)).collect())
}

/// The data files below a folder; parts of keys that start with `.` or `_` are not data, but `_year=2013` is.
fn below(store: &Arc<Store>, address: &Address) -> Result<Vec<FoundFile>> {
    let all = list(store, address.key.clone(), false)?;
    let hidden = |part: &str| part.starts_with('.') || part.starts_with('_') && !part.contains('=');
    let data = |meta: &&ObjectMeta| {
        let key = meta.location.as_ref();
        let rest = key.strip_prefix(address.key.as_str()).unwrap_or(key);
        is_data(key) && !rest.split('/').any(hidden)
    };
    Ok(all.iter().filter(data).map(|meta| listed(store, meta)).collect())
}

/// The objects whose keys start with `prefix`; with `flat` without those that have a further `/`.
pub(super) fn list(store: &Arc<Store>, prefix: String, flat: bool) -> Result<Vec<ObjectMeta>> {
    let watch = Watch { interrupts: &store.interrupts, cancel: None };
    Pending::start(list_pages(store.clone(), prefix, flat))?.wait(watch)
}

async fn list_pages(store: Arc<Store>, prefix: String, flat: bool) -> Result<Vec<ObjectMeta>> {
    let mut all = Vec::new();
    let mut page_token = None;
    loop {
        let page = |client: Arc<Client>| {
            let (prefix, page_token) = (prefix.clone(), page_token.clone());
            async move {
                let Some(pages) = client.pages.as_ref() else {
                    let (operation, implementer) = ("listing".to_string(), "this store".to_string());
                    return Err(object_store::Error::NotImplemented { operation, implementer });
                };
                let delimiter = flat.then(|| "/".into());
                let options = PaginatedListOptions { delimiter, page_token, ..PaginatedListOptions::default() };
                pages.list_paginated(Some(&prefix).filter(|text| !text.is_empty()).map(String::as_str), options).await
            }
        };
        let key = Path::parse(&prefix).unwrap_or_default();
        let page = store.run("listing", Some(&key), page).await?;
        all.extend(page.result.objects);
        page_token = page.page_token;
        if page_token.is_none() {
            return Ok(all);
        }
    }
}

fn nothing_matches(store: &Arc<Store>, address: &Address, pattern: &str) -> Error {
    if has_magic(&address.key) {
        return Error::new(Code::FileNotFound, format!("no object matches '{pattern}' in bucket '{}'", store.bucket))
            .hint("keys are compared to the letter; * does not go over '/', ** does");
    }
    let formats = DATA_EXTENSIONS.join(", ");
    Error::new(Code::FileNotFound, format!("'{pattern}' holds no object of a known format ({formats})"))
}
