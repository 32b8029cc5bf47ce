//! What the SQL planner asks: the statement's tables, functions, types and options.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, SchemaRef, TimeUnit};
use datafusion_common::config::ConfigOptions;
use datafusion_common::{DataFusionError, Result as PlanResult, TableReference};
use datafusion_expr::planner::{ContextProvider, ExprPlanner, RelationPlanner, TypePlanner};
use datafusion_expr::{AggregateUDF, HigherOrderUDF, ScalarUDF, TableSource, WindowUDF};
use datafusion_sql::sqlparser::ast::{DataType as SqlType, TimezoneInfo};

use super::functions::planners;
use super::relation_planner::relation_planners;
use super::suggest;
use crate::error::{Code, Error, Result};
use crate::expr::{FunctionRegistry, functions};
use crate::plan::WorkTable;

/// The surroundings of one statement.
pub(crate) struct Provider {
    sources: BTreeMap<String, Result<Arc<dyn TableSource>>>,
    /// Names for did-you-mean.
    names: Vec<String>,
    options: ConfigOptions,
    functions: &'static FunctionRegistry,
}

impl Provider {
    /// A provider of these relations (by lower-case name); `names` are those of the whole catalog.
    pub(crate) fn new(sources: BTreeMap<String, Result<Arc<dyn TableSource>>>, names: Vec<String>) -> Self {
        Provider { sources, names, options: super::planner_options(), functions: functions() }
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
            TableReference::Bare { table } => self.sources.get(&table.to_lowercase()),
            _ => None,
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
        Some(Arc::new(Types))
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

/// SQL types that the planner does not know or that floe takes otherwise: TIMESTAMP counts microseconds, so that it
/// reaches from year 1 to 9999 and beyond.
#[derive(Debug)]
struct Types;

impl TypePlanner for Types {
    fn plan_type_field(&self, sql_type: &SqlType) -> PlanResult<Option<FieldRef>> {
        let data_type = match sql_type {
            SqlType::Timestamp(None, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) | SqlType::Datetime(None) => {
                DataType::Timestamp(TimeUnit::Microsecond, None)
            }
            SqlType::Timestamp(None, TimezoneInfo::Tz | TimezoneInfo::WithTimeZone) => {
                DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
            }
            SqlType::HugeInt => DataType::Decimal128(38, 0),
            SqlType::UTinyInt | SqlType::UInt8 => DataType::UInt8,
            SqlType::USmallInt | SqlType::UInt16 => DataType::UInt16,
            SqlType::UInt32 => DataType::UInt32,
            SqlType::UBigInt | SqlType::UInt64 => DataType::UInt64,
            SqlType::Int16 => DataType::Int16,
            SqlType::Int32 => DataType::Int32,
            SqlType::Int64 => DataType::Int64,
            SqlType::Float32 => DataType::Float32,
            SqlType::Float64 => DataType::Float64,
            SqlType::Blob(_) | SqlType::Binary(_) | SqlType::Varbinary(_) => DataType::BinaryView,
            SqlType::Character(_) | SqlType::CharacterVarying(_) | SqlType::CharVarying(_) | SqlType::Nvarchar(_) => {
                DataType::Utf8View
            }
            SqlType::Dec(number) => return self.plan_type_field(&SqlType::Decimal(*number)),
            SqlType::Custom(name, arguments) if arguments.is_empty() => {
                match name.to_string().to_lowercase().as_str() {
                    "uinteger" => DataType::UInt32,
                    "string" => DataType::Utf8View,
                    other => return Err(unknown_type(other)),
                }
            }
            _ => return Ok(None),
        };
        Ok(Some(Arc::new(Field::new("", data_type, true))))
    }
}

fn unknown_type(name: &str) -> DataFusionError {
    const KNOWN: [&str; 14] = [
        "boolean",
        "tinyint",
        "smallint",
        "integer",
        "bigint",
        "hugeint",
        "real",
        "double",
        "decimal",
        "varchar",
        "date",
        "time",
        "timestamp",
        "interval",
    ];
    let error = Error::new(Code::InvalidQuery, format!("there is no type named \"{name}\""));
    match suggest::nearest(name, KNOWN) {
        Some(near) => error.hint(format!("did you mean {}?", near.to_uppercase())).into(),
        None => error.into(),
    }
}
