//! The planner's errors as ours: code, one sentence, the place in the text, and what was probably meant.

use std::collections::HashSet;

use datafusion_common::{Column, DataFusionError, SchemaError};
use datafusion_sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::functions;
use super::suggest;
use crate::error::{Code, Error, Span, in_types_of_sql, known_sentence};

/// An error of planning, analysis or optimisation.
pub(crate) fn planning_error(error: DataFusionError) -> Error {
    let place = error.diagnostic().and_then(|diagnostic| diagnostic.span).map(span_of);
    let ours = match innermost(&error) {
        DataFusionError::SchemaError(schema_error, _) => schema_sentence(schema_error),
        DataFusionError::Plan(text) => plan_sentence(text),
        _ => Error::from(without_context(error)),
    };
    match place {
        Some(place) => ours.span(place),
        None => ours,
    }
}

fn span_of(span: datafusion_common::Span) -> Span {
    let length = if span.start.line == span.end.line {
        span.end.column.saturating_sub(span.start.column)
    } else {
        u64::from(u32::MAX)
    };
    Span { line: span.start.line, column: span.start.column, length }
}

/// The error under the layers that only say where the planner was.
fn innermost(error: &DataFusionError) -> &DataFusionError {
    match error {
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => innermost(inner),
        DataFusionError::Shared(inner) => innermost(inner),
        DataFusionError::Collection(errors) => errors.first().map_or(error, innermost),
        other => other,
    }
}

/// Names of planner passes tell a user nothing.
fn without_context(error: DataFusionError) -> DataFusionError {
    match error {
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => without_context(*inner),
        other => other,
    }
}

fn schema_sentence(error: &SchemaError) -> Error {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => unknown_column(field, valid_fields),
        SchemaError::AmbiguousReference { field } => at_column(
            Error::new(Code::UnknownColumn, format!("column \"{}\" is in more than one table", field.name)),
            field,
        )
        .hint(format!("write the table's name before it: table.{}", field.name)),
        SchemaError::DuplicateQualifiedField { name, .. } | SchemaError::DuplicateUnqualifiedField { name } => {
            Error::new(Code::InvalidQuery, format!("two columns are called \"{name}\""))
                .hint("give one of them, or its table, an alias")
        }
    }
}

