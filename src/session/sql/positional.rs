//! `a POSITIONAL JOIN b`, which the parser does not read.
//!
//! POSITIONAL becomes GLOBAL CROSS, which the parser takes before JOIN and which nobody may write otherwise; then the cross join,
//! with all that stands before it as its left side, gets a [mark](super::marks).

use datafusion_sql::sqlparser::ast::{JoinOperator, TableFactor, TableWithJoins};
use datafusion_sql::sqlparser::keywords::Keyword;
use datafusion_sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::asof::{follows_name, keyword};
use super::marks::Mark;
use super::parse::span_of;
use crate::error::{Error, Result};

/// Puts the parser's words in place of POSITIONAL.
///
/// # Errors
/// `NOT_SUPPORTED` where these words are written.
pub(super) fn take(tokens: Vec<TokenWithSpan>) -> Result<Vec<TokenWithSpan>> {
    let words: Vec<usize> = (0..tokens.len())
        .filter(|&index| !tokens.get(index).is_some_and(|token| matches!(token.token, Token::Whitespace(_))))
        .collect();
    let mut places = Vec::new();
    for (at, pair) in words.windows(2).enumerate() {
        let &[index, next] = pair else { continue };
        match (keyword(&tokens, index), keyword(&tokens, next)) {
            (Keyword::GLOBAL, Keyword::CROSS) => {
                let error = Error::not_supported("GLOBAL CROSS JOIN");
                return Err(tokens.get(index).map_or(error.clone(), |token| error.span(span_of(token.span))));
            }
            (_, Keyword::JOIN) if is_positional(&tokens, index) && follows_name(&tokens, at, &words) => {
                let before = at.checked_sub(1).and_then(|at| words.get(at)).map(|&index| keyword(&tokens, index));
                if !matches!(before, Some(Keyword::FROM | Keyword::JOIN | Keyword::AS)) {
                    places.push(index);
                }
            }
            _ => {}
        }
    }
    if places.is_empty() {
        return Ok(tokens);
    }
    let mut out = Vec::with_capacity(tokens.len() + 2 * places.len());
    for (index, token) in tokens.into_iter().enumerate() {
        if places.contains(&index) {
            out.push(TokenWithSpan { token: Token::make_keyword("GLOBAL"), span: token.span });
            out.push(TokenWithSpan { token: Token::make_keyword("CROSS"), span: token.span });
        } else {
            out.push(token);
        }
    }
    Ok(out)
}

fn is_positional(tokens: &[TokenWithSpan], index: usize) -> bool {
    matches!(tokens.get(index).map(|token| &token.token), Some(Token::Word(word)) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case("positional"))
}

/// Marks the positional joins of `from`.
pub(super) fn mark(from: &mut TableWithJoins) {
    let is_positional =
        |operator: &JoinOperator, global: bool| global && matches!(operator, JoinOperator::CrossJoin(_));
    while let Some(at) = from.joins.iter().position(|join| is_positional(&join.join_operator, join.global)) {
        let behind = from.joins.split_off(at + 1);
        let Some(mut join) = from.joins.pop() else { return };
        join.global = false;
        let first = from.relation.clone();
        let left = match from.joins.is_empty() {
            true => first,
            false => {
                let joins = std::mem::take(&mut from.joins);
                let left = TableWithJoins { relation: first, joins };
                TableFactor::NestedJoin { table_with_joins: Box::new(left), alias: None }
            }
        };
        let both = TableWithJoins { relation: left, joins: vec![join] };
        let alias = Some(Mark::Positional.alias());
        *from = TableWithJoins {
            relation: TableFactor::NestedJoin { table_with_joins: Box::new(both), alias },
            joins: behind,
        };
    }
}
