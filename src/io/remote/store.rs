//! One bucket (container, host) and the client that speaks to it.
//!
//! Invariant: an operation that fails because the credentials have run out, or because the bucket lies elsewhere, is
//! tried once more with a client built anew; every other refusal is told at once.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use object_store::http::HttpBuilder;
use object_store::list::PaginatedListStore;
use object_store::path::Path;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};
use parking_lot::RwLock;

use crate::config::StoreSettings;
use crate::error::{Code, Error, Result};
use crate::io::remote::address::{Address, Protocol};
use crate::io::remote::fault::{self, Remedy};
use crate::io::remote::s3::S3;
use crate::io::remote::secret::Secret;

/// Pauses between the tries of one request.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A body that gives no byte for so long has stopped.
const LONGEST_STALL: Duration = Duration::from_secs(20);

/// See the module.
pub(in crate::io) struct Store {
    pub(super) protocol: Protocol,
    scheme: String,
    pub(super) bucket: String,
    recipe: Recipe,
    client: RwLock<Arc<Client>>,
    /// How long a store that does not answer, or answers that it cannot, is tried again.
    pub(super) patience: Duration,
    pub(super) interrupts: Arc<AtomicU64>,
    /// The shortest time after which a body began, in nanoseconds; the greatest number while there was none.
    quickest: AtomicU64,
}

/// How a client is built.
enum Recipe {
    S3(S3),
    Fixed,
}

/// A client, and what errors say of it.
pub(super) struct Client {
    pub(super) objects: Arc<dyn ObjectStore>,
    /// `None` where there is no listing.
    pub(super) pages: Option<Arc<dyn PaginatedListStore>>,
    pub(super) place: Place,
}

/// Where a client looks and as whom.
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    pub(super) region: Option<String>,
    pub(super) endpoint: Option<String>,
    /// Whose key signs the requests; `None` when they are not signed.
    pub(super) signed_by: Option<String>,
}

impl Store {
    /// The store behind `address`, through `secret` if one is for it, else through `settings` and the environment.
    ///
    /// # Errors
    /// `INVALID_SETTING`, `NOT_SUPPORTED`.
    pub(in crate::io) fn open(
        address: &Address,
        settings: &StoreSettings,
        secret: Option<&Secret>,
        interrupts: Arc<AtomicU64>,
    ) -> Result<Self> {
        let patience = Duration::from_secs(settings.http_timeout);
        let retries = Retries { patience };
        let (recipe, client) = match address.protocol {
            Protocol::S3 => {
                let recipe = S3::new(&address.bucket, settings, secret, retries)?;
                let client = recipe.client(None)?;
                (Recipe::S3(recipe), client)
            }
            Protocol::Http => (Recipe::Fixed, http(address, retries)?),
            Protocol::Gs => (Recipe::Fixed, gs(address, retries)?),
            Protocol::Az => (Recipe::Fixed, az(address, retries)?),
        };
        let (protocol, scheme, bucket) = (address.protocol, address.scheme.clone(), address.bucket.clone());
        let (client, quickest) = (RwLock::new(Arc::new(client)), AtomicU64::new(u64::MAX));
        Ok(Store { protocol, scheme, bucket, recipe, client, patience, interrupts, quickest })
    }

    /// The URL of an object.
    pub(super) fn url(&self, key: &Path) -> String {
        format!("{}://{}/{key}", self.scheme, self.bucket)
    }

    pub(super) fn client(&self) -> Arc<Client> {
        self.client.read().clone()
    }

    /// After how long a body that gives no byte has stopped.
    pub(super) fn stall(&self) -> Duration {
        self.patience.min(LONGEST_STALL)
    }

    /// The shortest time after which a body began: that of the way, whatever else the machines did. `None` before the first.
    pub(super) fn latency(&self) -> Option<Duration> {
        Some(self.quickest.load(Ordering::Relaxed)).filter(|time| *time < u64::MAX).map(Duration::from_nanos)
    }

