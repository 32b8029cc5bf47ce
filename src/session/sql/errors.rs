//! The planner's errors as ours: code, one sentence, the place in the text, and what was probably meant.

use datafusion_common::{Column, DataFusionError, SchemaError};

use super::functions;
use super::suggest;
use crate::error::{Code, Error, Span, in_types_of_sql};

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
    let names: Vec<&str> = valid
        .iter()
        .filter(|column| field.relation.is_none() || column.relation == field.relation)
        .map(|column| column.name.as_str())
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
        let error = Error::new(Code::UnknownFunction, format!("there is no function named \"{name}\""));
        return match suggest::nearest(name, functions::names()) {
            Some(near) => error.hint(format!("did you mean \"{near}\"?")),
            None => error,
        };
    }
    // What a function of floe's own says of its arguments, in the middle of what the library says around it.
    if let Some((_, told)) = text.split_once("External error: UNKNOWN_FUNCTION: ") {
        let told = told.split(". No function matches").next().unwrap_or(told);
        return match told.split_once("\nhint: ") {
            Some((sentence, hint)) => Error::new(Code::UnknownFunction, sentence).hint(hint),
            None => Error::new(Code::UnknownFunction, told),
        };
    }
    let text = in_types_of_sql(text);
    let wrong_arguments = ["No function matches", "Failed to coerce arguments", "does not support the argument"];
    if wrong_arguments.iter().any(|phrase| text.contains(phrase)) {
        return Error::new(Code::UnknownFunction, text);
    }
    Error::new(Code::InvalidQuery, text)
}
