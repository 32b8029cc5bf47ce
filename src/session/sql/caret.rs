//! The line of the statement where an error is, with carets under the place.
//!
//! Limits: a place that goes over several lines is marked to the end of its first one; of a very long line only the part
//! around the place is shown.

use unicode_width::UnicodeWidthChar;

use crate::error::{Code, Error, Span};

/// Characters shown of a long line, and how many of them stand before the place.
const WINDOW: usize = 110;
const LEAD: usize = 50;

/// `error` with the excerpt of `sql` that its span points to, where it has one. Statements that hold secrets are not
/// shown, and what the parser says of their words is not repeated.
pub(crate) fn with_excerpt(error: Error, sql: &str) -> Error {
    let error = super::places::located(error, sql);
    if is_confidential(sql) {
        return match error.code() {
            Code::Syntax => Error::new(Code::Syntax, "the statement with a secret is malformed").hint(
                "write CREATE SECRET name (TYPE s3, KEY_ID '…', SECRET '…', REGION '…', ENDPOINT '…', SCOPE 's3://…')",
            ),
            _ => error,
        };
    }
    match error.sql_span().and_then(|span| excerpt(sql, span)) {
        Some(text) => error.excerpt(text),
        None => error,
    }
}

/// Whether the statement sets what must not be shown.
fn is_confidential(sql: &str) -> bool {
    let words = sql.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty()).take(8);
    let words: Vec<String> = words.map(str::to_lowercase).collect();
    match words.first().map(String::as_str) {
        Some("create") => words.iter().any(|word| word == "secret"),
        Some("set") => words.iter().any(|word| word.starts_with("s3_secret") || word.starts_with("s3_session")),
        _ => false,
    }
}

/// Two lines: the source line that `span` begins on and carets under it. `None` when there is no such line.
///
/// ```
/// use floe::error::Span;
/// let text = floe::session::excerpt("SELECT nme\nFROM t", Span { line: 1, column: 8, length: 3 });
/// assert_eq!(text.as_deref(), Some("  1 | SELECT nme\n    |        ^^^"));
/// ```
pub fn excerpt(sql: &str, span: Span) -> Option<String> {
    let line_index = usize::try_from(span.line.checked_sub(1)?).ok()?;
    let line: Vec<char> = sql.lines().nth(line_index).or_else(|| sql.is_empty().then_some(""))?.chars().collect();
    let start = usize::try_from(span.column.saturating_sub(1)).ok()?.min(line.len());
    let length = usize::try_from(span.length).unwrap_or(usize::MAX).clamp(1, (line.len() - start).max(1));

    let from = if line.len() > WINDOW { start.saturating_sub(LEAD) } else { 0 };
    let to = line.len().min(from + WINDOW);
    let shown: String = line[from..to].iter().map(|&c| if c.is_control() { ' ' } else { c }).collect();
    let before = if from > 0 { "…" } else { "" };
    let after = if to < line.len() { "…" } else { "" };
    let pad = width(&line[from..start]) + before.chars().count();
    let carets = width(&line[start..(start + length).min(to.max(start))]).max(1);

    let number = span.line.to_string();
    let gutter = " ".repeat(number.len());
    Some(format!(
        "  {number} | {before}{}{after}\n  {gutter} | {}{}",
        shown.trim_end(),
        " ".repeat(pad),
        "^".repeat(carets)
    ))
}

/// Columns of a terminal that the characters take.
fn width(characters: &[char]) -> usize {
    characters.iter().map(|c| if c.is_control() { 1 } else { c.width().unwrap_or(0) }).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: u64, column: u64, length: u64) -> Span {
        Span { line, column, length }
    }

    #[test]
    fn carets_stand_under_the_place() {
        let text = excerpt("select a,\n  bb + c\nfrom t", at(2, 3, 2)).unwrap();
        assert_eq!(text, "  2 |   bb + c\n    |   ^^");
    }

    #[test]
    fn wide_characters_and_tabs_keep_the_carets_in_place() {
        let text = excerpt("\tselect '東京', nme", at(1, 15, 3)).unwrap();
        assert_eq!(text, "  1 |  select '東京', nme\n    |                 ^^^");
    }

    #[test]
    fn a_place_behind_the_end_gets_one_caret() {
        assert_eq!(excerpt("select", at(1, 7, 0)).unwrap(), "  1 | select\n    |       ^");
        assert_eq!(excerpt("select", at(1, 70, 9)).unwrap(), "  1 | select\n    |       ^");
        assert_eq!(excerpt("select", at(9, 1, 1)), None);
        assert_eq!(excerpt("select", at(0, 0, 0)), None);
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let sql = format!("select {} nme {}", "x, ".repeat(200), "y ".repeat(200));
        let text = excerpt(&sql, at(1, 609, 3)).unwrap();
        let (line, carets) = text.split_once('\n').unwrap();
        assert!(line.chars().count() < 130, "{line}");
        let column = carets.chars().position(|c| c == '^').unwrap();
        let marked: String = line.chars().skip(column).take(3).collect();
        assert_eq!(marked, "nme");
    }
}
