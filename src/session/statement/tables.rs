//! CREATE TABLE, CREATE VIEW, DROP.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use datafusion_sql::sqlparser::ast::helpers::stmt_create_table::CreateTableBuilder;
use datafusion_sql::sqlparser::ast::{
    ColumnOption, CreateTable, CreateView, Ident, ObjectType, Statement, TableConstraint,
};

use super::insert::default_value;
use super::rules::{Generated, with_generated};
use super::{Running, not_supported, table_name};
use crate::error::{Code, Error, Result};
use crate::session::catalog::{Entry, IfTaken, Rules, Table, View};
use crate::session::rows::store_rows;
use crate::session::scope::Scope;
use crate::session::sql::spelling::distinct_names;
use crate::session::sql::words::Tokens;
use crate::session::sql::{Prepared, offset, span_of};
use crate::session::{DataFrame, Session};
use crate::store::StoredRows;

impl Running<'_> {
    /// `CREATE [OR REPLACE] [TEMP] TABLE [IF NOT EXISTS] name (columns) | AS query`.
    /// `columns`: names for the columns of the query; empty: the query's own. `generated`: those of the columns that are computed.
    pub(super) fn create_table(
        &self,
        create: &CreateTable,
        columns: &[String],
        generated: &[Generated],
    ) -> Result<DataFrame> {
        let Statement::CreateTable(written) = &self.prepared.written else {
            return Err(not_supported(&self.prepared.written));
        };
        let name = &table_name(&written.name)?;
        only_what_is_read(create)?;
        let if_taken = if_taken(create.or_replace, create.if_not_exists)?;
        let engine = self.session.engine();
        if !engine.catalog.check_free(name, "table", if_taken)? {
            return self.nothing();
        }
        let table = match &create.query {
            Some(query) if create.columns.is_empty() => {
                let frame = DataFrame::new(self.session.clone(), self.prepared.plan(query)?);
                // The types may be certain only now.
                let stream = frame.stream()?;
                let schema = Arc::new(table_schema(&stream.schema(), columns)?);
                let rows = store_rows(stream, &schema, engine.store())?;
                Table::new(schema, rows)
            }
            Some(_) => {
                return Err(Error::not_supported("CREATE TABLE with both columns and a query")
                    .hint("give the names in the query: SELECT a AS x"));
            }
            None if create.columns.is_empty() => {
                return Err(Error::new(Code::InvalidQuery, format!("table \"{name}\" needs columns or a query")));
            }
            None => {
                let Declared { schema, defaults, checks } = self.declared_columns(written)?;
                let (schema, rules) = match generated.is_empty() && checks.is_empty() {
                    true => (schema, Rules::default()),
                    false => with_generated(self.session, &schema, generated, checks)?,
                };
                Table::with_defaults(schema.clone(), defaults, StoredRows::empty(schema)).with_rules(rules)
            }
        };
        engine.catalog.create(name, Entry::Table(Arc::new(table)), if_taken)?;
        self.nothing()
    }

    /// The columns as declared, in the spelling of the statement.
    fn declared_columns(&self, create: &CreateTable) -> Result<Declared> {
        let mut defaults = vec![None; create.columns.len()];
        let of_table = create.constraints.iter().filter_map(|constraint| match constraint {
            TableConstraint::Check(check) => Some(check.expr.to_string()),
            _ => None,
        });
        let mut checks: Vec<String> = of_table.collect();
        for (column, default) in create.columns.iter().zip(&mut defaults) {
            for option in &column.options {
                match &option.option {
                    ColumnOption::NotNull | ColumnOption::Null if option.name.is_none() => {}
                    ColumnOption::Default(value) if option.name.is_none() => {
                        let text = value.to_string();
                        default_value(self.session, &text)?;
                        *default = Some(text);
                    }
                    ColumnOption::Check(check) => checks.push(check.expr.to_string()),
                    other => return Err(refused_option(&column.name, other)),
                }
            }
        }
        let schema = self.prepared.columns(&create.columns)?;
        let names = distinct_names(schema.fields().iter().map(|field| field.name().as_str()));
        match schema.fields().iter().zip(&names).find(|(field, name)| field.name() != *name) {
            Some((field, _)) => {
                Err(Error::new(Code::InvalidQuery, format!("two columns are called \"{}\"", field.name())))
            }
            None => Ok(Declared { schema: Arc::new(schema), defaults, checks }),
        }
    }

    /// `CREATE [OR REPLACE] [TEMP] VIEW [IF NOT EXISTS] name [(columns)] AS query`.
    pub(super) fn create_view(&self, create: &CreateView) -> Result<DataFrame> {
        let Statement::CreateView(written) = &self.prepared.written else {
            return Err(not_supported(&self.prepared.written));
        };
        let name = &table_name(&written.name)?;
        let plain = CreateView {
            or_replace: create.or_replace,
            if_not_exists: create.if_not_exists,
            temporary: create.temporary,
            name_before_not_exists: create.name_before_not_exists,
            ..plain_view(create)
        };
        if *create != plain
            || create.columns.iter().any(|column| column.data_type.is_some() || column.options.is_some())
        {
            return Err(Error::not_supported("an option of CREATE VIEW"));
        }
        let if_taken = if_taken(create.or_replace, create.if_not_exists)?;
        let engine = self.session.engine();
        if !engine.catalog.check_free(name, "view", if_taken)? {
            return self.nothing();
        }
        let body = self.prepared.view_body().ok_or_else(|| Error::internal("CREATE VIEW without AS"))?;
        let sql = self.sql.get(offset(self.sql, body)..).unwrap_or_default().trim().trim_end_matches(';');
        let columns = written.columns.iter().map(|column| column.name.value.clone()).collect();
        let view = View { sql: sql.to_string(), columns };
        // A view is planned when it is made, so that its errors are the errors of CREATE VIEW. Its own name is not in
        // scope, not even for what is replaced: it would read itself from then on.
        let outer = Scope::new(engine);
        self.prepared.plan(&create.query)?;
        outer.view(name, &view)?;
        engine.catalog.create(name, Entry::View(Arc::new(view)), if_taken)?;
        self.nothing()
    }

    /// `DROP TABLE | VIEW [IF EXISTS] names`.
    pub(super) fn drop_names(&self) -> Result<DataFrame> {
        let Statement::Drop {
            object_type,
            if_exists,
            names,
            // Nothing that is dropped takes anything else with it: views are texts.
            cascade: _,
            restrict: _,
            purge: false,
            temporary: false,
            table: None,
        } = &self.prepared.written
        else {
            return Err(Error::not_supported("an option of DROP"));
        };
        let kind = match object_type {
            ObjectType::Table => "table",
            ObjectType::View => "view",
            _ => return Err(not_supported(&self.prepared.written)),
        };
        let engine = self.session.engine();
        for name in names {
            let name = &table_name(name)?;
            if kind != "table" || engine.catalog.get(name).is_some() || !engine.side.remove(&name.key()) {
                engine.catalog.remove(name, kind, *if_exists)?;
            }
        }
        self.nothing()
    }
}

