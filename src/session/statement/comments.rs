//! COMMENT ON tables, views, their columns, macros and types: texts that `duckdb_tables()` and the like show.

use datafusion_sql::sqlparser::tokenizer::Token;

use super::own::{Nothing, nothing};
use crate::error::{Code, Error, Result, Span};
use crate::session::Session;
use crate::session::names::Name;
use crate::session::relation::{Relation, arrow_schema};
use crate::session::scope::Scope;
use crate::session::sql::relations::Tables;
use crate::session::sql::suggestion;
use crate::session::sql::words::Words;

/// `COMMENT ON kind name IS 'text' | NULL`.
pub(super) fn comment(session: &Session, mut words: Words) -> Nothing {
    words.expect("COMMENT ON")?;
    let span = words.span();
    if words.accept("TABLE") || words.accept("VIEW") {
        let span = words.span();
        let name = words.name("the name of a table")?;
        let text = text(&mut words)?;
        session.engine().catalog.comment(&name, None, text).map_err(|error| error.span(span))?;
    } else if words.accept("COLUMN") {
        column(session, &mut words)?;
    } else if words.accept("MACRO") || words.accept("FUNCTION") {
        words.accept("TABLE");
        definition(session, &mut words, "macro")?;
    } else if words.accept("TYPE") {
        definition(session, &mut words, "type")?;
    } else {
        let error = Error::not_supported("COMMENT ON this").span(span);
        return Err(error.hint("TABLE, VIEW, COLUMN, MACRO and TYPE have comments"));
    }
    nothing(session)
}

/// Reads `IS 'text'` or `IS NULL` to the end of the statement.
fn text(words: &mut Words) -> Result<Option<String>> {
    words.expect("IS")?;
    let text = match words.rest().first().map(|token| &token.token) {
        Some(Token::SingleQuotedString(text)) => Some(text.clone()),
        _ if words.peek() == "NULL" => None,
        _ => return Err(words.unexpected("a text or NULL")),
    };
    Words::new(words.rest().get(1..).unwrap_or_default()).end()?;
    Ok(text)
}

/// `[schema.]table.column IS …`.
fn column(session: &Session, words: &mut Words) -> Result<()> {
    let span = words.span();
    let mut parts = vec![words.word("table.column")?];
    while words.accept_sign(&Token::Period) {
        parts.push(words.word("the name of a column")?);
    }
    let (table, column) = match parts.as_slice() {
        [table, column] => (Name::plain(table), column),
        [schema, table, column] => (Name { schema: Some(schema.clone()), name: table.clone() }, column),
        _ => return Err(Error::new(Code::Syntax, "expected table.column").span(span)),
    };
    check_column(session, &table, column, span)?;
    let text = text(words)?;
    session.engine().catalog.comment(&table, Some(column), text)
}

fn check_column(session: &Session, table: &Name, column: &str, span: Span) -> Result<()> {
    let engine = session.engine();
    if engine.catalog.get(table).is_none() {
        return Err(engine.catalog.unknown(table).span(span));
    }
    let schema = match Scope::new(engine).table(table).transpose()? {
        Some(Relation::Query(plan)) => arrow_schema(plan.schema()),
        Some(relation) => relation.schema(),
        None => return Err(engine.catalog.unknown(table).span(span)),
    };
    let names = || schema.fields().iter().map(|field| field.name());
    if names().any(|name| name.to_lowercase() == column.to_lowercase()) {
        return Ok(());
    }
    let error = Error::new(Code::UnknownColumn, format!("\"{table}\" has no column \"{column}\"")).span(span);
    Err(match suggestion(column, names(), "columns") {
        Some(hint) => error.hint(hint),
        None => error,
    })
}

/// A macro or a type.
fn definition(session: &Session, words: &mut Words, kind: &'static str) -> Result<()> {
    let span = words.span();
    let name = words.word("a name")?;
    let text = text(words)?;
    let key = name.to_lowercase();
    let is_there = session.engine().definitions.change(|defined| {
        let is_there =
            if kind == "type" { defined.types.contains_key(&key) } else { defined.macros.contains_key(&key) };
        match text.filter(|_| is_there) {
            Some(text) => drop(defined.comments.insert((kind, key), text)),
            None => drop(defined.comments.remove(&(kind, key))),
        }
        is_there
    });
    match is_there {
        true => Ok(()),
        false => Err(Error::new(Code::InvalidQuery, format!("there is no {kind} named \"{name}\"")).span(span)),
    }
}
