//! UPDATE, DELETE and TRUNCATE: the rows of a table that a query meets are changed or go.
//!
//! Invariant: the table has its new rows when all of them, and the answer, are there; an error or a Ctrl-C before leaves it as it was.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion_common::Column;
use datafusion_expr::expr::Cast;
use datafusion_expr::{Expr, LogicalPlan, LogicalPlanBuilder, SortExpr};

use super::returning::{changed_rows, returned};
use super::rewritten::{Fate, Rewriter, Rewritten};
use super::rules::{refuse_generated, ruled};
use crate::error::{Code, Error, Result, Span};
use crate::plan::StoredTable;
use crate::session::catalog::{Entry, Table};
use crate::session::names::Name;
use crate::session::relation::Relation;
use crate::session::scope::Scope;
use crate::session::sql::changes::{Change, NUMBER, TARGET};
use crate::session::sql::words::{Tokens, Words};
use crate::session::sql::{Prepared, planning_error, suggestion};
use crate::session::{DataFrame, Session};
use crate::store::{NumberedRows, StoredRows};

/// The table of that name.
///
/// # Errors
/// `UNKNOWN_TABLE`; `NOT_SUPPORTED` for a view or a frame.
pub(super) fn table_of(session: &Session, name: &Name, span: Span, verb: &str) -> Result<Arc<Table>> {
    let catalog = &session.engine().catalog;
    match catalog.get(name) {
        Some(Entry::Table(table)) => Ok(table),
        Some(other) => Err(Error::not_supported(format_args!("{verb} the {} \"{name}\"", other.kind())).span(span)),
        None => Err(catalog.unknown(name).span(span)),
    }
}

/// The index of a column of that name.
///
/// # Errors
/// `UNKNOWN_COLUMN`.
pub(super) fn column_of(table: &Table, name: &str, span: Span) -> Result<usize> {
    let fields = table.schema.fields();
    fields.iter().position(|field| field.name().to_lowercase() == name.to_lowercase()).ok_or_else(|| {
        let error = Error::new(Code::UnknownColumn, format!("the table has no column \"{name}\"")).span(span);
        match suggestion(name, fields.iter().map(|field| field.name()), "columns") {
            Some(hint) => error.hint(hint),
            None => error,
        }
    })
}

/// Runs an UPDATE or DELETE: the answer is the number of rows, or what RETURNING says.
pub(super) fn change(session: &Session, change: &Change) -> Result<DataFrame> {
    let deletes = change.assignments.is_none();
    let table = table_of(session, &change.table, change.span, if deletes { "DELETE FROM" } else { "UPDATE of" })?;
    let _changing = table.changing()?;
    if deletes && change.condition.is_none() && change.from.is_empty() && change.returning.is_none() {
        return emptied(session, &table);
    }
    let rewritten = rewritten(session, change, &table)?;
    let answer = match &change.returning {
        Some(returning) => returned(session, returning, rewritten.met)?,
        None => changed_rows(session, rewritten.count)?,
    };
    if rewritten.count > 0 {
        table.replace(rewritten.rows);
    }
    Ok(answer)
}

/// What the rows of the table become.
fn rewritten(session: &Session, change: &Change, table: &Table) -> Result<Rewritten> {
    let rows = table.rows();
    let met = met(session, change, table, &rows)?;
    let rewriter = Rewriter {
        schema: table.schema.clone(),
        store: session.engine().store(),
        fate: if change.assignments.is_none() { Fate::Goes } else { Fate::Changes },
        keeps_met: change.returning.is_some(),
        once: false,
    };
    rewriter.run(&rows, met.stream()?)
}

/// The frame of the rows that a change would meet, for EXPLAIN.
pub(super) fn explained(session: &Session, change: &Change) -> Result<DataFrame> {
    let table = table_of(session, &change.table, change.span, "EXPLAIN of a change of")?;
    met(session, change, &table, &table.rows())
}

/// `TRUNCATE [TABLE] name`.
pub(super) fn truncate(session: &Session, mut words: Words) -> Result<DataFrame> {
    words.expect("TRUNCATE")?;
    words.accept("TABLE");
    let span = words.span();
    let name = words.name("the name of a table")?;
    words.end()?;
    let table = table_of(session, &name, span, "TRUNCATE of")?;
    let _changing = table.changing()?;
    emptied(session, &table)
}

fn emptied(session: &Session, table: &Table) -> Result<DataFrame> {
    let answer = changed_rows(session, table.rows().rows())?;
    table.replace(StoredRows::empty(table.schema.clone()));
    Ok(answer)
}

