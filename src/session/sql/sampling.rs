//! `TABLESAMPLE …` behind a table and `USING SAMPLE …` behind a query's clauses, read from the tokens: the parser knows
//! other forms of them.
//!
//! A sample is `10%`, `10 PERCENT`, `100` or `100 ROWS`, with or without parentheses; `(method)` or `(method, seed)` may
//! follow; or `method (size)`. `REPEATABLE (seed)` ends it.

use datafusion_sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::parse::span_of;
use crate::error::{Code, Error, Result};
use crate::plan::{SampleClause, SampleMethod, SampleSize};

/// Reads the sample that the tokens (without white space) begin with; gives it and how many tokens it is.
pub(super) fn read(tokens: &[&TokenWithSpan]) -> Result<(SampleClause, usize)> {
    let mut reader = Reader { tokens, at: 0 };
    let clause = reader.clause()?;
    Ok((clause, reader.at))
}

struct Reader<'a> {
    tokens: &'a [&'a TokenWithSpan],
    at: usize,
}

impl Reader<'_> {
    fn clause(&mut self) -> Result<SampleClause> {
        let mut method = self.method();
        let parenthesised = self.takes(&Token::LParen);
        let (size, mut seed) = (self.size()?, None);
        if parenthesised {
            self.expect(&Token::RParen)?;
        }
        if method.is_none() && self.takes(&Token::LParen) {
            method = self.method();
            if method.is_none() {
                return Err(self.unexpected("a method: bernoulli, system or reservoir"));
            }
            if self.takes(&Token::Comma) {
                seed = Some(self.integer()?);
            }
            self.expect(&Token::RParen)?;
        }
        if self.takes_word("repeatable") {
            self.expect(&Token::LParen)?;
            seed = Some(self.integer()?);
            self.expect(&Token::RParen)?;
        }
        let method = method.unwrap_or(match size {
            SampleSize::Percent(_) => SampleMethod::System,
            SampleSize::Rows(_) => SampleMethod::Reservoir,
        });
        if let (SampleMethod::Bernoulli, SampleSize::Rows(_)) = (method, size) {
            return Err(self.error("BERNOULLI takes a percentage").hint("reservoir(100 ROWS) takes exactly 100 rows"));
        }
        Ok(SampleClause { method, size, seed })
    }

    fn method(&mut self) -> Option<SampleMethod> {
        let methods = [
            ("bernoulli", SampleMethod::Bernoulli),
            ("system", SampleMethod::System),
            ("reservoir", SampleMethod::Reservoir),
        ];
        methods.into_iter().find(|(word, _)| self.takes_word(word)).map(|(_, method)| method)
    }

    fn size(&mut self) -> Result<SampleSize> {
        let number = self.number()?;
        let percent = self.takes(&Token::Mod) || self.takes_word("percent");
        if percent {
            return match (0.0..=100.0).contains(&number) {
                true => Ok(SampleSize::Percent(number)),
                false => Err(self.error(format!("a sample of {number}% is not between 0 and 100"))),
            };
        }
        self.takes_word("rows");
        Ok(SampleSize::Rows(number as u64))
    }

    fn number(&mut self) -> Result<f64> {
        let Some(Token::Number(text, _)) = self.peek() else {
            return Err(self.unexpected("how much is sampled: 10% or 100 ROWS"));
        };
        let number = text.parse().map_err(|_| self.unexpected("a number"))?;
        self.at += 1;
        Ok(number)
    }

    fn integer(&mut self) -> Result<u64> {
        let Some(Token::Number(text, _)) = self.peek() else { return Err(self.unexpected("a seed")) };
        let seed = text.parse().map_err(|_| self.unexpected("an integer"))?;
        self.at += 1;
        Ok(seed)
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|token| &token.token)
    }

    fn takes(&mut self, token: &Token) -> bool {
        let there = self.peek() == Some(token);
        self.at += usize::from(there);
        there
    }

    fn takes_word(&mut self, word: &str) -> bool {
        let there = matches!(self.peek(), Some(Token::Word(found)) if found.value.eq_ignore_ascii_case(word));
        self.at += usize::from(there);
        there
    }

    fn expect(&mut self, token: &Token) -> Result<()> {
        if self.takes(token) { Ok(()) } else { Err(self.unexpected(&format!("'{token}'"))) }
    }

    fn error(&self, message: impl Into<String>) -> Error {
        let place = self.tokens.get(self.at.saturating_sub(1)).map(|token| span_of(token.span));
        let error = Error::new(Code::InvalidQuery, message.into());
        match place {
            Some(place) => error.span(place),
            None => error,
        }
    }

    fn unexpected(&self, expected: &str) -> Error {
        let (found, place) = match self.tokens.get(self.at) {
            Some(token) => (format!("'{}'", token.token), Some(span_of(token.span))),
            None => ("the end of the statement".to_string(), self.tokens.last().map(|token| span_of(token.span))),
        };
        let error = Error::new(Code::Syntax, format!("expected {expected}, found {found}"));
        match place {
            Some(place) => error.span(place),
            None => error,
        }
    }
}
