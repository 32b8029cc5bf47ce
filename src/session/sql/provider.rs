//! What the SQL planner asks: the statement's tables, functions, types and options.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion_common::config::ConfigOptions;
use datafusion_common::{Result as PlanResult, TableReference};
use datafusion_expr::planner::{ContextProvider, ExprPlanner, RelationPlanner, TypePlanner};
use datafusion_expr::{AggregateUDF, HigherOrderUDF, ScalarUDF, TableSource, WindowUDF};

use super::functions::planners;
use super::relation_planner::relation_planners;
use super::suggest;
use super::types::Types;
use crate::error::{Code, Error, Result};
use crate::expr::{FunctionRegistry, functions};
use crate::plan::WorkTable;
use crate::session::definitions::Defined;
use crate::session::names::Name;

/// The surroundings of one statement.
pub(crate) struct Provider {
    sources: BTreeMap<String, Result<Arc<dyn TableSource>>>,
    /// Names for did-you-mean.
    names: Vec<String>,
    options: ConfigOptions,
    functions: &'static FunctionRegistry,
    types: Arc<Types>,
}

impl Provider {
    /// A provider of these relations (by lower-case name); `names` are those of the whole catalog.
    pub(crate) fn new(
        sources: BTreeMap<String, Result<Arc<dyn TableSource>>>,
        names: Vec<String>,
        defined: Arc<Defined>,
    ) -> Self {
        let types = Arc::new(Types { defined });
        Provider { sources, names, options: super::planner_options(), functions: functions(), types }
    }

    /// What the statement reads, as far as it is there.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &Arc<dyn TableSource>> {
        self.sources.values().filter_map(|source| source.as_ref().ok())
    }

    fn unknown(&self, name: &TableReference) -> Error {
        let text = name.to_string();
        let error = Error::new(Code::UnknownTable, format!("there is no table or view named \"{text}\""));
        if looks_like_a_file(&text) {
            return error.hint(format!("put a file's name in single quotes: FROM '{text}'"));
        }
        match suggest::hint(&text, self.names.iter(), "tables") {
            Some(hint) => error.hint(hint),
            None => error.hint("CREATE TABLE or CREATE VIEW makes one; files are read with FROM 'name.csv'"),
        }
    }
}

/// Whether somebody probably forgot the quotes around a file's name.
fn looks_like_a_file(name: &str) -> bool {
    let lower = name.to_lowercase();
    name.contains(['/', '*'])
        || [".csv", ".tsv", ".parquet", ".json", ".jsonl", ".ndjson", ".arrow", ".feather", ".gz", ".zst"]
            .iter()
            .any(|ending| lower.ends_with(ending))
}

impl ContextProvider for Provider {
    fn get_table_source(&self, name: TableReference) -> PlanResult<Arc<dyn TableSource>> {
        let found = match &name {
            TableReference::Bare { table } => self.sources.get(&Name::plain(table).key()),
            TableReference::Partial { schema, table } => {
                self.sources.get(&Name { schema: Some(schema.to_string()), name: table.to_string() }.key())
            }
            TableReference::Full { .. } => None,
        };
        match found {
            Some(Ok(source)) => Ok(source.clone()),
            Some(Err(error)) => Err(error.clone().into()),
            None => Err(self.unknown(&name).into()),
        }
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        planners()
    }

    fn get_relation_planners(&self) -> &[Arc<dyn RelationPlanner>] {
        relation_planners()
    }

    fn create_cte_work_table(&self, name: &str, schema: SchemaRef) -> PlanResult<Arc<dyn TableSource>> {
        Ok(Arc::new(WorkTable::new(name, schema)))
    }

    fn get_type_planner(&self) -> Option<Arc<dyn TypePlanner>> {
        Some(self.types.clone())
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.functions.scalar.get(&name.to_lowercase()).cloned()
    }

    fn get_higher_order_meta(&self, name: &str) -> Option<Arc<HigherOrderUDF>> {
        self.functions.higher_order.get(&name.to_lowercase()).cloned()
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.functions.aggregate.get(&name.to_lowercase()).cloned()
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.functions.window.get(&name.to_lowercase()).cloned()
    }

    fn get_variable_type(&self, _variable_names: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        &self.options
    }

    fn udf_names(&self) -> Vec<String> {
        self.functions.scalar.keys().cloned().collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        self.functions.higher_order.keys().cloned().collect()
    }

    fn udaf_names(&self) -> Vec<String> {
        self.functions.aggregate.keys().cloned().collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        self.functions.window.keys().cloned().collect()
    }
}
