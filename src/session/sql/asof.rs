//! ASOF joins, which the parser reads in one form only and the planner not at all.
//!
//! `a ASOF [LEFT] JOIN b ON …` (or USING): the word ASOF becomes one that the parser takes before a join and that nobody
//! may write otherwise, and then the right side gets a [mark](super::marks). `a ASOF JOIN b MATCH_CONDITION (…) [ON …]`
//! keeps its words: the parser knows it. It keeps all rows of `a`, as it does elsewhere.

use datafusion_sql::sqlparser::ast::{
    BinaryOperator, Expr, Join, JoinConstraint, JoinOperator, Spanned, TableFactor, TableWithJoins,
};
use datafusion_sql::sqlparser::keywords::Keyword;
use datafusion_sql::sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use super::marks::Mark;
use super::parse::span_of;
use crate::error::{Code, Error, Result};

/// Puts the parser's word in place of ASOF.
///
/// # Errors
/// `NOT_SUPPORTED` where that word is written.
pub(super) fn take(mut tokens: Vec<TokenWithSpan>) -> Result<Vec<TokenWithSpan>> {
    let words: Vec<usize> = (0..tokens.len())
        .filter(|&index| !tokens.get(index).is_some_and(|token| matches!(token.token, Token::Whitespace(_))))
        .collect();
    for (at, &index) in words.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| words.get(at)).map(|&index| keyword(&tokens, index));
        let behind = words.get(at + 1).map(|&index| keyword(&tokens, index));
        if !joins(behind) || matches!(before, Some(Keyword::FROM | Keyword::JOIN | Keyword::AS)) {
            continue;
        }
        match keyword(&tokens, index) {
            Keyword::GLOBAL => {
                let error = Error::not_supported("GLOBAL JOIN");
                return Err(match tokens.get(index) {
                    Some(token) => error.span(span_of(token.span)),
                    None => error,
                });
            }
            Keyword::ASOF if follows_name(&tokens, at, &words) && !has_match_condition(&tokens, words.get(at..)) => {
                let global = Word { value: "GLOBAL".to_string(), quote_style: None, keyword: Keyword::GLOBAL };
                if let Some(token) = tokens.get_mut(index) {
                    token.token = Token::Word(global);
                }
            }
            _ => {}
        }
    }
    Ok(tokens)
}

pub(super) fn keyword(tokens: &[TokenWithSpan], index: usize) -> Keyword {
    match tokens.get(index).map(|token| &token.token) {
        Some(Token::Word(word)) if word.quote_style.is_none() => word.keyword,
        _ => Keyword::NoKeyword,
    }
}

fn joins(word: Option<Keyword>) -> bool {
    use Keyword as K;
    matches!(word, Some(K::JOIN | K::INNER | K::LEFT | K::RIGHT | K::FULL))
}

/// Whether a relation may end before the word: not so in `FROM asof JOIN b`, where it is a table's name.
pub(super) fn follows_name(tokens: &[TokenWithSpan], at: usize, words: &[usize]) -> bool {
    let before = at.checked_sub(1).and_then(|at| words.get(at)).and_then(|&index| tokens.get(index));
    matches!(before.map(|token| &token.token), Some(Token::Word(_) | Token::RParen | Token::SingleQuotedString(_)))
}

/// Whether MATCH_CONDITION follows before the join's condition.
fn has_match_condition(tokens: &[TokenWithSpan], words: Option<&[usize]>) -> bool {
    let mut depth = 0_usize;
    for &index in words.unwrap_or_default() {
        match tokens.get(index).map(|token| &token.token) {
            Some(Token::LParen) => depth += 1,
            Some(Token::RParen) => match depth.checked_sub(1) {
                Some(less) => depth = less,
                None => return false,
            },
            _ if depth > 0 => {}
            _ => match keyword(tokens, index) {
                Keyword::MATCH_CONDITION => return true,
                Keyword::ON | Keyword::USING | Keyword::WHERE | Keyword::SELECT => return false,
                _ => {}
            },
        }
    }
    false
}

/// Marks the right sides of the ASOF joins of `from`.
///
/// # Errors
/// `NOT_SUPPORTED` for MATCH_CONDITION with USING.
pub(super) fn mark(from: &mut TableWithJoins) -> Result<()> {
    for join in &mut from.joins {
        with_condition(join)?;
        // The others are positional.
        if matches!(join.join_operator, JoinOperator::CrossJoin(_)) || !std::mem::take(&mut join.global) {
            continue;
        }
        let inner = TableWithJoins { relation: join.relation.clone(), joins: Vec::new() };
        let alias = Some(Mark::Asof.alias());
        join.relation = TableFactor::NestedJoin { table_with_joins: Box::new(inner), alias };
    }
    Ok(())
}

/// `MATCH_CONDITION (a) ON b` as `ON a AND b`.
fn with_condition(join: &mut Join) -> Result<()> {
    let JoinOperator::AsOf { match_condition, constraint } = &join.join_operator else { return Ok(()) };
    let nested = |expr: &Expr| Box::new(Expr::Nested(Box::new(expr.clone())));
    let condition = match constraint {
        JoinConstraint::None => match_condition.clone(),
        JoinConstraint::On(on) => {
            Expr::BinaryOp { left: nested(match_condition), op: BinaryOperator::And, right: nested(on) }
        }
        JoinConstraint::Using(_) | JoinConstraint::Natural => {
            return Err(Error::new(Code::NotSupported, "MATCH_CONDITION with USING")
                .span(span_of(join.relation.span()))
                .hint("write ON a.key = b.key"));
        }
    };
    join.join_operator = JoinOperator::LeftOuter(JoinConstraint::On(condition));
    join.global = true;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::sql::parse;

    fn taken(sql: &str) -> String {
        let tokens = parse::tokens(sql).and_then(take).unwrap();
        tokens.iter().map(|token| token.token.to_string()).collect()
    }

    #[test]
    fn the_word_is_found_where_it_is_one() {
        assert!(taken("select * from a asof join b on a.x >= b.x").contains("GLOBAL join"));
        assert!(taken("select * from a as t ASOF left join b using (x)").contains("GLOBAL left join"));
        assert!(taken("select * from (select 1) asof join b using (x)").contains("GLOBAL join"));
        assert!(taken("select * from 'a.csv' asof join 'b.csv' using (x)").contains("GLOBAL join"));
        for sql in [
            "select * from asof join b on true",
            "select * from a as asof join b on true",
            "select asof from t",
            "select * from a asof join b match_condition (a.x >= b.x) on a.y = b.y",
        ] {
            assert!(!taken(sql).contains("GLOBAL"), "{sql}");
        }
        assert!(parse::tokens("select * from a global join b on true").and_then(take).is_err());
    }
}
