//! From the optimised logical plan to pipelines.
//!
//! One function per plan node. A streaming node adds its operator to every branch of its input; a node that has to see
//! all its input ends the pipeline in a sink, whose output the next pipeline reads.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_common::{Column, DFSchema};
use datafusion_expr::logical_plan::{
    Aggregate, EmptyRelation, Filter, Limit, Projection, Sort, TableScan, Union, Values,
};
use datafusion_expr::{Expr, FetchType, LogicalPlan, SkipType, SortExpr};

use super::physical::{Branch, Input, PhysicalPlan, Pipeline};
use super::table::{FileTable, StoredTable};
use crate::batch::{MemorySource, SourceRef};
use crate::error::{Code, Error, Result};
use crate::expr::{AggregateCall, Compiler, Evaluator};
use crate::ops;
use crate::ops::sort::SortKey;
use crate::ops::{DynSink, Operator};
use crate::scan::{self, ScanRequest};
use crate::store::QueryContext;

/// Up to so many rows, ORDER BY … LIMIT keeps only the best rows.
const TOP_N_ROWS: usize = 100_000;

/// Lowers an optimised plan to pipelines.
///
/// # Errors
/// `NOT_SUPPORTED` for a node or expression that floe does not run yet.
pub fn lower(plan: &LogicalPlan, context: &Arc<QueryContext>, compiler: &Compiler) -> Result<PhysicalPlan> {
    let mut lowering = Lowering { context, compiler, pipelines: Vec::new() };
    let branches = lowering.node(plan)?;
    lowering.pipelines.push(Pipeline { branches, sink: None });
    Ok(PhysicalPlan { pipelines: lowering.pipelines, schema: plan.schema().inner().clone() })
}

struct Lowering<'a> {
    context: &'a Arc<QueryContext>,
    compiler: &'a Compiler,
    pipelines: Vec<Pipeline>,
}

/// The open end of a pipeline.
type Branches = Vec<Branch>;

