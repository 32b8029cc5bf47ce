//! The library: a [`Session`] with its settings and tables, SQL, lazy [`DataFrame`]s, and streams of results.
//!
//! Invariant: SQL and the verbs of a frame make the same logical plans, and both go through `plan` and `job` only.
//! A session may be used from several threads; its queries share one memory budget.
//!
//! ```
//! use floe::prelude::*;
//!
//! let session = Session::new()?;
//! session.sql("CREATE TABLE t AS SELECT * FROM (VALUES (1, 'a'), (2, 'b')) AS v(id, name)")?;
//! session.sql("CREATE VIEW w AS SELECT ID FROM T WHERE Name <> 'a'")?;
//! assert_eq!(session.table("w")?.schema().field(0).name(), "id");
//! # Ok::<(), floe::Error>(())
//! ```

mod builder;
mod catalog;
mod definitions;
mod engine;
mod facts;
pub mod format;
mod frame;
mod learned;
mod names;
mod read;
mod relation;
mod rows;
mod scope;
mod sql;
mod statement;
mod stream;

pub use crate::job::{Progress, ProgressHandle};
pub use builder::SessionBuilder;
pub use frame::{DataFrame, GroupedFrame, IntoExpr, avg, col, nearest, sum};
pub use read::{IntoPaths, ReadOptions};
pub use sql::{Script, StatementText, excerpt, split};
pub use stream::ResultStream;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use datafusion_expr::{Expr, LogicalPlanBuilder};

use crate::error::{Code, Error, Result, Span};
use crate::io::Upload;
use catalog::Entry;
use engine::Engine;
use names::Name;
use scope::Scope;
use sql::relations::Tables;

/// Settings, tables and workers. Clones are the same session.
#[derive(Clone)]
pub struct Session(Arc<Engine>);

impl Session {
    /// A session with the default settings.
    ///
    /// # Errors
    /// When the workers cannot be started.
    pub fn new() -> Result<Session> {
        Session::builder().build()
    }

    /// A session with other settings.
    ///
    /// ```
    /// use floe::session::Session;
    /// let session = Session::builder().memory_limit("1GB").threads(2).build()?;
    /// assert_eq!(session.setting("threads")?, "2");
    /// # Ok::<(), floe::Error>(())
    /// ```
    pub fn builder() -> SessionBuilder {
        SessionBuilder::default()
    }

    /// Runs one statement. A query is not run yet: the frame runs it when it is asked for rows. Every other statement
    /// is done when this returns, and its frame holds what there is to show, mostly nothing.
    ///
    /// # Errors
    /// Of any class that the statement can meet; those of its text carry a place in it and an excerpt.
    ///
    /// ```
    /// let session = floe::session::Session::new()?;
    /// let error = session.sql("SELECT nme FROM (SELECT 1 AS name)").err().unwrap();
    /// assert_eq!(error.hint_text(), Some("did you mean \"name\"?"));
    /// assert!(error.excerpt_text().unwrap().contains("^^^"));
    /// # Ok::<(), floe::Error>(())
    /// ```
    pub fn sql(&self, text: &str) -> Result<DataFrame> {
        engine::guarded(|| statement::run(self, text)).map_err(|error| sql::with_excerpt(error, text))
    }

    /// Runs one statement with values in the places of `?`, or of `$1`, `$2` and so on.
    ///
    /// # Errors
    /// As [`sql`](Session::sql); `INVALID_QUERY` for too few or too many values; `NOT_SUPPORTED` for a value that is no literal of
    /// a plain type.
    ///
    /// ```
    /// use floe::prelude::*;
    /// let session = Session::new()?;
    /// let frame = session.sql_with("SELECT ? || ' is ' || ? AS text", &[lit("it's"), lit(42)])?;
    /// let batches = frame.collect()?;
    /// assert!(format!("{:?}", batches[0].column(0)).contains("it's is 42"));
    /// # Ok::<(), floe::Error>(())
    /// ```
    pub fn sql_with(&self, text: &str, parameters: &[Expr]) -> Result<DataFrame> {
        let values = parameters.iter().map(statement::prepared::sql_literal).collect::<Result<Vec<_>>>()?;
        self.sql(&statement::prepared::text_with_values(text, &values)?)
    }

    /// Runs one statement of a script; the places in its errors are places in the script.
    ///
    /// # Errors
    /// As [`sql`](Session::sql).
    pub fn statement(&self, statement: &StatementText) -> Result<DataFrame> {
        self.sql(&statement.text).map_err(|error| {
            error.relocate(|span| Span {
                line: span.line + statement.line.saturating_sub(1),
                column: if span.line == 1 { span.column + statement.column.saturating_sub(1) } else { span.column },
                length: span.length,
            })
        })
    }

