//! Relations that a query names more than once and that are computed once: CTEs.
//!
//! The SQL planner puts a CTE's plan wherever its name stands. Here it is put behind the scan of a [`SharedTable`], which
//! the optimizer takes for a table: it prunes columns and pushes filters into each scan. Then
//! 1. a table that is read once gives its plan back ([`inline_single_uses`]), before anything is optimised;
//! 2. the plan of any other keeps the columns that some reader needs and the rows that some reader's filter wants
//!    ([`optimize_shared`]), and is optimised like a query of its own.
//!
//! Invariant: a table has a greater number than those that its plan reads.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::datatypes::SchemaRef;
use datafusion_common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion_common::{Column, DFSchema, Result as PlanResult};
use datafusion_expr::logical_plan::{SubqueryAlias, TableScan, TableScanBuilder};
use datafusion_expr::utils::conjunction;
use datafusion_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableProviderFilterPushDown, TableSource, TableType};

use super::table::{SeriesTable, StoredTable, WorkTable};
use crate::error::Result;

/// A query whose rows are computed once for all its readers.
#[derive(Debug, Clone)]
pub struct SharedTable {
    number: u64,
    name: String,
    /// What computes the rows.
    plan: Arc<LogicalPlan>,
    /// Stays shared with one reader, too (AS MATERIALIZED).
    always: bool,
    schema: SchemaRef,
}

impl SharedTable {
    /// Tells shared tables of a process apart.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The name in the query.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What computes the rows: columns of the table's schema, by position.
    pub fn plan(&self) -> &Arc<LogicalPlan> {
        &self.plan
    }
}

impl TableSource for SharedTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> PlanResult<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }
}

/// A scan of `plan`, analysed, as a shared table called `name`; the plan itself where it cannot be shared: it reads
/// columns of a query around it, or the working table of a recursion.
///
/// # Errors
/// As the analyzer's.
pub fn share(plan: LogicalPlan, name: &str, always: bool) -> PlanResult<LogicalPlan> {
    let plan = LogicalPlanBuilder::from(plan).alias(name)?.build()?;
    if !plan.all_out_ref_exprs().is_empty() || reads_working_table(&plan)? {
        return Ok(plan);
    }
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let plan = super::analyze(plan)?;
    let schema = plan.schema().inner().clone();
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let table = SharedTable { number, name: name.to_string(), plan: Arc::new(plan), always, schema };
    LogicalPlanBuilder::scan(name, Arc::new(table), None)?.build()
}

pub(super) fn reads_working_table(plan: &LogicalPlan) -> PlanResult<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        found |= matches!(node, LogicalPlan::TableScan(scan) if scan.source.downcast_ref::<WorkTable>().is_some());
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

/// The shared table that a node scans.
pub(super) fn shared_of(node: &LogicalPlan) -> Option<(&TableScan, &SharedTable)> {
    match node {
        LogicalPlan::TableScan(scan) => Some((scan, scan.source.downcast_ref::<SharedTable>()?)),
        _ => None,
    }
}

/// Every shared table that is read once, or whose rows cost nothing, replaced by its plan.
pub(super) fn inline_single_uses(plan: LogicalPlan) -> PlanResult<LogicalPlan> {
    let mut readers = HashMap::new();
    count_readers(&plan, 1, &mut readers)?;
    if readers.is_empty() {
        return Ok(plan);
    }
    inline(plan, &readers, &mut HashMap::new())
}

