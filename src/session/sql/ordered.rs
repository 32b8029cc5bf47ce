//! ORDER BY within the call of an aggregate that is a window function, which the planner refuses.
//!
//! * `first(x ORDER BY k) OVER w` and `last(…)` (and what they stand for: `arg_max`) are functions of floe that take the keys as arguments.
//! * `list(x ORDER BY k) OVER w` is a list of values with their keys, sorted; `string_agg` is the text of such a list.
//! * Where the order means nothing (`sum`), it goes.

use std::ops::ControlFlow;

use datafusion_sql::sqlparser::ast::{
    BinaryOperator, DictionaryField, DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentClause, FunctionArguments, Ident, NullTreatment, ObjectName, OrderByExpr, Statement, Value,
    VisitMut, VisitorMut,
};

use super::calls::call_of;
use super::macros::plain_name;

/// Aggregates that give the same for every order of their rows.
const UNORDERED: [&str; 9] = ["sum", "count", "min", "max", "avg", "mean", "median", "bool_and", "bool_or"];

/// Rewrites every such call.
pub(super) fn spell_out(statement: &mut Statement) {
    let _: ControlFlow<()> = VisitMut::visit(statement, &mut Calls);
}

struct Calls;

impl VisitorMut for Calls {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Function(call) = expr {
            drop_constant_keys(call);
            if call.over.is_none() {
                drop_own_order(call);
            }
        }
        if let Expr::Function(call) = expr
            && call.over.is_some()
            && let Some(spelled) = spelled(call.clone())
        {
            *expr = spelled;
        }
        ControlFlow::Continue(())
    }
}

/// `list(a ORDER BY 1)`: a constant orders nothing, and the planner would take it for the number of a column.
fn drop_constant_keys(call: &mut Function) {
    let FunctionArguments::List(list) = &mut call.args else { return };
    for clause in &mut list.clauses {
        if let FunctionArgumentClause::OrderBy(keys) = clause {
            keys.retain(|key| !matches!(key.expr, Expr::Value(_)));
        }
    }
    list.clauses.retain(|clause| !matches!(clause, FunctionArgumentClause::OrderBy(keys) if keys.is_empty()));
}

/// `count(DISTINCT a ORDER BY a)`: the order of the values among themselves means nothing.
fn drop_own_order(call: &mut Function) {
    if !plain_name(&call.name).is_some_and(|name| UNORDERED.contains(&name.as_str())) {
        return;
    }
    let FunctionArguments::List(list) = &mut call.args else { return };
    let is_argument = |key: &OrderByExpr| {
        list.args.iter().any(|argument| {
            matches!(argument, FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)) if *argument == key.expr)
        })
    };
    let is_own = |clause: &FunctionArgumentClause| matches!(clause, FunctionArgumentClause::OrderBy(keys) if keys.iter().all(is_argument));
    list.clauses = std::mem::take(&mut list.clauses).into_iter().filter(|clause| !is_own(clause)).collect();
}

fn spelled(mut call: Function) -> Option<Expr> {
    let name = plain_name(&call.name)?;
    let FunctionArguments::List(list) = &mut call.args else { return None };
    if list.duplicate_treatment == Some(DuplicateTreatment::Distinct) {
        return None;
    }
    let mut keys: Option<Vec<OrderByExpr>> = None;
    let mut ignores_nulls = name == "any_value" || call.null_treatment == Some(NullTreatment::IgnoreNulls);
    let mut clauses = Vec::new();
    for clause in list.clauses.drain(..) {
        match clause {
            FunctionArgumentClause::OrderBy(order) => keys = Some(order),
            FunctionArgumentClause::IgnoreOrRespectNulls(nulls) => ignores_nulls = nulls == NullTreatment::IgnoreNulls,
            other => clauses.push(other),
        }
    }
    let keys = keys?;
    if !clauses.is_empty() {
        return None;
    }
    if UNORDERED.contains(&name.as_str()) {
        return Some(Expr::Function(call));
    }
    let mut arguments = Vec::with_capacity(list.args.len());
    for argument in &list.args {
        let FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)) = argument else { return None };
        arguments.push(argument.clone());
    }
    let (value, more) = arguments.split_first()?;
    call.null_treatment = None;
    match (name.as_str(), more) {
        ("first" | "first_value" | "any_value" | "arbitrary", []) => {
            Some(extreme(call, "#first_by", value, &keys, ignores_nulls))
        }
        ("last" | "last_value", []) => Some(extreme(call, "#last_by", value, &keys, ignores_nulls)),
        ("list" | "array_agg", []) => Some(sorted(call, value, &keys, ignores_nulls)),
        ("string_agg" | "listagg" | "group_concat", [] | [_]) => {
            let separator = more.first().cloned().unwrap_or_else(|| text(","));
            Some(call_of("array_to_string", vec![sorted(call, value, &keys, true), separator]))
        }
        _ => None,
    }
}

