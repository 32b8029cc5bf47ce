//! A small SQL front: one table `t`, one projection (and perhaps a filter) over it.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int32Array, Int64Array, PrimitiveArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Decimal128Type};
use arrow::util::display::array_value_to_string;
use datafusion_common::config::ConfigOptions;
use datafusion_common::{DFSchema, Result as DataFusionResult, TableReference, plan_err};
use datafusion_expr::logical_plan::builder::LogicalTableSource;
use datafusion_expr::planner::{ContextProvider, ExprPlanner};
use datafusion_expr::{AggregateUDF, Expr, HigherOrderUDF, LogicalPlan, ScalarUDF, TableSource, WindowUDF};
use datafusion_optimizer::OptimizerContext;
use datafusion_optimizer::analyzer::Analyzer;
use datafusion_optimizer::optimizer::Optimizer;
use datafusion_sql::planner::SqlToRel;
use datafusion_sql::sqlparser::dialect::GenericDialect;
use datafusion_sql::sqlparser::parser::Parser;

use crate::error::Result;
use crate::expr::{Compiler, fold_checked, functions};

/// Columns `i` INTEGER, `b` BIGINT, `d` DECIMAL(15,2), `h` HUGEINT and `s` VARCHAR; the third row is all NULL but `b`.
pub(in crate::expr) fn table() -> RecordBatch {
    let decimal = |values: Vec<Option<i128>>, precision, scale| {
        let array = PrimitiveArray::<Decimal128Type>::from(values);
        Arc::new(array.with_precision_and_scale(precision, scale).unwrap()) as ArrayRef
    };
    RecordBatch::try_from_iter_with_nullable([
        ("i", Arc::new(Int32Array::from(vec![Some(1), Some(i32::MAX), None, Some(-7)])) as ArrayRef, true),
        ("b", Arc::new(Int64Array::from(vec![0, i64::MAX, i64::MIN, 7])) as ArrayRef, false),
        ("d", decimal(vec![Some(150), Some(-1), None, Some(999_999_999_999_999)], 15, 2), true),
        ("h", decimal(vec![Some(5), Some(10_i128.pow(38) - 1), None, Some(-3)], 38, 0), true),
        ("s", Arc::new(StringArray::from(vec![Some("1"), Some("x"), None, Some("7")])) as ArrayRef, true),
    ])
    .unwrap()
}

struct Provider {
    source: Arc<dyn TableSource>,
    options: ConfigOptions,
}

impl ContextProvider for Provider {
    fn get_table_source(&self, name: TableReference) -> DataFusionResult<Arc<dyn TableSource>> {
        if name.table() == "t" { Ok(self.source.clone()) } else { plan_err!("no table {name}") }
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        functions().scalar.get(name).cloned()
    }

    fn get_higher_order_meta(&self, name: &str) -> Option<Arc<HigherOrderUDF>> {
        functions().higher_order.get(name).cloned()
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        functions().aggregate.get(name).cloned()
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        functions().window.get(name).cloned()
    }

    fn get_variable_type(&self, _names: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        &self.options
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        &functions().expr_planners
    }

    fn udf_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udaf_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udwf_names(&self) -> Vec<String> {
        Vec::new()
    }
}

/// The analysed plan of `sql` over table `t`, which has the columns of `batch`.
pub(in crate::expr) fn analysed(sql: &str, batch: &RecordBatch) -> Result<LogicalPlan> {
    let source = Arc::new(LogicalTableSource::new(batch.schema()));
    let provider = Provider { source, options: ConfigOptions::default() };
    let mut statements = Parser::parse_sql(&GenericDialect {}, sql).unwrap();
    let plan = SqlToRel::new(&provider).sql_statement_to_plan(statements.remove(0))?;
    Ok(Analyzer::new().execute_and_check(plan, &provider.options, |_, _| {})?)
}

/// The plan of `sql` after [`fold_checked`] and the optimizer.
pub(in crate::expr) fn optimised(sql: &str, batch: &RecordBatch) -> Result<LogicalPlan> {
    let plan = fold_checked(analysed(sql, batch)?)?;
    Ok(Optimizer::new().optimize(plan, &OptimizerContext::new(), |_, _| {})?)
}

/// Runs a plan of scans, projections, filters and one-row relations.
fn run(plan: &LogicalPlan, batch: &RecordBatch) -> Result<RecordBatch> {
    let compiler = Compiler::starting_now();
    match plan {
        LogicalPlan::TableScan(scan) => {
            let schema = DFSchema::try_from_qualified_schema(scan.table_name.clone(), &batch.schema())?;
            let mut batch = batch.clone();
            if let Some(condition) = scan.filters.iter().cloned().reduce(Expr::and) {
                batch = compiler.compile(&condition, &schema)?.predicate(&batch)?.apply(batch)?;
            }
            Ok(match &scan.projection {
                Some(columns) => batch.project(columns)?,
                None => batch,
            })
        }
        LogicalPlan::EmptyRelation(empty) => {
            let options =
                arrow::array::RecordBatchOptions::new().with_row_count(Some(usize::from(empty.produce_one_row)));
            Ok(RecordBatch::try_new_with_options(Arc::new(plan.schema().as_arrow().clone()), Vec::new(), &options)?)
        }
        LogicalPlan::SubqueryAlias(alias) => run(&alias.input, batch),
        LogicalPlan::Filter(filter) => {
            let batch = run(&filter.input, batch)?;
            let selection = compiler.compile(&filter.predicate, filter.input.schema())?.predicate(&batch)?;
            selection.apply(batch)
        }
        LogicalPlan::Projection(projection) => {
            let batch = run(&projection.input, batch)?;
            let evaluators = compiler.compile_all(&projection.expr, projection.input.schema())?;
            let columns = evaluators.iter().map(|evaluator| evaluator.evaluate(&batch)).collect::<Result<Vec<_>>>()?;
            let schema: &DFSchema = &projection.schema;
            let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            Ok(RecordBatch::try_new_with_options(Arc::new(schema.as_arrow().clone()), columns, &options)?)
        }
        other => panic!("the tests do not run {}", other.display()),
    }
}

/// The result of `sql` over `batch`.
pub(in crate::expr) fn query(sql: &str, batch: &RecordBatch) -> Result<RecordBatch> {
    run(&optimised(sql, batch)?, batch)
}

/// The only column of the result of `sql` over [`table`], as text.
pub(in crate::expr) fn column(sql: &str) -> Result<Vec<String>> {
    let result = query(sql, &table())?;
    assert_eq!(result.num_columns(), 1);
    let column = result.column(0);
    assert!(column.as_struct_opt().is_none());
    (0..column.len()).map(|row| Ok(array_value_to_string(column, row)?)).collect()
}
