//! DESCRIBE, EXPLAIN, SHOW TABLES, SHOW COLUMNS.

use datafusion_sql::sqlparser::ast::{
    CreateTable, DescribeAlias, ObjectName, ShowStatementOptions, Spanned, Statement,
};

use super::{Running, not_supported};
use crate::error::{Error, Result, Span};
use crate::expr::types::sql_type_name;
use crate::session::DataFrame;
use crate::session::scope::Scope;
use crate::session::sql::{Prepared, span_of};

impl Running<'_> {
    /// `EXPLAIN query` and `DESCRIBE query`.
    pub(super) fn explain(&self) -> Result<DataFrame> {
        let Statement::Explain {
            describe_alias,
            analyze,
            query_plan: false,
            estimate: false,
            statement,
            format: None,
            options: None,
            ..
        } = &self.prepared.statement
        else {
            return Err(Error::not_supported("this kind of EXPLAIN").hint("write EXPLAIN and the query"));
        };
        let frame = match statement.as_ref() {
            Statement::Query(query) => DataFrame::new(self.session.clone(), self.prepared.plan(query)?),
            other => self.query_of_change(other, describe_alias)?,
        };
        match describe_alias {
            DescribeAlias::Explain => {
                let text = if *analyze { frame.explain_analyze()? } else { frame.explain()? };
                self.answer(vec![("plan", text.lines().map(str::to_string).collect())])
            }
            DescribeAlias::Describe | DescribeAlias::Desc => self.columns_of(&frame),
        }
    }

    /// The query of a statement that changes a table or writes a file.
    fn query_of_change(&self, statement: &Statement, verb: &DescribeAlias) -> Result<DataFrame> {
        match (statement, &self.prepared.written) {
            (Statement::Insert(insert), Statement::Explain { statement: written, .. }) => {
                self.insert_rows(written, insert).map(|(_, frame)| frame)
            }
            (Statement::CreateTable(CreateTable { query: Some(query), .. }), _) => {
                Ok(DataFrame::new(self.session.clone(), self.prepared.plan(query)?))
            }
            (Statement::Copy { source, to: true, .. }, _) => self.copied(source),
            _ => Err(Error::not_supported(format_args!("{verb} of a statement without a query"))),
        }
    }

    /// `DESCRIBE table`, and EXPLAIN of a table as other engines take it.
    pub(super) fn describe_table(&self) -> Result<DataFrame> {
        match &self.prepared.written {
            Statement::ExplainTable { hive_format: None, table_name, .. } => self.describe_name(table_name),
            other => Err(not_supported(other)),
        }
    }

    pub(super) fn show_columns(&self) -> Result<DataFrame> {
        match &self.prepared.written {
            Statement::ShowColumns { extended: false, full: false, show_options } => match show_options {
                ShowStatementOptions {
                    show_in: Some(place),
                    starts_with: None,
                    limit: None,
                    filter_position: None,
                    ..
                } => match &place.parent_name {
                    Some(name) => self.describe_name(name),
                    None => Err(not_supported(&self.prepared.written)),
                },
                _ => Err(Error::not_supported("a condition in SHOW COLUMNS")),
            },
            other => Err(not_supported(other)),
        }
    }

    /// Describes what `SELECT * FROM name` would give.
    fn describe_name(&self, name: &ObjectName) -> Result<DataFrame> {
        const BEFORE: &str = "SELECT * FROM ";
        let place = span_of(name.span());
        let query = format!("{BEFORE}{name}");
        let here = |span: Span| Span {
            line: place.line,
            column: place.column + span.column - 1 - BEFORE.len() as u64,
            ..span
        };
        let prepared =
            Prepared::new(&query, &Scope::new(self.session.engine())).map_err(|error| error.relocate(here))?;
        let Statement::Query(query) = &prepared.statement else {
            return Err(not_supported(&self.prepared.written));
        };
        let plan = prepared.plan(query).map_err(|error| error.relocate(here))?;
        self.columns_of(&DataFrame::new(self.session.clone(), plan))
    }

    fn columns_of(&self, frame: &DataFrame) -> Result<DataFrame> {
        let schema = frame.schema();
        let column = |text: &dyn Fn(&arrow::datatypes::Field) -> String| {
            schema.fields().iter().map(|field| text(field)).collect::<Vec<_>>()
        };
        self.answer(vec![
            ("column_name", column(&|field| field.name().clone())),
            ("column_type", column(&|field| sql_type_name(field.data_type()))),
            ("null", column(&|field| if field.is_nullable() { "YES" } else { "NO" }.to_string())),
        ])
    }

    pub(super) fn show_tables(&self) -> Result<DataFrame> {
        let Statement::ShowTables {
            terse: false, history: false, extended: false, external: false, show_options, ..
        } = &self.prepared.written
        else {
            return Err(not_supported(&self.prepared.written));
        };
        let ShowStatementOptions { show_in: None, starts_with: None, limit: None, filter_position: None, .. } =
            show_options
        else {
            return Err(Error::not_supported("a condition in SHOW TABLES"));
        };
        let tables = self.session.engine().catalog.list();
        self.answer(vec![
            ("name", tables.iter().map(|(name, _)| name.clone()).collect()),
            ("type", tables.iter().map(|(_, kind)| (*kind).to_string()).collect()),
        ])
    }
}
