//! Forms of the select list and of FROM that the parser does not read, in tokens that it reads.
//!
//! * `* [NOT] LIKE 'a%'` (ILIKE, GLOB, SIMILAR TO) is `COLUMNS(lambda name: name [NOT] LIKE 'a%')`;
//! * `f(*COLUMNS(…))` and `[*COLUMNS(…)]` call COLUMNS under another name;
//! * `#2`, the second column of FROM, calls it under a third one;
//! * `GROUP BY *` is `GROUP BY ALL`;
//! * `x: a + 1` is `a + 1 AS x`, and in FROM `r: t` is `t AS r`.

use datafusion_sql::sqlparser::keywords::Keyword;
use datafusion_sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan, Word};

use super::pivot_tokens::pivots;

/// What `*COLUMNS` is called.
pub(super) const UNPACKED: &str = "*columns";

/// What `#` before a number is called.
pub(super) const POSITION: &str = "#column";

/// The parameter of the lambda that `* LIKE` becomes.
const NAME: &str = "column name";

/// Rewrites the tokens.
pub(in crate::session::sql) fn take(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let needs = |token: &TokenWithSpan| match &token.token {
        Token::Mul | Token::Colon | Token::Sharp => true,
        _ => matches!(keyword(Some(token)), Keyword::PIVOT | Keyword::UNPIVOT),
    };
    if !tokens.iter().any(needs) {
        return tokens;
    }
    let words: Vec<TokenWithSpan> =
        tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_))).cloned().collect();
    let mut changed = false;
    let words = pivots(words, &mut changed);
    let words = stars(words, &mut changed);
    let words = prefix_aliases(words, &mut changed);
    if changed { words } else { tokens }
}

pub(super) fn keyword(token: Option<&TokenWithSpan>) -> Keyword {
    match token.map(|token| &token.token) {
        Some(Token::Word(word)) if word.quote_style.is_none() => word.keyword,
        _ => Keyword::NoKeyword,
    }
}

fn is_word(token: Option<&TokenWithSpan>, text: &str) -> bool {
    matches!(token.map(|token| &token.token), Some(Token::Word(word)) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(text))
}

fn quoted(name: &str, span: Span) -> TokenWithSpan {
    let word = Word { value: name.to_string(), quote_style: Some('"'), keyword: Keyword::NoKeyword };
    TokenWithSpan { token: Token::Word(word), span }
}

/// How many words the pattern's operator has, if one begins with these tokens.
fn pattern_words(tokens: &[TokenWithSpan]) -> Option<usize> {
    let negated = usize::from(keyword(tokens.first()) == Keyword::NOT);
    let count = match keyword(tokens.get(negated)) {
        Keyword::LIKE | Keyword::ILIKE => negated + 1,
        Keyword::SIMILAR if keyword(tokens.get(negated + 1)) == Keyword::TO => negated + 2,
        _ if is_word(tokens.get(negated), "glob") => negated + 1,
        _ => return None,
    };
    matches!(tokens.get(count)?.token, Token::SingleQuotedString(_)).then_some(count)
}

fn stars(words: Vec<TokenWithSpan>, changed: &mut bool) -> Vec<TokenWithSpan> {
    let mut out: Vec<TokenWithSpan> = Vec::with_capacity(words.len());
    let mut at = 0;
    while let Some(token) = words.get(at) {
        let begins = begins_item(out.last());
        let rest = words.get(at + 1..).unwrap_or_default();
        let before = out.len().checked_sub(2).and_then(|index| out.get(index));
        if token.token == Token::Mul && keyword(out.last()) == Keyword::BY && keyword(before) == Keyword::GROUP {
            out.push(TokenWithSpan { token: Token::make_keyword("ALL"), span: token.span });
            (at, *changed) = (at + 1, true);
            continue;
        }
        if let (Token::Sharp, Some(TokenWithSpan { token: Token::Number(..), .. })) = (&token.token, rest.first()) {
            out.push(quoted(POSITION, token.span));
            out.push(TokenWithSpan { token: Token::LParen, span: token.span });
            out.extend(rest.first().cloned());
            out.push(TokenWithSpan { token: Token::RParen, span: token.span });
            (at, *changed) = (at + 2, true);
            continue;
        }
        if token.token == Token::Mul
            && let Some(table) = table_before(&out)
            && let Some(count) = pattern_words(rest)
        {
            let table = out.split_off(table);
            out.extend(of_names(rest.iter().take(count + 1), token.span));
            out.push(TokenWithSpan { token: Token::Comma, span: token.span });
            out.extend(table);
            out.push(token.clone());
            out.push(TokenWithSpan { token: Token::RParen, span: token.span });
            (at, *changed) = (at + count + 2, true);
            continue;
        }
        if token.token == Token::Mul && begins {
            if let Some(count) = pattern_words(rest) {
                out.extend(of_names(rest.iter().take(count + 1), token.span));
                out.push(TokenWithSpan { token: Token::RParen, span: token.span });
                (at, *changed) = (at + count + 2, true);
                continue;
            }
            if is_word(rest.first(), "columns") && rest.get(1).is_some_and(|next| next.token == Token::LParen) {
                out.push(quoted(UNPACKED, token.span));
                (at, *changed) = (at + 2, true);
                continue;
            }
        }
        out.push(token.clone());
        at += 1;
    }
    out
}

