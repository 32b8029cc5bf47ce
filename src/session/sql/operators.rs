//! Operators that the parser or the planner does not know, or that bind otherwise elsewhere.
//!
//! * `a ** b` and `a ^ b` are powers and bind closest, but for signs and casts: `-2 ^ 2` is 4.
//! * `||`, `|`, `&`, `<<` and `>>` bind alike, from left to right, and less than `+`; so does `~` before a value.
//! * `a // b` divides integers without a rest, `x !` is a factorial, `a GLOB b` and `a ISNULL` are conditions.
//! * `a IN list` asks whether the list has the value, `a < ANY(list)` compares with all of its values (`quantified`).
//! * Patterns of LIKE have no escape but that of ESCAPE (`patterns`).
//!
//! Names of columns are made of the operators; [`spell_out`] puts functions in their places afterwards.

use std::ops::ControlFlow;

use datafusion_sql::sqlparser::ast::{
    BinaryOperator, DictionaryField, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident,
    ObjectName, SelectItem, Statement, UnaryOperator, Value, VisitMut, VisitorMut,
};
use datafusion_sql::sqlparser::keywords::Keyword;
use datafusion_sql::sqlparser::parser::{Parser, ParserError};
use datafusion_sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::calls::call_of;
use super::macros::plain_name;
use super::{patterns, quantified};

/// How close operators bind, among the parser's own numbers.
const POWER: u8 = 45;
const OTHER: u8 = 22;
const IN: u8 = 20;
const LIKE: u8 = 19;
const IS: u8 = 17;

/// Comparisons in which NULL is a value, as operators of the planner.
pub(super) const IS_DISTINCT_FROM: &str = "IS DISTINCT FROM";
pub(super) const IS_NOT_DISTINCT_FROM: &str = "IS NOT DISTINCT FROM";

type Parsed = Result<Expr, ParserError>;

/// How close the next token binds, where that is not what the parser takes it for.
pub(super) fn precedence(parser: &Parser) -> Option<Result<u8, ParserError>> {
    let precedence = match &parser.peek_token_ref().token {
        Token::Caret => POWER,
        Token::StringConcat | Token::Pipe | Token::Ampersand | Token::ShiftLeft | Token::ShiftRight => OTHER,
        token if is_word(token, "isnull") => IS,
        token if is_word(token, "glob") && may_begin_value(parser, 1) => LIKE,
        token if is_word(token, "not") && is_word(&parser.peek_nth_token_ref(1).token, "glob") => LIKE,
        _ => return None,
    };
    Some(Ok(precedence))
}

fn is_word(token: &Token, wanted: &str) -> bool {
    matches!(token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(wanted))
}

/// Whether an operand may stand at the place: what follows an alias may not.
fn may_begin_value(parser: &Parser, place: usize) -> bool {
    match &parser.peek_nth_token_ref(place).token {
        Token::SingleQuotedString(_) | Token::LParen | Token::EscapedStringLiteral(_) | Token::Placeholder(_) => true,
        Token::Word(word) => {
            word.quote_style.is_some()
                || matches!(word.keyword, Keyword::NoKeyword | Keyword::NULL | Keyword::CASE | Keyword::CAST)
        }
        _ => false,
    }
}

/// What a `-` alone is in `list[1:-:2]`: nothing that anybody can write.
pub(super) fn open_bound() -> Expr {
    Expr::Identifier(Ident::with_quote('"', "#open"))
}

/// A sign or `~` with its operand.
pub(super) fn prefix(parser: &mut Parser) -> Option<Parsed> {
    if parser.peek_token_ref().token == Token::Minus && parser.peek_nth_token_ref(1).token == Token::Colon {
        parser.advance_token();
        return Some(Ok(open_bound()));
    }
    let (op, precedence) = match parser.peek_token_ref().token {
        Token::Minus => (UnaryOperator::Minus, POWER),
        Token::Plus => (UnaryOperator::Plus, POWER),
        Token::Tilde => (UnaryOperator::BitwiseNot, OTHER),
        _ => return None,
    };
    parser.advance_token();
    Some(parser.parse_subexpr(precedence).map(|expr| Expr::UnaryOp { op, expr: Box::new(expr) }))
}

