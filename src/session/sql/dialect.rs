//! The SQL that floe reads: the parser's generic dialect with what we want of DuckDB's, and without the clauses that the
//! planner would silently drop.
//!
//! Invariant: a clause whose meaning nobody downstream reads is not enabled here, so that it is a syntax error and never
//! a wrong answer; what cannot be switched off is refused by [`reject`](super::reject).

use std::any::TypeId;

use datafusion_sql::sqlparser::ast::{BinaryOperator, Expr};
use datafusion_sql::sqlparser::dialect::{Dialect, GenericDialect};
use datafusion_sql::sqlparser::keywords::Keyword;
use datafusion_sql::sqlparser::parser::{Parser, ParserError};
use datafusion_sql::sqlparser::tokenizer::Token;

use super::{arrays, intervals, operators, values};

/// How floe's SQL differs from the parser's defaults.
#[derive(Debug, Default)]
pub(crate) struct FloeDialect;

impl Dialect for FloeDialect {
    /// Counts as the generic dialect where the parser asks for a dialect by name.
    fn dialect(&self) -> TypeId {
        TypeId::of::<GenericDialect>()
    }

    /// `a IS [NOT] DISTINCT FROM b AND c`: the parser would take all of `b AND c` for the right side.
    /// `a = ANY ((SELECT …) UNION …)`: the parser would take the inner parentheses for a list.
    fn parse_infix(&self, parser: &mut Parser, left: &Expr, precedence: u8) -> Option<Result<Expr, ParserError>> {
        if let Some(expr) = any_of_parentheses(parser, left).or_else(|| operators::infix(parser, left)) {
            return Some(expr);
        }
        let negated = if parser.parse_keywords(&[Keyword::IS, Keyword::DISTINCT, Keyword::FROM]) {
            false
        } else if parser.parse_keywords(&[Keyword::IS, Keyword::NOT, Keyword::DISTINCT, Keyword::FROM]) {
            true
        } else {
            return None;
        };
        let expr = |right| match negated {
            false => Expr::IsDistinctFrom(Box::new(left.clone()), Box::new(right)),
            true => Expr::IsNotDistinctFrom(Box::new(left.clone()), Box::new(right)),
        };
        Some(parser.parse_subexpr(precedence).map(expr))
    }

    fn parse_prefix(&self, parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
        operators::prefix(parser)
            .or_else(|| arrays::literal(parser))
            .or_else(|| intervals::literal(parser))
            .or_else(|| values::prefix(parser))
    }

    fn get_next_precedence(&self, parser: &Parser) -> Option<Result<u8, ParserError>> {
        operators::precedence(parser)
    }

    fn supports_factorial_operator(&self) -> bool {
        true
    }

    fn supports_notnull_operator(&self) -> bool {
        true
    }

    fn supports_string_literal_concatenation_with_newline(&self) -> bool {
        true
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        ch.is_alphabetic() || ch == '_'
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        ch.is_alphanumeric() || ch == '_' || ch == '$'
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        ch == '"' || ch == '`'
    }

    fn supports_from_first_select(&self) -> bool {
        true
    }

    fn supports_from_trailing_commas(&self) -> bool {
        true
    }

    fn supports_trailing_commas(&self) -> bool {
        true
    }

    fn supports_named_fn_args_with_assignment_operator(&self) -> bool {
        true
    }

    fn supports_dictionary_syntax(&self) -> bool {
        true
    }

    fn support_map_literal_syntax(&self) -> bool {
        true
    }

    fn supports_lambda_functions(&self) -> bool {
        true
    }

    fn supports_struct_literal(&self) -> bool {
        true
    }

    fn supports_array_typedef_with_brackets(&self) -> bool {
        true
    }

    fn supports_filter_during_aggregation(&self) -> bool {
        true
    }

    fn supports_group_by_expr(&self) -> bool {
        true
    }

    fn supports_order_by_all(&self) -> bool {
        true
    }

    fn supports_select_wildcard_except(&self) -> bool {
        true
    }

    fn supports_select_wildcard_exclude(&self) -> bool {
        true
    }

    fn supports_select_wildcard_replace(&self) -> bool {
        true
    }

    fn supports_select_wildcard_rename(&self) -> bool {
        true
    }

    fn supports_window_clause_named_window_reference(&self) -> bool {
        true
    }

    fn supports_window_function_null_treatment_arg(&self) -> bool {
        true
    }

    fn supports_parens_around_table_factor(&self) -> bool {
        true
    }

    fn supports_bitwise_shift_operators(&self) -> bool {
        true
    }

    fn supports_comma_separated_trim(&self) -> bool {
        true
    }

    fn allow_extract_custom(&self) -> bool {
        true
    }

    fn allow_extract_single_quotes(&self) -> bool {
        true
    }

    fn supports_nested_comments(&self) -> bool {
        true
    }

    fn supports_string_escape_constant(&self) -> bool {
        true
    }

    fn supports_unicode_string_literal(&self) -> bool {
        true
    }

    fn supports_numeric_literal_underscores(&self) -> bool {
        true
    }
}

/// `left = ANY ((…`, where a query begins inside of the inner parentheses.
fn any_of_parentheses(parser: &mut Parser, left: &Expr) -> Option<Result<Expr, ParserError>> {
    let compare_op = match parser.peek_nth_token_ref(0).token {
        Token::Eq => BinaryOperator::Eq,
        Token::Neq => BinaryOperator::NotEq,
        Token::Lt => BinaryOperator::Lt,
        Token::LtEq => BinaryOperator::LtEq,
        Token::Gt => BinaryOperator::Gt,
        Token::GtEq => BinaryOperator::GtEq,
        _ => return None,
    };
    let keyword = |index: usize| match &parser.peek_nth_token_ref(index).token {
        Token::Word(word) => word.keyword,
        _ => Keyword::NoKeyword,
    };
    let quantifier = keyword(1);
    if !matches!(quantifier, Keyword::ANY | Keyword::ALL | Keyword::SOME) {
        return None;
    }
    let open = (2..).take_while(|index| parser.peek_nth_token_ref(*index).token == Token::LParen).count();
    if open < 2 || !matches!(keyword(2 + open), Keyword::SELECT | Keyword::WITH | Keyword::VALUES | Keyword::FROM) {
        return None;
    }
    let query = parser.maybe_parse(|parser| {
        (0..3).for_each(|_| parser.advance_token());
        let query = parser.parse_query()?;
        parser.expect_token(&Token::RParen)?;
        Ok(query)
    });
    let (left, right) = match query {
        Ok(Some(query)) => (Box::new(left.clone()), Box::new(Expr::Subquery(query))),
        Ok(None) => return None,
        Err(error) => return Some(Err(error)),
    };
    Some(Ok(match quantifier {
        Keyword::ALL => Expr::AllOp { left, compare_op, right },
        _ => Expr::AnyOp { left, compare_op, right, is_some: quantifier == Keyword::SOME },
    }))
}