/// The numbers of the rows that are met, in order, and what stands in them then.
fn met(session: &Session, change: &Change, table: &Table, rows: &StoredRows) -> Result<DataFrame> {
    let mut columns: Vec<String> = Vec::new();
    if let Some(assignments) = &change.assignments {
        for assignment in assignments {
            refuse_generated(table, column_of(table, &assignment.column, assignment.span)?, assignment.span)?;
            refuse_others(&assignment.value, assignment.span)?;
        }
        columns = table.schema.fields().iter().map(|field| field.name().clone()).collect();
    }
    let default = |index: usize| table.defaults.get(index).cloned().flatten().unwrap_or_else(|| "NULL".to_string());
    let query = change.query(&columns, default)?;
    let scope = Scope::new(session.engine()).with(TARGET, numbered(table, rows));
    let plan = Prepared::of_tokens(query, &scope)?.query_plan().map_err(of_change)?;
    let types = table.schema.fields().iter().take(columns.len());
    let types: Vec<DataType> =
        std::iter::once(DataType::Int64).chain(types.map(|field| field.data_type().clone())).collect();
    let mut plan = cast_to(plan, &types)?;
    if !columns.is_empty() {
        plan = ruled(session, table, plan)?;
    }
    Ok(DataFrame::new(session.clone(), in_order(plan, !change.from.is_empty())?))
}

/// The table with the numbers of its rows.
pub(super) fn numbered(table: &Table, rows: &StoredRows) -> Relation {
    let mut fields = vec![Arc::new(Field::new(NUMBER, DataType::Int64, false))];
    fields.extend(table.schema.fields().iter().cloned());
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    Relation::Stored(StoredTable::new(Arc::new(NumberedRows::new(rows.clone(), NUMBER))).renamed(schema))
}

/// What cannot be the value of one row: UNNEST makes several, a window looks at others.
pub(super) fn refuse_others(value: &Tokens, span: Span) -> Result<()> {
    let words = Words::new(value);
    let has = |word: &str| (0..value.len()).any(|index| words.peek_at(index) == word);
    let refused = |message: &str| {
        let error = Error::new(Code::InvalidQuery, message).span(span);
        Err(error.hint("compute it in a subquery: UPDATE … SET x = u.x FROM (SELECT …) AS u WHERE …"))
    };
    match has("SELECT") || has("FROM") {
        false if has("UNNEST") => refused("UNNEST makes several rows, and SET takes one value"),
        false if has("OVER") => refused("SET does not take a window function"),
        _ => Ok(()),
    }
}

/// The planner takes what stands in SET and WHERE for a query's, and says so.
fn of_change(error: Error) -> Error {
    if !error.message().contains(NUMBER) {
        return error;
    }
    let said = Error::new(Code::InvalidQuery, "SET and WHERE do not take an aggregate function");
    said.hint("compute it in a subquery: SET x = (SELECT max(y) FROM …)")
}

/// The columns of a plan as columns of these types, called as they were.
pub(super) fn cast_to(plan: LogicalPlan, types: &[DataType]) -> Result<LogicalPlan> {
    let columns: Vec<Column> = plan.schema().columns();
    if columns.len() != types.len() {
        let message = format!("{} values for {} columns", columns.len(), types.len());
        return Err(Error::new(Code::InvalidQuery, message));
    }
    let cast = |(column, data_type): (Column, &DataType)| {
        let name = column.name.clone();
        Expr::Cast(Cast::new(Box::new(Expr::Column(column)), data_type.clone())).alias(name)
    };
    let columns: Vec<Expr> = columns.into_iter().zip(types).map(cast).collect();
    Ok(LogicalPlanBuilder::from(plan).project(columns)?.build()?)
}

/// The rows by their numbers. Where a row of the table may be met several times, the values decide which comes first.
pub(super) fn in_order(plan: LogicalPlan, several: bool) -> Result<LogicalPlan> {
    let fields = plan.schema().fields().clone();
    let columns = plan.schema().columns().into_iter().zip(fields.iter());
    let columns = columns.filter(|(_, field)| !matches!(field.data_type(), DataType::Map(..) | DataType::Union(..)));
    let order: Vec<SortExpr> = columns
        .take(if several { usize::MAX } else { 1 })
        .map(|(column, _)| Expr::Column(column).sort(true, false))
        .collect();
    let plan = LogicalPlanBuilder::from(plan).sort(order)?.build()?;
    crate::plan::analyze(plan).map_err(planning_error)
}
