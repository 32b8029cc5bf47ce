//! Forms of LIMIT that the planner does not know, in the one that it knows.
//!
//! * `LIMIT 40%` and `LIMIT 40 PERCENT` are that part of the rows that the query has without it: they are counted by a subquery.
//! * `FETCH FIRST n ROWS ONLY` is `LIMIT n`.
//! * `LIMIT 1.5` is rounded, and `LIMIT '2'` read.

use std::ops::ControlFlow;

use datafusion_sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, LimitClause, Query, SetExpr, Spanned, Statement,
    TableFactor, Value, VisitMut, VisitorMut,
};
use datafusion_sql::sqlparser::dialect::GenericDialect;
use datafusion_sql::sqlparser::keywords::Keyword;
use datafusion_sql::sqlparser::parser::Parser;
use datafusion_sql::sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use super::macros::plain_name;
use super::parse::span_of;
use crate::error::{Code, Error, Result};

/// The function that stands for the percent sign: one that nobody writes.
const PERCENT: &str = "#percent";

/// Makes a call of the number before a percent sign.
pub(super) fn take(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut at = 0;
    while at < tokens.len() {
        if is_word(&tokens, Some(at), "limit") {
            mark(&mut tokens, at);
        }
        at += 1;
    }
    tokens
}

fn mark(tokens: &mut Vec<TokenWithSpan>, limit: usize) -> Option<()> {
    let first = next(tokens, limit)?;
    let last = match tokens.get(first)?.token {
        Token::LParen => closing(tokens, first)?,
        Token::Number(..) => first,
        _ => return None,
    };
    let sign = next(tokens, last)?;
    if tokens.get(sign)?.token != Token::Mod && !is_word(tokens, Some(sign), "percent") {
        return None;
    }
    // `LIMIT 5 % 3` is a rest.
    let behind = next(tokens, sign).and_then(|index| tokens.get(index)).map(|token| &token.token);
    let ends = match behind {
        None | Some(Token::RParen | Token::SemiColon | Token::EOF) => true,
        Some(Token::Word(word)) => {
            let word = word.value.to_lowercase();
            ["offset", "union", "except", "intersect"].contains(&word.as_str())
        }
        Some(_) => false,
    };
    if !ends {
        return None;
    }
    let span = tokens.get(sign)?.span;
    let token = |token| TokenWithSpan { token, span };
    tokens.splice(sign..=sign, [token(Token::RParen)]);
    let name = Word { value: PERCENT.to_string(), quote_style: Some('"'), keyword: Keyword::NoKeyword };
    tokens.splice(first..first, [token(Token::Word(name)), token(Token::LParen)]);
    Some(())
}

fn is_word(tokens: &[TokenWithSpan], index: Option<usize>, wanted: &str) -> bool {
    matches!(index.and_then(|index| tokens.get(index)).map(|token| &token.token),
        Some(Token::Word(word)) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(wanted))
}

/// The next token that is no blank.
fn next(tokens: &[TokenWithSpan], at: usize) -> Option<usize> {
    (at + 1..tokens.len())
        .find(|&index| !matches!(tokens.get(index).map(|token| &token.token), Some(Token::Whitespace(_))))
}

fn closing(tokens: &[TokenWithSpan], open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    (open..tokens.len()).find(|&index| {
        match tokens.get(index).map(|token| &token.token) {
            Some(Token::LParen) => depth += 1,
            Some(Token::RParen) => depth -= 1,
            _ => {}
        }
        depth == 0
    })
}

