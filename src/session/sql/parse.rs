//! One statement's text to tokens to syntax tree, and the parser's complaints to errors with a place.

use datafusion_sql::sqlparser::ast::Statement;
use datafusion_sql::sqlparser::keywords::Keyword;
use datafusion_sql::sqlparser::parser::{Parser, ParserError};
use datafusion_sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

use super::dialect::FloeDialect;
use super::suggest;
use crate::error::{Code, Error, Result, Span};

/// How deep expressions and subqueries may nest.
pub(super) const DEPTH: usize = 128;

/// The text as tokens, with the place of each.
pub(crate) fn tokens(sql: &str) -> Result<Vec<TokenWithSpan>> {
    Tokenizer::new(&FloeDialect, sql).tokenize_with_location().map_err(|error| {
        let place = error.location;
        Error::new(Code::Syntax, sentence(&error.message)).span(Span {
            line: place.line,
            column: place.column,
            length: 1,
        })
    })
}

/// The one statement that the tokens are.
pub(crate) fn statement(tokens: &[TokenWithSpan]) -> Result<Statement> {
    if tokens.iter().all(|token| matches!(token.token, Token::Whitespace(_) | Token::SemiColon)) {
        return Err(Error::new(Code::Syntax, "there is no statement in the text"));
    }
    if let Some(inner) = explained_query(tokens) {
        // The parser takes a query that it cannot read for a table's name here; its own error says more.
        statement(inner)?;
    }
    let dialect = FloeDialect;
    let mut parser = Parser::new(&dialect).with_recursion_limit(DEPTH).with_tokens_with_locations(tokens.to_vec());
    let parsed = parser.parse_statement().map_err(|error| syntax_error(error, tokens))?;
    while parser.consume_token(&Token::SemiColon) {}
    let next = parser.peek_token();
    if next.token == Token::EOF {
        return Ok(parsed);
    }
    if let Some(error) = unended_case(tokens) {
        return Err(error);
    }
    let message = format!("unexpected {} behind the end of the statement", described(&next.token));
    let error = Error::new(Code::Syntax, message).span(place_of(&next));
    // What should have been a word of SQL may have been taken for an alias.
    let at = tokens.iter().position(|token| token.span == next.span).unwrap_or(tokens.len());
    let before = tokens.iter().take(at).rev().find(|token| !matches!(token.token, Token::Whitespace(_)));
    Err(match [Some(&next), before].into_iter().flatten().find_map(|token| meant(&token.token)) {
        Some(hint) => error.hint(hint),
        None => error,
    })
}

/// Words that statements and clauses begin with.
const BEGINNINGS: &str = "ALTER COMMENT COPY CREATE DELETE DESCRIBE DROP EXECUTE EXPLAIN EXPORT \
    FROM GROUP HAVING IMPORT INSERT INTERSECT INTO JOIN LIMIT MERGE OFFSET ORDER PIVOT PREPARE QUALIFY \
    RESET SELECT SHOW SUMMARIZE TABLE TRUNCATE UNION UPDATE VALUES WHERE WINDOW WITH";

/// The word of SQL that a name may be a slip for.
fn meant(token: &Token) -> Option<String> {
    match token {
        Token::Word(word) if word.quote_style.is_none() && word.keyword == Keyword::NoKeyword => {
            suggest::nearest(&word.value, BEGINNINGS.split(' ')).map(|near| format!("did you mean {near}?"))
        }
        _ => None,
    }
}

/// The tokens behind EXPLAIN or DESCRIBE, when they begin a query.
fn explained_query(tokens: &[TokenWithSpan]) -> Option<&[TokenWithSpan]> {
    let mut words = tokens.iter().enumerate().filter(|(_, token)| !matches!(token.token, Token::Whitespace(_)));
    let (_, first) = words.next()?;
    if !is_keyword(&first.token, &[Keyword::EXPLAIN, Keyword::DESCRIBE, Keyword::DESC]) {
        return None;
    }
    let (index, second) = words.next()?;
    let begins = is_keyword(&second.token, &[Keyword::SELECT, Keyword::WITH, Keyword::FROM, Keyword::VALUES]);
    if begins { tokens.get(index..) } else { None }
}

fn is_keyword(token: &Token, keywords: &[Keyword]) -> bool {
    matches!(token, Token::Word(word) if keywords.contains(&word.keyword))
}

/// The error for a CASE that has no END, which the parser takes for a name.
fn unended_case(tokens: &[TokenWithSpan]) -> Option<Error> {
    let is = |token: &TokenWithSpan, keyword: Keyword| matches!(&token.token, Token::Word(word) if word.quote_style.is_none() && word.keyword == keyword);
    let mut open = Vec::new();
    for token in tokens {
        if is(token, Keyword::CASE) {
            open.push(token);
        } else if is(token, Keyword::END) {
            open.pop();
        }
    }
    let error = Error::new(Code::Syntax, "this CASE has no END").span(place_of(open.last()?));
    Some(error.hint("write CASE WHEN condition THEN value ELSE value END"))
}

/// The parser names the place at the end of its sentence; it comes off and becomes a span.
fn syntax_error(error: ParserError, tokens: &[TokenWithSpan]) -> Error {
    let text = match error {
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => text,
        ParserError::RecursionLimitExceeded => {
            return Error::new(Code::Syntax, format!("the statement nests deeper than {DEPTH} levels"));
        }
    };
    if let Some(error) = unended_case(tokens) {
        return error;
    }
    let (message, place) = split_place(&text);
    let error = Error::new(Code::Syntax, sentence(message));
    let Some(place) = place else { return error.span(end_of(tokens)) };
    let hint = tokens.iter().find(|token| token.span.start == place).and_then(|token| meant(&token.token));
    let error = error.span(span_at(tokens, place));
    hint.map_or(error.clone(), |hint| error.hint(hint))
}

