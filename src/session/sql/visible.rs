//! The common table expressions that a place of a statement sees, while its tokens are read one after another.

use datafusion_sql::sqlparser::tokenizer::{Span as Place, Token, TokenWithSpan};

use super::words::{Tokens, Words, made};
use crate::error::Result;
use crate::session::names::Name;

/// The common table expressions around a place, outermost first.
#[derive(Default)]
pub(crate) struct Visible {
    /// Within no parentheses, then one for each that is open.
    levels: Vec<Level>,
    recursive: bool,
}

#[derive(Default)]
struct Level {
    whole: Vec<Tokens>,
    /// Where the one begins that is being read.
    begin: Option<usize>,
}

impl Visible {
    /// Learns of the next token; `read` are those before it, `next` it and those behind it.
    pub(super) fn read(&mut self, read: &[TokenWithSpan], next: &[TokenWithSpan]) {
        if self.levels.is_empty() {
            self.levels.push(Level::default());
        }
        let words = Words::new(next);
        let Some(level) = self.levels.last_mut() else { return };
        let closed = read.last().is_some_and(|token| token.token == Token::RParen);
        if let Some(begin) = level.begin.filter(|_| closed && !["AS", "USING"].contains(&words.peek().as_str())) {
            level.whole.push(read.get(begin..).unwrap_or_default().to_vec());
            let more = next.first().is_some_and(|token| token.token == Token::Comma);
            level.begin = more.then_some(read.len() + 1);
        }
        if words.peek() == "WITH" {
            let names = if words.peek_at(1) == "RECURSIVE" { 2 } else { 1 };
            let is_list = next.get(names + 1).is_some_and(|token| token.token == Token::LParen);
            if is_list || ["AS", "USING"].contains(&words.peek_at(names + 1).as_str()) {
                level.begin = Some(read.len() + names);
                self.recursive |= names == 2;
            }
        }
        match next.first().map(|token| &token.token) {
            Some(Token::LParen) => self.levels.push(Level::default()),
            Some(Token::RParen) if self.levels.len() > 1 => drop(self.levels.pop()),
            _ => {}
        }
    }

    /// Whether the place is within no parentheses.
    pub(super) fn is_outermost(&self) -> bool {
        self.levels.len() < 2
    }

    pub(super) fn has(&self, name: &Name) -> bool {
        name.schema.is_none() && self.all().iter().any(|one| Visible::name(one) == name.name.to_lowercase())
    }

    /// The query with all of them before it.
    pub(super) fn before(&self, query: &Tokens, place: Place) -> Result<Tokens> {
        let all = self.all();
        if all.is_empty() {
            return Ok(query.clone());
        }
        let mut whole = made(if self.recursive { "WITH RECURSIVE" } else { "WITH" }, place)?;
        for (index, one) in all.into_iter().enumerate() {
            if index > 0 {
                whole.extend(made(",", place)?);
            }
            whole.extend(one.iter().cloned());
        }
        whole.extend(made("SELECT * FROM (", place)?);
        whole.extend(query.iter().cloned());
        whole.extend(made(")", place)?);
        Ok(whole)
    }

    /// Those that no inner one of their name hides.
    fn all(&self) -> Vec<&Tokens> {
        let all: Vec<&Tokens> = self.levels.iter().flat_map(|level| &level.whole).collect();
        let names: Vec<String> = all.iter().map(|one| Visible::name(one)).collect();
        let is_last =
            |(index, _): &(usize, &Tokens)| !names.iter().skip(index + 1).any(|name| Some(name) == names.get(*index));
        all.into_iter().enumerate().filter(is_last).map(|(_, one)| one).collect()
    }

    fn name(one: &[TokenWithSpan]) -> String {
        Words::new(one).word("a name").unwrap_or_default().to_lowercase()
    }
}