/// Rewrites every such clause of the statement.
///
/// # Errors
/// `NOT_SUPPORTED` for FETCH with PERCENT or WITH TIES.
pub(super) fn spell_out(statement: &mut Statement) -> Result<()> {
    match VisitMut::visit(statement, &mut Limits) {
        ControlFlow::Break(error) => Err(*error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Limits;

impl VisitorMut for Limits {
    type Break = Box<Error>;

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<Box<Error>> {
        match fetched(query).and_then(|()| rounded(query)).and_then(|()| counted(query)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(Box::new(error)),
        }
    }
}

/// Makes a LIMIT of FETCH.
fn fetched(query: &mut Query) -> Result<()> {
    let Some(fetch) = query.fetch.take() else { return Ok(()) };
    if fetch.with_ties || fetch.percent {
        return Err(Error::not_supported("FETCH with PERCENT or WITH TIES"));
    }
    let rows = fetch.quantity.unwrap_or_else(|| Expr::value(Value::Number("1".to_string(), false)));
    match &mut query.limit_clause {
        None => {
            query.limit_clause =
                Some(LimitClause::LimitOffset { limit: Some(rows), offset: None, limit_by: Vec::new() });
        }
        Some(LimitClause::LimitOffset { limit: limit @ None, .. }) => *limit = Some(rows),
        Some(_) => return Err(Error::new(Code::Syntax, "a query has LIMIT or FETCH, not both")),
    }
    Ok(())
}

/// Makes a whole number of rows of `1.5` and `'2'`.
fn rounded(query: &mut Query) -> Result<()> {
    let Some(LimitClause::LimitOffset { limit, offset, .. }) = &mut query.limit_clause else { return Ok(()) };
    for rows in limit.iter_mut().chain(offset.iter_mut().map(|offset| &mut offset.value)) {
        let Expr::Value(value) = rows else { continue };
        let text = match &value.value {
            Value::Number(text, _) if text.parse::<i64>().is_err() => text.as_str(),
            Value::SingleQuotedString(text) => text.trim(),
            _ => continue,
        };
        let number = text.parse::<f64>().ok().map(f64::round).filter(|number| number.is_finite());
        let Some(number) = number else {
            let error = Error::new(Code::InvalidCast, format!("'{text}' is not a number of rows"));
            return Err(error.span(span_of(value.span)));
        };
        value.value = Value::Number(format!("{number}"), false);
    }
    Ok(())
}

/// Makes a number of rows of a part of them.
fn counted(query: &mut Query) -> Result<()> {
    let Some(LimitClause::LimitOffset { limit: Some(Expr::Function(call)), .. }) = &query.limit_clause else {
        return Ok(());
    };
    if plain_name(&call.name).as_deref() != Some(PERCENT) {
        return Ok(());
    }
    let FunctionArguments::List(list) = &call.args else { return Ok(()) };
    let [FunctionArg::Unnamed(FunctionArgExpr::Expr(percent))] = list.args.as_slice() else { return Ok(()) };
    if let Expr::Value(value) = percent
        && let Value::Number(number, _) = &value.value
        && number.parse::<f64>().is_ok_and(|number| number > 100.0)
    {
        let message = format!("LIMIT {number}% is more than all rows");
        return Err(Error::new(Code::InvalidQuery, message).span(span_of(percent.span())).hint("write 0% to 100%"));
    }
    let mut whole = query.clone();
    // What WITH names is known in the subquery, too.
    (whole.limit_clause, whole.order_by, whole.with) = (None, None, None);
    let counted = subquery(&percent.to_string(), whole);
    let Some(counted) = counted else { return Err(Error::internal("a percentage of rows cannot be counted")) };
    if let Some(LimitClause::LimitOffset { limit, .. }) = &mut query.limit_clause {
        *limit = Some(counted);
    }
    Ok(())
}

/// `(SELECT percent of count(*) FROM (query))`.
fn subquery(percent: &str, query: Query) -> Option<Expr> {
    let text =
        format!("(SELECT CAST(floor(count(*) * CAST({percent} AS DOUBLE) / 100) AS BIGINT) FROM (SELECT 1) AS rows)");
    let mut counted = Parser::new(&GenericDialect {}).try_with_sql(&text).ok()?.parse_expr().ok()?;
    let Expr::Subquery(outer) = &mut counted else { return None };
    let SetExpr::Select(select) = outer.body.as_mut() else { return None };
    let TableFactor::Derived { subquery, .. } = &mut select.from.first_mut()?.relation else { return None };
    **subquery = query;
    Some(counted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::sql::parse;

    fn spelled(sql: &str) -> String {
        let tokens = parse::tokens(sql).map(take).unwrap();
        let mut statement = parse::statement(&tokens).unwrap();
        spell_out(&mut statement).unwrap();
        statement.to_string()
    }

    #[test]
    fn a_part_of_the_rows_is_counted() {
        let counted =
            "(SELECT CAST(FLOOR(count(*) * CAST(40 AS DOUBLE) / 100) AS BIGINT) FROM (SELECT a FROM t) AS rows)";
        assert_eq!(
            spelled("select a from t order by a limit 40%"),
            format!("SELECT a FROM t ORDER BY a LIMIT {counted}")
        );
        assert_eq!(spelled("select a from t limit 40 percent"), format!("SELECT a FROM t LIMIT {counted}"));
        assert_eq!(spelled("select a from t limit 5 % 3"), "SELECT a FROM t LIMIT 5 % 3");
    }

    #[test]
    fn fetch_is_a_limit() {
        assert_eq!(spelled("select a from t fetch first 2 rows only"), "SELECT a FROM t LIMIT 2");
        assert_eq!(spelled("select a from t offset 1 row fetch next row only"), "SELECT a FROM t LIMIT 1 OFFSET 1 ROW");
    }
}
