//! URLs taken apart.

use object_store::path::Path;

use crate::error::{Code, Error, Result};
use crate::io::{local_path, scheme};

/// What speaks to a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::io) enum Protocol {
    S3,
    Http,
    /// Google Cloud Storage, where it is built in.
    Gs,
    /// Azure Blob Storage, where it is built in.
    Az,
}

/// A URL of an object or of many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::io) struct Address {
    pub(super) protocol: Protocol,
    /// As written, in lower case.
    pub(super) scheme: String,
    /// Bucket, container, or host with port.
    pub(super) bucket: String,
    /// The key or the pattern, without a leading `/`.
    pub(in crate::io) key: String,
    /// What follows `?` in a URL of plain HTTP. It may hold a signature and is never shown.
    pub(super) query: Option<String>,
}

impl Address {
    /// Takes a URL apart; `None` for a path of this machine.
    ///
    /// # Errors
    /// `NOT_SUPPORTED` for an unknown scheme, `INVALID_QUERY` for a URL without a bucket or host.
    pub(in crate::io) fn parse(url: &str) -> Result<Option<Self>> {
        let Some((scheme, rest)) = scheme(url) else { return Ok(None) };
        let scheme = scheme.to_ascii_lowercase();
        let protocol = match scheme.as_str() {
            "s3" | "s3a" | "s3n" => Protocol::S3,
            "http" | "https" => Protocol::Http,
            "gs" | "gcs" => Protocol::Gs,
            "az" | "azure" | "abfs" | "abfss" => Protocol::Az,
            _ => return local_path(url).map(|_| None),
        };
        let (rest, query) = match rest.split_once('?') {
            Some((rest, query)) if protocol == Protocol::Http => (rest, Some(query.to_string())),
            _ => (rest, None),
        };
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            let what = if protocol == Protocol::Http { "host" } else { "bucket" };
            return Err(Error::new(Code::InvalidQuery, format!("'{url}' names no {what}"))
                .hint(format!("write {scheme}://{what}/path")));
        }
        let (bucket, key) = (bucket.to_string(), key.to_string());
        Ok(Some(Address { protocol, scheme, bucket, key, query }))
    }

    /// The URL, without what follows `?`.
    pub(in crate::io) fn url(&self) -> String {
        format!("{}://{}/{}", self.scheme, self.bucket, self.key)
    }

    /// Equal for two objects that one client reads.
    pub(in crate::io) fn store_name(&self) -> String {
        match &self.query {
            // A client of its own: the query belongs to its address.
            Some(query) => format!("{}?{query}", self.url()),
            None => format!("{}://{}", self.scheme, self.bucket),
        }
    }

    /// The key as the store's client takes it.
    ///
    /// # Errors
    /// `INVALID_QUERY` for a key that no object can have.
    pub(in crate::io) fn object_key(&self) -> Result<Path> {
        if self.query.is_some() {
            return Ok(Path::default());
        }
        let key = match self.protocol {
            Protocol::Http => Path::from_url_path(&self.key),
            _ => Path::parse(&self.key),
        };
        key.map_err(|error| Error::new(Code::InvalidQuery, format!("'{}' is no key: {error}", self.url())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_have_a_bucket_and_a_key() {
        let parse = |url: &str| Address::parse(url).unwrap();
        let address = parse("S3://logs/2015/*.csv?x").unwrap();
        assert_eq!((address.bucket.as_str(), address.key.as_str()), ("logs", "2015/*.csv?x"));
        assert_eq!(address.url(), "s3://logs/2015/*.csv?x");
        let address = parse("https://host:81/a%20b.csv?sig=1").unwrap();
        assert_eq!((address.bucket.as_str(), address.key.as_str()), ("host:81", "a%20b.csv"));
        assert_eq!(address.url(), "https://host:81/a%20b.csv");
        assert_eq!(parse("s3://logs").unwrap().key, "");
        assert_eq!(parse("data/x.csv"), None);
        assert_eq!(parse("file:///x.csv"), None);
        assert!(Address::parse("s3:///x").is_err() && Address::parse("ftp://x/y").is_err());
    }
}
