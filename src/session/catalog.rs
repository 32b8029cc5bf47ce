//! The session's tables, views and registered frames, by name regardless of case.
//!
//! Invariant: a query sees a table as it was when the query was planned; INSERT makes a longer table of the same batches.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion_expr::LogicalPlan;
use parking_lot::RwLock;

use super::sql::suggestion;
use crate::error::{Code, Error, Result};
use crate::plan::StoredTable;
use crate::store::StoredRows;

/// What a name stands for.
#[derive(Clone)]
pub(crate) enum Entry {
    Table(Arc<Table>),
    View(Arc<View>),
    Frame(Arc<LogicalPlan>),
}

impl Entry {
    /// The kind as SHOW TABLES prints it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Entry::Table(_) => "table",
            Entry::View(_) => "view",
            Entry::Frame(_) => "frame",
        }
    }
}

/// A query under a name, planned anew wherever it is used.
#[derive(Debug)]
pub(crate) struct View {
    /// The query as it was written.
    pub sql: String,
    /// Names for its columns; empty: the query's own.
    pub columns: Vec<String>,
}

/// Rows under a name.
pub(crate) struct Table {
    pub schema: SchemaRef,
    rows: RwLock<StoredRows>,
}

impl Table {
    pub(crate) fn new(schema: SchemaRef, rows: StoredRows) -> Self {
        Table { schema, rows: RwLock::new(rows) }
    }

    /// Adds rows, whose schema is the table's.
    pub(crate) fn append(&self, more: &StoredRows) {
        let mut rows = self.rows.write();
        *rows = rows.followed_by(more);
    }

    /// The table as it is now.
    pub(crate) fn snapshot(&self) -> StoredTable {
        StoredTable::new(Arc::new(self.rows.read().clone()))
    }
}

/// What CREATE does when the name is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IfTaken {
    Fail,
    Replace,
    Keep,
}

/// Lower-case name → the name as written, and what it stands for.
type Entries = BTreeMap<String, (String, Entry)>;

/// The names of a session.
#[derive(Default)]
pub(crate) struct Catalog(RwLock<Entries>);

fn check_free(entries: &Entries, name: &str, kind: &str, if_taken: IfTaken) -> Result<bool> {
    let Some((written, entry)) = entries.get(&name.to_lowercase()) else {
        return Ok(true);
    };
    let taken = |hint: String| {
        let message = format!("there is a {} named \"{written}\" already", entry.kind());
        Err(Error::new(Code::AlreadyExists, message).hint(hint))
    };
    match if_taken {
        IfTaken::Keep => Ok(false),
        IfTaken::Replace if entry.kind() == kind => Ok(true),
        IfTaken::Replace => taken(format!("a {kind} does not replace a {}: drop it first", entry.kind())),
        IfTaken::Fail => taken("OR REPLACE replaces it; IF NOT EXISTS keeps it".to_string()),
    }
}

impl Catalog {
    pub(crate) fn get(&self, name: &str) -> Option<Entry> {
        self.0.read().get(&name.to_lowercase()).map(|(_, entry)| entry.clone())
    }

    /// Whether a CREATE of that name would do anything.
    ///
    /// # Errors
    /// `ALREADY_EXISTS`: the name is taken, or something of another kind would be replaced.
    pub(crate) fn check_free(&self, name: &str, kind: &str, if_taken: IfTaken) -> Result<bool> {
        check_free(&self.0.read(), name, kind, if_taken)
    }

    /// Gives `name` to `entry`; false when the name was kept by what had it.
    pub(crate) fn create(&self, name: &str, entry: Entry, if_taken: IfTaken) -> Result<bool> {
        let mut entries = self.0.write();
        // Checked again: another thread may have taken the name while the rows were made.
        if !check_free(&entries, name, entry.kind(), if_taken)? {
            return Ok(false);
        }
        entries.insert(name.to_lowercase(), (name.to_string(), entry));
        Ok(true)
    }

    /// Gives `name` to a frame; a frame that has it is replaced.
    pub(crate) fn register(&self, name: &str, frame: Entry) -> Result<()> {
        self.create(name, frame, IfTaken::Replace).map(|_| ())
    }

    /// Takes `name` away from a thing of kind `kind`; a frame goes as a table or as a view.
    pub(crate) fn remove(&self, name: &str, kind: &str, if_exists: bool) -> Result<()> {
        let mut entries = self.0.write();
        let key = name.to_lowercase();
        match entries.get(&key) {
            Some((_, entry)) if entry.kind() == kind || matches!(entry, Entry::Frame(_)) => {
                entries.remove(&key);
                Ok(())
            }
            Some((written, entry)) => {
                let message = format!("\"{written}\" is a {}, not a {kind}", entry.kind());
                let hint = format!("write DROP {}", entry.kind().to_uppercase());
                Err(Error::new(Code::UnknownTable, message).hint(hint))
            }
            None if if_exists => Ok(()),
            None => {
                drop(entries);
                Err(self.unknown(name))
            }
        }
    }

    /// The error for a name that nothing has.
    pub(crate) fn unknown(&self, name: &str) -> Error {
        let error = Error::new(Code::UnknownTable, format!("there is no table or view named \"{name}\""));
        match suggestion(name, self.names(), "tables") {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }

    /// Names as written, in order.
    pub(crate) fn names(&self) -> Vec<String> {
        self.0.read().values().map(|(name, _)| name.clone()).collect()
    }

    /// Names and kinds, in order.
    pub(crate) fn list(&self) -> Vec<(String, &'static str)> {
        self.0.read().values().map(|(name, entry)| (name.clone(), entry.kind())).collect()
    }
}
