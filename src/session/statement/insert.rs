//! INSERT INTO a table of the session.

use std::sync::Arc;

use datafusion_common::{Column, ScalarValue};
use datafusion_expr::expr::Cast;
use datafusion_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion_sql::sqlparser::ast::{Insert, ObjectName, Spanned, Statement, TableObject};

use super::{Running, not_supported, simple_name};
use crate::error::{Code, Error, Result};
use crate::session::DataFrame;
use crate::session::catalog::{Entry, Table};
use crate::session::rows::store_rows;
use crate::session::sql::{planning_error, span_of, suggestion};

impl Running<'_> {
    /// `INSERT INTO table [(columns)] query`. The rows are added when all of them are there.
    pub(super) fn insert(&self, insert: &Insert) -> Result<DataFrame> {
        let (table, frame) = self.insert_rows(&self.prepared.written, insert)?;
        let rows = store_rows(frame.stream()?, &table.schema, self.session.engine().store())?;
        table.append(&rows);
        self.nothing()
    }

    /// The table and what would be added to it. `written` is the same statement as it was written.
    pub(super) fn insert_rows(&self, written: &Statement, insert: &Insert) -> Result<(Arc<Table>, DataFrame)> {
        let Statement::Insert(written) = written else {
            return Err(not_supported(written));
        };
        only_what_is_read(insert)?;
        let (TableObject::TableName(name), Some(query)) = (&written.table, &insert.source) else {
            let error = Error::not_supported("this form of INSERT");
            return Err(error.hint("write INSERT INTO table VALUES … or SELECT …"));
        };
        let table = self.table(name)?;
        let targets = targets(&table, &written.columns)?;
        let plan = into_columns(self.prepared.plan(query)?, &table, &targets)?;
        let plan = crate::plan::analyze(plan).map_err(planning_error)?;
        Ok((table, DataFrame::new(self.session.clone(), plan)))
    }

    fn table(&self, name: &ObjectName) -> Result<Arc<Table>> {
        let text = simple_name(name)?;
        let place = span_of(name.span());
        match self.session.engine().catalog.get(text) {
            Some(Entry::Table(table)) => Ok(table),
            Some(other) => {
                Err(Error::not_supported(format_args!("INSERT INTO the {} \"{text}\"", other.kind())).span(place))
            }
            None => Err(self.session.engine().catalog.unknown(text).span(place)),
        }
    }
}

fn only_what_is_read(insert: &Insert) -> Result<()> {
    let refuse = |condition: bool, what: &str| if condition { Err(Error::not_supported(what)) } else { Ok(()) };
    refuse(insert.or.is_some() || insert.ignore || insert.replace_into, "INSERT OR REPLACE / IGNORE")?;
    refuse(insert.overwrite, "INSERT OVERWRITE")?;
    refuse(insert.on.is_some(), "INSERT … ON CONFLICT")?;
    refuse(insert.returning.is_some() || insert.output.is_some(), "INSERT … RETURNING")?;
    refuse(insert.partitioned.is_some() || !insert.after_columns.is_empty(), "INSERT … PARTITION")?;
    refuse(!insert.assignments.is_empty(), "INSERT … SET")?;
    let rest = insert.table_alias.is_some()
        || insert.insert_alias.is_some()
        || insert.priority.is_some()
        || insert.settings.is_some()
        || insert.format_clause.is_some()
        || insert.multi_table_insert_type.is_some()
        || !insert.multi_table_into_clauses.is_empty()
        || !insert.multi_table_when_clauses.is_empty()
        || insert.multi_table_else_clause.is_some();
    refuse(rest, "an option of INSERT")
}

/// The indexes of the table's columns that the query's columns go to, in the query's order.
fn targets(table: &Table, columns: &[ObjectName]) -> Result<Vec<usize>> {
    let fields = table.schema.fields();
    if columns.is_empty() {
        return Ok((0..fields.len()).collect());
    }
    let mut targets = Vec::new();
    for column in columns {
        let name = simple_name(column)?;
        let place = span_of(column.span());
        let Some(index) = fields.iter().position(|field| field.name().to_lowercase() == name.to_lowercase()) else {
            let error = Error::new(Code::UnknownColumn, format!("the table has no column \"{name}\"")).span(place);
            return Err(match suggestion(name, fields.iter().map(|field| field.name()), "columns") {
                Some(hint) => error.hint(hint),
                None => error,
            });
        };
        if targets.contains(&index) {
            return Err(Error::new(Code::InvalidQuery, format!("column \"{name}\" is named twice")).span(place));
        }
        targets.push(index);
    }
    Ok(targets)
}

/// The query's columns cast to those of the table; a column that gets nothing is NULL.
fn into_columns(plan: LogicalPlan, table: &Table, targets: &[usize]) -> Result<LogicalPlan> {
    let columns: Vec<Column> = plan.schema().columns();
    if columns.len() != targets.len() {
        let message = format!("{} values for {} columns", columns.len(), targets.len());
        return Err(Error::new(Code::InvalidQuery, message));
    }
    let exprs = table
        .schema
        .fields()
        .iter()
        .enumerate()
        .map(|(index, field)| {
            let source = targets.iter().position(|target| *target == index).and_then(|source| columns.get(source));
            let expr = match source {
                Some(column) => Expr::Column(column.clone()),
                None => Expr::Literal(ScalarValue::Null, None),
            };
            Expr::Cast(Cast::new(Box::new(expr), field.data_type().clone())).alias(field.name())
        })
        .collect::<Vec<_>>();
    Ok(LogicalPlanBuilder::from(plan).project(exprs)?.build()?)
}
