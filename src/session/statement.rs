//! One statement: queries become frames, everything else is done at once.

mod alter;
mod change;
mod comments;
mod copy;
mod describe;
mod export;
mod insert;
mod macros;
mod merge;
mod own;
pub(super) mod prepared;
mod refused;
mod returning;
mod rewritten;
mod rules;
mod schemas;
mod secrets;
mod settings;
mod tables;
mod types;
mod variables;

use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion_expr::LogicalPlanBuilder;
use datafusion_sql::sqlparser::ast::{ObjectName, Spanned, Statement};

use super::names::Name;
use super::scope::Scope;
use super::sql::words::{Tokens, solid};
use super::sql::{Prepared, span_of, tokens};
use super::{DataFrame, Session};
use crate::batch::MemorySource;
use crate::error::{Code, Error, Result};

/// How often a statement is planned anew because types that rest on samples did not hold: each time, all values of the
/// columns that it uses are looked at, and another plan may use others.
const TRIES: usize = 3;

/// Does what `attempt` does, again where types that rest on samples did not hold; they are known better then.
pub(super) fn with_certain_types<T>(mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    for _ in 1..TRIES {
        match attempt() {
            Err(error) if error.is_of_inferred_type() => {}
            result => return result,
        }
    }
    attempt()
}

/// Runs `sql`, one statement.
pub(super) fn run(session: &Session, sql: &str) -> Result<DataFrame> {
    with_certain_types(|| run_once(session, sql))
}

fn run_once(session: &Session, sql: &str) -> Result<DataFrame> {
    run_tokens(session, sql, solid(tokens(sql)?))
}

/// Runs the statement that the tokens are; `sql` is the text that they come from.
fn run_tokens(session: &Session, sql: &str, tokens: Tokens) -> Result<DataFrame> {
    if let Some(answer) = own::run(session, sql, &tokens)? {
        return Ok(answer);
    }
    let prepared = Prepared::of_tokens(tokens, &Scope::new(session.engine()))?;
    let statement = Running { session, sql, prepared: &prepared };
    match &prepared.statement {
        Statement::Query(query) => Ok(DataFrame::new(session.clone(), prepared.plan(query)?).with_sql(sql)),
        Statement::CreateTable(create) => statement.create_table(create, &[], &[]),
        Statement::CreateView(create) => statement.create_view(create),
        Statement::Copy { .. } => statement.copy(),
        Statement::Drop { .. } => statement.drop_names(),
        Statement::Explain { .. } => statement.explain(),
        Statement::ShowVariable { .. } => statement.show_setting(),
        Statement::Set(_) => statement.set(),
        Statement::Reset(_) => statement.reset(),
        Statement::CreateSecret { .. } => statement.create_secret(),
        Statement::DropSecret { .. } => statement.drop_secret(),
        other => Err(not_supported(other)),
    }
}

/// A statement and what it may use.
struct Running<'a> {
    session: &'a Session,
    sql: &'a str,
    prepared: &'a Prepared,
}

impl Running<'_> {
    /// The frame of a statement that has no result.
    fn nothing(&self) -> Result<DataFrame> {
        let plan = LogicalPlanBuilder::empty(false).build()?;
        Ok(DataFrame::new(self.session.clone(), plan))
    }

    /// A frame of texts, by columns.
    fn answer(&self, columns: Vec<(&str, Vec<String>)>) -> Result<DataFrame> {
        answer(self.session, columns)
    }
}

/// A frame of texts, by columns.
fn answer(session: &Session, columns: Vec<(&str, Vec<String>)>) -> Result<DataFrame> {
    let rows = columns.first().map_or(0, |(_, values)| values.len());
    let fields: Vec<Field> = columns.iter().map(|(name, _)| Field::new(*name, DataType::Utf8, false)).collect();
    let arrays: Vec<ArrayRef> =
        columns.into_iter().map(|(_, values)| Arc::new(StringArray::from(values)) as ArrayRef).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let batch = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)?;
    returning::frame(session, Arc::new(MemorySource::new(batch.schema(), vec![batch])))
}

/// The name of a table or view: a word, or a schema and a word.
fn table_name(name: &ObjectName) -> Result<Name> {
    Name::of(name).ok_or_else(|| {
        Error::new(Code::InvalidQuery, format!("{name} cannot be the name of a table or view"))
            .span(span_of(name.span()))
            .hint("a name is one word, or any text in double quotes; a schema and a dot may stand before it")
    })
}

/// The error for a statement that floe does not do, by its first words.
fn not_supported(statement: &Statement) -> Error {
    let text = statement.to_string();
    let words: Vec<&str> = text
        .split_whitespace()
        .take_while(|word| word.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
        .take(3)
        .collect();
    let name =
        if words.is_empty() { text.split_whitespace().next().unwrap_or("it").to_string() } else { words.join(" ") };
    Error::not_supported(format_args!("the statement {name}"))
}
