//! The session's tables, views and registered frames, by schema and name regardless of case.
//!
//! Invariant: a query sees a table as it was when the query was planned; a change makes another list of batches, which
//! takes the place of the old one when it is whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{Field, SchemaRef};
use datafusion_expr::LogicalPlan;
use parking_lot::{Mutex, MutexGuard, RwLock};

use super::names::{MAIN, Name};
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
    /// What it is, in a word.
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

/// What holds of every row of a table, and what is computed of it, as expressions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules {
    pub checks: Vec<String>,
    /// By column; empty where there are none.
    pub generated: Vec<Option<String>>,
}

impl Rules {
    pub(crate) fn is_empty(&self) -> bool {
        self.checks.is_empty() && self.generated.iter().all(Option::is_none)
    }

    /// What a column is computed as, if it is.
    pub(crate) fn generated_as(&self, column: usize) -> Option<&str> {
        self.generated.get(column).and_then(Option::as_deref)
    }
}

/// Rows under a name.
pub(crate) struct Table {
    pub schema: SchemaRef,
    /// The expression of every column that has a DEFAULT.
    pub defaults: Vec<Option<String>>,
    pub rules: Rules,
    rows: RwLock<StoredRows>,
    /// Held by whoever makes other rows of those that are there; says whether ALTER has put another table in its place.
    changing: Mutex<bool>,
}

impl Table {
    /// A table without defaults.
    pub(crate) fn new(schema: SchemaRef, rows: StoredRows) -> Self {
        let defaults = vec![None; schema.fields().len()];
        Table::with_defaults(schema, defaults, rows)
    }

    /// A table; `rows` have its columns, perhaps under other names.
    pub(crate) fn with_defaults(schema: SchemaRef, defaults: Vec<Option<String>>, rows: StoredRows) -> Self {
        Table { schema, defaults, rules: Rules::default(), rows: RwLock::new(rows), changing: Mutex::default() }
    }

    /// The table with rules that all of its rows obey.
    pub(crate) fn with_rules(self, rules: Rules) -> Self {
        Table { rules, ..self }
    }

    /// Adds rows of its types.
    ///
    /// # Errors
    /// As [`changing`](Table::changing).
    pub(crate) fn append(&self, more: &StoredRows) -> Result<()> {
        let _changing = self.changing()?;
        let mut rows = self.rows.write();
        *rows = rows.followed_by(more);
        Ok(())
    }

    /// Waits for its turn to make other rows of those that are there. Who puts another table in its place makes it `true`.
    ///
    /// # Errors
    /// `INVALID_QUERY` where that has happened since the statement was planned: its columns may be others.
    pub(crate) fn changing(&self) -> Result<MutexGuard<'_, bool>> {
        let replaced = self.changing.lock();
        if *replaced {
            return Err(Error::new(Code::InvalidQuery, "the table was altered while the statement ran")
                .hint("nothing was changed by it; run it again"));
        }
        Ok(replaced)
    }

    /// Puts other rows in the place of all; the caller holds [`changing`](Table::changing).
    pub(crate) fn replace(&self, rows: StoredRows) {
        *self.rows.write() = rows;
    }

    /// The rows as they are now.
    pub(crate) fn rows(&self) -> StoredRows {
        self.rows.read().clone()
    }

    /// The table as it is now.
    pub(crate) fn snapshot(&self) -> StoredTable {
        StoredTable::new(Arc::new(self.rows())).renamed(self.schema.clone())
    }
}

/// What CREATE does when the name is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IfTaken {
    Fail,
    Replace,
    Keep,
}

/// Something under its names as they were written.
#[derive(Clone)]
pub(crate) struct Named {
    pub schema: String,
    pub name: String,
    pub entry: Entry,
    pub comments: Comments,
}

/// What COMMENT ON says of a table or view.
#[derive(Debug, Clone, Default)]
pub(crate) struct Comments {
    pub own: Option<String>,
    /// By the column's name in lower case.
    columns: BTreeMap<String, String>,
}