/// `COLUMNS(LAMBDA name: name LIKE 'a%'`, without the last parenthesis.
fn of_names<'a>(
    pattern: impl Iterator<Item = &'a TokenWithSpan> + 'a,
    span: Span,
) -> impl Iterator<Item = TokenWithSpan> + 'a {
    let token = move |token: Token| TokenWithSpan { token, span };
    let name = quoted(NAME, span);
    let call = [token(Token::make_keyword("COLUMNS")), token(Token::LParen), token(Token::make_keyword("LAMBDA"))];
    call.into_iter().chain([name.clone(), token(Token::Colon), name]).chain(pattern.cloned())
}

/// Where the name of a table begins that `out` ends with, and a dot, at the beginning of an item.
fn table_before(out: &[TokenWithSpan]) -> Option<usize> {
    let mut at = out.len();
    loop {
        let [.., name, dot] = out.get(..at)? else { return None };
        if dot.token != Token::Period || !matches!(name.token, Token::Word(_)) {
            return None;
        }
        at -= 2;
        let before = at.checked_sub(1).and_then(|index| out.get(index))?;
        if before.token != Token::Period {
            return begins_item(Some(before)).then_some(at);
        }
    }
}

fn begins_item(before: Option<&TokenWithSpan>) -> bool {
    before.is_none_or(|before| {
        matches!(before.token, Token::Comma | Token::LParen | Token::LBracket)
            || matches!(keyword(Some(before)), Keyword::SELECT | Keyword::DISTINCT)
    })
}

/// Where in a query a token stands, outside of what is in parentheses around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Clause {
    Select,
    From,
    Other,
}

/// An alias that was read before its expression.
struct Pending {
    depth: usize,
    name: TokenWithSpan,
}

fn prefix_aliases(words: Vec<TokenWithSpan>, changed: &mut bool) -> Vec<TokenWithSpan> {
    let mut out: Vec<TokenWithSpan> = Vec::with_capacity(words.len());
    let mut clauses = vec![Clause::Other];
    let mut pending: Vec<Pending> = Vec::new();
    let mut begins_item = false;
    let mut at = 0;
    while let Some(token) = words.get(at) {
        let clause = clauses.last().copied().unwrap_or(Clause::Other);
        let next = words.get(at + 1).map(|next| &next.token);
        if begins_item && clause != Clause::Other && is_alias(&token.token) && next == Some(&Token::Colon) {
            pending.push(Pending { depth: clauses.len(), name: token.clone() });
            (at, *changed, begins_item) = (at + 2, true, false);
            continue;
        }
        if ends(token, out.last(), clause) {
            while let Some(alias) = pending.pop_if(|alias| alias.depth == clauses.len()) {
                out.push(TokenWithSpan { token: Token::make_keyword("AS"), span: alias.name.span });
                out.push(alias.name);
            }
        }
        let is_distinct_from = keyword(out.last()) == Keyword::DISTINCT && clause == Clause::Select;
        begins_item = false;
        match &token.token {
            Token::LParen | Token::LBracket | Token::LBrace => clauses.push(Clause::Other),
            Token::RParen | Token::RBracket | Token::RBrace if clauses.len() > 1 => drop(clauses.pop()),
            Token::Comma => begins_item = true,
            _ => {
                let place = clauses.last_mut();
                match (keyword(Some(token)), place) {
                    (Keyword::SELECT, Some(place)) => (*place, begins_item) = (Clause::Select, true),
                    (Keyword::DISTINCT, Some(Clause::Select)) if keyword(out.last()) == Keyword::SELECT => {
                        begins_item = true;
                    }
                    (Keyword::FROM, Some(place)) if !(is_distinct_from && keyword_before_is(&out)) => {
                        (*place, begins_item) = (Clause::From, true);
                    }
                    (Keyword::JOIN, Some(Clause::From)) => begins_item = true,
                    (word, Some(place)) if ends_lists(word) => *place = Clause::Other,
                    _ => {}
                }
            }
        }
        out.push(token.clone());
        at += 1;
    }
    while let Some(alias) = pending.pop() {
        out.push(TokenWithSpan { token: Token::make_keyword("AS"), span: alias.name.span });
        out.push(alias.name);
    }
    out
}

