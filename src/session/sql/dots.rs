//! `list[1].field` and `(value).field`: a field behind a subscript or parentheses, which the planner knows only as
//! `list[1]['field']`; and `list[2:]`, which it
//! knows only with both bounds: an open one is NULL. `x.field` of a lambda's parameter, which it takes for a table's name.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion_sql::sqlparser::ast::{
    AccessExpr, Expr, Ident, Select, Statement, Subscript, Value, VisitMut, VisitorMut,
};

use super::calls::parameters;
use super::naming::relation_names;

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
                AccessExpr::Subscript(Subscript::Slice { lower_bound, upper_bound, .. }) => {
                    for bound in [lower_bound, upper_bound] {
                        bound.get_or_insert_with(|| Expr::value(Value::Null));
                    }
                }
                _ => {}
            }
        }
        ControlFlow::Continue(())
    }
}
