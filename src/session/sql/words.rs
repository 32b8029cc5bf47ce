//! The words of a statement, read one after another, for statements that the parser does not know or not wholly.
//!
//! Invariant: nothing is skipped silently; what is not read is asked for by [`Words::end`] or handed on as a slice.

use datafusion_sql::sqlparser::tokenizer::{Span as Place, Token, TokenWithSpan, Tokenizer, Whitespace};

use super::dialect::FloeDialect;
use super::parse::span_of;
use crate::error::{Code, Error, Result, Span};
use crate::session::names::Name;

/// A part of a statement.
pub(crate) type Tokens = Vec<TokenWithSpan>;

/// What is left to read of a statement without its white space and its semicolons.
#[derive(Debug, Clone)]
pub(crate) struct Words<'a> {
    tokens: &'a [TokenWithSpan],
    /// The place behind the last word that was read.
    place: Place,
}

/// The tokens without white space and without semicolons at the end. Texts that only a new line separates are one.
pub(crate) fn solid(tokens: Vec<TokenWithSpan>) -> Tokens {
    let mut solid = Tokens::with_capacity(tokens.len());
    let mut new_line = false;
    for token in tokens {
        match token.token {
            Token::Whitespace(Whitespace::Newline) => new_line = true,
            Token::Whitespace(_) | Token::EOF => {}
            Token::SingleQuotedString(more)
                if new_line && matches!(solid.last().map(|last| &last.token), Some(Token::SingleQuotedString(_))) =>
            {
                if let Some(TokenWithSpan { token: Token::SingleQuotedString(text), .. }) = solid.last_mut() {
                    text.push_str(&more);
                }
                new_line = false;
            }
            found => {
                solid.push(TokenWithSpan::new(found, token.span));
                new_line = false;
            }
        }
    }
    while matches!(solid.last(), Some(last) if last.token == Token::SemiColon) {
        solid.pop();
    }
    solid
}

/// The tokens of a text of floe's own, all at one place of the statement.
pub(crate) fn made(text: &str, place: Place) -> Result<Tokens> {
    let tokens = Tokenizer::new(&FloeDialect, text).tokenize();
    let tokens = tokens.map_err(|error| Error::internal(format!("a text of floe's own: {error}")))?;
    let tokens = tokens.into_iter().map(|token| TokenWithSpan::new(token, place)).collect();
    Ok(solid(tokens))
}

/// The tokens as a text that reads as them again.
pub(crate) fn written(tokens: &[TokenWithSpan]) -> String {
    let text = |token: &TokenWithSpan| match &token.token {
        Token::SingleQuotedString(text) => text_literal(text),
        Token::Word(word) if word.quote_style.is_some() => quoted(&word.value),
        other => other.to_string(),
    };
    tokens.iter().map(text).collect::<Vec<_>>().join(" ")
}

/// A name in double quotes.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text in single quotes.
pub(crate) fn text_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The place of the first of some tokens.
pub(crate) fn place_of(tokens: &[TokenWithSpan]) -> Place {
    tokens.first().map_or_else(Place::empty, |token| token.span)
}

fn is_word(token: &TokenWithSpan, word: &str) -> bool {
    matches!(&token.token, Token::Word(found) if found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word))
}

impl<'a> Words<'a> {
    pub(crate) fn new(tokens: &'a [TokenWithSpan]) -> Self {
        Words { tokens, place: place_of(tokens) }
    }

    /// What is left.
    pub(crate) fn rest(&self) -> &'a [TokenWithSpan] {
        self.tokens
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// The next word in upper case; empty for what is no word.
    pub(crate) fn peek(&self) -> String {
        self.peek_at(0)
    }

    /// The word behind `index` others in upper case.
    pub(crate) fn peek_at(&self, index: usize) -> String {
        match self.tokens.get(index).map(|token| &token.token) {
            Some(Token::Word(word)) if word.quote_style.is_none() => word.value.to_uppercase(),
            _ => String::new(),
        }
    }

    /// The place of the next word, or of the end.
    pub(crate) fn place(&self) -> Place {
        self.tokens.first().map_or(self.place, |token| token.span)
    }

    pub(crate) fn span(&self) -> Span {
        span_of(self.place())
    }

    fn skip(&mut self, count: usize) {
        if let Some(last) = count.checked_sub(1).and_then(|last| self.tokens.get(last)) {
            self.place = last.span;
        }
        self.tokens = self.tokens.get(count..).unwrap_or_default();
    }

    /// Reads these words if they come next.
    pub(crate) fn accept(&mut self, words: &str) -> bool {
        let words: Vec<&str> = words.split(' ').collect();
        let are_next =
            words.len() <= self.tokens.len() && words.iter().zip(self.tokens).all(|(word, token)| is_word(token, word));
        if are_next {
            self.skip(words.len());
        }
        are_next
    }

    /// Reads this sign if it comes next.
    pub(crate) fn accept_sign(&mut self, sign: &Token) -> bool {
        let is_next = self.tokens.first().is_some_and(|token| token.token == *sign);
        if is_next {
            self.skip(1);
        }
        is_next
    }

    /// Reads these words.
    pub(crate) fn expect(&mut self, words: &str) -> Result<()> {
        if self.accept(words) { Ok(()) } else { Err(self.unexpected(words)) }
    }

