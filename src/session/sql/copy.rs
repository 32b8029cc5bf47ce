//! The options of COPY, which have names and values that the parser does not know.
//!
//! `COPY … TO 'file' (FORMAT parquet, COMPRESSION zstd)`: the list at the end is read here and taken off before the
//! parser sees the rest.

use datafusion_sql::sqlparser::keywords::Keyword;
use datafusion_sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::parse::span_of;
use crate::error::{Code, Error, Result, Span};

/// One option as written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CopyOption {
    /// In lower case.
    pub(crate) name: String,
    /// Empty for a name alone, which means `true`; several from a list in parentheses.
    pub(crate) values: Vec<String>,
    /// Names and values of `{name: value}`, in the place of values.
    pub(crate) pairs: Vec<(String, String)>,
    pub(crate) span: Span,
}

/// Takes the options off the tokens of a COPY; any other statement stays as it is.
pub(super) fn take_options(tokens: &mut Vec<TokenWithSpan>) -> Result<Vec<CopyOption>> {
    let solid = |token: &&TokenWithSpan| !matches!(token.token, Token::Whitespace(_));
    if !tokens.iter().find(solid).is_some_and(|token| is_word(token, Keyword::COPY)) {
        return Ok(Vec::new());
    }
    let Some(open) = options_start(tokens) else { return Ok(Vec::new()) };
    let list: Vec<TokenWithSpan> = tokens.drain(open..).filter(|token| solid(&token)).collect();
    let mut list = list.as_slice();
    while let [rest @ .., last] = list
        && matches!(last.token, Token::SemiColon | Token::EOF)
    {
        list = rest;
    }
    match list {
        [first, inner @ .., last] if first.token == Token::LParen && last.token == Token::RParen => {
            parts(inner).into_iter().map(option).collect()
        }
        list => {
            let error = Error::new(Code::Syntax, "the options of COPY do not end with ')'");
            Err(list.last().map_or(error.clone(), |token| error.span(span_of(token.span))))
        }
    }
}

/// Where the list begins: at the parenthesis behind `TO 'file'` or `FROM 'file'`, outside of all others.
fn options_start(tokens: &[TokenWithSpan]) -> Option<usize> {
    let mut depth = 0_usize;
    let mut behind_to = false;
    for (index, token) in tokens.iter().enumerate() {
        match &token.token {
            Token::LParen if depth == 0 && behind_to => return Some(index),
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            _ if depth == 0 && (is_word(token, Keyword::TO) || is_word(token, Keyword::FROM)) => behind_to = true,
            _ => {}
        }
    }
    None
}

fn is_word(token: &TokenWithSpan, keyword: Keyword) -> bool {
    matches!(&token.token, Token::Word(word) if word.keyword == keyword && word.quote_style.is_none())
}

fn option(tokens: &[TokenWithSpan]) -> Result<CopyOption> {
    let bad = |token: Option<&TokenWithSpan>| {
        let error = Error::new(Code::Syntax, "an option of COPY is a name and a value").hint("write FORMAT parquet");
        Err(token.map_or(error.clone(), |token| error.span(span_of(token.span))))
    };
    let [name, value @ ..] = tokens else { return bad(None) };
    let Token::Word(word) = &name.token else { return bad(Some(name)) };
    let text = |token: &TokenWithSpan| match &token.token {
        Token::Word(word) => Some(word.value.clone()),
        Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text) | Token::Number(text, _) => {
            Some(text.clone())
        }
        Token::Mul => Some("*".to_string()),
        _ => None,
    };
    let value = match value {
        [equals, rest @ ..] if equals.token == Token::Eq => rest,
        value => value,
    };
    let mut pairs = Vec::new();
    let values = match value {
        [] => Vec::new(),
        [open, inner @ .., close] if open.token == Token::LBrace && close.token == Token::RBrace => {
            for part in parts(inner) {
                match part {
                    [key, colon, value] if colon.token == Token::Colon => match (text(key), text(value)) {
                        (Some(key), Some(value)) => pairs.push((key, value)),
                        _ => return bad(Some(key)),
                    },
                    other => return bad(other.first().or(Some(open))),
                }
            }
            Vec::new()
        }
        [value] => match text(value) {
            Some(text) => vec![text],
            None => return bad(Some(value)),
        },
        [minus, TokenWithSpan { token: Token::Number(digits, _), .. }] if minus.token == Token::Minus => {
            vec![format!("-{digits}")]
        }
        [open, inner @ .., close] if open.token == Token::LParen && close.token == Token::RParen => {
            let mut values = Vec::new();
            for part in parts(inner) {
                match part {
                    [value] => match text(value) {
                        Some(text) => values.push(text),
                        None => return bad(Some(value)),
                    },
                    other => return bad(other.first().or(Some(open))),
                }
            }
            values
        }
        [_, more, ..] => return bad(Some(more)),
    };
    Ok(CopyOption { name: word.value.to_lowercase(), values, pairs, span: span_of(name.span) })
}

/// What stands between commas, outside of parentheses and braces. A comma at the end is no further part.
fn parts(tokens: &[TokenWithSpan]) -> Vec<&[TokenWithSpan]> {
    let mut depth = 0_usize;
    let mut parts: Vec<&[TokenWithSpan]> = tokens
        .split(|token| {
            match token.token {
                Token::LParen | Token::LBrace => depth += 1,
                Token::RParen | Token::RBrace => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0 && token.token == Token::Comma
        })
        .collect();
    if parts.last().is_some_and(|part| part.is_empty()) {
        parts.pop();
    }
    parts
}
