//! The functions that SQL knows, by lower-case name.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use datafusion_expr::planner::ExprPlanner;
use datafusion_expr::{AggregateUDF, HigherOrderUDF, ScalarUDF, WindowUDF};

use super::fields::FieldPlanner;

/// All functions and the planners for syntax that stands for functions (`[1, 2]`, `{'a': 1}`, `x[1]`, `EXTRACT` …).
pub(crate) struct Functions {
    pub scalar: HashMap<String, Arc<ScalarUDF>>,
    pub higher_order: HashMap<String, Arc<HigherOrderUDF>>,
    pub aggregate: HashMap<String, Arc<AggregateUDF>>,
    pub window: HashMap<String, Arc<WindowUDF>>,
    pub planners: Vec<Arc<dyn ExprPlanner>>,
}

/// The one registry of the process: functions are immutable.
pub(crate) fn functions() -> &'static Functions {
    static FUNCTIONS: OnceLock<Functions> = OnceLock::new();
    FUNCTIONS.get_or_init(build)
}

impl Functions {
    /// The names of all functions, for did-you-mean.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.scalar.keys().chain(self.aggregate.keys()).chain(self.window.keys()).map(String::as_str)
    }
}

fn build() -> Functions {
    let scalars = datafusion_functions::all_default_functions()
        .into_iter()
        .chain(datafusion_functions_nested::all_default_nested_functions());
    Functions {
        scalar: by_name(scalars, |function| function.name(), |function| function.aliases()),
        higher_order: HashMap::new(),
        aggregate: by_name(
            datafusion_functions_aggregate::all_default_aggregate_functions(),
            |function| function.name(),
            |function| function.aliases(),
        ),
        window: by_name(
            datafusion_functions_window::all_default_window_functions(),
            |function| function.name(),
            |function| function.aliases(),
        ),
        planners: planners(),
    }
}

fn planners() -> Vec<Arc<dyn ExprPlanner>> {
    vec![
        Arc::new(FieldPlanner),
        Arc::new(datafusion_functions::core::planner::CoreFunctionPlanner::default()),
        Arc::new(datafusion_functions_nested::planner::NestedFunctionPlanner),
        Arc::new(datafusion_functions_nested::planner::FieldAccessPlanner),
        Arc::new(datafusion_functions::datetime::planner::DatetimeFunctionPlanner),
        Arc::new(datafusion_functions::unicode::planner::UnicodeFunctionPlanner),
        Arc::new(datafusion_functions_aggregate::planner::AggregateFunctionPlanner),
        Arc::new(datafusion_functions_window::planner::WindowFunctionPlanner),
    ]
}

fn by_name<F>(
    functions: impl IntoIterator<Item = Arc<F>>,
    name: impl Fn(&F) -> &str,
    aliases: impl Fn(&F) -> &[String],
) -> HashMap<String, Arc<F>> {
    let mut map = HashMap::new();
    for function in functions {
        for alias in aliases(&function) {
            map.insert(alias.to_lowercase(), function.clone());
        }
        map.insert(name(&function).to_lowercase(), function.clone());
    }
    map
}
