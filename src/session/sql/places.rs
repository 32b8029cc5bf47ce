//! Where in a statement an error is that comes without a place: of running it, or of a library that does not know the text.
//!
//! Invariant: no place is given where the text has two that would do; what stands in views and macros is not in the text.

use datafusion_sql::sqlparser::keywords::Keyword;
use datafusion_sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::parse::{span_of, tokens};
use super::words::solid;
use crate::error::{Code, Error, Span};
use crate::expr::functions;
use crate::expr::types::{sql_type_from_name, sql_type_name};

/// What to try where a value does not fit the type of a CAST.
const TRY_CAST: &str = "TRY_CAST gives NULL for what cannot be cast";

/// The error with its place in `sql`, where the text and the sentence tell it.
pub(super) fn located(error: Error, sql: &str) -> Error {
    use Code as C;
    let is_of_the_text = !matches!(error.code(), C::OutOfMemory | C::SpillFailed | C::Cancelled | C::Internal | C::Io);
    if error.sql_span().is_some() || !is_of_the_text {
        return error;
    }
    let Ok(tokens) = tokens(sql) else { return error };
    let text = Text(&solid(tokens));
    let message = error.message();
    let written_cast = || text.cast(message).map(|place| (place, Some(TRY_CAST)));
    let found = text.literal(message).or_else(|| match error.code() {
        C::InvalidCast => written_cast(),
        _ => None,
    });
    let plain = |place| Some((place, None));
    let found = found
        .or_else(|| plain(text.operator(&error)?))
        .or_else(|| plain(text.name(message)?))
        .or_else(|| plain(text.call(&error)?));
    match found {
        Some((place, Some(hint))) => error.span(place).hint(hint),
        Some((place, None)) => error.span(place),
        None => error,
    }
}

/// The solid tokens of a statement.
struct Text<'a>(&'a [TokenWithSpan]);

