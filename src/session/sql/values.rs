//! Values that the parser does not read.
//!
//! * `(FROM t SELECT max(a))` and `(VALUES (7))` are subqueries.
//! * `b'101'` is a BIT.
//! * `localtime` and `localtimestamp` stand for times without a zone.

use datafusion_sql::sqlparser::ast::{CastKind, DataType, Expr, Value};
use datafusion_sql::sqlparser::keywords::Keyword;
use datafusion_sql::sqlparser::parser::{Parser, ParserError};
use datafusion_sql::sqlparser::tokenizer::Token;

use super::calls::call_of;

/// What begins here, where it is one of this file's values.
pub(super) fn prefix(parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
    subquery(parser).or_else(|| bits(parser)).or_else(|| local_time(parser))
}

fn subquery(parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
    let begins = match &parser.peek_nth_token_ref(1).token {
        Token::Word(word) if word.quote_style.is_none() => match word.keyword {
            Keyword::FROM => true,
            Keyword::VALUES => parser.peek_nth_token_ref(2).token == Token::LParen,
            _ => false,
        },
        _ => false,
    };
    if !begins || !parser.consume_token(&Token::LParen) {
        return None;
    }
    Some(parser.parse_query().and_then(|query| {
        parser.expect_token(&Token::RParen)?;
        Ok(Expr::Subquery(query))
    }))
}

fn bits(parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
    let Token::SingleQuotedByteStringLiteral(signs) = &parser.peek_token_ref().token else { return None };
    let signs = Value::SingleQuotedString(signs.clone());
    parser.advance_token();
    let expr = Box::new(Expr::value(signs));
    Some(Ok(Expr::Cast { kind: CastKind::Cast, expr, data_type: DataType::Bit(None), array: false, format: None }))
}

fn local_time(parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
    let function = match &parser.peek_token_ref().token {
        Token::Word(word) if word.quote_style.is_none() => match word.value.to_lowercase().as_str() {
            "localtime" => "current_localtime",
            "localtimestamp" => "current_localtimestamp",
            _ => return None,
        },
        _ => return None,
    };
    if matches!(parser.peek_nth_token_ref(1).token, Token::LParen | Token::Period) {
        return None;
    }
    parser.advance_token();
    Some(Ok(call_of(function, Vec::new())))
}
