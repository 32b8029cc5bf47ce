//! Statements that floe reads itself, word by word: the parser does not know them, or not all of their forms.

use datafusion_expr::LogicalPlanBuilder;
use datafusion_sql::sqlparser::ast::Statement;
use datafusion_sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::{
    Running, alter, change, comments, describe, export, insert, macros, merge, prepared, refused, rules, run_tokens,
    schemas, types, variables,
};
use crate::error::{Error, Result};
use crate::session::scope::Scope;
use crate::session::sql::Prepared;
use crate::session::sql::changes::Change;
use crate::session::sql::inserts::InsertInto;
use crate::session::sql::merges::Merge;
use crate::session::sql::words::{Words, made, parts};
use crate::session::{DataFrame, Session};

/// The result of a statement that has no answer.
pub(super) type Nothing = Result<DataFrame>;

/// The frame of a statement that has no answer.
pub(super) fn nothing(session: &Session) -> Nothing {
    let plan = LogicalPlanBuilder::empty(false).build()?;
    Ok(DataFrame::new(session.clone(), plan))
}

/// Runs the statement if it is one of these.
pub(super) fn run(session: &Session, sql: &str, tokens: &[TokenWithSpan]) -> Result<Option<DataFrame>> {
    let words = Words::new(tokens);
    refused::check(&words)?;
    Ok(Some(match words.peek().as_str() {
        "TRUNCATE" => change::truncate(session, words)?,
        "EXPLAIN" => return explain(session, words),
        "UPDATE" | "DELETE" | "INSERT" | "MERGE" | "WITH" => return changing(session, tokens),
        "CREATE" => return create(session, sql, tokens),
        "DROP" => return drop(session, words),
        "ALTER" => return alter(session, words),
        "COMMENT" => comments::comment(session, words)?,
        "EXPORT" => export::export(session, words)?,
        "IMPORT" => export::import(session, words)?,
        "USE" => schemas::use_schema(session, words)?,
        "PREPARE" => prepared::prepare(session, words)?,
        "EXECUTE" => run_tokens(session, sql, prepared::executed(session, words)?)?,
        "DEALLOCATE" => prepared::deallocate(session, words)?,
        "CALL" => run_tokens(session, sql, called(words)?)?,
        "PRAGMA" => run_tokens(session, sql, variables::pragma(words)?)?,
        "SHOW" if words.peek_at(1) == "TABLES" => describe::show_tables(session, words)?,
        "DESCRIBE" | "DESC" | "SUMMARIZE" | "SHOW" => match describe::query(session, words)? {
            Some(query) => run_tokens(session, sql, query)?,
            None => return Ok(None),
        },
        "SET" if words.peek_at(1) == "VARIABLE" => variables::set(session, words)?,
        "RESET" if words.peek_at(1) == "VARIABLE" => variables::reset(session, words)?,
        _ => return Ok(None),
    }))
}

/// INSERT, UPDATE, DELETE and MERGE, perhaps behind common table expressions.
fn changing(session: &Session, tokens: &[TokenWithSpan]) -> Result<Option<DataFrame>> {
    if let Some(insert) = InsertInto::read(tokens)? {
        return insert::insert(session, &insert).map(Some);
    }
    if let Some(merge) = Merge::read(tokens)? {
        return merge::merge(session, merge).map(Some);
    }
    match Change::read(tokens)? {
        Some(change) => change::change(session, &change).map(Some),
        None => Ok(None),
    }
}

/// EXPLAIN of INSERT, UPDATE and DELETE: of the query that finds the rows.
fn explain(session: &Session, mut words: Words) -> Result<Option<DataFrame>> {
    words.expect("EXPLAIN")?;
    if words.rest().first().is_some_and(|token| token.token == Token::LParen)
        && matches!(words.rest().get(1), Some(token) if is_explain_option(token))
    {
        return describe::explain_with_options(session, words).map(Some);
    }
    let analyze = words.accept("ANALYZE");
    let frame = if let Some(insert) = InsertInto::read(words.rest())? {
        insert::inserted(session, &insert)?.1
    } else if let Some(change) = Change::read(words.rest())? {
        change::explained(session, &change)?
    } else {
        return Ok(None);
    };
    let text = if analyze { frame.explain_analyze()? } else { frame.explain()? };
    super::answer(session, vec![("plan", text.lines().map(str::to_string).collect())]).map(Some)
}