    /// Runs the statements of a script one after another, each when the iterator is asked for it. Whether to go on
    /// behind an error is up to the caller.
    ///
    /// ```
    /// let session = floe::session::Session::new()?;
    /// let results: Vec<_> = session.execute("SET threads = 1; SELEKT 1; SHOW threads").collect();
    /// assert_eq!(results.iter().map(|(_, result)| result.is_ok()).collect::<Vec<_>>(), [true, false, true]);
    /// # Ok::<(), floe::Error>(())
    /// ```
    pub fn execute(&self, script: &str) -> impl Iterator<Item = (StatementText, Result<DataFrame>)> + use<'_> {
        split(script).statements.into_iter().map(|statement| {
            let result = self.statement(&statement);
            (statement, result)
        })
    }

    /// The table, view or registered frame of that name regardless of case.
    ///
    /// # Errors
    /// `UNKNOWN_TABLE`, and whatever a view's query meets.
    pub fn table(&self, name: &str) -> Result<DataFrame> {
        let scope = Scope::new(&self.0);
        let name = Name::plain(name);
        let relation = scope.table(&name).unwrap_or_else(|| Err(self.0.catalog.unknown(&name)))?;
        let source = relation.source(&relation.schema())?;
        let plan = LogicalPlanBuilder::scan(name.name, source, None)?.build()?;
        Ok(DataFrame::new(self.clone(), plan))
    }

    /// Gives `frame` a name for SQL. It is run anew wherever the name is used.
    ///
    /// # Errors
    /// `ALREADY_EXISTS` when a table or view has the name; an earlier frame of that name is replaced.
    ///
    /// ```
    /// let session = floe::session::Session::new()?;
    /// session.register("numbers", &session.sql("SELECT 1 AS n")?)?;
    /// assert_eq!(session.sql("SELECT N + 1 AS m FROM Numbers")?.schema().field(0).name(), "m");
    /// # Ok::<(), floe::Error>(())
    /// ```
    pub fn register(&self, name: &str, frame: &DataFrame) -> Result<()> {
        if name.is_empty() {
            return Err(Error::new(Code::InvalidQuery, "a frame cannot be registered without a name"));
        }
        self.0.catalog.register(name, Entry::Frame(Arc::new(frame.plan().clone())))
    }

    /// The text form of a setting.
    ///
    /// # Errors
    /// `UNKNOWN_SETTING`.
    pub fn setting(&self, name: &str) -> Result<String> {
        self.0.setting(name)
    }

    /// Changes a setting, as `SET` does.
    ///
    /// # Errors
    /// `UNKNOWN_SETTING`, `INVALID_SETTING`.
    pub fn set(&self, name: &str, value: &str) -> Result<()> {
        self.0.set(name, value)
    }

    /// Cancels every query that the session runs now; each ends with `CANCELLED` soon. To be called from another
    /// thread, since statements that change something are done when [`sql`](Session::sql) returns.
    pub fn interrupt(&self) {
        self.0.interrupt();
    }

    /// How far the query is that was started last; `None` when it has ended. To be called from another thread, since
    /// statements such as COPY are done when [`sql`](Session::sql) returns.
    pub fn progress(&self) -> Option<Progress> {
        self.0.progress()
    }

    /// Keeps queries from reading standard input (`/dev/stdin`, `-`), for a program that reads it itself.
    pub fn take_standard_input(&self) {
        self.0.storage().take_standard_input();
    }

    /// Copies a local file into a store: to `s3://bucket/key` and the like, through the session's settings and secrets.
    ///
    /// # Errors
    /// `FILE_NOT_FOUND`, `IO_ERROR`, `NOT_SUPPORTED`. The object is then as it was.
    pub fn put(&self, file: &Path, url: &str) -> Result<()> {
        let location = self.0.storage().destination(url)?;
        let mut upload = Upload::create(&location, self.0.budget())?;
        let mut file = File::open(file).map_err(|error| Error::from(error).context(file.display().to_string()))?;
        std::io::copy(&mut file, &mut upload)?;
        upload.finish()
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.0
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

/// Everything a program needs to use floe: `use floe::prelude::*`.
pub mod prelude {
    pub use super::{DataFrame, GroupedFrame, ReadOptions, ResultStream, Session, SessionBuilder, avg, col, sum};
    pub use crate::error::{Code, Error, Result};
    pub use arrow::record_batch::RecordBatch;
    pub use datafusion_expr::{Expr, ExprFunctionExt, case, cast, exists, in_list, lit, not, try_cast, when};
    pub use datafusion_functions::expr_fn::*;
    pub use datafusion_functions_aggregate::expr_fn::*;
}

#[cfg(test)]
mod tests;