/// What stands behind `left`, where it is one of this file's operators.
pub(super) fn infix(parser: &mut Parser, left: &Expr) -> Option<Parsed> {
    let left = Box::new(left.clone());
    let negated = is_word(&parser.peek_token_ref().token, "not");
    let word = parser.peek_nth_token_ref(usize::from(negated)).token.clone();
    if word == Token::Caret {
        parser.advance_token();
        let power = |right| Expr::BinaryOp { left, op: BinaryOperator::PGExp, right: Box::new(right) };
        return Some(parser.parse_subexpr(POWER).map(power));
    }
    if is_word(&word, "isnull") && !negated {
        parser.advance_token();
        return Some(Ok(Expr::IsNull(left)));
    }
    let skip = |parser: &mut Parser| (0..=usize::from(negated)).for_each(|_| parser.advance_token());
    let place = usize::from(negated) + 1;
    let is_empty = parser.peek_nth_token_ref(place).token == Token::LParen
        && parser.peek_nth_token_ref(place + 1).token == Token::RParen;
    let condition = if is_word(&word, "in") && is_empty {
        skip(parser);
        (0..2).for_each(|_| parser.advance_token());
        return Some(Ok(Expr::value(Value::Boolean(negated))));
    } else if is_word(&word, "glob") {
        skip(parser);
        let op = BinaryOperator::Custom("GLOB".to_string());
        parser.parse_subexpr(LIKE).map(|right| Expr::BinaryOp { left, op, right: Box::new(right) })
    } else if is_word(&word, "in") && in_list(parser, place) {
        skip(parser);
        let op = BinaryOperator::Custom("IN".to_string());
        parser.parse_subexpr(IN).map(|right| Expr::BinaryOp { left, op, right: Box::new(right) })
    } else {
        return None;
    };
    Some(condition.map(|condition| match negated {
        true => Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(Expr::Nested(Box::new(condition))) },
        false => condition,
    }))
}

/// Whether a value stands behind IN, and no parentheses.
fn in_list(parser: &Parser, place: usize) -> bool {
    match &parser.peek_nth_token_ref(place).token {
        Token::LBracket => true,
        Token::Word(word) => word.keyword != Keyword::UNNEST,
        _ => false,
    }
}

/// Makes one token of `**`, numbers of `0xFF`, and conditions of what stands behind FILTER.
pub(super) fn take(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut taken: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    for TokenWithSpan { token, span } in tokens {
        let meaning = |token: &&TokenWithSpan| !matches!(token.token, Token::Whitespace(_));
        match token {
            Token::Mul if taken.last().is_some_and(|last| last.token == Token::Mul) && follows_value(&taken) => {
                taken.pop();
                taken.push(TokenWithSpan { token: Token::Caret, span });
                continue;
            }
            Token::HexStringLiteral(digits) => {
                // `X'FF'` is a letter longer than `0xFF`.
                let written = span.end.column.saturating_sub(span.start.column);
                let is_number = usize::try_from(written) == Ok(digits.len() + 2);
                let number = u128::from_str_radix(&digits.replace('_', ""), 16);
                let token = match number {
                    Ok(number) if is_number => Token::Number(number.to_string(), false),
                    _ => Token::HexStringLiteral(digits),
                };
                taken.push(TokenWithSpan { token, span });
                continue;
            }
            _ => {}
        }
        if is_word(&token, "from") && behind_side_of_trim(&taken) {
            continue;
        }
        let mut before = taken.iter().rev().filter(meaning);
        let behind_filter = before.next().is_some_and(|open| open.token == Token::LParen)
            && before.next().is_some_and(|word| is_word(&word.token, "filter"))
            && before.next().is_some_and(|close| close.token == Token::RParen);
        if behind_filter && !matches!(token, Token::Whitespace(_)) && !is_word(&token, "where") {
            taken.push(TokenWithSpan { token: Token::make_keyword("WHERE"), span });
        }
        taken.push(TokenWithSpan { token, span });
    }
    taken
}

/// Whether `TRIM(` or `TRIM(BOTH` ends here: a FROM behind it has nothing before it.
fn behind_side_of_trim(tokens: &[TokenWithSpan]) -> bool {
    let mut before = tokens.iter().rev().map(|token| &token.token);
    let mut before = before.by_ref().filter(|token| !matches!(token, Token::Whitespace(_)));
    let mut last = before.next();
    if last.is_some_and(|side| ["both", "leading", "trailing"].iter().any(|word| is_word(side, word))) {
        last = before.next();
    }
    last == Some(&Token::LParen) && before.next().is_some_and(|word| is_word(word, "trim"))
}

