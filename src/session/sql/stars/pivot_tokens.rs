//! `PIVOT t ON b USING sum(a) GROUP BY k` and `UNPIVOT t ON a, b INTO NAME n VALUE v` as the tables of a query, which the parser reads.
//!
//! `SELECT * FROM t PIVOT (sum(a) FOR ("#on"(b), "#by"(k)) IN (ANY))` and `SELECT * FROM t UNPIVOT (v FOR n IN (a, b))`.

use datafusion_sql::sqlparser::keywords::Keyword;
use datafusion_sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan, Word};

use super::tokens::keyword;

/// What the expressions of ON, and of GROUP BY, are the arguments of.
pub(super) const ON: &str = "#on";
pub(super) const BY: &str = "#by";

/// Rewrites every such query; `words` are without white space.
pub(super) fn pivots(words: Vec<TokenWithSpan>, changed: &mut bool) -> Vec<TokenWithSpan> {
    let mut words = words;
    let mut at = 0;
    while at < words.len() {
        let word = keyword(words.get(at));
        if matches!(word, Keyword::PIVOT | Keyword::UNPIVOT)
            && begins_query(&words, at)
            && let Some((end, query)) = query(&words, at, word == Keyword::PIVOT)
        {
            words.splice(at..end, query);
            *changed = true;
        }
        at += 1;
    }
    words
}

fn begins_query(words: &[TokenWithSpan], at: usize) -> bool {
    let Some(before) = at.checked_sub(1).and_then(|index| words.get(index)) else { return true };
    match &before.token {
        Token::LParen => true,
        // Behind CTEs; behind a table in parentheses it is the other form, whose own parenthesis follows.
        Token::RParen => keyword(words.first()) == Keyword::WITH && parts(words, at).is_some(),
        _ => matches!(keyword(Some(before)), Keyword::AS | Keyword::EXPLAIN | Keyword::ANALYZE | Keyword::DESCRIBE),
    }
}

/// The parts of a statement: where its clauses begin, and where it ends.
struct Parts {
    on: usize,
    using: Option<usize>,
    into: Option<usize>,
    group: Option<usize>,
    rest: usize,
    end: usize,
}

fn parts(words: &[TokenWithSpan], at: usize) -> Option<Parts> {
    let mut depth = 0_usize;
    let (mut on, mut using, mut into, mut group, mut rest) = (None, None, None, None, None);
    let mut end = words.len();
    for (index, token) in words.iter().enumerate().skip(at + 1) {
        match &token.token {
            Token::LParen | Token::LBracket | Token::LBrace => depth += 1,
            Token::RParen | Token::RBracket | Token::RBrace if depth > 0 => depth -= 1,
            Token::RParen | Token::SemiColon | Token::EOF if depth == 0 => {
                end = index;
                break;
            }
            _ if depth > 0 => {}
            _ => match keyword(Some(token)) {
                Keyword::ON if on.is_none() => on = Some(index),
                Keyword::USING if on.is_some() && using.is_none() => using = Some(index),
                Keyword::INTO if on.is_some() && into.is_none() => into = Some(index),
                Keyword::GROUP if on.is_some() && group.is_none() => group = Some(index),
                Keyword::ORDER | Keyword::LIMIT | Keyword::UNION if on.is_some() && rest.is_none() => {
                    rest = Some(index)
                }
                _ => {}
            },
        }
    }
    Some(Parts { on: on?, using, into, group, rest: rest.unwrap_or(end), end })
}

fn query(words: &[TokenWithSpan], at: usize, is_pivot: bool) -> Option<(usize, Vec<TokenWithSpan>)> {
    let parts = parts(words, at)?;
    let span = words.get(at)?.span;
    let source = words.get(at + 1..parts.on)?;
    if source.is_empty() {
        return None;
    }
    let until = |from: usize| {
        let ends = [parts.using, parts.into, parts.group, Some(parts.rest), Some(parts.end)];
        ends.into_iter().flatten().filter(|&end| end > from).min().unwrap_or(parts.end)
    };
    let on = words.get(parts.on + 1..until(parts.on))?;
    let mut out = Builder { out: Vec::new(), span };
    out.keywords(&["SELECT"]).token(Token::Mul).keywords(&["FROM"]).copy(source);
    if is_pivot {
        let using = parts.using.and_then(|using| words.get(using + 1..until(using)));
        out.keywords(&["PIVOT"]).token(Token::LParen);
        match using {
            Some(aggregates) => out.copy(aggregates),
            None => out.keywords(&["count"]).token(Token::LParen).token(Token::Mul).token(Token::RParen),
        };
        out.keywords(&["FOR"]).token(Token::LParen).name(ON).token(Token::LParen).copy(on).token(Token::RParen);
        // GROUP BY: two words.
        if let Some(by) = parts.group.and_then(|group| words.get(group + 2..until(group))) {
            let is_empty = matches!(by, [open, close] if open.token == Token::LParen && close.token == Token::RParen);
            let by = if is_empty { &[] } else { by };
            out.token(Token::Comma).name(BY).token(Token::LParen).copy(by).token(Token::RParen);
        }
        out.token(Token::RParen).keywords(&["IN"]).token(Token::LParen).keywords(&["ANY"]).token(Token::RParen);
        out.token(Token::RParen);
    } else {
        let into = parts.into.and_then(|into| words.get(into + 1..until(into))).unwrap_or_default();
        let (name, value) = unpivot_names(into)?;
        let on = match on {
            [open, inner @ .., close] if open.token == Token::LParen && close.token == Token::RParen => inner,
            on => on,
        };
        out.keywords(&["UNPIVOT"]).token(Token::LParen).name(&value).keywords(&["FOR"]).name(&name).keywords(&["IN"]);
        out.token(Token::LParen).copy(on).token(Token::RParen).token(Token::RParen);
    }
    let rest = words.get(parts.rest..parts.end)?;
    out.copy(rest);
    Some((parts.end, out.out))
}

/// `NAME n VALUE v`.
fn unpivot_names(into: &[TokenWithSpan]) -> Option<(String, String)> {
    let text = |token: &TokenWithSpan| match &token.token {
        Token::Word(word) => Some(word.value.clone()),
        _ => None,
    };
    match into {
        [] => Some(("name".to_string(), "value".to_string())),
        [name_word, name, value_word, value]
            if text(name_word)?.eq_ignore_ascii_case("name") && text(value_word)?.eq_ignore_ascii_case("value") =>
        {
            Some((text(name)?, text(value)?))
        }
        _ => None,
    }
}

/// Tokens in the place of others.
struct Builder {
    out: Vec<TokenWithSpan>,
    span: Span,
}

impl Builder {
    fn token(&mut self, token: Token) -> &mut Self {
        self.out.push(TokenWithSpan { token, span: self.span });
        self
    }

    fn keywords(&mut self, words: &[&str]) -> &mut Self {
        for word in words {
            self.token(Token::make_keyword(word));
        }
        self
    }

    fn name(&mut self, name: &str) -> &mut Self {
        let word = Word { value: name.to_string(), quote_style: Some('"'), keyword: Keyword::NoKeyword };
        self.token(Token::Word(word))
    }

    fn copy(&mut self, tokens: &[TokenWithSpan]) -> &mut Self {
        self.out.extend_from_slice(tokens);
        self
    }
}
