//! Settings for a new session.

use std::path::Path;
use std::sync::Arc;

use super::Session;
use super::engine::Engine;
use crate::config::Settings;
use crate::error::Result;

/// Collects settings; the first invalid one is the error of [`build`](SessionBuilder::build).
#[derive(Debug, Default)]
#[must_use = "a builder does nothing until `build`"]
pub struct SessionBuilder {
    settings: Vec<(String, String)>,
}

impl SessionBuilder {
    /// The memory that the process may use: `"1GB"`, `"512MiB"`, `"60%"`.
    pub fn memory_limit(self, limit: impl Into<String>) -> Self {
        self.set("memory_limit", limit)
    }

    /// The number of workers.
    pub fn threads(self, threads: usize) -> Self {
        self.set("threads", threads.to_string())
    }

    /// Where batches go that do not fit in memory.
    pub fn spill_dir(self, folder: impl AsRef<Path>) -> Self {
        self.set("spill_dir", folder.as_ref().to_string_lossy())
    }

    /// The most that may lie in the spill folder at any one time: `"100GB"`.
    pub fn max_spill_size(self, size: impl Into<String>) -> Self {
        self.set("max_spill_size", size)
    }

    /// Any setting by its name, as in `SET name = value`.
    pub fn set(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }

    /// The session.
    ///
    /// # Errors
    /// `UNKNOWN_SETTING`, `INVALID_SETTING`; or when the workers cannot be started.
    pub fn build(self) -> Result<Session> {
        let mut settings = Settings::default();
        for (name, value) in &self.settings {
            settings.set(name, value)?;
        }
        Ok(Session(Arc::new(Engine::new(settings)?)))
    }
}
