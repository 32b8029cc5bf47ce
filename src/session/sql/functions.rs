//! The functions that SQL knows, and the planners for syntax that stands for functions.

use std::sync::{Arc, OnceLock};

use datafusion_expr::planner::ExprPlanner;

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

/// The planners of the registry, and before them those that know floe's names.
pub(crate) fn planners() -> &'static [Arc<dyn ExprPlanner>] {
    static PLANNERS: OnceLock<Vec<Arc<dyn ExprPlanner>>> = OnceLock::new();
    PLANNERS.get_or_init(|| {
        let first: Arc<dyn ExprPlanner> = Arc::new(FieldPlanner);
        std::iter::once(first).chain(expr::functions().expr_planners.iter().cloned()).collect()
    })
}