/// Adds how often each shared table is read; `times` is 2 where one place may read several times.
fn count_readers(plan: &LogicalPlan, times: usize, readers: &mut HashMap<u64, usize>) -> PlanResult<()> {
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::RecursiveQuery(recursive) = node {
            count_readers(&recursive.static_term, times, readers)?;
            count_readers(&recursive.recursive_term, 2, readers)?;
            return Ok(TreeNodeRecursion::Jump);
        }
        if let Some((_, table)) = shared_of(node) {
            let known = readers.contains_key(&table.number);
            *readers.entry(table.number).or_default() += times;
            if !known {
                count_readers(&table.plan, 1, readers)?;
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

fn inline(
    plan: LogicalPlan,
    readers: &HashMap<u64, usize>,
    done: &mut HashMap<u64, Arc<dyn TableSource>>,
) -> PlanResult<LogicalPlan> {
    let inlined = plan.transform_down_with_subqueries(|node| {
        let Some((scan, table)) = shared_of(&node) else { return Ok(Transformed::no(node)) };
        let single = readers.get(&table.number).is_none_or(|&count| count < 2);
        if !table.always && (single || is_free(&table.plan)?) {
            let plan = inline(table.plan.as_ref().clone(), readers, done)?;
            let plan = SubqueryAlias::try_new(Arc::new(plan), scan.table_name.clone())?;
            return Ok(Transformed::new(LogicalPlan::SubqueryAlias(plan), true, TreeNodeRecursion::Jump));
        }
        let source = match done.get(&table.number) {
            Some(source) => source.clone(),
            None => {
                let plan = inline(table.plan.as_ref().clone(), readers, done)?;
                let source: Arc<dyn TableSource> = Arc::new(SharedTable { plan: Arc::new(plan), ..table.clone() });
                done.insert(table.number, source.clone());
                source
            }
        };
        let scan = TableScan { source, ..scan.clone() };
        Ok(Transformed::new(LogicalPlan::TableScan(scan), true, TreeNodeRecursion::Jump))
    })?;
    Ok(inlined.data)
}

/// Whether a plan only looks at rows that are in memory anyway.
pub(super) fn is_free(plan: &LogicalPlan) -> PlanResult<bool> {
    let mut free = true;
    plan.apply_with_subqueries(|node| {
        free &= match node {
            LogicalPlan::Projection(_) | LogicalPlan::Filter(_) => node
                .expressions()
                .iter()
                .all(|expr| !expr.is_volatile() && !expr.contains_outer() && !has_subquery(expr)),
            LogicalPlan::SubqueryAlias(_) | LogicalPlan::EmptyRelation(_) | LogicalPlan::Values(_) => true,
            LogicalPlan::TableScan(scan) => {
                scan.source.downcast_ref::<StoredTable>().is_some()
                    || scan.source.downcast_ref::<SeriesTable>().is_some()
            }
            _ => false,
        };
        Ok(if free { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    })?;
    Ok(free)
}

pub(super) fn has_subquery(expr: &Expr) -> bool {
    let is_subquery = |expr: &Expr| matches!(expr, Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_));
    // The closure never fails.
    expr.exists(|expr| Ok(is_subquery(expr))).unwrap_or(true)
}

/// What the readers of one shared table want of it.
struct Wanted {
    table: SharedTable,
    columns: BTreeSet<usize>,
    /// A filter of each reader; `None` when one wants every row.
    filters: Option<Vec<Expr>>,
}

/// A shared table's optimised plan and which of its columns are left, ascending.
struct Optimised {
    table: SharedTable,
    columns: Vec<usize>,
    plan: LogicalPlan,
}

/// Optimises the plans of the shared tables that `plan`, which is optimised itself, reads.
///
/// # Errors
/// Those of `optimise`.
pub(super) fn optimize_shared(
    plan: LogicalPlan,
    optimise: &dyn Fn(LogicalPlan) -> Result<LogicalPlan>,
) -> Result<LogicalPlan> {
    let mut wanted = BTreeMap::new();
    gather(&plan, &mut wanted)?;
    let mut optimised = Vec::new();
    // The greatest number first: all its readers are known then.
    while let Some((_, wants)) = wanted.pop_last() {
        let columns: Vec<usize> = match wants.columns.is_empty() {
            true => vec![0],
            false => wants.columns.iter().copied().collect(),
        };
        let plan = optimise(narrowed(&wants, &columns)?)?;
        gather(&plan, &mut wanted)?;
        optimised.push(Optimised { table: wants.table, columns, plan });
    }
    let mut finished = HashMap::new();
    for Optimised { table, columns, plan } in optimised.into_iter().rev() {
        let plan = Arc::new(with_finished(plan, &finished)?);
        let schema = Arc::new(table.schema.project(&columns)?);
        finished.insert(table.number, (SharedTable { plan, schema, ..table }, columns));
    }
    Ok(with_finished(plan, &finished)?)
}

fn gather(plan: &LogicalPlan, wanted: &mut BTreeMap<u64, Wanted>) -> PlanResult<()> {
    plan.apply_with_subqueries(|node| {
        let Some((scan, table)) = shared_of(node) else { return Ok(TreeNodeRecursion::Continue) };
        let entry = wanted.entry(table.number).or_insert_with(|| Wanted {
            table: table.clone(),
            columns: BTreeSet::new(),
            filters: Some(Vec::new()),
        });
        match &scan.projection {
            Some(projection) => entry.columns.extend(projection),
            None => entry.columns.extend(0..table.schema.fields().len()),
        }
        match (conjunction(scan.filters.iter().cloned()), &mut entry.filters) {
            (Some(filter), Some(filters)) if !filters.contains(&filter) => filters.push(filter),
            (Some(_), _) => {}
            (None, filters) => *filters = None,
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

/// The plan of a shared table with these columns and the rows that some reader wants.
fn narrowed(wants: &Wanted, columns: &[usize]) -> PlanResult<LogicalPlan> {
    let schema = wants.table.plan.schema().clone();
    let column = |index: usize| Expr::Column(Column::from(schema.qualified_field(index)));
    let mut builder = LogicalPlanBuilder::from(wants.table.plan.clone());
    if let Some(filter) = wants.filters.iter().flatten().cloned().reduce(Expr::or) {
        builder = builder.filter(in_terms_of(filter, &schema)?)?;
    }
    if columns.len() < schema.fields().len() {
        builder = builder.project(columns.iter().map(|&index| column(index)))?;
    }
    builder.build()
}

/// The filter of a scan over the columns of the scanned plan, which have the same names.
fn in_terms_of(filter: Expr, schema: &DFSchema) -> PlanResult<Expr> {
    let renamed = filter.transform(|expr| match &expr {
        Expr::Column(column) => {
            let (qualifier, field) = schema.qualified_field_with_unqualified_name(&column.name)?;
            Ok(Transformed::yes(Expr::Column(Column::from((qualifier, field)))))
        }
        _ => Ok(Transformed::no(expr)),
    })?;
    Ok(renamed.data)
}

/// The plan with its scans of shared tables on their optimised plans.
fn with_finished(plan: LogicalPlan, finished: &HashMap<u64, (SharedTable, Vec<usize>)>) -> PlanResult<LogicalPlan> {
    let changed = plan.transform_down_with_subqueries(|node| {
        let Some((scan, (table, columns))) =
            shared_of(&node).and_then(|(scan, table)| Some((scan, finished.get(&table.number)?)))
        else {
            return Ok(Transformed::no(node));
        };
        let old = scan.projection.clone().unwrap_or_else(|| (0..scan.source.schema().fields().len()).collect());
        let new = old.iter().filter_map(|index| columns.iter().position(|column| column == index)).collect();
        let scan = TableScanBuilder::new(scan.table_name.clone(), Arc::new(table.clone()))
            .with_projection(Some(new))
            .build()?;
        Ok(Transformed::new(LogicalPlan::TableScan(scan), true, TreeNodeRecursion::Jump))
    })?;
    Ok(changed.data)
}
