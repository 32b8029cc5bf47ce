//! `FROM t WHERE x` without a select list gets its `SELECT *`, `TABLE t` is `SELECT * FROM t`, and `FROM VALUES (1), (2)` gets its
//! parentheses.
//!
//! The parser takes FROM first only when a select list follows the tables, or when nothing does. So that every clause
//! may follow, `SELECT *` is put before a FROM that begins a query in which no SELECT comes.

use datafusion_sql::sqlparser::keywords::Keyword;
use datafusion_sql::sqlparser::tokenizer::{Token, TokenWithSpan, Word};

/// Puts `SELECT * FROM` for TABLE where a query begins, and parentheses around the VALUES of a FROM.
pub(super) fn spell_tables(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let words = without_spaces(&tokens);
    // What comes before the token of that number.
    let mut before: Vec<(usize, Vec<Token>)> = Vec::new();
    let mut dropped = Vec::new();
    for (at, (index, token)) in words.iter().enumerate() {
        let (front, from_here) = words.split_at(at);
        match keyword(token) {
            Some(Keyword::TABLE) if begins_query(front) && matches!(from_here.get(1), Some((_, Token::Word(_)))) => {
                before.push((*index, vec![select(), Token::Mul, Token::make_keyword("FROM")]));
                dropped.push(*index);
            }
            Some(Keyword::VALUES) if front.last().is_some_and(|(_, last)| keyword(last) == Some(Keyword::FROM)) => {
                let rows = row_tokens(from_here.get(1..).unwrap_or_default());
                if let Some((end, _)) = from_here.get(1 + rows) {
                    before.push((*index, vec![Token::LParen]));
                    before.push((*end, vec![Token::RParen]));
                } else if rows > 0 {
                    before.push((*index, vec![Token::LParen]));
                    before.push((tokens.len(), vec![Token::RParen]));
                }
            }
            _ => {}
        }
    }
    if before.is_empty() {
        return tokens;
    }
    let mut spelled = Vec::with_capacity(tokens.len() + 4 * before.len());
    let end = tokens.last().map(|token| token.span);
    let put = |index: usize, span, spelled: &mut Vec<TokenWithSpan>| {
        let found = before.iter().filter(|(place, _)| *place == index).flat_map(|(_, tokens)| tokens);
        spelled.extend(found.map(|token| TokenWithSpan::new(token.clone(), span)));
    };
    let count = tokens.len();
    for (index, token) in tokens.into_iter().enumerate() {
        put(index, token.span, &mut spelled);
        if !dropped.contains(&index) {
            spelled.push(token);
        }
    }
    if let Some(span) = end {
        put(count, span, &mut spelled);
    }
    spelled
}

/// The tokens that are no white space, and where they are.
fn without_spaces(tokens: &[TokenWithSpan]) -> Vec<(usize, &Token)> {
    let words = tokens.iter().enumerate().map(|(index, token)| (index, &token.token));
    words.filter(|(_, token)| !matches!(token, Token::Whitespace(_))).collect()
}

fn select() -> Token {
    Token::Word(Word { value: "SELECT".to_string(), quote_style: None, keyword: Keyword::SELECT })
}

/// How many tokens `(1, 2), (3, 4)` has that these begin with.
fn row_tokens(tokens: &[(usize, &Token)]) -> usize {
    let (mut depth, mut end) = (0_usize, 0);
    for (at, (_, token)) in tokens.iter().enumerate() {
        match token {
            Token::LParen => depth += 1,
            Token::RParen => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    end = at + 1;
                    if tokens.get(end).is_none_or(|(_, next)| **next != Token::Comma) {
                        break;
                    }
                }
            }
            Token::Comma if depth == 0 => {}
            _ if depth == 0 => break,
            _ => {}
        }
    }
    end
}

/// Puts `SELECT *` before every FROM that begins a query without a select list.
pub(super) fn complete(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let words = without_spaces(&tokens);
    let mut starts = Vec::new();
    for (at, (index, token)) in words.iter().enumerate() {
        let (before, from_here) = words.split_at(at);
        if keyword(token) == Some(Keyword::FROM) && begins_query(before) && !selects(from_here) {
            starts.push(*index);
        }
    }
    let mut complete = Vec::with_capacity(tokens.len() + 2 * starts.len());
    for (index, token) in tokens.into_iter().enumerate() {
        if starts.contains(&index) {
            complete.push(TokenWithSpan::new(select(), token.span));
            complete.push(TokenWithSpan::new(Token::Mul, token.span));
        }
        complete.push(token);
    }
    complete
}

