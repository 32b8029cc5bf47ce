//! COLLATE NOCASE, NOACCENT and both: comparisons and orders of a text in other words.
//!
//! `a COLLATE NOCASE = b` compares `lower(a)` and `lower(b)`; ORDER BY sorts by such a text. In the result's own select list
//! a collation means nothing; wherever else nobody would read it (GROUP BY, DISTINCT, calls, subqueries), it is refused.

use std::ops::ControlFlow;

use datafusion_sql::sqlparser::ast::{
    BinaryOperator, Expr, FunctionArgumentClause, FunctionArguments, GroupByExpr, ObjectName, OrderByExpr, OrderByKind,
    Query, Select, SelectItem, SetExpr, Statement, Value, VisitMut, VisitorMut, WindowType,
};

use super::calls::call_of;
use crate::error::{Code, Error, Result};

/// Rewrites every collation of the statement.
///
/// # Errors
/// `NOT_SUPPORTED` for other collations and where one would have to be looked at.
pub(super) fn spell_out(statement: &mut Statement) -> Result<()> {
    match VisitMut::visit(statement, &mut Collations { depth: 0 }) {
        ControlFlow::Break(error) => Err(*error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Collations {
    /// How many queries the walk is in.
    depth: usize,
}

type Verdict = ControlFlow<Box<Error>>;

fn verdict(result: Result<()>) -> Verdict {
    result.map_or_else(|error| ControlFlow::Break(Box::new(error)), ControlFlow::Continue)
}

impl VisitorMut for Collations {
    type Break = Box<Error>;

    fn pre_visit_query(&mut self, query: &mut Query) -> Verdict {
        self.depth += 1;
        verdict(order(query))
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> Verdict {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> Verdict {
        let plain = matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if keys.is_empty());
        if self.depth == 1 && select.distinct.is_none() && plain {
            for item in &mut select.projection {
                if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
                    verdict(collation_of(expr).map(|_| ()))?;
                    strip(expr);
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> Verdict {
        verdict(compare(expr).and_then(|()| order_within(expr)))
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> Verdict {
        match expr {
            Expr::Collate { collation, .. } => verdict(Collation::of(collation).and_then(|_| {
                Err(Error::not_supported("COLLATE other than in comparisons, ORDER BY and the select list")
                    .hint("lower(text) is what NOCASE compares"))
            })),
            _ => ControlFlow::Continue(()),
        }
    }
}

/// Takes the collation off a text.
fn strip(expr: &mut Expr) {
    match expr {
        Expr::Collate { expr: text, .. } => *expr = std::mem::replace(text.as_mut(), Expr::value(Value::Null)),
        Expr::Nested(inner) => strip(inner),
        Expr::BinaryOp { left, op: BinaryOperator::StringConcat, right } => {
            strip(left);
            strip(right);
        }
        _ => {}
    }
}

/// Makes keys of texts by which a call is ordered.
fn order_within(expr: &mut Expr) -> Result<()> {
    let Expr::Function(call) = expr else { return Ok(()) };
    let mut keys: Vec<&mut OrderByExpr> = call.within_group.iter_mut().collect();
    if let Some(WindowType::WindowSpec(window)) = &mut call.over {
        keys.extend(&mut window.order_by);
    }
    if let FunctionArguments::List(list) = &mut call.args {
        for clause in &mut list.clauses {
            if let FunctionArgumentClause::OrderBy(order) = clause {
                keys.extend(order);
            }
        }
    }
    for key in keys {
        if let Some(collation) = collation_of(&key.expr)? {
            collation.put(&mut key.expr);
        }
    }
    Ok(())
}

/// What texts are compared without.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Collation {
    nocase: bool,
    noaccent: bool,
}

impl Collation {
    fn of(name: &ObjectName) -> Result<Self> {
        let mut collation = Collation::default();
        for part in &name.0 {
            match part.to_string().to_lowercase().as_str() {
                "nocase" => collation.nocase = true,
                "noaccent" => collation.noaccent = true,
                "binary" | "c" | "posix" => {}
                other => {
                    return Err(Error::new(Code::NotSupported, format!("the collation {other} is not supported"))
                        .hint("collations are BINARY, NOCASE, NOACCENT and NOCASE.NOACCENT"));
                }
            }
        }
        Ok(collation)
    }

    fn apply(self, mut text: Expr) -> Expr {
        if self.noaccent {
            text = call_of("strip_accents", vec![text]);
        }
        if self.nocase {
            text = call_of("lower", vec![text]);
        }
        text
    }

    /// Puts the key for the text.
    fn put(self, text: &mut Expr) {
        let mut plain = std::mem::replace(text, Expr::value(Value::Null));
        strip(&mut plain);
        *text = self.apply(plain);
    }
}

/// The collation of a text: of an expression, its own or that of a text within a call that passes it on.
fn collation_of(expr: &Expr) -> Result<Option<Collation>> {
    match expr {
        Expr::Collate { collation, .. } => Collation::of(collation).map(Some),
        Expr::Nested(inner) => collation_of(inner),
        Expr::BinaryOp { left, op: BinaryOperator::StringConcat, right } => {
            Ok(collation_of(left)?.or(collation_of(right)?))
        }
        _ => Ok(None),
    }
}

/// Makes keys of texts that are compared, where one of them has a collation.
fn compare(expr: &mut Expr) -> Result<()> {
    let mut sides: Vec<&mut Expr> = match expr {
        Expr::BinaryOp { left, op, right } if compares(op) => vec![left, right],
        Expr::IsDistinctFrom(left, right) | Expr::IsNotDistinctFrom(left, right) => vec![left, right],
        Expr::Between { expr, low, high, .. } => vec![expr, low, high],
        Expr::InList { expr, list, .. } => std::iter::once(expr.as_mut()).chain(list).collect(),
        Expr::Like { expr, pattern, .. } => vec![expr, pattern],
        _ => return Ok(()),
    };
    let mut found = None;
    for side in &sides {
        found = found.or(collation_of(side)?);
    }
    if let Some(collation) = found {
        sides.iter_mut().for_each(|side| collation.put(side));
    }
    Ok(())
}

fn compares(op: &BinaryOperator) -> bool {
    use BinaryOperator as Op;
    matches!(op, Op::Eq | Op::NotEq | Op::Lt | Op::LtEq | Op::Gt | Op::GtEq)
}

/// Makes keys of texts by which a query is ordered.
fn order(query: &mut Query) -> Result<()> {
    let Some(order) = &mut query.order_by else { return Ok(()) };
    let items = match query.body.as_ref() {
        SetExpr::Select(select) => select.projection.as_slice(),
        _ => &[],
    };
    match &mut order.kind {
        OrderByKind::All(_) => Ok(()),
        OrderByKind::Expressions(keys) => {
            for key in keys {
                let shown = item(items, &key.expr).map(collation_of).transpose()?.flatten();
                let own = collation_of(&key.expr)?;
                if let (None, Some(_), Some(text)) = (own, shown, item(items, &key.expr)) {
                    key.expr = text.clone();
                }
                if let Some(collation) = own.or(shown) {
                    collation.put(&mut key.expr);
                }
            }
            Ok(())
        }
    }
}

/// The item of the select list that a key names by position or alias.
fn item<'a>(items: &'a [SelectItem], key: &Expr) -> Option<&'a Expr> {
    let expr = |item: &'a SelectItem| match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
        _ => None,
    };
    match key {
        Expr::Value(value) => {
            let Value::Number(digits, _) = &value.value else { return None };
            items.get(digits.parse::<usize>().ok()?.checked_sub(1)?).and_then(expr)
        }
        Expr::Identifier(name) => items.iter().find_map(|item| match item {
            SelectItem::ExprWithAlias { expr, alias } if alias.value == name.value => Some(expr),
            _ => None,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::sql::parse;

    fn spelled(sql: &str) -> Result<String> {
        let mut statement = parse::tokens(sql).and_then(|tokens| parse::statement(&tokens)).unwrap();
        spell_out(&mut statement).map(|()| statement.to_string())
    }

    #[test]
    fn keys_are_compared() {
        assert_eq!(spelled("select a collate nocase = 'B'").unwrap(), "SELECT lower(a) = lower('B')");
        assert_eq!(
            spelled("select a from t order by a collate noaccent.nocase, b collate binary").unwrap(),
            "SELECT a FROM t ORDER BY lower(strip_accents(a)), b"
        );
        assert_eq!(spelled("select a collate nocase from t order by 1").unwrap(), "SELECT a FROM t ORDER BY lower(a)");
        assert!(spelled("select a collate nocase, count(*) from t group by a collate nocase").is_err());
        assert!(spelled("select a collate nocase, count(*) from t group by 1").is_err());
        assert!(spelled("select distinct a collate nocase from t").is_err());
        assert!(spelled("select a collate de").is_err());
    }
}
