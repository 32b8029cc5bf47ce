//! EXCLUDE in a window's frame, which the parser does not read.
//!
//! It is taken out of the tokens and put among the keys of the same PARTITION BY as a constant, where constants mean
//! nothing (see [`Exclusion`]). It stands in parentheses, since the planner drops bare constants.

use datafusion_sql::sqlparser::keywords::Keyword;
use datafusion_sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::hints::keyword_at;
use crate::expr::Exclusion;

/// `tokens` with a mark for every EXCLUDE of a frame.
pub(super) fn take(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut at = 0;
    while at < tokens.len() {
        match keyword_at(&tokens, at) {
            Keyword::EXCLUDE => mark(&mut tokens, at),
            _ => None,
        };
        at += 1;
    }
    tokens
}

/// Replaces the EXCLUDE at `at` if it is one of a frame; `None` if it is not.
fn mark(tokens: &mut Vec<TokenWithSpan>, at: usize) -> Option<()> {
    let behind = following(tokens, at, 3);
    let before = preceding(tokens, at)?;
    if !matches!(keyword_at(tokens, before), Keyword::PRECEDING | Keyword::FOLLOWING | Keyword::ROW) {
        return None;
    }
    let words: Vec<String> = behind.iter().map(|&index| word(tokens, index)).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (exclusion, count) = match words.as_slice() {
        ["CURRENT", "ROW", ")"] => (Exclusion::CurrentRow, 2),
        ["NO", "OTHERS", ")"] => (Exclusion::NoOthers, 2),
        ["GROUP", ")", ..] => (Exclusion::Group, 1),
        ["TIES", ")", ..] => (Exclusion::Ties, 1),
        _ => return None,
    };
    let place = key_place(tokens, at)?;
    let span = tokens.get(at)?.span;
    let last = *behind.get(count - 1)?;
    tokens.drain(at..=last);
    let has_partition = keyword_at(tokens, preceding(tokens, place)?) == Keyword::BY;
    let mut mark = Vec::new();
    if !has_partition {
        mark.extend([Token::make_keyword("PARTITION"), Token::make_keyword("BY")]);
    }
    mark.extend([Token::LParen, Token::SingleQuotedString(exclusion.mark()), Token::RParen]);
    if has_partition {
        mark.push(Token::Comma);
    }
    tokens.splice(place..place, mark.into_iter().map(|token| TokenWithSpan { token, span }));
    Some(())
}

/// Where the first key of PARTITION BY stands in the window whose frame has a token at `at`, or where PARTITION BY would.
fn key_place(tokens: &[TokenWithSpan], at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let open = (0..at).rev().find(|&index| match tokens.get(index).map(|token| &token.token) {
        Some(Token::RParen) => {
            depth += 1;
            false
        }
        Some(Token::LParen) if depth == 0 => true,
        Some(Token::LParen) => {
            depth -= 1;
            false
        }
        _ => false,
    })?;
    let mut place = open + 1;
    for &index in &following(tokens, open, 3) {
        match keyword_at(tokens, index) {
            Keyword::PARTITION | Keyword::BY => place = index + 1,
            Keyword::ORDER | Keyword::ROWS | Keyword::RANGE | Keyword::GROUPS => break,
            // The name of a window that this one goes on from.
            _ if place == open + 1 => place = index + 1,
            _ => break,
        }
    }
    Some(place)
}

fn is_blank(token: &TokenWithSpan) -> bool {
    matches!(token.token, Token::Whitespace(_))
}

/// The next tokens behind `at` that are no blanks, at most `count`.
fn following(tokens: &[TokenWithSpan], at: usize, count: usize) -> Vec<usize> {
    (at + 1..tokens.len())
        .filter(|&index| tokens.get(index).is_some_and(|token| !is_blank(token)))
        .take(count)
        .collect()
}

/// The last token before `at` that is no blank.
fn preceding(tokens: &[TokenWithSpan], at: usize) -> Option<usize> {
    (0..at).rev().find(|&index| tokens.get(index).is_some_and(|token| !is_blank(token)))
}

fn word(tokens: &[TokenWithSpan], index: usize) -> String {
    tokens.get(index).map(|token| token.token.to_string().to_uppercase()).unwrap_or_default()
}
