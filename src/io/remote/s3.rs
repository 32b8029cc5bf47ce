//! How a client of S3, or of what speaks its protocol, is built: whose key, which region, which endpoint.
//!
//! For each of them the first that says something counts: the secret for the URL, the settings `s3_…`, the environment
//! (`AWS_…`), the profile in `~/.aws`. Keys may further come from a web identity, a container or the instance; where
//! nobody has one, requests are not signed, which is what public buckets want.

use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use object_store::StaticCredentialProvider;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, AwsCredential};

use crate::config::StoreSettings;
use crate::error::{Code, Error, Result};
use crate::io::remote::fault;
use crate::io::remote::profile::{self, Profile, ProfileCredentials};
use crate::io::remote::secret::Secret;
use crate::io::remote::store::{Client, Place, Retries};

/// Where an instance asks for its credentials, and how long the connection may take to tell that there is none.
const INSTANCE_METADATA: ([u8; 4], u16) = ([169, 254, 169, 254], 80);
const METADATA_PATIENCE: Duration = Duration::from_millis(500);

/// Everything that was said about one bucket.
#[derive(Clone)]
pub(super) struct S3 {
    bucket: String,
    region: Option<String>,
    endpoint: Option<String>,
    /// The bucket is the first part of the path, not of the host.
    path_style: Option<bool>,
    use_ssl: bool,
    keys: Keys,
    retries: Retries,
}

/// Whose key signs.
#[derive(Clone)]
enum Keys {
    Given {
        key_id: String,
        secret: String,
        token: Option<String>,
        by: String,
    },
    /// Nobody's.
    Nobody,
    /// Whoever the environment says.
    Environment {
        profile: Option<String>,
    },
}

impl S3 {
    pub(super) fn new(
        bucket: &str,
        settings: &StoreSettings,
        secret: Option<&Secret>,
        retries: Retries,
    ) -> Result<Self> {
        let said = |of_secret: Option<&String>, setting: &str| {
            of_secret.cloned().or_else(|| Some(setting.to_string()).filter(|text| !text.is_empty()))
        };
        let url_style = said(secret.and_then(|secret| secret.url_style.as_ref()), &settings.s3_url_style);
        Ok(S3 {
            bucket: bucket.to_string(),
            region: said(secret.and_then(|secret| secret.region.as_ref()), &settings.s3_region),
            endpoint: said(secret.and_then(|secret| secret.endpoint.as_ref()), &settings.s3_endpoint),
            path_style: url_style.map(|style| style.eq_ignore_ascii_case("path")),
            use_ssl: secret.and_then(|secret| secret.use_ssl).unwrap_or(settings.s3_use_ssl),
            keys: keys(settings, secret)?,
            retries,
        })
    }

    /// Whether somebody else than Amazon is asked.
    pub(super) fn has_endpoint(&self) -> bool {
        let environment = AmazonS3Builder::from_env();
        self.endpoint.is_some() || environment_endpoint(&environment).is_some()
    }

    /// A client, of `region` where that is given. Environment and profile are read anew.
    ///
    /// # Errors
    /// `INVALID_SETTING`.
    pub(super) fn client(&self, region: Option<String>) -> Result<Client> {
        let environment = AmazonS3Builder::from_env();
        let profile = match &self.keys {
            Keys::Environment { profile } => Profile::load(profile.as_deref())?,
            _ => Profile::load(None).unwrap_or_default(),
        };
        let of_profile = |name: &str| profile.as_ref().and_then(|profile| profile.get(name));
        let region = region
            .or_else(|| self.region.clone())
            .or_else(|| environment.get_config_value(&AmazonS3ConfigKey::Region))
            .or_else(|| of_profile("region"))
            .unwrap_or_else(|| "us-east-1".to_string());
        let endpoint =
            self.endpoint.clone().or_else(|| environment_endpoint(&environment)).or_else(|| of_profile("endpoint_url"));
        let endpoint = endpoint.map(|endpoint| with_scheme(&endpoint, self.use_ssl));
        let (builder, signed_by) = self.signed(environment, profile)?;
        // A host of one's own seldom has a name for every bucket; names with dots do not fit certificates.
        let path_style = self.path_style.unwrap_or(endpoint.is_some() || self.bucket.contains('.'));
        let mut builder = builder
            .with_bucket_name(&self.bucket)
            .with_region(&region)
            .with_retry(self.retries.config())
            .with_client_options(self.retries.client_options())
            .with_virtual_hosted_style_request(!path_style);
        if let Some(endpoint) = &endpoint {
            let address = if path_style { endpoint.clone() } else { with_bucket(endpoint, &self.bucket) };
            builder = builder.with_config(AmazonS3ConfigKey::S3Endpoint, address);
        }
        let store = builder.build().map_err(|error| {
            let message = format!("the settings for bucket '{}' fit no store: {}", self.bucket, fault::cause(&error));
            Error::new(Code::InvalidSetting, message).hint("check s3_endpoint, s3_region and s3_url_style")
        })?;
        let store = Arc::new(store);
        let place = Place { region: Some(region), endpoint, signed_by };
        Ok(Client { objects: store.clone(), pages: Some(store), place })
    }

