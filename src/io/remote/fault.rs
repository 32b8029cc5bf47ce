//! What a store refused, as errors that name bucket, key and region, and say what to try.
//!
//! Invariant: nothing of a request but its method's outcome is told: URLs may carry signatures.

use std::ops::Range;

use object_store::path::Path;

use crate::error::{Code, Error};
use crate::io::remote::address::Protocol;
use crate::io::remote::store::{Place, Store};

/// What may help where trying again would not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Remedy {
    /// The credentials have run out: there may be newer ones.
    NewCredentials,
    /// The bucket lies in another region, which the store names.
    Region(String),
    /// The bucket lies in another region.
    FindRegion,
}

/// What may help against `error`.
pub(super) fn remedy(error: &object_store::Error) -> Option<Remedy> {
    let text = error.to_string();
    match tagged(&text, "Code") {
        Some("ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired") => Some(Remedy::NewCredentials),
        Some("AuthorizationHeaderMalformed" | "PermanentRedirect" | "IllegalLocationConstraintException") => {
            tagged(&text, "Region").map(|region| Remedy::Region(region.to_string())).or(Some(Remedy::FindRegion))
        }
        _ if text.contains("redirect without LOCATION") || status(&text) == Some(301) => Some(Remedy::FindRegion),
        _ => None,
    }
}

/// The error for what a store refused while `doing` something with `key` (or with the bucket).
pub(super) fn refusal(
    store: &Store,
    place: &Place,
    doing: &str,
    key: Option<&Path>,
    error: &object_store::Error,
) -> Error {
    let text = error.to_string();
    let (status, code) = (status(&text), tagged(&text, "Code"));
    let url = store.url(key.unwrap_or(&Path::default()));
    let about = about(store, place, key);
    match (error, status) {
        (_, _) if code == Some("NoSuchBucket") => Error::new(Code::FileNotFound, format!("there is no {about}"))
            .hint("check the bucket's name, the endpoint (s3_endpoint) and the region (s3_region)"),
        (object_store::Error::NotFound { .. }, _) | (_, Some(404)) => {
            Error::new(Code::FileNotFound, format!("there is no object '{url}': {about}"))
                .hint("keys are compared to the letter; a pattern such as '*.csv' lists what there is")
        }
        (object_store::Error::Precondition { .. }, _) | (_, Some(412)) => {
            Error::new(Code::Io, format!("'{url}' was changed while it was read: {about}"))
                .hint("run the statement again when the object is complete")
        }
        (_, Some(416)) => Error::new(Code::Io, format!("'{url}' became shorter while it was read: {about}")),
        (_, Some(400)) if !code.is_some_and(is_about_keys) => {
            let code = code.unwrap_or("Bad Request");
            Error::new(Code::Io, format!("{doing} '{url}' failed: the store answers 400 {code}; {about}"))
        }
        (_, Some(400 | 401 | 403)) => denied(&url, &about, place, status.unwrap_or(403), code, doing),
        _ => {
            let tries = retries(&text).map_or(String::new(), |count| format!(" after {count} tries"));
            let why = match (status, code) {
                (Some(status), Some(code)) => format!("the store answers {status} {code}"),
                (Some(status), None) => format!("the store answers {status}"),
                _ => cause(error),
            };
            let failed = Error::new(Code::Io, format!("{doing} '{url}' failed{tries}: {why}; {about}"));
            match status {
                None if text.contains("non-partial response") => {
                    failed.hint("this server gives no parts of files; download the file and read the copy")
                }
                None | Some(500..) => failed.hint("SET http_timeout = 300 (seconds) tries for longer"),
                Some(_) => failed,
            }
        }
    }
}

