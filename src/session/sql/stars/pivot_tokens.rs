//! `PIVOT t ON b USING sum(a) GROUP BY k` and `UNPIVOT t ON a, b INTO NAME n VALUE v` as the tables of a query, which the parser reads.
//!
//! `SELECT * FROM t PIVOT ("#using"(sum(a)) FOR ("#on"(b), "#by"(k)) IN (ANY))` and `SELECT * FROM t UNPIVOT (v FOR n IN (a, b))`.
//! `t PIVOT (sum(a) FOR b IN ('x') c IN (1) GROUP BY k)` becomes the same, and `'x' AS ex` in a list of values `"#as"('x', 'ex')`.

use datafusion_sql::sqlparser::keywords::Keyword;
use datafusion_sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan, Word};

use super::tokens::keyword;

/// What the expressions of ON, of GROUP BY and of USING are the arguments of, and a value and its name.
pub(super) const ON: &str = "#on";
pub(super) const BY: &str = "#by";
pub(super) const USING: &str = "#using";
pub(super) const AS: &str = "#as";

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
        } else if word == Keyword::PIVOT
            && let Some((end, table)) = table(&words, at)
        {
            words.splice(at..end, table);
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

/// The parts of a statement: where the table ends and its clauses begin, and where it ends.
struct Parts {
    source: usize,
    on: Option<usize>,
    using: Option<usize>,
    into: Option<usize>,
    group: Option<usize>,
    rest: usize,
    end: usize,
}

fn parts(words: &[TokenWithSpan], at: usize) -> Option<Parts> {
    let mut depth = 0_usize;
    let (mut on, mut using, mut into, mut group, mut rest) = (None, None, None, None, None);
    // Without ON the last USING begins the aggregates: others belong to joins.
    let mut last_using = None;
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
                Keyword::USING => last_using = Some(index),
                Keyword::INTO if on.is_some() && into.is_none() => into = Some(index),
                Keyword::GROUP if group.is_none() => group = Some(index),
                Keyword::ORDER | Keyword::LIMIT | Keyword::UNION if rest.is_none() => rest = Some(index),
                _ => {}
            },
        }
    }
    let using = using.or(last_using);
    let source = on.or(using)?;
    Some(Parts { source, on, using, into, group, rest: rest.unwrap_or(end), end })
}

fn query(words: &[TokenWithSpan], at: usize, is_pivot: bool) -> Option<(usize, Vec<TokenWithSpan>)> {
    let parts = parts(words, at)?;
    let span = words.get(at)?.span;
    let source = words.get(at + 1..parts.source)?;
    if source.is_empty() {
        return None;
    }
    let until = |from: usize| {
        let ends = [parts.using, parts.into, parts.group, Some(parts.rest), Some(parts.end)];
        ends.into_iter().flatten().filter(|&end| end > from).min().unwrap_or(parts.end)
    };
    let on = match parts.on {
        Some(on) => words.get(on + 1..until(on))?,
        None if is_pivot => &[],
        None => return None,
    };
    let mut out = Builder { out: Vec::new(), span };
    out.keywords(&["SELECT"]).token(Token::Mul).keywords(&["FROM"]).copy(source);
    if is_pivot {
        let using = parts.using.and_then(|using| words.get(using + 1..until(using)));
        // GROUP BY: two words.
        let by = parts.group.and_then(|group| words.get(group + 2..until(group)));
        out.pivot(using, &separated(on), by);
    } else {
        let into = parts.into.and_then(|into| words.get(into + 1..until(into))).unwrap_or_default();
        let (name, values) = unpivot_names(into)?;
        let on = match (on, separated(on).as_slice()) {
            ([open, inner @ .., close], [_])
                if open.token == Token::LParen && close.token == Token::RParen && values.len() == 1 =>
            {
                inner
            }
            _ => on,
        };
        out.keywords(&["UNPIVOT"]).token(Token::LParen);
        match values.as_slice() {
            [value] => out.name(value),
            values => {
                out.token(Token::LParen);
                out.list(values, |out, value| {
                    out.name(value);
                });
                out.token(Token::RParen)
            }
        };
        out.keywords(&["FOR"]).name(&name).keywords(&["IN"]).token(Token::LParen);
        out.list(&separated(on), |out, column| {
            let is_star = column.first().is_some_and(|token| token.token == Token::Mul);
            match is_star {
                true => out.keywords(&["COLUMNS"]).token(Token::LParen).copy(column).token(Token::RParen),
                false => out.copy(column),
            };
        });
        out.token(Token::RParen).token(Token::RParen);
    }
    let rest = words.get(parts.rest..parts.end)?;
    out.copy(rest);
    Some((parts.end, out.out))
}