fn text(text: &str) -> Expr {
    Expr::value(Value::SingleQuotedString(text.to_string()))
}

/// Two letters for each key: up or down, and whether NULLs come first or last.
fn letters(keys: &[OrderByExpr]) -> Expr {
    let letters = keys.iter().map(|key| {
        let ascending = key.options.asc.unwrap_or(true);
        let nulls_first = key.options.nulls_first.unwrap_or(false);
        format!("{}{}", if ascending { 'a' } else { 'd' }, if nulls_first { 'f' } else { 'l' })
    });
    text(&letters.collect::<String>())
}

/// The call with other arguments, of rows that have a value.
fn with_arguments(mut call: Function, name: &str, arguments: Vec<Expr>, value: &Expr, ignores_nulls: bool) -> Expr {
    call.name = ObjectName::from(vec![Ident::new(name)]);
    if let FunctionArguments::List(list) = &mut call.args {
        list.args = arguments.into_iter().map(|value| FunctionArg::Unnamed(FunctionArgExpr::Expr(value))).collect();
    }
    if ignores_nulls {
        let some = Expr::IsNotNull(Box::new(Expr::Nested(Box::new(value.clone()))));
        call.filter = Some(Box::new(match call.filter.take() {
            Some(filter) => {
                Expr::BinaryOp { left: Box::new(Expr::Nested(filter)), op: BinaryOperator::And, right: Box::new(some) }
            }
            None => some,
        }));
    }
    Expr::Function(call)
}

fn extreme(call: Function, name: &str, value: &Expr, keys: &[OrderByExpr], ignores_nulls: bool) -> Expr {
    let keyed = keys.iter().map(|key| key.expr.clone());
    let arguments = [value.clone(), letters(keys)].into_iter().chain(keyed).collect();
    with_arguments(call, name, arguments, value, ignores_nulls)
}

fn sorted(call: Function, value: &Expr, keys: &[OrderByExpr], ignores_nulls: bool) -> Expr {
    let values = std::iter::once(value).chain(keys.iter().map(|key| &key.expr));
    let fields = values.enumerate().map(|(index, value)| DictionaryField {
        key: Ident::with_quote('\'', format!("c{index}")),
        value: Box::new(value.clone()),
    });
    let list = with_arguments(call, "list", vec![Expr::Dictionary(fields.collect())], value, ignores_nulls);
    call_of("#ordered_values", vec![list, letters(keys)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::sql::parse;

    fn spelled(sql: &str) -> String {
        let mut statement = parse::tokens(sql).and_then(|tokens| parse::statement(&tokens)).unwrap();
        spell_out(&mut statement);
        statement.to_string()
    }

    #[test]
    fn keys_become_arguments() {
        assert_eq!(
            spelled("select first(a order by b desc, c) over w from t"),
            "SELECT #first_by(a, 'dlal', b, c) OVER w FROM t"
        );
        assert_eq!(spelled("select sum(a order by b) over w from t"), "SELECT sum(a) OVER w FROM t");
        assert_eq!(
            spelled("select string_agg(a, '-' order by b) over w from t"),
            "SELECT array_to_string(#ordered_values(list({'c0': a, 'c1': b}) FILTER (WHERE (a) IS NOT NULL) OVER w, 'al'), '-') FROM t"
        );
        let same = "SELECT first(a ORDER BY b) FROM t";
        assert_eq!(spelled(same), same);
    }
}
