//! INSERT INTO a table of the session.
//!
//! Invariant: the rows are added when all of them, and the answer, are there.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion_common::{Column, ScalarValue};
use datafusion_expr::expr::Cast;
use datafusion_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion_sql::sqlparser::tokenizer::Span as Place;

use super::change::{column_of, table_of};
use super::returning::{changed_rows, returned};
use super::rules::{refuse_generated, ruled};
use crate::error::{Code, Error, Result, Span};
use crate::expr::types::sql_type_name;
use crate::session::catalog::Table;
use crate::session::rows::store_rows;
use crate::session::scope::Scope;
use crate::session::sql::inserts::{InsertInto, Target};
use crate::session::sql::words::made;
use crate::session::sql::{Prepared, planning_error};
use crate::session::{DataFrame, Session};

/// Runs an INSERT: the answer is the number of rows, or what RETURNING says.
pub(super) fn insert(session: &Session, insert: &InsertInto) -> Result<DataFrame> {
    let (table, frame) = inserted(session, insert)?;
    let rows = store_rows(frame.stream()?, &table.schema, session.engine().store())?;
    let answer = match &insert.returning {
        Some(returning) => returned(session, returning, rows.clone())?,
        None => changed_rows(session, rows.rows())?,
    };
    table.append(&rows)?;
    Ok(answer)
}

/// The table and what would be added to it.
pub(super) fn inserted(session: &Session, insert: &InsertInto) -> Result<(Arc<Table>, DataFrame)> {
    let table = table_of(session, &insert.table, insert.span, "INSERT INTO")?;
    let mut targets = targets(&table, &insert.columns)?;
    let target = |index: &usize| {
        let default = table.defaults.get(*index).cloned().flatten().unwrap_or_else(|| "NULL".to_string());
        let data_type = table.schema.fields().get(*index).map_or(&DataType::Null, |field| field.data_type());
        Target { default, data_type: sql_type_name(data_type), is_text: data_type.is_string() }
    };
    let columns: Vec<Target> = targets.iter().map(target).collect();
    let plan = match insert.query(&columns)? {
        Some(query) => Prepared::of_tokens(query, &Scope::new(session.engine()))?.query_plan()?,
        None => {
            targets.clear();
            LogicalPlanBuilder::empty(true).build()?
        }
    };
    if insert.by_name {
        let names = plan.schema().fields().iter().map(|field| (field.name().clone(), insert.span));
        targets = self::targets(&table, &names.collect::<Vec<_>>())?;
    }
    let plan = into_columns(session, plan, &table, &targets).map_err(|error| error.span(insert.span))?;
    let plan = ruled(session, &table, plan)?;
    let plan = crate::plan::analyze(plan).map_err(planning_error)?;
    Ok((table, DataFrame::new(session.clone(), plan)))
}

/// The indexes of the table's columns that the query's columns go to, in the query's order.
fn targets(table: &Table, columns: &[(String, Span)]) -> Result<Vec<usize>> {
    if columns.is_empty() {
        let is_plain = |index: &usize| table.rules.generated_as(*index).is_none();
        return Ok((0..table.schema.fields().len()).filter(is_plain).collect());
    }
    let mut targets = Vec::new();
    for (name, span) in columns {
        let index = column_of(table, name, *span)?;
        refuse_generated(table, index, *span)?;
        if targets.contains(&index) {
            return Err(Error::new(Code::InvalidQuery, format!("column \"{name}\" is named twice")).span(*span));
        }
        targets.push(index);
    }
    Ok(targets)
}

/// The query's columns cast to those of the table; a column that gets nothing has its default.
fn into_columns(session: &Session, plan: LogicalPlan, table: &Table, targets: &[usize]) -> Result<LogicalPlan> {
    let columns: Vec<Column> = plan.schema().columns();
    if columns.len() != targets.len() {
        let message = format!("{} values for {} columns", columns.len(), targets.len());
        let names =
            targets.iter().filter_map(|index| table.schema.fields().get(*index)).map(|field| field.name().as_str());
        let names = names.collect::<Vec<_>>().join(", ");
        return Err(Error::new(Code::InvalidQuery, message).hint(format!("the columns are {names}")));
    }
    let value = |(index, field): (usize, &Arc<arrow::datatypes::Field>)| {
        let source = targets.iter().position(|target| *target == index).and_then(|source| columns.get(source));
        let expr = match (source, table.defaults.get(index).and_then(Option::as_ref)) {
            (Some(column), _) => Expr::Column(column.clone()),
            (None, Some(default)) => default_value(session, default)?,
            (None, None) => Expr::Literal(ScalarValue::Null, None),
        };
        Ok(Expr::Cast(Cast::new(Box::new(expr), field.data_type().clone())).alias(field.name()))
    };
    let exprs = table.schema.fields().iter().enumerate().map(value).collect::<Result<Vec<_>>>()?;
    Ok(LogicalPlanBuilder::from(plan).project(exprs)?.build()?)
}

/// The expression of a DEFAULT.
///
/// # Errors
/// Those of its text; `NOT_SUPPORTED` for one that is no plain expression.
pub(super) fn default_value(session: &Session, text: &str) -> Result<Expr> {
    let query = made(&format!("SELECT ({text}) AS \"#default\""), Place::empty())?;
    let plan = Prepared::of_tokens(query, &Scope::new(session.engine()))?.query_plan()?;
    match plan {
        LogicalPlan::Projection(projection) if matches!(projection.input.as_ref(), LogicalPlan::EmptyRelation(_)) => {
            match projection.expr.as_slice() {
                [Expr::Alias(alias)] => Ok(alias.expr.as_ref().clone()),
                [expr] => Ok(expr.clone()),
                _ => Err(not_plain(text)),
            }
        }
        _ => Err(not_plain(text)),
    }
}

fn not_plain(text: &str) -> Error {
    Error::not_supported(format_args!("DEFAULT {text}")).hint("a default is an expression of constants and functions")
}
