//! The functions that SQL knows, and the planners for syntax that stands for functions.

use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};

use datafusion_expr::planner::ExprPlanner;
use datafusion_sql::sqlparser::ast::{Expr, ObjectNamePart, Query, VisitMut, VisitorMut};

use super::fields::FieldPlanner;
use super::macros;
use crate::expr;

/// The names of all functions, for did-you-mean.
pub(crate) fn names() -> impl Iterator<Item = &'static str> + Clone {
    let functions = expr::functions();
    let known = functions.scalar.keys().chain(functions.aggregate.keys()).chain(functions.window.keys());
    let known = known.chain(functions.higher_order.keys()).map(String::as_str).chain(macros::names());
    // Those that nobody writes begin with a #.
    known.filter(|name| !name.starts_with('#'))
}

/// Whether a function is one of windows alone.
pub(super) fn is_window(name: &str) -> bool {
    expr::functions().window.contains_key(&name.to_lowercase())
}

/// Calls functions by their own names. The planner gives the call of another name an alias, and what is within an alias is asked
/// twice for its type: n such calls within each other would take 2^n.
pub(super) fn call_by_own_names(query: &mut Query) {
    let _: ControlFlow<()> = VisitMut::visit(query, &mut OwnNames);
}

struct OwnNames;

impl VisitorMut for OwnNames {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Function(call) = expr
            && let [ObjectNamePart::Identifier(name)] = call.name.0.as_mut_slice()
            && let Some(own) = own_name(&name.value.to_lowercase())
        {
            name.value = own.to_string();
        }
        ControlFlow::Continue(())
    }
}

/// The function's own name, unless another function has taken it.
fn own_name(name: &str) -> Option<&'static str> {
    let known = expr::functions();
    if let Some(function) = known.scalar.get(name) {
        let own = function.name();
        return known.scalar.get(own).is_some_and(|other| Arc::ptr_eq(function, other)).then_some(own);
    }
    let function = known.higher_order.get(name)?;
    let own = function.name();
    known.higher_order.get(own).is_some_and(|other| Arc::ptr_eq(function, other)).then_some(own)
}

/// The planners of the registry, and before them those that know floe's names.
pub(crate) fn planners() -> &'static [Arc<dyn ExprPlanner>] {
    static PLANNERS: OnceLock<Vec<Arc<dyn ExprPlanner>>> = OnceLock::new();
    PLANNERS.get_or_init(|| {
        let first: Arc<dyn ExprPlanner> = Arc::new(FieldPlanner);
        std::iter::once(first).chain(expr::functions().expr_planners.iter().cloned()).collect()
    })
}
