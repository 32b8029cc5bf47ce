//! Estimates: how many rows a plan gives, and what is to be expected of its columns.
//!
//! Estimates decide only how a query runs, never what it answers. They start from what the scans know of their files
//! ([`crate::scan::statistics`]) and follow the textbook from there (Selinger et al., "Access path selection in a relational
//! database management system", 1979): values are spread evenly, the values of a foreign key are among those of the key.
//! Two departures: conditions are taken for a little dependent on one another, and the number of distinct values of a
//! column stays that of the table under conditions on other columns, so that a filtered key table still joins to its
//! share of the foreign keys.

mod aggregate;
mod estimate;
mod node;
mod selectivity;
mod table;

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use datafusion_common::Column;
use datafusion_common::tree_node::TreeNodeRecursion;
use datafusion_expr::{Expr, LogicalPlan};

pub(super) use estimate::{ColumnEstimate, Estimate};
pub(super) use node::{column, matching_share};
pub(super) use selectivity::{Columns, UNKNOWN, selectivity};

use super::shared::shared_of;
use crate::scan::statistics::TableStatistics;
use crate::store::QueryContext;
use aggregate::arguments_of_calls;

/// Estimates plans of one query. Statistics of tables are asked for once, and only of columns that the query's
/// conditions, joins and groups name.
pub(super) struct Estimator {
    context: Arc<QueryContext>,
    /// Names of columns whose values matter.
    names: HashSet<String>,
    /// By address of the table's data, which the query keeps alive, and its columns.
    tables: RefCell<HashMap<TableKey, Arc<TableStatistics>>>,
}

/// The address of a table's data, and columns of it.
type TableKey = (usize, Vec<usize>);

impl Estimator {
    /// An estimator for the parts and rewritten forms of `plan`.
    pub(super) fn new(plan: &LogicalPlan, context: Arc<QueryContext>) -> Self {
        Estimator { context, names: names_that_matter(plan), tables: RefCell::default() }
    }

    /// What `plan` gives.
    pub(super) fn estimate(&self, plan: &LogicalPlan) -> Estimate {
        let estimate = self.node(plan);
        debug_assert_eq!(estimate.columns.len(), plan.schema().fields().len(), "{}", plan.display());
        estimate
    }
}

/// The columns in conditions, join keys, groups and computed columns, by name.
fn names_that_matter(plan: &LogicalPlan) -> HashSet<String> {
    let mut names = HashSet::new();
    let mut add = |expr: &Expr| names.extend(expr.column_refs().into_iter().map(|column| column.name.clone()));
    let collected = plan.apply_with_subqueries(|node| {
        match node {
            LogicalPlan::Filter(filter) => {
                add(&filter.predicate);
                arguments_of_calls(&filter.predicate, &filter.input).into_iter().for_each(&mut add);
            }
            LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.iter().for_each(&mut add),
            LogicalPlan::Projection(projection) => {
                projection.expr.iter().filter(|expr| !matches!(expr, Expr::Column(_))).for_each(&mut add);
            }
            LogicalPlan::Join(join) => {
                join.on.iter().flat_map(|(left, right)| [left, right]).chain(&join.filter).for_each(&mut add);
            }
            LogicalPlan::TableScan(scan) => {
                scan.filters.iter().for_each(&mut add);
                if let Some((_, shared)) = shared_of(node) {
                    names_that_matter(shared.plan())
                        .iter()
                        .for_each(|name| add(&Expr::Column(Column::from_name(name))));
                }
            }
            LogicalPlan::Distinct(_) => names_of_schema(node, &mut add),
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    });
    debug_assert!(collected.is_ok());
    names
}

fn names_of_schema(node: &LogicalPlan, add: &mut impl FnMut(&Expr)) {
    node.schema().columns().into_iter().for_each(|column| add(&Expr::Column(column)));
}
