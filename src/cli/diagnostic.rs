//! Errors for people, on standard error: the sentence, the line of SQL with a mark under it, and what to try.

use std::fmt::Write as _;
use std::io::{self, Write};

use floe::Error;
use floe::error::Span;

use super::statements::Statement;

/// Prints an error, with the place in the statement where it is known.
pub fn print(error: &Error, statement: Option<&Statement>) {
    let mut text = format!("error: {}: {}\n", error.code().as_str(), error.full_message());
    if let (Some(statement), Some(span)) = (statement, error.sql_span()) {
        mark(&mut text, statement, span);
    }
    if let Some(hint) = error.hint_text() {
        let _ = writeln!(text, "hint: {hint}");
    }
    note(&text);
}

/// Prints to standard error; there is nobody to tell when that fails.
pub fn note(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

fn mark(text: &mut String, statement: &Statement, span: Span) {
    let index = usize::try_from(span.line.saturating_sub(1)).unwrap_or(usize::MAX);
    let Some(line) = statement.text.lines().nth(index) else { return };
    let before = usize::try_from(span.column.saturating_sub(1)).unwrap_or(0);
    let length = usize::try_from(span.length.max(1)).unwrap_or(1).min(line.chars().count().max(1));
    let number = statement.line + span.line.saturating_sub(1);
    let prefix = format!("line {number}: ");
    // Tabs before the mark stay tabs, so that it stands under its place whatever their width.
    let indent: String =
        line.chars().take(before).map(|character| if character == '\t' { '\t' } else { ' ' }).collect();
    let _ = writeln!(text, "{prefix}{line}");
    let _ = writeln!(text, "{}{indent}{}", " ".repeat(prefix.len()), "^".repeat(length));
}