    /// The builder with somebody's key, and whose it is.
    fn signed(&self, builder: AmazonS3Builder, profile: Option<Profile>) -> Result<(AmazonS3Builder, Option<String>)> {
        let has = |key: AmazonS3ConfigKey| builder.get_config_value(&key).is_some();
        let profile = match &self.keys {
            Keys::Nobody => return Ok((builder.with_skip_signature(true), None)),
            Keys::Given { key_id, secret, token, by } => {
                let credential =
                    AwsCredential { key_id: key_id.clone(), secret_key: secret.clone(), token: token.clone() };
                let provider = Arc::new(StaticCredentialProvider::new(credential));
                return Ok((builder.with_credentials(provider), Some(by.clone())));
            }
            Keys::Environment { profile: Some(_) } => profile,
            Keys::Environment { profile: None } => {
                if has(AmazonS3ConfigKey::AccessKeyId) || has(AmazonS3ConfigKey::SecretAccessKey) {
                    return Ok((builder, Some("the environment (AWS_ACCESS_KEY_ID)".to_string())));
                }
                if has(AmazonS3ConfigKey::WebIdentityTokenFile) && has(AmazonS3ConfigKey::RoleArn) {
                    return Ok((builder, Some("the web identity (AWS_WEB_IDENTITY_TOKEN_FILE)".to_string())));
                }
                profile
            }
        };
        if let Some(profile) = profile.filter(Profile::has_credentials) {
            let by = format!("the profile '{}'", profile.name());
            return Ok((builder.with_credentials(Arc::new(ProfileCredentials::new(profile)?)), Some(by)));
        }
        let container =
            [AmazonS3ConfigKey::ContainerCredentialsRelativeUri, AmazonS3ConfigKey::ContainerCredentialsFullUri];
        if container.into_iter().any(has) {
            return Ok((builder, Some("the container's role".to_string())));
        }
        if has(AmazonS3ConfigKey::MetadataEndpoint) || has_instance_metadata() {
            return Ok((builder, Some("the instance's role".to_string())));
        }
        Ok((builder.with_skip_signature(true), None))
    }
}

fn keys(settings: &StoreSettings, secret: Option<&Secret>) -> Result<Keys> {
    let half = |whose: &str| {
        Error::new(Code::InvalidSetting, format!("{whose} has only one of key id and secret key")).hint("give both")
    };
    if let Some(secret) = secret {
        let by = format!("the secret '{}'", secret.name());
        return match (&secret.key_id, &secret.secret) {
            (Some(key_id), Some(key)) => {
                let (key_id, key, token) = (key_id.clone(), key.clone(), secret.session_token.clone());
                Ok(Keys::Given { key_id, secret: key, token, by })
            }
            (None, None) if secret.uses_environment => Ok(Keys::Environment { profile: secret.profile.clone() }),
            (None, None) => Ok(Keys::Nobody),
            _ => Err(half(&by)),
        };
    }
    match (settings.s3_access_key_id.as_str(), settings.s3_secret_access_key.as_str()) {
        ("", "") => Ok(Keys::Environment { profile: None }),
        ("", _) | (_, "") => Err(half("SET s3_…")),
        (key_id, key) => Ok(Keys::Given {
            key_id: key_id.to_string(),
            secret: key.to_string(),
            token: Some(settings.s3_session_token.clone()).filter(|token| !token.is_empty()),
            by: "the setting s3_access_key_id".to_string(),
        }),
    }
}

fn environment_endpoint(builder: &AmazonS3Builder) -> Option<String> {
    let of_s3 = builder.get_config_value(&AmazonS3ConfigKey::S3Endpoint);
    of_s3.or_else(|| builder.get_config_value(&AmazonS3ConfigKey::Endpoint))
}

/// `localhost:9000` as a URL.
fn with_scheme(endpoint: &str, use_ssl: bool) -> String {
    let endpoint = endpoint.trim_end_matches('/');
    match endpoint.contains("://") {
        true => endpoint.to_string(),
        false if use_ssl => format!("https://{endpoint}"),
        false => format!("http://{endpoint}"),
    }
}

/// The endpoint's host with the bucket before it.
fn with_bucket(endpoint: &str, bucket: &str) -> String {
    match endpoint.split_once("://") {
        Some((scheme, host)) => format!("{scheme}://{bucket}.{host}"),
        None => endpoint.to_string(),
    }
}

/// Whether this machine is an instance that hands out credentials. Asked once.
fn has_instance_metadata() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    let disabled = profile::variable("AWS_EC2_METADATA_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true"));
    let address = SocketAddr::from(INSTANCE_METADATA);
    !disabled && *FOUND.get_or_init(|| TcpStream::connect_timeout(&address, METADATA_PATIENCE).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_urls_in_either_style() {
        assert_eq!(with_scheme("localhost:9000/", false), "http://localhost:9000");
        assert_eq!(with_scheme("minio.example", true), "https://minio.example");
        assert_eq!(with_scheme("http://x:1", true), "http://x:1");
        assert_eq!(with_bucket("http://x:1", "b"), "http://b.x:1");
    }

    #[test]
    fn half_a_key_is_said_so() {
        let settings = StoreSettings { s3_access_key_id: "AKIA".to_string(), ..StoreSettings::default() };
        let error = keys(&settings, None).err().unwrap();
        assert!(error.message().contains("only one") && !error.message().contains("AKIA"), "{error}");
    }
}