/// Columns as CREATE TABLE declares them.
pub(super) struct Declared {
    pub schema: Arc<Schema>,
    pub defaults: Vec<Option<String>>,
    /// The expressions of CHECK.
    pub checks: Vec<String>,
}

/// The columns of the CREATE TABLE that the tokens are.
pub(super) fn declared(session: &Session, create: Tokens) -> Result<Declared> {
    let prepared = Prepared::of_tokens(create, &Scope::new(session.engine()))?;
    let running = Running { session, sql: "", prepared: &prepared };
    match &prepared.written {
        Statement::CreateTable(create) => {
            only_what_is_read(create)?;
            running.declared_columns(create)
        }
        other => Err(not_supported(other)),
    }
}

/// The error for what a column of floe cannot have.
fn refused_option(column: &Ident, option: &ColumnOption) -> Error {
    let hint = match option {
        ColumnOption::PrimaryKey(_) | ColumnOption::Unique(_) | ColumnOption::ForeignKey(_) => NO_KEYS,
        _ => "a column has a name, a type, and perhaps DEFAULT, NOT NULL and CHECK, or AS (expression)",
    };
    let error = Error::not_supported(format_args!("{option} of column \"{}\"", column.value));
    error.span(span_of(column.span)).hint(hint)
}

/// What to do without keys.
const NO_KEYS: &str = "floe is not a transactional store: look for repeated keys with GROUP BY … HAVING count(*) > 1";

fn if_taken(replace: bool, keep: bool) -> Result<IfTaken> {
    match (replace, keep) {
        (false, false) => Ok(IfTaken::Fail),
        (true, false) => Ok(IfTaken::Replace),
        (false, true) => Ok(IfTaken::Keep),
        (true, true) => Err(Error::new(Code::InvalidQuery, "OR REPLACE and IF NOT EXISTS contradict each other")),
    }
}

/// An error if the statement says anything but name, columns and query.
fn only_what_is_read(create: &CreateTable) -> Result<()> {
    let plain = CreateTableBuilder::new(create.name.clone())
        .or_replace(create.or_replace)
        .temporary(create.temporary)
        .if_not_exists(create.if_not_exists)
        .columns(create.columns.clone())
        .query(create.query.clone())
        .constraints(
            create.constraints.iter().filter(|rule| matches!(rule, TableConstraint::Check(_))).cloned().collect(),
        )
        .hive_formats(create.hive_formats.clone().filter(|formats| *formats == Default::default()))
        .build();
    if *create == plain {
        Ok(())
    } else {
        Err(Error::not_supported("an option or constraint of CREATE TABLE").hint(NO_KEYS))
    }
}

/// The view without anything but name, columns and query.
fn plain_view(create: &CreateView) -> CreateView {
    CreateView {
        or_alter: false,
        or_replace: false,
        materialized: false,
        secure: false,
        name: create.name.clone(),
        name_before_not_exists: false,
        columns: create.columns.clone(),
        query: create.query.clone(),
        options: Default::default(),
        cluster_by: Vec::new(),
        comment: None,
        with_no_schema_binding: false,
        if_not_exists: false,
        temporary: false,
        copy_grants: false,
        to: None,
        params: None,
    }
}

/// The schema of a table made of a query's rows: names that differ, and every column may be NULL.
fn table_schema(schema: &Schema, columns: &[String]) -> Result<Schema> {
    if columns.len() > schema.fields().len() {
        let message = format!("{} names for {} columns", columns.len(), schema.fields().len());
        return Err(Error::new(Code::InvalidQuery, message));
    }
    let own = schema.fields().iter().skip(columns.len()).map(|field| field.name());
    let names = distinct_names(columns.iter().chain(own).map(String::as_str));
    if let Some((first, _)) = columns.iter().zip(&names).find(|(column, name)| column != name) {
        return Err(Error::new(Code::InvalidQuery, format!("two columns are called \"{first}\"")));
    }
    let fields = schema.fields().iter().zip(names);
    let fields: Vec<Field> = fields.map(|(field, name)| Field::new(name, field.data_type().clone(), true)).collect();
    Ok(Schema::new(fields))
}