/// Whether DISTINCT, which `out` ends with, belongs to `IS [NOT] DISTINCT FROM`.
fn keyword_before_is(out: &[TokenWithSpan]) -> bool {
    let before = out.len().checked_sub(2).and_then(|index| out.get(index));
    matches!(keyword(before), Keyword::IS | Keyword::NOT)
}

fn is_alias(token: &Token) -> bool {
    matches!(token, Token::Word(_))
}

fn ends_lists(word: Keyword) -> bool {
    matches!(
        word,
        Keyword::WHERE
            | Keyword::GROUP
            | Keyword::HAVING
            | Keyword::ORDER
            | Keyword::LIMIT
            | Keyword::QUALIFY
            | Keyword::WINDOW
            | Keyword::UNION
            | Keyword::EXCEPT
            | Keyword::INTERSECT
    )
}

/// Whether an expression or a table ends before `token`.
fn ends(token: &TokenWithSpan, before: Option<&TokenWithSpan>, clause: Clause) -> bool {
    match &token.token {
        Token::Comma | Token::RParen | Token::RBracket | Token::RBrace | Token::SemiColon | Token::EOF => true,
        _ => {
            let word = keyword(Some(token));
            let is_join = matches!(
                word,
                Keyword::JOIN
                    | Keyword::LEFT
                    | Keyword::RIGHT
                    | Keyword::INNER
                    | Keyword::FULL
                    | Keyword::CROSS
                    | Keyword::NATURAL
                    | Keyword::ASOF
                    | Keyword::SEMI
                    | Keyword::ANTI
                    | Keyword::ON
                    | Keyword::USING
                    | Keyword::SELECT
                    | Keyword::TABLESAMPLE
            ) || is_word(Some(token), "positional");
            let is_from = word == Keyword::FROM && keyword(before) != Keyword::DISTINCT;
            ends_lists(word) || is_from || clause == Clause::From && is_join
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::sql::parse;

    fn rewritten(sql: &str) -> String {
        let tokens = take(parse::tokens(sql).unwrap());
        let words = tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_)));
        words.map(|token| token.token.to_string()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn an_alias_moves_behind_its_expression() {
        assert_eq!(rewritten("select x: a + 1, y: f(b, c) from t"), "select a + 1 AS x , f ( b , c ) AS y from t");
        assert_eq!(rewritten("select r.a from r: t where r.a = 1"), "select r . a from t AS r where r . a = 1");
        assert_eq!(rewritten("from r: t join s: u on r.a = s.a"), "from t AS r join u AS s on r . a = s . a");
        assert_eq!(rewritten("select * from (select n: 1)"), "select * from ( select 1 AS n )");
        assert_eq!(rewritten("select x: a is distinct from b from t"), "select a is distinct from b AS x from t");
    }

    #[test]
    fn other_colons_stay() {
        for sql in ["select {'a': 1, b: 2}, l[1:2], f(lambda x, i: x + i), a::int from t", "select l[a:b], c from t"] {
            let plain = parse::tokens(sql).unwrap();
            assert_eq!(take(plain.clone()), plain);
        }
    }

    #[test]
    fn patterns_become_lambdas() {
        assert_eq!(rewritten("select a, sum(b * 2) from t group by *"), "select a , sum ( b * 2 ) from t group by ALL");
        assert_eq!(
            rewritten("select * not like 'a%' from t"),
            "select COLUMNS ( LAMBDA \"column name\" : \"column name\" not like 'a%' ) from t"
        );
        assert_eq!(rewritten("select a * b, 2 * 3 from t"), "select a * b , 2 * 3 from t");
        assert_eq!(rewritten("select f(*columns(*)) from t"), "select f ( \"*columns\" ( * ) ) from t");
        assert_eq!(rewritten("select [*columns(*)] from t"), "select [ \"*columns\" ( * ) ] from t");
        assert_eq!(rewritten("select #2 from t"), "select \"#column\" ( 2 ) from t");
    }
}