/// Whether a value stands before the last token.
fn follows_value(tokens: &[TokenWithSpan]) -> bool {
    let mut before = tokens.iter().rev().skip(1).map(|token| &token.token);
    match before.find(|token| !matches!(token, Token::Whitespace(_))) {
        Some(Token::Word(word)) => {
            word.quote_style.is_some()
                || !matches!(word.keyword, Keyword::SELECT | Keyword::DISTINCT | Keyword::ALL | Keyword::RETURNING)
        }
        Some(token) => matches!(
            token,
            Token::Number(..) | Token::RParen | Token::RBracket | Token::RBrace | Token::SingleQuotedString(_)
        ),
        None => false,
    }
}

/// Puts functions in the places of the operators that the planner does not know.
pub(super) fn spell_out(statement: &mut Statement) {
    let _: ControlFlow<()> = VisitMut::visit(statement, &mut Operators);
}

struct Operators;

impl VisitorMut for Operators {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut datafusion_sql::sqlparser::ast::Select) -> ControlFlow<()> {
        for item in &mut select.projection {
            if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item
                && let Expr::Tuple(values) = expr
            {
                *expr = call_of("row", std::mem::take(values));
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        // What is compared with a row in parentheses has the names of its fields.
        if let Expr::BinaryOp { left, right, .. } = expr
            && (matches!(left.as_ref(), Expr::Tuple(_)) || matches!(right.as_ref(), Expr::Tuple(_)))
        {
            rename_row(left);
            rename_row(right);
        }
        if let Expr::InList { expr, .. } | Expr::InSubquery { expr, .. } = expr {
            rename_row(expr);
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Some(call) = call_for(expr) {
            *expr = call;
        }
        ControlFlow::Continue(())
    }
}

fn rename_row(expr: &mut Expr) {
    if let Expr::Function(call) = expr
        && plain_name(&call.name).as_deref() == Some("row")
    {
        call.name = ObjectName::from(vec![Ident::new("struct")]);
    }
}

fn custom(left: Expr, op: &str, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op: BinaryOperator::Custom(op.to_string()), right: Box::new(right) }
}

fn call_for(expr: &mut Expr) -> Option<Expr> {
    let take = |expr: &mut Box<Expr>| std::mem::replace(expr.as_mut(), Expr::value(Value::Null));
    match expr {
        // The planner would take the sign into the text, where it belongs to the first part alone.
        Expr::UnaryOp { op: op @ UnaryOperator::Minus, expr } if matches!(expr.as_ref(), Expr::Interval(_)) => {
            Some(Expr::UnaryOp { op: *op, expr: Box::new(Expr::Nested(Box::new(take(expr)))) })
        }
        Expr::UnaryOp { op: UnaryOperator::PGPostfixFactorial, expr } => Some(call_of("factorial", vec![take(expr)])),
        Expr::UnaryOp { op: UnaryOperator::BitwiseNot, expr } => Some(call_of("#bit_not", vec![take(expr)])),
        Expr::BinaryOp { left, op: BinaryOperator::Custom(op), right } if op == "GLOB" => {
            Some(call_of("#glob", vec![take(left), take(right)]))
        }
        Expr::BinaryOp { left, op: BinaryOperator::Custom(op), right } if op == "IN" => {
            Some(call_of("list_contains", vec![take(right), take(left)]))
        }
        Expr::BinaryOp { left, op: BinaryOperator::PGStartsWith, right } => {
            Some(call_of("starts_with", vec![take(left), take(right)]))
        }
        Expr::BinaryOp { left, op: BinaryOperator::PGOverlap, right } => {
            Some(call_of("list_has_any", vec![take(left), take(right)]))
        }
        Expr::BinaryOp { left, op: op @ (BinaryOperator::PGLikeMatch | BinaryOperator::PGNotLikeMatch), right } => {
            let negated = *op == BinaryOperator::PGNotLikeMatch;
            let (expr, pattern) = (Box::new(take(left)), Box::new(patterns::escaped(take(right), None)));
            Some(Expr::Like { negated, any: false, expr, pattern, escape_char: None })
        }
        Expr::BinaryOp { left, op: op @ (BinaryOperator::PGILikeMatch | BinaryOperator::PGNotILikeMatch), right } => {
            let negated = *op == BinaryOperator::PGNotILikeMatch;
            let (expr, pattern) = (Box::new(take(left)), Box::new(patterns::escaped(take(right), None)));
            Some(Expr::ILike { negated, any: false, expr, pattern, escape_char: None })
        }
        Expr::Like { pattern, escape_char, .. } | Expr::ILike { pattern, escape_char, .. } => {
            **pattern = patterns::escaped(take(pattern), escape_char.take());
            None
        }
        Expr::AnyOp { left, compare_op, right, .. } if !matches!(right.as_ref(), Expr::Subquery(_)) => {
            quantified::any(take(left), compare_op, take(right))
        }
        Expr::AllOp { left, compare_op, right } if !matches!(right.as_ref(), Expr::Subquery(_)) => {
            quantified::all(take(left), compare_op, take(right))
        }
        // As an operator, so that the planner asks what it means for the types of the operands.
        Expr::IsDistinctFrom(left, right) => Some(custom(take(left), IS_DISTINCT_FROM, take(right))),
        Expr::IsNotDistinctFrom(left, right) => Some(custom(take(left), IS_NOT_DISTINCT_FROM, take(right))),
        Expr::BinaryOp { left, op: BinaryOperator::DuckIntegerDivide, right } => {
            Some(call_of("divide", vec![take(left), take(right)]))
        }
        Expr::AtTimeZone { timestamp, time_zone } => Some(call_of("timezone", vec![take(time_zone), take(timestamp)])),
        Expr::Function(call) => row(call),
        _ => None,
    }
}

/// `row(a, b)` as a struct of its elements.
fn row(call: &Function) -> Option<Expr> {
    let FunctionArguments::List(list) = &call.args else { return None };
    if plain_name(&call.name)? != "row" || list.args.is_empty() {
        return None;
    }
    let field = |(index, argument): (usize, &FunctionArg)| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => Some(DictionaryField {
            key: Ident::with_quote('\'', format!("element{}", index + 1)),
            value: Box::new(value.clone()),
        }),
        _ => None,
    };
    list.args.iter().enumerate().map(field).collect::<Option<Vec<_>>>().map(Expr::Dictionary)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::sql::parse;

