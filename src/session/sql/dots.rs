//! `list[1].field` and `(value).field`: a field behind a subscript or parentheses, which the planner knows only as
//! `list[1]['field']`; and `list[2:]`, which it
//! knows only with both bounds: an open one is farther than any list reaches. `x.field` of a lambda's parameter, which it takes for a
//! table's name.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion_sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, Expr, Ident, Select, Statement, Subscript, UnaryOperator, Value, VisitMut, VisitorMut,
};

use super::calls::{call_of, parameters};
use super::naming::relation_names;
use super::operators;

/// Writes every field behind a subscript or parentheses as a subscript, and every bound of a slice.
pub(super) fn spell_out(statement: &mut Statement) {
    let _: ControlFlow<()> = VisitMut::visit(statement, &mut Dots::default());
}

#[derive(Default)]
struct Dots {
    /// The tables of the queries around.
    tables: Vec<HashSet<String>>,
    /// Parameters of the lambdas around.
    scopes: Vec<Vec<String>>,
}

impl Dots {
    /// Whether the name before a dot is a lambda's parameter; a table of that name comes first.
    fn is_parameter(&self, name: &Ident) -> bool {
        let is_table = || self.tables.iter().any(|tables| tables.contains(&name.value.to_lowercase()));
        self.scopes.iter().flatten().any(|parameter| *parameter == name.value) && !is_table()
    }
}

fn field(name: &Ident) -> AccessExpr {
    let index = Expr::Value(Value::SingleQuotedString(name.value.clone()).into());
    AccessExpr::Subscript(Subscript::Index { index })
}

impl VisitorMut for Dots {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        self.tables.push(relation_names(select));
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, _select: &mut Select) -> ControlFlow<()> {
        self.tables.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Lambda(lambda) = expr {
            self.scopes.push(parameters(lambda));
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Lambda(_) => drop(self.scopes.pop()),
            Expr::CompoundIdentifier(names) => {
                if let [first, fields @ ..] = names.as_slice()
                    && self.is_parameter(first)
                {
                    let access_chain = fields.iter().map(field).collect();
                    *expr = Expr::CompoundFieldAccess { root: Box::new(Expr::Identifier(first.clone())), access_chain };
                }
            }
            _ => {}
        }
        let Expr::CompoundFieldAccess { root, access_chain } = expr else { return ControlFlow::Continue(()) };
        // Dots between a name and the first subscript are names of tables and columns.
        let is_name = match root.as_ref() {
            Expr::Identifier(name) => !self.is_parameter(name),
            Expr::CompoundIdentifier(_) => true,
            _ => false,
        };
        let subscripted = access_chain.iter().position(|access| matches!(access, AccessExpr::Subscript(_)));
        let first = if is_name { subscripted.unwrap_or(usize::MAX) } else { 0 };
        for access in access_chain.iter_mut().skip(first) {
            match access {
                AccessExpr::Dot(Expr::Identifier(name)) => *access = field(name),
                AccessExpr::Subscript(Subscript::Slice { lower_bound, upper_bound, stride }) => {
                    for bound in [&mut *lower_bound, &mut *upper_bound] {
                        bound.take_if(|bound| *bound == operators::open_bound());
                    }
                    lower_bound.get_or_insert_with(|| end_of_list(stride.as_ref(), false));
                    upper_bound.get_or_insert_with(|| end_of_list(stride.as_ref(), true));
                }
                _ => {}
            }
        }
        ControlFlow::Continue(())
    }
}

/// A place at the end of every list, or before its start: where a slice by these steps ends, or begins.
fn end_of_list(step: Option<&Expr>, ends: bool) -> Expr {
    let last = || Expr::value(Value::Number(i64::MAX.to_string(), false));
    let first = || Expr::UnaryOp { op: UnaryOperator::Minus, expr: Box::new(last()) };
    let (forwards, backwards) = if ends { (last(), first()) } else { (first(), last()) };
    match step {
        None | Some(Expr::Value(_)) => forwards,
        Some(Expr::UnaryOp { op: UnaryOperator::Minus, expr }) if matches!(expr.as_ref(), Expr::Value(_)) => backwards,
        Some(step) => {
            let zero = Expr::value(Value::Number("0".to_string(), false));
            let step = Box::new(Expr::Nested(Box::new(step.clone())));
            let is_negative = Expr::BinaryOp { left: step, op: BinaryOperator::Lt, right: Box::new(zero) };
            call_of("if", vec![is_negative, backwards, forwards])
        }
    }
}
