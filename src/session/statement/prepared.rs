//! PREPARE, EXECUTE and DEALLOCATE: statements with places for values.
//!
//! A prepared statement is kept in tokens; EXECUTE puts the arguments, in parentheses, in the places of `?`, `$1` and `$name`, and what
//! comes out runs as if it had been written so.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion_expr::Expr;
use datafusion_sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::own::{Nothing, nothing};
use crate::error::{Code, Error, Result, Span};
use crate::expr::types::sql_type_name;
use crate::session::Session;
use crate::session::format::write_value;
use crate::session::sql::words::{Tokens, Words, made, parts, solid};
use crate::session::sql::{offset, tokens};

/// `PREPARE name AS statement`.
pub(super) fn prepare(session: &Session, mut words: Words) -> Nothing {
    words.expect("PREPARE")?;
    let name = words.word("the name of a statement")?;
    words.expect("AS")?;
    let body = words.take_rest().to_vec();
    const KINDS: &[&str] = &[
        "SELECT",
        "FROM",
        "WITH",
        "VALUES",
        "INSERT",
        "UPDATE",
        "DELETE",
        "COPY",
        "CREATE",
        "EXPLAIN",
        "SUMMARIZE",
        "PIVOT",
        "UNPIVOT",
        "DESCRIBE",
    ];
    let kind = Words::new(&body);
    if !KINDS.contains(&kind.peek().as_str()) && !matches!(body.first(), Some(first) if first.token == Token::LParen) {
        return Err(kind.unexpected("a query, or a statement that changes a table"));
    }
    parameters(&body)?;
    session.engine().definitions.change(|defined| defined.prepared.insert(name.to_lowercase(), Arc::new(body)));
    nothing(session)
}

/// `EXECUTE name [(values)]`: the statement with its values.
pub(super) fn executed(session: &Session, mut words: Words) -> Result<Tokens> {
    words.expect("EXECUTE")?;
    let span = words.span();
    let name = words.word("the name of a prepared statement")?;
    let values = if words.is_empty() { &[] } else { words.parenthesised()? };
    words.end()?;
    let body = session.engine().definitions.now().prepared.get(&name.to_lowercase()).cloned();
    let body = body.ok_or_else(|| unknown(&name, span))?;
    with_values(&body, &arguments(values)?, span)
}

/// `DEALLOCATE [PREPARE] name`.
pub(super) fn deallocate(session: &Session, mut words: Words) -> Nothing {
    words.expect("DEALLOCATE")?;
    words.accept("PREPARE");
    let span = words.span();
    let name = words.word("the name of a prepared statement")?;
    words.end()?;
    let gone = session.engine().definitions.change(|defined| defined.prepared.remove(&name.to_lowercase()).is_some());
    if gone { nothing(session) } else { Err(unknown(&name, span)) }
}

fn unknown(name: &str, span: Span) -> Error {
    let error = Error::new(Code::InvalidQuery, format!("there is no prepared statement named \"{name}\"")).span(span);
    error.hint("PREPARE name AS SELECT … makes one")
}

/// The names of the parameters of a statement, in their order: numbers from 1, or names.
fn parameters(body: &[TokenWithSpan]) -> Result<Vec<String>> {
    let (mut names, mut count) = (BTreeSet::new(), 0_usize);
    let mut order = Vec::new();
    for token in body {
        let Some(name) = parameter(token, &mut count) else { continue };
        if names.insert(name.clone()) {
            order.push(name);
        }
    }
    let is_number = |name: &String| name.parse::<usize>().is_ok();
    if order.iter().any(is_number) && !order.iter().all(is_number) {
        let error = Error::new(Code::InvalidQuery, "parameters have names or numbers, not both");
        return Err(error.hint("write $name for all of them, or ? or $1"));
    }
    if order.iter().all(is_number) {
        let most = order.iter().filter_map(|name| name.parse::<usize>().ok()).max().unwrap_or(0);
        return Ok((1..=most).map(|number| number.to_string()).collect());
    }
    Ok(order)
}

