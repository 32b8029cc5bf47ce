//! The functions by name.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use datafusion_expr::planner::ExprPlanner;
use datafusion_expr::{AggregateUDF, HigherOrderUDF, ScalarUDF, WindowUDF};
use datafusion_functions_aggregate::array_agg::array_agg_udaf;
use datafusion_functions_aggregate::first_last::{first_value_udaf, last_value_udaf};

use super::average::Average;
use super::bitwise::bitwise;
use super::coalesce::coalesce;
use super::coercing::coercing;
use super::concat::concat;
use super::contains::searching;
use super::counting::{counting, counting_window};
use super::gatherers::gatherers;
use super::library;
use super::moments::moments;
use super::named_cast::named_cast;
use super::nearest::Nearest;
use super::now::now;
use super::series::series;
use super::sum::Sum;
use crate::expr::attempt::try_function;
use crate::expr::window::ordered_functions;

/// Every function that SQL can call, under its lower-case names and aliases.
#[derive(Debug)]
pub struct FunctionRegistry {
    pub scalar: HashMap<String, Arc<ScalarUDF>>,
    /// Functions that take a lambda (`array_transform(xs, x -> x + 1)`).
    pub higher_order: HashMap<String, Arc<HigherOrderUDF>>,
    pub aggregate: HashMap<String, Arc<AggregateUDF>>,
    pub window: HashMap<String, Arc<WindowUDF>>,
    /// What turns SQL syntax (`a[1]`, `EXTRACT`, `POSITION`, `count(*)`) into function calls, in order.
    pub expr_planners: Vec<Arc<dyn ExprPlanner>>,
}

/// The functions of this build, made on first use.
pub fn functions() -> &'static FunctionRegistry {
    static REGISTRY: LazyLock<FunctionRegistry> = LazyLock::new(FunctionRegistry::new);
    &REGISTRY
}

impl FunctionRegistry {
    fn new() -> Self {
        let scalar = datafusion_functions::all_default_functions()
            .into_iter()
            .chain(datafusion_functions_nested::all_default_nested_functions())
            .map(counting)
            .map(concat)
            .map(coalesce)
            .map(coercing)
            .chain([Arc::new(ScalarUDF::new_from_impl(Nearest::default())), named_cast(), try_function(), now()])
            .chain(searching())
            .chain(series())
            .chain(library::scalars());
        // Own functions come last, so that they take the place of the library's.
        let aggregate = datafusion_functions_aggregate::all_default_aggregate_functions().into_iter().chain([
            Arc::new(AggregateUDF::new_from_impl(Sum::new())),
            Arc::new(AggregateUDF::new_from_impl(Average::new())),
            Arc::new(array_agg_udaf().as_ref().clone().with_aliases(["list"])),
            Arc::new(first_value_udaf().as_ref().clone().with_aliases(["first"])),
            Arc::new(last_value_udaf().as_ref().clone().with_aliases(["last"])),
        ]);
        let aggregate = aggregate.chain(bitwise()).chain(gatherers()).chain(moments()).chain(ordered_functions());
        let own = library::higher_order().into_iter().map(|(function, ..)| function);
        let higher_order = datafusion_functions_nested::all_default_higher_order_functions().into_iter().chain(own);
        let window = datafusion_functions_window::all_default_window_functions().into_iter().map(counting_window);
        let mut registry = FunctionRegistry {
            scalar: by_name(scalar, |function| (function.name(), function.aliases())),
            higher_order: by_name(higher_order, |function| (function.name(), function.aliases())),
            aggregate: by_name(aggregate, |function| (function.name(), function.aliases())),
            window: by_name(window, |function| (function.name(), function.aliases())),
            expr_planners: expr_planners(),
        };
        add_aliases(&mut registry.scalar, library::scalar_aliases());
        add_aliases(&mut registry.aggregate, library::aggregate_aliases());
        add_aliases(&mut registry.window, library::window_aliases());
        registry
    }
}

/// Puts functions under further names; a name that is taken is taken over.
fn add_aliases<F>(functions: &mut HashMap<String, Arc<F>>, aliases: &[(&str, &str)]) {
    for (alias, name) in aliases {
        if let Some(function) = functions.get(*name).cloned() {
            functions.insert((*alias).to_string(), function);
        }
    }
}

fn by_name<F>(
    functions: impl IntoIterator<Item = Arc<F>>,
    names: impl Fn(&F) -> (&str, &[String]),
) -> HashMap<String, Arc<F>> {
    let mut map = HashMap::new();
    for function in functions {
        let (name, aliases) = names(&function);
        for name in std::iter::once(name).chain(aliases.iter().map(String::as_str)) {
            map.insert(name.to_lowercase(), function.clone());
        }
    }
    map
}

fn expr_planners() -> Vec<Arc<dyn ExprPlanner>> {
    vec![
        Arc::new(datafusion_functions::core::planner::CoreFunctionPlanner::default()),
        Arc::new(datafusion_functions_nested::planner::NestedFunctionPlanner),
        Arc::new(datafusion_functions_nested::planner::FieldAccessPlanner),
        Arc::new(datafusion_functions::datetime::planner::DatetimeFunctionPlanner),
        Arc::new(datafusion_functions::unicode::planner::UnicodeFunctionPlanner),
        Arc::new(datafusion_functions_aggregate::planner::AggregateFunctionPlanner),
        Arc::new(datafusion_functions_window::planner::WindowFunctionPlanner),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_and_own_functions_are_found() {
        let registry = functions();
        assert!(registry.scalar.contains_key("substring"));
        assert!(registry.scalar.contains_key("sha256"));
        assert!(registry.scalar.contains_key("array_length"));
        assert!(registry.window.contains_key("row_number"));
        assert!(registry.higher_order.contains_key("array_transform"));
        assert!(registry.aggregate["sum"].inner().is::<Sum>());
        assert_eq!(registry.aggregate["mean"], registry.aggregate["avg"]);
    }
}
