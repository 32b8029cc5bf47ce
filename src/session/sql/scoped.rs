//! Plain names in an expression that the query around it gives their meaning: not those of subqueries, nor parameters of
//! lambdas, nor parts of names with dots.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion_sql::sqlparser::ast::{AccessExpr, Expr, Ident, Query, VisitMut, VisitorMut};
use datafusion_sql::sqlparser::tokenizer::Location;

use super::calls::parameters;

/// Puts what `meaning` gives in the places of names; whether it gave anything.
pub(super) fn replace_names(node: &mut impl VisitMut, meaning: &mut dyn FnMut(&Ident) -> Option<Expr>) -> bool {
    let mut names = Names { meaning, scopes: Vec::new(), queries: 0, parts: HashSet::new(), met: false };
    let _: ControlFlow<()> = VisitMut::visit(node, &mut names);
    names.met
}

/// The names in `expr`.
pub(super) fn names_in(expr: &Expr) -> Vec<Ident> {
    let mut found = Vec::new();
    replace_names(&mut expr.clone(), &mut |name| {
        found.push(name.clone());
        None
    });
    found
}

struct Names<'a> {
    meaning: &'a mut dyn FnMut(&Ident) -> Option<Expr>,
    /// Parameters of the lambdas around.
    scopes: Vec<Vec<String>>,
    queries: usize,
    /// Where names stand that are followed by a dot or follow one: they are parts of a longer name.
    parts: HashSet<Location>,
    met: bool,
}

impl VisitorMut for Names<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.queries += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.queries -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Lambda(lambda) => self.scopes.push(parameters(lambda)),
            Expr::CompoundFieldAccess { root, access_chain } => {
                let dotted = access_chain.iter().filter_map(|access| match access {
                    AccessExpr::Dot(name) => Some(name),
                    AccessExpr::Subscript(_) => None,
                });
                let root = matches!(access_chain.first(), Some(AccessExpr::Dot(_))).then_some(root.as_ref());
                for part in root.into_iter().chain(dotted) {
                    if let Expr::Identifier(name) = part {
                        self.parts.insert(name.span.start);
                    }
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Lambda(_) => drop(self.scopes.pop()),
            Expr::Identifier(name) if self.queries == 0 => {
                let is_parameter = self.scopes.iter().flatten().any(|parameter| *parameter == name.value);
                if is_parameter || self.parts.contains(&name.span.start) {
                    return ControlFlow::Continue(());
                }
                if let Some(meaning) = (self.meaning)(name) {
                    *expr = meaning;
                    self.met = true;
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