impl Lowering<'_> {
    fn node(&mut self, plan: &LogicalPlan) -> Result<Branches> {
        match plan {
            LogicalPlan::Projection(projection) => self.projection(projection),
            LogicalPlan::Filter(filter) => self.filter(filter),
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate),
            LogicalPlan::Sort(sort) => self.sort(sort, 0, None),
            LogicalPlan::Limit(limit) => self.limit(limit),
            LogicalPlan::Union(union) => self.union(union),
            LogicalPlan::TableScan(scan) => self.table_scan(scan),
            LogicalPlan::EmptyRelation(empty) => self.empty_relation(empty),
            LogicalPlan::Values(values) => self.values(values),
            LogicalPlan::SubqueryAlias(alias) => self.node(&alias.input),
            LogicalPlan::Join(_) => Err(Error::not_supported("JOIN")),
            LogicalPlan::Window(_) => Err(Error::not_supported("a window function (OVER)")),
            LogicalPlan::Subquery(_) => Err(Error::not_supported("a subquery in an expression")),
            LogicalPlan::RecursiveQuery(_) => Err(Error::not_supported("WITH RECURSIVE")),
            LogicalPlan::Unnest(_) => Err(Error::not_supported("UNNEST")),
            other => Err(Error::not_supported(format!("the plan node {}", other.display()))),
        }
    }

    fn compile(&self, expr: &Expr, schema: &DFSchema) -> Result<Evaluator> {
        self.compiler.compile(expr, schema)
    }

    /// Ends the open pipeline in `sink`; the new one reads its output.
    fn end_pipeline(&mut self, branches: Branches, sink: Arc<dyn DynSink>) -> Branches {
        self.pipelines.push(Pipeline { branches, sink: Some(sink) });
        vec![Branch { input: Input::Pipeline(self.pipelines.len() - 1), operators: Vec::new() }]
    }

    fn projection(&mut self, projection: &Projection) -> Result<Branches> {
        let branches = self.node(&projection.input)?;
        let schema = projection.input.schema();
        let evaluators = projection.expr.iter().map(|expr| self.compile(expr, schema)).collect::<Result<Vec<_>>>()?;
        let output = projection.schema.inner().clone();
        Ok(with_operator(branches, Arc::new(ops::project::Project::new(evaluators, output))))
    }

    fn filter(&mut self, filter: &Filter) -> Result<Branches> {
        let branches = self.node(&filter.input)?;
        let predicate = self.compile(&filter.predicate, filter.input.schema())?;
        let schema = filter.input.schema().inner().clone();
        Ok(with_operator(branches, Arc::new(ops::filter::Filter::new(predicate, schema))))
    }

    fn aggregate(&mut self, aggregate: &Aggregate) -> Result<Branches> {
        let branches = self.node(&aggregate.input)?;
        let schema = aggregate.input.schema();
        if aggregate.group_expr.iter().any(|expr| matches!(expr, Expr::GroupingSet(_))) {
            return Err(Error::not_supported("GROUPING SETS, ROLLUP or CUBE"));
        }
        let keys = aggregate.group_expr.iter().map(|expr| self.compile(expr, schema)).collect::<Result<Vec<_>>>()?;
        let calls = aggregate.aggr_expr.iter().map(|expr| AggregateCall::compile(expr, schema, self.compiler));
        let calls = calls.collect::<Result<Vec<_>>>()?;
        let output = aggregate.schema.inner().clone();
        let sink = ops::aggregate::HashAggregate::new(keys, calls, output)?;
        Ok(self.end_pipeline(branches, Arc::new(sink)))
    }

    fn sort(&mut self, sort: &Sort, skip: usize, fetch: Option<usize>) -> Result<Branches> {
        let branches = self.node(&sort.input)?;
        // The optimizer's fetch of a sort under a limit counts the skipped rows.
        let inner = sort.fetch.map(|fetch| fetch.saturating_sub(skip));
        let fetch = fetch.into_iter().chain(inner).min();
        let keys = sort.expr.iter().map(|key| self.sort_key(key, sort.input.schema())).collect::<Result<Vec<_>>>()?;
        let schema = sort.input.schema().inner().clone();
        let sink: Arc<dyn DynSink> = match fetch {
            Some(fetch) if skip.saturating_add(fetch) <= TOP_N_ROWS => {
                Arc::new(ops::top_n::TopN::new(keys, schema, skip, fetch)?)
            }
            _ => Arc::new(ops::sort::Sort::new(keys, schema, skip, fetch)?),
        };
        Ok(self.end_pipeline(branches, sink))
    }

    fn sort_key(&self, key: &SortExpr, schema: &DFSchema) -> Result<SortKey> {
        let evaluator = self.compile(&key.expr, schema)?;
        Ok(SortKey { evaluator, descending: !key.asc, nulls_first: key.nulls_first })
    }

    fn limit(&mut self, limit: &Limit) -> Result<Branches> {
        let constant = || {
            Error::new(Code::NotSupported, "LIMIT and OFFSET take constants").hint("write the number of rows itself")
        };
        let SkipType::Literal(skip) = limit.get_skip_type()? else { return Err(constant()) };
        let FetchType::Literal(fetch) = limit.get_fetch_type()? else { return Err(constant()) };
        if let LogicalPlan::Sort(sort) = limit.input.as_ref() {
            return self.sort(sort, skip, fetch);
        }
        let branches = self.node(&limit.input)?;
        let schema = limit.input.schema().inner().clone();
        Ok(self.end_pipeline(branches, Arc::new(ops::limit::Limit::new(skip, fetch, schema))))
    }

    fn union(&mut self, union: &Union) -> Result<Branches> {
        let mut all = Vec::new();
        for input in &union.inputs {
            let branches = self.node(input)?;
            // Each input's columns under the union's names and types, by position.
            let schema = input.schema();
            let columns = schema.columns().into_iter().zip(union.schema.fields()).map(|(column, field)| {
                let column = Expr::Column(column);
                Ok(match schema_type(schema, &column)? == *field.data_type() {
                    true => column,
                    false => datafusion_expr::cast(column, field.data_type().clone()),
                })
            });
            let columns = columns.collect::<Result<Vec<Expr>>>()?;
            let evaluators = columns.iter().map(|column| self.compile(column, schema)).collect::<Result<Vec<_>>>()?;
            let project = ops::project::Project::new(evaluators, union.schema.inner().clone());
            all.extend(with_operator(branches, Arc::new(project)));
        }
        Ok(all)
    }

    fn table_scan(&mut self, scan: &TableScan) -> Result<Branches> {
        let source: SourceRef = if let Some(table) = scan.source.downcast_ref::<FileTable>() {
            scan::source(file_request(scan, table)?, self.context)?
        } else if let Some(table) = scan.source.downcast_ref::<StoredTable>() {
            return self.stored_scan(scan, table);
        } else {
            return Err(Error::internal(format!("{} is a table of an unknown kind", scan.table_name)));
        };
        Ok(vec![Branch { input: Input::Source(source), operators: Vec::new() }])
    }

    fn stored_scan(&mut self, scan: &TableScan, table: &StoredTable) -> Result<Branches> {
        let branch = Branch { input: Input::Source(table.source.clone()), operators: Vec::new() };
        let Some(projection) = &scan.projection else { return Ok(vec![branch]) };
        let schema = DFSchema::try_from(table.source.schema())?;
        let columns = projection.iter().map(|&index| {
            let (qualifier, field) = schema.qualified_field(index);
            self.compile(&Expr::Column(Column::from((qualifier, field))), &schema)
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let project = ops::project::Project::new(columns, scan.projected_schema.inner().clone());
        Ok(with_operator(vec![branch], Arc::new(project)))
    }

    fn empty_relation(&mut self, empty: &EmptyRelation) -> Result<Branches> {
        let schema = empty.schema.inner().clone();
        let rows = usize::from(empty.produce_one_row);
        let columns = schema.fields().iter().map(|field| arrow::array::new_null_array(field.data_type(), rows));
        let batch = batch_of(&schema, columns.collect(), rows)?;
        Ok(memory_branch(schema, batch))
    }

    fn values(&mut self, values: &Values) -> Result<Branches> {
        let none = DFSchema::empty();
        let row = RecordBatch::try_new_with_options(
            none.inner().clone(),
            Vec::new(),
            &RecordBatchOptions::new().with_row_count(Some(1)),
        )?;
        let schema = values.schema.inner().clone();
        let columns = schema.fields().iter().enumerate().map(|(column, field)| {
            let cells = values.values.iter().map(|cells| match cells.get(column) {
                Some(cell) => {
                    let cell = self.compile(cell, &none)?.evaluate(&row)?;
                    Ok(arrow::compute::cast(&cell, field.data_type())?)
                }
                None => Err(Error::internal("a row of VALUES that is too short")),
            });
            let cells = cells.collect::<Result<Vec<ArrayRef>>>()?;
            let cells: Vec<&dyn arrow::array::Array> = cells.iter().map(AsRef::as_ref).collect();
            Ok(arrow::compute::concat(&cells)?)
        });
        let batch = batch_of(&schema, columns.collect::<Result<_>>()?, values.values.len())?;
        Ok(memory_branch(schema, batch))
    }
}

fn schema_type(schema: &DFSchema, column: &Expr) -> Result<arrow::datatypes::DataType> {
    use datafusion_expr::ExprSchemable;
    Ok(column.get_type(schema)?)
}

fn with_operator(mut branches: Branches, operator: Arc<dyn Operator>) -> Branches {
    for branch in &mut branches {
        branch.operators.push(operator.clone());
    }
    branches
}

fn batch_of(schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?)
}

fn memory_branch(schema: SchemaRef, batch: RecordBatch) -> Branches {
    let source: SourceRef = Arc::new(MemorySource::new(schema, vec![batch]));
    vec![Branch { input: Input::Source(source), operators: Vec::new() }]
}

/// What a scan node asks of the files: its columns and filters in the spec's own spelling.
fn file_request(scan: &TableScan, table: &FileTable) -> Result<ScanRequest> {
    let spec = &table.spec;
    let projection = match &scan.projection {
        Some(projection) => projection.clone(),
        None => (0..spec.schema.fields().len()).collect(),
    };
    let names = scan.source.schema();
    let own_name = |expr: Expr| {
        Ok(match &expr {
            Expr::Column(column) => match names.index_of(&column.name) {
                Ok(index) => Transformed::yes(Expr::Column(Column::from_name(spec.schema.field(index).name()))),
                Err(_) => Transformed::no(expr),
            },
            _ => Transformed::no(expr),
        })
    };
    let filters = scan.filters.iter().map(|filter| Ok(filter.clone().transform(own_name)?.data));
    Ok(ScanRequest { spec: spec.clone(), projection, filters: filters.collect::<Result<_>>()?, limit: scan.fetch })
}
