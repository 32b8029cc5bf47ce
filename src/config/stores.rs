//! Settings of object stores, as they are spelled elsewhere.

use crate::error::{Code, Error, Result};

/// Seconds that a request to a store is tried for.
const DEFAULT_TIMEOUT: u64 = 60;

/// What every request to a store is made with, unless a secret says otherwise. Empty texts say nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct StoreSettings {
    pub s3_region: String,
    /// Host and port, or a URL.
    pub s3_endpoint: String,
    pub s3_access_key_id: String,
    /// Never shown.
    pub s3_secret_access_key: String,
    /// Never shown.
    pub s3_session_token: String,
    /// `path` or `vhost`.
    pub s3_url_style: String,
    /// Whether an endpoint without a scheme is asked by https.
    pub s3_use_ssl: bool,
    /// Seconds that a request is tried for, all its repetitions together.
    pub http_timeout: u64,
}

impl Default for StoreSettings {
    fn default() -> Self {
        StoreSettings {
            s3_region: String::new(),
            s3_endpoint: String::new(),
            s3_access_key_id: String::new(),
            s3_secret_access_key: String::new(),
            s3_session_token: String::new(),
            s3_url_style: String::new(),
            s3_use_ssl: true,
            http_timeout: DEFAULT_TIMEOUT,
        }
    }
}

/// Name and description of each.
pub(super) const DESCRIPTIONS: [(&str, &str); 8] = [
    ("s3_region", "region of S3 buckets"),
    ("s3_endpoint", "host and port, or URL, of a store that speaks S3's protocol"),
    ("s3_access_key_id", "key id for S3"),
    ("s3_secret_access_key", "secret key for S3; not shown"),
    ("s3_session_token", "session token for S3; not shown"),
    ("s3_url_style", "where the bucket stands: 'path' or 'vhost'; by default as the endpoint suggests"),
    ("s3_use_ssl", "whether an s3_endpoint without a scheme is asked by https"),
    ("http_timeout", "seconds for which a request to a store is tried again"),
];

/// Stands for a secret that is set.
const HIDDEN: &str = "(hidden)";

impl StoreSettings {
    /// Sets `name` (in lower case); `None` when it is another's.
    pub(super) fn set(&mut self, name: &str, value: &str) -> Option<Result<()>> {
        let text = value.trim();
        match name {
            "s3_region" => self.s3_region = text.to_string(),
            "s3_endpoint" => self.s3_endpoint = text.to_string(),
            "s3_access_key_id" => self.s3_access_key_id = text.to_string(),
            // What SHOW gave changes nothing.
            "s3_secret_access_key" | "s3_session_token" if text == HIDDEN => {}
            "s3_secret_access_key" => self.s3_secret_access_key = text.to_string(),
            "s3_session_token" => self.s3_session_token = text.to_string(),
            "s3_url_style" => match text.to_ascii_lowercase().as_str() {
                style @ ("" | "path" | "vhost") => self.s3_url_style = style.to_string(),
                _ => return Some(Err(invalid(name, value, "'path' or 'vhost'"))),
            },
            "s3_use_ssl" => match text.to_ascii_lowercase().as_str() {
                "true" | "1" | "on" => self.s3_use_ssl = true,
                "false" | "0" | "off" => self.s3_use_ssl = false,
                _ => return Some(Err(invalid(name, value, "true or false"))),
            },
            "http_timeout" => match text.parse() {
                Ok(seconds @ 1..) => self.http_timeout = seconds,
                _ => return Some(Err(invalid(name, value, "a number of seconds, at least 1"))),
            },
            _ => return None,
        }
        Some(Ok(()))
    }

    /// The text form of `name` (in lower case), without what is secret; `None` when it is another's.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        let hidden = |text: &str| if text.is_empty() { String::new() } else { HIDDEN.to_string() };
        Some(match name {
            "s3_region" => self.s3_region.clone(),
            "s3_endpoint" => self.s3_endpoint.clone(),
            "s3_access_key_id" => self.s3_access_key_id.clone(),
            "s3_secret_access_key" => hidden(&self.s3_secret_access_key),
            "s3_session_token" => hidden(&self.s3_session_token),
            "s3_url_style" => self.s3_url_style.clone(),
            "s3_use_ssl" => self.s3_use_ssl.to_string(),
            "http_timeout" => self.http_timeout.to_string(),
            _ => return None,
        })
    }
}

fn invalid(name: &str, value: &str, takes: &str) -> Error {
    Error::new(Code::InvalidSetting, format!("setting {name} takes {takes}, not '{value}'"))
}

/// Without what is secret.
impl std::fmt::Debug for StoreSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = |(name, _): &(&'static str, &str)| (*name, self.get(name).unwrap_or_default());
        f.debug_map().entries(DESCRIPTIONS.iter().map(shown)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_set_but_not_shown() {
        let mut settings = StoreSettings::default();
        assert_eq!(settings.get("s3_secret_access_key").unwrap(), "");
        settings.set("s3_secret_access_key", "hush").unwrap().unwrap();
        let shown = settings.get("s3_secret_access_key").unwrap();
        assert_eq!(shown, HIDDEN);
        settings.set("s3_secret_access_key", &shown).unwrap().unwrap();
        assert_eq!(settings.s3_secret_access_key, "hush");
        assert!(!format!("{settings:?}").contains("hush"));
        assert!(settings.set("s3_url_style", "virtual").unwrap().is_err());
        assert!(settings.set("threads", "2").is_none());
    }
}
