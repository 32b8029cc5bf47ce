//! `value.function(arguments)` is `function(value, arguments)`.
//!
//! The parser takes `a.b.f(x)` for a function with a name of three parts; no function has such a name, but for the schema
//! that all functions are in.

use std::ops::ControlFlow;

use datafusion_sql::sqlparser::ast::{
    AccessExpr, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, ObjectNamePart,
    Statement, Subscript, Value, VisitMut, VisitorMut,
};

/// Writes every such call as a plain one.
pub(super) fn spell_out(statement: &mut Statement) {
    let _: ControlFlow<()> = VisitMut::visit(statement, &mut Methods);
}

struct Methods;

impl VisitorMut for Methods {
    type Break = ();

    /// `{…}.field.f()` is read as a call of `field.f`.
    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let Expr::CompoundFieldAccess { access_chain, .. } = expr else { return ControlFlow::Continue(()) };
        let mut chain = Vec::with_capacity(access_chain.len());
        for access in std::mem::take(access_chain) {
            match access {
                AccessExpr::Dot(Expr::Function(mut call)) => {
                    let name = call.name.0.split_off(call.name.0.len().saturating_sub(1));
                    let fields = std::mem::replace(&mut call.name.0, name);
                    let fields = fields.into_iter().filter_map(|part| part.as_ident().cloned());
                    chain.extend(fields.map(|field| AccessExpr::Dot(Expr::Identifier(field))));
                    chain.push(AccessExpr::Dot(Expr::Function(call)));
                }
                access => chain.push(access),
            }
        }
        *access_chain = chain;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let spelled = match expr {
            Expr::Function(call) => of_name(call),
            Expr::CompoundFieldAccess { root, access_chain } => of_chain(root, access_chain),
            _ => None,
        };
        if let Some(spelled) = spelled {
            *expr = spelled;
        }
        ControlFlow::Continue(())
    }
}

/// `a.b.f(x)`, read as one name.
fn of_name(call: &Function) -> Option<Expr> {
    let (name, value) = call.name.0.split_last()?;
    let parts = value.iter().map(|part| part.as_ident().cloned()).collect::<Option<Vec<Ident>>>()?;
    let value = match parts.as_slice() {
        [] => return None,
        [schema] if schema.value.eq_ignore_ascii_case("main") => None,
        [column] => Some(Expr::Identifier(column.clone())),
        _ => Some(Expr::CompoundIdentifier(parts)),
    };
    called(call, name.clone(), value)
}

/// The call, of `value` and its own arguments; `None` for what takes no such arguments.
fn called(call: &Function, name: ObjectNamePart, value: Option<Expr>) -> Option<Expr> {
    let mut call = Function { name: ObjectName(vec![name]), ..call.clone() };
    let FunctionArguments::List(list) = &mut call.args else { return None };
    if let Some(value) = value {
        list.args.insert(0, FunctionArg::Unnamed(FunctionArgExpr::Expr(value)));
    }
    Some(Expr::Function(call))
}

/// `[1, 2].f(x).g()[1].field`.
fn of_chain(root: &Expr, chain: &[AccessExpr]) -> Option<Expr> {
    let is_call = |access: &AccessExpr| matches!(access, AccessExpr::Dot(Expr::Function(_)));
    chain.iter().position(is_call)?;
    let mut value = root.clone();
    let mut fields: Vec<AccessExpr> = Vec::new();
    let mut called_before = false;
    for access in chain {
        match access {
            AccessExpr::Dot(Expr::Function(call)) => {
                let receiver = accessed(value, std::mem::take(&mut fields));
                let (name, []) = call.name.0.split_last()? else { return None };
                value = called(call, name.clone(), Some(receiver))?;
                called_before = true;
            }
            AccessExpr::Dot(Expr::Identifier(name)) if called_before => {
                let name = Expr::value(Value::SingleQuotedString(name.value.clone()));
                fields.push(AccessExpr::Subscript(Subscript::Index { index: name }));
            }
            access => fields.push(access.clone()),
        }
    }
    Some(accessed(value, fields))
}

fn accessed(root: Expr, fields: Vec<AccessExpr>) -> Expr {
    if fields.is_empty() {
        return root;
    }
    let names = std::iter::once(Some(&root)).chain(fields.iter().map(|field| match field {
        AccessExpr::Dot(name) => Some(name),
        AccessExpr::Subscript(_) => None,
    }));
    let names = names.map(|name| match name {
        Some(Expr::Identifier(name)) => Some(name.clone()),
        _ => None,
    });
    match names.collect::<Option<Vec<Ident>>>() {
        Some(names) => Expr::CompoundIdentifier(names),
        None => Expr::CompoundFieldAccess { root: Box::new(root), access_chain: fields },
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
    fn methods_are_calls() {
        assert_eq!(spelled("select 'a'.upper()"), "SELECT upper('a')");
        assert_eq!(spelled("select b.upper().lower() from t"), "SELECT lower(upper(b)) FROM t");
        assert_eq!(spelled("select t.b.left(2) from t"), "SELECT left(t.b, 2) FROM t");
        assert_eq!(spelled("select t.s.f().g().h from t"), "SELECT g(f(t.s))['h'] FROM t");
        assert_eq!(spelled("select [1, 2].len(), a[1].f()"), "SELECT len([1, 2]), f(a[1])");
        assert_eq!(spelled("select main.upper('a')"), "SELECT upper('a')");
        assert_eq!(spelled("select {'x': 'a'}.x.upper()"), "SELECT upper({'x': 'a'}.x)");
    }
}