/// Whether a query may begin behind these tokens: not `EXTRACT(year FROM`, `TRIM(FROM`, `DELETE FROM`.
fn begins_query(before: &[(usize, &Token)]) -> bool {
    use Keyword as K;
    match before {
        [] => true,
        [.., (_, Token::Word(word)), (_, Token::LParen)] => matches!(
            word.keyword,
            K::AS
                | K::FROM
                | K::JOIN
                | K::IN
                | K::EXISTS
                | K::SELECT
                | K::ALL
                | K::ANY
                | K::UNION
                | K::EXCEPT
                | K::INTERSECT
        ),
        [.., (_, Token::LParen)] => true,
        // `WITH x AS (…) FROM x`: no other FROM follows a parenthesis in a statement that begins with WITH and has not
        // selected yet.
        [(_, first), .., (_, Token::RParen)] => keyword(first) == Some(K::WITH) && !selects_at_top(before),
        // These words are names too: `SELECT name FROM`, `SELECT desc FROM`.
        [(_, first)] => matches!(keyword(first), Some(K::EXPLAIN | K::DESCRIBE | K::DESC)),
        [.., (_, operator), (_, last)] => {
            let set = |token: &Token| matches!(keyword(token), Some(K::UNION | K::EXCEPT | K::INTERSECT));
            match keyword(last) {
                Some(K::AS) => true,
                Some(K::ALL) => set(operator),
                Some(K::NAME) => keyword(operator) == Some(K::BY),
                _ => set(last),
            }
        }
    }
}

/// Whether a SELECT comes before the end of the query that begins with these tokens.
fn selects(query: &[(usize, &Token)]) -> bool {
    let mut depth = 0_usize;
    for (_, token) in query {
        match token {
            Token::LParen => depth += 1,
            Token::RParen if depth == 0 => return false,
            Token::RParen => depth -= 1,
            Token::SemiColon => return false,
            token if depth == 0 => match keyword(token) {
                Some(Keyword::SELECT) => return true,
                Some(Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT) => return false,
                _ => {}
            },
            _ => {}
        }
    }
    false
}

/// Whether these tokens hold a SELECT outside of parentheses, or end inside of some.
fn selects_at_top(before: &[(usize, &Token)]) -> bool {
    let mut depth = 0_usize;
    for (_, token) in before {
        match token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            token if depth == 0 && keyword(token) == Some(Keyword::SELECT) => return true,
            _ => {}
        }
    }
    depth != 0
}

fn keyword(token: &Token) -> Option<Keyword> {
    match token {
        Token::Word(word) if word.quote_style.is_none() => Some(word.keyword),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::sql::parse;

    fn completed(sql: &str) -> String {
        let tokens = complete(parse::tokens(sql).unwrap());
        tokens.iter().map(|token| token.token.to_string()).collect::<String>().replace("SELECT*from", "SELECT * from")
    }

    #[test]
    fn a_query_without_a_select_list_gets_one() {
        assert_eq!(completed("from t where a > 1 limit 2"), "SELECT * from t where a > 1 limit 2");
        assert_eq!(completed("select * from (from t) x"), "select * from (SELECT * from t) x");
        assert_eq!(completed("explain from t"), "explain SELECT * from t");
        assert_eq!(completed("create view v as from t"), "create view v as SELECT * from t");
        assert_eq!(completed("from t union all from u"), "SELECT * from t union all SELECT * from u");
        assert_eq!(completed("with x as (from t) from x"), "with x as (SELECT * from t) SELECT * from x");
    }

    #[test]
    fn tables_and_values_are_spelled_out() {
        let spelled = |sql: &str| {
            let tokens = spell_tables(parse::tokens(sql).unwrap());
            let words = tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_)));
            words.map(|token| token.token.to_string()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(spelled("table t order by a"), "SELECT * FROM t order by a");
        assert_eq!(
            spelled("from values (1, 2), (f(3), 4) v(x)"),
            "from ( values ( 1 , 2 ) , ( f ( 3 ) , 4 ) ) v ( x )"
        );
        assert_eq!(spelled("select * from values (1)"), "select * from ( values ( 1 ) )");
        assert_eq!(spelled("create table t as select 1"), "create table t as select 1");
        assert_eq!(spelled("select * from (values (1)) v"), "select * from ( values ( 1 ) ) v");
    }

    #[test]
    fn other_uses_of_from_stay() {
        for sql in [
            "from t select a where a > 1",
            "select extract(year from d), trim(both from x), substring(a from 2) from t",
            "select a is distinct from b from t",
            "delete from t",
            "show columns from t",
            "select name from t",
            "select a as name from t",
            "select id, all from t",
        ] {
            assert_eq!(completed(sql), sql);
        }
    }
}