fn denied(url: &str, about: &str, place: &Place, status: u16, code: Option<&str>, doing: &str) -> Error {
    let code_text = code.map_or(String::new(), |code| format!(" {code}"));
    let who = match &place.signed_by {
        Some(who) => format!("the request was signed with the key of {who}"),
        None => "the request was not signed".to_string(),
    };
    let message = format!("{doing} '{url}' is denied ({status}{code_text}): {about}; {who}");
    let hint = match (code, &place.signed_by) {
        (Some("ExpiredToken" | "ExpiredTokenException"), _) => "the session token has run out: get a new one",
        (Some("SignatureDoesNotMatch"), _) => "the secret key is not that of the key id, or the region is another",
        (Some("InvalidAccessKeyId"), _) => "the store does not know the key id; is this the right endpoint?",
        (Some("RequestTimeTooSkewed"), _) => "set this machine's clock",
        (_, None) => {
            "give a key: CREATE SECRET (TYPE s3, KEY_ID '…', SECRET '…'), or AWS_ACCESS_KEY_ID and \
             AWS_SECRET_ACCESS_KEY, or a profile in ~/.aws/credentials"
        }
        (_, Some(_)) => "the key is known but may not do this; another one can be given by CREATE SECRET with a SCOPE",
    };
    Error::new(Code::Io, message).hint(hint)
}

/// Whether a code of S3 says something about who asks, not about what is asked.
fn is_about_keys(code: &str) -> bool {
    ["Token", "Authorization", "Credential", "Signature", "AccessKey"].iter().any(|word| code.contains(word))
}

/// The error for a body that kept stopping early.
pub(super) fn broken_body(store: &Store, key: &Path, at: u64, range: &Range<u64>, why: &str) -> Error {
    let (url, about) = (store.url(key), about(store, &store.client().place, Some(key)));
    let range = format!("bytes {} to {}", range.start, range.end);
    Error::new(Code::Io, format!("reading {range} of '{url}' stopped at byte {at}: {why}; {about}"))
        .hint("SET http_timeout = 300 (seconds) tries for longer")
}

/// Bucket, key, region and endpoint in words.
fn about(store: &Store, place: &Place, key: Option<&Path>) -> String {
    let mut about = match store.protocol {
        Protocol::Http => format!("host '{}'", store.bucket),
        _ => format!("bucket '{}'", store.bucket),
    };
    if let Some(key) = key.filter(|key| !key.as_ref().is_empty()) {
        about.push_str(&format!(", key '{key}'"));
    }
    if let Some(region) = &place.region {
        about.push_str(&format!(", region '{region}'"));
    }
    if let Some(endpoint) = &place.endpoint {
        about.push_str(&format!(", endpoint '{endpoint}'"));
    }
    about
}

/// The innermost cause of an error.
pub(super) fn cause(error: &object_store::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// The contents of the first element `tag` in an answer's body.
fn tagged<'a>(text: &'a str, tag: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{tag}>"))?;
    rest.split_once("</").map(|(contents, _)| contents)
}

/// The status of an answer that was no success.
fn status(text: &str) -> Option<u16> {
    let (_, rest) = text.split_once("status code: ")?;
    rest.get(..3)?.parse().ok()
}

/// How often a request was tried.
fn retries(text: &str) -> Option<usize> {
    let (_, rest) = text.split_once(", after ")?;
    let count: usize = rest.split_once(" retries")?.0.parse().ok()?;
    Some(count + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(text: &str) -> object_store::Error {
        object_store::Error::Generic { store: "S3", source: text.to_string().into() }
    }

    #[test]
    fn an_answer_says_what_may_help() {
        let expired = generic("status code: 400 Bad Request: <Error><Code>ExpiredToken</Code></Error>");
        assert_eq!(remedy(&expired), Some(Remedy::NewCredentials));
        let elsewhere = "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>";
        assert_eq!(remedy(&generic(elsewhere)), Some(Remedy::Region("eu-west-1".into())));
        assert_eq!(remedy(&generic("Received redirect without LOCATION, this")), Some(Remedy::FindRegion));
        assert_eq!(remedy(&generic("status code: 403 Forbidden: <Code>AccessDenied</Code>")), None);
    }

    #[test]
    fn an_answer_is_taken_apart() {
        let text = "Error performing GET http://x in 2s, after 3 retries, max_retries: 10, retry_timeout: 60s  - Server \
                    returned non-2xx status code: 503 Service Unavailable: <Code>SlowDown</Code>";
        assert_eq!((status(text), tagged(text, "Code"), retries(text)), (Some(503), Some("SlowDown"), Some(4)));
        assert_eq!((status("x"), tagged("x", "Code"), retries("x")), (None, None, None));
    }
}