impl Comments {
    pub(crate) fn of_column(&self, name: &str) -> Option<&str> {
        self.columns.get(&name.to_lowercase()).map(String::as_str)
    }

    /// Those of a table whose columns changed: one by one where they are as many, else by their names.
    fn moved(&mut self, old: &SchemaRef, new: &SchemaRef) {
        let place = |(index, field): (usize, &Arc<Field>)| {
            let before = if old.fields().len() == new.fields().len() { old.field(index).name() } else { field.name() };
            let comment = self.columns.get(&before.to_lowercase())?;
            Some((field.name().to_lowercase(), comment.clone()))
        };
        self.columns = new.fields().iter().enumerate().filter_map(place).collect();
    }
}

/// The names of a session.
pub(crate) struct Catalog(RwLock<Names>);

struct Names {
    /// By schema and name in lower case.
    entries: BTreeMap<(String, String), Named>,
    /// As written, by lower case.
    schemas: BTreeMap<String, String>,
    /// The schema that names without one are in.
    current: String,
}

impl Default for Catalog {
    fn default() -> Self {
        let schemas = BTreeMap::from([(MAIN.to_string(), MAIN.to_string())]);
        Catalog(RwLock::new(Names { entries: BTreeMap::new(), schemas, current: MAIN.to_string() }))
    }
}

impl Names {
    /// Where a new thing of that name goes.
    fn place(&self, name: &Name) -> Result<(String, String)> {
        let schema = name.schema.as_ref().unwrap_or(&self.current).to_lowercase();
        if !self.schemas.contains_key(&schema) {
            return Err(self.unknown_schema(&schema));
        }
        Ok((schema, name.name.to_lowercase()))
    }

    /// What has that name: in its schema, or else in the one of the session, or in `main`.
    fn find(&self, name: &Name) -> Option<((String, String), &Named)> {
        let lower = name.name.to_lowercase();
        let schemas = match &name.schema {
            Some(schema) => vec![schema.to_lowercase()],
            None => vec![self.current.to_lowercase(), MAIN.to_string()],
        };
        schemas.into_iter().find_map(|schema| {
            let key = (schema, lower.clone());
            self.entries.get(&key).map(|named| (key.clone(), named))
        })
    }

    /// Whether the place is free for a thing of `kind`, or may be taken.
    fn check_free(&self, place: &(String, String), kind: &str, if_taken: IfTaken) -> Result<bool> {
        let Some(Named { name, entry, .. }) = self.entries.get(place) else {
            return Ok(true);
        };
        let taken = |hint: String| {
            let message = format!("there is a {} named \"{name}\" already", entry.kind());
            Err(Error::new(Code::AlreadyExists, message).hint(hint))
        };
        match if_taken {
            IfTaken::Keep => Ok(false),
            IfTaken::Replace if entry.kind() == kind => Ok(true),
            IfTaken::Replace => taken(format!("a {kind} does not replace a {}: drop it first", entry.kind())),
            IfTaken::Fail => taken("OR REPLACE replaces it; IF NOT EXISTS keeps it".to_string()),
        }
    }