impl Text<'_> {
    fn token(&self, at: usize) -> Option<&Token> {
        self.0.get(at).map(|token| &token.token)
    }

    fn is_word(&self, at: usize, word: &str) -> bool {
        matches!(self.token(at), Some(Token::Word(found)) if found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word))
    }

    /// The place from one token to another.
    fn place(&self, from: usize, to: usize) -> Option<Span> {
        let mut span = self.0.get(from)?.span;
        span.end = self.0.get(to)?.span.end;
        Some(span_of(span))
    }

    /// The only one of the tokens.
    fn only(&self, holds: impl Fn(usize) -> bool) -> Option<usize> {
        let mut found = (0..self.0.len()).filter(|at| holds(*at));
        found.next().filter(|_| found.next().is_none())
    }

    /// The place of the literal that the sentence begins with, and what to try where it is cast.
    fn literal(&self, message: &str) -> Option<(Span, Option<&'static str>)> {
        let holds: Box<dyn Fn(usize) -> bool + '_> = if let Some(rest) = message.strip_prefix('\'') {
            // Long values are cut in messages.
            let shown = [" cannot be ", " does not ", " is no", " has no"];
            let end = shown.iter().filter_map(|words| rest.find(&format!("'{words}"))).min()?;
            let value = rest.get(..end)?;
            let is_cut = value.chars().count() >= 50;
            Box::new(move |at| match self.token(at) {
                Some(Token::SingleQuotedString(text)) => text == value || is_cut && text.starts_with(value),
                _ => false,
            })
        } else {
            let number = message.strip_prefix("ORDER BY ").unwrap_or(message).split(' ').next()?;
            let digits = number.trim_start_matches('-').trim_end_matches(':');
            if digits.is_empty() || !digits.starts_with(|digit: char| digit.is_ascii_digit()) {
                return None;
            }
            Box::new(
                move |at| matches!(self.token(at), Some(Token::Number(text, _)) if text.replace('_', "") == digits),
            )
        };
        let at = self.only(&*holds).or_else(|| self.only(|at| holds(at) && self.is_cast(at)))?;
        let hint = self.is_cast(at).then_some(TRY_CAST);
        Some((self.place(at, at)?, hint.filter(|_| self.is_written_cast(at))))
    }

    /// Whether the literal is cast where it stands: `'x'::T`, `CAST('x' AS T)` or `DATE 'x'`.
    fn is_cast(&self, at: usize) -> bool {
        let before = at.checked_sub(1).and_then(|before| self.token(before));
        let has_type_before = matches!(before, Some(Token::Word(word)) if word.quote_style.is_none() && sql_type_from_name(&word.value).is_ok());
        self.is_written_cast(at) || has_type_before
    }

    fn is_written_cast(&self, at: usize) -> bool {
        let is_in_call = at >= 2 && self.token(at - 1) == Some(&Token::LParen) && self.is_word(at - 2, "cast");
        self.token(at + 1) == Some(&Token::DoubleColon) || is_in_call
    }

    /// The place of the only CAST to the type that the sentence names.
    fn cast(&self, message: &str) -> Option<Span> {
        let wanted = [" cannot be read as ", " does not fit "].iter().find_map(|words| message.split_once(words))?.1;
        let wanted = wanted.trim_start_matches("an ").trim_start_matches("a ");
        let fits = |name: &str| match sql_type_from_name(name) {
            Ok(data_type) if wanted == "integer" => data_type.is_integer() || data_type.is_decimal(),
            Ok(data_type) if wanted.starts_with("DECIMAL of ") => data_type.is_decimal(),
            Ok(data_type) => sql_type_name(&data_type) == wanted || data_type.is_nested(),
            // A type of the session's, or one in many words.
            Err(_) => true,
        };
        let mut found = (0..self.0.len()).filter_map(|at| self.cast_at(at)).filter(|(_, _, name)| fits(name));
        let (from, to, _) = found.next().filter(|_| found.next().is_none())?;
        self.place(from, to)
    }

    /// First and last token of the cast whose `::` or CAST stands there, and its type.
    fn cast_at(&self, at: usize) -> Option<(usize, usize, String)> {
        let name = |from: usize, to: usize| {
            let words = (from..=to).filter_map(|at| self.token(at));
            words.map(Token::to_string).collect::<Vec<_>>().join(" ")
        };
        if self.token(at) == Some(&Token::DoubleColon) {
            let mut last = at + 1;
            while matches!(self.token(last + 1), Some(Token::LParen | Token::LBracket)) {
                last = self.closing(last + 1)?;
            }
            let is_operand = matches!(at.checked_sub(1).and_then(|before| self.token(before)), Some(Token::Word(_)));
            return Some((if is_operand { at - 1 } else { at }, last, name(at + 1, last)));
        }
        if !self.is_word(at, "cast") || self.token(at + 1) != Some(&Token::LParen) {
            return None;
        }
        let last = self.closing(at + 1)?;
        let before_type = (at..last).rev().find(|at| self.is_word(*at, "as"))?;
        Some((at, last, name(before_type + 1, last - 1)))
    }

    /// The token that closes the bracket there.
    fn closing(&self, open: usize) -> Option<usize> {
        let mut depth = 0_usize;
        for at in open..self.0.len() {
            match self.token(at) {
                Some(Token::LParen | Token::LBracket) => depth += 1,
                Some(Token::RParen | Token::RBracket) => {
                    depth = depth.checked_sub(1)?;
                    if depth == 0 {
                        return Some(at);
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// The place of the operator that overflowed, divided by zero or does not take its operands.
    fn operator(&self, error: &Error) -> Option<Span> {
        let message = error.message();
        if error.code() == Code::DivisionByZero {
            let divides = |at: usize| matches!(self.token(at), Some(Token::Div | Token::DuckIntDiv | Token::Mod));
            let is_zero = |at: usize| matches!(self.token(at), Some(Token::Number(text, _)) if text.parse::<f64>().is_ok_and(|number| number == 0.0));
            let at = self.only(divides).or_else(|| self.only(|at| divides(at) && is_zero(at + 1)))?;
            return self.place(at, at);
        }
        if let Some((_, rest)) = message.split_once("there is no operator ") {
            let sign = rest.split(' ').next()?;
            let at = self.only(|at| self.token(at).is_some_and(|token| token.to_string() == sign))?;
            return self.place(at, at);
        }
        let (_, rest) = message.split_once(" overflow in ")?;
        let expression = rest.rsplit_once(" (").map_or(rest, |(expression, _)| expression);
        let is_sign = |at: usize| matches!(self.token(at), Some(Token::Plus | Token::Minus | Token::Mul));
        let is_it = |at: usize| {
            let parts =
                [at.wrapping_sub(1), at, at + 1].map(|at| self.token(at).map(Token::to_string).unwrap_or_default());
            is_sign(at) && parts.join(" ") == expression
        };
        let in_message =
            |at: usize| is_sign(at) && self.token(at).is_some_and(|token| expression.contains(&format!(" {token} ")));
        let at = self.only(is_it).or_else(|| self.only(in_message))?;
        self.place(at, at)
    }

    /// The place of the only word that the sentence has in double quotes; of several the last one when there may be one only.
    fn name(&self, message: &str) -> Option<Span> {
        let quoted = message.split('"').nth(1)?;
        let name = quoted.rsplit('.').next()?;
        let holds =
            |at: usize| matches!(self.token(at), Some(Token::Word(word)) if word.value.eq_ignore_ascii_case(name));
        let is_twice = message.starts_with("two ");
        let at = self.only(holds).or_else(|| (0..self.0.len()).rev().find(|at| is_twice && holds(*at)))?;
        self.place(at, at)
    }

    /// The place of the only call of the function that the error is of, by any of its names; of an aggregate in WHERE, of that.
    fn call(&self, error: &Error) -> Option<Span> {
        let known = functions();
        let called = |at: usize| match (self.token(at), self.token(at + 1)) {
            (Some(Token::Word(word)), Some(Token::LParen)) => Some(word.value.to_lowercase()),
            _ => None,
        };
        if error.message().starts_with("an aggregate cannot stand in WHERE") {
            let start =
                self.only(|at| matches!(self.token(at), Some(Token::Word(word)) if word.keyword == Keyword::WHERE))?;
            let at =
                (start..self.0.len()).find(|at| called(*at).is_some_and(|name| known.aggregate.contains_key(&name)))?;
            return self.place(at, self.closing(at + 1)?);
        }
        let first = error.message().split(' ').next().filter(|_| error.code() == Code::UnknownFunction);
        let wanted = error.function().or(first)?;
        let is_it = |name: String| {
            let by_alias = || known.scalar.get(&name).is_some_and(|function| function.name() == wanted);
            name == wanted || by_alias()
        };
        let at = self.only(|at| called(at).is_some_and(is_it))?;
        self.place(at, at)
    }
}