/// The name of the parameter that a token is; every `?` is the next number.
fn parameter(token: &TokenWithSpan, count: &mut usize) -> Option<String> {
    let Token::Placeholder(text) = &token.token else { return None };
    let name = text.trim_start_matches(['?', '$']);
    if name.is_empty() {
        *count += 1;
        return Some(count.to_string());
    }
    Some(name.to_lowercase())
}

/// Values by position, or by name.
fn arguments(values: &[TokenWithSpan]) -> Result<Vec<(String, Tokens)>> {
    let mut arguments: Vec<(String, Tokens)> = Vec::new();
    for (index, part) in parts(values).into_iter().enumerate() {
        let named = match part {
            [TokenWithSpan { token: Token::Word(word), .. }, sign, value @ ..]
                if matches!(sign.token, Token::Assignment | Token::RArrow | Token::Eq) =>
            {
                Some((word.value.to_lowercase(), value.to_vec()))
            }
            _ => None,
        };
        arguments.push(named.unwrap_or_else(|| ((index + 1).to_string(), part.to_vec())));
    }
    Ok(arguments)
}

/// The words of a literal in SQL, with its type.
pub(in crate::session) fn sql_literal(literal: &Expr) -> Result<String> {
    let Expr::Literal(value, _) = literal else {
        return Err(Error::not_supported("a parameter that is no literal").hint("write lit(value)"));
    };
    if value.is_null() {
        return Ok("NULL".to_string());
    }
    let data_type = value.data_type();
    if data_type.is_nested() {
        return Err(Error::not_supported(format_args!("a parameter of type {}", sql_type_name(&data_type))));
    }
    let mut text = String::new();
    write_value(&mut text, &value.to_array()?, 0)?;
    Ok(format!("CAST('{}' AS {})", text.replace('\'', "''"), sql_type_name(&data_type)))
}

/// The text of a statement with these texts in the places of its parameters, which have numbers.
///
/// # Errors
/// `INVALID_QUERY` for too few or too many of them.
pub(in crate::session) fn text_with_values(sql: &str, values: &[String]) -> Result<String> {
    let body = solid(tokens(sql)?);
    let (names, mut count, mut text, mut done) = (parameters(&body)?, 0, String::new(), 0);
    if names.len() != values.len() {
        let message = format!("{} values for {} parameters", values.len(), names.len());
        return Err(Error::new(Code::InvalidQuery, message));
    }
    for token in &body {
        let Some(name) = parameter(token, &mut count) else { continue };
        let index = names.iter().position(|known| *known == name);
        let value = index.and_then(|index| values.get(index));
        let value = value.ok_or_else(|| Error::internal(format!("parameter {name} has no value")))?;
        let (start, end) = (offset(sql, token.span.start), offset(sql, token.span.end));
        text.push_str(sql.get(done..start).unwrap_or_default());
        text.push_str(value);
        done = end;
    }
    text.push_str(sql.get(done..).unwrap_or_default());
    Ok(text)
}

fn with_values(body: &[TokenWithSpan], arguments: &[(String, Tokens)], span: Span) -> Result<Tokens> {
    let names = parameters(body)?;
    let wrong = |message: String| {
        let wanted = if names.is_empty() { "none".to_string() } else { names.join(", ") };
        Error::new(Code::InvalidQuery, message).span(span).hint(format!("the statement's parameters: {wanted}"))
    };
    if let Some((name, _)) = arguments.iter().find(|(name, _)| !names.contains(name)) {
        return Err(wrong(format!("the statement has no parameter {name}")));
    }
    let mut count = 0;
    let mut tokens = Tokens::with_capacity(body.len());
    for token in body {
        let Some(name) = parameter(token, &mut count) else {
            tokens.push(token.clone());
            continue;
        };
        let value = arguments.iter().find(|(argument, _)| *argument == name);
        let (_, value) = value.ok_or_else(|| wrong(format!("parameter {name} has no value")))?;
        tokens.extend(made("(", token.span)?);
        tokens.extend(value.iter().cloned());
        tokens.extend(made(")", token.span)?);
    }
    Ok(tokens)
}
