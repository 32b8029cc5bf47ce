//! Functions that are short for other SQL, put in place of their calls.
//!
//! Invariant: an argument is put in as a whole, in parentheses, and never read again for names of parameters.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::LazyLock;

use datafusion_sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident,
    ObjectName, SelectItem, SetExpr, Statement, TableAlias, TableFactor, Value, ValueWithSpan, VisitMut, VisitorMut,
};
use datafusion_sql::sqlparser::dialect::GenericDialect;
use datafusion_sql::sqlparser::parser::Parser;

use super::words::quoted;
use crate::expr::{Macro, TABLE_MACROS, TableMacro, functions, macros};

/// Puts every call of a macro in other words.
pub(super) fn spell_out(statement: &mut Statement) {
    let _: ControlFlow<()> = VisitMut::visit(statement, &mut Calls);
}

/// The names of all macros.
pub(super) fn names() -> impl Iterator<Item = &'static str> + Clone {
    macros().iter().map(|known| known.name)
}

/// How the macros of a name are called.
pub(super) fn signatures(name: &str) -> Vec<String> {
    let known = macros().iter().filter(|known| known.name.eq_ignore_ascii_case(name));
    known.map(|known| format!("{}({})", known.name, known.parameters)).collect()
}

/// The macros by name and number of arguments, with their parameters and bodies.
static MACROS: LazyLock<HashMap<(&'static str, usize), Template>> = LazyLock::new(|| {
    let template = |known: &'static Macro| {
        let parameters: Vec<&str> = known.parameters.split(", ").filter(|name| !name.is_empty()).collect();
        let body = Parser::new(&GenericDialect {}).try_with_sql(known.body).ok()?.parse_expr().ok()?;
        let body = Expr::Nested(Box::new(body));
        Some(((known.name, parameters.len()), Template { parameters, body, is_aggregate: known.is_aggregate }))
    };
    macros().iter().filter_map(template).collect()
});

struct Template {
    parameters: Vec<&'static str>,
    body: Expr,
    is_aggregate: bool,
}

struct Calls;

impl VisitorMut for Calls {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Function(call) = expr
            && let Some(body) = spelled(call)
        {
            *expr = body;
        }
        ControlFlow::Continue(())
    }
}

/// Puts every call of a table macro in other words: before relations are looked for, since these words hold some.
pub(super) fn spell_out_tables(statement: &mut Statement) {
    let _: ControlFlow<()> = VisitMut::visit(statement, &mut TableCalls);
}

/// The names of all table macros.
pub(super) fn table_names() -> impl Iterator<Item = &'static str> + Clone {
    TABLE_MACROS.iter().map(|known| known.name).chain(["query_table"])
}

struct TableCalls;

impl VisitorMut for TableCalls {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let Some(derived) = derived(factor) {
            *factor = derived;
        }
        ControlFlow::Continue(())
    }
}

/// The subquery that a call of a table macro stands for.
fn derived(factor: &TableFactor) -> Option<TableFactor> {
    let TableFactor::Table { name, args: Some(args), alias, .. } = factor else { return None };
    let name = plain_name(name)?;
    if name == "repeat_row" {
        return repeated(&args.args, alias.clone());
    }
    let plain = |argument: &FunctionArg| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)) => Some(argument.clone()),
        _ => None,
    };
    let arguments = args.args.iter().map(plain).collect::<Option<Vec<_>>>()?;
    if name == "query_table" {
        return tables_of(arguments.first()?, alias.as_ref());
    }
    let count = |known: &TableMacro| known.parameters.split(", ").count();
    let known = TABLE_MACROS.iter().find(|known| known.name == name && count(known) == arguments.len())?;
    let parameters: Vec<&'static str> = known.parameters.split(", ").collect();
    let mut query = Parser::new(&GenericDialect {}).try_with_sql(known.body).ok()?.parse_query().ok()?;
    let _: ControlFlow<()> = VisitMut::visit(&mut query, &mut Filler::new(&parameters, arguments));
    let alias = alias.clone().or_else(|| {
        let name = Ident::with_quote('"', known.name);
        Some(TableAlias { explicit: true, name, columns: Vec::new(), at: None })
    });
    Some(TableFactor::Derived { lateral: false, subquery: query, alias, sample: None })
}

/// `repeat_row(values…, num_rows = count)`.
fn repeated(arguments: &[FunctionArg], alias: Option<TableAlias>) -> Option<TableFactor> {
    let (count, values) = arguments.split_last()?;
    let (name, count) = match count {
        FunctionArg::Named { name, arg: FunctionArgExpr::Expr(count), .. } => (name, count),
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::BinaryOp { left, op: BinaryOperator::Eq, right })) => {
            let Expr::Identifier(name) = left.as_ref() else { return None };
            (name, right.as_ref())
        }
        _ => return None,
    };
    let value = |(index, value): (usize, &FunctionArg)| match value {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => {
            Some(SelectItem::ExprWithAlias { expr: expr.clone(), alias: Ident::new(format!("column{index}")) })
        }
        _ => None,
    };
    let values = values.iter().enumerate().map(value).collect::<Option<Vec<_>>>()?;
    let body = "SELECT 1 FROM range(num_rows) AS numbers";
    let mut query = Parser::new(&GenericDialect {}).try_with_sql(body).ok()?.parse_query().ok()?;
    let _: ControlFlow<()> = VisitMut::visit(&mut query, &mut Filler::new(&["num_rows"], vec![count.clone()]));
    let SetExpr::Select(select) = query.body.as_mut() else { return None };
    select.projection = values;
    let alias = alias.or_else(|| {
        let name = Ident::with_quote('"', "repeat_row");
        Some(TableAlias { explicit: true, name, columns: Vec::new(), at: None })
    });
    let is_count = name.value.eq_ignore_ascii_case("num_rows") && !select.projection.is_empty();
    is_count.then_some(TableFactor::Derived { lateral: false, subquery: query, alias, sample: None })
}