    fn spelled(sql: &str) -> String {
        let tokens = parse::tokens(sql).map(take).unwrap();
        let mut statement = parse::statement(&tokens).unwrap();
        spell_out(&mut statement);
        statement.to_string()
    }

    /// The statement with every operator in parentheses.
    fn grouped(sql: &str) -> String {
        struct Groups;
        impl VisitorMut for Groups {
            type Break = ();
            fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
                if let Expr::BinaryOp { .. } | Expr::UnaryOp { .. } = expr {
                    *expr = Expr::Nested(Box::new(expr.clone()));
                }
                ControlFlow::Continue(())
            }
        }
        let mut statement = parse::statement(&take(parse::tokens(sql).unwrap())).unwrap();
        let _: ControlFlow<()> = VisitMut::visit(&mut statement, &mut Groups);
        statement.to_string()
    }

    #[test]
    fn operators_bind_as_they_should() {
        assert_eq!(grouped("select -2 ^ 2 * a ** b"), "SELECT (((-2) ^ 2) * (a ^ b))");
        assert_eq!(grouped("select 'a' || 1 + 2 | 3 & 4"), "SELECT ((('a' || (1 + 2)) | 3) & 4)");
        assert_eq!(grouped("select ~a + 1 & 3"), "SELECT ((~(a + 1)) & 3)");
    }

    #[test]
    fn operators_become_calls() {
        assert_eq!(spelled("select a // 2, 4 !, ~a"), "SELECT divide(a, 2), factorial(4), #bit_not(a)");
        assert_eq!(spelled("select a glob 'x*' from t"), "SELECT #glob(a, 'x*') FROM t");
        assert_eq!(spelled("select a glob from t"), "SELECT a AS glob FROM t");
        assert_eq!(spelled("select 0xFF, X'FF'"), "SELECT 255, X'FF'");
        assert_eq!(spelled("select sum(a) filter (a > 1) from t"), "SELECT sum(a) FILTER (WHERE a > 1) FROM t");
    }
}