fn is_explain_option(token: &TokenWithSpan) -> bool {
    let words = Words::new(std::slice::from_ref(token));
    matches!(words.peek().as_str(), "FORMAT" | "ANALYZE")
}

/// CREATE of what the parser does not read.
fn create(session: &Session, sql: &str, tokens: &[TokenWithSpan]) -> Result<Option<DataFrame>> {
    let mut words = Words::new(tokens);
    words.expect("CREATE")?;
    let replace = words.accept("OR REPLACE");
    let _ = words.accept("TEMP") || words.accept("TEMPORARY");
    if words.accept("MACRO") || words.accept("FUNCTION") {
        return macros::create(session, words, replace).map(Some);
    }
    if !replace && words.accept("SCHEMA") {
        return schemas::create(session, words).map(Some);
    }
    if words.accept("TYPE") {
        return types::create(session, words, replace).map(Some);
    }
    if words.accept("TABLE") {
        return create_table(session, sql, tokens, words);
    }
    Ok(None)
}

/// `CREATE TABLE name (k, l) AS query`: the names are taken out of the statement, which the parser reads then.
fn create_table(session: &Session, sql: &str, tokens: &[TokenWithSpan], mut words: Words) -> Result<Option<DataFrame>> {
    words.accept("IF NOT EXISTS");
    words.name("the name of a table")?;
    if words.rest().first().is_none_or(|token| token.token != Token::LParen) {
        return Ok(None);
    }
    let start = tokens.len() - words.rest().len();
    let list = words.parenthesised()?;
    let end = tokens.len() - words.rest().len();
    let (before, behind) = (tokens.get(..start).unwrap_or_default(), tokens.get(end..).unwrap_or_default());
    if words.peek() != "AS" {
        let (plain, generated) = rules::take_generated(list)?;
        if generated.is_empty() {
            return Ok(None);
        }
        let place = words.place();
        let all = [before, &made("(", place)?, &plain, &made(")", place)?, behind].concat();
        return create_table_of(session, sql, all, &[], &generated).map(Some);
    }
    let mut columns = Vec::new();
    for part in parts(list) {
        let mut column = Words::new(part);
        columns.push(column.word("the name of a column")?);
        if !column.is_empty() {
            let error = Error::not_supported("a type of a column that a query gives").span(column.span());
            return Err(error.hint("cast it in the query: SELECT a::INTEGER"));
        }
    }
    create_table_of(session, sql, [before, behind].concat(), &columns, &[]).map(Some)
}

/// CREATE TABLE of tokens that the parser reads, and of what was taken out of them.
fn create_table_of(
    session: &Session,
    sql: &str,
    tokens: Vec<TokenWithSpan>,
    columns: &[String],
    generated: &[rules::Generated],
) -> Nothing {
    let prepared = Prepared::of_tokens(tokens, &Scope::new(session.engine()))?;
    match &prepared.statement {
        Statement::CreateTable(create) => {
            Running { session, sql, prepared: &prepared }.create_table(create, columns, generated)
        }
        other => Err(super::not_supported(other)),
    }
}

fn drop(session: &Session, mut words: Words) -> Result<Option<DataFrame>> {
    words.expect("DROP")?;
    if words.accept("MACRO") || words.accept("FUNCTION") {
        return macros::drop(session, words).map(Some);
    }
    if words.accept("SCHEMA") {
        return schemas::drop(session, words).map(Some);
    }
    if words.accept("TYPE") {
        return types::drop(session, words).map(Some);
    }
    Ok(None)
}

fn alter(session: &Session, mut words: Words) -> Result<Option<DataFrame>> {
    words.expect("ALTER")?;
    if words.accept("TABLE") {
        return alter::table(session, words).map(Some);
    }
    if words.accept("VIEW") {
        return alter::view(session, words).map(Some);
    }
    Ok(None)
}

/// `CALL function(arguments)` is a query of its rows.
fn called(mut words: Words) -> Result<Vec<TokenWithSpan>> {
    let place = words.place();
    words.expect("CALL")?;
    let mut query = made("SELECT * FROM", place)?;
    let function = words.clone();
    words.name("the name of a function")?;
    words.parenthesised()?;
    words.end()?;
    query.extend(function.rest().iter().cloned());
    Ok(query)
}
