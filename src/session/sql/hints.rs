//! Words of a statement that the parser does not read: taken out of the tokens, kept with their place.
//!
//! * `name AS [NOT] MATERIALIZED (…)` of a CTE;
//! * `USING SAMPLE …` of a query; `TABLESAMPLE …` behind a table becomes one that the parser reads, and whose number is
//!   the sample's among all of the statement.

use std::collections::HashMap;

use datafusion_sql::sqlparser::ast::{Ident, TableSample};
use datafusion_sql::sqlparser::keywords::Keyword;
use datafusion_sql::sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan};

use super::sampling;
use crate::error::Result;
use crate::plan::SampleClause;

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
    /// By the place of the query's SELECT.
    samples: HashMap<Location, SampleClause>,
    table_samples: Vec<SampleClause>,
}

impl Hints {
    /// Takes the hints out of `tokens`.
    ///
    /// # Errors
    /// `SYNTAX_ERROR` and `INVALID_QUERY` for a sample that is none.
    pub(super) fn take(tokens: Vec<TokenWithSpan>) -> Result<(Vec<TokenWithSpan>, Hints)> {
        let mut hints = Hints::default();
        let words: Vec<&TokenWithSpan> =
            tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_))).collect();
        let mut kept = Vec::with_capacity(words.len());
        let mut at = 0;
        while let Some(word) = words.get(at) {
            let (before, from_here) = words.split_at(at);
            let taken = hints.take_materialized(before, from_here);
            let taken = if taken == 0 { hints.take_sample(before, from_here, &mut kept)? } else { taken };
            if taken == 0 {
                kept.push(TokenWithSpan::clone(word));
            }
            at += taken.max(1);
        }
        if kept.len() == words.len() && hints.table_samples.is_empty() {
            return Ok((tokens, hints));
        }
        Ok((kept, hints))
    }

    /// Takes `[NOT] MATERIALIZED` behind AS and before a parenthesis; gives how many words that is.
    fn take_materialized(&mut self, before: &[&TokenWithSpan], from_here: &[&TokenWithSpan]) -> usize {
        let keywords: Vec<Keyword> = from_here.iter().take(2).map(|token| keyword(token)).collect();
        let (hint, count) = match keywords.as_slice() {
            [Keyword::NOT, Keyword::MATERIALIZED] => (Materialized::Never, 2),
            [Keyword::MATERIALIZED, ..] => (Materialized::Always, 1),
            _ => return 0,
        };
        let follows = from_here.get(count).map(|token| &token.token);
        let Some((as_word, before)) = before.split_last() else { return 0 };
        if keyword(as_word) != Keyword::AS || follows != Some(&Token::LParen) {
            return 0;
        }
        let Some(place) = name_before(before) else { return 0 };
        self.materialized.insert(place, hint);
        count
    }

    /// Takes a sample clause; gives how many words that is.
    fn take_sample(
        &mut self,
        before: &[&TokenWithSpan],
        from_here: &[&TokenWithSpan],
        kept: &mut Vec<TokenWithSpan>,
    ) -> Result<usize> {
        let is = |index: usize, word: &str| {
            matches!(from_here.get(index).map(|token| &token.token), Some(Token::Word(found))
                if found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word))
        };
        if is(0, "using") && is(1, "sample") {
            // `JOIN … USING sample` has a parenthesis before the name.
            let (clause, count) = sampling::read(from_here.get(2..).unwrap_or_default())?;
            if let Some(place) = select_before(before) {
                self.samples.insert(place, clause);
            }
            return Ok(count + 2);
        }
        let begins = |token: &Token| match token {
            Token::Number(_, _) | Token::LParen => true,
            Token::Word(word) => {
                ["bernoulli", "system", "reservoir"].iter().any(|method| word.value.eq_ignore_ascii_case(method))
            }
            _ => false,
        };
        if is(0, "tablesample") && from_here.get(1).is_some_and(|token| begins(&token.token)) {
            let (clause, count) = sampling::read(from_here.get(1..).unwrap_or_default())?;
            let number = self.table_samples.len().to_string();
            self.table_samples.push(clause);
            let place = from_here.first().map(|token| token.span).unwrap_or_else(Span::empty);
            kept.push(TokenWithSpan::new(Token::make_keyword("TABLESAMPLE"), place));
            for token in [Token::LParen, Token::Number(number, false), Token::make_keyword("ROWS"), Token::RParen] {
                kept.push(TokenWithSpan::new(token, place));
            }
            return Ok(count + 1);
        }
        Ok(0)
    }

    /// The sample of the query whose SELECT stands there.
    pub(super) fn of_select(&self, place: Location) -> Option<SampleClause> {
        self.samples.get(&place).copied()
    }

    /// The sample of a table.
    pub(super) fn of_table(&self, sample: &TableSample) -> Option<SampleClause> {
        let quantity = sample.quantity.as_ref()?;
        let number: usize = quantity.value.to_string().parse().ok()?;
        self.table_samples.get(number).copied()
    }

    /// What is said of the CTE of that name, at that place.
    pub(super) fn of_cte(&self, name: &Ident) -> Option<Materialized> {
        self.materialized.get(&name.span.start).copied()
    }
}

/// The keyword that the token at `index` is.
pub(super) fn keyword_at(tokens: &[TokenWithSpan], index: usize) -> Keyword {
    tokens.get(index).map_or(Keyword::NoKeyword, keyword)
}

fn keyword(token: &TokenWithSpan) -> Keyword {
    match &token.token {
        Token::Word(word) if word.quote_style.is_none() => word.keyword,
        _ => Keyword::NoKeyword,
    }
}

/// The place of the name that the words end in: `name` or `name (columns)`.
fn name_before(words: &[&TokenWithSpan]) -> Option<Location> {
    let mut depth = 0_usize;
    for token in words.iter().rev() {
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

/// The place of the SELECT of the query that the words are in.
fn select_before(words: &[&TokenWithSpan]) -> Option<Location> {
    let mut depth = 0_usize;
    for token in words.iter().rev() {
        match &token.token {
            Token::RParen => depth += 1,
            Token::LParen => depth = depth.checked_sub(1)?,
            _ if depth == 0 && keyword(token) == Keyword::SELECT => return Some(token.span.start),
            _ => {}
        }
    }
    None
}
