//! Profiles in `~/.aws/config` and `~/.aws/credentials`.
//!
//! Invariant: what a profile says may change while a session lives; keys are read again after [`KEPT`], or before the
//! time at which a `credential_process` says that they end.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use object_store::CredentialProvider;
use object_store::aws::AwsCredential;
use parking_lot::Mutex;
use serde_json::Value;

use crate::error::{Code, Error, Result};

/// Keys without a known end are read again after so long.
const KEPT: Duration = Duration::from_secs(60);
/// Keys with a known end are not used in the last minutes before it.
const MARGIN: Duration = Duration::from_secs(5 * 60);

/// One profile: the settings of its sections in both files.
#[derive(Clone)]
pub(super) struct Profile {
    name: String,
    values: BTreeMap<String, String>,
}

/// A variable of the environment that is not empty.
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

impl Profile {
    /// The profile `name`, else the one that `AWS_PROFILE` names, else `default`. `None` where nobody asked for one and
    /// there is none.
    ///
    /// # Errors
    /// `INVALID_SETTING` when the profile that was asked for is in neither file.
    pub(super) fn load(name: Option<&str>) -> Result<Option<Profile>> {
        let asked = name.map(str::to_string).or_else(|| variable("AWS_PROFILE"));
        let wanted = asked.as_deref().unwrap_or("default");
        let (config, credentials) =
            (file("AWS_CONFIG_FILE", "config"), file("AWS_SHARED_CREDENTIALS_FILE", "credentials"));
        let read = |path: &Option<PathBuf>| path.as_ref().and_then(|path| std::fs::read_to_string(path).ok());
        let mut values = BTreeMap::new();
        let in_config = read(&config).is_some_and(|text| take_section(&text, wanted, &mut values));
        let in_credentials = read(&credentials).is_some_and(|text| take_section(&text, wanted, &mut values));
        if in_config || in_credentials {
            return Ok(Some(Profile { name: wanted.to_string(), values }));
        }
        match asked {
            None => Ok(None),
            Some(name) => {
                let shown = |path: Option<PathBuf>| path.unwrap_or_default().display().to_string();
                let (config, credentials) = (shown(config), shown(credentials));
                let message = format!("there is no profile '{name}' in '{config}' or '{credentials}'");
                Err(Error::new(Code::InvalidSetting, message).hint("check AWS_PROFILE"))
            }
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// A value that is not empty.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        self.values.get(name).filter(|text| !text.is_empty()).cloned()
    }

    /// Whether it says anything about keys.
    pub(super) fn has_credentials(&self) -> bool {
        ["aws_access_key_id", "credential_process", "role_arn", "sso_session", "sso_start_url"]
            .iter()
            .any(|name| self.get(name).is_some())
    }

    /// The keys that it holds or that its process prints, and until when they may be used.
    fn credential(&self) -> Result<(AwsCredential, Instant)> {
        if let (Some(key_id), Some(secret_key)) = (self.get("aws_access_key_id"), self.get("aws_secret_access_key")) {
            let token = self.get("aws_session_token");
            return Ok((AwsCredential { key_id, secret_key, token }, Instant::now() + KEPT));
        }
        match self.get("credential_process") {
            Some(command) => printed(&self.name, &command),
            None => Err(Error::not_supported(format!("the profile '{}': taking on a role or signing on", self.name))
                .hint(format!(
                    "let the profile have credential_process = aws configure export-credentials --profile {} --format \
                     process under another name, and name that in AWS_PROFILE",
                    self.name
                ))),
        }
    }
}

/// The path of one of the two files.
fn file(name: &str, default: &str) -> Option<PathBuf> {
    let home = || variable("HOME").or_else(|| variable("USERPROFILE"));
    variable(name).map(PathBuf::from).or_else(|| home().map(|home| PathBuf::from(home).join(".aws").join(default)))
}

/// Adds the settings of the section of profile `name`; false when there is none.
fn take_section(text: &str, name: &str, values: &mut BTreeMap<String, String>) -> bool {
    let (mut inside, mut found) = (false, false);
    for line in text.lines() {
        let stripped = line.trim();
        if stripped.is_empty() || stripped.starts_with(['#', ';']) {
            continue;
        }
        if let Some(section) =
            stripped.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(name, _)| name.trim())
        {
            let section = section.strip_prefix("profile ").map_or(section, str::trim);
            inside = section == name;
            found |= inside;
        } else if inside
            && !line.starts_with([' ', '\t'])
            && let Some((key, value)) = stripped.split_once('=')
        {
            values.insert(key.trim().to_ascii_lowercase(), value.trim().to_string());
        }
    }
    found
}