/// Cuts ` at Line: 1, Column: 8` off the end of a message.
fn split_place(text: &str) -> (&str, Option<Location>) {
    let Some((message, place)) = text.rsplit_once(" at Line: ") else {
        return (text, None);
    };
    let location = place.split_once(", Column: ").and_then(|(line, column)| {
        Some(Location { line: line.trim().parse().ok()?, column: column.trim().parse().ok()? })
    });
    (message, location)
}

/// The span of the token at `place`.
fn span_at(tokens: &[TokenWithSpan], place: Location) -> Span {
    tokens
        .iter()
        .find(|token| token.span.start == place)
        .map_or(Span { line: place.line, column: place.column, length: 1 }, place_of)
}

/// The place behind the last token that is not white space.
fn end_of(tokens: &[TokenWithSpan]) -> Span {
    let last = tokens.iter().rev().find(|token| !matches!(token.token, Token::Whitespace(_)));
    last.map_or(Span { line: 1, column: 1, length: 1 }, |token| Span {
        line: token.span.end.line,
        column: token.span.end.column,
        length: 1,
    })
}

/// A token's place as an error carries it.
fn place_of(token: &TokenWithSpan) -> Span {
    span_of(token.span)
}

/// The parser's span as an error carries it: what goes over several lines counts to the end of the first.
pub(crate) fn span_of(span: datafusion_sql::sqlparser::tokenizer::Span) -> Span {
    let length = if span.start.line == span.end.line {
        span.end.column.saturating_sub(span.start.column)
    } else {
        u64::from(u32::MAX)
    };
    Span { line: span.start.line, column: span.start.column, length }
}

fn described(token: &Token) -> String {
    format!("'{token}'")
}

/// The parser's message as a sentence of ours: `Expected: x, found: y` in words.
fn sentence(message: &str) -> String {
    let message = message.trim_start_matches("sql parser error: ");
    let unfinished = match message {
        "Unterminated string literal" => Some("the text in single quotes does not end"),
        "Unexpected EOF while in a multi-line comment" => Some("the comment does not end"),
        _ if message.starts_with("Expected close delimiter") => Some("the name in double quotes does not end"),
        _ => None,
    };
    if let Some(unfinished) = unfinished {
        return unfinished.to_string();
    }
    let expected = message.strip_prefix("Expected: ").or_else(|| message.strip_prefix("Expected "));
    let Some((expected, found)) = expected.and_then(|rest| rest.rsplit_once(", found: ")) else {
        return message.to_string();
    };
    let found = if found == "EOF" { "the end of the statement".to_string() } else { format!("'{found}'") };
    format!("expected {expected}, found {found}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(sql: &str) -> Error {
        tokens(sql).and_then(|tokens| statement(&tokens)).unwrap_err()
    }

    fn parses(sql: &str) {
        if let Err(error) = tokens(sql).and_then(|tokens| statement(&tokens)) {
            panic!("{sql}: {error}");
        }
    }

    #[test]
    fn the_syntax_of_files_lists_and_structs_parses() {
        parses("select * from 'logs/*.csv.gz' where a > 1");
        parses("select * from read_csv('x', delim => ';', header = true, nullstr := 'NA')");
        parses("select * from read_csv(['a.csv', 'b.csv'], columns => {'a': 'INT', 'b': 'TEXT'})");
        parses("select [1, 2, 3], {'a': 1, 'b': [2]}, x[1], s.a.b, 1_000");
        parses("from 'a.csv'");
        parses("from 'a.csv' select a, b, where a = 1");
        parses("select * exclude (a) replace (b + 1 as b) from t group by all order by all");
        parses("select sum(x = 1), coalesce(a = b and c, false) from t");
    }

    #[test]
    fn a_syntax_error_points_at_the_word() {
        let error = error("select a\nfrom t wher x = 1 group");
        assert_eq!(error.code(), Code::Syntax);
        let span = error.sql_span().unwrap();
        assert_eq!((span.line, span.column, span.length), (2, 13, 1), "{error}");
    }

    #[test]
    fn an_early_end_points_behind_the_last_word() {
        let error = error("select a from");
        assert_eq!(error.sql_span().map(|span| (span.line, span.column)), Some((1, 14)), "{error}");
        assert!(error.message().contains("end of the statement"), "{error}");
    }

    #[test]
    fn an_unterminated_string_is_a_syntax_error() {
        let error = error("select 'abc");
        assert_eq!(error.code(), Code::Syntax);
        assert_eq!(error.sql_span().map(|span| (span.line, span.column)), Some((1, 8)), "{error}");
    }

    #[test]
    fn a_broken_query_under_explain_keeps_its_own_error() {
        assert_eq!(error("explain select from from t").message(), error("select from from t").message());
    }

    #[test]
    fn two_statements_are_one_too_many() {
        assert!(error("select 1; select 2").message().contains("behind the end"));
        parses("select 1;");
    }

    #[test]
    fn deep_nesting_is_an_error_not_a_crash() {
        let sql = format!("select {}1{}", "(".repeat(5000), ")".repeat(5000));
        assert_eq!(error(&sql).code(), Code::Syntax);
    }

    #[test]
    fn clauses_that_nobody_reads_are_syntax_errors() {
        for sql in [
            "select from t",
            "select a from t group by a with rollup",
            "select * from t limit 1 by a",
            "select * from t settings max_threads = 1",
            "select * from t prewhere a = 1",
            "select a from t order by a with fill",
        ] {
            assert_eq!(error(sql).code(), Code::Syntax, "{sql}");
        }
    }
}