/// `PIVOT (sum(a) FOR b IN ('x') c IN (1) GROUP BY k)` behind a table, where the parser does not read it.
fn table(words: &[TokenWithSpan], at: usize) -> Option<(usize, Vec<TokenWithSpan>)> {
    let open = at + 1;
    let close = closing(words, open)?;
    let inner = words.get(open + 1..close)?;
    let clause = |wanted: Keyword| {
        let mut depth = 0_usize;
        inner.iter().position(|token| {
            depth = deeper(depth, &token.token);
            depth == 0 && keyword(Some(token)) == wanted
        })
    };
    let begins = clause(Keyword::FOR)?;
    let group = clause(Keyword::GROUP);
    let aggregates = inner.get(..begins)?;
    let on = inner.get(begins + 1..group.unwrap_or(inner.len()))?;
    let columns = values_behind(on)?;
    if columns.len() < 2 && group.is_none() && !is_more_than_call(aggregates) {
        return None;
    }
    let by = group.and_then(|group| inner.get(group + 2..));
    let mut out = Builder { out: Vec::new(), span: words.get(at)?.span };
    out.pivot(Some(aggregates), &columns, by);
    Some((close + 1, out.out))
}

/// `b IN (…) c IN (…)` in its parts; `None` for anything else.
fn values_behind(on: &[TokenWithSpan]) -> Option<Vec<&[TokenWithSpan]>> {
    let mut parts = Vec::new();
    let mut rest = on;
    while !rest.is_empty() {
        let at = rest.iter().position(|token| keyword(Some(token)) == Keyword::IN)?;
        let end = closing(rest, at + 1)?;
        if keyword(rest.get(at + 2)) == Keyword::ANY || keyword(rest.get(at + 2)) == Keyword::SELECT {
            return None;
        }
        parts.push(rest.get(..=end)?);
        rest = rest.get(end + 1..)?;
    }
    Some(parts)
}

/// Whether an aggregate is not just a call, with or without an alias.
fn is_more_than_call(aggregates: &[TokenWithSpan]) -> bool {
    separated(aggregates).into_iter().any(|aggregate| {
        let end = closing(aggregate, 1).map(|end| end + 1);
        end.and_then(|end| aggregate.get(end)).is_some_and(|behind| !matches!(behind.token, Token::Word(_)))
    })
}

/// The depth of parentheses behind a token.
fn deeper(depth: usize, token: &Token) -> usize {
    match token {
        Token::LParen | Token::LBracket | Token::LBrace => depth + 1,
        Token::RParen | Token::RBracket | Token::RBrace => depth.saturating_sub(1),
        _ => depth,
    }
}

/// Where the parenthesis is closed that is at `open`.
fn closing(words: &[TokenWithSpan], open: usize) -> Option<usize> {
    if words.get(open)?.token != Token::LParen {
        return None;
    }
    let mut depth = 0_usize;
    let inside = words.get(open..)?.iter().position(|token| {
        depth = deeper(depth, &token.token);
        depth == 0
    });
    inside.map(|index| open + index)
}

/// The parts between commas.
fn separated(words: &[TokenWithSpan]) -> Vec<&[TokenWithSpan]> {
    let mut depth = 0_usize;
    let parts = words.split(|token| {
        depth = deeper(depth, &token.token);
        depth == 0 && token.token == Token::Comma
    });
    parts.filter(|part| !part.is_empty()).collect()
}