/// The keys that a `credential_process` prints.
fn printed(profile: &str, command: &str) -> Result<(AwsCredential, Instant)> {
    let failed = |why: &str| {
        Error::new(Code::Io, format!("credential_process of the profile '{profile}' {why}"))
            .hint("run the command by hand to see what it says")
    };
    let (shell, flag) = if cfg!(windows) { ("cmd", "/C") } else { ("sh", "-c") };
    let output = Command::new(shell).arg(flag).arg(command).output().map_err(|_| failed("cannot be started"))?;
    if !output.status.success() {
        return Err(failed("failed"));
    }
    let said: Value = serde_json::from_slice(&output.stdout).map_err(|_| failed("printed no JSON"))?;
    let text = |name: &str| said.get(name).and_then(Value::as_str).map(str::to_string);
    let (Some(key_id), Some(secret_key)) = (text("AccessKeyId"), text("SecretAccessKey")) else {
        return Err(failed("printed no AccessKeyId and SecretAccessKey"));
    };
    let ends = text("Expiration").and_then(|end| chrono::DateTime::parse_from_rfc3339(&end).ok());
    let left = ends.and_then(|end| SystemTime::from(end).duration_since(SystemTime::now()).ok());
    let kept = left.map_or(KEPT, |left| left.saturating_sub(MARGIN));
    Ok((AwsCredential { key_id, secret_key, token: text("SessionToken") }, Instant::now() + kept))
}

/// Keys of a profile, read again before they end.
pub(super) struct ProfileCredentials {
    profile: String,
    held: Arc<Mutex<(Arc<AwsCredential>, Instant)>>,
}

impl ProfileCredentials {
    /// Reads the keys of `profile`.
    ///
    /// # Errors
    /// `IO_ERROR`, `NOT_SUPPORTED`.
    pub(super) fn new(profile: Profile) -> Result<Self> {
        let (credential, until) = profile.credential()?;
        Ok(ProfileCredentials { profile: profile.name, held: Arc::new(Mutex::new((Arc::new(credential), until))) })
    }
}

impl fmt::Debug for ProfileCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProfileCredentials({})", self.profile)
    }
}

impl CredentialProvider for ProfileCredentials {
    type Credential = AwsCredential;

    fn get_credential<'life, 'answer>(
        &'life self,
    ) -> Pin<Box<dyn Future<Output = object_store::Result<Arc<AwsCredential>>> + Send + 'answer>>
    where
        'life: 'answer,
        Self: 'answer,
    {
        let (profile, held) = (self.profile.clone(), self.held.clone());
        Box::pin(async move {
            let (credential, until) = held.lock().clone();
            if Instant::now() < until {
                return Ok(credential);
            }
            // Files and processes may take their time: not on a thread of the network.
            let read = move || {
                Profile::load(Some(&profile)).and_then(|profile| {
                    let profile = profile.ok_or_else(|| Error::internal("a profile went away"))?;
                    let (credential, until) = profile.credential()?;
                    let credential = Arc::new(credential);
                    *held.lock() = (credential.clone(), until);
                    Ok(credential)
                })
            };
            let read = tokio::task::spawn_blocking(read).await?;
            read.map_err(|error| object_store::Error::Generic { store: "profile", source: Box::new(error) })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "# comment\n[default]\nregion = eu-west-1\n[profile work]\nregion=us-west-2\ns3 =\n  \
                          addressing_style = path\nendpoint_url = http://localhost:1\n";
    const CREDENTIALS: &str =
        "[default]\naws_access_key_id = A\naws_secret_access_key=B=\n\n[work]\nAWS_ACCESS_KEY_ID=C\n";

    #[test]
    fn a_profile_is_what_both_files_say() {
        let mut values = BTreeMap::new();
        assert!(take_section(CONFIG, "work", &mut values));
        assert!(take_section(CREDENTIALS, "work", &mut values));
        let profile = Profile { name: "work".to_string(), values };
        assert_eq!(profile.get("region").as_deref(), Some("us-west-2"));
        assert_eq!(profile.get("endpoint_url").as_deref(), Some("http://localhost:1"));
        assert_eq!(profile.get("aws_access_key_id").as_deref(), Some("C"));
        assert_eq!(profile.get("addressing_style"), None);
        let mut values = BTreeMap::new();
        assert!(take_section(CREDENTIALS, "default", &mut values));
        assert_eq!(values["aws_secret_access_key"], "B=");
        assert!(!take_section(CREDENTIALS, "none", &mut values));
    }

    #[cfg(unix)]
    #[test]
    fn a_process_may_print_keys_that_end() {
        let json = r#"{"Version":1,"AccessKeyId":"K","SecretAccessKey":"S","SessionToken":"T","Expiration":"2999-01-01T00:00:00Z"}"#;
        let (credential, until) = printed("p", &format!("echo '{json}'")).unwrap();
        assert_eq!((credential.key_id.as_str(), credential.token.as_deref()), ("K", Some("T")));
        assert!(until > Instant::now() + KEPT);
        assert!(printed("p", "exit 3").unwrap_err().message().contains("'p' failed"));
        assert!(printed("p", "echo hello").unwrap_err().message().contains("no JSON"));
    }
}
