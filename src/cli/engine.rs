//! The one place where the program touches the library's session.
//!
//! Invariant: a statement's answer is a schema and a stream of batches that has that schema.

use std::path::{Path, PathBuf};

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use floe::Result;
use floe::session::{Progress, Session, SessionBuilder};

/// What the command line says about the session; `None` leaves the session's default.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    pub memory_limit: Option<String>,
    pub threads: Option<usize>,
    pub spill_dir: Option<PathBuf>,
    pub max_spill_size: Option<String>,
    /// Whether statements come from standard input.
    pub reads_statements: bool,
}

/// What one statement gives: no columns where it has no result set.
pub struct Answer {
    pub schema: SchemaRef,
    pub batches: Box<dyn Iterator<Item = Result<RecordBatch>>>,
}

/// What the program needs of a session.
pub trait Engine: Send + Sync {
    /// Starts one statement. The answer is read to its end, or dropped, before the next statement starts.
    fn run(&self, statement: &str) -> Result<Answer>;

    /// Cancels the statement that runs, from another thread; it ends with `CANCELLED` within 200 ms.
    fn interrupt(&self);

    /// How far the statement is, from another thread; `None` where that is not known or not to be shown.
    fn progress(&self) -> Option<Progress>;

    /// Copies a file into a store.
    fn put(&self, file: &Path, url: &str) -> Result<()>;
}

/// The library's session.
pub struct SessionEngine(Session);

impl SessionEngine {
    /// A session with these settings.
    ///
    /// # Errors
    /// `INVALID_SETTING` when one of them cannot be.
    pub fn new(settings: &Settings) -> Result<Self> {
        let mut builder: SessionBuilder = Session::builder();
        if let Some(limit) = &settings.memory_limit {
            builder = builder.memory_limit(limit);
        }
        if let Some(threads) = settings.threads {
            builder = builder.threads(threads);
        }
        if let Some(directory) = &settings.spill_dir {
            builder = builder.spill_dir(directory);
        }
        if let Some(size) = &settings.max_spill_size {
            builder = builder.max_spill_size(size);
        }
        let session = builder.build()?;
        if settings.reads_statements {
            session.take_standard_input();
        }
        Ok(SessionEngine(session))
    }
}

impl Engine for SessionEngine {
    fn run(&self, statement: &str) -> Result<Answer> {
        let stream = self.0.sql(statement)?.stream()?;
        Ok(Answer { schema: stream.schema(), batches: Box::new(stream) })
    }

    fn interrupt(&self) {
        self.0.interrupt();
    }

    fn progress(&self) -> Option<Progress> {
        let is_wanted = self.0.setting("enable_progress_bar").is_ok_and(|value| value == "true");
        if is_wanted { self.0.progress() } else { None }
    }

    fn put(&self, file: &Path, url: &str) -> Result<()> {
        self.0.put(file, url)
    }
}