/// `NAME n VALUE v, w`.
fn unpivot_names(into: &[TokenWithSpan]) -> Option<(String, Vec<String>)> {
    let text = |token: &TokenWithSpan| match &token.token {
        Token::Word(word) => Some(word.value.clone()),
        _ => None,
    };
    match into {
        [] => Some(("name".to_string(), vec!["value".to_string()])),
        [name_word, name, value_word, values @ ..]
            if text(name_word)?.eq_ignore_ascii_case("name") && text(value_word)?.eq_ignore_ascii_case("value") =>
        {
            let value = |part: &[TokenWithSpan]| match part {
                [value] => text(value),
                _ => None,
            };
            let values = separated(values).into_iter().map(value).collect::<Option<Vec<_>>>()?;
            (!values.is_empty()).then_some((text(name)?, values))
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

    /// The items with commas between them.
    fn list<T>(&mut self, items: &[T], mut put: impl FnMut(&mut Self, &T)) -> &mut Self {
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.token(Token::Comma);
            }
            put(self, item);
        }
        self
    }

    /// `PIVOT ("#using"(aggregate) AS name FOR ("#on"(columns), "#by"(groups)) IN (ANY))`.
    fn pivot(&mut self, using: Option<&[TokenWithSpan]>, on: &[&[TokenWithSpan]], by: Option<&[TokenWithSpan]>) {
        self.keywords(&["PIVOT"]).token(Token::LParen);
        match using {
            Some(aggregates) => self.list(&separated(aggregates), |out, aggregate| out.aggregate(aggregate)),
            None => self.keywords(&["count"]).token(Token::LParen).token(Token::Mul).token(Token::RParen),
        };
        self.keywords(&["FOR"]).token(Token::LParen).name(ON).token(Token::LParen);
        self.list(on, |out, column| out.with_named_values(column)).token(Token::RParen);
        if let Some(by) = by {
            let is_empty = matches!(by, [open, close] if open.token == Token::LParen && close.token == Token::RParen);
            let by = if is_empty { &[] } else { by };
            self.token(Token::Comma).name(BY).token(Token::LParen).copy(by).token(Token::RParen);
        }
        self.token(Token::RParen).keywords(&["IN"]).token(Token::LParen).keywords(&["ANY"]).token(Token::RParen);
        self.token(Token::RParen);
    }

    fn aggregate(&mut self, aggregate: &[TokenWithSpan]) {
        let (expr, alias) = match aggregate {
            [expr @ .., word, alias] if keyword(Some(word)) == Keyword::AS => (expr, Some(alias)),
            [expr @ .., alias] if matches!(alias.token, Token::Word(_)) => {
                match expr.last().map(|token| &token.token) {
                    Some(Token::RParen) => (expr, Some(alias)),
                    _ => (aggregate, None),
                }
            }
            _ => (aggregate, None),
        };
        self.name(USING).token(Token::LParen).copy(expr).token(Token::RParen);
        if let Some(alias) = alias {
            self.keywords(&["AS"]).copy(std::slice::from_ref(alias));
        }
    }

    /// The column, with the names of its values as the parser reads them.
    fn with_named_values(&mut self, column: &[TokenWithSpan]) {
        let list = column.iter().position(|token| keyword(Some(token)) == Keyword::IN).map(|at| at + 1);
        let values = list.and_then(|open| Some((open, closing(column, open)?)));
        let inside = values
            .and_then(|(open, close)| Some((column.get(..=open)?, column.get(open + 1..close)?, column.get(close..)?)));
        let Some((before, values, behind)) = inside else {
            self.copy(column);
            return;
        };
        self.copy(before).list(&separated(values), |out, value| match *value {
            [value @ .., word, alias] if keyword(Some(word)) == Keyword::AS => {
                let name = match &alias.token {
                    Token::Word(word) => word.value.clone(),
                    Token::SingleQuotedString(text) => text.clone(),
                    other => other.to_string(),
                };
                out.name(AS).token(Token::LParen).copy(value).token(Token::Comma);
                out.token(Token::SingleQuotedString(name)).token(Token::RParen);
            }
            value => {
                out.copy(value);
            }
        });
        self.copy(behind);
    }

    fn copy(&mut self, tokens: &[TokenWithSpan]) -> &mut Self {
        self.out.extend_from_slice(tokens);
        self
    }
}