/// No such column; the nearest of those in scope. Shared with the fluent API.
pub(crate) fn unknown_column(field: &Column, valid: &[Column]) -> Error {
    let error = Error::new(Code::UnknownColumn, format!("there is no column named \"{}\"", plain_name(field)));
    let error = at_column(error, field);
    let mut seen = HashSet::new();
    let names: Vec<&str> = valid
        .iter()
        .filter(|column| field.relation.is_none() || column.relation == field.relation)
        .map(|column| column.name.as_str())
        // Those that floe makes begin with a #.
        .filter(|name| !name.starts_with('#') && seen.insert(*name))
        .collect();
    if names.is_empty()
        && let Some(relation) = &field.relation
    {
        let mut tables: Vec<String> =
            valid.iter().filter_map(|column| Some(column.relation.as_ref()?.to_string())).collect();
        tables.dedup();
        return match suggest::hint(&relation.to_string(), tables.iter(), "tables in scope") {
            Some(hint) => error.hint(hint),
            None => error,
        };
    }
    match suggest::hint(&field.name, names.iter(), "columns") {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

fn plain_name(field: &Column) -> String {
    match &field.relation {
        Some(relation) => format!("{relation}.{}", field.name),
        None => field.name.clone(),
    }
}

fn at_column(error: Error, field: &Column) -> Error {
    match field.spans.first() {
        Some(span) => error.span(span_of(span)),
        None => error,
    }
}

fn plan_sentence(text: &str) -> Error {
    if let Some(rest) = text.strip_prefix("Invalid function '") {
        let name = rest.split('\'').next().unwrap_or(rest);
        let calls = super::macros::signatures(name);
        if !calls.is_empty() {
            return Error::new(Code::UnknownFunction, format!("{name} does not take these arguments"))
                .hint(format!("it is called as {}", calls.join(" or ")));
        }
        if functions::is_window(name) {
            let error =
                Error::new(Code::UnknownFunction, format!("{name} is a function of windows, and there is none"));
            return error.hint(format!("write {name}() OVER (ORDER BY …)"));
        }
        let error = Error::new(Code::UnknownFunction, format!("there is no function named \"{name}\""));
        return match suggest::nearest(name, functions::names()) {
            Some(near) => error.hint(format!("did you mean \"{near}\"?")),
            None => error,
        };
    }
    if let Some(error) = wrong_arguments(text).or_else(|| not_grouped(text)) {
        return error;
    }
    known_sentence(text).unwrap_or_else(|| Error::new(Code::InvalidQuery, in_types_of_sql(text)))
}

/// What the library says of a call whose arguments a function does not take, in one sentence.
fn wrong_arguments(text: &str) -> Option<Error> {
    if text.starts_with("Substring without") {
        let error = Error::new(Code::UnknownFunction, "substring does not take these arguments");
        return Some(error.hint("it is called as substring(text, from[, length])"));
    }
    const PHRASES: [&str; 5] = [
        "No function matches",
        "Failed to coerce arguments",
        "does not support the argument",
        "user-defined coercion failed",
        "arguments but received",
    ];
    if !PHRASES.iter().any(|phrase| text.contains(phrase)) {
        return None;
    }
    // What a function itself has said stands within what the library says about it, and that perhaps again.
    let says_nothing = ["arguments but received", "Fail to find the coerced type"];
    if let Some((_, said)) = text.rsplit_once("user-defined coercion failed with: ")
        && !says_nothing.iter().any(|phrase| said.contains(phrase))
    {
        let said = said.split_once(" No function matches the given name").map_or(said, |(said, _)| said);
        let (sentence, hint) = said.split_once("\nhint: ").map_or((said, None), |(said, hint)| (said, Some(hint)));
        let error = Error::new(Code::UnknownFunction, in_types_of_sql(without_kind(sentence).trim_end_matches('.')));
        return Some(match hint {
            Some(hint) => error.hint(hint.trim_end_matches('.')),
            None => error,
        });
    }
    let name = text.split('\'').nth(1)?.split('(').next()?;
    let error = Error::new(Code::UnknownFunction, format!("{name} does not take these arguments"));
    let known = crate::expr::entries().into_iter().filter(|known| known.name.eq_ignore_ascii_case(name));
    let calls: Vec<String> = known.map(|known| known.signature).collect();
    Some(if calls.is_empty() { error } else { error.hint(format!("it is called as {}", calls.join(" or "))) })
}

/// A message without the kinds of error before it: `External error: UNKNOWN_FUNCTION: …`.
fn without_kind(mut text: &str) -> &str {
    const KINDS: [&str; 4] = ["External error", "Execution error", "Error during planning", "Internal error"];
    while let Some((kind, rest)) = text.split_once(": ")
        && (KINDS.contains(&kind) || kind.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'))
    {
        text = rest;
    }
    text
}

/// A column beside a grouping that has it neither as a key nor within an aggregate.
fn not_grouped(text: &str) -> Option<Error> {
    let (_, behind) = text.split_once("column \"")?;
    let (column, rest) = behind.split_once('"')?;
    if !rest.starts_with(" must appear in the GROUP BY clause") {
        return None;
    }
    let column = column.rsplit('.').next().unwrap_or(column);
    let message = format!("column \"{column}\" is neither a key of GROUP BY nor within an aggregate");
    let hint = format!("write GROUP BY …, {column} or any_value({column})");
    Some(Error::new(Code::InvalidQuery, message).hint(hint))
}

/// The error with the place of the function or column that it begins with, where that is known from the text alone.
pub(super) fn placed(error: Error, tokens: &[TokenWithSpan]) -> Error {
    if error.sql_span().is_some() {
        return error;
    }
    let message = error.message();
    let column = message.strip_prefix("column \"").and_then(|rest| rest.split('"').next());
    let function = message.split(' ').next().filter(|_| error.code() == Code::UnknownFunction);
    let is_word = |token: &TokenWithSpan, name: &str| matches!(&token.token, Token::Word(word) if word.value.eq_ignore_ascii_case(name));
    let found = tokens.iter().enumerate().find(|(index, token)| {
        let is_called = tokens.get(index + 1).is_some_and(|next| next.token == Token::LParen);
        column.is_some_and(|column| is_word(token, column))
            || is_called && function.is_some_and(|function| is_word(token, function))
    });
    match found.map(|(_, token)| super::span_of(token.span)) {
        Some(place) => error.span(place),
        None => error,
    }
}