/// The table that a text names, or the rows of all tables that a list names.
fn tables_of(names: &Expr, alias: Option<&TableAlias>) -> Option<TableFactor> {
    let name_of = |expr: &Expr| match expr {
        Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(name), .. }) => Some(quoted(name)),
        _ => None,
    };
    let names = match names {
        Expr::Array(list) => list.elem.iter().map(name_of).collect::<Option<Vec<_>>>()?,
        name => vec![name_of(name)?],
    };
    let rows: Vec<String> = names.iter().map(|name| format!("SELECT * FROM {name}")).collect();
    let subquery = Parser::new(&GenericDialect {}).try_with_sql(&rows.join(" UNION ALL ")).ok()?.parse_query().ok()?;
    let name = Ident::with_quote('"', "query_table");
    let own = TableAlias { explicit: true, name, columns: Vec::new(), at: None };
    let alias = Some(alias.cloned().unwrap_or(own));
    Some(TableFactor::Derived { lateral: false, subquery, alias, sample: None })
}

/// What a call stands for; `None` where it is no macro's, or says more than a macro can take.
fn spelled(call: &Function) -> Option<Expr> {
    let name = plain_name(&call.name)?;
    let nothing = FunctionArgumentList { duplicate_treatment: None, args: Vec::new(), clauses: Vec::new() };
    let list = match &call.args {
        FunctionArguments::List(list) => list,
        FunctionArguments::None => &nothing,
        FunctionArguments::Subquery(_) => return None,
    };
    let mut arguments = Vec::with_capacity(list.args.len());
    for argument in &list.args {
        let FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)) = argument else { return None };
        arguments.push(argument.clone());
    }
    let template = MACROS.get(&(name.as_str(), arguments.len()))?;
    let is_plain = call.filter.is_none() && call.over.is_none() && list.duplicate_treatment.is_none();
    let has_more = !list.clauses.is_empty() || !call.within_group.is_empty() || call.null_treatment.is_some();
    if has_more || !(template.is_aggregate || is_plain) {
        return None;
    }
    let mut body = template.body.clone();
    let mut filler = Filler { parameters: &template.parameters, arguments, call: Some(call), skip: 0 };
    let _: ControlFlow<()> = VisitMut::visit(&mut body, &mut filler);
    Some(body)
}

/// The name of a function in lower case, where it is one word.
pub(super) fn plain_name(name: &ObjectName) -> Option<String> {
    match name.0.as_slice() {
        [part] => part.as_ident().map(|name| name.value.to_lowercase()),
        _ => None,
    }
}

/// Puts arguments for parameters, and what stands behind the call behind its aggregates.
pub(super) struct Filler<'a> {
    parameters: &'a [&'a str],
    arguments: Vec<Expr>,
    call: Option<&'a Function>,
    /// How deep the walk is inside of an argument.
    skip: usize,
}

impl<'a> Filler<'a> {
    /// Puts `arguments` in the places of `parameters`.
    pub(super) fn new(parameters: &'a [&'a str], arguments: Vec<Expr>) -> Self {
        Filler { parameters, arguments, call: None, skip: 0 }
    }
}

impl VisitorMut for Filler<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if self.skip > 0 {
            self.skip += 1;
            return ControlFlow::Continue(());
        }
        if let Expr::Identifier(name) = expr
            && let Some(place) =
                self.parameters.iter().position(|parameter| parameter.eq_ignore_ascii_case(&name.value))
            && let Some(argument) = self.arguments.get(place)
        {
            *expr = Expr::Nested(Box::new(argument.clone()));
            self.skip = 1;
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if self.skip > 0 {
            self.skip -= 1;
            return ControlFlow::Continue(());
        }
        if let Some(call) = self.call
            && let Expr::Function(inner) = expr
            && plain_name(&inner.name).is_some_and(|name| functions().aggregate.contains_key(&name))
        {
            inner.filter.clone_from(&call.filter);
            inner.over.clone_from(&call.over);
            if let (FunctionArguments::List(inner), FunctionArguments::List(outer)) = (&mut inner.args, &call.args) {
                inner.duplicate_treatment = outer.duplicate_treatment;
            }
        }
        ControlFlow::Continue(())
    }
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
    fn every_body_is_sql() {
        let names: std::collections::HashSet<_> = MACROS.keys().map(|(name, _)| *name).collect();
        for known in macros() {
            assert!(names.contains(known.name), "{}", known.name);
        }
    }

    #[test]
    fn arguments_take_the_places_of_parameters() {
        assert_eq!(spelled("select add(b, a * 2)"), "SELECT ((b) + (a * 2))");
        assert_eq!(
            spelled("select geomean(x) filter (where y) over w from t"),
            "SELECT (exp(avg(ln(CAST((x) AS DOUBLE))) FILTER (WHERE y) OVER w)) FROM t"
        );
    }
}
