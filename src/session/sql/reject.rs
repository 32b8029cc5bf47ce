//! Syntax that the parser and the planner take but would misread: refused here, so that it is never a wrong answer.
//!
//! Invariant: whatever the planner ignores in a syntax tree is either refused here or not enabled in the
//! [dialect](super::dialect).

use std::ops::ControlFlow;

use datafusion_sql::sqlparser::ast::{
    DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArgumentList,
    FunctionArguments, Ident, Join, JoinConstraint, OrderByKind, Query, Select, SelectItem, SetExpr, SetOperator,
    SetQuantifier, Spanned, Statement, TableFactor, TableWithJoins, UnaryOperator, Value, Visit, Visitor,
};

use super::parse::span_of;
use super::{calls, joins, macros, table_function};
use crate::error::{Code, Error, Result};
use crate::expr::{functions, macros as known_macros};

/// Words that begin a kind of join or sampling elsewhere, but that the parser takes for a table's alias.
const NOT_ALIASES: [&str; 8] = ["positional", "asof", "semi", "anti", "sample", "tablesample", "lateral", "window"];

/// An error if the statement holds syntax that would be misread.
pub(crate) fn check(statement: &Statement) -> Result<()> {
    match statement.visit(&mut Rejections) {
        ControlFlow::Break(error) => Err(*error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Rejections;

type Verdict = ControlFlow<Box<Error>>;

fn refuse(what: impl std::fmt::Display) -> Verdict {
    ControlFlow::Break(Box::new(Error::not_supported(what)))
}

fn refuse_if(condition: bool, what: &str) -> Verdict {
    if condition { refuse(what) } else { ControlFlow::Continue(()) }
}

impl Visitor for Rejections {
    type Break = Box<Error>;

    fn pre_visit_query(&mut self, query: &Query) -> Verdict {
        refuse_if(!query.locks.is_empty(), "FOR UPDATE / FOR SHARE")?;
        refuse_if(query.for_clause.is_some(), "FOR XML / FOR JSON")?;
        refuse_if(query.settings.is_some(), "SETTINGS in a query")?;
        refuse_if(query.format_clause.is_some(), "FORMAT in a query")?;
        refuse_if(!query.pipe_operators.is_empty(), "the pipe operator |>")?;
        if let Some(order) = &query.order_by {
            refuse_if(order.interpolate.is_some(), "ORDER BY … INTERPOLATE")?;
            if let OrderByKind::Expressions(keys) = &order.kind {
                keys.iter().try_for_each(|key| order_by_constant(&key.expr))?;
            }
        }
        set_operations(&query.body)
    }

    fn pre_visit_select(&mut self, select: &Select) -> Verdict {
        refuse_if(select.top.is_some(), "SELECT TOP")?;
        refuse_if(select.into.is_some(), "SELECT INTO")?;
        refuse_if(select.exclude.is_some(), "EXCLUDE behind the select list")?;
        refuse_if(select.prewhere.is_some(), "PREWHERE")?;
        refuse_if(!select.connect_by.is_empty(), "CONNECT BY")?;
        refuse_if(!select.distribute_by.is_empty(), "DISTRIBUTE BY")?;
        refuse_if(select.value_table_mode.is_some(), "SELECT AS STRUCT / AS VALUE")?;
        refuse_if(select.select_modifiers.is_some(), "a modifier behind SELECT")?;
        if select.projection.iter().any(|item| matches!(item, SelectItem::ExprWithAliases { .. })) {
            return refuse("several aliases for one expression");
        }
        if let Some(condition) = &select.selection {
            condition.visit(&mut Windows { queries: 0 })?;
        }
        select.from.iter().try_for_each(table_with_joins)
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> Verdict {
        match factor {
            TableFactor::Table {
                with_hints,
                version,
                with_ordinality,
                partitions,
                json_path,
                index_hints,
                args,
                name,
                ..
            } => {
                let makes_rows = args.is_some() && table_function::makes_rows(&name.to_string());
                refuse_if(version.is_some(), "a table version (time travel)")?;
                refuse_if(*with_ordinality && !makes_rows, "WITH ORDINALITY behind a table's name")?;
                refuse_if(!partitions.is_empty(), "PARTITION behind a table's name")?;
                refuse_if(json_path.is_some(), "a path behind a table's name")?;
                refuse_if(!with_hints.is_empty() || !index_hints.is_empty(), "a table hint")?;
                refuse_if(args.as_ref().is_some_and(|args| args.settings.is_some()), "SETTINGS in a table function")
            }
            TableFactor::UNNEST { with_offset, .. } => refuse_if(*with_offset, "UNNEST … WITH OFFSET"),
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> Verdict {
        refuse_if(matches!(expr, Expr::Dictionary(fields) if fields.is_empty()), "a STRUCT without fields")?;
        let Expr::Function(function) = expr else {
            return ControlFlow::Continue(());
        };
        let FunctionArguments::List(list) = &function.args else {
            return ControlFlow::Continue(());
        };
        let name = function.name.to_string();
        of_rows(function, list)?;
        if name.eq_ignore_ascii_case("unnest") || calls::takes_names(&name) {
            return ControlFlow::Continue(());
        }
        let named = list.args.iter().any(|argument| !matches!(argument, FunctionArg::Unnamed(_)));
        refuse_if(named, "a named argument of a scalar or aggregate function")
    }
}

/// Refuses window functions in a condition of WHERE, but in subqueries.
struct Windows {
    queries: usize,
}

impl Visitor for Windows {
    type Break = Box<Error>;

    fn pre_visit_query(&mut self, _: &Query) -> Verdict {
        self.queries += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> Verdict {
        self.queries -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> Verdict {
        match expr {
            Expr::Function(call) if call.over.is_some() && self.queries == 0 => {
                let error = Error::new(Code::InvalidQuery, "WHERE comes before window functions")
                    .span(span_of(call.name.span()))
                    .hint("QUALIFY is a condition on them");
                ControlFlow::Break(Box::new(error))
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

/// What only calls over rows may have, behind a call over the values of one row: the planner would not look at it.
fn of_rows(call: &Function, list: &FunctionArgumentList) -> Verdict {
    let error = |message: String| {
        let place = call.name.0.first().map_or_else(|| call.name.span(), Spanned::span);
        Error::new(Code::InvalidQuery, message).span(span_of(place))
    };
    let is_distinct = list.duplicate_treatment == Some(DuplicateTreatment::Distinct);
    let is_star = |argument: &FunctionArg| matches!(argument, FunctionArg::Unnamed(FunctionArgExpr::Wildcard));
    if is_distinct && list.args.iter().any(is_star) {
        let error = error(format!("{}(DISTINCT *) counts no column", call.name))
            .hint("write SELECT count(*) FROM (SELECT DISTINCT * FROM …)");
        return ControlFlow::Break(Box::new(error));
    }
    let Some(name) = macros::plain_name(&call.name).filter(|name| is_of_values(name)) else {
        return ControlFlow::Continue(());
    };
    let is_order = |clause: &FunctionArgumentClause| matches!(clause, FunctionArgumentClause::OrderBy(_));
    let is_nulls = |clause: &FunctionArgumentClause| matches!(clause, FunctionArgumentClause::IgnoreOrRespectNulls(_));
    let what = match call {
        _ if is_distinct => "DISTINCT",
        _ if list.clauses.iter().any(is_order) => "ORDER BY",
        _ if list.clauses.iter().any(is_nulls) => "IGNORE NULLS",
        Function { over: Some(_), .. } => "OVER",
        Function { filter: Some(_), .. } => "FILTER",
        Function { within_group, .. } if !within_group.is_empty() => "WITHIN GROUP",
        _ => return ControlFlow::Continue(()),
    };
    let kinds = if what == "OVER" { "aggregates and window functions" } else { "aggregates" };
    let message = format!("{name} is a function of one row: {what} is for {kinds} only");
    ControlFlow::Break(Box::new(error(message)))
}

/// Whether the name is only that of functions of one row.
fn is_of_values(name: &str) -> bool {
    let known = functions();
    let is_macro = |is_aggregate: bool| known_macros().iter().any(|m| m.name == name && m.is_aggregate == is_aggregate);
    let of_values = known.scalar.contains_key(name) || known.higher_order.contains_key(name) || is_macro(false);
    let of_rows = known.aggregate.contains_key(name) || known.window.contains_key(name) || is_macro(true);
    of_values && !of_rows
}

/// BY NAME is planned for UNION only; on the others the planner may not look at it.
fn set_operations(body: &SetExpr) -> Verdict {
    let SetExpr::SetOperation { op, set_quantifier, left, right } = body else {
        return ControlFlow::Continue(());
    };
    let by_name =
        matches!(set_quantifier, SetQuantifier::ByName | SetQuantifier::AllByName | SetQuantifier::DistinctByName);
    if by_name && *op != SetOperator::Union {
        return refuse(format_args!("{op} BY NAME"));
    }
    set_operations(left)?;
    set_operations(right)
}

fn table_with_joins(from: &TableWithJoins) -> Verdict {
    alias(&from.relation, !from.joins.is_empty())?;
    let count = from.joins.len();
    from.joins.iter().enumerate().try_for_each(|(index, join)| {
        alias(&join.relation, index + 1 < count)?;
        constraint(join)
    })
}

/// `FROM a POSITIONAL JOIN b` parses as `a AS positional JOIN b`.
fn alias(factor: &TableFactor, joined: bool) -> Verdict {
    let alias = match factor {
        TableFactor::Table { alias, .. }
        | TableFactor::Derived { alias, .. }
        | TableFactor::NestedJoin { alias, .. } => alias,
        _ => return ControlFlow::Continue(()),
    };
    let Some(alias) = alias.as_ref().filter(|alias| joined && !alias.explicit && alias.name.quote_style.is_none())
    else {
        return ControlFlow::Continue(());
    };
    let word = alias.name.value.to_lowercase();
    if NOT_ALIASES.contains(&word.as_str()) {
        return refuse_at(&alias.name, format!("{} JOIN", word.to_uppercase()));
    }
    ControlFlow::Continue(())
}

/// A join without a condition would be planned as a cross join.
fn constraint(join: &Join) -> Verdict {
    let is_missing = matches!(joins::constraint(&join.join_operator), Some((JoinConstraint::None, _)));
    if is_missing && !matches!(join.relation, TableFactor::UNNEST { .. }) {
        let error = Error::new(Code::Syntax, "a join needs ON or USING")
            .span(span_of(join.relation.span()))
            .hint("write CROSS JOIN for every pair of rows");
        return ControlFlow::Break(Box::new(error));
    }
    ControlFlow::Continue(())
}

/// A constant orders nothing, and one that is no position was probably meant to be something else.
fn order_by_constant(key: &Expr) -> Verdict {
    let is_position = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    let what = match key {
        Expr::Value(value) => match &value.value {
            Value::Number(text, _) if is_position(text) => return ControlFlow::Continue(()),
            Value::Placeholder(_) => return ControlFlow::Continue(()),
            Value::Number(..) => "is not the position of a column",
            _ => "has no effect",
        },
        Expr::UnaryOp { op: UnaryOperator::Minus | UnaryOperator::Plus, expr } if matches!(expr.as_ref(), Expr::Value(value) if matches!(value.value, Value::Number(..))) => {
            "is not the position of a column"
        }
        _ => return ControlFlow::Continue(()),
    };
    let error = Error::new(Code::InvalidQuery, format!("ORDER BY {key} {what}")).span(span_of(key.span()));
    ControlFlow::Break(Box::new(
        error.hint("positions count from 1; a column's name is written in double quotes, or in none"),
    ))
}

fn refuse_at(name: &Ident, what: String) -> Verdict {
    ControlFlow::Break(Box::new(Error::not_supported(what).span(span_of(name.span))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::sql::parse;

    fn verdict(sql: &str) -> Result<()> {
        check(&parse::tokens(sql).and_then(|tokens| parse::statement(&tokens))?)
    }

    #[test]
    fn what_would_be_misread_is_refused() {
        for (sql, word) in [
            ("select * from a positional join b", "POSITIONAL JOIN"),
            ("select * from a asof join b on a.x = b.x", "ASOF"),
            ("select * from a join b", "ON or USING"),
            ("select * from a left join b", "ON or USING"),
            ("select * from t for update", "FOR UPDATE"),
            ("select * into x from t", "SELECT INTO"),
            ("select top 3 a from t", "TOP"),
            ("select round(x, digits => 2) from t", "named argument"),
            ("select a from t intersect by name select a from u", "BY NAME"),
            ("select a from t distribute by a", "DISTRIBUTE BY"),
            ("select * from t with ordinality", "ORDINALITY"),
        ] {
            let error = match verdict(sql) {
                Err(error) => error,
                Ok(()) => panic!("{sql} was taken"),
            };
            assert!(error.message().contains(word) || error.code() == Code::Syntax, "{sql}: {error}");
        }
    }

    #[test]
    fn also_inside_subqueries_and_ctes() {
        assert!(verdict("with x as (select * from a join b) select 1").is_err());
        assert!(verdict("select (select max(a) from t for update)").is_err());
    }

    #[test]
    fn the_same_words_are_fine_where_they_mean_what_they_say() {
        for sql in [
            "select * from a as positional join b on true",
            "select * from a positional",
            "select * from a cross join b",
            "select * from a, b",
            "select a from t union by name select a from u",
        ] {
            assert!(verdict(sql).is_ok(), "{sql}: {:?}", verdict(sql));
        }
    }
}