    /// Reads this sign.
    pub(crate) fn expect_sign(&mut self, sign: &Token) -> Result<()> {
        if self.accept_sign(sign) { Ok(()) } else { Err(self.unexpected(&sign.to_string())) }
    }

    /// The error for a word that should be another.
    pub(crate) fn unexpected(&self, expected: &str) -> Error {
        let found = self
            .tokens
            .first()
            .map_or_else(|| "the end of the statement".to_string(), |token| format!("'{}'", token.token));
        Error::new(Code::Syntax, format!("expected {expected}, found {found}")).span(self.span())
    }

    /// Reads one word as it was written.
    pub(crate) fn word(&mut self, what: &str) -> Result<String> {
        match self.tokens.first().map(|token| &token.token) {
            Some(Token::Word(word)) if word.quote_style != Some('\'') && !word.value.is_empty() => {
                let word = word.value.clone();
                self.skip(1);
                Ok(word)
            }
            _ => Err(self.unexpected(what)),
        }
    }

    /// Reads `name` or `schema.name`.
    pub(crate) fn name(&mut self, what: &str) -> Result<Name> {
        let first = self.word(what)?;
        if !self.accept_sign(&Token::Period) {
            return Ok(Name { schema: None, name: first });
        }
        let name = self.word(what)?;
        if self.tokens.first().is_some_and(|token| token.token == Token::Period) {
            return Err(Error::not_supported("a name of three parts").span(self.span()).hint("write schema.name"));
        }
        Ok(Name { schema: Some(first), name })
    }

    /// Reads up to the first of these words outside of parentheses and of CASE … END, or to the end. `IS DISTINCT FROM` holds no FROM.
    pub(crate) fn until(&mut self, words: &[&str]) -> &'a [TokenWithSpan] {
        let count = self.distance(|tokens, index| {
            let previous = index.checked_sub(1).and_then(|index| tokens.get(index));
            let stops = |token: &TokenWithSpan| words.iter().any(|word| is_word(token, word));
            tokens.get(index).is_some_and(stops) && !previous.is_some_and(|word| is_word(word, "DISTINCT"))
        });
        self.take(count)
    }

    /// Reads up to this sign outside of parentheses, or to the end.
    pub(crate) fn until_sign(&mut self, sign: &Token) -> &'a [TokenWithSpan] {
        let count = self.distance(|tokens, index| tokens.get(index).is_some_and(|token| token.token == *sign));
        self.take(count)
    }

    /// Reads what stands in the parentheses that come next.
    pub(crate) fn parenthesised(&mut self) -> Result<&'a [TokenWithSpan]> {
        self.expect_sign(&Token::LParen)?;
        let inner = self.until_sign(&Token::RParen);
        self.expect_sign(&Token::RParen)?;
        Ok(inner)
    }

    /// Reads all that is left.
    pub(crate) fn take_rest(&mut self) -> &'a [TokenWithSpan] {
        self.take(self.tokens.len())
    }

    fn take(&mut self, count: usize) -> &'a [TokenWithSpan] {
        let taken = self.tokens.get(..count).unwrap_or_default();
        self.skip(count);
        taken
    }

    /// How many words there are before the one that `stops` says.
    fn distance(&self, stops: impl Fn(&[TokenWithSpan], usize) -> bool) -> usize {
        // What is open: a parenthesis, or a CASE, whose WHEN is no other's.
        let mut open: Vec<bool> = Vec::new();
        for (index, token) in self.tokens.iter().enumerate() {
            if open.is_empty() && stops(self.tokens, index) {
                return index;
            }
            match token.token {
                Token::LParen | Token::LBracket | Token::LBrace => open.push(false),
                Token::RParen | Token::RBracket | Token::RBrace => while open.pop() == Some(true) {},
                Token::Word(_) if is_word(token, "CASE") => open.push(true),
                Token::Word(_) if is_word(token, "END") && open.last() == Some(&true) => {
                    open.pop();
                }
                _ => {}
            }
        }
        self.tokens.len()
    }

    /// An error if anything is left.
    pub(crate) fn end(&self) -> Result<()> {
        match self.tokens.first() {
            None => Ok(()),
            Some(token) => {
                let message = format!("unexpected '{}' behind the end of the statement", token.token);
                Err(Error::new(Code::Syntax, message).span(self.span()))
            }
        }
    }
}

/// The parts of a list that commas outside of parentheses separate.
pub(crate) fn parts(tokens: &[TokenWithSpan]) -> Vec<&[TokenWithSpan]> {
    let mut words = Words::new(tokens);
    let mut parts = Vec::new();
    while !words.is_empty() {
        parts.push(words.until_sign(&Token::Comma));
        words.accept_sign(&Token::Comma);
    }
    parts
}

/// An error for a clause of queries that has no meaning in a part of another statement.
pub(crate) fn refuse_clauses(tokens: &[TokenWithSpan], more: &[&str]) -> Result<()> {
    const CLAUSES: [&str; 12] = [
        "SELECT",
        "GROUP",
        "HAVING",
        "ORDER",
        "LIMIT",
        "OFFSET",
        "UNION",
        "EXCEPT",
        "INTERSECT",
        "WINDOW",
        "QUALIFY",
        "FETCH",
    ];
    let mut words = Words::new(tokens);
    words.until(&[&CLAUSES, more].concat());
    words.end()
}
