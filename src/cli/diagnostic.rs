//! Errors for people, on standard error: the sentence, the line of SQL with a mark under it, and what to try.

use std::fmt::Write as _;
use std::io::{self, Write};

use floe::Error;

use super::statements::Statement;

/// Prints an error. The lines of an excerpt are counted from the statement's start, so that is told where it matters.
pub fn print(error: &Error, statement: Option<&Statement>) {
    let mut text = format!("error: {}: {}\n", error.code().as_str(), error.full_message());
    if let Some(excerpt) = error.excerpt_text() {
        if let Some(statement) = statement.filter(|statement| statement.line > 1) {
            let _ = writeln!(text, "in the statement at line {}:", statement.line);
        }
        let _ = writeln!(text, "{excerpt}");
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