    /// A body began `time` after it was asked for.
    pub(super) fn note_latency(&self, time: Duration) {
        self.quickest.fetch_min(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Runs an operation; `doing` and `key` are for its error.
    ///
    /// # Errors
    /// What the store refuses, in words.
    pub(super) async fn run<T, F>(
        &self,
        doing: &str,
        key: Option<&Path>,
        operation: impl Fn(Arc<Client>) -> F,
    ) -> Result<T>
    where
        F: Future<Output = object_store::Result<T>>,
    {
        let mut renewed = false;
        loop {
            let client = self.client();
            let error = match operation(client.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let remedy = if renewed { None } else { fault::remedy(&error) };
            renewed = true;
            let changed = match remedy {
                Some(Remedy::NewCredentials) => self.renew(&client, None)?,
                Some(Remedy::Region(region)) => self.renew(&client, Some(region))?,
                Some(Remedy::FindRegion) => match self.find_region().await {
                    Some(region) => self.renew(&client, Some(region))?,
                    None => false,
                },
                None => false,
            };
            if !changed {
                return Err(fault::refusal(self, &client.place, doing, key, &error));
            }
        }
    }

    /// Builds the client anew, unless somebody else has done so since `failed` was taken. False where that cannot help.
    fn renew(&self, failed: &Arc<Client>, region: Option<String>) -> Result<bool> {
        let Recipe::S3(recipe) = &self.recipe else { return Ok(false) };
        let mut client = self.client.write();
        if !Arc::ptr_eq(&client, failed) {
            return Ok(true);
        }
        let region = region.or_else(|| failed.place.region.clone());
        *client = Arc::new(recipe.client(region)?);
        Ok(true)
    }

    /// Where the bucket lies, as the store itself tells.
    async fn find_region(&self) -> Option<String> {
        let Recipe::S3(recipe) = &self.recipe else { return None };
        if recipe.has_endpoint() {
            return None;
        }
        let options = Retries { patience: self.patience }.client_options();
        object_store::aws::resolve_bucket_region(&self.bucket, &options).await.ok()
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("scheme", &self.scheme).field("bucket", &self.bucket).finish_non_exhaustive()
    }
}

/// How long requests are tried.
#[derive(Debug, Clone, Copy)]
pub(super) struct Retries {
    patience: Duration,
}

impl Retries {
    pub(super) fn config(self) -> RetryConfig {
        let backoff = BackoffConfig { init_backoff: FIRST_PAUSE, max_backoff: LONGEST_PAUSE, base: 2.0 };
        // The time is the bound, not the number.
        RetryConfig { backoff, max_retries: 1000, retry_timeout: self.patience }
    }

    pub(super) fn client_options(self) -> ClientOptions {
        ClientOptions::new()
            .with_allow_http(true)
            .with_timeout(self.patience.max(Duration::from_secs(1)))
            .with_connect_timeout(self.patience.clamp(Duration::from_secs(1), Duration::from_secs(10)))
    }
}

/// A client of plain HTTP. A URL with a query has one of its own.
fn http(address: &Address, retries: Retries) -> Result<Client> {
    let url = match &address.query {
        Some(query) => format!("{}?{query}", address.url()),
        None => format!("{}://{}", address.scheme, address.bucket),
    };
    let builder = HttpBuilder::new().with_url(url).with_retry(retries.config());
    let store = builder.with_client_options(retries.client_options()).build();
    let store = store.map_err(|error| unusable(address, &error))?;
    Ok(Client { objects: Arc::new(store), pages: None, place: Place::default() })
}

fn unusable(address: &Address, error: &object_store::Error) -> Error {
    Error::new(Code::InvalidSetting, format!("'{}' cannot be reached: {}", address.url(), fault::cause(error)))
}

#[cfg(feature = "gs")]
fn gs(address: &Address, retries: Retries) -> Result<Client> {
    let builder = object_store::gcp::GoogleCloudStorageBuilder::from_env().with_bucket_name(&address.bucket);
    let builder = builder.with_retry(retries.config()).with_client_options(retries.client_options());
    let store = Arc::new(builder.build().map_err(|error| unusable(address, &error))?);
    Ok(Client { objects: store.clone(), pages: Some(store), place: Place::default() })
}

#[cfg(feature = "az")]
fn az(address: &Address, retries: Retries) -> Result<Client> {
    let builder = object_store::azure::MicrosoftAzureBuilder::from_env().with_container_name(&address.bucket);
    let builder = builder.with_retry(retries.config()).with_client_options(retries.client_options());
    let store = Arc::new(builder.build().map_err(|error| unusable(address, &error))?);
    Ok(Client { objects: store.clone(), pages: Some(store), place: Place::default() })
}

#[cfg(not(feature = "gs"))]
fn gs(address: &Address, _: Retries) -> Result<Client> {
    Err(not_built_in(address, "gs"))
}

#[cfg(not(feature = "az"))]
fn az(address: &Address, _: Retries) -> Result<Client> {
    Err(not_built_in(address, "az"))
}

#[cfg(not(all(feature = "gs", feature = "az")))]
fn not_built_in(address: &Address, feature: &str) -> Error {
    Error::new(Code::NotSupported, format!("'{}': this floe was built without {feature}://", address.url()))
        .hint(format!("build it with cargo build --release --features {feature}"))
}
