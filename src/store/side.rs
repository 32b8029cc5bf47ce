//! Tables that queries fill beside their results: the rows that scans leave out, and why.
//!
//! Invariant: rows are there to be read as soon as they are appended. They wait in the store, which may put them on disk.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use parking_lot::Mutex;

use super::handle::{Handle, Store, UseOrder};
use super::rows::StoredRows;
use crate::error::{Code, Error, Result};

/// The side tables of a session, by name regardless of case.
pub struct SideTables {
    store: Store,
    tables: Mutex<BTreeMap<String, SideTable>>,
    numbers: AtomicU64,
}

struct SideTable {
    /// As it was written.
    name: String,
    schema: SchemaRef,
    batches: Vec<Arc<Handle>>,
}

impl SideTables {
    /// No tables; their rows will wait in `store`.
    pub fn new(store: Store) -> Self {
        SideTables { store, tables: Mutex::default(), numbers: AtomicU64::new(0) }
    }

    /// A number that nobody got before, for telling scans apart.
    pub fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Makes the table, unless it is there.
    ///
    /// # Errors
    /// `ALREADY_EXISTS`: a table of that name has other columns.
    pub fn ensure(&self, name: &str, schema: &SchemaRef) -> Result<()> {
        let mut tables = self.tables.lock();
        let table = tables.entry(name.to_lowercase()).or_insert_with(|| SideTable {
            name: name.to_string(),
            schema: schema.clone(),
            batches: Vec::new(),
        });
        if table.schema == *schema {
            return Ok(());
        }
        let message = format!("the table \"{name}\" cannot take rows that are left out: it has other columns");
        Err(Error::new(Code::AlreadyExists, message).hint("rejects_table and rejects_scan name two different tables"))
    }

    /// Adds rows to a table, which is made if it is not there.
    ///
    /// # Errors
    /// As [`ensure`](SideTables::ensure) and [`Store::put`].
    pub fn append(&self, name: &str, batch: RecordBatch) -> Result<()> {
        self.ensure(name, batch.schema_ref())?;
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let handle = Arc::new(self.store.put(batch, UseOrder::default())?);
        if let Some(table) = self.tables.lock().get_mut(&name.to_lowercase()) {
            table.batches.push(handle);
        }
        Ok(())
    }

    /// The rows of a table as they are now.
    pub fn rows(&self, name: &str) -> Option<StoredRows> {
        let tables = self.tables.lock();
        let table = tables.get(&name.to_lowercase())?;
        Some(StoredRows::new(table.schema.clone(), table.batches.clone(), self.store.clone()))
    }

    /// The names of all tables, as written.
    pub fn names(&self) -> Vec<String> {
        self.tables.lock().values().map(|table| table.name.clone()).collect()
    }

    /// Takes a table away; false when there is none.
    pub fn remove(&self, name: &str) -> bool {
        self.tables.lock().remove(&name.to_lowercase()).is_some()
    }
}

impl fmt::Debug for SideTables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SideTables({})", self.names().join(", "))
    }
}
