//! What a statement may name: the catalog, and files. A view is planned where it is named.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{Field, FieldRef, Schema};
use arrow::record_batch::RecordBatch;
use datafusion_common::ScalarValue;
use datafusion_expr::LogicalPlan;
use datafusion_sql::sqlparser::ast::Statement;

use super::catalog::{Entry, View};
use super::definitions::Defined;
use super::engine::Engine;
use super::facts;
use super::names::Name;
use super::relation::{Relation, with_column_names};
use super::sql::defined::VARIABLE;
use super::sql::relations::Tables;
use super::sql::{About, FileCall, Prepared, with_excerpt};
use crate::batch::MemorySource;
use crate::config::Ordering;
use crate::error::{Code, Error, Result};
use crate::expr::function_list;
use crate::plan::StoredTable;
use crate::scan::parquet::{parquet_metadata, parquet_schema};
use crate::scan::{ScanSpec, glob_files, read_blob, read_text, sniff_csv};

/// Rows that are known already.
fn known_rows(rows: RecordBatch) -> Relation {
    Relation::Stored(StoredTable::new(Arc::new(MemorySource::new(rows.schema(), vec![rows]))))
}

/// The value of a variable, in a column called `v`.
fn variable_rows(value: &ScalarValue) -> Result<Relation> {
    let schema = Schema::new(vec![Field::new("v", value.data_type(), true)]);
    Ok(known_rows(RecordBatch::try_new(Arc::new(schema), vec![value.to_array()?])?))
}

/// The catalog as a statement, or a view within it, sees it.
pub(crate) struct Scope<'a> {
    engine: &'a Engine,
    /// The views that are being planned, outermost first, by the planner's names.
    views: Vec<String>,
    /// Relations of the statement itself, before all others.
    own: BTreeMap<String, Relation>,
}

impl<'a> Scope<'a> {
    pub(crate) fn new(engine: &'a Engine) -> Self {
        Scope { engine, views: Vec::new(), own: BTreeMap::new() }
    }

    /// The scope with one more relation, which nobody else can name.
    pub(crate) fn with(mut self, name: &str, relation: Relation) -> Self {
        self.own.insert(name.to_lowercase(), relation);
        self
    }

    /// The scope of the query of a view of that name.
    pub(crate) fn inside(&self, view: &Name) -> Scope<'a> {
        let mut views = self.views.clone();
        views.push(view.key());
        Scope { views, ..Scope::new(self.engine) }
    }

    /// Plans a view's query.
    pub(crate) fn view(&self, name: &Name, view: &View) -> Result<LogicalPlan> {
        let inside = self.inside(name);
        let plan = Prepared::new(&view.sql, &inside).and_then(|prepared| match &prepared.statement {
            Statement::Query(query) => prepared.plan(query),
            other => Err(Error::not_supported(format_args!("a view of {other}"))),
        });
        let plan = plan.map_err(|error| with_excerpt(error, &view.sql))?;
        if view.columns.is_empty() {
            return Ok(plan);
        }
        let count = plan.schema().fields().len();
        if view.columns.len() > count {
            let message = format!("view \"{name}\" names {} columns, its query has {count}", view.columns.len());
            return Err(Error::new(Code::InvalidQuery, message));
        }
        // What is not named keeps its name.
        let own: Vec<String> = plan.schema().fields().iter().map(|field| field.name().clone()).collect();
        let names = view.columns.iter().chain(own.iter().skip(view.columns.len()));
        with_column_names(plan, names.map(String::as_str))
    }
}

impl Tables for Scope<'_> {
    fn table(&self, name: &Name) -> Option<Result<Relation>> {
        if let Some(relation) = self.own.get(&name.key()) {
            return Some(Ok(relation.clone()));
        }
        let Some(entry) = self.engine.catalog.get(name) else {
            if let Some(variable) = name.name.strip_prefix(VARIABLE) {
                let defined = self.engine.definitions.now();
                return defined.variables.get(&variable.to_lowercase()).map(variable_rows);
            }
            if name.key() == "floe_functions" {
                return Some(function_list().map(known_rows));
            }
            if let Some(rows) = facts::rows(name, self.engine, self) {
                return Some(rows.map(known_rows));
            }
            let rows = self.engine.side.rows(&name.key())?;
            return Some(Ok(Relation::Stored(StoredTable::new(Arc::new(rows)))));
        };
        Some(match entry {
            Entry::Table(table) => Ok(Relation::Stored(table.snapshot())),
            Entry::Frame(plan) => Ok(Relation::Query(plan)),
            Entry::View(_) if self.views.contains(&name.key()) => {
                let message = format!("view \"{name}\" reads itself");
                Err(Error::new(Code::InvalidQuery, message))
            }
            Entry::View(view) => {
                let plan = self.view(name, &view).map_err(|error| error.context(format!("view {name}")));
                plan.map(|plan| Relation::Query(Arc::new(plan)))
            }
        })
    }

    fn defined(&self) -> Arc<Defined> {
        self.engine.definitions.now()
    }

    fn columns(&self, name: &Name) -> Option<Vec<(FieldRef, Option<String>)>> {
        match self.engine.catalog.get(name)? {
            Entry::Table(table) => {
                Some(table.schema.fields().iter().cloned().zip(table.defaults.iter().cloned()).collect())
            }
            _ => None,
        }
    }

    fn ordering(&self) -> Ordering {
        self.engine.ordering()
    }

    fn setting(&self, name: &str) -> Result<String> {
        self.engine.setting(name)
    }

    fn names(&self) -> Vec<String> {
        let mut names = self.engine.catalog.names();
        names.extend(self.engine.side.names());
        names
    }

    fn files(&self, call: &FileCall) -> Result<ScanSpec> {
        self.engine.resolve(call)
    }

    fn rows(&self, plan: &LogicalPlan) -> Result<Vec<RecordBatch>> {
        self.engine.run(plan)?.collect()
    }

    fn facts(&self, call: &FileCall) -> Result<RecordBatch> {
        let find_out = match call.about {
            About::Chunks => parquet_metadata,
            About::Nodes => parquet_schema,
            About::Paths => glob_files,
            About::Texts => read_text,
            About::Blobs => read_blob,
            About::Rows | About::Dialect => sniff_csv,
        };
        find_out(&call.patterns, &call.options, self.engine.storage())
    }
}
