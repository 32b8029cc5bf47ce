//! Secrets: named credentials and settings for the URLs that begin with their scope.
//!
//! Invariant: nothing that a secret holds is ever printed but its name and its scope.

use std::fmt;

use crate::error::{Code, Error, Result};

/// What a secret says.
#[derive(Clone, Default, PartialEq)]
pub struct Secret {
    name: String,
    /// Beginnings of URLs.
    scope: Vec<String>,
    pub(super) key_id: Option<String>,
    pub(super) secret: Option<String>,
    pub(super) session_token: Option<String>,
    pub(super) region: Option<String>,
    pub(super) endpoint: Option<String>,
    pub(super) url_style: Option<String>,
    pub(super) use_ssl: Option<bool>,
    /// Without keys of its own it stands for those of the environment; otherwise for none.
    pub(super) uses_environment: bool,
    pub(super) profile: Option<String>,
}

const OPTIONS: [&str; 11] = [
    "key_id",
    "secret",
    "session_token",
    "region",
    "endpoint",
    "url_style",
    "use_ssl",
    "scope",
    "provider",
    "profile",
    "chain",
];

impl Secret {
    /// A secret for S3 out of the options of a CREATE SECRET.
    ///
    /// # Errors
    /// `INVALID_SETTING`, `UNKNOWN_SETTING` (neither shows a value that may be secret), `NOT_SUPPORTED`.
    pub fn new(name: &str, kind: &str, options: &[(String, String)]) -> Result<Self> {
        if !kind.eq_ignore_ascii_case("s3") {
            return Err(Error::not_supported(format!("a secret of the type {kind}")).hint(
                "TYPE s3 is for S3 and all that speaks its protocol; others take their keys from the environment",
            ));
        }
        let mut secret = Secret { name: name.to_lowercase(), ..Secret::default() };
        for (option, value) in options {
            secret.set(&option.to_ascii_lowercase(), value)?;
        }
        if secret.scope.is_empty() {
            secret.scope = ["s3://", "s3a://", "s3n://"].map(str::to_string).to_vec();
        }
        Ok(secret)
    }

    fn set(&mut self, option: &str, value: &str) -> Result<()> {
        let text = Some(value.to_string());
        match option {
            "key_id" => self.key_id = text,
            "secret" => self.secret = text,
            "session_token" => self.session_token = text,
            "region" => self.region = text,
            "endpoint" => self.endpoint = text,
            "scope" => self.scope.push(value.to_string()),
            "profile" => (self.profile, self.uses_environment) = (text, true),
            // The order of the sources is fixed.
            "chain" | "refresh" => {}
            "url_style" if matches!(value.to_ascii_lowercase().as_str(), "path" | "vhost") => self.url_style = text,
            "url_style" => return Err(takes(option, "'path' or 'vhost'")),
            "use_ssl" => match value.to_ascii_lowercase().as_str() {
                "true" | "1" => self.use_ssl = Some(true),
                "false" | "0" => self.use_ssl = Some(false),
                _ => return Err(takes(option, "true or false")),
            },
            "provider" => match value.to_ascii_lowercase().as_str() {
                "config" => {}
                "credential_chain" => self.uses_environment = true,
                _ => return Err(takes(option, "config or credential_chain")),
            },
            other => {
                let error = Error::new(Code::UnknownSetting, format!("a secret has no option {other}"));
                let likeness = |known: &&str| strsim::jaro_winkler(known, other);
                let nearest = OPTIONS.iter().copied().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
                return Err(match nearest.filter(|known| likeness(known) > 0.75) {
                    Some(known) => error.hint(format!("did you mean {}?", known.to_uppercase())),
                    None => error.hint(format!("it has {}", OPTIONS.join(", "))),
                });
            }
        }
        Ok(())
    }

    /// Its name, in lower case.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The secret whose scope begins `url` and is the longest.
    pub(in crate::io) fn for_url<'a>(secrets: &'a [Secret], url: &str) -> Option<&'a Secret> {
        let longest = |secret: &&Secret| {
            let scopes = secret.scope.iter().filter(|scope| url.starts_with(scope.as_str()));
            scopes.map(String::len).max()
        };
        secrets.iter().filter(|secret| longest(secret).is_some()).max_by_key(longest)
    }
}

fn takes(option: &str, what: &str) -> Error {
    Error::new(Code::InvalidSetting, format!("the option {option} of a secret takes {what}"))
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").field("name", &self.name).field("scope", &self.scope).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(name: &str, options: &[(&str, &str)]) -> Result<Secret> {
        let options: Vec<_> = options.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        Secret::new(name, "S3", &options)
    }

    #[test]
    fn the_longest_scope_counts() {
        let all = [
            secret("everywhere", &[]).unwrap(),
            secret("logs", &[("SCOPE", "s3://logs")]).unwrap(),
            secret("old", &[("scope", "s3://logs/2013/")]).unwrap(),
        ];
        let name = |url: &str| Secret::for_url(&all, url).map(Secret::name);
        assert_eq!(name("s3://logs/2013/x.csv"), Some("old"));
        assert_eq!(name("s3://logs/2014/x.csv"), Some("logs"));
        assert_eq!(name("s3://other/x.csv"), Some("everywhere"));
        assert_eq!(name("https://host/x.csv"), None);
    }

    #[test]
    fn no_error_and_no_debug_text_shows_a_value() {
        let error = secret("s", &[("use_ssl", "hush")]).unwrap_err();
        assert!(!error.to_string().contains("hush"));
        let error = secret("s", &[("secrt", "hush")]).unwrap_err();
        assert_eq!(error.hint_text(), Some("did you mean SECRET?"));
        assert!(!error.to_string().contains("hush"));
        assert!(!format!("{:?}", secret("s", &[("secret", "hush")]).unwrap()).contains("hush"));
    }
}