    fn unknown_schema(&self, name: &str) -> Error {
        let error = Error::new(Code::UnknownTable, format!("there is no schema named \"{name}\""));
        match suggestion(name, self.schemas.values(), "schemas") {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

impl Catalog {
    pub(crate) fn get(&self, name: &Name) -> Option<Entry> {
        self.0.read().find(name).map(|(_, named)| named.entry.clone())
    }

    /// Whether a CREATE of that name would do anything.
    ///
    /// # Errors
    /// `ALREADY_EXISTS`: the name is taken, or something of another kind would be replaced. `UNKNOWN_TABLE`: no schema.
    pub(crate) fn check_free(&self, name: &Name, kind: &str, if_taken: IfTaken) -> Result<bool> {
        let names = self.0.read();
        names.check_free(&names.place(name)?, kind, if_taken)
    }

    /// Gives `name` to `entry`; false when the name was kept by what had it.
    pub(crate) fn create(&self, name: &Name, entry: Entry, if_taken: IfTaken) -> Result<bool> {
        let mut names = self.0.write();
        let place = names.place(name)?;
        // Checked again: another thread may have taken the name while the rows were made.
        if !names.check_free(&place, entry.kind(), if_taken)? {
            return Ok(false);
        }
        let schema = names.schemas.get(&place.0).cloned().unwrap_or_default();
        names.entries.insert(place, Named { schema, name: name.name.clone(), entry, comments: Comments::default() });
        Ok(true)
    }

    /// Gives `name` to a frame; a frame that has it is replaced.
    pub(crate) fn register(&self, name: &str, frame: Entry) -> Result<()> {
        self.create(&Name::plain(name), frame, IfTaken::Replace).map(|_| ())
    }

    /// Takes `name` away from a thing of kind `kind`; a frame goes as a table or as a view.
    pub(crate) fn remove(&self, name: &Name, kind: &str, if_exists: bool) -> Result<()> {
        let mut names = self.0.write();
        match names.find(name) {
            Some((key, Named { entry, .. })) if entry.kind() == kind || matches!(entry, Entry::Frame(_)) => {
                names.entries.remove(&key);
                Ok(())
            }
            Some((_, named)) => Err(wrong_kind(named, kind, "DROP")),
            None if if_exists => Ok(()),
            None => {
                drop(names);
                Err(self.unknown(name))
            }
        }
    }

    /// Calls a thing of kind `kind` otherwise, within its schema.
    ///
    /// # Errors
    /// `UNKNOWN_TABLE`, `ALREADY_EXISTS`.
    pub(crate) fn rename(&self, name: &Name, kind: &str, new: &str) -> Result<()> {
        let mut names = self.0.write();
        let Some((old, named)) = names.find(name) else {
            drop(names);
            return Err(self.unknown(name));
        };
        if named.entry.kind() != kind {
            return Err(wrong_kind(named, kind, "ALTER"));
        }
        let renamed = Named { name: new.to_string(), ..named.clone() };
        let place = (old.0.clone(), new.to_lowercase());
        if place != old {
            names.check_free(&place, kind, IfTaken::Fail).map_err(|error| error.hint("drop it first"))?;
        }
        names.entries.remove(&old);
        names.entries.insert(place, renamed);
        Ok(())
    }

    /// Puts `table` in the place of the table `old`, wherever that is.
    ///
    /// # Errors
    /// `UNKNOWN_TABLE` when it has gone meanwhile.
    pub(crate) fn swap(&self, name: &Name, old: &Arc<Table>, table: Table) -> Result<()> {
        let mut names = self.0.write();
        let place = names
            .entries
            .iter_mut()
            .find(|(_, named)| matches!(&named.entry, Entry::Table(table) if Arc::ptr_eq(table, old)));
        match place {
            Some((_, named)) => {
                named.comments.moved(&old.schema, &table.schema);
                named.entry = Entry::Table(Arc::new(table));
            }
            None => {
                drop(names);
                return Err(self.unknown(name));
            }
        }
        Ok(())
    }

    /// Keeps, or with `None` forgets, a comment on a table or view, or on a column of it.
    ///
    /// # Errors
    /// `UNKNOWN_TABLE`.
    pub(crate) fn comment(&self, name: &Name, column: Option<&str>, text: Option<String>) -> Result<()> {
        let mut names = self.0.write();
        let Some(named) = names.find(name).map(|(key, _)| key).and_then(|key| names.entries.get_mut(&key)) else {
            drop(names);
            return Err(self.unknown(name));
        };
        let comments = &mut named.comments;
        match (column.map(str::to_lowercase), text) {
            (None, text) => comments.own = text,
            (Some(column), Some(text)) => drop(comments.columns.insert(column, text)),
            (Some(column), None) => drop(comments.columns.remove(&column)),
        }
        Ok(())
    }

    /// The error for a name that nothing has.
    pub(crate) fn unknown(&self, name: &Name) -> Error {
        let error = Error::new(Code::UnknownTable, format!("there is no table or view named \"{name}\""));
        match suggestion(&name.to_string(), self.names(), "tables") {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }

    /// Names as written, in order; those of other schemas than the session's with their schema.
    pub(crate) fn names(&self) -> Vec<String> {
        let names = self.0.read();
        let name = |((schema, _), named): (&(String, String), &Named)| match *schema == names.current.to_lowercase() {
            true => named.name.clone(),
            false => format!("{}.{}", named.schema, named.name),
        };
        names.entries.iter().map(name).collect()
    }

    /// Everything, by schema and name.
    pub(crate) fn list(&self) -> Vec<Named> {
        self.0.read().entries.values().cloned().collect()
    }
}

/// Schemas.
impl Catalog {
    /// Makes a schema.
    ///
    /// # Errors
    /// `ALREADY_EXISTS`.
    pub(crate) fn create_schema(&self, name: &str, if_not_exists: bool) -> Result<()> {
        let mut names = self.0.write();
        let key = name.to_lowercase();
        match names.schemas.get(&key) {
            Some(_) if if_not_exists => {}
            Some(written) => {
                let message = format!("there is a schema named \"{written}\" already");
                return Err(Error::new(Code::AlreadyExists, message).hint("IF NOT EXISTS keeps it"));
            }
            None => {
                names.schemas.insert(key, name.to_string());
            }
        }
        Ok(())
    }

    /// Takes a schema away, and with `cascade` all that is in it.
    ///
    /// # Errors
    /// `UNKNOWN_TABLE`; `INVALID_QUERY` for one that is not empty.
    pub(crate) fn drop_schema(&self, name: &str, if_exists: bool, cascade: bool) -> Result<()> {
        let mut names = self.0.write();
        let key = name.to_lowercase();
        if !names.schemas.contains_key(&key) {
            return if if_exists { Ok(()) } else { Err(names.unknown_schema(name)) };
        }
        if key == MAIN {
            return Err(Error::new(Code::InvalidQuery, "the schema main stays"));
        }
        if !cascade && names.entries.keys().any(|(schema, _)| *schema == key) {
            let error = Error::new(Code::InvalidQuery, format!("the schema \"{name}\" is not empty"));
            return Err(error.hint("DROP SCHEMA … CASCADE drops what is in it, too"));
        }
        names.entries.retain(|(schema, _), _| *schema != key);
        names.schemas.remove(&key);
        if names.current.to_lowercase() == key {
            names.current = MAIN.to_string();
        }
        Ok(())
    }

    /// Makes a schema the one that names without one are in.
    ///
    /// # Errors
    /// `UNKNOWN_TABLE`.
    pub(crate) fn use_schema(&self, name: &str) -> Result<()> {
        let mut names = self.0.write();
        match names.schemas.get(&name.to_lowercase()) {
            Some(written) => {
                names.current = written.clone();
                Ok(())
            }
            None => Err(names.unknown_schema(name)),
        }
    }

    /// The schema that names without one are in.
    pub(crate) fn current_schema(&self) -> String {
        self.0.read().current.clone()
    }

    /// The schemas as written.
    pub(crate) fn schemas(&self) -> Vec<String> {
        self.0.read().schemas.values().cloned().collect()
    }
}

fn wrong_kind(named: &Named, kind: &str, verb: &str) -> Error {
    let found = named.entry.kind();
    let error = Error::new(Code::UnknownTable, format!("\"{}\" is a {found}, not a {kind}", named.name));
    error.hint(format!("write {verb} {}", found.to_uppercase()))
}
