//! Words of a statement that the parser does not read: taken out of the tokens, kept with their place.
//!
//! * `name AS [NOT] MATERIALIZED (…)` of a CTE.

use std::collections::HashMap;

use datafusion_sql::sqlparser::ast::Ident;
use datafusion_sql::sqlparser::keywords::Keyword;
use datafusion_sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan};

/// Whether a CTE is computed once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Materialized {
    Always,
    Never,
}

/// What was taken out of a statement's tokens.
#[derive(Debug, Default, Clone)]
pub(crate) struct Hints {
    /// By the place of the CTE's name.
    materialized: HashMap<Location, Materialized>,
}

impl Hints {
    /// Takes the hints out of `tokens`.
    pub(super) fn take(tokens: Vec<TokenWithSpan>) -> (Vec<TokenWithSpan>, Hints) {
        let mut hints = Hints::default();
        let words: Vec<usize> = (0..tokens.len())
            .filter(|&index| !matches!(tokens.get(index).map(|token| &token.token), Some(Token::Whitespace(_))))
            .collect();
        let mut gone = Vec::new();
        for at in 0..words.len() {
            let keywords: Vec<Keyword> = words.iter().skip(at).take(3).map(|&index| keyword(&tokens, index)).collect();
            let (hint, count) = match keywords.as_slice() {
                [Keyword::AS, Keyword::NOT, Keyword::MATERIALIZED] => (Materialized::Never, 2),
                [Keyword::AS, Keyword::MATERIALIZED, ..] => (Materialized::Always, 1),
                _ => continue,
            };
            let follows = words.get(at + count + 1).and_then(|&index| tokens.get(index));
            if !matches!(follows.map(|token| &token.token), Some(Token::LParen)) {
                continue;
            }
            if let Some(place) = name_before(&tokens, words.get(..at).unwrap_or_default()) {
                hints.materialized.insert(place, hint);
                gone.extend(words.iter().skip(at + 1).take(count).copied());
            }
        }
        if gone.is_empty() {
            return (tokens, hints);
        }
        let kept = tokens.into_iter().enumerate().filter(|(index, _)| !gone.contains(index));
        (kept.map(|(_, token)| token).collect(), hints)
    }

    /// What is said of the CTE of that name, at that place.
    pub(super) fn of_cte(&self, name: &Ident) -> Option<Materialized> {
        self.materialized.get(&name.span.start).copied()
    }
}

/// The keyword that the token at `index` is.
pub(super) fn keyword(tokens: &[TokenWithSpan], index: usize) -> Keyword {
    match tokens.get(index).map(|token| &token.token) {
        Some(Token::Word(word)) if word.quote_style.is_none() => word.keyword,
        _ => Keyword::NoKeyword,
    }
}

/// The place of the name that the words end in: `name` or `name (columns)`.
fn name_before(tokens: &[TokenWithSpan], words: &[usize]) -> Option<Location> {
    let mut depth = 0_usize;
    for &index in words.iter().rev() {
        let token = tokens.get(index)?;
        match &token.token {
            Token::RParen => depth += 1,
            Token::LParen => depth = depth.checked_sub(1)?,
            Token::Word(_) if depth == 0 => return Some(token.span.start),
            _ if depth == 0 => return None,
            _ => {}
        }
    }
    None
}
