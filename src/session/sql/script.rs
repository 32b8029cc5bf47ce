//! A text of several statements, cut at its semicolons.
//!
//! Invariant: pieces are disjoint and in order; what the tokenizer cannot read is one last piece, whose execution gives
//! the syntax error. A semicolon in a string, a quoted name or a comment does not cut.

use datafusion_sql::sqlparser::keywords::Keyword;
use datafusion_sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

use super::dialect::FloeDialect;

/// One statement of a script as it was written, without its semicolon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementText {
    /// The text, trimmed.
    pub text: String,
    /// The line of the script on which it begins, from 1.
    pub line: u64,
    /// The column on which it begins, from 1.
    pub column: u64,
}

/// A script cut into statements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// The statements in order. Pieces of nothing but white space and comments are left out.
    pub statements: Vec<StatementText>,
    /// Whether the text ends behind a semicolon (or holds no statement), so that a shell need not ask for more.
    pub complete: bool,
}

/// Cuts `text` at its semicolons.
///
/// ```
/// let script = floe::session::split("SELECT ';'; -- not here;\nSELECT 2");
/// assert_eq!(script.statements.len(), 2);
/// assert_eq!(script.statements[1].line, 2);
/// assert!(!script.complete);
/// ```
pub fn split(text: &str) -> Script {
    let mut tokens = Vec::new();
    let readable = Tokenizer::new(&FloeDialect, text).tokenize_with_location_into_buf(&mut tokens).is_ok();
    let mut places = Places::new(text);
    let mut statements = Vec::new();
    let mut first: Option<Location> = None;
    let mut complete = true;
    for token in &tokens {
        match &token.token {
            Token::Whitespace(_) => {}
            Token::SemiColon => {
                if let Some(start) = first.take() {
                    statements.push(piece(text, &mut places, start, Some(token.span.start)));
                }
                complete = true;
            }
            _ => {
                first.get_or_insert(token.span.start);
                complete = false;
            }
        }
    }
    if !readable {
        let end_of_readable = tokens.last().map_or(Location::new(1, 1), |token| token.span.end);
        first.get_or_insert(end_of_readable);
        complete = false;
    }
    if let Some(start) = first {
        statements.push(piece(text, &mut places, start, None));
    }
    Script { statements, complete }
}

fn piece(text: &str, places: &mut Places, start: Location, end: Option<Location>) -> StatementText {
    let from = places.offset(start);
    let to = end.map_or(text.len(), |end| places.offset(end));
    StatementText {
        text: text.get(from..to).unwrap_or_default().trim_end().to_string(),
        line: start.line,
        column: start.column,
    }
}

/// The byte offset of a place in `text`.
pub(crate) fn offset(text: &str, place: Location) -> usize {
    Places::new(text).offset(place)
}

/// The place behind the first AS that stands outside of parentheses.
pub(crate) fn behind_as(tokens: &[TokenWithSpan]) -> Option<Location> {
    let mut depth = 0_usize;
    for token in tokens {
        match &token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            Token::Word(word) if depth == 0 && word.keyword == Keyword::AS => return Some(token.span.end),
            _ => {}
        }
    }
    None
}

/// Byte offsets of locations that are asked for in ascending order.
struct Places<'a> {
    rest: std::iter::Peekable<std::str::CharIndices<'a>>,
    length: usize,
    line: u64,
    column: u64,
}

impl<'a> Places<'a> {
    fn new(text: &'a str) -> Self {
        Places { rest: text.char_indices().peekable(), length: text.len(), line: 1, column: 1 }
    }

    fn offset(&mut self, place: Location) -> usize {
        while let Some(&(offset, character)) = self.rest.peek() {
            if (self.line, self.column) >= (place.line, place.column) {
                return offset;
            }
            self.rest.next();
            if character == '\n' {
                self.line += 1;
                self.column = 1;
            } else {
                self.column += 1;
            }
        }
        self.length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(script: &str) -> Vec<String> {
        split(script).statements.into_iter().map(|statement| statement.text).collect()
    }

    #[test]
    fn semicolons_in_strings_names_and_comments_do_not_cut() {
        let script = "select ';', \"a;b\" -- x;\n; /* ; */ select 'it''s;' ;;\n-- end;";
        assert_eq!(texts(script), ["select ';', \"a;b\" -- x;", "select 'it''s;'"]);
    }

    #[test]
    fn pieces_know_where_they_begin() {
        let script = split("select 'é';\n  select\n 2; select 3");
        let places: Vec<_> = script.statements.iter().map(|s| (s.text.as_str(), s.line, s.column)).collect();
        assert_eq!(places, [("select 'é'", 1, 1), ("select\n 2", 2, 3), ("select 3", 3, 5)]);
        assert!(!script.complete);
    }

    #[test]
    fn an_unterminated_string_is_one_last_piece() {
        let script = split("select 1; select 'abc; select 2;");
        assert_eq!(script.statements.len(), 2);
        assert_eq!(script.statements[1].text, "select 'abc; select 2;");
        assert!(!script.complete);
    }

    #[test]
    fn an_empty_script_is_complete() {
        assert!(split(" -- nothing\n").complete);
        assert!(split("select 1;").complete);
        assert!(texts(" ; ; ").is_empty());
    }
}
