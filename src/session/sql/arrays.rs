//! Lists that are made of other rows or lists.
//!
//! * `[expression FOR x IN list IF condition]` is a call of list_transform over one of list_filter.
//! * `ARRAY(SELECT …)` is the list of a query's values, empty where it has no rows.

use std::ops::ControlFlow;

use datafusion_sql::sqlparser::ast::{
    AccessExpr, Array, Expr, FunctionArguments, Ident, LambdaFunction, LambdaFunctionParameter, LambdaSyntax,
    OneOrManyWithParens, Query, SelectItem, SetExpr, Statement, Subscript, TableFactor, Value, VisitMut, VisitorMut,
};
use datafusion_sql::sqlparser::dialect::GenericDialect;
use datafusion_sql::sqlparser::keywords::Keyword;
use datafusion_sql::sqlparser::parser::{Parser, ParserError};
use datafusion_sql::sqlparser::tokenizer::Token;

use super::calls::call_of;
use super::macros::plain_name;
use crate::error::{Code, Error, Result};

/// A list in brackets, of values or by a comprehension.
pub(super) fn literal(parser: &mut Parser) -> Option<std::result::Result<Expr, ParserError>> {
    parser.consume_token(&Token::LBracket).then(|| elements(parser))
}

fn elements(parser: &mut Parser) -> std::result::Result<Expr, ParserError> {
    let elem = parser.parse_comma_separated0(Parser::parse_expr, Token::RBracket)?;
    let list = match elem.as_slice() {
        [body] if parser.parse_keyword(Keyword::FOR) => comprehension(parser, body)?,
        _ => Expr::Array(Array { elem, named: false }),
    };
    parser.expect_token(&Token::RBracket)?;
    Ok(list)
}

fn comprehension(parser: &mut Parser, body: &Expr) -> std::result::Result<Expr, ParserError> {
    let names = parser.parse_comma_separated(Parser::parse_identifier)?;
    parser.expect_keyword_is(Keyword::IN)?;
    let list = parser.parse_expr()?;
    let transformed = |list, body| call_of("list_transform", vec![list, lambda(&names, body)]);
    if !parser.parse_keyword(Keyword::IF) {
        return Ok(transformed(list, body.clone()));
    }
    let condition = parser.parse_expr()?;
    if names.len() == 1 {
        return Ok(transformed(call_of("list_filter", vec![list, lambda(&names, condition)]), body.clone()));
    }
    // The index is that in the whole list: values are made first, of those that are kept.
    let value = call_of("if", vec![condition.clone(), body.clone(), Expr::value(Value::Null)]);
    let pairs = transformed(list, call_of("struct", vec![condition, value]));
    let pair = [Ident::with_quote('"', "list pair")];
    let [kept, value] = ["c0", "c1"].map(|field| {
        let index = Expr::value(Value::SingleQuotedString(field.to_string()));
        let access_chain = vec![AccessExpr::Subscript(Subscript::Index { index })];
        let root = Box::new(Expr::Identifier(Ident::with_quote('"', "list pair")));
        lambda(&pair, Expr::CompoundFieldAccess { root, access_chain })
    });
    Ok(call_of("list_transform", vec![call_of("list_filter", vec![pairs, kept]), value]))
}

fn lambda(names: &[Ident], body: Expr) -> Expr {
    let parameter = |name: &Ident| LambdaFunctionParameter { name: name.clone(), data_type: None };
    let params = match names {
        [name] => OneOrManyWithParens::One(parameter(name)),
        names => OneOrManyWithParens::Many(names.iter().map(parameter).collect()),
    };
    Expr::Lambda(LambdaFunction { params, body: Box::new(body), syntax: LambdaSyntax::LambdaKeyword })
}

/// Puts aggregates in the places of lists of queries.
///
/// # Errors
/// `INVALID_QUERY` for a query of several columns.
pub(super) fn spell_out(statement: &mut Statement) -> Result<()> {
    match VisitMut::visit(statement, &mut Arrays) {
        ControlFlow::Break(error) => Err(*error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Arrays;

impl VisitorMut for Arrays {
    type Break = Box<Error>;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Box<Error>> {
        if let Expr::Function(call) = expr
            && let FunctionArguments::Subquery(query) = &call.args
            && plain_name(&call.name).as_deref() == Some("array")
        {
            if !has_one_column(query) {
                let error = Error::new(Code::InvalidQuery, "ARRAY takes a query of one column, which it names");
                return ControlFlow::Break(Box::new(error));
            }
            if let Some(list) = aggregated(query) {
                *expr = list;
            }
        }
        ControlFlow::Continue(())
    }
}

/// Whether the query names one column: how many a star has nobody knows here.
fn has_one_column(query: &Query) -> bool {
    fn is_one(body: &SetExpr) -> bool {
        match body {
            SetExpr::Select(select) => {
                matches!(select.projection.as_slice(), [SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. }])
            }
            SetExpr::Query(query) => is_one(&query.body),
            SetExpr::SetOperation { left, .. } => is_one(left),
            SetExpr::Values(values) => values.rows.first().is_some_and(|row| row.len() == 1),
            _ => false,
        }
    }
    is_one(&query.body)
}

/// `coalesce((SELECT list(value) FROM (query) AS rows(value)), [])`.
fn aggregated(query: &Query) -> Option<Expr> {
    let text = r#"coalesce((SELECT list("array value") FROM (SELECT 1) AS rows("array value")), [])"#;
    let mut list = Parser::new(&GenericDialect {}).try_with_sql(text).ok()?.parse_expr().ok()?;
    struct Filler<'a>(&'a Query);
    impl VisitorMut for Filler<'_> {
        type Break = ();

        fn pre_visit_query(&mut self, outer: &mut Query) -> ControlFlow<()> {
            if let SetExpr::Select(select) = outer.body.as_mut()
                && let Some(from) = select.from.first_mut()
                && let TableFactor::Derived { subquery, .. } = &mut from.relation
            {
                **subquery = self.0.clone();
            }
            ControlFlow::Break(())
        }
    }
    let _: ControlFlow<()> = VisitMut::visit(&mut list, &mut Filler(query));
    Some(list)
}
